//! Refunds for typing errors: the cost of recent wrong codes by user and source. A login of the
//! same user from the same source within five minutes gets it back.
//!
//! Only charges to the known pool are kept, so an account has at most as many entries as known
//! sources, also under a brute-force attack. Kept in memory and bounded: an eviction or a restart
//! loses refunds only. The limit for each day is in `record::refunded`.

use std::sync::Mutex;

use common::names::user::UserName;

use super::{Bounded, lock};
use crate::record::source::Source;

/// The latest charges of each user from each source.
#[derive(Debug)]
pub struct Refunds(Mutex<Bounded<(UserName, Source), Charges>>);

impl Default for Refunds {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MAX_ENTRIES)))
    }
}

/// The latest wrong codes, the oldest first: each with its trusted second and its cost.
#[derive(Debug, Default)]
pub struct Charges(Vec<(u64, u32)>);

impl Charges {
    /// The units that a success refunds.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.0
            .iter()
            .fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }

    /// The charges with one more, in units of the known pool, at the trusted second `tick`.
    #[must_use]
    pub fn and(mut self, units: u32, tick: u64) -> Self {
        if units > 0 {
            self.0.push((tick, units));
        }
        self.latest()
    }

    fn latest(mut self) -> Self {
        let old = self.0.len().saturating_sub(MAX_CHARGES);
        self.0.drain(..old);
        self
    }

    fn last(&self) -> Option<u64> {
        self.0.last().map(|(tick, _)| *tick)
    }
}

impl Refunds {
    /// Takes out the charges that a success may refund at `tick`: of two concurrent logins only one
    /// gets them.
    #[must_use]
    pub fn take(&self, user: &UserName, source: Source, tick: u64) -> Charges {
        let mut charges = lock(&self.0)
            .remove(&(user.clone(), source))
            .unwrap_or_default();
        charges
            .0
            .retain(|(at, _)| tick < at.saturating_add(LIFETIME));
        charges
    }

    /// Keeps the charges for the next attempt, together with those that other attempts have left
    /// there since.
    pub fn put_back(&self, user: &UserName, source: Source, charges: Charges) {
        if charges.0.is_empty() {
            return;
        }
        let (mut all, key) = (lock(&self.0), (user.clone(), source));
        let mut charges = Charges(
            charges
                .0
                .into_iter()
                .chain(all.remove(&key).unwrap_or_default().0)
                .collect(),
        );
        charges.0.sort_unstable_by_key(|(tick, _)| *tick);
        // A full table evicts the oldest entry: after a recent typing error the user is about to
        // type again.
        *all.entry(key, Charges::default, |_| false, Charges::last) = charges.latest();
    }

    /// Removes the charges of a user after an unlock, or after the record was removed.
    pub fn forget(&self, user: &UserName) {
        lock(&self.0).forget(|(other, _), _| other == user);
    }
}

/// Trusted seconds.
const LIFETIME: u64 = 300;
/// More typing errors than this before a login cannot be distinguished from guesses.
const MAX_CHARGES: usize = 2;
const MAX_ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Source = Source::Terminal;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn from(address: &str) -> Source {
        Source::told(Some(address), None)
    }

    /// A wrong code.
    fn mistype(refunds: &Refunds, name: &str, source: Source, (tick, units): (u64, u32)) {
        refunds.put_back(
            &user(name),
            source,
            refunds.take(&user(name), source, tick).and(units, tick),
        );
    }

    fn taken(refunds: &Refunds, name: &str, source: Source, tick: u64) -> u32 {
        refunds.take(&user(name), source, tick).units()
    }

    #[test]
    fn the_two_latest_wrong_codes_come_back_once_to_their_user_and_source() {
        let refunds = Refunds::default();
        for charge in [(10, 1), (20, 2), (30, 0), (40, 4)] {
            mistype(&refunds, "alice", from("192.0.2.1"), charge);
        }
        assert_eq!(taken(&refunds, "alice", from("192.0.2.2"), 50), 0);
        assert_eq!(taken(&refunds, "bob", from("192.0.2.1"), 50), 0);
        assert_eq!(taken(&refunds, "alice", from("192.0.2.1"), 50), 6);
        assert_eq!(
            taken(&refunds, "alice", from("192.0.2.1"), 50),
            0,
            "the second of two concurrent logins"
        );
    }

    #[test]
    fn each_wrong_code_comes_back_within_five_minutes() {
        for (tick, units) in [(309, 3), (310, 2), (319, 2), (320, 0)] {
            let refunds = Refunds::default();
            mistype(&refunds, "alice", HERE, (10, 1));
            mistype(&refunds, "alice", HERE, (20, 2));
            assert_eq!(taken(&refunds, "alice", HERE, tick), units, "{tick}");
        }
    }

    #[test]
    fn what_two_attempts_at_once_leave_is_kept_together_the_latest_of_it() {
        let refunds = Refunds::default();
        mistype(&refunds, "alice", HERE, (10, 1));
        let (one, other) = (
            refunds.take(&user("alice"), HERE, 20),
            refunds.take(&user("alice"), HERE, 20),
        );
        refunds.put_back(&user("alice"), HERE, other.and(2, 21));
        refunds.put_back(&user("alice"), HERE, one.and(4, 20));
        assert_eq!(taken(&refunds, "alice", HERE, 22), 6);
    }

    #[test]
    fn a_user_who_got_the_guesses_back_otherwise_gets_none_for_wrong_codes() {
        let refunds = Refunds::default();
        for name in ["alice", "bob"] {
            mistype(&refunds, name, HERE, (10, 1));
        }
        refunds.forget(&user("alice"));
        assert_eq!(
            ["alice", "bob"].map(|name| taken(&refunds, name, HERE, 10)),
            [0, 1]
        );
    }

    #[test]
    fn a_crowd_pushes_the_oldest_out_and_one_account_is_no_crowd() {
        let refunds = Refunds::default();
        for n in 0..MAX_ENTRIES as u64 {
            mistype(&refunds, &format!("user-{n}"), HERE, (n, 1));
            mistype(&refunds, "user-0", HERE, (n, 1));
        }
        assert!((MAX_ENTRIES / 2..=MAX_ENTRIES).contains(&lock(&refunds.0).len()));
        mistype(&refunds, "one-more", HERE, (5000, 1));
        assert!((MAX_ENTRIES / 2..=MAX_ENTRIES).contains(&lock(&refunds.0).len()));
        let keeps = |name: &str| lock(&refunds.0).get(&(user(name), HERE)).is_some();
        assert_eq!(
            ["user-0", "user-1", "user-4095", "one-more"].map(keeps),
            [true, false, true, true]
        );
    }
}
