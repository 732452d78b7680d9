//! A device being enrolled: name, key, parameters, label, how long it stays pending before it
//! expires, and the steps that its key has spent before.

use common::config::{DEFAULT_LABEL, Settings};
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::{self, Label};
use common::qr;
use common::secret::{Key, STRONG_BITS, SecretText};
use common::totp::Parameters;
use common::wire::frame::UNIT;
use common::wire::protocol::{Enroll, EnrollReply, Enrolment, Error};
use nix::unistd::gethostname;

use crate::identity::caller::Role;
use crate::policy::quarantine::last_used_elsewhere;
use crate::record::counter::MAX_START;
use crate::record::drift::Drift;
use crate::record::restriction::Restriction;
use crate::record::spent::SpentSteps;
use crate::record::{Device, MAX_DEVICES, Record, State};
use crate::service::call::{Call, device_name};

/// A device that is being enrolled, checked but not yet in a record.
pub(crate) struct NewDevice {
    name: Option<DeviceName>,
    key: Key,
    kind: Kind,
    /// Of an HOTP device: the counter of its next code.
    counter: u64,
    parameters: Parameters,
    label: Template,
    issuer: Label,
    pub(crate) state: State,
    restriction: Restriction,
    /// The administrator gave the key, so another system may have accepted codes of it.
    taken_over: bool,
}

impl NewDevice {
    /// Checks the request.
    pub(crate) fn plan(call: &Call<'_>, wish: &Enroll) -> Result<Self, Error> {
        let settings = &*call.settings;
        let for_admins = wish.key.is_some()
            || wish.active.is_some()
            || wish.valid_from.is_some()
            || wish.valid_until.is_some()
            || wish.services.is_some()
            || wish.kind.is_some()
            || wish.alg.is_some()
            || wish.digits.is_some()
            || wish.period.is_some()
            || wish.counter.is_some()
            || wish.allow_weak.is_some();
        if for_admins && call.caller.role == Role::Own {
            return Err(Error::PermissionDenied);
        }
        let kind = match &wish.kind {
            Some(kind) => kind.parse().map_err(|why| Error::bad("kind", why))?,
            None => Kind::Totp,
        };
        let parameters = parameters(wish, kind, settings)?;
        let lifetime = if call.caller.role == Role::Own {
            PENDING_OWN
        } else {
            PENDING
        };
        let expires = call.moment.now.saturating_add(lifetime);
        let host = host_name();
        let issuer = issuer(wish.issuer.as_deref(), settings, &host)?;
        Ok(Self {
            name: device_name(wish.device.as_deref())?,
            key: key(wish, parameters)?,
            kind,
            counter: counter(wish, kind)?,
            parameters,
            label: Template::of(wish, call, (&host, &issuer))?,
            issuer,
            state: if wish.active == Some(true) {
                State::Active
            } else {
                State::Pending { expires }
            },
            restriction: Restriction::new(
                wish.valid_from,
                wish.valid_until,
                wish.services.as_deref().unwrap_or_default(),
            )?,
            taken_over: wish.key.is_some(),
        })
    }

    /// Whether the device that an enrolment at the same time has made is the one that is meant: that
    /// of the wished name, while it is pending, or without a name, any.
    pub(super) fn is_made_by_another(&self, record: &Record) -> bool {
        match &self.name {
            Some(name) => record.device(name).is_some_and(Device::is_pending),
            None => !record.devices.is_empty(),
        }
    }

    /// Adds the device to the record.
    pub(crate) fn add_to(&self, record: &mut Record, call: &Call<'_>) -> Result<Added, Error> {
        let user = call.user;
        let secrets = &call.settings.secrets;
        let moment = &call.moment;
        let name = make_room(record, self.name.as_ref(), moment.now)?;
        if record
            .devices
            .iter()
            .any(|device| device.has_key(&self.key, user, secrets))
        {
            return Err(Error::DeviceExists);
        }
        self.restriction
            .fits_beside(record.devices.iter().map(|device| &device.restriction))?;
        let key = (&self.key, self.kind, self.parameters);
        let device = Device::active(user, name.clone(), key, secrets, moment)
            .map_err(|_| Error::StoreUnavailable)?;
        let spent = self.spent(record, call);
        let restriction = self.restriction.clone();
        let label = self.label.filled(&name, !record.devices.is_empty())?;
        record.devices.push(Device {
            state: self.state,
            spent,
            restriction,
            ..device
        });
        record.enrolled |= self.state == State::Active;
        Ok(Added { name, label })
    }

    /// The spent steps of the key: those of a revoked device with the same key, and, of a key taken
    /// over, the present step as well (replay of a code that another system has accepted).
    fn spent(&self, record: &Record, call: &Call<'_>) -> SpentSteps {
        let like = (self.kind, self.parameters);
        let spent = record.spent_with(like, &self.key, (call.user, &call.settings.secrets));
        match self.kind {
            Kind::Totp if self.taken_over => spent.with_floor(last_used_elsewhere(
                self.parameters,
                Drift::default(),
                &call.moment,
            )),
            Kind::Totp => spent,
            Kind::Hotp => spent.with_floor(self.counter),
        }
    }

