//! Which tries belong to one login, so that a person's own typos can be given back to them.
//!
//! Only a charged typo leaves a trace here. Kept in memory, bounded, and good for five minutes: of a crowd of guessers, and of a
//! daemon that restarts, it forgets the oldest or all, and nothing is lost but the refund.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use data_encoding::HEXLOWER;

use crate::record::budget::Units;

/// One login: a random name, and whose it is. Nobody else's tries can borrow the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Conversation {
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
pub(crate) fn new_name() -> String {
    let mut bits = [0; NAME_BYTES];
    getrandom::fill(&mut bits).map_or_else(|_| String::new(), |()| HEXLOWER.encode(&bits))
}

/// The typos of logins that are going on.
#[derive(Debug, Default)]
pub(crate) struct Typos(Mutex<HashMap<Conversation, Charged>>);

/// The typos of one login that may be given back.
#[derive(Debug, Default)]
pub(crate) struct Charged {
    first: Option<Instant>,
    costs: Vec<Units>,
}

impl Charged {
    /// What a success would give back now.
    #[must_use]
    pub(crate) fn refund(&self) -> Units {
        if self.is_over() { Units::default() } else { self.costs.iter().copied().fold(Units::default(), Units::and) }
    }

    /// With what one more has cost: the first two count.
    #[must_use]
    pub(crate) fn and(mut self, cost: Units) -> Self {
        if !cost.are_none() && self.costs.len() < MAX_TYPOS {
            self.first.get_or_insert_with(Instant::now);
            self.costs.push(cost);
        }
        self
    }

    fn is_over(&self) -> bool {
        self.first.is_none_or(|first| first.elapsed() >= LIFETIME)
    }
}

impl Typos {
    /// Takes out what there is of a conversation: of two of its tries at once, one gives it back.
    #[must_use]
    pub(crate) fn take(&self, conversation: &Conversation) -> Charged {
        self.lock().remove(conversation).unwrap_or_default()
    }

    /// Keeps it for the next try.
    pub(crate) fn keep(&self, conversation: Conversation, charged: Charged) {
        if charged.is_over() || conversation.name.len() != NAME_BYTES.saturating_mul(2) {
            return;
        }
        let mut all = self.lock();
        make_room(&mut all);
        all.insert(conversation, charged);
    }

    /// Forgets those of a user: they were given back otherwise.
    pub(crate) fn forget(&self, user: &UserName) {
        self.lock().retain(|conversation, _| conversation.user != *user);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Conversation, Charged>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is over goes first, then the oldest: whoever mistyped just now is about to type again.
fn make_room(all: &mut HashMap<Conversation, Charged>) {
    if all.len() < MAX_CONVERSATIONS {
        return;
    }
    all.retain(|_, charged| !charged.is_over());
    let oldest = all.iter().min_by_key(|(_, charged)| charged.first).map(|(conversation, _)| conversation.clone());
    if let (true, Some(oldest)) = (all.len() >= MAX_CONVERSATIONS, oldest) {
        all.remove(&oldest);
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

    fn cost(unknown: u32) -> Units {
        Units { known: 0, unknown }
    }

    /// A try that costs something, without success.
    fn try_it(typos: &Typos, conversation: &Conversation, units: Units) {
        typos.keep(conversation.clone(), typos.take(conversation).and(units));
    }

    #[test]
    fn two_typos_are_given_back_once_and_to_their_own_login_only() {
        let (typos, name) = (Typos::default(), new_name());
        let (own, other) = (conversation(&name, 1), conversation(&name, 2));
        for units in [1, 0, 2, 4] {
            try_it(&typos, &own, cost(units));
        }
        assert_eq!(typos.take(&other).refund(), Units::default());
        assert_eq!(typos.take(&own).refund(), cost(3));
        assert_eq!(typos.take(&own).refund(), Units::default(), "another try at the same moment gives nothing back");
    }

    #[test]
    fn each_pool_gets_back_what_it_has_paid() {
        let (typos, own) = (Typos::default(), conversation(&new_name(), 1));
        try_it(&typos, &own, Units { known: 1, unknown: 0 });
        try_it(&typos, &own, cost(2));
        assert_eq!(typos.take(&own).refund(), Units { known: 1, unknown: 2 });
    }

    #[test]
    fn who_got_the_guesses_back_otherwise_gets_none_for_typos() {
        let (typos, name) = (Typos::default(), new_name());
        let alice = conversation(&name, 1);
        let bob = Conversation { user: UserName::new("bob").unwrap(), ..alice.clone() };
        try_it(&typos, &alice, cost(1));
        try_it(&typos, &bob, cost(1));
        typos.forget(&alice.user);
        assert_eq!([&alice, &bob].map(|own| typos.take(own).refund()), [cost(0), cost(1)]);
    }

    #[test]
    fn a_name_that_we_did_not_make_is_not_remembered() {
        let typos = Typos::default();
        for name in ["", "short", &"x".repeat(1 << 16)] {
            try_it(&typos, &conversation(name, 1), cost(1));
        }
        assert!(typos.lock().is_empty());
        assert_ne!(new_name(), new_name());
    }

    #[test]
    fn typos_are_few_and_forgotten_after_five_minutes() {
        let (typos, name) = (Typos::default(), new_name());
        for pid in 0..=MAX_CONVERSATIONS as i32 {
            try_it(&typos, &conversation(&name, pid), cost(1));
        }
        assert_eq!(typos.lock().len(), MAX_CONVERSATIONS);
        let past = Instant::now().checked_sub(LIFETIME).expect("a machine that has been up for five minutes");
        typos.lock().values_mut().for_each(|charged| charged.first = Some(past));
        assert_eq!(typos.take(&conversation(&name, 1)).refund(), Units::default());
        for pid in [-1, -2] {
            try_it(&typos, &conversation(&name, pid), cost(1));
        }
        assert_eq!(typos.lock().len(), 2);
    }

    #[test]
    fn a_crowd_pushes_the_oldest_out() {
        let (typos, name) = (Typos::default(), new_name());
        for pid in 0..=MAX_CONVERSATIONS as i32 {
            try_it(&typos, &conversation(&name, pid), cost(1));
        }
        let refunds = [0, MAX_CONVERSATIONS as i32].map(|pid| typos.take(&conversation(&name, pid)).refund());
        assert_eq!(refunds, [Units::default(), cost(1)]);
    }
}
