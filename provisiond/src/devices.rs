//! What is changed about devices besides the state of one: its name, when and for which services it counts, and whether
//! any of them opens anything.

use common::device::DeviceName;
use common::protocol::{DeviceReply, DeviceState, Error, RenameDevice, Restrict, SetState, SetStateReply};

use crate::admin::reply;
use crate::bound::new_record;
use crate::caller::Role;
use crate::record::Record;
use crate::records::Decision;
use crate::restriction::Restriction;
use crate::service::{Call, Service};

impl Service {
    /// `RenameDevice`: calls a device something else. Its sealed key is bound to its id, not to its name.
    ///
    /// # Errors
    /// [`Error`].
    pub fn rename_device(&self, call: &Call<'_>, wish: &RenameDevice) -> Result<DeviceReply, Error> {
        let new = DeviceName::new(&wish.name).map_err(|why| Error::bad("name", why))?;
        let old =
            self.change_device("rename_device", call, wish.device.as_deref(), wish.proof.as_ref(), |record, old| {
                if new != *old && record.devices.iter().any(|device| device.name == new) {
                    return Err(Error::DeviceExists);
                }
                let device = record.device_mut(old).ok_or(Error::NoSuchDevice)?;
                device.name = new.clone();
                Ok(())
            })?;
        self.log(call, call.line("rename_device").with("device", &old).with("name", &new));
        Ok(reply(call.user, &new))
    }

    /// `SetState` with `all`: shuts the whole account, or opens it again. Its devices keep their states.
    pub(crate) fn set_account(&self, call: &Call<'_>, wish: &SetState) -> Result<SetStateReply, Error> {
        if call.caller.role == Role::Own {
            return Err(Error::PermissionDenied);
        }
        let disabled = match (wish.state, &wish.device) {
            (_, Some(_)) => return Err(Error::bad("all", "either one device or all that there is")),
            (DeviceState::Active, None) => false,
            (DeviceState::Disabled, None) => true,
            (DeviceState::Pending, None) => return Err(Error::bad("state", "an account is made active or disabled")),
        };
        let (settings, moment) = (self.settings(), self.moment());
        // Rules and the roll-out may let in who never had a device, so an account can be shut that has no record yet.
        let newcomer = || (disabled && call.named.account().is_some()).then(|| new_record(call, &moment));
        let changed = self.records.change(call.access(&settings), |record| match record.cloned().or_else(newcomer) {
            Some(record) => Decision { next: Some(Record { disabled, ..record }), outcome: Ok(()) },
            None => Decision { next: None, outcome: Err(Error::NoSuchUser) },
        });
        let changed = changed.map_err(|failure| self.failure(&failure, call))?;
        changed.inspect_err(|error| self.log_refused("set_state", call, error))?;
        self.graces.end(call.user);
        self.log(call, call.line("set_state").with("all", true).with("state", wish.state.word()));
        Ok(SetStateReply { user: call.user.as_str().to_owned(), device: None })
    }

    /// `Restrict`: bounds for a device, in the place of those that it had.
    ///
    /// # Errors
    /// [`Error`].
    pub fn restrict(&self, call: &Call<'_>, wish: &Restrict) -> Result<DeviceReply, Error> {
        let restriction = Restriction::new(wish.valid_from, wish.valid_until, &wish.services)?;
        let device = self.change_device("restrict", call, wish.device.as_deref(), None, |record, name| {
            let others = record.devices.iter().filter(|device| device.name != *name);
            restriction.fits_beside(others.map(|device| &device.restriction))?;
            record.device_mut(name).ok_or(Error::NoSuchDevice)?.restriction = restriction.clone();
            Ok(())
        })?;
        let services: Vec<&str> = restriction.services().iter().map(|name| name.as_str()).collect();
        let line = call
            .line("restrict")
            .with("device", &device)
            .with_some("valid_from", restriction.from())
            .with_some("valid_until", restriction.until())
            .with_some("services", Some(services.join(",")).filter(|services| !services.is_empty()));
        self.log(call, line);
        Ok(reply(call.user, &device))
    }
}
