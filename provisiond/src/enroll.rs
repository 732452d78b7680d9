//! Enrolment: a key is made or taken, sealed under a pending device, shown once, and confirmed with its first code.

use common::answer::{Answer, Code};
use common::config::Settings;
use common::device::{DeviceName, Kind};
use common::protocol::{Confirm, ConfirmReply, Enroll, EnrollReply, Error, Verdict};
use common::secret::{Key, SecretText};
use common::user::UserName;
use subtle::ConstantTimeEq;

use crate::bound::{bind, is_anothers_own, new_record};
use crate::clock;
use crate::clock::mark::Doubted;
use crate::counter::{self, LOOK_AHEAD};
use crate::judging::CLOCK_BEFORE_BUILD;
use crate::new_device::NewDevice;
use crate::policy::quarantine::last_doubtful;
use crate::proof::prove;
use crate::record::{Device, MAX_DEVICES, Record, State};
use crate::records::Decision;
use crate::recovery::first_codes;
use crate::service::{Call, Service};
use crate::throttle::Moment;

impl Service {
    /// `Enroll`: a new device, pending unless an administrator asks for an active one. The key is told only when it is
    /// durable.
    ///
    /// # Errors
    /// [`Error`].
    pub fn enroll(&self, call: &Call<'_>, wish: &Enroll) -> Result<EnrollReply, Error> {
        let settings = self.settings();
        let moment = self.moment();
        let new = NewDevice::plan(call, wish, &settings, &moment)?;
        self.may_try(call)?;
        let enrolled = self.records.change(call.access(&settings), |record| {
            let record = record.cloned().unwrap_or_else(|| new_record(call, &moment));
            prove(record, call, wish.proof.as_ref(), &settings, &moment, |record, _| {
                let name = new.add_to(record, call.user, &settings, &moment)?;
                let active = new.state == State::Active;
                let codes = if active { first_codes(record, call.user, &settings, &moment)? } else { Vec::new() };
                if active {
                    bind(record, call);
                }
                Ok((name, codes))
            })
        });
        let enrolled = enrolled.map_err(|failure| self.failure(&failure, call))?;
        let (name, recovery_codes) = self.proven("enroll", call, enrolled)?;
        let line = call.line("enroll").with("device", &name).with("state", new.state.on_the_wire().word());
        self.log(call, line);
        new.reply(call.user, &name, recovery_codes)
    }

    /// `Confirm`: a pending device's first code makes it active.
    ///
    /// # Errors
    /// [`Error`].
    pub fn confirm(&self, call: &Call<'_>, wish: &Confirm) -> Result<ConfirmReply, Error> {
        self.may_try(call)?;
        let settings = self.settings();
        let moment = self.moment();
        let name = wish.device.as_deref().map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?;
        let confirmed = self.records.change(call.access(&settings), |record| {
            if record.is_some_and(|record| is_anothers_own(record, call, &settings)) {
                return Decision { next: None, outcome: Err(Error::PermissionDenied) };
            }
            let confirmed = confirm(record, call.user, name.as_ref(), wish, &settings, &moment);
            match confirmed {
                Ok(Confirmed { mut next, name, verdict, recovery_codes }) => {
                    next.iter_mut().for_each(|record| bind(record, call));
                    Decision { next, outcome: Ok((name, verdict, recovery_codes)) }
                }
                Err(error) => Decision { next: None, outcome: Err(error) },
            }
        });
        let confirmed = confirmed.map_err(|failure| self.failure(&failure, call))?;
        if matches!(confirmed, Ok((_, Verdict::Rejected, _))) {
            self.was_wrong_for_free(call);
        }
        let (name, verdict, recovery_codes) =
            confirmed.inspect_err(|error| self.log_refused("confirm", call, error))?;
        let why = if clock::can_be(moment.now) { Doubted::Store.word() } else { CLOCK_BEFORE_BUILD };
        let reason = (verdict == Verdict::Refused).then_some(why);
        let line = call.line("confirm").with("device", &name).with("verdict", verdict.word());
        self.log(call, line.with_some("reason", reason));
        Ok(ConfirmReply { user: call.user.as_str().to_owned(), device: name.to_string(), verdict, recovery_codes })
    }
}

