//! The one stored record of a user: what it holds, how it is written, and the MAC that keeps it from being edited.
//!
//! ```text
//! version (1) ‖ tag length ‖ tag ‖ body (postcard) ‖ HMAC-SHA256 (32 bytes)
//! MAC key   HKDF-SHA256(ikm = application secret of the tag, info = "pam-totp record v1")
//! MAC input length-prefixed: user, everything before the MAC
//! ```
//! The body holds the record's generation, so the MAC covers user, generation and every byte. Putting back a whole
//! older record of the same user is not noticed here.

use std::collections::BTreeSet;

use common::device::{DeviceName, Kind};
use common::enckey::{Binding, CannotOpen, Enckey, length_prefixed};
use common::lineage::enckey::EnckeyV1;
use common::otpauth::Label;
use common::protocol::DeviceState;
use common::secret::Key;
use common::secrets::Secrets;
use common::totp::Parameters;
use common::user::UserName;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::codes::Codes;
use crate::counter;
use crate::drift::Drift;
use crate::restriction::{Restriction, Unfit};
use crate::source::{KnownSources, Source};
use crate::spent::SpentSteps;
use crate::strict::{Failures, STRICT_DISABLED};
use crate::throttle::{Moment, Pool};
use crate::tombstone::Tombstones;

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
    /// The account's uid when a device was last made active, if the name service told it.
    pub uid: Option<u32>,
}

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
    /// Waits for its first code; opens nothing.
    Pending {
        /// When it is forgotten, in Unix seconds.
        expires: u64,
    },
    /// Its codes open logins.
    Active,
    /// Kept, but its codes open nothing.
    Disabled,
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

    /// Recovery codes that would be accepted now.
    #[must_use]
    pub fn recovery_codes_left(&self, moment: &Moment) -> usize {
        self.codes.as_ref().map_or(0, |codes| codes.recovery_codes_left(moment))
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

    /// The record's bytes, with a MAC under the default tag: as many as the store likes. A record that would have more
    /// remembers fewer spent steps one by one, which revives none: whatever is forgotten is below the floor.
    ///
    /// # Errors
    /// [`CannotWrite`], when the MAC's key cannot be derived; no input leads there.
    pub fn to_bytes(&self, user: &UserName, secrets: &Secrets) -> Result<Vec<u8>, CannotWrite> {
        let mut bytes = self.written(user, secrets)?;
        for most in FEWER_STEPS {
            if bytes.len() <= MAX_BYTES {
                break;
            }
            bytes = self.remembering(most).written(user, secrets)?;
        }
        Ok(bytes)
    }

    fn remembering(&self, most: usize) -> Self {
        let mut fewer = self.clone();
        fewer.devices.iter_mut().for_each(|device| device.spent.remember(most));
        fewer.tombstones.remember(most);
        fewer
    }

    fn written(&self, user: &UserName, secrets: &Secrets) -> Result<Vec<u8>, CannotWrite> {
        let tag = secrets.default_tag().as_str();
        let mut bytes = vec![VERSION, u8::try_from(tag.len()).map_err(|_| CannotWrite)?];
        bytes.extend_from_slice(tag.as_bytes());
        let mut bytes = postcard::to_extend(self, bytes).map_err(|_| CannotWrite)?;
        let mac = mac(user, tag, &bytes, secrets).ok_or(CannotWrite)?.finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        Ok(bytes)
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// [`Damaged`] for anything but what [`Record::to_bytes`] wrote for this user.
    pub fn from_bytes(bytes: &[u8], user: &UserName, secrets: &Secrets) -> Result<Self, Damaged> {
        let (&version, rest) = bytes.split_first().ok_or(Damaged::Altered)?;
        if version != VERSION {
            return Err(Damaged::Version(version));
        }
        let (&length, rest) = rest.split_first().ok_or(Damaged::Altered)?;
        let (tag, rest) = rest.split_at_checked(usize::from(length)).ok_or(Damaged::Altered)?;
        let tag = std::str::from_utf8(tag).map_err(|_| Damaged::Altered)?;
        let (body, stored) = rest.split_last_chunk::<MAC_BYTES>().ok_or(Damaged::Altered)?;
        let covered = bytes.get(..bytes.len().saturating_sub(MAC_BYTES)).ok_or(Damaged::Altered)?;
        let mac = mac(user, tag, covered, secrets).ok_or_else(|| Damaged::NoSecret(tag.to_owned()))?;
        mac.verify_slice(stored).map_err(|_| Damaged::Altered)?;
        let (record, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| Damaged::Altered)?;
        if rest.is_empty() { Ok(record) } else { Err(Damaged::Altered) }
    }
}

impl Device {
    /// A new device with that key, sealed under an id of its own.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn new(
        user: &UserName,
        name: DeviceName,
        state: State,
        (key, kind, parameters): (&Key, Kind, Parameters),
        secrets: &Secrets,
        moment: &Moment,
    ) -> Result<Self, CannotMake> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| CannotMake)?;
        let binding = Binding { user, device: &id, kind: kind.word(), parameters };
        let sealed = Enckey::seal(key, secrets, &binding).map_err(|_| CannotMake)?;
        let (key, spent, drift) = (SealedKey::V2(sealed), SpentSteps::default(), Drift::default());
        let (created, known_since) = (moment.now, moment.stamp());
        let (restriction, failures) = (Restriction::default(), Failures::default());
        let (last_used, label, issuer) = (None, None, None);
        Ok(Self {
            name,
            id,
            state,
            kind,
            parameters,
            key,
            spent,
            drift,
            created,
            known_since,
            last_used,
            label,
            issuer,
            restriction,
            failures,
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

    /// passlib's seal names no user, and stays.
    fn renamed(self, from: &UserName, to: &UserName, secrets: &Secrets) -> Result<Self, CannotMake> {
        let SealedKey::V2(_) = &self.key else { return Ok(self) };
        let key = self.key(from, secrets).map_err(|CannotOpen| CannotMake)?;
        let sealed = Enckey::seal(&key, secrets, &self.binding(to)).map_err(|_| CannotMake)?;
        Ok(Self { key: SealedKey::V2(sealed), ..self })
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

/// The record could not be put into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record cannot be written")]
pub struct CannotWrite;

/// Why stored bytes are no record of this user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// Not what we wrote.
    #[error("the record was altered")]
    Altered,
    /// The application secret of its MAC is not in the settings.
    #[error("the record needs the application secret '{0}', which the settings do not have")]
    NoSecret(String),
    /// Written by a newer daemon, or by one from before the first release.
    #[error("the record has version {0}, which this daemon does not know")]
    Version(u8),
}

fn mac(user: &UserName, tag: &str, covered: &[u8], secrets: &Secrets) -> Option<Hmac<Sha256>> {
    let key = secrets.derive::<32>(tag, None, b"pam-totp record v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).ok()?;
    Some(mac.chain_update(length_prefixed(&[user.as_str().as_bytes(), covered])))
}

/// Devices a user may have.
pub const MAX_DEVICES: usize = 8;
/// Why nothing of a shut account counts, in a word for the log.
pub const ACCOUNT_DISABLED: &str = "account_disabled";
/// Bytes in a label or an issuer that is kept.
const MAX_LABEL: usize = 64;
/// Bytes in all of them.
const MAX_LABELS: usize = 224;
const VERSION: u8 = 3;
const MAC_BYTES: usize = 32;
/// Bytes. sled cuts what is longer.
const MAX_BYTES: usize = 4096;
/// How many steps of a device are remembered one by one in a record that is too long: eight devices that are used every
/// day, and have been for months.
const FEWER_STEPS: [usize; 3] = [32, 16, 8];

#[cfg(test)]
pub(crate) mod tests;
