//! The source limit: the rate limit of wrong codes per source, counted for each network within an
//! hour over all accounts. Above it (the setting `limits.per-source`) every account is asked for
//! two codes from there, and never refused: legitimate users may share the address.
//!
//! The guess budgets hold without it. It is against an attacker who tries a few guesses on each of
//! many accounts (password spraying).

use std::sync::Mutex;
use std::time::Duration;

use super::{Bounded, Window, lock};
use crate::record::source::{Network, Source};

/// The wrong codes of each network.
#[derive(Debug)]
pub(crate) struct SourceLimits(Mutex<Bounded<Network, Window>>);

impl Default for SourceLimits {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MAX_NETWORKS)))
    }
}

impl SourceLimits {
    /// Whether the source has sent `limit` wrong codes within the hour.
    #[must_use]
    pub(crate) fn is_reached(&self, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else {
            return false;
        };
        lock(&self.0)
            .get(&network)
            .map_or(0, |wrong| wrong.times(SPAN))
            >= limit
    }

    /// Counts a wrong code. True for the code that reaches the limit.
    pub(crate) fn count(&self, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else {
            return false;
        };
        let mut all = lock(&self.0);
        let wrong = all.entry(
            network,
            Window::begin,
            |wrong| wrong.is_over(SPAN),
            |wrong| wrong.since,
        );
        wrong.count(SPAN) == limit
    }
}

const SPAN: Duration = Duration::from_secs(3600);
const MAX_NETWORKS: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn from(address: &str) -> Source {
        Source::told(Some(address), None)
    }

    #[test]
    fn a_network_with_many_wrong_codes_is_known_for_an_hour_and_others_are_not_concerned() {
        let limits = SourceLimits::default();
        let reached: Vec<bool> = (0..5).map(|_| limits.count(from("192.0.2.1"), 3)).collect();
        assert_eq!(reached, [false, false, true, false, false], "told once");
        assert!(
            limits.is_reached(from("192.0.2.1"), 3) && !limits.is_reached(from("192.0.2.1"), 6)
        );
        for other in [from("192.0.2.2"), Source::Terminal, Source::Untold] {
            assert!(!limits.is_reached(other, 1));
        }
        let past = Instant::now()
            .checked_sub(SPAN)
            .expect("a time an hour ago");
        lock(&limits.0)
            .values_mut()
            .for_each(|wrong| wrong.since = past);
        assert!(!limits.is_reached(from("192.0.2.1"), 3));
        assert!(!limits.count(from("192.0.2.1"), 3) && lock(&limits.0).len() == 1);
    }

    #[test]
    fn who_has_no_address_is_not_counted_and_the_count_is_bounded() {
        let limits = SourceLimits::default();
        assert!(!limits.count(Source::Untold, 1) && !limits.count(Source::Terminal, 1));
        assert!(lock(&limits.0).len() == 0);
        for n in 0..=65_536u32 {
            let _ = limits.count(from(&std::net::Ipv4Addr::from(n).to_string()), 2);
        }
        assert!((MAX_NETWORKS / 2..=MAX_NETWORKS).contains(&lock(&limits.0).len()));
        assert!(
            limits.count(from("0.1.0.0"), 2),
            "a network that is known is counted on"
        );
    }
}
