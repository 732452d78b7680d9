//! Encryption of keys as passlib does it: the sealed key (enckey), version 1. It is opened on
//! import, and sealed only for export.
//!
//! ```text
//! salt           12 random bytes; other lengths are read
//! key ‖ counter  PBKDF2-HMAC-SHA256(application secret, salt, 2^cost rounds), 32 + 16 bytes        RFC 8018 section 5.2
//! sealed         AES-256-CTR(key, counter), one big-endian counter of 128 bits                     SP 800-38A
//! ```
//! Version 1 does not detect an altered record: it opens, to another key. Hence version 2, in
//! [`crate::enckey`].

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use pbkdf2::pbkdf2_hmac;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::enckey::{CannotOpen, CannotSeal};
use crate::secret::{KEY_BYTES, Key};
use crate::secrets::Secrets;

/// A key as passlib stores it: useless without the application secret of its tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnckeyV1 {
    /// The tag of the application secret.
    pub tag: String,
    /// The rounds of PBKDF2, as a power of two: 0 to [`MAX_COST`].
    pub cost: u32,
    pub(super) salt: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

impl EnckeyV1 {
    /// Seals `key` under the default tag, for programs that know version 1 only.
    ///
    /// # Errors
    /// [`CannotSeal`]: the default secret is a weak one, `cost` is above [`MAX_COST`], or the
    /// system has no randomness.
    pub fn seal(key: &Key, secrets: &Secrets, cost: u32) -> Result<Self, CannotSeal> {
        let tag = secrets
            .sealing_tag()
            .ok_or(CannotSeal::WeakSecret)?
            .to_string();
        let mut salt = vec![0; NEW_SALT];
        getrandom::fill(&mut salt).map_err(|_| CannotSeal::NoRandomness)?;
        // On an error path it still is the key, and is wiped.
        let mut sealed = Zeroizing::new(key.expose().to_vec());
        let secret = secrets.secret(&tag).ok_or(CannotSeal::WeakSecret)?;
        apply_keystream(secret, &salt, cost, &mut sealed).ok_or(CannotSeal::Cost)?;
        Ok(Self {
            tag,
            cost,
            salt,
            sealed: std::mem::take(&mut *sealed),
        })
    }

    /// The length of the sealed key, in bytes.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        self.sealed.len()
    }

    /// Opens the key. An altered record opens as well, to another key: only a right code proves the
    /// key.
    ///
    /// # Errors
    /// [`CannotOpen`] for any failure (no such tag, too high a cost, impossible lengths): the error
    /// does not tell which.
    pub fn open(&self, secrets: &Secrets) -> Result<Key, CannotOpen> {
        if !SALT_BYTES.contains(&self.salt.len()) || !KEY_BYTES.contains(&self.sealed.len()) {
            return Err(CannotOpen);
        }
        let secret = secrets.secret(&self.tag).ok_or(CannotOpen)?;
        let mut buffer = Zeroizing::new(self.sealed.clone());
        apply_keystream(secret, &self.salt, self.cost, &mut buffer).ok_or(CannotOpen)?;
        Key::new(std::mem::take(&mut *buffer)).map_err(|_| CannotOpen)
    }
}

/// Encrypts or decrypts in place: the two are the same. `None` when the cost is out of bounds.
fn apply_keystream(secret: &[u8], salt: &[u8], cost: u32, buffer: &mut [u8]) -> Option<()> {
    let rounds = if cost <= MAX_COST {
        1u32.checked_shl(cost)?
    } else {
        return None;
    };
    let mut material = Zeroizing::new([0; 48]);
    pbkdf2_hmac::<Sha256>(secret, salt, rounds, material.as_mut());
    let (key, counter) = material.split_first_chunk::<32>()?;
    Ctr128BE::<Aes256>::new_from_slices(key, counter)
        .ok()?
        .apply_keystream(buffer);
    Some(())
}

/// The highest cost that is read or written: four million rounds, some seconds. An imported record
/// cannot cost more.
pub const MAX_COST: u32 = 22;
/// Bytes in a salt that is read. An empty one would make equal keys look equal.
pub(super) const SALT_BYTES: std::ops::RangeInclusive<usize> = 1..=64;
/// Bytes in a salt that passlib writes.
const NEW_SALT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::TaggedSecrets;

    fn secrets(text: &str) -> Secrets {
        Secrets::new(TaggedSecrets::from_text(text).unwrap(), None).unwrap()
    }

    const SECRETS: &str = "1: 0123456789abcdef\n2: fedcba9876543210\n";

    #[test]
    fn what_was_sealed_opens() {
        let secrets = secrets(SECRETS);
        for length in [10, 20, 32, 64] {
            let key = Key::new(vec![7; length]).unwrap();
            let sealed = EnckeyV1::seal(&key, &secrets, 3).unwrap();
            assert_eq!(
                (sealed.tag.as_str(), sealed.cost, sealed.salt.len()),
                ("2", 3, 12)
            );
            assert_eq!(sealed.open(&secrets).unwrap().expose(), key.expose());
        }
    }

    #[test]
    fn a_cost_that_would_take_minutes_is_refused_both_ways() {
        let (secrets, key) = (secrets(SECRETS), Key::new(vec![7; 20]).unwrap());
        assert!(EnckeyV1::seal(&key, &secrets, MAX_COST + 1).is_err());
        for cost in [MAX_COST + 1, 31, 32, 64, u32::MAX] {
            let sealed = EnckeyV1 {
                cost,
                ..EnckeyV1::seal(&key, &secrets, 0).unwrap()
            };
            assert_eq!(sealed.open(&secrets).err(), Some(CannotOpen));
        }
    }

    #[test]
    fn impossible_parts_do_not_open() {
        let secrets = secrets(SECRETS);
        let sealed = EnckeyV1::seal(&Key::new(vec![7; 20]).unwrap(), &secrets, 0).unwrap();
        for bad in [
            EnckeyV1 {
                tag: "3".into(),
                ..sealed.clone()
            },
            EnckeyV1 {
                salt: vec![],
                ..sealed.clone()
            },
            EnckeyV1 {
                salt: vec![1; 65],
                ..sealed.clone()
            },
            EnckeyV1 {
                sealed: vec![1; 9],
                ..sealed.clone()
            },
            EnckeyV1 {
                sealed: vec![1; 65],
                ..sealed.clone()
            },
        ] {
            assert_eq!(bad.open(&secrets).err(), Some(CannotOpen), "{bad:?}");
        }
    }

    #[test]
    fn weak_secrets_open_and_never_seal() {
        let tagged = || TaggedSecrets::from_text("1: 0123456789abcdef\n2: short\n").unwrap();
        let key = Key::new(vec![7; 20]).unwrap();
        let weak_default = Secrets::with_weak(tagged(), Some("2")).unwrap();
        let refusal = EnckeyV1::seal(&key, &weak_default, 0).unwrap_err();
        assert!(refusal.to_string().contains("--new-secret"), "{refusal}");
        let strong_default = Secrets::with_weak(tagged(), Some("1")).unwrap();
        let sealed = EnckeyV1::seal(&key, &strong_default, 0).unwrap();
        let weak = EnckeyV1 {
            tag: "2".into(),
            ..sealed
        };
        assert!(weak.open(&strong_default).is_ok());
    }
}
