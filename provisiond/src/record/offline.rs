//! What a login host keeps of one user for the time in which it reaches no verifier: hashes of pairs
//! of codes, which of them are used up, and how many wrong pairs were typed. Pure.
//!
//! It holds no key and no code. The file's last bytes are a checksum, so that a damaged file counts
//! as none; an attacker that can write the file is root of the login host, and needs no code there.

use common::answer::CODE_DIGITS;
use common::names::user::UserName;
use common::pairs::PairHash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is kept of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The user's name.
    pub user: String,
    /// The latest time at which a pair was judged, in Unix seconds.
    pub latest: u64,
    /// When wrong pairs were typed, the latest of them, in Unix seconds.
    pub wrong: Vec<u64>,
    /// The PAM services for which the pairs count.
    pub services: Vec<String>,
    /// When the pairs came, in Unix seconds.
    pub made: u64,
    /// The salt of all hashes.
    pub salt: [u8; 16],
    /// Iterations of each hash.
    pub iterations: u32,
    /// The devices.
    pub devices: Vec<KeptDevice>,
}

/// What is kept of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDevice {
    /// Its id.
    pub id: [u8; 16],
    /// Digits in a code.
    pub digits: u8,
    /// Seconds in a time step.
    pub period: u32,
    /// Steps that its clock is ahead.
    pub drift: i64,
    /// No code of this step or an earlier one opens a login. It never falls.
    pub floor: u64,
    /// The latest step that was used here and that no verifier knows of yet.
    pub unreported: Option<u64>,
    /// The step at which the first pair begins.
    pub first: u64,
    /// The hashes of the pairs, each two steps after the one before.
    pub hashes: Vec<u8>,
}

impl Kept {
    /// Nothing is known of the user yet.
    #[must_use]
    pub fn nothing(user: &UserName) -> Self {
        Self {
            user: user.as_str().to_owned(),
            latest: 0,
            wrong: Vec::new(),
            services: Vec::new(),
            made: 0,
            salt: [0; 16],
            iterations: 1,
            devices: Vec::new(),
        }
    }

    /// Reads the bytes of a file. `None`: it is damaged, of another version, or not of that user.
    #[must_use]
    pub fn parse(bytes: &[u8], user: &UserName) -> Option<Self> {
        let (of, kept) = Self::parse_any(bytes)?;
        (of == *user).then_some(kept)
    }

    /// The same, of whichever user.
    #[must_use]
    pub fn parse_any(bytes: &[u8]) -> Option<(UserName, Self)> {
        let body = bytes.strip_prefix(TITLE)?;
        let (body, told) = body.split_at_checked(body.len().checked_sub(CHECKSUM)?)?;
        (checksum(body) == told).then_some(())?;
        let (kept, rest) = postcard::take_from_bytes::<Self>(body).ok()?;
        let user = UserName::new(&kept.user).ok()?;
        (rest.is_empty() && kept.is_sound()).then_some((user, kept))
    }

    /// The bytes of the file. `None`: it has more than a file may have.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let body = self.is_sound().then(|| postcard::to_stdvec(self).ok())??;
        Some(sealed(&body))
    }

    /// Whether a pair of the user could still open a login at `now`, in Unix seconds.
    #[must_use]
    pub fn has_pairs(&self, now: u64) -> bool {
        self.devices.iter().any(|device| device.has_pairs(now))
    }

    /// Whether a verifier has yet to hear of a code that was used here.
    #[must_use]
    pub fn has_unreported(&self) -> bool {
        let mut devices = self.devices.iter();
        devices.any(|device| device.unreported.is_some())
    }

    /// The same without any pair. What was used, and when wrong pairs were typed, stays.
    #[must_use]
    pub fn without_pairs(mut self) -> Self {
        self.devices.retain(|device| device.unreported.is_some());
        for device in &mut self.devices {
            device.hashes.clear();
        }
        self
    }

    fn is_sound(&self) -> bool {
        let hashes: usize = self.devices.iter().map(|device| device.hashes.len()).sum();
        UserName::new(&self.user).is_ok()
            && self.wrong.len() <= MOST_WRONG
            && self.services.len() <= MOST_SERVICES
            && (1..=MOST_ITERATIONS).contains(&self.iterations)
            && self.devices.len() <= MOST_DEVICES.saturating_mul(2)
            && self.devices.iter().all(KeptDevice::is_sound)
            && hashes <= MOST_PAIRS.saturating_mul(HASH)
    }
}

impl KeptDevice {
    /// The hash of the pair that begins at that step, if it is kept.
    #[must_use]
    pub fn hash_at(&self, step: u64) -> Option<PairHash> {
        let after = step.checked_sub(self.first)?;
        let number = usize::try_from(after.checked_div(2)?).ok()?;
        let (hashes, _) = self.hashes.as_chunks::<HASH>();
        let hash = hashes.get(number).copied();
        hash.filter(|_| after.is_multiple_of(2))
    }

    /// The step that the device shows at `now`, in Unix seconds.
    #[must_use]
    pub fn shown_at(&self, now: u64) -> u64 {
        let step = now.checked_div(u64::from(self.period)).unwrap_or(0);
        step.saturating_add_signed(self.drift)
    }

