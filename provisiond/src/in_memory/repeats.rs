//! Repeated answers. Remembers recent wrong answers, so that the same one, compared with the same
//! positions, is charged once: some clients repeat their answer automatically, and would use up the
//! guess budget within two seconds. A second table of the kind remembers accepted answers, so that
//! a code that comes again behind a password, where none is needed, is told from the password.
//!
//! ```text
//! fingerprint   HMAC-SHA256(random key of this table, user, and of each device that the answer is compared with: id, first
//!               and last position, codes), its first half
//! of accepted   HMAC-SHA256(random key of this table, user, codes), its first half
//! ```
//! In a later time step the positions differ, and the same codes are a new guess. Without the key a
//! fingerprint reveals nothing of its codes. A match reveals only what the caller knows already:
//! the answer was wrong there.
//!
//! Kept in memory, in a table of a fixed size. A keyed hash of the user selects a bucket, and each
//! bucket evicts its oldest entry: a flood of wrong answers for one user evicts the answers of that
//! user and of few others. After an eviction or a restart a repeated answer costs a guess like any
//! other.

use std::collections::VecDeque;
use std::sync::Mutex;

use common::answer::Answer;
use common::names::user::UserName;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::lock;
use crate::policy::Compared;

/// The fingerprints of wrong answers, or of accepted ones.
pub(crate) struct Repeats {
    /// `None`: the system gave no random bytes, and no answer is remembered.
    key: Option<[u8; 32]>,
    buckets: Mutex<Vec<VecDeque<Print>>>,
}

/// The fingerprint of a user's answer and of its comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    bucket: usize,
    print: Print,
}

type Print = [u8; 16];

impl Default for Repeats {
    fn default() -> Self {
        let mut key = [0; 32];
        let key = getrandom::fill(&mut key).ok().map(|()| key);
        Self {
            key,
            buckets: Mutex::new(vec![VecDeque::new(); BUCKETS]),
        }
    }
}

impl Repeats {
    /// The fingerprint of an answer for `user`, the name that the call is about. `None`: the answer
    /// is compared with no device.
    #[must_use]
    pub(crate) fn fingerprint(
        &self,
        user: &UserName,
        compared: &[Compared],
    ) -> Option<Fingerprint> {
        if compared.is_empty() {
            return None;
        }
        self.print(user, |mac| compared.iter().fold(mac, with_device))
    }

    /// The fingerprint of an answer for `user` by its text alone.
    fn of_text(&self, user: &UserName, answer: &Answer) -> Option<Fingerprint> {
        self.print(user, |mac| {
            let pieces = answer.pieces().into_iter();
            pieces.fold(mac, |mac, piece| mac.chain_update(piece))
        })
    }

    fn print(
        &self,
        user: &UserName,
        answer: impl FnOnce(Hmac<Sha256>) -> Hmac<Sha256>,
    ) -> Option<Fingerprint> {
        let mac = field(
            Hmac::<Sha256>::new_from_slice(self.key.as_ref()?).ok()?,
            user.as_str().as_bytes(),
        );
        let bucket = u16::from_be_bytes(*mac.clone().finalize().into_bytes().first_chunk()?);
        let print = answer(mac).finalize().into_bytes();
        Some(Fingerprint {
            bucket: usize::from(bucket).checked_rem(BUCKETS)?,
            print: *print.first_chunk()?,
        })
    }

    /// Whether the user's answer was accepted before.
    #[must_use]
    pub(crate) fn know_text(&self, user: &UserName, answer: &Answer) -> bool {
        self.of_text(user, answer)
            .is_some_and(|fingerprint| self.know(&fingerprint))
    }

    /// Remembers an accepted answer of the user.
    pub(crate) fn remember_text(&self, user: &UserName, answer: &Answer) {
        if let Some(fingerprint) = self.of_text(user, answer)
            && !self.know(&fingerprint)
        {
            self.remember(fingerprint);
        }
    }

    /// Whether the answer was remembered: it was wrong before at the same positions, or accepted.
    #[must_use]
    pub(crate) fn know(&self, fingerprint: &Fingerprint) -> bool {
        let buckets = lock(&self.buckets);
        buckets
            .get(fingerprint.bucket)
            .is_some_and(|prints| prints.contains(&fingerprint.print))
    }

    /// Remembers an answer, after its charge or its spending has become durable.
    pub(crate) fn remember(&self, fingerprint: Fingerprint) {
        let mut buckets = lock(&self.buckets);
        if let Some(prints) = buckets.get_mut(fingerprint.bucket) {
            prints.push_back(fingerprint.print);
            let old = prints.len().saturating_sub(PRINTS);
            prints.drain(..old);
        }
    }
}

