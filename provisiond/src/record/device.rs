//! One authenticator of a user: its key at rest, where it is in its life, and which of its codes are used up.
//!
//! Knows neither the user's other devices nor what a login needs.

use common::enckey::{Binding, CannotOpen, Enckey};
use common::lineage::enckey::EnckeyV1;
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::Key;
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
    /// What people call it; unique in the record.
    pub name: DeviceName,
    /// What the sealed key is bound to. Random, never changes.
    pub id: [u8; 16],
    /// Where it is in its life.
    pub state: State,
    /// What moves it from one code to the next. Never changes.
    pub kind: Kind,
    /// What its codes look like. Never changes.
    pub parameters: Parameters,
    /// Its key, sealed.
    pub key: SealedKey,
    /// Which of its codes have been used.
    pub spent: SpentSteps,
    /// How far its clock is from ours.
    pub drift: Drift,
    /// When it was enrolled, in Unix seconds.
    pub created: u64,
    /// Since when all is known that it has used, in trusted seconds.
    pub known_since: u64,
    /// When it last opened a login, in Unix seconds.
    pub last_used: Option<u64>,
    /// What the record that it was imported from calls it, for the way back.
    pub label: Option<Label>,
    /// And whom it is with.
    pub issuer: Option<Label>,
    /// When, and for which services, it counts.
    pub restriction: Restriction,
    /// What was wrong since it was last right.
    pub failures: Failures,
}

/// A device's key at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SealedKey {
    /// Sealed by us, bound to its user and device.
    V2(Enckey),
    /// As passlib sealed it, until its first accepted code.
    V1(EnckeyV1),
}

/// Where a device is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waits for its first code, and opens nothing else.
    Pending {
        /// When it is forgotten, in Unix seconds.
        expires: u64,
    },
    /// Its codes open logins.
    Active,
    /// Kept, but its codes open nothing.
    Disabled,
}

impl Device {
    /// A new device of `user` with that key, sealed under an id of its own. It counts, has used nothing and is unbounded:
    /// whoever enrols it says what is otherwise.
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
        let binding = Binding { user, device: &id, kind: kind.word(), parameters };
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

    /// Whether it is the device's key. One key under two names would open two logins with one code.
    #[must_use]
    pub fn has_key(&self, key: &Key, user: &UserName, secrets: &Secrets) -> bool {
        self.key(user, secrets).is_ok_and(|own| own.expose().ct_eq(key.expose()).into())
    }

    /// Whether it waits for its first code.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending { .. })
    }

    /// Seals a key that came from passlib in our own form. If that fails, the old form stays.
    pub fn reseal(&mut self, user: &UserName, key: &Key, secrets: &Secrets) {
        if matches!(self.key, SealedKey::V1(_))
            && let Ok(enckey) = Enckey::seal(key, secrets, &self.binding(user))
        {
            self.key = SealedKey::V2(enckey);
        }
    }

    /// Uses up the codes of these steps, or counters, for good.
    pub fn spend(&mut self, places: &[u64]) {
        for place in places {
            match self.kind {
                Kind::Totp => self.spent.spend(*place),
                Kind::Hotp => self.spent = counter::spend(std::mem::take(&mut self.spent), *place),
            }
        }
    }

    /// When the latest step begins that it has spent, in Unix seconds. Counters are no times.
    pub(super) fn latest_spent(&self) -> Option<u64> {
        let last = self.spent.last().filter(|_| self.kind == Kind::Totp);
        last.map(|step| self.parameters.start_of(step))
    }

    /// The same device of a user who is called `to` from now on. passlib's seal names no user, and stays.
    pub(super) fn renamed(self, from: &UserName, to: &UserName, secrets: &Secrets) -> Result<Self, CannotMake> {
        let SealedKey::V2(_) = &self.key else { return Ok(self) };
        let key = self.key(from, secrets).map_err(|CannotOpen| CannotMake)?;
        let sealed = Enckey::seal(&key, secrets, &self.binding(to)).map_err(|_| CannotMake)?;
        Ok(Self { key: SealedKey::V2(sealed), ..self })
    }

    fn binding<'a>(&'a self, user: &'a UserName) -> Binding<'a> {
        Binding { user, device: &self.id, kind: self.kind.word(), parameters: self.parameters }
    }
}

impl State {
    /// The state as clients read it.
    #[must_use]
    pub fn on_the_wire(self) -> DeviceState {
        match self {
            Self::Pending { .. } => DeviceState::Pending,
            Self::Active => DeviceState::Active,
            Self::Disabled => DeviceState::Disabled,
        }
    }
}

/// The system gave no random bytes, or no application secret is fit to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device cannot be made now")]
pub struct CannotMake;

#[cfg(test)]
mod tests;
