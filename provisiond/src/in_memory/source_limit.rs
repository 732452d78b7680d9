//! How many wrong codes came from each network in the last hour, whosever accounts they were for. A network with many is
//! asked for two codes by every account, and never refused: somebody's right code may come from behind the same address.
//!
//! Kept in memory and bounded. Budgets hold without it; it is for those who try a few guesses on each of many accounts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::source::{Network, Source};

/// Wrong codes of each network.
#[derive(Debug, Default)]
pub(crate) struct Sprays(Mutex<HashMap<Network, Wrong>>);

#[derive(Debug)]
struct Wrong {
    since: Instant,
    times: u32,
}

impl Sprays {
    /// Whether the source has had `limit` wrong codes within the hour.
    #[must_use]
    pub(crate) fn are_from(&self, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else { return false };
        let all = self.lock();
        let wrong = all.get(&network).filter(|wrong| wrong.since.elapsed() < SPAN);
        wrong.map_or(0, |wrong| wrong.times) >= limit
    }

    /// Counts a wrong code. True for the one with which the limit is reached.
    pub(crate) fn count(&self, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else { return false };
        let mut all = self.lock();
        if all.len() >= MAX_NETWORKS {
            all.retain(|_, wrong| wrong.since.elapsed() < SPAN);
        }
        if all.len() >= MAX_NETWORKS && !all.contains_key(&network) {
            return false;
        }
        let fresh = || Wrong { since: Instant::now(), times: 0 };
        let wrong = all.entry(network).or_insert_with(fresh);
        if wrong.since.elapsed() >= SPAN {
            *wrong = fresh();
        }
        wrong.times = wrong.times.saturating_add(1);
        wrong.times == limit
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Network, Wrong>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SPAN: Duration = Duration::from_secs(3600);
const MAX_NETWORKS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Source {
        Source::told(Some(address), None)
    }

    #[test]
    fn a_network_with_many_wrong_codes_is_known_for_an_hour_and_others_are_not_concerned() {
        let sprays = Sprays::default();
        let reached: Vec<bool> = (0..5).map(|_| sprays.count(from("192.0.2.1"), 3)).collect();
        assert_eq!(reached, [false, false, true, false, false], "told once");
        assert!(sprays.are_from(from("192.0.2.1"), 3) && !sprays.are_from(from("192.0.2.1"), 6));
        for other in [from("192.0.2.2"), Source::Terminal, Source::Untold] {
            assert!(!sprays.are_from(other, 1));
        }
        let past = Instant::now().checked_sub(SPAN).expect("a time an hour ago");
        sprays.lock().values_mut().for_each(|wrong| wrong.since = past);
        assert!(!sprays.are_from(from("192.0.2.1"), 3));
        assert!(!sprays.count(from("192.0.2.1"), 3) && sprays.lock().len() == 1);
    }

    #[test]
    fn who_has_no_address_is_not_counted_and_the_count_is_bounded() {
        let sprays = Sprays::default();
        assert!(!sprays.count(Source::Untold, 1) && !sprays.count(Source::Terminal, 1));
        assert!(sprays.lock().is_empty());
        for n in 0..=65_536u32 {
            let _ = sprays.count(from(&std::net::Ipv4Addr::from(n).to_string()), 2);
        }
        assert_eq!(sprays.lock().len(), MAX_NETWORKS);
        assert!(sprays.count(from("0.0.0.1"), 2), "who is known is counted on");
    }
}
