//! Devices that come from passlib, and go back to it: root only, each step in the log.

use common::config::Settings;
use common::device::{DeviceName, Kind};
use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::otpauth::Label;
use common::protocol::{Error, ExportReply, ExportedRecord, Import, ImportReply};
use common::secret::Key;
use common::totp::Parameters;
use common::user::UserName;

use crate::bound::{bind, new_record};
use crate::enroll::{has_key, make_room};
use crate::policy::quarantine::last_used_elsewhere;
use crate::record::{Device, Record, SealedKey, State};
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::throttle::Moment;

impl Service {
    /// `Import`: an active device from a record of passlib's. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub fn import(&self, call: &Call<'_>, wish: &Import) -> Result<ImportReply, Error> {
        let settings = self.settings();
        let moment = self.moment();
        let newcomer = Newcomer::read(wish, &settings)?;
        let imported = self.records.change(call.access(&settings), |record| {
            let mut record = record.cloned().unwrap_or_else(|| new_record(call, &moment));
            match newcomer.add_to(&mut record, call.user, &settings, &moment) {
                Ok((name, true)) => {
                    bind(&mut record, call);
                    Decision { next: Some(record), outcome: Ok((name, true)) }
                }
                done => Decision { next: None, outcome: done },
            }
        });
        let imported = imported.map_err(|failure| self.failure(&failure, call))?;
        let (name, imported) = imported.inspect_err(|error| self.log_refused("import", call, error))?;
        let line = call.line("import").with("device", &name).with("imported", imported);
        self.log(call, line);
        Ok(ImportReply { user: call.user.as_str().to_owned(), device: name.to_string(), imported })
    }

    /// `Export`: the user's devices as passlib reads them.
    ///
    /// # Errors
    /// [`Error`].
    pub fn export(&self, call: &Call<'_>) -> Result<ExportReply, Error> {
        let settings = self.settings();
        let record = self.records.look(call.user, &settings.secrets).map_err(|failure| self.failure(&failure, call))?;
        let record = record.ok_or(Error::NoSuchUser)?;
        let confirmed = record.devices.iter().filter(|device| !matches!(device.state, State::Pending { .. }));
        let (known, unknown): (Vec<_>, Vec<_>) = confirmed.partition(|device| device.kind == Kind::Totp);
        let records = known.into_iter().map(|device| exported(device, call.user, &settings));
        let records: Vec<_> =
            records.collect::<Result<_, _>>().inspect_err(|error| self.log_refused("export", call, error))?;
        let line = call.line("export").with("devices", records.len());
        self.log(call, line.warning());
        let left_out = unknown.into_iter().map(|device| device.name.to_string()).collect();
        Ok(ExportReply { user: call.user.as_str().to_owned(), records, left_out })
    }
}

/// A device on its way in, its key known to open.
struct Newcomer {
    name: Option<DeviceName>,
    stored: StoredKey,
    key: Key,
    parameters: Parameters,
    label: Option<Label>,
    issuer: Option<Label>,
}

impl Newcomer {
    fn read(wish: &Import, settings: &Settings) -> Result<Self, Error> {
        let name = wish.device.as_deref().map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?;
        let record = KeyRecord::parse(wish.record.expose());
        let record = record.map_err(|why| Error::bad("record", why))?;
        if record.parameters.period > MAX_PERIOD {
            return Err(Error::bad("record", format!("a period has at most {MAX_PERIOD} seconds: enrol a new device")));
        }
        let key = record.open(&settings.secrets).map_err(|why| Error::bad("record", why))?;
        let KeyRecord { key: stored, parameters, label, issuer } = record;
        Ok(Self { name, stored, key, parameters, label, issuer })
    }

    /// The device's name, and whether it is new.
    fn add_to(
        &self,
        record: &mut Record,
        user: &UserName,
        settings: &Settings,
        moment: &Moment,
    ) -> Result<(DeviceName, bool), Error> {
        if let Some(device) = record.devices.iter().find(|device| has_key(device, &self.key, user, settings)) {
            return Ok((device.name.clone(), false));
        }
        let name = make_room(record, self.name.as_ref(), moment.now)?;
        let device = self.device(name.clone(), record, user, settings, moment)?;
        record.devices.push(device);
        record.enrolled = true;
        Ok((name, true))
    }

    fn device(
        &self,
        name: DeviceName,
        record: &Record,
        user: &UserName,
        settings: &Settings,
        moment: &Moment,
    ) -> Result<Device, Error> {
        let key = (&self.key, Kind::Totp, self.parameters);
        let device = Device::active(user, name, key, &settings.secrets, moment);
        let mut device = device.map_err(|_| Error::StoreUnavailable)?;
        if let StoredKey::V1(enckey) = &self.stored {
            device.key = SealedKey::V1(enckey.clone());
        }
        let spent = record.tombstones.spent_with((Kind::Totp, self.parameters), &self.key, &settings.secrets);
        let device = Device { spent: spent.with_floor(last_used_elsewhere(self.parameters, moment)), ..device };
        Ok(record.labelled(device, self.label.as_ref(), self.issuer.as_ref()))
    }
}

fn exported(device: &Device, user: &UserName, settings: &Settings) -> Result<ExportedRecord, Error> {
    let key = device.key(user, &settings.secrets).map_err(|_| Error::RecordDamaged)?;
    let enckey =
        EnckeyV1::seal(&key, &settings.secrets, settings.encrypt_cost).map_err(|why| Error::bad("user", why))?;
    let label = device.label.clone().map_or_else(|| Label::new(user.as_str()), Ok);
    let label = Some(label.map_err(|why| Error::bad("user", why))?);
    // passlib leaves out the issuer of its settings, and takes it from there again.
    let issuer = device.issuer.clone().filter(|issuer| settings.new_device.issuer.as_ref() != Some(issuer));
    let record = KeyRecord { key: StoredKey::V1(enckey), parameters: device.parameters, label, issuer };
    Ok(ExportedRecord { device: device.name.to_string(), record: record.to_json() })
}

/// Seconds; longer ones are not what an authenticator shows.
const MAX_PERIOD: u32 = 300;
