//! `Confirm`: the first right code of a pending device makes the device active.

use common::answer::{Answer, Code};
use common::names::device::{DeviceName, Kind};
use common::secret::{Key, SecretText};
use common::wire::protocol::{Confirm, ConfirmReply, Error, Verdict};

use crate::clock::doubt::Doubted;
use crate::clock::moment::Moment;
use crate::clock::{self, CLOCK_BEFORE_BUILD};
use crate::enrolment::proof::circumstances;
use crate::enrolment::recovery::first_codes;
use crate::identity::caller::Role;
use crate::policy::quarantine::{of_device, of_first_codes};
use crate::policy::{self, Judged};
use crate::record::counter::{self, LOOK_AHEAD};
use crate::record::restriction::Restriction;
use crate::record::{Device, NoSuchChoice, Record, State};
use crate::service::Service;
use crate::service::call::{Call, device_name};
use crate::service::change::change;
use crate::service::uid_binding::{Act, bind};

/// `Confirm`: judges the first code of a pending device, and makes the device active if the code is
/// right.
///
/// # Errors
/// [`Error`].
pub(crate) fn confirm(
    service: &Service,
    call: &Call<'_>,
    wish: &Confirm,
) -> Result<ConfirmReply, Error> {
    let attempt = service.may_try(call)?;
    let name = device_name(wish.device.as_deref())?;
    let Confirmed {
        name,
        verdict,
        reason,
        recovery_codes,
        charged,
    } = change(
        service,
        call,
        Act::giving_to("confirm", wish.same_person),
        |record| confirmed(record, name.as_ref(), wish, call),
    )?;
    if verdict == Verdict::Rejected && !charged {
        attempt.was_wrong();
    }
    let line = call
        .line("confirm")
        .with("device", &name)
        .with("verdict", verdict.word());
    service.log(call, line.with_some("reason", reason));
    Ok(ConfirmReply {
        user: call.user.as_str().to_owned(),
        device: name.to_string(),
        verdict,
        recovery_codes,
    })
}

/// The outcome of a first code.
struct Confirmed {
    name: DeviceName,
    verdict: Verdict,
    reason: Option<&'static str>,
    recovery_codes: Vec<SecretText>,
    /// The account paid for the wrong code.
    charged: bool,
}

