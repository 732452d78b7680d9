//! Enrolment: a key is made or taken, sealed under a pending device, shown once, and confirmed with its first code.

use common::config::Settings;
use common::device::DeviceName;
use common::otpauth::{self, Label};
use common::protocol::{Confirm, ConfirmReply, Enroll, EnrollReply, Error, Verdict};
use common::secret::{Answer, Code, Key};
use common::totp::{Kind, Parameters};
use common::user::UserName;
use nix::unistd::gethostname;
use subtle::ConstantTimeEq;

use crate::caller::Role;
use crate::proof::prove;
use crate::record::{Device, MAX_DEVICES, Record, State};
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::spent::SpentSteps;
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
            let record = record.cloned().unwrap_or_else(|| Record::new(&moment));
            prove(record, call, wish.proof.as_ref(), &settings, &moment, |record| {
                new.add_to(record, call.user, &settings, &moment)
            })
        });
        let enrolled = enrolled.map_err(|failure| self.failure(&failure, call))?;
        let name = enrolled.map_err(|error| self.refused("enroll", call, error))?;
        let line = call.line("enroll").with("device", &name).with("state", new.state.on_the_wire().word());
        self.log(call, line);
        new.reply(call.user, &name)
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
            let confirmed = confirm(record, call.user, name.as_ref(), wish, &settings, &moment);
            match confirmed {
                Ok((next, name, verdict)) => Decision { next, outcome: Ok((name, verdict)) },
                Err(error) => Decision { next: None, outcome: Err(error) },
            }
        });
        let confirmed = confirmed.map_err(|failure| self.failure(&failure, call))?;
        if matches!(confirmed, Ok((_, Verdict::Rejected))) {
            self.was_wrong_for_free(call);
        }
        let (name, verdict) = confirmed.map_err(|error| self.refused("confirm", call, error))?;
        let line = call.line("confirm").with("device", &name).with("verdict", verdict.word());
        self.log(call, line);
        Ok(ConfirmReply { user: call.user.as_str().to_owned(), device: name.to_string(), verdict })
    }
}

/// A device that is being enrolled, checked but not yet in a record.
struct NewDevice {
    name: Option<DeviceName>,
    key: Key,
    parameters: Parameters,
    label: Label,
    issuer: Label,
    state: State,
    /// The key was in use elsewhere.
    taken_over: bool,
}

impl NewDevice {
    fn plan(call: &Call<'_>, wish: &Enroll, settings: &Settings, moment: &Moment) -> Result<Self, Error> {
        let for_admins = wish.key.is_some()
            || wish.active.is_some()
            || wish.alg.is_some()
            || wish.digits.is_some()
            || wish.period.is_some();
        if for_admins && call.caller.role == Role::Own {
            return Err(Error::PermissionDenied);
        }
        let parameters = parameters(wish, settings)?;
        let lifetime = if call.caller.role == Role::Own { PENDING_OWN } else { PENDING };
        let expires = moment.now.saturating_add(lifetime);
        Ok(Self {
            name: wish.device.as_deref().map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?,
            key: key(wish, parameters)?,
            parameters,
            label: label(wish, call.user, settings)?,
            issuer: issuer(wish.issuer.as_deref(), settings)?,
            state: if wish.active == Some(true) { State::Active } else { State::Pending { expires } },
            taken_over: wish.key.is_some(),
        })
    }

    /// Adds the device to the record.
    fn add_to(
        &self,
        record: &mut Record,
        user: &UserName,
        settings: &Settings,
        moment: &Moment,
    ) -> Result<DeviceName, Error> {
        let name = make_room(record, self.name.as_ref(), moment.now)?;
        if record.devices.iter().any(|device| has_key(device, &self.key, user, settings)) {
            return Err(Error::DeviceExists);
        }
        let spent = self.spent(record, user, settings, moment);
        let key = (&self.key, Kind::Totp, self.parameters);
        let device = Device::new(user, name.clone(), self.state, key, &settings.secrets, moment.now);
        record.devices.push(Device { spent, ..device.map_err(|_| Error::StoreUnavailable)? });
        record.enrolled |= self.state == State::Active;
        Ok(name)
    }

    /// What the key has used: what a device that was revoked had, and where it was taken over, a code of now as well.
    fn spent(&self, record: &Record, user: &UserName, settings: &Settings, moment: &Moment) -> SpentSteps {
        let spent = record.tombstones.spent_with(user, &self.key, &settings.secrets);
        if self.taken_over { spent.with_floor(self.parameters.step_at(moment.now)) } else { spent }
    }

    fn reply(&self, user: &UserName, name: &DeviceName) -> Result<EnrollReply, Error> {
        Ok(EnrollReply {
            user: user.as_str().to_owned(),
            device: name.to_string(),
            state: self.state.on_the_wire(),
            key: self.key.to_base32(),
            uri: otpauth::uri(&self.key, self.parameters, &self.label, Some(&self.issuer)),
            alg: self.parameters.alg.to_string(),
            digits: self.parameters.digits,
            period: self.parameters.period,
        })
    }
}