fn with_device(mac: Hmac<Sha256>, compared: &Compared) -> Hmac<Sha256> {
    let Compared {
        device,
        codes,
        positions,
    } = compared;
    let mac = field(field(mac, device), &(codes.len() as u64).to_be_bytes());
    let mac = field(
        field(mac, &positions.start().to_be_bytes()),
        &positions.end().to_be_bytes(),
    );
    codes
        .iter()
        .fold(mac, |mac, code| field(mac, code.expose().as_bytes()))
}

/// Length-prefixed, so that different lists of fields never yield the same bytes.
fn field(mac: Hmac<Sha256>, bytes: &[u8]) -> Hmac<Sha256> {
    mac.chain_update((bytes.len() as u64).to_be_bytes())
        .chain_update(bytes)
}

const BUCKETS: usize = 1024;
/// Answers in each bucket: more than a user types within a time step.
const PRINTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use common::secret::SecretText;

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn compared(device: u8, typed: &str, positions: RangeInclusive<u64>) -> Compared {
        let answer = Answer::parse(&[SecretText::new(typed.to_owned())]).unwrap();
        Compared {
            device: [device; 16],
            codes: answer.codes(6).unwrap(),
            positions,
        }
    }

    fn printed(repeats: &Repeats, name: &str, all: &[Compared]) -> Fingerprint {
        repeats.fingerprint(&user(name), all).unwrap()
    }

    #[test]
    fn the_same_codes_at_the_same_positions_are_known_again_and_nothing_else_is() {
        let repeats = Repeats::default();
        repeats.remember(printed(&repeats, "alice", &[compared(1, "123456", 4..=6)]));
        let knows = |name: &str, all: &[Compared]| repeats.know(&printed(&repeats, name, all));
        assert!(
            knows("alice", &[compared(1, "123456", 4..=6)])
                && knows("alice", &[compared(1, "123 456", 4..=6)])
        );
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
        assert!(
            !knows(
                "alice",
                &[compared(1, "123456", 4..=6), compared(2, "123456", 4..=6)]
            ),
            "one device more"
        );
        assert_eq!(repeats.fingerprint(&user("alice"), &[]), None);
    }

    #[test]
    fn an_accepted_answer_is_known_again_for_its_user_however_it_is_typed() {
        let accepted = Repeats::default();
        let typed = |fields: &[&str]| {
            let fields: Vec<SecretText> = fields
                .iter()
                .map(|text| SecretText::new((*text).to_owned()))
                .collect();
            Answer::parse(&fields).unwrap()
        };
        let knows = |name: &str, fields: &[&str]| accepted.know_text(&user(name), &typed(fields));
        for right in ["123456 654321", "abcd-efgh-ijkl-mnop"] {
            accepted.remember_text(&user("alice"), &typed(&[right]));
        }
        assert!(knows("alice", &["123456654321"]) && knows("alice", &["123456", "654-321"]));
        assert!(knows("alice", &["ABCDEFGHIJKLMNOP"]));
        assert!(!knows("bob", &["123456654321"]));
        for another in ["123456", "654321", "654321123456", "abcd-efgh-ijkl-mnoq"] {
            assert!(!knows("alice", &[another]), "{another}");
        }
    }

    #[test]
    fn each_process_has_a_key_of_its_own_and_without_one_nothing_is_remembered() {
        let all = [compared(1, "123456", 4..=6)];
        let (one, other) = (Repeats::default(), Repeats::default());
        assert_ne!(printed(&one, "alice", &all), printed(&other, "alice", &all));
        assert_eq!(
            Repeats { key: None, ..one }.fingerprint(&user("alice"), &all),
            None
        );
    }

    #[test]
    fn the_sixteen_latest_of_a_place_are_kept_whatever_happens_elsewhere() {
        let repeats = Repeats::default();
        let of = |name: &str, n: u64| printed(&repeats, name, &[compared(1, "123456", n..=n)]);
        let bucket = of("alice", 0).bucket;
        let others = (0..)
            .map(|n| format!("user-{n}"))
            .filter(|name| of(name, 0).bucket != bucket);
        repeats.remember(of("alice", 0));
        for name in others.take(5000) {
            (0..4).for_each(|n| repeats.remember(of(&name, n)));
        }
        (1..16).for_each(|n| repeats.remember(of("alice", n)));
        assert!((0..16).all(|n| repeats.know(&of("alice", n))));
        repeats.remember(of("alice", 16));
        assert!(!repeats.know(&of("alice", 0)) && repeats.know(&of("alice", 1)));
        assert!(
            lock(&repeats.buckets)
                .iter()
                .all(|prints| prints.len() <= PRINTS)
        );
    }
}
