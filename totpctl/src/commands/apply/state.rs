//! The state of a user that `apply` compares: as the daemon shows it, as a file wants it, and the
//! changes from one to the other. Pure.

use ::import::desired_state::{DesiredDevice, DesiredUser, DeviceWish};
use common::names::service::ServiceName;
use common::wire::protocol::{Device, DeviceState, User};

use crate::render::applied::Change;

/// What can be wished of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserState {
    pub(crate) disabled: bool,
    /// Whether any device was ever active.
    pub(crate) enrolled: bool,
    /// An unused ticket.
    pub(crate) ticket: bool,
    /// In the order of their enrolment.
    pub(crate) devices: Vec<OneDevice>,
}

/// What can be wished of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OneDevice {
    pub(crate) name: String,
    pub(crate) state: DeviceState,
    pub(crate) from: Option<u64>,
    pub(crate) until: Option<u64>,
    pub(crate) services: Vec<String>,
}

impl UserState {
    /// The state that the daemon shows; `None`: the user has no record.
    pub(super) fn of(shown: Option<User>) -> Self {
        let Some(user) = shown else {
            return Self::default();
        };
        Self {
            disabled: user.disabled,
            enrolled: user.enrolled,
            ticket: user.ticket_until.is_some(),
            devices: user.devices.into_iter().map(OneDevice::of).collect(),
        }
    }

    /// The state after the wishes are done. A device that is missing stays so.
    ///
    /// # Errors
    /// Why a wish cannot be done, and the next step.
    pub(super) fn with(&self, desired: &DesiredUser) -> Result<Self, String> {
        let mut after = self.clone();
        after.disabled = desired.disabled.unwrap_or(self.disabled);
        after.ticket |= desired.ticket && !self.enrolled;
        for device in &desired.devices {
            after.wish(device)?;
        }
        if desired.exclusive {
            after.keep_named(desired)?;
        }
        Ok(after)
    }

    fn wish(&mut self, desired: &DesiredDevice) -> Result<(), String> {
        let name = desired.name.as_str();
        if desired.state == Some(DeviceWish::Absent) {
            self.devices.retain(|device| device.name != name);
            return Ok(());
        }
        match self.devices.iter_mut().find(|device| device.name == name) {
            Some(device) => device.wish(desired),
            None => Ok(()),
        }
    }

    /// Takes away what the file does not name. A misspelt name must not lock a user out.
    fn keep_named(&mut self, desired: &DesiredUser) -> Result<(), String> {
        let names = || desired.devices.iter().map(|device| device.name.as_str());
        let is_named = |device: &OneDevice| names().any(|name| name == device.name);
        let is_active = |device: &&OneDevice| device.state == DeviceState::Active;
        let last = self.devices.iter().filter(is_active);
        let (kept, lost): (Vec<_>, Vec<_>) = last.partition(|device| is_named(device));
        if let (true, Some(lost)) = (kept.is_empty(), lost.first()) {
            return Err(format!(
                "no device that the file names is active, and 'exclusive' would revoke '{}', which is: correct the name, or \
                 enrol a named device first",
                lost.name
            ));
        }
        self.devices.retain(is_named);
        Ok(())
    }

    /// The changes that lead to `after`, in the order of [`turn`].
    pub(super) fn changes_to(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.disabled != after.disabled {
            changes.push(Change::of_state(None, after.disabled));
        }
        for before in &self.devices {
            match after.device(&before.name) {
                Some(after) => changes.extend(before.changes_to(after)),
                None => changes.push(Change::Revoked {
                    device: before.name.clone(),
                }),
            }
        }
        if after.ticket && !self.ticket {
            changes.push(Change::TicketIssued { until: None });
        }
        changes.sort_by_key(turn);
        changes
    }

    fn device(&self, name: &str) -> Option<&OneDevice> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// The devices that the file wants and that wait for their user: to be enrolled, and to be
    /// confirmed by a first code.
    pub(super) fn waiting(&self, desired: &DesiredUser) -> (Vec<String>, Vec<String>) {
        let (mut to_enroll, mut to_confirm) = (Vec::new(), Vec::new());
        for wish in &desired.devices {
            let name = wish.name.as_str();
            match (wish.state, self.device(name).map(|device| device.state)) {
                (None | Some(DeviceWish::Active), None) => to_enroll.push(name.to_owned()),
                (_, Some(DeviceState::Pending)) => to_confirm.push(name.to_owned()),
                _ => {}
            }
        }
        (to_enroll, to_confirm)
    }
}

impl OneDevice {
    fn of(shown: Device) -> Self {
        Self {
            name: shown.name,
            state: shown.state,
            from: shown.valid_from,
            until: shown.valid_until,
            services: shown.services,
        }
    }

    fn wish(&mut self, desired: &DesiredDevice) -> Result<(), String> {
        self.state = match (desired.state, self.state) {
            (Some(DeviceWish::Disabled), DeviceState::Pending) => {
                return Err(format!(
                    "the device '{}' waits for its first code, and cannot be disabled before: confirm it, or write \
                     'state: absent'",
                    self.name
                ));
            }
            (Some(DeviceWish::Disabled), _) => DeviceState::Disabled,
            (Some(DeviceWish::Active), DeviceState::Disabled) => DeviceState::Active,
            (_, state) => state,
        };
        self.from = desired.from.unwrap_or(self.from);
        self.until = desired.until.unwrap_or(self.until);
        if let Some(services) = &desired.services {
            let names = services.iter().map(ServiceName::as_str);
            self.services = names.map(str::to_owned).collect();
        }
        if self
            .until
            .is_some_and(|until| until <= self.from.unwrap_or(0))
        {
            return Err(format!(
                "the validity of '{}' would end before it begins: give both 'from' and 'until'",
                self.name
            ));
        }
        Ok(())
    }

    fn changes_to(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.state != after.state {
            let disabled = after.state == DeviceState::Disabled;
            changes.push(Change::of_state(Some(self.name.clone()), disabled));
        }
        if self.bounds() != after.bounds() {
            changes.push(Change::Restricted {
                device: self.name.clone(),
                valid_from: after.from,
                valid_until: after.until,
                services: after.services.clone(),
            });
        }
        changes
    }

    fn bounds(&self) -> (Option<u64>, Option<u64>, &[String]) {
        (self.from, self.until, &self.services)
    }
}

/// The turn of a change among those of a user: what is disabled comes first, and a device is
/// restricted before it is enabled. What cannot be undone waits for what takes its place.
fn turn(change: &Change) -> u8 {
    match change {
        Change::Disabled { .. } => 0,
        Change::Restricted { .. } => 1,
        Change::Enabled { device: Some(_) } => 2,
        Change::Revoked { .. } => 3,
        Change::Enabled { device: None } => 4,
        Change::TicketIssued { .. } => 5,
    }
}

#[cfg(test)]
mod tests;
