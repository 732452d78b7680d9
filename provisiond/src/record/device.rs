//! One device (authenticator) of a user: sealed key, state (pending, active, disabled), parameters,
//! and which of its codes are spent.
//!
//! Knows neither the user's other devices nor what a login needs.

use common::enckey::{Binding, CannotOpen, Enckey};
use common::lineage::enckey::EnckeyV1;
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::{Key, weak_bits};
use common::secrets::Secrets;
use common::totp::Parameters;
use common::wire::protocol::DeviceState;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::clock::moment::Moment;
use crate::record::counter;
use crate::record::drift::Drift;
use crate::record::restriction::Restriction;
use crate::record::spent::SpentSteps;
use crate::record::strict::Failures;

/// One authenticator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The name that the user gave it; unique in the record.
    pub name: DeviceName,
    /// The id that the sealed key is bound to. Random, never changes.
    pub id: [u8; 16],
    /// Pending, active or disabled.
    pub state: State,
    /// TOTP or HOTP. Never changes.
    pub kind: Kind,
    /// Algorithm, digits and period. Never change.
    pub parameters: Parameters,
    /// Its key, sealed.
    pub key: SealedKey,
    /// The codes that are spent.
    pub spent: SpentSteps,
    /// The learned drift of its clock.
    pub drift: Drift,
    /// When it was enrolled, in Unix seconds.
    pub created: u64,
    /// The trusted second since when the store knows all codes that it has spent.
    pub known_since: u64,
    /// When it last opened a login, in Unix seconds.
    pub last_used: Option<u64>,
    /// The label that it was imported with, for an export.
    pub label: Option<Label>,
    /// The issuer that it was imported with.
    pub issuer: Option<Label>,
    /// When, and for which services, it is usable.
    pub restriction: Restriction,
    /// Wrong answers since its last accepted code, for `policy.strict`.
    pub failures: Failures,
}

/// A device's key at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SealedKey {
    /// In our own format, bound to its user and device.
    V2(Enckey),
    /// In passlib's format, of a record imported by an earlier daemon, until its first accepted code.
    V1(EnckeyV1),
}

/// The state of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waits for the first code that confirms it. Opens no login.
    Pending {
        /// When it is removed, in Unix seconds.
        expires: u64,
    },
    /// Its codes open logins.
    Active,
    /// Kept, but its codes open no login.
    Disabled,
}

impl Device {
    /// A new device of `user` with that key, sealed under an id of its own. It is active, has spent
    /// nothing and has no restriction; the enrolment code changes what must differ.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn active(
        user: &UserName,
        name: DeviceName,
        (key, kind, parameters): (&Key, Kind, Parameters),
        secrets: &Secrets,
        moment: &Moment,
    ) -> Result<Self, CannotMake> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| CannotMake)?;
        let binding = Binding {
            user,
            device: &id,
            kind: kind.word(),
            parameters,
        };
        let sealed = Enckey::seal(key, secrets, &binding).map_err(|_| CannotMake)?;
        Ok(Self {
            name,
            id,
            state: State::Active,
            kind,
            parameters,
            key: SealedKey::V2(sealed),
            spent: SpentSteps::default(),
            drift: Drift::default(),
            created: moment.now,
            known_since: moment.stamp(),
            last_used: None,
            label: None,
            issuer: None,
            restriction: Restriction::default(),
            failures: Failures::default(),
        })
    }

    /// The device's key.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn key(&self, user: &UserName, secrets: &Secrets) -> Result<Key, CannotOpen> {
        match &self.key {
            SealedKey::V2(enckey) => enckey.open(secrets, &self.binding(user)),
            SealedKey::V1(enckey) => enckey.open(secrets),
        }
    }

    /// The bits of the device's key, if they are fewer than 128.
    #[must_use]
    pub fn weak_key_bits(&self) -> Option<u32> {
        weak_bits(match &self.key {
            SealedKey::V2(enckey) => enckey.key_bytes(),
            SealedKey::V1(enckey) => enckey.key_bytes(),
        })
    }

    /// Whether the device has this key, in constant time. One key in two devices would let a code
    /// be replayed.
    #[must_use]
    pub fn has_key(&self, key: &Key, user: &UserName, secrets: &Secrets) -> bool {
        self.key(user, secrets)
            .is_ok_and(|own| own.expose().ct_eq(key.expose()).into())
    }

    /// Whether the device is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending { .. })
    }

    /// Seals a key that was imported from passlib in our own format. If that fails, passlib's
    /// format stays.
    pub fn reseal(&mut self, user: &UserName, key: &Key, secrets: &Secrets) {
        if matches!(self.key, SealedKey::V1(_))
            && let Ok(enckey) = Enckey::seal(key, secrets, &self.binding(user))
        {
            self.key = SealedKey::V2(enckey);
        }
    }

    /// Spends the codes of these steps, or counters, for good.
    pub fn spend(&mut self, places: &[u64]) {
        for place in places {
            match self.kind {
                Kind::Totp => self.spent.spend(*place),
                Kind::Hotp => self.spent = counter::spend(std::mem::take(&mut self.spent), *place),
            }
        }
    }

    /// The start of its latest spent step, in Unix seconds. `None` for an HOTP device: counters are
    /// not times.
    pub(super) fn latest_spent(&self) -> Option<u64> {
        let last = self.spent.last().filter(|_| self.kind == Kind::Totp);
        last.map(|step| self.parameters.start_of(step))
    }

    /// The same device after the user was renamed to `to`. passlib's format is bound to no user,
    /// and stays.
    pub(super) fn renamed(
        self,
        from: &UserName,
        to: &UserName,
        secrets: &Secrets,
    ) -> Result<Self, CannotMake> {
        let SealedKey::V2(_) = &self.key else {
            return Ok(self);
        };
        let key = self.key(from, secrets).map_err(|CannotOpen| CannotMake)?;
        let sealed = Enckey::seal(&key, secrets, &self.binding(to)).map_err(|_| CannotMake)?;
        Ok(Self {
            key: SealedKey::V2(sealed),
            ..self
        })
    }

    /// The same device with its key sealed under the default tag of `to`, in our own format. A key
    /// that does not open stays.
    pub(super) fn resealed(
        self,
        user: &UserName,
        from: &Secrets,
        to: &Secrets,
    ) -> Result<Self, CannotMake> {
        if matches!(&self.key, SealedKey::V2(key) if key.tag() == to.default_tag().as_str()) {
            return Ok(self);
        }
        let Ok(key) = self.key(user, from) else {
            return Ok(self);
        };
        let sealed = Enckey::seal(&key, to, &self.binding(user)).map_err(|_| CannotMake)?;
        Ok(Self {
            key: SealedKey::V2(sealed),
            ..self
        })
    }

    fn binding<'a>(&'a self, user: &'a UserName) -> Binding<'a> {
        Binding {
            user,
            device: &self.id,
            kind: self.kind.word(),
            parameters: self.parameters,
        }
    }
}

impl State {
    /// The state as the protocol reports it.
    #[must_use]
    pub fn on_the_wire(self) -> DeviceState {
        match self {
            Self::Pending { .. } => DeviceState::Pending,
            Self::Active => DeviceState::Active,
            Self::Disabled => DeviceState::Disabled,
        }
    }
}

/// The system gave no random bytes, or no application secret can seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device cannot be created now")]
pub struct CannotMake;

#[cfg(test)]
mod tests;
