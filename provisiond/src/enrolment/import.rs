//! `Import`: an active device out of another system's key, with what is spent of it. Root only;
//! each step is logged. `passlib` reads passlib's records.

use common::config::Settings;
use common::config::recovery::MAX_CODES;
use common::issued::IssuedCode;
use common::lineage::record;
use common::names::device::{DeviceName, Kind};
use common::otpauth::Label;
use common::secret::Key;
use common::totp::Parameters;
use common::wire::protocol::{Error, ForeignKey, Import, ImportReply};

use crate::enrolment::new_device::{make_room, strong_enough};
use crate::enrolment::{passlib, recovery};
use crate::policy::quarantine::{last_unnamed_elsewhere, last_used_elsewhere};
use crate::record::counter::MAX_START;
use crate::record::drift::Drift;
use crate::record::spent::SpentSteps;
use crate::record::{CannotMake, Device, Record};
use crate::service::Service;
use crate::service::call::{Call, device_name};
use crate::service::change::change;
use crate::service::uid_binding::{Act, bind, new_record};

/// `Import`: makes an active device. Of a key that the user has already, only what was spent since
/// is taken over.
///
/// # Errors
/// [`Error`].
pub(crate) fn import(
    service: &Service,
    call: &Call<'_>,
    wish: &Import,
) -> Result<ImportReply, Error> {
    let newcomer = Newcomer::read(wish, &call.settings)?;
    let act = Act::giving_to("import", wish.same_person);
    let (name, imported, recovery_codes) = change(service, call, act, |record| {
        let (next, name, imported) = newcomer.imported(record, call)?;
        let codes = newcomer.recovery_codes(next.as_ref().or(record), call);
        Ok((next.filter(|_| !newcomer.dry_run), (name, imported, codes)))
    })?;
    if !newcomer.dry_run {
        service.log(
            call,
            call.line("import")
                .with("device", &name)
                .with("imported", imported)
                .with_some("weak_key_bits", newcomer.key.weak_bits()),
        );
    }
    Ok(ImportReply {
        user: call.user.as_str().to_owned(),
        device: name.to_string(),
        imported,
        recovery_codes,
    })
}

/// A device being imported, with its key opened.
struct Newcomer {
    name: Option<DeviceName>,
    key: Key,
    kind: Kind,
    parameters: Parameters,
    label: Option<Label>,
    issuer: Option<Label>,
    state: State,
    /// All that the other system still accepts. `None`: it has no such codes.
    scratch_codes: Option<Vec<IssuedCode>>,
    /// Only a user that was never enrolled gets the device.
    first_only: bool,
    dry_run: bool,
}

/// What the other system knows of its codes.
#[derive(Default)]
struct State {
    /// Of an HOTP device: the counter of its next code.
    counter: u64,
    /// Steps whose codes are spent.
    spent: Vec<u64>,
    /// They are all from the present step on.
    is_whole: bool,
    drift: Drift,
}

impl Newcomer {
    fn read(wish: &Import, settings: &Settings) -> Result<Self, Error> {
        let name = device_name(wish.device.as_deref())?;
        let newcomer = match (&wish.record, &wish.foreign) {
            (Some(record), None) => {
                let (key, record) = passlib::opened(record, settings)?;
                Self::totp(key, record.parameters, record.label, record.issuer)
            }
            (None, Some(foreign)) => Self::foreign(foreign)?,
            _ => return Err(Error::bad("record", "give either 'record' or 'foreign'")),
        };
        if newcomer.parameters.period > MAX_PERIOD {
            return Err(Error::bad(
                "record",
                format!("a period has at most {MAX_PERIOD} seconds: enrol a new device"),
            ));
        }
        let key = strong_enough(newcomer.key, "record", wish.allow_weak)?;
        Ok(Self {
            name,
            key,
            scratch_codes: scratch_codes(wish)?,
            first_only: wish.first_only == Some(true),
            dry_run: wish.dry_run == Some(true),
            ..newcomer
        })
    }

