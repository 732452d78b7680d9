//! How many lines of the log each uid may cause, and how many refusals of each user are told one by one. A process that is
//! refused twenty thousand times a second must not push the lines of logins out of the queue, nor fill the disk; and
//! somebody who guesses all night has said everything after a minute.
//!
//! Root's processes have no quota of their own: what they cause are logins.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The lines about each of many in the present span of time.
#[derive(Debug)]
pub struct Quotas<K> {
    lines: u32,
    span: Duration,
    counted: Mutex<HashMap<K, Quota>>,
}

#[derive(Clone, Copy, Debug)]
struct Quota {
    since: Instant,
    lines: u32,
}

/// Whether a line may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Allowance {
    /// It may. Before it, so many of the same uid were left out.
    Write {
        /// How many.
        left_out: u32,
    },
    /// It may not; it is counted.
    LeaveOut,
}

impl Quotas<u32> {
    /// For what people's own processes cause, by their uid: more in a second than a person's programs ever do.
    #[must_use]
    pub fn of_processes() -> Self {
        Self::new(200, Duration::from_secs(1))
    }
}

impl<K: Eq + Hash> Quotas<K> {
    /// For attempts that were refused, by the user: a hundred of somebody's failed logins at once are told, and then two
    /// a second.
    #[must_use]
    pub fn of_refusals() -> Self {
        Self::new(120, Duration::from_secs(60))
    }

    fn new(lines: u32, span: Duration) -> Self {
        Self { lines, span, counted: Mutex::default() }
    }

    /// Counts one line about `key`.
    pub fn count(&self, key: K) -> Allowance {
        let mut counted = self.lock();
        if counted.len() >= MAX_KEYS {
            counted.retain(|_, quota| quota.since.elapsed() < self.span || quota.left_out(self.lines) > 0);
        }
        // Too many at once: those that nobody remembers are all told.
        if counted.len() >= MAX_KEYS && !counted.contains_key(&key) {
            return Allowance::Write { left_out: 0 };
        }
        let quota = counted.entry(key).or_insert_with(Quota::fresh);
        let mut left_out = 0;
        if quota.since.elapsed() >= self.span {
            left_out = quota.left_out(self.lines);
            *quota = Quota::fresh();
        }
        quota.lines = quota.lines.saturating_add(1);
        if quota.left_out(self.lines) > 0 { Allowance::LeaveOut } else { Allowance::Write { left_out } }
    }

    /// How many lines about `key` were left out since that was last told: it is told now.
    #[must_use]
    pub fn settle(&self, key: &K) -> u32 {
        let mut counted = self.lock();
        let Some(quota) = counted.get_mut(key) else { return 0 };
        let left_out = quota.left_out(self.lines);
        quota.lines = quota.lines.saturating_sub(left_out);
        left_out
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Quota>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quota {
    fn fresh() -> Self {
        Self { since: Instant::now(), lines: 0 }
    }

    /// How many were more than `allowed`.
    fn left_out(self, allowed: u32) -> u32 {
        self.lines.saturating_sub(allowed)
    }
}

/// Those that are remembered at once.
const MAX_KEYS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn later<K: Eq + Hash>(quotas: &Quotas<K>) {
        let past = Instant::now().checked_sub(quotas.span).expect("a time ago");
        quotas.lock().values_mut().for_each(|quota| quota.since = past);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted_and_others_are_not_concerned() {
        let quotas = Quotas::of_processes();
        for _ in 0..quotas.lines {
            assert_eq!(quotas.count(1000), Allowance::Write { left_out: 0 });
        }
        for _ in 0..7 {
            assert_eq!(quotas.count(1000), Allowance::LeaveOut);
        }
        assert_eq!(quotas.count(1001), Allowance::Write { left_out: 0 });
        later(&quotas);
        assert_eq!(quotas.count(1000), Allowance::Write { left_out: 7 });
        assert_eq!(quotas.count(1000), Allowance::Write { left_out: 0 });
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let quotas = Quotas::of_refusals();
        for _ in 0..quotas.lines + 7 {
            let _ = quotas.count("alice");
        }
        assert_eq!((quotas.settle(&"alice"), quotas.settle(&"alice"), quotas.settle(&"bob")), (7, 0, 0));
        assert_eq!(quotas.count("alice"), Allowance::LeaveOut, "the minute is not over");
        assert_eq!(quotas.settle(&"alice"), 1);
    }

    #[test]
    fn a_list_of_names_fills_no_memory_and_leaves_nobody_out() {
        let quotas = Quotas::of_refusals();
        for n in 0..2 * MAX_KEYS {
            assert_eq!(quotas.count(n), Allowance::Write { left_out: 0 });
        }
        assert_eq!(quotas.lock().len(), MAX_KEYS);
        later(&quotas);
        assert_eq!(quotas.count(usize::MAX), Allowance::Write { left_out: 0 });
        assert_eq!(quotas.lock().len(), 1);
    }
}
