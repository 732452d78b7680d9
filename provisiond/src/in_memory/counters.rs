//! Counters for the metrics (statistics since the start): verdicts and how long they took, emptied
//! pools, refused calls and connections. To count is one atomic addition, without a lock and without
//! an allocation.
//!
//! A monitoring system may publish the metrics, so that an attacker reads them after each guess. So
//! nothing is counted by user, source or device, verdicts are counted as a verifier hears them, and
//! times in the steps that replies leave at.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::wire::protocol::{ByWord, Times, Verdict};

/// The counters.
#[derive(Debug)]
pub(crate) struct Counters {
    verdicts: Words<9>,
    verdict_times: Histogram,
    pools_exhausted: Words<2>,
    not_permitted: Words<7>,
    connections_refused: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            verdicts: Words::of(VERDICTS),
            verdict_times: Histogram::default(),
            pools_exhausted: Words::of(["known", "unknown"]),
            not_permitted: Words::of([
                "none", "self", "relay", "verifier", "helpdesk", "admin", "root",
            ]),
            connections_refused: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Counts the verdict of an attempt, as a caller hears it that must not learn which names are
    /// enrolled.
    pub(crate) fn verdict(&self, masked: Verdict) {
        self.verdicts.count(masked.word());
    }

    /// Counts an attempt that got an error in place of a verdict.
    pub(crate) fn unavailable(&self) {
        self.verdicts.count(UNAVAILABLE);
    }

    /// Counts how long an attempt took.
    pub(crate) fn took(&self, time: Duration) {
        self.verdict_times.count(time);
    }

    /// Counts that an attempt took the last guess of a pool.
    pub(crate) fn pool_exhausted(&self, pool: &'static str) {
        self.pools_exhausted.count(pool);
    }

    /// Counts a call that the table of permissions refuses. `None`: the caller has no role.
    pub(crate) fn not_permitted(&self, role: Option<&'static str>) {
        self.not_permitted.count(role.unwrap_or("none"));
    }

    /// Counts a connection for which there was no place.
    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn verdicts(&self) -> ByWord {
        self.verdicts.told()
    }

    pub(crate) fn verdict_times(&self) -> Times {
        self.verdict_times.told()
    }

    pub(crate) fn pools_exhausted(&self) -> ByWord {
        self.pools_exhausted.told()
    }

    /// Refused calls by role.
    pub(crate) fn calls_not_permitted(&self) -> ByWord {
        self.not_permitted.told()
    }

    pub(crate) fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Ordering::Relaxed)
    }
}

/// One counter for each of a few words.
#[derive(Debug)]
struct Words<const N: usize> {
    words: [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Words<N> {
    fn of(words: [&'static str; N]) -> Self {
        Self {
            words,
            counts: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn count(&self, word: &str) {
        let mut pairs = self.words.iter().zip(&self.counts);
        if let Some((_, count)) = pairs.find(|(known, _)| **known == word) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn told(&self) -> ByWord {
        let pairs = self.words.iter().zip(&self.counts);
        pairs
            .map(|(word, count)| ((*word).to_owned(), count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Durations in buckets.
#[derive(Debug)]
struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    fn count(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(micros, Ordering::Relaxed);
        }
    }

    fn told(&self) -> Times {
        let counts = self.counts.iter();
        Times {
            bounds: BOUNDS.to_vec(),
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// The verdicts that a verifier hears, and a word for an attempt without one.
const VERDICTS: [&str; 9] = [
    Verdict::Accepted.word(),
    Verdict::Exempt.word(),
    Verdict::Rejected.word(),
    Verdict::AlreadyUsed.word(),
    Verdict::Malformed.word(),
    Verdict::TwoCodesNeeded.word(),
    Verdict::Refused.word(),
    Verdict::Busy.word(),
    UNAVAILABLE,
];
const UNAVAILABLE: &str = "unavailable";

/// Microseconds: from a fast disk's commit to the deadline of the module.
const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 3_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_that_a_verifier_hears_has_a_counter_of_its_own_and_so_has_an_error() {
        let counters = Counters::default();
        for verdict in Verdict::ALL {
            counters.verdict(*verdict);
        }
        counters.unavailable();
        let told = counters.verdicts();
        let unheard = [Verdict::NotEnrolled, Verdict::Disabled];
        assert_eq!(told.len(), Verdict::ALL.len() + 1 - unheard.len());
        assert!(told.values().all(|count| *count == 1), "{told:?}");
        for verdict in unheard {
            assert!(!told.contains_key(verdict.word()), "{told:?}");
        }
    }

    #[test]
    fn a_duration_counts_in_the_bucket_of_the_next_bound_and_in_the_sum() {
        let counters = Counters::default();
        for micros in [1, 250, 251, 3_000_000, 3_000_001] {
            counters.took(Duration::from_micros(micros));
        }
        let told = counters.verdict_times();
        let (bounds, counts) = (told.bounds.len(), &told.counts);
        assert_eq!((bounds, counts.len()), (14, 15));
        assert_eq!([counts[0], counts[1], counts[13], counts[14]], [2, 1, 1, 1]);
        assert_eq!((counts.iter().sum::<u64>(), told.sum), (5, 6_000_503));
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BOUNDS.is_sorted());
    }
}
