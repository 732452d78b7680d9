//! TOTP and HOTP codes from keys: RFC 4226 (HOTP) over the time steps of RFC 6238 (TOTP).
//!
//! Pure: the caller gives the key, the codes and the steps. It knows no clock and no spent step.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::answer::{CODE_DIGITS, Code};
use crate::secret::Key;
use crate::words::words;

words! {
    /// The hash under HMAC.
    #[derive(Default)]
    pub enum Algorithm {
        /// HMAC-SHA-1, which every authenticator knows.
        #[default]
        Sha1 = "sha1",
        /// HMAC-SHA-256.
        Sha256 = "sha256",
        /// HMAC-SHA-512.
        Sha512 = "sha512",
    }
}

impl Algorithm {
    /// Bytes in a new key: as many as the hash gives (RFC 6238 section 5.1).
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Algorithm {
    type Err = BadParameters;

    /// Parses the word in either case, with or without a hyphen (`sha1`, `SHA-256`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.to_ascii_lowercase();
        match word.strip_prefix("sha-").or(word.strip_prefix("sha")) {
            Some("1") => Ok(Self::Sha1),
            Some("256") => Ok(Self::Sha256),
            Some("512") => Ok(Self::Sha512),
            _ => Err(BadParameters::Algorithm),
        }
    }
}

/// What a key's codes look like. Fixed for the life of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The hash.
    pub alg: Algorithm,
    /// Digits in a code, 6 to 10.
    pub digits: u8,
    /// Seconds in a step, at least 1.
    pub period: u32,
}

impl Default for Parameters {
    /// SHA-1, 6 digits, 30 seconds: what every authenticator assumes.
    fn default() -> Self {
        Self {
            alg: Algorithm::Sha1,
            digits: 6,
            period: 30,
        }
    }
}

impl Parameters {
    /// Parameters for a new device: 6 to 10 digits, 15 to 120 seconds.
    ///
    /// # Errors
    /// [`BadParameters`], with the bounds.
    pub fn for_new_device(alg: Algorithm, digits: u8, period: u32) -> Result<Self, BadParameters> {
        if !CODE_DIGITS.contains(&usize::from(digits)) {
            return Err(BadParameters::Digits);
        }
        if !NEW_PERIODS.contains(&period) {
            return Err(BadParameters::Period);
        }
        Ok(Self {
            alg,
            digits,
            period,
        })
    }

    /// The step that `time` (Unix seconds) lies in: RFC 6238 section 4.2, T0 = 0.
    #[must_use]
    pub fn step_at(&self, time: u64) -> u64 {
        time.checked_div(u64::from(self.period)).unwrap_or(0)
    }

    /// When `step` begins, in Unix seconds.
    #[must_use]
    pub fn start_of(&self, step: u64) -> u64 {
        step.saturating_mul(u64::from(self.period))
    }

    /// The steps of `steps` at which the key shows the first of `codes`, and the other codes in the
    /// following steps: usually none or one. Every step is computed and every code compared, so
    /// that the time taken does not tell which code was wrong. An empty `codes` is found nowhere.
    #[must_use]
    pub fn find(&self, key: &Key, codes: &[Code], steps: RangeInclusive<u64>) -> Vec<u64> {
        let hmac = hmac(self.alg, key);
        let shown: Vec<(u64, Choice)> = steps
            .map(|step| (step, self.shows(&hmac, codes, step)))
            .collect();
        shown
            .into_iter()
            .filter(|(_, shown)| bool::from(*shown))
            .map(|(step, _)| step)
            .collect()
    }

    fn shows(&self, hmac: &totp_rs::Totp, codes: &[Code], step: u64) -> Choice {
        let some = Choice::from(u8::from(!codes.is_empty()));
        let equal = (0..)
            .zip(codes)
            .map(|(later, code)| self.equals(hmac, code, step.saturating_add(later)));
        equal.fold(some, |all, one| all & one)
    }

    /// Compares numbers: the skew of a wrong code is sought at hundreds of steps, and a text for each
    /// takes longer than its HMAC. How many digits a code has is no secret.
    fn equals(&self, hmac: &totp_rs::Totp, code: &Code, step: u64) -> Choice {
        let has_length = code.digits() == usize::from(self.digits);
        self.number_at(hmac, step).ct_eq(&code.number()) & Choice::from(u8::from(has_length))
    }

    /// The key's code at `step`, in full length. RFC 4226 section 5.3.
    #[must_use]
    pub fn code_at(&self, key: &Key, step: u64) -> Zeroizing<String> {
        let code = self.number_at(&hmac(self.alg, key), step);
        Zeroizing::new(format!("{code:0width$}", width = usize::from(self.digits)))
    }

    fn number_at(&self, hmac: &totp_rs::Totp, step: u64) -> u64 {
        let value = u64::from(truncate(hmac.sign(step).as_ref()));
        let modulus = 10u64.saturating_pow(u32::from(self.digits));
        value.checked_rem(modulus).unwrap_or(value)
    }
}

/// Why parameters are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// No such hash.
    #[error("the algorithm must be sha1, sha256 or sha512")]
    Algorithm,
    /// Too few or too many digits.
    #[error("a code has 6 to 10 digits")]
    Digits,
    /// Too short or too long a period.
    #[error("a period has 15 to 120 seconds")]
    Period,
}

