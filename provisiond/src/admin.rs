//! What is known of users, and their devices' states.

use common::device::{DeviceName, Kind};
use common::protocol::{self, DeviceReply, DeviceState, Error, Revoke, SetState, SetStateReply, ShowReply};
use common::secret::SecretText;
use common::secrets::Secrets;
use common::user::UserName;

use crate::bound::is_anothers_own;
use crate::caller::Role;
use crate::proof::{Proven, prove};
use crate::record::{Device, Record, State};
use crate::records::{Decision, Failure};
use crate::service::{Call, Service};
use crate::strict::Failures;
use crate::throttle::Moment;

impl Service {
    /// `Show`: one user.
    ///
    /// # Errors
    /// [`Error`]. A damaged record is shown as damaged.
    pub fn show(&self, call: &Call<'_>) -> Result<ShowReply, Error> {
        let settings = self.settings();
        match self.records.look(call.user, &settings.secrets) {
            Ok(Some(record)) if is_anothers_own(&record, call, &settings) => Err(Error::PermissionDenied),
            Ok(Some(record)) => Ok(ShowReply { user: self.told(call.user, &record) }),
            Ok(None) => Err(Error::NoSuchUser),
            Err(Failure::Damaged(_)) => Ok(ShowReply { user: told_damaged(call.user) }),
            Err(failure) => Err(self.failure(&failure, call)),
        }
    }

    /// `SetState`: disables a device or makes it active again.
    ///
    /// # Errors
    /// [`Error`].
    pub fn set_state(&self, call: &Call<'_>, wish: &SetState) -> Result<SetStateReply, Error> {
        if wish.all == Some(true) {
            return self.set_account(call, wish);
        }
        let state = match wish.state {
            DeviceState::Active => State::Active,
            DeviceState::Disabled => State::Disabled,
            DeviceState::Pending => return Err(Error::bad("state", "a device is made active or disabled")),
        };
        let moment = self.moment();
        let device =
            self.change_device("set_state", call, wish.device.as_deref(), wish.proof.as_ref(), |record, name| {
                if state == State::Disabled {
                    keep_one(record, name, call.caller.role, moment.now)?;
                }
                let device = record.device_mut(name).ok_or(Error::NoSuchDevice)?;
                if matches!(device.state, State::Pending { .. }) {
                    return Err(Error::bad("device", "the device waits for its first code: confirm it, or revoke it"));
                }
                (device.state, device.failures) = (state, Failures::default());
                Ok(())
            })?;
        let line = call.line("set_state").with("device", &device).with("state", wish.state.word());
        self.log(call, line);
        Ok(SetStateReply { user: call.user.as_str().to_owned(), device: Some(device.to_string()) })
    }

    /// `Revoke`: forgets a device and its key.
    ///
    /// # Errors
    /// [`Error`].
    pub fn revoke(&self, call: &Call<'_>, wish: &Revoke) -> Result<DeviceReply, Error> {
        let (settings, moment) = (self.settings(), self.moment());
        let device =
            self.change_device("revoke", call, wish.device.as_deref(), wish.proof.as_ref(), |record, name| {
                keep_one(record, name, call.caller.role, moment.now)?;
                bury(record, name, call.user, &settings.secrets, moment.now);
                Ok(())
            })?;
        self.log(call, call.line("revoke").with("device", &device));
        Ok(reply(call.user, &device))
    }