    /// A TOTP device of which nothing is known but its key.
    fn totp(key: Key, parameters: Parameters, label: Option<Label>, issuer: Option<Label>) -> Self {
        Self {
            name: None,
            key,
            kind: Kind::Totp,
            parameters,
            label,
            issuer,
            state: State::default(),
            scratch_codes: None,
            first_only: false,
            dry_run: false,
        }
    }

    fn foreign(foreign: &ForeignKey) -> Result<Self, Error> {
        let key = Key::from_base32(foreign.key.expose()).map_err(|why| Error::bad("key", why))?;
        let (alg, digits) = (foreign.alg.as_deref(), foreign.digits.map(u64::from));
        let parameters = record::parameters(alg, digits, foreign.period.map(u64::from));
        let parameters = parameters.map_err(|why| Error::bad("digits", why))?;
        let label = |text: Option<&str>| {
            let label = text.map(Label::as_shared).transpose();
            label.map_err(|why| Error::bad("label", why))
        };
        let (label, issuer) = (
            label(foreign.label.as_deref())?,
            label(foreign.issuer.as_deref())?,
        );
        Ok(Self {
            kind: foreign.kind,
            state: State::of(foreign)?,
            ..Self::totp(key, parameters, label, issuer)
        })
    }

    /// The next record, if it changes; the device's name; and whether it is new.
    fn imported(
        &self,
        record: Option<&Record>,
        call: &Call<'_>,
    ) -> Result<(Option<Record>, DeviceName, bool), Error> {
        let mut record = record.cloned().map_or_else(|| new_record(call), Ok)?;
        if let Some(name) = self.is_in(&record, call) {
            let mut changed = self.moves_on(&mut record, &name, call);
            changed |= self.used_up(&mut record, call)?;
            return Ok((changed.then_some(record), name, false));
        }
        if self.first_only && record.enrolled {
            return Err(Error::DeviceExists);
        }
        let is_first = !record.enrolled;
        let name = self.add_to(&mut record, call)?;
        // Later nothing would tell which of them were used here.
        if let Some(codes) = self
            .scratch_codes
            .as_deref()
            .filter(|codes| !codes.is_empty())
            && is_first
            && call.settings.recovery.codes > 0
        {
            recovery::take_over(&mut record, codes, call)?;
        }
        bind(&mut record, call)?;
        Ok((Some(record), name, true))
    }

    /// The device of the record that already has the key, if any.
    fn is_in(&self, record: &Record, call: &Call<'_>) -> Option<DeviceName> {
        let has_key =
            |device: &&Device| device.has_key(&self.key, call.user, &call.settings.secrets);
        record
            .devices
            .iter()
            .find(has_key)
            .map(|device| device.name.clone())
    }

    /// Spends here what the other system has spent since the last import. Says whether that is
    /// anything: what is spent stays so, and a counter only goes forwards.
    fn moves_on(&self, record: &mut Record, name: &DeviceName, call: &Call<'_>) -> bool {
        let Some(device) = record.device_mut(name).filter(|device| {
            device.kind == self.kind && device.parameters.period == self.parameters.period
        }) else {
            return false;
        };
        let before = device.spent.clone();
        self.state.spend(device, call);
        device.spent != before
    }

    /// Forgets scratch codes that were used in the other system since. Says whether there were any.
    fn used_up(&self, record: &mut Record, call: &Call<'_>) -> Result<bool, Error> {
        let (true, Some(codes)) = (record.scratch_codes, &self.scratch_codes) else {
            return Ok(false);
        };
        let before = record.codes.clone();
        recovery::keep_only(record, codes, call)?;
        Ok(record.codes != before)
    }

    /// How many scratch codes are recovery codes, for the reply.
    fn recovery_codes(&self, record: Option<&Record>, call: &Call<'_>) -> Option<usize> {
        self.scratch_codes.as_ref()?;
        let record = record.filter(|record| record.scratch_codes);
        Some(record.map_or(0, |record| record.recovery_codes_left(&call.moment)))
    }

