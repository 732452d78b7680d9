//! Wrong answers of late, so that the same one again, compared with the same positions, is counted once. Some clients repeat
//! their answer by themselves, and would use up all guesses within two seconds.
//!
//! ```text
//! fingerprint   HMAC-SHA256(random key of this process, user, and of each device that the answer is compared with: id, first
//!               and last position, codes), its first half
//! ```
//! A later step of a device's clock is another position: there the same codes are a new guess. A fingerprint says nothing of
//! its codes to a reader without the key, and says of a repeated answer what is known already: it was wrong there.
//!
//! Kept in memory, in a table of a fixed size. Users share its places by a keyed hash, and each place forgets its oldest: a
//! flood of wrong answers at one user pushes out what that user, and few others, have typed. When it is pushed out, and when
//! the daemon restarts, a repeated answer costs a guess like any other.

use std::collections::VecDeque;
use std::sync::Mutex;

use common::names::user::UserName;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::lock;
use crate::policy::Compared;

/// The fingerprints of wrong answers.
pub(crate) struct Repeats {
    /// `None`: the system had no randomness to give, and nothing is remembered.
    key: Option<[u8; 32]>,
    places: Mutex<Vec<VecDeque<Print>>>,
}

/// Stands for what a user has typed and what it was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    place: usize,
    print: Print,
}

type Print = [u8; 16];

impl Default for Repeats {
    fn default() -> Self {
        let mut key = [0; 32];
        let key = getrandom::fill(&mut key).ok().map(|()| key);
        Self { key, places: Mutex::new(vec![VecDeque::new(); PLACES]) }
    }
}

impl Repeats {
    /// The fingerprint of an answer by `user`, the name that was asked about. `None`: it is compared with nothing.
    #[must_use]
    pub(crate) fn fingerprint(&self, user: &UserName, compared: &[Compared]) -> Option<Fingerprint> {
        if compared.is_empty() {
            return None;
        }
        let mac = field(Hmac::<Sha256>::new_from_slice(self.key.as_ref()?).ok()?, user.as_str().as_bytes());
        let place = u16::from_be_bytes(*mac.clone().finalize().into_bytes().first_chunk()?);
        let print = compared.iter().fold(mac, with_device).finalize().into_bytes();
        Some(Fingerprint { place: usize::from(place).checked_rem(PLACES)?, print: *print.first_chunk()? })
    }

    /// Whether the answer was wrong there before.
    #[must_use]
    pub(crate) fn know(&self, fingerprint: &Fingerprint) -> bool {
        let places = lock(&self.places);
        places.get(fingerprint.place).is_some_and(|prints| prints.contains(&fingerprint.print))
    }

    /// Remembers a wrong answer. Its charge is durable by now.
    pub(crate) fn remember(&self, fingerprint: Fingerprint) {
        let mut places = lock(&self.places);
        if let Some(prints) = places.get_mut(fingerprint.place) {
            prints.push_back(fingerprint.print);
            let old = prints.len().saturating_sub(PRINTS);
            prints.drain(..old);
        }
    }
}

fn with_device(mac: Hmac<Sha256>, compared: &Compared) -> Hmac<Sha256> {
    let Compared { device, codes, positions } = compared;
    let mac = field(field(mac, device), &(codes.len() as u64).to_be_bytes());
    let mac = field(field(mac, &positions.start().to_be_bytes()), &positions.end().to_be_bytes());
    codes.iter().fold(mac, |mac, code| field(mac, code.expose().as_bytes()))
}

/// After its length, so that no two lists of fields are the same bytes.
fn field(mac: Hmac<Sha256>, bytes: &[u8]) -> Hmac<Sha256> {
    mac.chain_update((bytes.len() as u64).to_be_bytes()).chain_update(bytes)
}

const PLACES: usize = 1024;
/// In each place: more answers than anybody types within a step.
const PRINTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use common::answer::Answer;
    use common::secret::SecretText;

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn compared(device: u8, typed: &str, positions: RangeInclusive<u64>) -> Compared {
        let answer = Answer::parse(&[SecretText::new(typed.to_owned())]).unwrap();
        Compared { device: [device; 16], codes: answer.codes(6).unwrap(), positions }
    }

    fn printed(repeats: &Repeats, name: &str, all: &[Compared]) -> Fingerprint {
        repeats.fingerprint(&user(name), all).unwrap()
    }

    #[test]
    fn the_same_codes_at_the_same_positions_are_known_again_and_nothing_else_is() {
        let repeats = Repeats::default();
        repeats.remember(printed(&repeats, "alice", &[compared(1, "123456", 4..=6)]));
        let knows = |name: &str, all: &[Compared]| repeats.know(&printed(&repeats, name, all));
        assert!(knows("alice", &[compared(1, "123456", 4..=6)]) && knows("alice", &[compared(1, "123 456", 4..=6)]));
        for (name, device, typed, positions) in [
            ("bob", 1, "123456", 4..=6),
            ("alice", 2, "123456", 4..=6),
            ("alice", 1, "123457", 4..=6),
            ("alice", 1, "123456123456", 4..=6),
            ("alice", 1, "123456", 5..=7),
            ("alice", 1, "123456", 4..=7),
        ] {
            assert!(
                !knows(name, &[compared(device, typed, positions.clone())]),
                "{name} {device} {typed} {positions:?}"
            );
        }
        assert!(!knows("alice", &[compared(1, "123456", 4..=6), compared(2, "123456", 4..=6)]), "one device more");
        assert_eq!(repeats.fingerprint(&user("alice"), &[]), None);
    }

    #[test]
    fn each_process_has_a_key_of_its_own_and_without_one_nothing_is_remembered() {
        let all = [compared(1, "123456", 4..=6)];
        let (one, other) = (Repeats::default(), Repeats::default());
        assert_ne!(printed(&one, "alice", &all), printed(&other, "alice", &all));
        assert_eq!(Repeats { key: None, ..one }.fingerprint(&user("alice"), &all), None);
    }

    #[test]
    fn the_sixteen_latest_of_a_place_are_kept_whatever_happens_elsewhere() {
        let repeats = Repeats::default();
        let of = |name: &str, n: u64| printed(&repeats, name, &[compared(1, "123456", n..=n)]);
        let place = of("alice", 0).place;
        let others = (0..).map(|n| format!("user-{n}")).filter(|name| of(name, 0).place != place);
        repeats.remember(of("alice", 0));
        for name in others.take(5000) {
            (0..4).for_each(|n| repeats.remember(of(&name, n)));
        }
        (1..16).for_each(|n| repeats.remember(of("alice", n)));
        assert!((0..16).all(|n| repeats.know(&of("alice", n))));
        repeats.remember(of("alice", 16));
        assert!(!repeats.know(&of("alice", 0)) && repeats.know(&of("alice", 1)));
        assert!(lock(&repeats.places).iter().all(|prints| prints.len() <= PRINTS));
    }
}
