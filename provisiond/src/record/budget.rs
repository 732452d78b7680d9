//! The guess budget and the count of wrong pairs: the rate limit of each user against brute force,
//! without a lockout. Pure: time is an argument.
//!
//! A wrong code costs units. Units come back one by one with time, or with a login that soon
//! follows wrong codes from the same known source. A user without units left is not locked out: the
//! daemon asks for two consecutive codes, and after a thousand wrong pairs it searches for these in
//! the window only.
//!
//! The refill counts trusted seconds, in which this machine was seen running. Setting the clock
//! forward refills nothing, and setting it back takes nothing away.

use common::config::Policy;
use serde::{Deserialize, Serialize};

use crate::clock::moment::Moment;

/// The guesses from one kind of source, known or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Single codes.
    pub budget: Budget,
    /// Pairs of consecutive codes.
    pub wrong_pairs: WrongPairs,
}

impl Pool {
    /// A full pool, for a user seen for the first time.
    #[must_use]
    pub fn full(moment: &Moment) -> Self {
        Self {
            budget: Budget::full(moment),
            wrong_pairs: WrongPairs {
                times: 0,
                since: moment.tick,
            },
        }
    }
}

/// Units of a record's two pools: what a wrong code cost, and which pool has paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Units of the pool for known sources.
    pub known: u32,
    /// Units of the pool for all other sources.
    pub unknown: u32,
}

impl Units {
    /// Whether both are 0.
    #[must_use]
    pub fn are_none(self) -> bool {
        self == Self::default()
    }
}

/// The number of wrong pairs, halved daily. A pair is so much harder to guess than a single code
/// that it costs nothing. But twenty positions for each pair would be too many for a brute-force
/// attack that lasts all year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongPairs {
    times: u32,
    /// Trusted seconds.
    since: u64,
}

impl WrongPairs {
    /// Counts one more wrong pair.
    #[must_use]
    pub fn one_more(self, moment: &Moment) -> Self {
        let settled = self.settled(moment);
        Self {
            times: settled.times.saturating_add(1),
            ..settled
        }
    }

    /// Whether a pair is searched for within the window only.
    #[must_use]
    pub fn are_too_many(self, moment: &Moment) -> bool {
        self.settled(moment).times >= MAX_WRONG_PAIRS
    }

    fn settled(self, moment: &Moment) -> Self {
        let days = moment
            .tick
            .saturating_sub(self.since)
            .checked_div(DAY)
            .unwrap_or(0);
        let halvings = u32::try_from(days).unwrap_or(u32::MAX);
        let times = self.times.checked_shr(halvings).unwrap_or(0);
        Self {
            times,
            since: self.since.saturating_add(days.saturating_mul(DAY)),
        }
    }
}

/// A pool of single-code guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Units spent as of `since`. Storing these and not the units left makes changed settings take
    /// effect at once.
    used: u32,
    /// Trusted seconds.
    since: u64,
}

impl Budget {
    /// A full pool, for a user seen for the first time.
    #[must_use]
    pub fn full(moment: &Moment) -> Self {
        Self {
            used: 0,
            since: moment.stamp(),
        }
    }

    /// Units left now.
    #[must_use]
    pub fn left(self, policy: &Policy, moment: &Moment) -> u32 {
        policy
            .budget
            .saturating_sub(self.settled(policy, moment).used)
    }

    /// The pool after `units` more were spent.
    #[must_use]
    pub fn charged(self, units: u32, policy: &Policy, moment: &Moment) -> Self {
        let settled = self.settled(policy, moment);
        // The refill starts with the first spent unit.
        let since = if settled.used == 0 {
            settled.since.max(moment.tick)
        } else {
            settled.since
        };
        Self {
            used: settled.used.saturating_add(units),
            since,
        }
    }

    /// The pool after `units` were refunded.
    #[must_use]
    pub fn refunded(self, units: u32, policy: &Policy, moment: &Moment) -> Self {
        let settled = self.settled(policy, moment);
        Self {
            used: settled.used.saturating_sub(units),
            ..settled
        }
    }

    /// The pool as of now, with the refill since. A rolled-back store may hold a time later than
    /// now, which refills nothing.
    fn settled(self, policy: &Policy, moment: &Moment) -> Self {
        let pool = match moment.rolled_back_tick {
            // The guesses of the time that the store has lost are unknown: the pool counts as
            // empty.
            Some(event) if self.since <= event => Self {
                used: policy.budget.max(self.used),
                since: event.saturating_add(1),
            },
            _ => self,
        };
        let elapsed = moment.tick.saturating_sub(pool.since);
        let back = elapsed.checked_div(policy.refill.as_secs()).unwrap_or(0);
        let came_back = u32::try_from(back).unwrap_or(u32::MAX);
        Self {
            used: pool.used.saturating_sub(came_back),
            since: pool
                .since
                .saturating_add(back.saturating_mul(policy.refill.as_secs())),
        }
    }
}