    fn add_to(&self, record: &mut Record, call: &Call<'_>) -> Result<DeviceName, Error> {
        let name = make_room(record, self.name.as_ref(), call.moment.now)?;
        let device = self.device(name.clone(), record, call)?;
        record.devices.push(device);
        record.enrolled = true;
        Ok(name)
    }

    fn device(&self, name: DeviceName, record: &Record, call: &Call<'_>) -> Result<Device, Error> {
        let secrets = &call.settings.secrets;
        let moment = &call.moment;
        let key = (&self.key, self.kind, self.parameters);
        let device = Device::active(call.user, name, key, secrets, moment);
        let mut device = device.map_err(|CannotMake| Error::StoreUnavailable)?;
        device.drift = self.state.drift;
        device.spent = self.spent_before(record, call);
        self.state.spend(&mut device, call);
        Ok(record.labelled(device, self.label.as_ref(), self.issuer.as_ref()))
    }

    /// What an earlier device with the key has spent, and of a TOTP key every step up to the
    /// present one: the other system may have accepted its code. If it names those that it has, the
    /// present step is free unless it is named.
    fn spent_before(&self, record: &Record, call: &Call<'_>) -> SpentSteps {
        let like = (self.kind, self.parameters);
        let spent = record.spent_with(like, &self.key, (call.user, &call.settings.secrets));
        match self.kind {
            Kind::Hotp => spent,
            Kind::Totp => {
                let last = match self.state.is_whole {
                    true => last_unnamed_elsewhere,
                    false => last_used_elsewhere,
                };
                spent.with_floor(last(self.parameters, self.state.drift, &call.moment))
            }
        }
    }
}

impl State {
    fn of(foreign: &ForeignKey) -> Result<Self, Error> {
        let counter = match (foreign.kind, foreign.counter) {
            (Kind::Totp, None) => 0,
            (Kind::Hotp, Some(counter)) if counter <= MAX_START => counter,
            (Kind::Hotp, Some(_)) => {
                let why = format!("a device begins with a counter of at most {MAX_START}");
                return Err(Error::bad("counter", why));
            }
            (Kind::Totp, Some(_)) => {
                let why = "only a device of the kind hotp has a counter";
                return Err(Error::bad("counter", why));
            }
            (Kind::Hotp, None) => {
                let why = "the counter of the next code is missing";
                return Err(Error::bad("counter", why));
            }
        };
        Ok(Self {
            counter,
            spent: foreign.spent.clone().unwrap_or_default(),
            is_whole: foreign.spent_is_whole == Some(true),
            drift: Drift::of_steps(foreign.skew.unwrap_or(0)),
        })
    }

    /// Spends the steps that lie ahead, as far as a system accepts any, or all codes before the
    /// counter. A farther step would only be the mark of a broken clock.
    fn spend(&self, device: &mut Device, call: &Call<'_>) {
        if device.kind == Kind::Hotp {
            device.spent = std::mem::take(&mut device.spent).with_floor(self.counter);
            return;
        }
        let present = device.parameters.step_at(call.moment.now);
        let ahead = present..=present.saturating_add(FURTHEST);
        let spent: Vec<u64> = self
            .spent
            .iter()
            .copied()
            .filter(|step| ahead.contains(step))
            .collect();
        device.spend(&spent);
    }
}

fn scratch_codes(wish: &Import) -> Result<Option<Vec<IssuedCode>>, Error> {
    let Some(codes) = &wish.scratch_codes else {
        return Ok(None);
    };
    let read = codes.iter().map(|code| IssuedCode::scratch(code.expose()));
    let read = read.collect::<Option<Vec<_>>>();
    let read = read.filter(|codes| codes.len() <= usize::from(MAX_CODES));
    let why = "a scratch code has eight digits, and a user has at most ten";
    Ok(Some(read.ok_or_else(|| Error::bad("scratch_codes", why))?))
}

/// The longest period, in seconds. Authenticators show none longer.
const MAX_PERIOD: u32 = 300;
/// The farthest step ahead that another system may have accepted, with a device's skew.
const FURTHEST: u64 = 20;
