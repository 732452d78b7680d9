//! What is changed about a device besides its state: its name, and when and for which services it counts.

use common::device::DeviceName;
use common::protocol::{DeviceReply, Error, RenameDevice, Restrict};

use crate::admin::reply;
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
