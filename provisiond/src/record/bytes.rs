//! The bytes of a stored record: format, version, size limit, and the MAC that detects tampering.
//!
//! ```text
//! version (1) ‖ tag length ‖ tag ‖ body (postcard) ‖ HMAC-SHA256 (32 bytes)
//! MAC key   HKDF-SHA256(ikm = application secret of the tag, info = "pam-totp record v1")
//! MAC input length-prefixed: user, everything before the MAC
//! ```
//! Versions 4 and 5 have one field more each, at the end. An earlier record is read with the fields'
//! defaults and written as version 5 with its next change; none before version 3 is read.
//!
//! The body holds the record's generation, so the MAC covers user, generation and every byte. It
//! does not detect the roll-back of a whole record of the same user: the store does.

use common::enckey::length_prefixed;
use common::names::user::UserName;
use common::secrets::Secrets;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Record;
use crate::record::refunded::Refunded;

impl Record {
    /// The record's bytes, with a MAC under the default tag, and at most as long as the store keeps
    /// in one piece. A longer record remembers fewer spent steps one by one. This makes no replay
    /// possible: the floor rises above the forgotten ones.
    ///
    /// # Errors
    /// [`CannotWrite`], when the record still is too long, or when the MAC's key cannot be derived;
    /// no input leads there.
    pub fn to_bytes(&self, user: &UserName, secrets: &Secrets) -> Result<Vec<u8>, CannotWrite> {
        let mut bytes = self.written(user, secrets)?;
        for most in FEWER_STEPS {
            if bytes.len() <= MAX_BYTES {
                break;
            }
            bytes = self.remembering(most).written(user, secrets)?;
        }
        if bytes.len() <= MAX_BYTES {
            Ok(bytes)
        } else {
            Err(CannotWrite)
        }
    }

    fn remembering(&self, most: usize) -> Self {
        let mut fewer = self.clone();
        fewer
            .devices
            .iter_mut()
            .for_each(|device| device.spent.remember(most));
        fewer.tombstones.remember(most);
        fewer
    }

    fn written(&self, user: &UserName, secrets: &Secrets) -> Result<Vec<u8>, CannotWrite> {
        let tag = secrets.default_tag().as_str();
        let mut bytes = vec![VERSION, u8::try_from(tag.len()).map_err(|_| CannotWrite)?];
        bytes.extend_from_slice(tag.as_bytes());
        let mut bytes = postcard::to_extend(self, bytes).map_err(|_| CannotWrite)?;
        let mac = mac(user, tag, &bytes, secrets)
            .ok_or(CannotWrite)?
            .finalize()
            .into_bytes();
        bytes.extend_from_slice(&mac);
        Ok(bytes)
    }

    /// Checks the MAC and reads a record.
    ///
    /// # Errors
    /// [`Damaged`] for anything but what [`Record::to_bytes`] wrote for this user.
    pub fn from_bytes(bytes: &[u8], user: &UserName, secrets: &Secrets) -> Result<Self, Damaged> {
        let (&version, rest) = bytes.split_first().ok_or(Damaged::Altered)?;
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(Damaged::Version(version));
        }
        let (tag, rest) = split_tag(rest).ok_or(Damaged::Altered)?;
        let (body, stored) = rest
            .split_last_chunk::<MAC_BYTES>()
            .ok_or(Damaged::Altered)?;
        let covered = bytes
            .get(..bytes.len().saturating_sub(MAC_BYTES))
            .ok_or(Damaged::Altered)?;
        let mac =
            mac(user, tag, covered, secrets).ok_or_else(|| Damaged::NoSecret(tag.to_owned()))?;
        mac.verify_slice(stored).map_err(|_| Damaged::Altered)?;
        let body = as_of_today(version, body).ok_or(Damaged::Altered)?;
        let (record, rest) =
            postcard::take_from_bytes::<Self>(&body).map_err(|_| Damaged::Altered)?;
        if rest.is_empty() {
            Ok(record)
        } else {
            Err(Damaged::Altered)
        }
    }
}

/// The tag of the application secret of the MAC, as the bytes say it: nothing is checked.
pub(super) fn mac_tag(bytes: &[u8]) -> Option<&str> {
    let (tag, _) = split_tag(bytes.get(1..)?)?;
    Some(tag)
}

fn split_tag(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (tag, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(tag).ok()?, rest))
}

/// The record cannot be serialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record cannot be written: it is longer than {MAX_BYTES} bytes, or no application secret can seal it"
)]
pub struct CannotWrite;

/// Why stored bytes are no record of this user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// Not the bytes that the daemon wrote.
    #[error("the record was altered")]
    Altered,
    /// The application secret of its MAC is not in the settings.
    #[error("the record needs the application secret '{0}', which the settings do not have")]
    NoSecret(String),
    /// Written by a newer daemon, or by one from before the first release.
    #[error("the record has version {0}, which this daemon does not know")]
    Version(u8),
}

/// The body with the fields that its version lacks. postcard writes fields one after the other
/// without separators.
fn as_of_today(version: u8, body: &[u8]) -> Option<Vec<u8>> {
    let mut body = body.to_vec();
    if version < 4 {
        body = postcard::to_extend(&Refunded::default(), body).ok()?;
    }
    if version < 5 {
        let has_scratch_codes = false;
        body = postcard::to_extend(&has_scratch_codes, body).ok()?;
    }
    Some(body)
}

fn mac(user: &UserName, tag: &str, covered: &[u8], secrets: &Secrets) -> Option<Hmac<Sha256>> {
    let key = secrets.derive::<32>(tag, None, b"pam-totp record v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).ok()?;
    Some(mac.chain_update(length_prefixed(&[user.as_str().as_bytes(), covered])))
}

const VERSION: u8 = 5;
/// The oldest version that can be read.
const OLDEST: u8 = 3;
const MAC_BYTES: usize = 32;
/// Bytes. sled splits a longer value in two, and a power cut may leave only one part.
const MAX_BYTES: usize = 4096;
/// Spent steps of a device that are remembered one by one in a record that is too long, as with
/// eight devices in daily use for months. Tried in this order.
const FEWER_STEPS: [usize; 3] = [32, 16, 8];

#[cfg(test)]
mod tests;
