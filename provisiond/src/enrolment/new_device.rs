//! A device that is being enrolled: what was wished for, what the settings say, and what its key has used before.

use common::config::Settings;
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::{self, Label};
use common::qr;
use common::secret::{Key, SecretText};
use common::totp::Parameters;
use common::wire::protocol::{Enroll, EnrollReply, Enrolment, Error};
use nix::unistd::gethostname;

use crate::clock::moment::Moment;
use crate::enrolment::enroll::{has_key, make_room, random_key};
use crate::identity::caller::Role;
use crate::policy::quarantine::last_used_elsewhere;
use crate::record::counter::MAX_START;
use crate::record::restriction::Restriction;
use crate::record::spent::SpentSteps;
use crate::record::{Device, Record, State};
use crate::service::Call;

/// A device that is being enrolled, checked but not yet in a record.
pub(crate) struct NewDevice {
    name: Option<DeviceName>,
    key: Key,
    kind: Kind,
    /// Of a device that counts: that of its next code.
    counter: u64,
    parameters: Parameters,
    label: Label,
    issuer: Label,
    pub(crate) state: State,
    restriction: Restriction,
    /// The key was in use elsewhere.
    taken_over: bool,
}

impl NewDevice {
    /// Checks the wish.
    pub(crate) fn plan(call: &Call<'_>, wish: &Enroll, settings: &Settings, moment: &Moment) -> Result<Self, Error> {
        let for_admins = wish.key.is_some()
            || wish.active.is_some()
            || wish.valid_from.is_some()
            || wish.valid_until.is_some()
            || wish.services.is_some()
            || wish.kind.is_some()
            || wish.alg.is_some()
            || wish.digits.is_some()
            || wish.period.is_some()
            || wish.counter.is_some();
        if for_admins && call.caller.role == Role::Own {
            return Err(Error::PermissionDenied);
        }
        let kind = wish.kind.as_deref().map_or(Ok(Kind::Totp), str::parse).map_err(|why| Error::bad("kind", why))?;
        let parameters = parameters(wish, kind, settings)?;
        let lifetime = if call.caller.role == Role::Own { PENDING_OWN } else { PENDING };
        let expires = moment.now.saturating_add(lifetime);
        Ok(Self {
            name: wish.device.as_deref().map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?,
            key: key(wish, parameters)?,
            kind,
            counter: counter(wish, kind)?,
            parameters,
            label: label(wish, call.user, settings)?,
            issuer: issuer(wish.issuer.as_deref(), settings)?,
            state: if wish.active == Some(true) { State::Active } else { State::Pending { expires } },
            restriction: Restriction::new(
                wish.valid_from,
                wish.valid_until,
                wish.services.as_deref().unwrap_or_default(),
            )?,
            taken_over: wish.key.is_some(),
        })
    }

    /// Adds the device to the record.
    pub(crate) fn add_to(
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
        self.restriction.fits_beside(record.devices.iter().map(|device| &device.restriction))?;
        let (spent, restriction) = (self.spent(record, settings, moment), self.restriction.clone());
        let key = (&self.key, self.kind, self.parameters);
        let device = Device::active(user, name.clone(), key, &settings.secrets, moment);
        record.devices.push(Device {
            state: self.state,
            spent,
            restriction,
            ..device.map_err(|_| Error::StoreUnavailable)?
        });
        record.enrolled |= self.state == State::Active;
        Ok(name)
    }

    /// What the key has used: what a device that was revoked had, and where it was taken over, a code of now as well.
    fn spent(&self, record: &Record, settings: &Settings, moment: &Moment) -> SpentSteps {
        let spent = record.tombstones.spent_with((self.kind, self.parameters), &self.key, &settings.secrets);
        match self.kind {
            Kind::Totp if self.taken_over => spent.with_floor(last_used_elsewhere(self.parameters, moment)),
            Kind::Totp => spent,
            Kind::Hotp => spent.with_floor(self.counter),
        }
    }

    /// Tells the key, and new recovery codes, this one time.
    pub(crate) fn reply(
        &self,
        user: &UserName,
        name: &DeviceName,
        recovery_codes: Vec<SecretText>,
    ) -> Result<EnrollReply, Error> {
        Ok(EnrollReply {
            user: user.as_str().to_owned(),
            device: name.to_string(),
            state: self.state.on_the_wire(),
            key: self.key.to_base32(),
            uri: self.uri(),
            kind: self.kind,
            alg: self.parameters.alg.to_string(),
            digits: self.parameters.digits,
            period: (self.kind == Kind::Totp).then_some(self.parameters.period),
            counter: (self.kind == Kind::Hotp).then_some(self.counter),
            recovery_codes,
        })
    }

    /// The same for a prompt, where there is only text to show it.
    pub(crate) fn enrolment(&self, name: &DeviceName) -> Enrolment {
        // One that a terminal cannot show is none. There still is the key.
        let modules = qr::modules(&self.uri()).ok().filter(|modules| modules.side() <= COLUMNS);
        let drawn = modules.map(|modules| modules.half_blocks(|dark| !dark, "", ""));
        let lines = drawn.iter().flat_map(|text| text.lines());
        let qr = lines.map(|line| SecretText::new(line.to_owned())).collect();
        Enrolment { device: name.to_string(), key: otpauth::pretty_key(&self.key), qr }
    }

    fn uri(&self) -> SecretText {
        let (key, parameters, issuer) = (&self.key, self.parameters, Some(&self.issuer));
        match self.kind {
            Kind::Totp => otpauth::uri(key, parameters, &self.label, issuer),
            Kind::Hotp => otpauth::counted_uri(key, parameters, self.counter, &self.label, issuer),
        }
    }
}

/// The first counter of a device that counts. Of a key that is taken over, codes have been used.
fn counter(wish: &Enroll, kind: Kind) -> Result<u64, Error> {
    match (kind, wish.counter) {
        (Kind::Totp, Some(_)) => Err(Error::bad("counter", "only a device of the kind hotp has a counter")),
        (Kind::Hotp, Some(counter)) if counter > MAX_START => {
            Err(Error::bad("counter", format!("a device begins with a counter of at most {MAX_START}")))
        }
        (Kind::Hotp, None) if wish.key.is_some() => {
            Err(Error::bad("counter", "of a key that is taken over, say the counter of the next code"))
        }
        (_, counter) => Ok(counter.unwrap_or(0)),
    }
}

fn parameters(wish: &Enroll, kind: Kind, settings: &Settings) -> Result<Parameters, Error> {
    if kind == Kind::Hotp && wish.period.is_some() {
        return Err(Error::bad("period", "a device of the kind hotp has no period: its codes do not run out"));
    }
    let defaults = match kind {
        Kind::Totp => settings.new_device.parameters,
        Kind::Hotp => Parameters { period: Parameters::default().period, ..settings.new_device.parameters },
    };
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

/// The widest picture that terminals show, in characters.
const COLUMNS: usize = 80;
/// Seconds that a pending device waits for its first code.
const PENDING: u64 = 24 * 3600;
/// The same, when the person enrolled it themselves.
const PENDING_OWN: u64 = 15 * 60;
/// Bytes in a key that we take over: 128 bits (RFC 4226 section 4, R6).
const MIN_KEY: usize = 16;