const DAY: u64 = 86400;
const MAX_WRONG_PAIRS: u32 = 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POLICY: Policy = Policy {
        window: 1,
        budget: 5,
        refill: Duration::from_secs(DAY),
        strict: false,
    };

    fn at(now: u64) -> Moment {
        Moment::ordinary(now)
    }

    #[test]
    fn five_guesses_and_one_more_a_day() {
        let mut pool = Budget::full(&at(1000));
        let mut guesses = 0;
        for second in (0..30 * DAY).step_by(600) {
            if pool.left(&POLICY, &at(1000 + second)) > 0 {
                pool = pool.charged(1, &POLICY, &at(1000 + second));
                guesses += 1;
            }
        }
        assert_eq!(guesses, 5 + 29);
    }

    #[test]
    fn a_pool_is_never_more_than_full() {
        let pool = Budget::full(&at(1000)).charged(2, &POLICY, &at(1000));
        assert_eq!(pool.left(&POLICY, &at(1000)), 3);
        assert_eq!(pool.left(&POLICY, &at(1000 + DAY - 1)), 3);
        assert_eq!(pool.left(&POLICY, &at(1000 + DAY)), 4);
        assert_eq!(pool.left(&POLICY, &at(1000 + 900 * DAY)), 5);
        assert_eq!(
            pool.refunded(9, &POLICY, &at(1000))
                .left(&POLICY, &at(1000)),
            5
        );
    }

    #[test]
    fn time_that_runs_backwards_gives_nothing() {
        let pool = Budget::full(&at(10 * DAY)).charged(5, &POLICY, &at(10 * DAY));
        assert_eq!(pool.left(&POLICY, &at(0)), 0);
        let charged = pool.charged(0, &POLICY, &at(0));
        assert_eq!(charged.left(&POLICY, &at(10 * DAY)), 0);
        assert_eq!(charged.left(&POLICY, &at(11 * DAY)), 1);
    }

    #[test]
    fn a_store_that_was_rolled_back_empties_the_pool_once() {
        let moment = |now| Moment {
            rolled_back_tick: Some(20 * DAY),
            ..at(now)
        };
        let old = Budget::full(&at(3 * DAY));
        assert_eq!(old.left(&POLICY, &moment(20 * DAY)), 0);
        assert_eq!(old.left(&POLICY, &moment(22 * DAY + 1)), 2);
        let stored = old.charged(1, &POLICY, &moment(22 * DAY + 1));
        assert_eq!(
            stored.left(&POLICY, &moment(22 * DAY + 1)),
            1,
            "emptied once, not at every look"
        );
        assert_eq!(
            Budget::full(&moment(20 * DAY)).left(&POLICY, &moment(20 * DAY)),
            5,
            "enrolled since"
        );
    }

    #[test]
    fn what_is_made_after_a_roll_back_is_younger_than_it_whatever_the_clock_says() {
        let before = Moment {
            now: 900 * DAY,
            ..at(20 * DAY)
        };
        let after = Moment {
            now: DAY,
            rolled_back_tick: Some(20 * DAY),
            ..at(20 * DAY)
        };
        assert!(!before.has_lost(before.stamp()) && after.has_lost(before.stamp()));
        assert!(!after.has_lost(after.stamp()));
    }

    #[test]
    fn a_thousand_wrong_pairs_are_too_many_and_half_of_them_are_forgotten_each_day() {
        let mut pairs = Pool::full(&at(5)).wrong_pairs;
        for _ in 0..999 {
            pairs = pairs.one_more(&at(10));
        }
        assert!(!pairs.are_too_many(&at(10)));
        pairs = pairs.one_more(&at(10)).one_more(&at(0));
        assert!(pairs.are_too_many(&at(10)) && pairs.are_too_many(&at(4 + DAY)));
        assert!(!pairs.are_too_many(&at(5 + DAY)));
        assert_eq!(pairs.settled(&at(5 + 2 * DAY)).times, 250);
        assert_eq!(pairs.settled(&at(u64::MAX)).times, 0);
        let later = pairs.one_more(&at(5 + 2 * DAY));
        assert_eq!(later.settled(&at(5 + 3 * DAY)).times, 125, "each day once");
    }

    #[test]
    fn a_pool_of_nothing_stays_empty() {
        let none = Policy {
            budget: 0,
            ..POLICY
        };
        assert_eq!(Budget::full(&at(0)).left(&none, &at(900 * DAY)), 0);
    }
}