    /// The bits of its key, if they are few.
    pub(super) fn weak_key_bits(&self) -> Option<u32> {
        self.key.weak_bits()
    }

    /// The reply that shows the key and the new recovery codes, this one time.
    pub(crate) fn reply(
        &self,
        user: &UserName,
        added: &Added,
        recovery_codes: Vec<SecretText>,
    ) -> EnrollReply {
        EnrollReply {
            user: user.as_str().to_owned(),
            device: added.name.to_string(),
            state: self.state.on_the_wire(),
            key: self.key.to_base32(),
            uri: self.uri(&added.label),
            kind: self.kind,
            alg: self.parameters.alg.to_string(),
            digits: self.parameters.digits,
            period: (self.kind == Kind::Totp).then_some(self.parameters.period),
            counter: (self.kind == Kind::Hotp).then_some(self.counter),
            recovery_codes,
        }
    }

    /// The same for a login prompt, which can only show text.
    pub(crate) fn enrolment(&self, added: &Added) -> Enrolment {
        // A QR code too large for a terminal is left out: the user types the key.
        let modules = qr::fitting(&self.uri(&added.label), COLUMNS, LINES);
        let drawn = modules.map(|modules| modules.half_blocks(|dark| !dark, "", ""));
        let lines = drawn.iter().flat_map(|text| text.lines());
        let qr = lines.map(|line| SecretText::new(line.to_owned())).collect();
        Enrolment {
            device: added.name.to_string(),
            key: otpauth::pretty_key(&self.key),
            qr,
        }
    }

    /// What an authenticator scans. The issuer that stands for the host is in it once.
    fn uri(&self, label: &Label) -> SecretText {
        let counter = (self.kind == Kind::Hotp).then_some(self.counter);
        let (key, parameters, issuer) = (&self.key, self.parameters, &self.issuer);
        match counter {
            _ if self.label.leaves_the_host_to_the_issuer => {
                otpauth::short_uri(key, parameters, counter, label, issuer)
            }
            None => otpauth::uri(key, parameters, label, Some(issuer)),
            Some(counter) => otpauth::hotp_uri(key, parameters, counter, label, Some(issuer)),
        }
    }
}

/// A device in its record: its name, and the account's name as the authenticator shows it.
pub(crate) struct Added {
    pub(crate) name: DeviceName,
    label: Label,
}

/// The account's name as the authenticator shows it, but for the name of the device.
struct Template {
    text: String,
    /// It has a place for the name of the device.
    names_the_device: bool,
    leaves_the_host_to_the_issuer: bool,
}

impl Template {
    fn of(wish: &Enroll, call: &Call<'_>, (host, issuer): (&str, &Label)) -> Result<Self, Error> {
        let usual = call.settings.new_device.label.as_str();
        let leaves_the_host_to_the_issuer =
            wish.label.is_none() && usual == DEFAULT_LABEL && issuer.as_str() == host;
        let template = match &wish.label {
            Some(label) => label,
            None if leaves_the_host_to_the_issuer => "{user}",
            None => usual,
        };
        let text = template
            .replace("{host}", host)
            .replace("{user}", call.user.as_str());
        let template = Self {
            text,
            names_the_device: template.contains(DEVICE),
            leaves_the_host_to_the_issuer,
        };
        template.filled(&DeviceName::nth(1), false)?;
        Ok(template)
    }

    /// The label of that device. Authenticators replace an entry by another of the same issuer and
    /// label, so a user's further devices have their names in theirs. Words of the label that are
    /// the device's name by chance, as in the user's name, tell no device from another.
    fn filled(&self, device: &DeviceName, is_further: bool) -> Result<Label, Error> {
        let text = self.text.replace(DEVICE, device.as_str());
        let text = if is_further && !self.names_the_device {
            format!("{text} ({device})")
        } else {
            text
        };
        Label::new(&text).map_err(|why| Error::bad("label", why))
    }
}

/// The name of the new device: the wished one or the next free one. Makes room in the record: a
/// pending device of that name is removed, because a second enrolment starts again.
pub(crate) fn make_room(
    record: &mut Record,
    wished: Option<&DeviceName>,
    now: u64,
) -> Result<DeviceName, Error> {
    record.expire(now);
    let full = || {
        Error::bad(
            "device",
            format!("a user has at most {MAX_DEVICES} devices: revoke one first"),
        )
    };
    let name = wished
        .cloned()
        .or_else(|| free_name(record))
        .ok_or_else(full)?;
    record
        .devices
        .retain(|device| device.name != name || !device.is_pending());
    if record.devices.iter().any(|device| device.name == name) {
        return Err(Error::DeviceExists);
    }
    if record.devices.len() >= MAX_DEVICES {
        return Err(full());
    }
    Ok(name)
}

/// `default`, or the first numbered name that is free or held by a pending device only. `None`: all
/// are taken.
fn free_name(record: &Record) -> Option<DeviceName> {
    let taken = |name: &DeviceName| {
        record
            .devices
            .iter()
            .any(|device| device.name == *name && !device.is_pending())
    };
    (1..=MAX_DEVICES)
        .map(DeviceName::nth)
        .find(|name| !taken(name))
}

