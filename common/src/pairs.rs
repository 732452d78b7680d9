//! Hashes of pairs of consecutive codes: what a login host keeps of a user, so that it can judge two
//! codes while no verifier can be reached.
//!
//! ```text
//! hash   PBKDF2-HMAC-SHA256(first code ‖ second code, salt ‖ device ‖ step of the first code), first 16 bytes   RFC 8018
//! ```
//! A pair begins at an even step, so no code is in two pairs. Otherwise an attacker that has found one
//! pair by trying all would know one code of the next one, and would have to try a million in place
//! of a million millions: one pair would give all of them.

use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The hash of a pair.
pub type PairHash = [u8; 16];

/// The place that a pair belongs to: two places never give one hash.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The salt of the copy, random.
    pub salt: &'a [u8; 16],
    /// The device's id.
    pub device: &'a [u8; 16],
    /// The time step of the first code.
    pub step: u64,
}

/// Hashes the two codes.
#[must_use]
pub fn hash([first, second]: [&str; 2], place: &Place<'_>, iterations: u32) -> PairHash {
    let codes = Zeroizing::new([first.as_bytes(), second.as_bytes()].concat());
    let step = place.step.to_be_bytes();
    let salt = [&place.salt[..], &place.device[..], &step[..]].concat();
    let mut hash = PairHash::default();
    pbkdf2_hmac::<Sha256>(&codes, &salt, iterations.max(1), &mut hash);
    hash
}

/// The steps from `begin` to `end` at which a pair can begin.
pub fn first_steps(begin: u64, end: u64) -> impl Iterator<Item = u64> {
    let first = begin.checked_next_multiple_of(2);
    first
        .into_iter()
        .flat_map(move |first| (first..=end).step_by(2))
}

/// Iterations of a hash. What they cost the verifier and an attacker is in docs/decisions.md.
pub const ITERATIONS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 16] = *b"a salt of 16 by.";
    const DEVICE: [u8; 16] = *b"a device's ident";

    fn place(step: u64) -> Place<'static> {
        Place {
            salt: &SALT,
            device: &DEVICE,
            step,
        }
    }

    #[test]
    fn a_hash_is_that_of_another_implementation() {
        // python3: hashlib.pbkdf2_hmac('sha256', b'755224287082', salt + device + (58).to_bytes(8, 'big'), 1000, 16)
        let hash = hash(["755224", "287082"], &place(58), 1000);
        assert_eq!(data_encoding::HEXLOWER.encode(&hash), KNOWN);
    }

    #[test]
    fn another_pair_place_or_number_of_iterations_has_another_hash() {
        let one = hash(["755224", "287082"], &place(58), 2);
        for other in [
            hash(["287082", "755224"], &place(58), 2),
            hash(["755224", "287082"], &place(60), 2),
            hash(["755224", "287082"], &place(58), 3),
            hash(
                ["755224", "287082"],
                &Place {
                    salt: &DEVICE,
                    ..place(58)
                },
                2,
            ),
            hash(
                ["755224", "287082"],
                &Place {
                    device: &SALT,
                    ..place(58)
                },
                2,
            ),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn no_code_is_in_two_pairs() {
        let steps: Vec<u64> = first_steps(3, 10).collect();
        assert_eq!(steps, [4, 6, 8, 10]);
        assert_eq!(first_steps(5, 5).count(), 0);
        assert_eq!(first_steps(u64::MAX, u64::MAX).count(), 0);
    }

    const KNOWN: &str = "62920a363736f939f1bb7d774ecf4831";
}