fn parameters(wish: &Enroll, settings: &Settings) -> Result<Parameters, Error> {
    let defaults = settings.new_device.parameters;
    let alg = wish.alg.as_deref().map_or(Ok(defaults.alg), str::parse).map_err(|why| Error::bad("alg", why))?;
    let (digits, period) = (wish.digits.unwrap_or(defaults.digits), wish.period.unwrap_or(defaults.period));
    let field = if period == defaults.period { "digits" } else { "period" };
    Parameters::for_new_device(alg, digits, period).map_err(|why| Error::bad(field, why))
}

fn key(wish: &Enroll, parameters: Parameters) -> Result<Key, Error> {
    let key = match &wish.key {
        Some(text) => Key::from_base32(text.expose()).map_err(|why| Error::bad("key", why))?,
        None => random_key(parameters.alg.key_bytes())?,
    };
    if key.expose().len() < MIN_KEY {
        return Err(Error::bad("key", format!("a key has at least {MIN_KEY} bytes (RFC 4226, R6): make a longer one")));
    }
    Ok(key)
}

/// A key straight from the system's random numbers.
pub(crate) fn random_key(bytes: usize) -> Result<Key, Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|_| Error::StoreUnavailable)?;
    Key::new(random).map_err(|why| Error::bad("key", why))
}

fn label(wish: &Enroll, user: &UserName, settings: &Settings) -> Result<Label, Error> {
    let template = wish.label.as_deref().unwrap_or(&settings.new_device.label);
    let label = template.replace("{host}", &host_name()).replace("{user}", user.as_str());
    Label::new(&label).map_err(|why| Error::bad("label", why))
}

/// What the authenticator shows of us: as wished, as set, or this host's name.
fn issuer(wished: Option<&str>, settings: &Settings) -> Result<Label, Error> {
    match (wished, &settings.new_device.issuer) {
        (Some(wished), _) => Label::new(wished).map_err(|why| Error::bad("issuer", why)),
        (None, Some(issuer)) => Ok(issuer.clone()),
        (None, None) => Label::new(&host_name()).map_err(|why| Error::bad("issuer", why)),
    }
}

fn host_name() -> String {
    let name = gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The name of a device to come, the wished one or the next free one, with room for it in the record. A pending device of
/// that name gives way: nobody's login hangs on it.
pub(crate) fn make_room(record: &mut Record, wished: Option<&DeviceName>, now: u64) -> Result<DeviceName, Error> {
    record.expire(now);
    let name = wished.cloned().unwrap_or_else(|| free_name(record));
    record.devices.retain(|device| device.name != name || !matches!(device.state, State::Pending { .. }));
    if record.devices.iter().any(|device| device.name == name) {
        return Err(Error::DeviceExists);
    }
    if record.devices.len() >= MAX_DEVICES {
        return Err(Error::bad("device", format!("a user has at most {MAX_DEVICES} devices: revoke one first")));
    }
    Ok(name)
}

/// Whether the device has that key. The same key under two names would open two logins with one code.
pub(crate) fn has_key(device: &Device, key: &Key, user: &UserName, settings: &Settings) -> bool {
    device.key(user, &settings.secrets).is_ok_and(|theirs| theirs.expose().ct_eq(key.expose()).into())
}

/// `default`, or the first numbered name that no device which counts has.
fn free_name(record: &Record) -> DeviceName {
    let taken = |name: &DeviceName| {
        record.devices.iter().any(|device| device.name == *name && !matches!(device.state, State::Pending { .. }))
    };
    (1..=MAX_DEVICES).map(DeviceName::nth).find(|name| !taken(name)).unwrap_or_else(|| DeviceName::nth(MAX_DEVICES))
}

type Confirmed = (Option<Record>, DeviceName, Verdict);

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
    let device = record.device_mut(&name).ok_or(Error::NoSuchDevice)?;
    let typed = Answer::parse(std::slice::from_ref(&wish.code));
    let codes = typed.and_then(|answer| answer.codes(device.parameters.digits));
    let Some(code) = codes.filter(|codes| codes.len() == 1) else {
        return Ok((None, name, Verdict::Malformed));
    };
    let key = device.key(user, &settings.secrets).map_err(|_| Error::RecordDamaged)?;
    let verdict = first_code(device, &key, &code, settings, moment);
    if verdict != Verdict::Accepted {
        return Ok((None, name, verdict));
    }
    device.state = State::Active;
    record.enrolled = true;
    Ok((Some(record), name, verdict))
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

fn first_code(device: &mut Device, key: &Key, code: &[Code], settings: &Settings, moment: &Moment) -> Verdict {
    let now = device.parameters.step_at(moment.now);
    let (first, last) = (now.saturating_sub(settings.policy.window), now.saturating_add(settings.policy.window));
    let found = device.parameters.find(key, code, first..=last);
    match found.iter().find(|step| device.spent.accepts(**step, last)) {
        Some(step) => {
            device.spent.spend(*step);
            Verdict::Accepted
        }
        None if found.is_empty() => Verdict::Rejected,
        None => Verdict::AlreadyUsed,
    }
}

/// Seconds that a pending device waits for its first code.
const PENDING: u64 = 24 * 3600;
/// The same, when the person enrolled it themselves.
const PENDING_OWN: u64 = 15 * 60;
/// Bytes in a key that we take over: 128 bits (RFC 4226 section 4, R6).
const MIN_KEY: usize = 16;