/// A key straight from the system's random numbers.
pub(crate) fn random_key(bytes: usize) -> Result<Key, Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|_| Error::StoreUnavailable)?;
    Key::new(random).map_err(|why| Error::bad("key", why))
}

/// The name of a device to come, the wished one or the next free one, with room for it in the record. A pending device of
/// that name gives way: who enrols twice starts again.
pub(crate) fn make_room(record: &mut Record, wished: Option<&DeviceName>, now: u64) -> Result<DeviceName, Error> {
    record.expire(now);
    let full = || Error::bad("device", format!("a user has at most {MAX_DEVICES} devices: revoke one first"));
    let name = wished.cloned().or_else(|| free_name(record)).ok_or_else(full)?;
    record.devices.retain(|device| device.name != name || !matches!(device.state, State::Pending { .. }));
    if record.devices.iter().any(|device| device.name == name) {
        return Err(Error::DeviceExists);
    }
    if record.devices.len() >= MAX_DEVICES {
        return Err(full());
    }
    Ok(name)
}

/// Whether the device has that key. The same key under two names would open two logins with one code.
pub(crate) fn has_key(device: &Device, key: &Key, user: &UserName, settings: &Settings) -> bool {
    device.key(user, &settings.secrets).is_ok_and(|theirs| theirs.expose().ct_eq(key.expose()).into())
}

/// `default`, or the first numbered name that no device which counts has. `None`: they are all taken.
fn free_name(record: &Record) -> Option<DeviceName> {
    let taken = |name: &DeviceName| {
        record.devices.iter().any(|device| device.name == *name && !matches!(device.state, State::Pending { .. }))
    };
    (1..=MAX_DEVICES).map(DeviceName::nth).find(|name| !taken(name))
}

/// What a first code came to.
struct Confirmed {
    next: Option<Record>,
    name: DeviceName,
    verdict: Verdict,
    recovery_codes: Vec<SecretText>,
}

impl Confirmed {
    fn not(name: DeviceName, verdict: Verdict) -> Self {
        Self { next: None, name, verdict, recovery_codes: Vec::new() }
    }
}

fn confirm(
    record: Option<&Record>,
    user: &UserName,
    name: Option<&DeviceName>,
    wish: &Confirm,
    settings: &Settings,
    moment: &Moment,
) -> Result<Confirmed, Error> {
    let mut record = record.cloned().ok_or(Error::NoSuchUser)?;
    record.expire(moment.now);
    let name = pending_name(&record, name)?;
    if !clock::can_be(moment.now) {
        return Ok(Confirmed::not(name, Verdict::Refused));
    }
    let device = record.device_mut(&name).ok_or(Error::NoSuchDevice)?;
    let typed = Answer::parse(std::slice::from_ref(&wish.code));
    let codes = typed.and_then(|answer| answer.codes(device.parameters.digits));
    let Some(code) = codes.filter(|codes| codes.len() == 1) else {
        return Ok(Confirmed::not(name, Verdict::Malformed));
    };
    let key = device.key(user, &settings.secrets).map_err(|_| Error::RecordDamaged)?;
    let verdict = first_code(device, &key, &code, settings.policy.window, moment);
    if verdict != Verdict::Accepted {
        return Ok(Confirmed::not(name, verdict));
    }
    device.state = State::Active;
    record.enrolled = true;
    let recovery_codes = first_codes(&mut record, user, settings, moment)?;
    Ok(Confirmed { next: Some(record), name, verdict, recovery_codes })
}

/// The pending device of that name, or the only pending one.
fn pending_name(record: &Record, name: Option<&DeviceName>) -> Result<DeviceName, Error> {
    let pending = |device: &&Device| matches!(device.state, State::Pending { .. });
    if let Some(name) = name {
        let device = record.devices.iter().find(|device| device.name == *name).ok_or(Error::NoSuchDevice)?;
        return if pending(&device) { Ok(name.clone()) } else { Err(Error::NotPending) };
    }
    let mut all = record.devices.iter().filter(pending);
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only.name.clone()),
        (Some(_), Some(_)) => Err(Error::NoSuchDevice),
        (None, _) => Err(Error::NotPending),
    }
}

