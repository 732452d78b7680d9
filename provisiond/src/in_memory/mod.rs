//! Bounded in-memory tables that a restart empties: graces, refunds, repeated answers, rate limits
//! of sources, callers and log lines, slots and streams; numbers of hosts; and the counters of the metrics. Losing an
//! entry costs a user a code, a refund or a log line, and never opens a login.

pub(crate) mod counters;
pub(crate) mod enrolments;
pub(crate) mod free_attempts;
pub(crate) mod grace;
pub(crate) mod hosts;
pub(crate) mod offline;
pub(crate) mod peers;
pub(crate) mod quota;
pub mod refunds;
#[cfg(feature = "fleet")]
pub(crate) mod refusals;
pub(crate) mod repeats;
pub(crate) mod slots;
pub(crate) mod source_limit;
pub(crate) mod streams;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A map with a maximum number of entries. When it is full, a new entry evicts the expired ones, or
/// else the oldest.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    most: usize,
    entries: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// Removes the entries for which `goes` is true. Returns whether there was any.
    pub(crate) fn forget(&mut self, mut goes: impl FnMut(&K, &V) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|key, value| !goes(key, value));
        self.entries.len() < before
    }

    /// The entry of that key, made by `fresh` if there is none. `began` orders entries by age.
    pub(crate) fn entry<A: Ord>(
        &mut self,
        key: K,
        fresh: impl FnOnce() -> V,
        is_over: impl Fn(&V) -> bool,
        began: impl Fn(&V) -> A,
    ) -> &mut V {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.evict(is_over, began);
        }
        self.entries.entry(key).or_insert_with(fresh)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    /// Evicts an eighth at once, so that a flood of new keys does not search the whole table for
    /// each of them.
    fn evict<A: Ord>(&mut self, is_over: impl Fn(&V) -> bool, began: impl Fn(&V) -> A) {
        self.entries.retain(|_, value| !is_over(value));
        if self.entries.len() < self.most {
            return;
        }
        let mut by_age: Vec<(A, K)> = self
            .entries
            .iter()
            .map(|(key, value)| (began(value), key.clone()))
            .collect();
        by_age.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (_, key) in by_age.iter().take(self.most.div_ceil(8)) {
            self.entries.remove(key);
        }
    }
}

/// A counter within a window of time that begins with the first event.
#[derive(Debug)]
pub(crate) struct Window {
    since: Instant,
    times: u32,
}

impl Window {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            times: 0,
        }
    }

    fn is_over(&self, span: Duration) -> bool {
        self.since.elapsed() >= span
    }

    /// The count in the present window; 0 if that is over.
    fn times(&self, span: Duration) -> u32 {
        if self.is_over(span) { 0 } else { self.times }
    }

    /// Counts one more, in a new window if the last one is over. Returns the count.
    fn count(&mut self, span: Duration) -> u32 {
        if self.is_over(span) {
            *self = Self::begin();
        }
        self.times = self.times.saturating_add(1);
        self.times
    }
}

/// Locks a table. A panic while the lock is held cannot leave an entry half changed.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_evicts_what_is_over_and_else_the_oldest() {
        let mut table = Bounded::new(3);
        let mut add =
            |key: u32, value: u32| *table.entry(key, || value, |value| *value < 10, |value| *value);
        assert_eq!([add(1, 11), add(2, 5), add(3, 12)], [11, 5, 12]);
        assert_eq!(add(1, 99), 11, "it is there already");
        add(4, 13);
        add(5, 14);
        let kept: Vec<u32> = (1..=5).filter(|key| table.get(key).is_some()).collect();
        assert_eq!(kept, [3, 4, 5]);
        assert!(table.forget(|key, _| *key == 4) && !table.forget(|key, _| *key == 4));
    }

    #[test]
    fn a_window_that_is_over_begins_anew() {
        let span = Duration::from_secs(60);
        let mut window = Window::begin();
        assert_eq!(
            [window.count(span), window.count(span), window.times(span)],
            [1, 2, 2]
        );
        window.since = Instant::now()
            .checked_sub(span)
            .expect("a machine that has been up for a minute");
        assert_eq!((window.times(span), window.count(span)), (0, 1));
    }
}
