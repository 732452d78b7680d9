//! The stored record, one for each user: devices, guess budgets, known sources, issued codes,
//! whether the account is disabled. Pure.
//!
//! Judges nothing and reads no clock. `bytes` serializes it under a MAC; `device` is one device.

use std::collections::BTreeSet;

use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::Key;
use common::secrets::Secrets;
use common::totp::Parameters;
use serde::{Deserialize, Serialize};

pub use self::bytes::{CannotWrite, Damaged};
pub use self::device::{CannotMake, Device, SealedKey, State};
use crate::clock::moment::Moment;
use crate::record::budget::{Pool, Units};
use crate::record::codes::Codes;
use crate::record::refunded::Refunded;
use crate::record::restriction::Unfit;
use crate::record::source::{KnownSources, Source};
use crate::record::spent::SpentSteps;
use crate::record::strict::{Failures, STRICT_DISABLED};
use crate::record::tombstone::Tombstones;

pub mod budget;
mod bytes;
pub mod codes;
pub mod counter;
mod device;
pub mod drift;
pub mod offline;
pub mod refunded;
pub mod restriction;
pub mod seals;
pub mod source;
pub mod spent;
pub mod strict;
pub mod tombstone;

/// The record of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The number of times the record was written.
    pub generation: u64,
    /// Whether any device was ever active. Never becomes false again.
    pub enrolled: bool,
    /// An administrator has disabled the account: neither a device nor an issued code opens a
    /// login.
    pub disabled: bool,
    /// At most [`MAX_DEVICES`].
    pub devices: Vec<Device>,
    /// The guesses from known sources.
    pub known: Pool,
    /// The guesses from all other sources.
    pub unknown: Pool,
    /// The sources of accepted logins.
    pub sources: KnownSources,
    /// The spent steps of revoked devices.
    pub tombstones: Tombstones,
    /// Recovery codes, a bypass, a ticket.
    pub codes: Option<Codes>,
    /// When the helpdesk last unlocked the user by a full refund of the guesses, in trusted
    /// seconds.
    pub unlocked: Option<u64>,
    /// The account's uid when the record was first written, or a device was last made active, if
    /// the name service knew it.
    pub uid: Option<u32>,
    /// Units that accepted logins have refunded to the known pool today. New in version 4 of the
    /// record.
    pub refunded: Refunded,
    /// The recovery codes are scratch codes of another system, of eight digits: each guess is
    /// charged. New in version 5 of the record.
    pub scratch_codes: bool,
}

