//! The one stored record of a user: what it holds, what it can be asked, and how it changes.
//!
//! Judges nothing and reads no clock. Its bytes and their MAC are `bytes`'s, and one authenticator is `device`'s.

use std::collections::BTreeSet;

use common::names::device::DeviceName;
use common::names::user::UserName;
use common::otpauth::Label;
use common::secrets::Secrets;
use serde::{Deserialize, Serialize};

pub use self::bytes::{CannotWrite, Damaged};
pub use self::device::{CannotMake, Device, SealedKey, State};
use crate::clock::moment::Moment;
use crate::record::budget::{Pool, Units};
use crate::record::codes::Codes;
use crate::record::refunded::Refunded;
use crate::record::restriction::Unfit;
use crate::record::source::{KnownSources, Source};
use crate::record::strict::{Failures, STRICT_DISABLED};
use crate::record::tombstone::Tombstones;

pub mod budget;
mod bytes;
pub mod codes;
pub mod counter;
mod device;
pub mod drift;
pub mod refunded;
pub mod restriction;
pub mod source;
pub mod spent;
pub mod strict;
pub mod tombstone;

/// What is kept of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How often the record was written.
    pub generation: u64,
    /// Whether any device was ever active. Never becomes false again.
    pub enrolled: bool,
    /// An administrator has shut the account: nothing that is stored here opens a login, recovery codes neither.
    pub disabled: bool,
    /// At most [`MAX_DEVICES`].
    pub devices: Vec<Device>,
    /// What was guessed from known sources.
    pub known: Pool,
    /// What was guessed from all others.
    pub unknown: Pool,
    /// Where logins were accepted from.
    pub sources: KnownSources,
    /// What stays of revoked devices.
    pub tombstones: Tombstones,
    /// Recovery codes, a bypass, a ticket.
    pub codes: Option<Codes>,
    /// When the helpdesk last gave the guesses back, in trusted seconds.
    pub unlocked: Option<u64>,
    /// The account's uid when the record was first written, or a device last made active, if the name service told it.
    pub uid: Option<u32>,
    /// What accepted logins have given back to the known pool today. New in version 4 of the record.
    pub refunded: Refunded,
}

impl Record {
    /// A record with nothing in it, for a user seen for the first time.
    #[must_use]
    pub fn new(moment: &Moment) -> Self {
        let pool = Pool::full(moment);
        Self {
            generation: 0,
            enrolled: false,
            disabled: false,
            devices: Vec::new(),
            known: pool,
            unknown: pool,
            sources: KnownSources::default(),
            tombstones: Tombstones::default(),
            codes: None,
            unlocked: None,
            uid: None,
            refunded: Refunded::none(moment),
        }
    }

