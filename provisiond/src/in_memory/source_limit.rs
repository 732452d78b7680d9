//! The source limit: the rate limit of wrong codes per source, counted for each network within an
//! hour over all accounts. Above it (the setting `limits.per-source`) every account is asked for
//! two codes from there, and never refused: legitimate users may share the address.
//!
//! The guess budgets hold without it. It is against an attacker who tries a few guesses on each of
//! many accounts (password spraying).
//!
//! Root's programs and each verifier have a table of their own: a verifier can report any address,
//! and must neither make sshd ask that address for two codes nor evict what sshd has counted.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{Bounded, Window, lock};
use crate::record::source::{Network, Source};

/// The wrong codes of each network, by the uid of the process that reports them: root, or a verifier
/// whose addresses are trusted. Administrators name verifiers, so these are few.
#[derive(Debug, Default)]
pub(crate) struct SourceLimits(Mutex<HashMap<u32, Bounded<Network, Window>>>);

impl SourceLimits {
    /// Whether the source has sent `limit` wrong codes within the hour, as `reporter` says.
    #[must_use]
    pub(crate) fn is_reached(&self, reporter: u32, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else {
            return false;
        };
        lock(&self.0)
            .get(&reporter)
            .and_then(|reported| reported.get(&network))
            .map_or(0, |wrong| wrong.times(SPAN))
            >= limit
    }

    /// Counts a wrong code. True for the code that reaches the limit.
    pub(crate) fn count(&self, reporter: u32, source: Source, limit: u32) -> bool {
        let Source::Network(network) = source else {
            return false;
        };
        let mut all = lock(&self.0);
        let reported = all
            .entry(reporter)
            .or_insert_with(|| Bounded::new(MAX_NETWORKS));
        let wrong = reported.entry(
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

    const ROOT: u32 = 0;

    /// The networks that root's programs have reported.
    fn counted(limits: &SourceLimits) -> usize {
        lock(&limits.0).get(&ROOT).map_or(0, Bounded::len)
    }

    fn from(address: &str) -> Source {
        Source::told(Some(address), None)
    }

    #[test]
    fn a_network_with_many_wrong_codes_is_known_for_an_hour_and_others_are_not_concerned() {
        let limits = SourceLimits::default();
        let reached: Vec<bool> = (0..5)
            .map(|_| limits.count(ROOT, from("192.0.2.1"), 3))
            .collect();
        assert_eq!(reached, [false, false, true, false, false], "told once");
        assert!(
            limits.is_reached(ROOT, from("192.0.2.1"), 3)
                && !limits.is_reached(ROOT, from("192.0.2.1"), 6)
        );
        for other in [from("192.0.2.2"), Source::Terminal, Source::Untold] {
            assert!(!limits.is_reached(ROOT, other, 1));
        }
        let past = Instant::now()
            .checked_sub(SPAN)
            .expect("a time an hour ago");
        lock(&limits.0)
            .values_mut()
            .flat_map(Bounded::values_mut)
            .for_each(|wrong| wrong.since = past);
        assert!(!limits.is_reached(ROOT, from("192.0.2.1"), 3));
        assert!(!limits.count(ROOT, from("192.0.2.1"), 3) && counted(&limits) == 1);
    }

    #[test]
    fn who_has_no_address_is_not_counted_and_the_count_is_bounded() {
        let limits = SourceLimits::default();
        assert!(!limits.count(ROOT, Source::Untold, 1) && !limits.count(ROOT, Source::Terminal, 1));
        assert!(counted(&limits) == 0);
        for n in 0..=65_536u32 {
            let _ = limits.count(ROOT, from(&std::net::Ipv4Addr::from(n).to_string()), 2);
        }
        assert!((MAX_NETWORKS / 2..=MAX_NETWORKS).contains(&counted(&limits)));
        assert!(
            limits.count(ROOT, from("0.1.0.0"), 2),
            "a network that is known is counted on"
        );
    }

    #[test]
    fn what_a_verifier_reports_neither_limits_nor_evicts_what_others_have_counted() {
        let (limits, vera, victor) = (SourceLimits::default(), 990, 991);
        let (office, sprayer) = (from("192.0.2.1"), from("192.0.2.2"));
        let _ = (
            limits.count(ROOT, sprayer, 2),
            limits.count(victor, sprayer, 2),
        );
        for _ in 0..60 {
            let _ = limits.count(vera, office, 60);
        }
        assert!(limits.is_reached(vera, office, 60));
        for n in 0..=65_536u32 {
            let _ = limits.count(vera, from(&std::net::Ipv4Addr::from(n).to_string()), 2);
        }
        for other in [ROOT, victor] {
            assert!(!limits.is_reached(other, office, 1), "{other}");
            assert!(limits.count(other, sprayer, 2), "{other} has counted on");
        }
    }

    #[test]
    fn the_threat_model_has_this_bound() {
        let row = "| networks whose wrong codes are counted | none | none | a verifier with `trusted-rhost`: 16,384 | 16,384 |";
        assert!(
            MAX_NETWORKS == 16_384 && THREAT_MODEL.contains(row),
            "{row}"
        );
    }

    const THREAT_MODEL: &str = include_str!("../../../docs/threat-model.md");
}
