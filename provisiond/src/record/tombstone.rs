//! The tombstone of a revoked device: its spent codes, kept for thirty days under a fingerprint of
//! its key, so that enrolling the same key again makes no replay possible.
//!
//! ```text
//! fingerprint   HMAC-SHA256(HKDF-SHA256(application secret, info = "pam-totp fingerprint v1"),
//!                           length-prefixed: the revoked device's id, kind, period of a TOTP device, key), its first 16 bytes
//! ```
//! The id makes two fingerprints of one key differ. Kind and period are part of it because steps
//! and counters cannot be compared, nor steps of two periods: the present step of one lies years
//! away in another. The user's name is not, because the user may be renamed. The tag of the
//! application secret is not stored, to save room: there are few, and all are tried.

use common::enckey::length_prefixed;
use common::names::device::Kind;
use common::secret::Key;
use common::secrets::Secrets;
use common::totp::Parameters;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::record::Device;
use crate::record::spent::SpentSteps;

/// The tombstone of one revoked device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    device: [u8; 16],
    fingerprint: [u8; 16],
    spent: SpentSteps,
    until: u64,
}

/// The tombstones of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstones(Vec<Tombstone>);

impl Tombstones {
    /// Remembers the spent codes of the device with that key. `now` is Unix seconds. Evicts the
    /// oldest if there are too many.
    pub fn bury(&mut self, device: &Device, key: &Key, secrets: &Secrets, now: u64) {
        let horizon = device
            .drift
            .shown_at(device.parameters.step_at(now))
            .saturating_add(AHEAD);
        let (tag, spent) = (
            secrets.default_tag().as_str(),
            device.spent.at_rest(horizon),
        );
        let like = (device.kind, device.parameters);
        let Some(fingerprint) = fingerprint(&device.id, like, key, tag, secrets) else {
            return;
        };
        self.0.retain(|tombstone| tombstone.until > now);
        while self.0.len() >= MAX_TOMBSTONES {
            self.0.remove(0);
        }
        let until = now.saturating_add(LIFETIME);
        self.0.push(Tombstone {
            device: device.id,
            fingerprint,
            spent,
            until,
        });
    }

    /// Remembers only the latest `most` steps of each tombstone one by one.
    pub fn remember(&mut self, most: usize) {
        self.0
            .iter_mut()
            .for_each(|tombstone| tombstone.spent.remember(most));
    }

    /// The codes that an earlier device of that kind and period with that key has spent; usually
    /// none.
    #[must_use]
    pub fn spent_with(&self, like: (Kind, Parameters), key: &Key, secrets: &Secrets) -> SpentSteps {
        let same = |tombstone: &&Tombstone| {
            let mut all = secrets
                .tags()
                .filter_map(|tag| fingerprint(&tombstone.device, like, key, tag.as_str(), secrets));
            all.any(|fingerprint| fingerprint.ct_eq(&tombstone.fingerprint).into())
        };
        // The latest tombstone includes the steps of the earlier ones.
        self.0
            .iter()
            .rev()
            .find(same)
            .map(|tombstone| tombstone.spent.clone())
            .unwrap_or_default()
    }
}

fn fingerprint(
    device: &[u8; 16],
    (kind, parameters): (Kind, Parameters),
    key: &Key,
    tag: &str,
    secrets: &Secrets,
) -> Option<[u8; 16]> {
    let period = if kind == Kind::Totp {
        parameters.period
    } else {
        0
    }
    .to_be_bytes();
    let derived = secrets.derive::<32>(tag, None, b"pam-totp fingerprint v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(derived.as_ref()).ok()?;
    let device = length_prefixed(&[device, kind.word().as_bytes(), &period, key.expose()]);
    mac.chain_update(device)
        .finalize()
        .into_bytes()
        .first_chunk()
        .copied()
}

const LIFETIME: u64 = 30 * 86400;
/// Steps ahead of now that may be spent without a clock that runs ahead.
const AHEAD: u64 = 10;
/// As many as fit into a record beside eight devices.
const MAX_TOMBSTONES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{device, secrets, user};

    fn key(byte: u8) -> Key {
        Key::new(vec![byte; 20]).unwrap()
    }

    fn spent(step: u64) -> SpentSteps {
        let mut spent = SpentSteps::default();
        spent.spend(step);
        spent
    }

    /// A device that has used the code of `step`.
    fn used(step: u64) -> Device {
        Device {
            spent: spent(step),
            ..device(&user("alice"), "phone", Parameters::default())
        }
    }

    #[test]
    fn a_key_that_comes_back_has_used_what_it_had_used() {
        let secrets = secrets();
        let mut tombstones = Tombstones::default();
        tombstones.bury(&used(100), &key(1), &secrets, 0);
        tombstones.bury(&used(200), &key(1), &secrets, 0);
        let totp = (Kind::Totp, Parameters::default());
        let of_now = tombstones.spent_with(totp, &key(1), &secrets);
        assert!(!of_now.accepts(200, 201) && of_now.accepts(201, 202));
        assert_eq!(
            tombstones.spent_with(totp, &key(2), &secrets),
            SpentSteps::default()
        );
        let hotp = (Kind::Hotp, Parameters::default());
        let slower = (
            Kind::Totp,
            Parameters {
                period: 60,
                ..Parameters::default()
            },
        );
        for other in [hotp, slower] {
            assert_eq!(
                tombstones.spent_with(other, &key(1), &secrets),
                SpentSteps::default(),
                "{other:?}"
            );
        }
        let longer = (
            Kind::Totp,
            Parameters {
                digits: 8,
                ..Parameters::default()
            },
        );
        assert_eq!(
            tombstones.spent_with(longer, &key(1), &secrets),
            of_now,
            "the same steps"
        );
    }

    #[test]
    fn nobody_sees_that_two_fingerprints_are_of_one_key() {
        let mut tombstones = Tombstones::default();
        for id in [[1; 16], [2; 16]] {
            tombstones.bury(&Device { id, ..used(100) }, &key(1), &secrets(), 0);
        }
        assert_ne!(tombstones.0[0].fingerprint, tombstones.0[1].fingerprint);
    }

    #[test]
    fn tombstones_are_few_and_fall_after_thirty_days() {
        let secrets = secrets();
        let mut tombstones = Tombstones::default();
        for byte in 1..=5 {
            tombstones.bury(&used(100), &key(byte), &secrets, 0);
        }
        assert_eq!(tombstones.0.len(), 4);
        assert_eq!(
            tombstones.spent_with((Kind::Totp, Parameters::default()), &key(5), &secrets),
            spent(100)
        );
        tombstones.bury(&used(100), &key(6), &secrets, LIFETIME);
        assert_eq!(tombstones.0.len(), 1);
    }
}
