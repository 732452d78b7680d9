//! `Resync`: lets two codes in a row tell where a device is whose clock, or counter, is too far off for a login.

use common::answer::Answer;
use common::config::Settings;
use common::names::device::DeviceName;
use common::wire::protocol::{Error, Resync, ResyncReply, Verdict};

use crate::clock;
use crate::clock::moment::Moment;
use crate::enrolment::proof::{Proven, prove};
use crate::identity::caller::Role;
use crate::login::judge::CLOCK_BEFORE_BUILD;
use crate::policy::Circumstances;
use crate::policy::resync::{self, Resynced};
use crate::record::source::Source;
use crate::record::{Record, State};
use crate::records::Decision;
use crate::service::{Call, Service};

impl Service {
    /// `Resync`: the codes are used up, and open nothing. Who acts for their own sake proves first who they are, by anything
    /// but the device itself: its codes lie before the two, or use them up. Without codes it says what is needed.
    ///
    /// # Errors
    /// [`Error`].
    pub fn resync(&self, call: &Call<'_>, wish: &Resync) -> Result<ResyncReply, Error> {
        let (settings, moment) = (self.settings(), self.moment());
        let name = wish.device.as_deref().map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?;
        let answer = Answer::parse(&wish.codes);
        self.may_try(call)?;
        let proven = self.records.change(call.access(&settings), |record| {
            let found =
                record.ok_or(Error::NoSuchUser).and_then(|record| Ok((record, active_device(record, name.as_ref())?)));
            let (record, name) = match found {
                Ok(found) => found,
                Err(error) => return Decision { next: None, outcome: Proven::refused(error) },
            };
            if wish.codes.is_empty() && (wish.proof.is_some() || !call.proof) {
                return Decision { next: None, outcome: Proven::asked_for(Error::bad("codes", NO_CODES)) };
            }
            prove(record.clone(), call, wish.proof.as_ref(), &settings, &moment, |record, by| {
                if by == Some(&name) {
                    return Err(Error::bad("proof", ITS_OWN_CODE));
                }
                resynced(record, &name, answer.as_ref(), call, &settings, moment)
            })
        });
        let proven = proven.map_err(|failure| self.failure(&failure, call))?;
        let (device, resynced) = self.proven("resync", call, proven)?;
        if resynced.verdict == Verdict::Rejected {
            self.was_wrong_for_free(call);
        }
        self.log_resync(call, &device, &resynced);
        let Resynced { verdict, seconds, .. } = resynced;
        Ok(ResyncReply { user: call.user.as_str().to_owned(), device: device.to_string(), verdict, seconds })
    }

    fn log_resync(&self, call: &Call<'_>, device: &DeviceName, resynced: &Resynced) {
        let line = call
            .line("resync")
            .with("device", device)
            .with("verdict", resynced.verdict.word())
            .with_some("reason", resynced.reason)
            .with_some("seconds", resynced.seconds)
            .with_some("left_out", resynced.left_out);
        self.log(call, if resynced.verdict == Verdict::Accepted { line } else { line.warning() });
    }
}

fn resynced(
    record: &mut Record,
    name: &DeviceName,
    answer: Option<&Answer>,
    call: &Call<'_>,
    settings: &Settings,
    moment: Moment,
) -> Result<(DeviceName, Resynced), Error> {
    if !clock::can_be(moment.now) {
        return Ok((name.clone(), Resynced::unlearned(Verdict::Refused, Some(CLOCK_BEFORE_BUILD))));
    }
    let device = record.device_mut(name).ok_or(Error::NoSuchDevice)?;
    let key = device.key(call.user, &settings.secrets).map_err(|_| Error::RecordDamaged)?;
    let now = Circumstances { policy: &settings.policy, moment, source: Source::Untold, service: "", suspect: false };
    let resynced = resync::judge(record, name, &key, answer, call.caller.role != Role::Own, &now);
    if let (Verdict::Accepted, Some(device)) = (resynced.verdict, record.device_mut(name)) {
        // Codes that are accepted have proven passlib's key, as those of a login do.
        device.reseal(call.user, &key, &settings.secrets);
    }
    Ok((name.clone(), resynced))
}

/// The active device of that name, or the only active one.
fn active_device(record: &Record, name: Option<&DeviceName>) -> Result<DeviceName, Error> {
    if let Some(name) = name {
        let device = record.devices.iter().find(|device| device.name == *name).ok_or(Error::NoSuchDevice)?;
        let active = device.state == State::Active;
        return if active { Ok(name.clone()) } else { Err(Error::bad("device", "the device is not active")) };
    }
    let mut active = record.active();
    match (active.next(), active.next()) {
        (Some(only), None) => Ok(only.name.clone()),
        _ => Err(Error::NoSuchDevice),
    }
}

const NO_CODES: &str = "type two codes that the device shows one after the other";
const ITS_OWN_CODE: &str = "a code of the device itself proves nothing here: type a recovery code, or a code of another device; without \
                            either, log in with two codes in a row, which finds it again as far as ten codes away";
