//! What stays of a revoked device for thirty days: which codes it has used, under a fingerprint of its key. Enrolling
//! the same key again must not revive a code.
//!
//! ```text
//! fingerprint   HMAC-SHA256(HKDF-SHA256(application secret, info = "pam-totp fingerprint v1"),
//!                           length-prefixed: user, key), its first 16 bytes
//! ```

use common::enckey::length_prefixed;
use common::secret::Key;
use common::secrets::Secrets;
use common::user::UserName;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::spent::SpentSteps;

/// What stays of a revoked device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    tag: String,
    fingerprint: [u8; 16],
    spent: SpentSteps,
    until: u64,
}

/// The tombstones of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstones(Vec<Tombstone>);

impl Tombstones {
    /// Remembers what a device with that key has used. `now` is Unix seconds.
    pub fn bury(&mut self, user: &UserName, key: &Key, spent: &SpentSteps, secrets: &Secrets, now: u64) {
        let tag = secrets.default_tag().to_string();
        let Some(fingerprint) = fingerprint(user, key, &tag, secrets) else { return };
        self.0.retain(|tombstone| tombstone.until > now);
        while self.0.len() >= MAX_TOMBSTONES {
            self.0.remove(0);
        }
        self.0.push(Tombstone { tag, fingerprint, spent: spent.clone(), until: now.saturating_add(LIFETIME) });
    }

    /// What a device with that key has used before; nothing, usually.
    #[must_use]
    pub fn spent_with(&self, user: &UserName, key: &Key, secrets: &Secrets) -> SpentSteps {
        let same = |tombstone: &&Tombstone| {
            let fingerprint = fingerprint(user, key, &tombstone.tag, secrets);
            fingerprint.is_some_and(|fingerprint| fingerprint.ct_eq(&tombstone.fingerprint).into())
        };
        // The last one knows what those before it knew.
        self.0.iter().rev().find(same).map(|tombstone| tombstone.spent.clone()).unwrap_or_default()
    }
}

fn fingerprint(user: &UserName, key: &Key, tag: &str, secrets: &Secrets) -> Option<[u8; 16]> {
    let derived = secrets.derive::<32>(tag, None, b"pam-totp fingerprint v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(derived.as_ref()).ok()?;
    let mac = mac.chain_update(length_prefixed(&[user.as_str().as_bytes(), key.expose()])).finalize().into_bytes();
    mac.first_chunk().copied()
}

const LIFETIME: u64 = 30 * 86400;
/// As many as fit beside eight devices.
const MAX_TOMBSTONES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{secrets, user};

    fn key(byte: u8) -> Key {
        Key::new(vec![byte; 20]).unwrap()
    }

    fn spent(step: u64) -> SpentSteps {
        let mut spent = SpentSteps::default();
        spent.spend(step);
        spent
    }

    #[test]
    fn a_key_that_comes_back_has_used_what_it_had_used() {
        let (alice, secrets) = (user("alice"), secrets());
        let mut tombstones = Tombstones::default();
        tombstones.bury(&alice, &key(1), &spent(100), &secrets, 0);
        tombstones.bury(&alice, &key(1), &spent(200), &secrets, 0);
        assert_eq!(tombstones.spent_with(&alice, &key(1), &secrets), spent(200));
        assert_eq!(tombstones.spent_with(&alice, &key(2), &secrets), SpentSteps::default());
        assert_eq!(tombstones.spent_with(&user("bob"), &key(1), &secrets), SpentSteps::default());
    }

    #[test]
    fn tombstones_are_few_and_fall_after_thirty_days() {
        let (alice, secrets) = (user("alice"), secrets());
        let mut tombstones = Tombstones::default();
        for byte in 1..=5 {
            tombstones.bury(&alice, &key(byte), &spent(100), &secrets, 0);
        }
        assert_eq!(tombstones.0.len(), 4);
        assert_eq!(tombstones.spent_with(&alice, &key(5), &secrets), spent(100));
        tombstones.bury(&alice, &key(6), &spent(100), &secrets, LIFETIME);
        assert_eq!(tombstones.0.len(), 1);
    }
}