/// The first counter of an HOTP device. For a key taken over the administrator must say it, because
/// codes have been used.
fn counter(wish: &Enroll, kind: Kind) -> Result<u64, Error> {
    match (kind, wish.counter) {
        (Kind::Totp, Some(_)) => Err(Error::bad(
            "counter",
            "only a device of the kind hotp has a counter",
        )),
        (Kind::Hotp, Some(counter)) if counter > MAX_START => Err(Error::bad(
            "counter",
            format!("a device begins with a counter of at most {MAX_START}"),
        )),
        (Kind::Hotp, None) if wish.key.is_some() => Err(Error::bad(
            "counter",
            "for a key that is taken over, give the counter of the next code",
        )),
        (_, counter) => Ok(counter.unwrap_or(0)),
    }
}

fn parameters(wish: &Enroll, kind: Kind, settings: &Settings) -> Result<Parameters, Error> {
    if kind == Kind::Hotp && wish.period.is_some() {
        return Err(Error::bad(
            "period",
            "a device of the kind hotp has no period: its codes do not run out",
        ));
    }
    let defaults = match kind {
        Kind::Totp => settings.new_device.parameters,
        Kind::Hotp => Parameters {
            period: Parameters::default().period,
            ..settings.new_device.parameters
        },
    };
    let alg = match &wish.alg {
        Some(alg) => alg.parse().map_err(|why| Error::bad("alg", why))?,
        None => defaults.alg,
    };
    let digits = wish.digits.unwrap_or(defaults.digits);
    let period = wish.period.unwrap_or(defaults.period);
    let field = if period == defaults.period {
        "digits"
    } else {
        "period"
    };
    Parameters::for_new_device(alg, digits, period).map_err(|why| Error::bad(field, why))
}

fn key(wish: &Enroll, parameters: Parameters) -> Result<Key, Error> {
    let key = match &wish.key {
        Some(text) => Key::from_base32(text.expose()).map_err(|why| Error::bad("key", why))?,
        None => Key::random(parameters.alg.key_bytes()).ok_or(Error::StoreUnavailable)?,
    };
    strong_enough(key, "key", wish.allow_weak)
}

/// The key, unless it is short and the administrator does not allow that.
pub(super) fn strong_enough(key: Key, field: &str, allow_weak: Option<bool>) -> Result<Key, Error> {
    match key.weak_bits() {
        Some(bits) if allow_weak != Some(true) => Err(Error::bad(
            field,
            format!(
                "the key has only {bits} bits, and RFC 4226 wants at least {STRONG_BITS}: enrol a new device, or take the key \
                 with --allow-weak until it is replaced"
            ),
        )),
        _ => Ok(key),
    }
}

/// The issuer that the authenticator shows: from the request, the settings, or this host's name.
fn issuer(wished: Option<&str>, settings: &Settings, host: &str) -> Result<Label, Error> {
    match (wished, &settings.new_device.issuer) {
        (Some(wished), _) => Label::new(wished).map_err(|why| Error::bad("issuer", why)),
        (None, Some(issuer)) => Ok(issuer.clone()),
        (None, None) => Label::new(host).map_err(|why| Error::bad("issuer", why)),
    }
}

fn host_name() -> String {
    let name = gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The place of the device's name in a label.
const DEVICE: &str = "{device}";
/// The widest QR code that a terminal shows, in characters.
const COLUMNS: usize = 80;
/// The highest one at a prompt: of 24 lines the key, the advice and the prompt need three.
const LINES: usize = 21;
/// A reply with the largest picture, of three bytes for each half block, is as long as any other.
const _: () = assert!(COLUMNS * COLUMNS.div_ceil(2) * 3 + 2048 < UNIT);
/// Seconds that a pending device waits for its first code before it expires, if an administrator
/// enrolled it.
const PENDING: u64 = 24 * 3600;
/// The same, if the user enrolled it, and can do so again.
pub(crate) const PENDING_OWN: u64 = 15 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::moment::Moment;
    use crate::record::tests::{device_of, user};

    const NOW: u64 = 1_234_567_890;

    #[test]
    fn whoever_has_as_many_devices_as_there_may_be_is_told_so_with_or_without_a_name_for_another() {
        let (alice, moment) = (user("alice"), Moment::ordinary(NOW));
        let named =
            |name: DeviceName| device_of(Kind::Totp, &alice, name.as_str(), Parameters::default());
        let devices = (1..=MAX_DEVICES).map(DeviceName::nth).map(named).collect();
        let mut record = Record {
            enrolled: true,
            devices,
            ..Record::new(&moment)
        };
        let another = DeviceName::new("another").unwrap();
        for wished in [None, Some(&another)] {
            let told = make_room(&mut record, wished, NOW).unwrap_err().to_string();
            assert!(
                told.contains("at most 8 devices: revoke one first"),
                "{told}"
            );
        }
        assert_eq!(
            make_room(&mut record, Some(&DeviceName::nth(1)), NOW),
            Err(Error::DeviceExists)
        );
    }
}