/// A verdict, with the reason for the log if it is `refused`.
type Reasoned = (Verdict, Option<&'static str>);

impl Confirmed {
    /// A verdict that makes no device active.
    fn not(name: DeviceName, (verdict, reason): Reasoned) -> Self {
        Self {
            name,
            verdict,
            reason,
            recovery_codes: Vec::new(),
            charged: false,
        }
    }
}

/// Judges the first code. A user's own processes could guess it, so they pay for a wrong one from
/// the account's guesses, as at a login; without a guess left, two codes are needed.
fn confirmed(
    record: Option<&Record>,
    name: Option<&DeviceName>,
    wish: &Confirm,
    call: &Call<'_>,
) -> Result<(Option<Record>, Confirmed), Error> {
    let mut record = record.cloned().ok_or(Error::NoSuchUser)?;
    record.expire(call.moment.now);
    let name = pending_name(&record, name)?;
    let Some(typed) = Answer::parse(std::slice::from_ref(&wish.code)) else {
        return Ok((None, Confirmed::not(name, (Verdict::Malformed, None))));
    };
    let now = circumstances(call);
    let trial = on_trial(&record, &name).filter(|_| call.caller.role == Role::Own);
    if let Some(Err(verdict)) = trial
        .as_ref()
        .map(|trial| policy::admit(trial, Some(&typed), false, &now))
    {
        return Ok((None, Confirmed::not(name, (verdict, None))));
    }
    let device = record.device_mut(&name).ok_or(Error::NoSuchDevice)?;
    let (verdict, reason) = judge(device, &typed, call)?;
    if verdict != Verdict::Accepted {
        let trial = trial.filter(|_| verdict == Verdict::Rejected);
        let judged = trial.map(|trial| policy::reject(&trial, &typed, false, &now));
        return Ok(wrong(record, name, (verdict, reason), judged));
    }
    device.state = State::Active;
    record.enrolled = true;
    bind(&mut record, call)?;
    let recovery_codes = first_codes(&mut record, call)?;
    Ok((
        Some(record),
        Confirmed {
            name,
            verdict,
            reason,
            recovery_codes,
            charged: false,
        },
    ))
}

/// The record as if the pending device were active, and its only one.
fn on_trial(record: &Record, name: &DeviceName) -> Option<Record> {
    let device = record.devices.iter().find(|device| device.name == *name)?;
    let device = Device {
        state: State::Active,
        restriction: Restriction::default(),
        ..device.clone()
    };
    Some(Record {
        disabled: false,
        devices: vec![device],
        ..record.clone()
    })
}

/// The outcome of a code that was not accepted. What the judged trial paid, the record pays.
fn wrong(
    record: Record,
    name: DeviceName,
    reasoned: Reasoned,
    judged: Option<Judged>,
) -> (Option<Record>, Confirmed) {
    let charged = judged
        .as_ref()
        .is_some_and(|judged| !judged.charged.are_none());
    let trial = judged.and_then(|judged| judged.next);
    let next = trial.map(|Record { known, unknown, .. }| Record {
        known,
        unknown,
        ..record
    });
    let outcome = Confirmed {
        charged,
        ..Confirmed::not(name, reasoned)
    };
    (next, outcome)
}

/// The pending device of that name, or the only pending one.
fn pending_name(record: &Record, name: Option<&DeviceName>) -> Result<DeviceName, Error> {
    record
        .choose(name, Device::is_pending)
        .map_err(|NoSuchChoice| {
            let is_not_pending = match name {
                Some(name) => record.devices.iter().any(|device| device.name == *name),
                None => !record.devices.iter().any(Device::is_pending),
            };
            if is_not_pending {
                Error::NotPending
            } else {
                Error::NoSuchDevice
            }
        })
}

fn judge(device: &mut Device, typed: &Answer, call: &Call<'_>) -> Result<Reasoned, Error> {
    if !clock::can_be(call.moment.now) {
        return Ok((Verdict::Refused, Some(CLOCK_BEFORE_BUILD)));
    }
    let Some(codes) = typed.codes(device.parameters.digits) else {
        return Ok((Verdict::Malformed, None));
    };
    let key = device
        .key(call.user, &call.settings.secrets)
        .map_err(|_| Error::RecordDamaged)?;
    Ok(first_code(
        device,
        &key,
        &codes,
        call.settings.policy.window,
        &call.moment,
    ))
}

fn first_code(
    device: &mut Device,
    key: &Key,
    code: &[Code],
    window: u64,
    moment: &Moment,
) -> Reasoned {
    if device.kind == Kind::Hotp {
        return first_counted(device, key, code, moment);
    }
    let now = device.parameters.step_at(moment.now);
    let (first, last) = (now.saturating_sub(window), now.saturating_add(window));
    // The device may have been confirmed, and used, in a part of the past that the store knows
    // nothing of: refuse codes of that time (replay).
    let moment = of_first_codes(std::iter::once(&*device), moment);
    let doubtful = of_device(device, window, &moment);
    let found = device.parameters.find(key, code, first..=last);
    let spends = |step: u64| (step..).zip(code).map(|(step, _)| step);
    let fresh = |step: &&u64| spends(**step).all(|step| device.spent.accepts(step, last));
    match found.iter().find(fresh) {
        Some(step) => {
            if let Some(doubtful) = doubtful.filter(|doubtful| *step <= doubtful.last) {
                return (Verdict::Refused, Some(doubtful.of.word()));
            }
            device.spend(&spends(*step).collect::<Vec<_>>());
            (Verdict::Accepted, None)
        }
        None if found.is_empty() => (Verdict::Rejected, None),
        None => (Verdict::AlreadyUsed, None),
    }
}

/// The first code of an HOTP device. The user may have pressed the button a few times before.
fn first_counted(device: &mut Device, key: &Key, code: &[Code], moment: &Moment) -> Reasoned {
    let length = u64::try_from(code.len()).unwrap_or(u64::MAX);
    let found = device.parameters.find(
        key,
        code,
        counter::searched(&device.spent, length, LOOK_AHEAD),
    );
    match found
        .iter()
        .find(|counter| counter::accepts(&device.spent, **counter))
    {
        Some(_) if moment.has_lost(device.known_since) => {
            (Verdict::Refused, Some(Doubted::Store.word()))
        }
        Some(counter) => {
            device.spend(&[counter.saturating_add(length).saturating_sub(1)]);
            (Verdict::Accepted, None)
        }
        None if found.is_empty() => (Verdict::Rejected, None),
        None => (Verdict::AlreadyUsed, None),
    }
}

#[cfg(test)]
mod tests {
    use common::totp::Parameters;

    use super::*;
    use crate::clock::doubt::Doubts;
    use crate::record::tests::{device_of, secrets, user};

    const NOW: u64 = 1_234_567_890;

    /// The verdict on a first code that the device shows at `place`, after the store lost the codes
    /// spent up to three steps from now.
    fn confirmed(kind: Kind, known_since: u64, place: u64, now: u64) -> Verdict {
        let mut device = Device {
            known_since,
            ..device_of(kind, &user("alice"), "phone", Parameters::default())
        };
        let key = device.key(&user("alice"), &secrets()).unwrap();
        let doubts = Doubts {
            rolled_back: Some(NOW),
            lost: NOW + 90,
            ..Doubts::default()
        };
        let moment = Moment {
            doubts,
            rolled_back_tick: Some(NOW),
            ..Moment::ordinary(now)
        };
        let typed = SecretText::typed(device.parameters.code_at(&key, place).as_bytes());
        let code = Answer::parse(&[typed])
            .and_then(|answer| answer.codes(6))
            .unwrap();
        first_code(&mut device, &key, &code, 1, &moment).0
    }

    #[test]
    fn a_device_that_was_pending_before_a_roll_back_is_confirmed_with_a_code_that_cannot_have_been_used()
     {
        let step = NOW / 30;
        for (passed, verdict) in [
            (0, Verdict::Refused),
            (3, Verdict::Refused),
            (4, Verdict::Accepted),
        ] {
            assert_eq!(
                confirmed(Kind::Totp, NOW, step + passed, NOW + 30 * passed),
                verdict,
                "{passed}"
            );
        }
        assert_eq!(
            confirmed(Kind::Totp, NOW + 1, step, NOW),
            Verdict::Accepted,
            "it was enrolled since"
        );
        assert_eq!(
            confirmed(Kind::Hotp, NOW, 3, NOW + 86400),
            Verdict::Refused,
            "the counter it had reached is lost"
        );
        assert_eq!(confirmed(Kind::Hotp, NOW + 1, 3, NOW), Verdict::Accepted);
    }
}