    fn has_pairs(&self, now: u64) -> bool {
        let pairs = self.hashes.len().checked_div(HASH).unwrap_or(0) as u64;
        let end = self.first.saturating_add(pairs.saturating_mul(2));
        pairs > 0 && end > self.shown_at(now)
    }

    fn is_sound(&self) -> bool {
        CODE_DIGITS.contains(&usize::from(self.digits))
            && self.period > 0
            && self.drift.unsigned_abs() <= MOST_DRIFT
            && self.first.is_multiple_of(2)
            && self.hashes.len().is_multiple_of(HASH)
    }
}

/// The bytes of a file with that body: its title before it, its checksum behind it.
#[must_use]
pub fn sealed(body: &[u8]) -> Vec<u8> {
    [TITLE, body, &checksum(body)].concat()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    Sha256::new()
        .chain_update(TITLE)
        .chain_update(body)
        .finalize()
        .into()
}

/// Devices of a user that are kept.
pub const MOST_DEVICES: usize = 4;
/// Pairs of a user that are kept, of all devices.
pub const MOST_PAIRS: usize = 960;
/// Wrong pairs of a user within an hour: after so many none is judged.
pub const MOST_WRONG: usize = 10;
/// Bytes of a file: all of its pairs, and all the rest.
pub const MOST_BYTES: usize = 32 * 1024;
const TITLE: &[u8] = b"pam-totp offline copy 1\n";
const CHECKSUM: usize = 32;
const HASH: usize = size_of::<PairHash>();
const MOST_SERVICES: usize = 16;
const MOST_ITERATIONS: u32 = 100_000;
/// Steps: far more than a verifier ever learns.
const MOST_DRIFT: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserName {
        UserName::new("alice").unwrap()
    }

    fn kept() -> Kept {
        Kept {
            latest: 7,
            wrong: vec![5, 6],
            services: vec!["sshd".to_owned()],
            made: 4,
            salt: [9; 16],
            iterations: 1000,
            devices: vec![KeptDevice {
                id: [3; 16],
                digits: 6,
                period: 30,
                drift: -2,
                floor: 99,
                unreported: Some(98),
                first: 100,
                hashes: (0..32).collect(),
            }],
            ..Kept::nothing(&alice())
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes = kept().to_bytes().unwrap();
        assert_eq!(Kept::parse(&bytes, &alice()), Some(kept()));
        let bob = UserName::new("bob").unwrap();
        assert_eq!(Kept::parse(&bytes, &bob), None, "another user's");
        for length in 0..bytes.len() {
            assert_eq!(Kept::parse(&bytes[..length], &alice()), None, "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Kept::parse(&damaged, &alice()), None, "bit {bit}");
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert_eq!(Kept::parse(&longer, &alice()), None);
    }

    #[test]
    fn a_file_has_no_more_than_it_may_have() {
        let change = |change: &dyn Fn(&mut Kept)| {
            let mut kept = kept();
            change(&mut kept);
            kept.to_bytes().map(|bytes| bytes.len())
        };
        let full = change(&|kept| kept.devices[0].hashes = vec![0; MOST_PAIRS * HASH]);
        assert!(full.is_some_and(|length| length <= MOST_BYTES));
        for wrong in [
            change(&|kept| kept.devices[0].hashes = vec![0; (MOST_PAIRS + 1) * HASH]),
            change(&|kept| kept.devices[0].hashes = vec![0; 15]),
            change(&|kept| kept.devices[0].first = 101),
            change(&|kept| kept.devices[0].digits = 5),
            change(&|kept| kept.devices[0].period = 0),
            change(&|kept| kept.devices[0].drift = 1001),
            change(&|kept| kept.wrong = vec![0; MOST_WRONG + 1]),
            change(&|kept| kept.iterations = 0),
            change(&|kept| kept.devices = vec![kept.devices[0].clone(); 9]),
            change(&|kept| kept.user = "a/b".to_owned()),
        ] {
            assert_eq!(wrong, None);
        }
    }

    #[test]
    fn a_pair_is_found_at_its_step_alone() {
        let device = kept().devices.remove(0);
        let first: PairHash = std::array::from_fn(|at| at as u8);
        assert_eq!(device.hash_at(100), Some(first));
        assert_eq!(device.hash_at(102).map(|hash| hash[0]), Some(16));
        for step in [0, 98, 99, 101, 103, 104, u64::MAX] {
            assert_eq!(device.hash_at(step), None, "{step}");
        }
        // The device is two steps behind.
        assert_eq!(device.shown_at(3000), 98);
        assert!(kept().has_pairs(3000) && !kept().has_pairs(3180));
    }

    #[test]
    fn without_pairs_what_was_used_stays() {
        let bare = kept().without_pairs();
        assert!(bare.has_unreported() && !bare.has_pairs(0));
        assert_eq!((bare.devices[0].floor, bare.wrong.len()), (99, 2));
        let mut told = kept();
        told.devices[0].unreported = None;
        assert!(told.without_pairs().devices.is_empty());
    }
}