fn first_code(device: &mut Device, key: &Key, code: &[Code], window: u64, moment: &Moment) -> Verdict {
    if device.kind == Kind::Hotp {
        return first_counted(device, key, code, moment);
    }
    let now = device.parameters.step_at(moment.now);
    let (first, last) = (now.saturating_sub(window), now.saturating_add(window));
    // What is pending now may have been confirmed, and used, in what the store has lost.
    let lost = last_doubtful(device, window, moment).filter(|_| moment.has_lost(device.known_since));
    let found = device.parameters.find(key, code, first..=last);
    match found.iter().find(|step| device.spent.accepts(**step, last)) {
        Some(step) if lost.is_some_and(|lost| *step <= lost) => Verdict::Refused,
        Some(step) => {
            device.spent.spend(*step);
            Verdict::Accepted
        }
        None if found.is_empty() => Verdict::Rejected,
        None => Verdict::AlreadyUsed,
    }
}

/// The person may have pressed the button a few times before.
fn first_counted(device: &mut Device, key: &Key, code: &[Code], moment: &Moment) -> Verdict {
    let found = device.parameters.find(key, code, counter::searched(&device.spent, 1, LOOK_AHEAD));
    match found.iter().find(|counter| counter::accepts(&device.spent, **counter)) {
        Some(_) if moment.has_lost(device.known_since) => Verdict::Refused,
        Some(counter) => {
            device.spend(&[*counter]);
            Verdict::Accepted
        }
        None if found.is_empty() => Verdict::Rejected,
        None => Verdict::AlreadyUsed,
    }
}

#[cfg(test)]
mod tests {
    use common::totp::Parameters;

    use super::*;
    use crate::clock::mark::Doubt;
    use crate::record::tests::{device_of, secrets, user};

    const NOW: u64 = 1_234_567_890;

    /// What is said to a first code that the device shows at `place`, by a store that lost what was spent up to now and three
    /// steps further.
    fn confirmed(kind: Kind, known_since: u64, place: u64, now: u64) -> Verdict {
        let mut device = Device { known_since, ..device_of(kind, &user("alice"), "phone", Parameters::default()) };
        let key = device.key(&user("alice"), &secrets()).unwrap();
        let doubt = Some(Doubt { at: NOW, of: Doubted::Store, lost: NOW + 90 });
        let moment = Moment { doubt, rolled_back_tick: Some(NOW), ..Moment::ordinary(now) };
        let typed = SecretText::typed(device.parameters.code_at(&key, place).as_bytes());
        let code = Answer::parse(&[typed]).and_then(|answer| answer.codes(6)).unwrap();
        first_code(&mut device, &key, &code, 1, &moment)
    }

    #[test]
    fn whoever_has_as_many_devices_as_there_may_be_is_told_so_with_or_without_a_name_for_another() {
        let (alice, moment) = (user("alice"), Moment::ordinary(NOW));
        let named = |name: DeviceName| device_of(Kind::Totp, &alice, name.as_str(), Parameters::default());
        let devices = (1..=MAX_DEVICES).map(DeviceName::nth).map(named).collect();
        let mut record = Record { enrolled: true, devices, ..Record::new(&moment) };
        let another = DeviceName::new("another").unwrap();
        for wished in [None, Some(&another)] {
            let told = make_room(&mut record, wished, NOW).unwrap_err().to_string();
            assert!(told.contains("at most 8 devices: revoke one first"), "{told}");
        }
        assert_eq!(make_room(&mut record, Some(&DeviceName::nth(1)), NOW), Err(Error::DeviceExists));
    }

    #[test]
    fn a_device_that_was_pending_before_a_roll_back_is_confirmed_with_a_code_that_cannot_have_been_used() {
        let step = NOW / 30;
        for (passed, verdict) in [(0, Verdict::Refused), (3, Verdict::Refused), (4, Verdict::Accepted)] {
            assert_eq!(confirmed(Kind::Totp, NOW, step + passed, NOW + 30 * passed), verdict, "{passed}");
        }
        assert_eq!(confirmed(Kind::Totp, NOW + 1, step, NOW), Verdict::Accepted, "it was enrolled since");
        assert_eq!(confirmed(Kind::Hotp, NOW, 3, NOW + 86400), Verdict::Refused, "nobody knows how far it had counted");
        assert_eq!(confirmed(Kind::Hotp, NOW + 1, 3, NOW), Verdict::Accepted);
    }
}
