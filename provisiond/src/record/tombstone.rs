//! The tombstone of a revoked device: its spent codes, kept for thirty days under a fingerprint of
//! its key, so that enrolling the same key again makes no replay possible.
//!
//! ```text
//! fingerprint   HMAC-SHA256(code key, length-prefixed: "tombstone", the revoked device's id, kind,
//!                           period of a TOTP device, key), its first 16 bytes
//! ```
//! The code key is the record's own, sealed under an application secret. A fingerprint outlives the
//! key that it is of and cannot be remade, so a rotation re-seals the code key, and every tombstone
//! stays. The id makes two fingerprints of one key differ. Kind and period are part of it because
//! steps and counters cannot be compared, nor steps of two periods: the present step of one lies
//! years away in another. The user's name is not, because the user may be renamed.
//!
//! Earlier daemons derived the key of the fingerprint from an application secret (info = "pam-totp
//! fingerprint v1", without the first field), whose tag they did not store. Such tombstones are still
//! recognised while that secret is there.

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
    pub(super) fn bury(&mut self, device: &Device, key: &Key, code_key: &Key, now: u64) {
        let horizon = device
            .drift
            .shown_at(device.parameters.step_at(now))
            .saturating_add(AHEAD);
        let spent = device.spent.at_rest(horizon);
        let like = (device.kind, device.parameters);
        let Some(fingerprint) = fingerprint(&device.id, like, key, code_key) else {
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

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The codes that an earlier device of that kind and period with that key has spent; usually
    /// none.
    #[must_use]
    pub(super) fn spent_with(
        &self,
        like: (Kind, Parameters),
        key: &Key,
        code_key: Option<&Key>,
        secrets: &Secrets,
    ) -> SpentSteps {
        let same = |Tombstone {
                        device,
                        fingerprint: own,
                        ..
                    }: &&Tombstone| {
            let now = code_key.and_then(|code_key| fingerprint(device, like, key, code_key));
            let mut all =
                now.into_iter().chain(secrets.tags().filter_map(|tag| {
                    earlier_fingerprint(device, like, key, tag.as_str(), secrets)
                }));
            all.any(|fingerprint| fingerprint.ct_eq(own).into())
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
    code_key: &Key,
) -> Option<[u8; 16]> {
    let mac = Hmac::<Sha256>::new_from_slice(code_key.expose()).ok()?;
    let period = period(kind, parameters);
    let fields: [&[u8]; 5] = [
        b"tombstone",
        device,
        kind.word().as_bytes(),
        &period,
        key.expose(),
    ];
    finished(mac, &fields)
}

fn earlier_fingerprint(
    device: &[u8; 16],
    (kind, parameters): (Kind, Parameters),
    key: &Key,
    tag: &str,
    secrets: &Secrets,
) -> Option<[u8; 16]> {
    let derived = secrets.derive::<32>(tag, None, b"pam-totp fingerprint v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(derived.as_ref()).ok()?;
    let period = period(kind, parameters);
    finished(
        mac,
        &[device, kind.word().as_bytes(), &period, key.expose()],
    )
}

fn period(kind: Kind, parameters: Parameters) -> [u8; 4] {
    match kind {
        Kind::Totp => parameters.period.to_be_bytes(),
        Kind::Hotp => [0; 4],
    }
}

fn finished(mac: Hmac<Sha256>, fields: &[&[u8]]) -> Option<[u8; 16]> {
    let mac = mac.chain_update(length_prefixed(fields));
    mac.finalize().into_bytes().first_chunk().copied()
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

    fn code_key() -> Key {
        Key::new(vec![9; 32]).unwrap()
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
        let mut tombstones = Tombstones::default();
        tombstones.bury(&used(100), &key(1), &code_key(), 0);
        tombstones.bury(&used(200), &key(1), &code_key(), 0);
        let spent_with =
            |like, key: &Key| tombstones.spent_with(like, key, Some(&code_key()), &secrets());
        let totp = (Kind::Totp, Parameters::default());
        let of_now = spent_with(totp, &key(1));
        assert!(!of_now.accepts(200, 201) && of_now.accepts(201, 202));
        assert_eq!(spent_with(totp, &key(2)), SpentSteps::default());
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
                spent_with(other, &key(1)),
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
        assert_eq!(spent_with(longer, &key(1)), of_now, "the same steps");
    }

    #[test]
    fn a_tombstone_of_an_earlier_daemon_is_recognised_while_its_secret_is_there() {
        let mut tombstones = Tombstones::default();
        tombstones.bury(&used(100), &key(1), &code_key(), 0);
        let totp = (Kind::Totp, Parameters::default());
        let id = tombstones.0[0].device;
        let earlier = earlier_fingerprint(&id, totp, &key(1), "1", &secrets());
        tombstones.0[0].fingerprint = earlier.unwrap();
        let spent_with = |key: &Key| tombstones.spent_with(totp, key, None, &secrets());
        assert_eq!(spent_with(&key(1)), spent(100));
        assert_eq!(spent_with(&key(2)), SpentSteps::default());
    }

    #[test]
    fn nobody_sees_that_two_fingerprints_are_of_one_key() {
        let mut tombstones = Tombstones::default();
        for id in [[1; 16], [2; 16]] {
            tombstones.bury(&Device { id, ..used(100) }, &key(1), &code_key(), 0);
        }
        assert_ne!(tombstones.0[0].fingerprint, tombstones.0[1].fingerprint);
    }

    #[test]
    fn tombstones_are_few_and_fall_after_thirty_days() {
        let mut tombstones = Tombstones::default();
        for byte in 1..=5 {
            tombstones.bury(&used(100), &key(byte), &code_key(), 0);
        }
        assert_eq!(tombstones.0.len(), 4);
        assert_eq!(
            tombstones.spent_with(
                (Kind::Totp, Parameters::default()),
                &key(5),
                Some(&code_key()),
                &secrets()
            ),
            spent(100)
        );
        tombstones.bury(&used(100), &key(6), &code_key(), LIFETIME);
        assert_eq!(tombstones.0.len(), 1);
    }
}
