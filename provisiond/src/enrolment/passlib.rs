//! `Import` and `Export` (migration): devices from passlib's TOTP records, and back. Root only;
//! each step is logged.

use common::config::Settings;
use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::Key;
use common::totp::Parameters;
use common::wire::protocol::{Error, ExportReply, ExportedRecord, Import, ImportReply};

use crate::enrolment::new_device::{make_room, strong_enough};
use crate::policy::quarantine::last_used_elsewhere;
use crate::record::{CannotMake, Device, Record};
use crate::service::Service;
use crate::service::call::{Call, device_name};
use crate::service::change::change;
use crate::service::uid_binding::{Act, bind, new_record};

/// `Import`: makes an active device from a passlib record. A second import of the same key changes
/// nothing.
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
    let (name, imported) = change(service, call, act, |record| {
        let mut record = record.cloned().map_or_else(|| new_record(call), Ok)?;
        if let Some(name) = newcomer.is_in(&record, call) {
            return Ok((None, (name, false)));
        }
        let name = newcomer.add_to(&mut record, call)?;
        bind(&mut record, call)?;
        Ok((Some(record), (name, true)))
    })?;
    service.log(
        call,
        call.line("import")
            .with("device", &name)
            .with("imported", imported)
            .with_some("weak_key_bits", newcomer.key.weak_bits()),
    );
    Ok(ImportReply {
        user: call.user.as_str().to_owned(),
        device: name.to_string(),
        imported,
    })
}

/// `Export`: the user's TOTP devices as passlib records. Names the devices that it leaves out.
///
/// # Errors
/// [`Error`].
pub(crate) fn export(service: &Service, call: &Call<'_>) -> Result<ExportReply, Error> {
    let record = service.records.look(call.user, &call.settings.secrets);
    let record = record
        .map_err(|failure| service.failure(&failure, call))?
        .ok_or(Error::NoSuchUser)?;
    let confirmed = record.devices.iter().filter(|device| !device.is_pending());
    let (known, unknown): (Vec<_>, Vec<_>) =
        confirmed.partition(|device| device.kind == Kind::Totp);
    let records = known
        .into_iter()
        .map(|device| exported(device, call.user, &call.settings));
    let records: Vec<_> = records
        .collect::<Result<_, _>>()
        .inspect_err(|error| service.log_refused_change("export", call, error))?;
    service.log(
        call,
        call.line("export").with("devices", records.len()).warning(),
    );
    let left_out = unknown
        .into_iter()
        .map(|device| device.name.to_string())
        .collect();
    Ok(ExportReply {
        user: call.user.as_str().to_owned(),
        records,
        left_out,
    })
}

/// A device being imported, with its key opened.
struct Newcomer {
    name: Option<DeviceName>,
    key: Key,
    parameters: Parameters,
    label: Option<Label>,
    issuer: Option<Label>,
}

impl Newcomer {
    fn read(wish: &Import, settings: &Settings) -> Result<Self, Error> {
        let name = device_name(wish.device.as_deref())?;
        let record = KeyRecord::parse(wish.record.expose());
        let record = record.map_err(|why| Error::bad("record", why))?;
        if record.parameters.period > MAX_PERIOD {
            return Err(Error::bad(
                "record",
                format!("a period has at most {MAX_PERIOD} seconds: enrol a new device"),
            ));
        }
        if let StoredKey::V1(EnckeyV1 { cost, .. }) = record.key
            && cost > MAX_COST
        {
            return Err(Error::bad("record", too_dear(cost)));
        }
        let key = record
            .open(&settings.secrets)
            .map_err(|why| Error::bad("record", why))?;
        let key = strong_enough(key, "record", wish.allow_weak)?;
        let KeyRecord {
            parameters,
            label,
            issuer,
            ..
        } = record;
        Ok(Self {
            name,
            key,
            parameters,
            label,
            issuer,
        })
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
        let key = (&self.key, Kind::Totp, self.parameters);
        let device = Device::active(call.user, name, key, secrets, moment);
        let mut device = device.map_err(|CannotMake| Error::StoreUnavailable)?;
        let spent = record
            .tombstones
            .spent_with((Kind::Totp, self.parameters), &self.key, secrets);
        device.spent = spent.with_floor(last_used_elsewhere(self.parameters, moment));
        Ok(record.labelled(device, self.label.as_ref(), self.issuer.as_ref()))
    }
}

fn exported(
    device: &Device,
    user: &UserName,
    settings: &Settings,
) -> Result<ExportedRecord, Error> {
    let key = device
        .key(user, &settings.secrets)
        .map_err(|_| Error::RecordDamaged)?;
    let enckey = EnckeyV1::seal(&key, &settings.secrets, settings.encrypt_cost)
        .map_err(|why| Error::bad("user", why))?;
    let label = match &device.label {
        Some(label) => label.clone(),
        None => Label::new(user.as_str()).map_err(|why| Error::bad("user", why))?,
    };
    // passlib leaves out an issuer that its settings name, and takes it from the settings again.
    let issuer = device
        .issuer
        .clone()
        .filter(|issuer| settings.new_device.issuer.as_ref() != Some(issuer));
    let record = KeyRecord {
        key: StoredKey::V1(enckey),
        parameters: device.parameters,
        label: Some(label),
        issuer,
    };
    Ok(ExportedRecord {
        device: device.name.to_string(),
        record: record.to_json(),
    })
}

fn too_dear(cost: u32) -> String {
    format!(
        "the sealed key's cost is {cost}, and the daemon opens keys of a cost of at most {MAX_COST}: seal it with a lower one \
         where it comes from, or open it with 'totpctl key open' and import the result"
    )
}

/// The highest cost of a sealed key that is imported: a million rounds, which a slow machine
/// computes within the time of a call.
const MAX_COST: u32 = 20;
/// The longest period, in seconds. Authenticators show none longer.
const MAX_PERIOD: u32 = 300;