impl Record {
    /// An empty record, for a user seen for the first time.
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
            scratch_codes: false,
        }
    }

    /// The devices that are not pending or disabled.
    pub fn active(&self) -> impl Iterator<Item = &Device> {
        self.devices
            .iter()
            .filter(|device| device.state == State::Active)
    }

    /// The devices whose codes open a login with `service` at `now`, in Unix seconds.
    pub fn usable(&self, now: u64, service: &str) -> impl Iterator<Item = &Device> {
        self.active()
            .filter(move |device| !self.disabled && device.restriction.admit(now, service).is_ok())
    }

    /// Whether there is a usable device.
    #[must_use]
    pub fn has_usable(&self, now: u64, service: &str) -> bool {
        self.usable(now, service).next().is_some()
    }

    /// The reason for the log why no device of the user is usable.
    #[must_use]
    pub fn why_unusable(&self, now: u64, service: &str) -> Option<&'static str> {
        if self.disabled {
            return Some(ACCOUNT_DISABLED);
        }
        let unfit = self
            .active()
            .find_map(|device| device.restriction.admit(now, service).err())
            .map(Unfit::word);
        let mut failures = self.devices.iter().map(|device| device.failures);
        unfit.or_else(|| {
            failures
                .any(Failures::are_too_many)
                .then_some(STRICT_DISABLED)
        })
    }

    /// Whether the user has enrolled before, or an administrator has disabled the account.
    #[must_use]
    pub fn is_somebodys(&self) -> bool {
        self.enrolled || self.disabled
    }

    /// The pool that pays for guesses from `source`. `now` is Unix seconds.
    #[must_use]
    pub fn pool(&self, source: Source, now: u64) -> &Pool {
        if self.sources.know(source, now) {
            &self.known
        } else {
            &self.unknown
        }
    }

    /// Units of that pool.
    #[must_use]
    pub fn units(&self, units: u32, source: Source, now: u64) -> Units {
        let none = Units::default();
        if self.sources.know(source, now) {
            Units {
                known: units,
                ..none
            }
        } else {
            Units {
                unknown: units,
                ..none
            }
        }
    }

    /// The log's word for that pool.
    #[must_use]
    pub fn pool_word(&self, source: Source, now: u64) -> &'static str {
        if self.sources.know(source, now) {
            "known"
        } else {
            "unknown"
        }
    }

    /// The same pool, mutable.
    pub fn pool_mut(&mut self, source: Source, now: u64) -> &mut Pool {
        if self.sources.know(source, now) {
            &mut self.known
        } else {
            &mut self.unknown
        }
    }

    /// The lengths of the codes that open a login with `service` at `now`, each length once.
    #[must_use]
    pub fn lengths_of_codes(&self, now: u64, service: &str) -> Vec<u8> {
        let lengths: BTreeSet<u8> = self
            .usable(now, service)
            .map(|device| device.parameters.digits)
            .collect();
        lengths.into_iter().collect()
    }

    /// The device of that name.
    pub fn device(&self, name: &DeviceName) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == *name)
    }

    /// The device of that name.
    pub fn device_mut(&mut self, name: &DeviceName) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.name == *name)
    }

    /// The device of that name, or without a name the only one of those that `fit`.
    ///
    /// # Errors
    /// [`NoSuchChoice`], also for a device of that name that does not fit.
    pub fn choose(
        &self,
        name: Option<&DeviceName>,
        fit: impl Fn(&Device) -> bool,
    ) -> Result<DeviceName, NoSuchChoice> {
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
        self.codes
            .as_ref()
            .map_or(0, |codes| codes.recovery_codes_left(moment))
    }

    /// The start of the latest spent step of all devices, in Unix seconds; 0 if none was spent.
    #[must_use]
    pub fn latest_spent(&self) -> u64 {
        self.devices
            .iter()
            .filter_map(Device::latest_spent)
            .max()
            .unwrap_or(0)
    }

    /// Whether a sealed key of this record is none of `next`: it was deleted, or sealed anew.
    #[must_use]
    pub fn has_key_not_in(&self, next: &Self) -> bool {
        let is_gone = |device: &Device| next.devices.iter().all(|kept| kept.key != device.key);
        self.devices.iter().any(is_gone)
    }

    /// Removes expired pending devices and issued codes.
    pub fn expire(&mut self, now: u64) {
        if let Some(codes) = &mut self.codes {
            codes.expire(now);
        }
        self.devices
            .retain(|device| !matches!(device.state, State::Pending { expires } if expires <= now));
    }

    /// An imported device with its label and issuer, as far as there is room: a record must fit
    /// into one value of the store, and devices need neither.
    #[must_use]
    pub fn labelled(
        &self,
        device: Device,
        label: Option<&Label>,
        issuer: Option<&Label>,
    ) -> Device {
        let kept = self
            .devices
            .iter()
            .flat_map(|device| [&device.label, &device.issuer])
            .flatten();
        let mut room = kept.fold(MAX_LABELS, |room, label| {
            room.saturating_sub(label.as_str().len())
        });
        let mut keep = |label: Option<&Label>| {
            let label = label.filter(|label| label.as_str().len() <= room.min(MAX_LABEL));
            room = room.saturating_sub(label.map_or(0, |label| label.as_str().len()));
            label.cloned()
        };
        Device {
            label: keep(label),
            issuer: keep(issuer),
            ..device
        }
    }

    /// Keeps the spent codes of a device that was taken out of the record, under a fingerprint of its
    /// key. The fingerprint hangs on the code key, which is made if there is none.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn bury(
        &mut self,
        device: &Device,
        key: &Key,
        (user, secrets): (&UserName, &Secrets),
        now: u64,
    ) -> Result<(), CannotMake> {
        let (codes, code_key) = Codes::to_extend(self.codes.as_ref(), user, secrets)?;
        self.codes = Some(codes);
        self.tombstones.bury(device, key, &code_key, now);
        Ok(())
    }

    /// The codes that a revoked device of that kind and period with that key has spent; usually
    /// none.
    #[must_use]
    pub fn spent_with(
        &self,
        like: (Kind, Parameters),
        key: &Key,
        (user, secrets): (&UserName, &Secrets),
    ) -> SpentSteps {
        let codes = self.codes.as_ref();
        let opened = codes.and_then(|codes| Codes::opened(Some(codes), user, secrets).ok());
        let code_key = opened.map(|(_, key)| key);
        self.tombstones
            .spent_with(like, key, code_key.as_ref(), secrets)
    }

    /// The same record with everything sealed under the default tag of `to`, opened with `from`. A key
    /// that does not open stays as it is: the user's other devices must not suffer from it.
    ///
    /// # Errors
    /// [`CannotMake`]: a key cannot be sealed.
    pub fn resealed(
        self,
        user: &UserName,
        from: &Secrets,
        to: &Secrets,
    ) -> Result<Self, CannotMake> {
        let codes = self.codes.map(|codes| codes.resealed(user, from, to));
        let devices = self
            .devices
            .into_iter()
            .map(|device| device.resealed(user, from, to));
        Ok(Self {
            devices: devices.collect::<Result<_, _>>()?,
            codes: codes.transpose()?,
            ..self
        })
    }

    /// The same record after the user was renamed to `to`: all keys that are bound to the user are
    /// sealed anew.
    ///
    /// # Errors
    /// [`CannotMake`]: a key does not open, or cannot be sealed.
    pub fn renamed(
        self,
        from: &UserName,
        to: &UserName,
        secrets: &Secrets,
    ) -> Result<Self, CannotMake> {
        let codes = self
            .codes
            .as_ref()
            .map(|codes| codes.renamed(from, to, secrets))
            .transpose()?;
        let devices = self
            .devices
            .into_iter()
            .map(|device| device.renamed(from, to, secrets));
        Ok(Self {
            devices: devices.collect::<Result<_, _>>()?,
            codes,
            ..self
        })
    }
}

/// No device fits, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchChoice;

/// Devices that a user may have.
pub const MAX_DEVICES: usize = 8;
/// The reason for the log why no device of a disabled account is usable.
pub const ACCOUNT_DISABLED: &str = "account_disabled";
/// Bytes of a label or an issuer; a longer one is dropped.
const MAX_LABEL: usize = 64;
/// Bytes of all labels and issuers of a user together.
const MAX_LABELS: usize = 224;

#[cfg(test)]
pub(crate) mod tests;