    /// The devices that are not pending or disabled.
    pub fn active(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.state == State::Active)
    }

    /// The devices whose codes open a login with `service` at `now`, in Unix seconds.
    pub fn usable(&self, now: u64, service: &str) -> impl Iterator<Item = &Device> {
        self.active().filter(move |device| !self.disabled && device.restriction.admit(now, service).is_ok())
    }

    /// Whether any device's codes do.
    #[must_use]
    pub fn has_usable(&self, now: u64, service: &str) -> bool {
        self.usable(now, service).next().is_some()
    }

    /// Why the user's devices do not count, in a word for the log.
    #[must_use]
    pub fn why_unusable(&self, now: u64, service: &str) -> Option<&'static str> {
        if self.disabled {
            return Some(ACCOUNT_DISABLED);
        }
        let unfit = self.active().find_map(|device| device.restriction.admit(now, service).err()).map(Unfit::word);
        let mut failures = self.devices.iter().map(|device| device.failures);
        unfit.or_else(|| failures.any(Failures::are_too_many).then_some(STRICT_DISABLED))
    }

    /// Whether the user is more than somebody who has not come to enrol yet.
    #[must_use]
    pub fn is_somebodys(&self) -> bool {
        self.enrolled || self.disabled
    }

    /// The pool that logins from `source` draw on. `now` is Unix seconds.
    #[must_use]
    pub fn pool(&self, source: Source, now: u64) -> &Pool {
        if self.sources.know(source, now) { &self.known } else { &self.unknown }
    }

    /// Units of that pool.
    #[must_use]
    pub fn units(&self, units: u32, source: Source, now: u64) -> Units {
        let none = Units::default();
        if self.sources.know(source, now) { Units { known: units, ..none } } else { Units { unknown: units, ..none } }
    }

    /// The log's word for that pool.
    #[must_use]
    pub fn pool_word(&self, source: Source, now: u64) -> &'static str {
        if self.sources.know(source, now) { "known" } else { "unknown" }
    }

    /// The same, to be changed.
    pub fn pool_mut(&mut self, source: Source, now: u64) -> &mut Pool {
        if self.sources.know(source, now) { &mut self.known } else { &mut self.unknown }
    }

    /// How long the codes are that open a login with `service` at `now`, each length once.
    #[must_use]
    pub fn lengths_of_codes(&self, now: u64, service: &str) -> Vec<u8> {
        let lengths: BTreeSet<u8> = self.usable(now, service).map(|device| device.parameters.digits).collect();
        lengths.into_iter().collect()
    }

    /// The device of that name.
    pub fn device_mut(&mut self, name: &DeviceName) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.name == *name)
    }

    /// The device of that name, or without a name the only one of those that `fit`.
    ///
    /// # Errors
    /// [`NoSuchChoice`]. A device of that name that does not fit is none.
    pub fn choose(&self, name: Option<&DeviceName>, fit: impl Fn(&Device) -> bool) -> Result<DeviceName, NoSuchChoice> {
        let mut fitting = self.devices.iter().filter(|device| fit(device));
        let found = match name {
            Some(name) => fitting.find(|device| device.name == *name),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.map(|device| device.name.clone()).ok_or(NoSuchChoice)
    }

    /// Recovery codes that would be accepted now.
    #[must_use]
    pub fn recovery_codes_left(&self, moment: &Moment) -> usize {
        self.codes.as_ref().map_or(0, |codes| codes.recovery_codes_left(moment))
    }

    /// When the latest step of a device begins that has been spent, in Unix seconds; 0 if none was.
    #[must_use]
    pub fn latest_spent(&self) -> u64 {
        self.devices.iter().filter_map(Device::latest_spent).max().unwrap_or(0)
    }

    /// Forgets pending devices and codes whose time is over.
    pub fn expire(&mut self, now: u64) {
        if let Some(codes) = &mut self.codes {
            codes.expire(now);
        }
        self.devices.retain(|device| !matches!(device.state, State::Pending { expires } if expires <= now));
    }

    /// A device as it was imported, with the label and the issuer that its record had, as far as there is room: a record
    /// must fit into what the store takes, and authenticators need neither.
    #[must_use]
    pub fn labelled(&self, device: Device, label: Option<&Label>, issuer: Option<&Label>) -> Device {
        let kept = self.devices.iter().flat_map(|device| [&device.label, &device.issuer]).flatten();
        let mut room = kept.fold(MAX_LABELS, |room, label| room.saturating_sub(label.as_str().len()));
        let mut keep = |label: Option<&Label>| {
            let label = label.filter(|label| label.as_str().len() <= room.min(MAX_LABEL));
            room = room.saturating_sub(label.map_or(0, |label| label.as_str().len()));
            label.cloned()
        };
        Device { label: keep(label), issuer: keep(issuer), ..device }
    }

    /// The same record for a user who is called `to` from now on: what is sealed for a user is sealed anew.
    ///
    /// # Errors
    /// [`CannotMake`]: something does not open, or cannot be sealed.
    pub fn renamed(self, from: &UserName, to: &UserName, secrets: &Secrets) -> Result<Self, CannotMake> {
        let codes = self.codes.as_ref().map(|codes| codes.renamed(from, to, secrets)).transpose()?;
        let devices = self.devices.into_iter().map(|device| device.renamed(from, to, secrets));
        Ok(Self { devices: devices.collect::<Result<_, _>>()?, codes, ..self })
    }
}

/// There is no such device, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchChoice;

/// Devices a user may have.
pub const MAX_DEVICES: usize = 8;
/// Why nothing of a shut account counts, in a word for the log.
pub const ACCOUNT_DISABLED: &str = "account_disabled";
/// Bytes in a label or an issuer that is kept.
const MAX_LABEL: usize = 64;
/// Bytes in all of them.
const MAX_LABELS: usize = 224;

#[cfg(test)]
pub(crate) mod tests;