/// Signs steps with the key. It wipes its copy of the key.
fn hmac(alg: Algorithm, key: &Key) -> totp_rs::Totp {
    let alg = match alg {
        Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
        Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
        Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
    };
    // With steps of one second, the library's time is the counter. "Noncompliant" only leaves out
    // its own bounds.
    let builder = totp_rs::Builder::new()
        .with_algorithm(alg)
        .with_step_duration(1);
    builder
        .with_secret(key.expose().to_vec())
        .build_noncompliant()
}

/// Dynamic truncation (RFC 4226 section 5.3): four bytes at the offset in the last nibble, without
/// the top bit.
fn truncate(hash: &[u8]) -> u32 {
    let offset = usize::from(hash.last().copied().unwrap_or(0) & 0x0f);
    let window = hash
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<4>())
        .copied()
        .unwrap_or_default();
    u32::from_be_bytes(window) & 0x7fff_ffff
}

const NEW_PERIODS: RangeInclusive<u32> = 15..=120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    /// RFC 6238, Appendix B: time, then the eight-digit codes of the three hashes.
    const APPENDIX_B: [(u64, &str, &str, &str); 6] = [
        (59, "94287082", "46119246", "90693936"),
        (1_111_111_109, "07081804", "68084774", "25091201"),
        (1_111_111_111, "14050471", "67062674", "99943326"),
        (1_234_567_890, "89005924", "91819424", "93441116"),
        (2_000_000_000, "69279037", "90698825", "38618901"),
        (20_000_000_000, "65353130", "77737706", "47863826"),
    ];

    fn key(length: usize) -> Key {
        Key::new(b"1234567890".iter().copied().cycle().take(length).collect()).unwrap()
    }

    fn codes(text: &str) -> Vec<Code> {
        text.split(' ')
            .map(|code| Code::new(code).unwrap())
            .collect()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (time, sha1, sha256, sha512) in APPENDIX_B {
            for (alg, expected) in [
                (Algorithm::Sha1, sha1),
                (Algorithm::Sha256, sha256),
                (Algorithm::Sha512, sha512),
            ] {
                let parameters = Parameters {
                    alg,
                    digits: 8,
                    period: 30,
                };
                let found = parameters.code_at(&key(alg.key_bytes()), parameters.step_at(time));
                assert_eq!(*found, expected, "{alg} at {time}");
            }
        }
    }

    #[test]
    fn codes_are_those_of_rfc_4226() {
        // RFC 4226, Appendix D: counters 0 to 9; the untruncated decimal of the first shows all ten
        // digits.
        let six = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (counter, expected) in (0..).zip(six) {
            assert_eq!(*Parameters::default().code_at(&key(20), counter), expected);
        }
        let ten = Parameters {
            digits: 10,
            ..Parameters::default()
        };
        assert_eq!(*ten.code_at(&key(20), 0), "1284755224");
        assert_eq!(*ten.code_at(&key(20), 5), "0868254676");
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let parameters = Parameters::default();
        for time in [
            0,
            29,
            2_147_483_647,
            4_294_967_296,
            i64::MAX as u64,
            u64::MAX,
        ] {
            assert_eq!(
                parameters.code_at(&key(20), parameters.step_at(time)).len(),
                6
            );
        }
        assert_eq!(parameters.start_of(u64::MAX), u64::MAX);
        assert!(
            parameters
                .find(&key(20), &codes("123456 123456"), u64::MAX..=u64::MAX)
                .is_empty()
        );
    }

    #[test]
    fn a_code_of_another_length_is_never_found() {
        let parameters = Parameters {
            digits: 8,
            ..Parameters::default()
        };
        assert_eq!(parameters.find(&key(20), &codes("94287082"), 0..=3), [1]);
        assert!(
            parameters
                .find(&key(20), &codes("287082"), 0..=3)
                .is_empty()
        );
        assert!(parameters.find(&key(20), &[], 0..=3).is_empty());
    }

    proptest! {
        #[test]
        fn a_code_is_found_at_its_step(step in 5u64..1 << 40, digits in 6u8..=10, bytes in prop::collection::vec(any::<u8>(), 10..64)) {
            let parameters = Parameters { digits, ..Parameters::default() };
            let key = Key::new(bytes).unwrap();
            let shown: Vec<Code> = (step..step + 3).map(|at| Code::new(&parameters.code_at(&key, at)).unwrap()).collect();
            for count in 1..=3 {
                prop_assert!(parameters.find(&key, &shown[..count], step - 5..=step + 5).contains(&step));
            }
        }
    }

    #[test]
    fn a_code_of_another_length_is_found_nowhere() {
        let (six, step) = (Parameters::default(), 2);
        let found = |typed: &str| six.find(&key(20), &codes(typed), 0..=9);
        assert_eq!(found("359152"), [step]);
        assert!(found("0359152").is_empty() && found("0000359152").is_empty());
    }

    #[test]
    fn parameters_of_new_devices_are_bounded() {
        assert!(Parameters::for_new_device(Algorithm::Sha512, 10, 120).is_ok());
        assert_eq!(
            Parameters::for_new_device(Algorithm::Sha1, 5, 30),
            Err(BadParameters::Digits)
        );
        assert_eq!(
            Parameters::for_new_device(Algorithm::Sha1, 11, 30),
            Err(BadParameters::Digits)
        );
        assert_eq!(
            Parameters::for_new_device(Algorithm::Sha1, 6, 14),
            Err(BadParameters::Period)
        );
        assert_eq!(
            Parameters::for_new_device(Algorithm::Sha1, 6, 121),
            Err(BadParameters::Period)
        );
        assert_eq!("SHA-256".parse(), Ok(Algorithm::Sha256));
        assert_eq!("md5".parse::<Algorithm>(), Err(BadParameters::Algorithm));
    }
}
