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
pub(crate) struct Quotas<K> {
    lines: u32,
    span: Duration,
    counted: Mutex<Counted<K>>,
}

#[derive(Debug)]
struct Counted<K> {
    of: HashMap<K, Quota>,
    /// Lines that were left out about those who are remembered no more.
    forgotten: u32,
}

#[derive(Clone, Copy, Debug)]
struct Quota {
    since: Instant,
    lines: u32,
}

/// Whether a line may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Allowance {
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
    pub(crate) fn of_processes() -> Self {
        Self::new(200, Duration::from_secs(1))
    }
}

impl<K: Eq + Hash> Quotas<K> {
    /// For attempts that were refused, by the user: a hundred of somebody's failed logins at once are told, and then two
    /// a second.
    #[must_use]
    pub(crate) fn of_refusals() -> Self {
        Self::new(120, Duration::from_secs(60))
    }

    fn new(lines: u32, span: Duration) -> Self {
        Self { lines, span, counted: Mutex::new(Counted { of: HashMap::new(), forgotten: 0 }) }
    }

    /// Counts one line about `key`.
    pub(crate) fn count(&self, key: K) -> Allowance {
        let mut counted = self.lock();
        if counted.of.len() >= MAX_KEYS {
            self.make_room(&mut counted);
        }
        // Too many at once: those that nobody remembers are all told.
        if counted.of.len() >= MAX_KEYS && !counted.of.contains_key(&key) {
            return Allowance::Write { left_out: 0 };
        }
        let quota = counted.of.entry(key).or_insert_with(Quota::fresh);
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
    pub(crate) fn settle(&self, key: &K) -> u32 {
        let mut counted = self.lock();
        let Some(quota) = counted.of.get_mut(key) else { return 0 };
        let left_out = quota.left_out(self.lines);
        quota.lines = quota.lines.saturating_sub(left_out);
        left_out
    }

    /// How many lines were left out about those who have been forgotten since this was last told: it is told now.
    #[must_use]
    pub(crate) fn settle_forgotten(&self) -> u32 {
        std::mem::take(&mut self.lock().forgotten)
    }

    /// Forgets those whose span is over. Of whom lines were left out a while longer is remembered, in case they come again.
    fn make_room(&self, counted: &mut Counted<K>) {
        let Counted { of, forgotten } = counted;
        of.retain(|_, quota| {
            let left_out = quota.left_out(self.lines);
            let spans = if left_out > 0 { SPANS_REMEMBERED } else { 1 };
            let stays = quota.since.elapsed() < self.span.saturating_mul(spans);
            *forgotten = forgotten.saturating_add(if stays { 0 } else { left_out });
            stays
        });
    }

    fn lock(&self) -> MutexGuard<'_, Counted<K>> {
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
/// For how many spans of time it is remembered that lines about somebody were left out.
const SPANS_REMEMBERED: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn later<K: Eq + Hash>(quotas: &Quotas<K>, spans: u32) {
        let past = Instant::now().checked_sub(quotas.span * spans).expect("a time ago");
        quotas.lock().of.values_mut().for_each(|quota| quota.since = past);
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
        later(&quotas, 1);
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
        assert_eq!(quotas.lock().of.len(), MAX_KEYS);
        later(&quotas, 1);
        assert_eq!(quotas.count(usize::MAX), Allowance::Write { left_out: 0 });
        assert_eq!(quotas.lock().of.len(), 1);
    }

    #[test]
    fn a_crowd_that_was_refused_too_often_is_forgotten_in_time_and_told_as_one_sum() {
        let quotas = Quotas::new(1, Duration::from_secs(1));
        for n in 0..MAX_KEYS {
            assert_eq!([quotas.count(n), quotas.count(n)], [Allowance::Write { left_out: 0 }, Allowance::LeaveOut]);
        }
        let twice = |key| [quotas.count(key), quotas.count(key)];
        later(&quotas, SPANS_REMEMBERED - 1);
        assert_eq!(twice(usize::MAX), [Allowance::Write { left_out: 0 }; 2], "there is no room to count");
        later(&quotas, SPANS_REMEMBERED);
        assert_eq!(twice(usize::MAX), [Allowance::Write { left_out: 0 }, Allowance::LeaveOut]);
        assert_eq!([quotas.settle_forgotten(), quotas.settle_forgotten()], [MAX_KEYS as u32, 0]);
    }
}