    /// Finds the device, asks for the proof that self-service needs, and stores what `change` makes of the record.
    pub(crate) fn change_device(
        &self,
        event: &'static str,
        call: &Call<'_>,
        device: Option<&str>,
        proof: Option<&SecretText>,
        change: impl Fn(&mut Record, &DeviceName) -> Result<(), Error>,
    ) -> Result<DeviceName, Error> {
        let settings = self.settings();
        let moment = self.moment();
        let device = device.map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))?;
        self.may_try(call)?;
        let changed = self.records.change(call.access(&settings), |record| {
            let (record, name) = match find(record, device.as_ref(), &moment) {
                Ok(found) => found,
                Err(error) => return Decision { next: None, outcome: Proven::refused(error) },
            };
            prove(record, call, proof, &settings, &moment, |record, _| {
                change(record, &name)?;
                Ok(name.clone())
            })
        });
        let changed = changed.map_err(|failure| self.failure(&failure, call))?;
        let name = self.proven(event, call, changed)?;
        // A code that was accepted before does not outlive the device that showed it.
        self.graces.end(call.user);
        Ok(name)
    }

    pub(crate) fn told(&self, user: &UserName, record: &Record) -> protocol::User {
        let moment = self.moment();
        let mut record = record.clone();
        record.expire(moment.now);
        let policy = self.settings().policy;
        let codes = record.codes.as_ref();
        let bypass = codes.and_then(|codes| codes.bypass_left(&moment));
        protocol::User {
            user: user.as_str().to_owned(),
            enrolled: record.enrolled,
            disabled: record.disabled,
            known_budget: record.known.budget.left(&policy, &moment),
            budget: record.unknown.budget.left(&policy, &moment),
            recovery_codes_left: record.recovery_codes_left(&moment),
            bypass_until: bypass.map(|(until, _)| until),
            bypass_uses: bypass.map(|(_, uses)| uses),
            ticket_until: codes.filter(|_| !record.enrolled).and_then(|codes| codes.ticket_until(&moment)),
            devices: record.devices.iter().map(told_device).collect(),
            damaged: false,
        }
    }
}

fn told_device(device: &Device) -> protocol::Device {
    let expires = match device.state {
        State::Pending { expires } => Some(expires),
        State::Active | State::Disabled => None,
    };
    protocol::Device {
        name: device.name.to_string(),
        state: device.state.on_the_wire(),
        kind: device.kind,
        alg: device.parameters.alg.to_string(),
        digits: device.parameters.digits,
        period: (device.kind == Kind::Totp).then_some(device.parameters.period),
        created: device.created,
        expires,
        last_used: device.last_used,
        valid_from: device.restriction.from(),
        valid_until: device.restriction.until(),
        services: device.restriction.services().iter().map(ToString::to_string).collect(),
    }
}

/// What is said of a record that cannot be read: who was enrolled stays enrolled.
pub(crate) fn told_damaged(user: &UserName) -> protocol::User {
    protocol::User {
        user: user.as_str().to_owned(),
        enrolled: true,
        disabled: false,
        devices: Vec::new(),
        known_budget: 0,
        budget: 0,
        recovery_codes_left: 0,
        bypass_until: None,
        bypass_uses: None,
        ticket_until: None,
        damaged: true,
    }
}

pub(crate) fn reply(user: &UserName, device: &DeviceName) -> DeviceReply {
    DeviceReply { user: user.as_str().to_owned(), device: device.to_string() }
}

/// The record, and the device of that name in it, or the only one.
fn find(record: Option<&Record>, name: Option<&DeviceName>, moment: &Moment) -> Result<(Record, DeviceName), Error> {
    let mut record = record.cloned().ok_or(Error::NoSuchUser)?;
    record.expire(moment.now);
    let found = match (name, record.devices.as_slice()) {
        (Some(name), devices) => devices.iter().find(|device| device.name == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let name = found.map(|device| device.name.clone()).ok_or(Error::NoSuchDevice)?;
    Ok((record, name))
}

/// Takes the device out. Its key is forgotten, the codes it used are not. A key that does not open any more cannot be
/// told from another if it comes back.
fn bury(record: &mut Record, name: &DeviceName, user: &UserName, secrets: &Secrets, now: u64) {
    let Some(at) = record.devices.iter().position(|device| device.name == *name) else { return };
    let device = record.devices.remove(at);
    if let Ok(key) = device.key(user, secrets) {
        record.tombstones.bury(&device, &key, secrets, now);
    }
}

/// People may not lock themselves out: an account keeps its last device that opens everything unless an administrator
/// takes it.
fn keep_one(record: &Record, name: &DeviceName, role: Role, now: u64) -> Result<(), Error> {
    let others = record.active().any(|device| device.name != *name && device.restriction.admits_everything(now));
    let counts = record.active().any(|device| device.name == *name);
    if role == Role::Own && counts && !others {
        return Err(Error::bad(
            "device",
            "this is the account's last active device: an administrator can take it away",
        ));
    }
    Ok(())
}
