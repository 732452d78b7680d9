//! `Resync`: two consecutive codes re-learn the drift (TOTP) or counter (HOTP) of a device that is
//! too far off for a login.

use common::answer::Answer;
use common::names::device::DeviceName;
use common::wire::protocol::{Error, Resync, ResyncReply, Verdict};

use crate::clock::{self, CLOCK_BEFORE_BUILD};
use crate::enrolment::proof::{self, Unproven};
use crate::identity::caller::Role;
use crate::policy::Circumstances;
use crate::policy::resync::{self, Resynced};
use crate::record::source::Source;
use crate::record::{NoSuchChoice, Record, State};
use crate::service::Service;
use crate::service::call::{Call, device_name};
use crate::service::uid_binding::Act;

/// `Resync`: spends the two codes; they open no login. In self-service the user proves the account
/// first, by anything but the device itself: a code of the device lies before the two, or spends
/// them. Without codes the reply says what is needed.
///
/// # Errors
/// [`Error`].
pub(crate) fn resync(
    service: &Service,
    call: &Call<'_>,
    wish: &Resync,
) -> Result<ResyncReply, Error> {
    let wished = device_name(wish.device.as_deref())?;
    let answer = Answer::parse(&wish.codes);
    let begin = |record: Option<&Record>| {
        let record = record.ok_or(Error::NoSuchUser)?;
        active_device(record, wished.as_ref())?;
        if wish.codes.is_empty() && (wish.proof.is_some() || !call.proof) {
            return Err(Unproven::AskedFor(Error::bad("codes", NO_CODES)));
        }
        Ok(record.clone())
    };
    let (act, proof) = (Act::giving("resync"), wish.proof.as_ref());
    let (device, resynced) = proof::change(service, call, (act, proof), begin, |record, by| {
        let name = active_device(record, wished.as_ref())?;
        if by == Some(&name) {
            return Err(Error::bad("proof", ITS_OWN_CODE));
        }
        let resynced = resynced(record, &name, answer.as_ref(), call)?;
        Ok((name, resynced))
    })?;
    if resynced.verdict == Verdict::Rejected {
        service.was_wrong_for_free(call);
    }
    log_resync(service, call, &device, &resynced);
    let Resynced {
        verdict, seconds, ..
    } = resynced;
    Ok(ResyncReply {
        user: call.user.as_str().to_owned(),
        device: device.to_string(),
        verdict,
        seconds,
    })
}

fn log_resync(service: &Service, call: &Call<'_>, device: &DeviceName, resynced: &Resynced) {
    let line = call
        .line("resync")
        .with("device", device)
        .with("verdict", resynced.verdict.word())
        .with_some("reason", resynced.reason)
        .with_some("seconds", resynced.seconds)
        .with_some("skipped_codes", resynced.left_out);
    service.log(
        call,
        if resynced.verdict == Verdict::Accepted {
            line
        } else {
            line.warning()
        },
    );
}

fn resynced(
    record: &mut Record,
    name: &DeviceName,
    answer: Option<&Answer>,
    call: &Call<'_>,
) -> Result<Resynced, Error> {
    let settings = &*call.settings;
    let moment = call.moment;
    if !clock::can_be(moment.now) {
        return Ok(Resynced::unlearned(
            Verdict::Refused,
            Some(CLOCK_BEFORE_BUILD),
        ));
    }
    let device = record.device_mut(name).ok_or(Error::NoSuchDevice)?;
    let key = device
        .key(call.user, &settings.secrets)
        .map_err(|_| Error::RecordDamaged)?;
    let now = Circumstances {
        policy: &settings.policy,
        moment,
        source: Source::Untold,
        service: "",
        suspect: false,
    };
    let resynced = resync::judge(
        record,
        name,
        &key,
        answer,
        call.caller.role != Role::Own,
        &now,
    );
    if resynced.verdict == Verdict::Accepted
        && let Some(device) = record.device_mut(name)
    {
        // The accepted codes have proven a key imported from passlib, as a login does.
        device.reseal(call.user, &key, &settings.secrets);
    }
    Ok(resynced)
}

/// The active device of that name, or the only active one.
fn active_device(record: &Record, name: Option<&DeviceName>) -> Result<DeviceName, Error> {
    record
        .choose(name, |device| device.state == State::Active)
        .map_err(|NoSuchChoice| {
            let is_there =
                name.is_some_and(|name| record.devices.iter().any(|device| device.name == *name));
            if is_there {
                Error::bad("device", "the device is not active")
            } else {
                Error::NoSuchDevice
            }
        })
}

const NO_CODES: &str = "type two codes that the device shows one after the other";
const ITS_OWN_CODE: &str = "a code of the device itself proves nothing here: type a recovery code, or a code of another device; without \
                            either, log in with two consecutive codes, which works up to ten codes off";
