//! Which tries belong to one login, so that a person's own typos can be given back to them.
//!
//! Only a charged typo leaves a trace here, and budgets are small: no crowd can fill it. Kept in memory, bounded, and
//! good for five minutes: a daemon that restarts forgets it all, and nothing is lost but the refund.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::user::UserName;
use data_encoding::HEXLOWER;

/// One login: a random name, and whose it is. Nobody else's tries can borrow the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    /// 128 random bits, in hexadecimal.
    pub name: String,
    /// The user asked about.
    pub user: UserName,
    /// The calling process's user.
    pub uid: u32,
    /// The calling process.
    pub pid: i32,
}

/// A name for a new conversation. Empty when the system has no randomness to give: only the refund is lost.
#[must_use]
pub fn new_name() -> String {
    let mut bits = [0; NAME_BYTES];
    getrandom::fill(&mut bits).map_or_else(|_| String::new(), |()| HEXLOWER.encode(&bits))
}

/// The typos of logins that are going on.
#[derive(Debug, Default)]
pub struct Typos(Mutex<HashMap<Conversation, Charged>>);

#[derive(Debug)]
struct Charged {
    first: Instant,
    units: Vec<u32>,
}

impl Typos {
    /// Units that a success in this conversation would give back now.
    #[must_use]
    pub fn refund(&self, conversation: &Conversation) -> u32 {
        let all = self.lock();
        let charged = all.get(conversation).filter(|charged| charged.first.elapsed() < LIFETIME);
        charged.map_or(0, |charged| charged.units.iter().fold(0, |sum, units| sum.saturating_add(*units)))
    }

    /// Remembers what a typo cost, for the first two of them.
    pub fn add(&self, conversation: &Conversation, units: u32) {
        if units == 0 || conversation.name.len() != NAME_BYTES.saturating_mul(2) {
            return;
        }
        let mut all = self.lock();
        if all.len() >= MAX_CONVERSATIONS {
            all.retain(|_, charged| charged.first.elapsed() < LIFETIME);
        }
        if all.len() < MAX_CONVERSATIONS || all.contains_key(conversation) {
            let fresh = || Charged { first: Instant::now(), units: Vec::new() };
            let charged = all.entry(conversation.clone()).or_insert_with(fresh);
            if charged.units.len() < MAX_TYPOS {
                charged.units.push(units);
            }
        }
    }

    /// Forgets them: they were given back.
    pub fn settle(&self, conversation: &Conversation) {
        self.lock().remove(conversation);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Conversation, Charged>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NAME_BYTES: usize = 16;
const MAX_CONVERSATIONS: usize = 4096;
const LIFETIME: Duration = Duration::from_secs(300);
/// A person who mistypes more often than this in one login is hard to tell from one who guesses.
const MAX_TYPOS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(name: &str, pid: i32) -> Conversation {
        Conversation { name: name.into(), user: UserName::new("alice").unwrap(), uid: 0, pid }
    }

    #[test]
    fn two_typos_are_given_back_once_and_to_their_own_login_only() {
        let (typos, name) = (Typos::default(), new_name());
        let (own, other) = (conversation(&name, 1), conversation(&name, 2));
        for units in [1, 0, 2, 4] {
            typos.add(&own, units);
        }
        assert_eq!((typos.refund(&own), typos.refund(&other)), (3, 0));
        typos.settle(&other);
        assert_eq!(typos.refund(&own), 3);
        typos.settle(&own);
        assert_eq!(typos.refund(&own), 0);
    }

    #[test]
    fn a_name_that_we_did_not_make_is_not_remembered() {
        let typos = Typos::default();
        for name in ["", "short", &"x".repeat(1 << 16)] {
            typos.add(&conversation(name, 1), 1);
        }
        assert!(typos.lock().is_empty());
        assert_ne!(new_name(), new_name());
    }

    #[test]
    fn typos_are_few_and_forgotten_after_five_minutes() {
        let (typos, name) = (Typos::default(), new_name());
        for pid in 0..=MAX_CONVERSATIONS as i32 {
            typos.add(&conversation(&name, pid), 1);
        }
        assert_eq!(typos.lock().len(), MAX_CONVERSATIONS);
        let past = Instant::now().checked_sub(LIFETIME).expect("a machine that has been up for five minutes");
        typos.lock().values_mut().for_each(|charged| charged.first = past);
        assert_eq!(typos.refund(&conversation(&name, 1)), 0);
        typos.add(&conversation(&name, -1), 1);
        assert_eq!(typos.lock().len(), 1);
    }
}
