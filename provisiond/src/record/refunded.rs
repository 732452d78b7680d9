//! The daily limit of refunds: units of the guess budget that accepted logins may give back to a
//! user's known pool in a day. Pure: time is an argument.
//!
//! The sum is stored with the record, so that an attacker gains nothing from a restart or a killed
//! daemon. It counts units and not wrong codes: a code that is compared with several devices costs
//! several units, and has better odds accordingly.

use serde::{Deserialize, Serialize};

use crate::clock::moment::Moment;

/// Units refunded within a day. The day begins with its first refund, and is measured in trusted
/// seconds. The default, for a record of version 3, is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    units: u32,
    since: u64,
}

impl Refunded {
    /// No refunds, for a user seen for the first time.
    #[must_use]
    pub fn none(moment: &Moment) -> Self {
        Self {
            units: 0,
            since: moment.stamp(),
        }
    }

    /// Units that may still be refunded today.
    #[must_use]
    pub fn left(self, moment: &Moment) -> u32 {
        MOST_A_DAY.saturating_sub(self.settled(moment).units)
    }

    /// The sum after so many more units were refunded.
    #[must_use]
    pub fn and(self, units: u32, moment: &Moment) -> Self {
        let settled = self.settled(moment);
        let since = if settled.units == 0 {
            moment.stamp()
        } else {
            settled.since
        };
        Self {
            units: settled.units.saturating_add(units),
            since,
        }
    }

    fn settled(self, moment: &Moment) -> Self {
        let refunded = match moment.rolled_back_tick {
            // A rolled-back store may have lost today's refunds: the limit counts as reached.
            Some(event) if self.since <= event => Self {
                units: MOST_A_DAY,
                since: event.saturating_add(1),
            },
            _ => self,
        };
        let is_over = moment.tick >= refunded.since.saturating_add(DAY);
        if is_over {
            Self {
                units: 0,
                ..refunded
            }
        } else {
            refunded
        }
    }
}

/// With 370 guesses a year from the budget, three refunds a day keep the odds of a year below 0.5
/// %.
const MOST_A_DAY: u32 = 3;
const DAY: u64 = 86400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick: u64) -> Moment {
        Moment::ordinary(tick)
    }

    #[test]
    fn three_units_a_day_and_the_day_begins_with_the_first() {
        let none = Refunded::none(&at(1000));
        assert_eq!(
            (
                none.left(&at(1000)),
                Refunded::default().left(&at(1000 + DAY))
            ),
            (3, 3)
        );
        let first = none.and(0, &at(2000)).and(1, &at(5000)).and(0, &at(6000));
        let all = first.and(2, &at(5000 + DAY - 1));
        assert_eq!(
            (first.left(&at(6000)), all.left(&at(5000 + DAY - 1))),
            (2, 0)
        );
        assert_eq!(all.left(&at(5000 + DAY)), 3, "a day from the first of them");
        let next = all.and(1, &at(7000 + DAY));
        assert_eq!(
            (
                next.left(&at(7000 + 2 * DAY - 1)),
                next.left(&at(7000 + 2 * DAY))
            ),
            (2, 3)
        );
    }

    #[test]
    fn time_that_runs_backwards_gives_nothing() {
        let all = Refunded::none(&at(9 * DAY)).and(3, &at(9 * DAY));
        assert_eq!(
            [0, 8 * DAY, 9 * DAY].map(|tick| all.left(&at(tick))),
            [0; 3]
        );
    }

    #[test]
    fn a_store_that_was_put_back_has_given_everything_for_a_day() {
        let put_back = |tick| Moment {
            rolled_back_tick: Some(20 * DAY),
            ..at(tick)
        };
        for before in [
            Refunded::default(),
            Refunded::none(&at(3 * DAY)),
            Refunded::none(&at(20 * DAY)).and(1, &at(20 * DAY)),
        ] {
            assert_eq!(before.left(&put_back(20 * DAY)), 0, "{before:?}");
            assert_eq!(before.left(&put_back(21 * DAY)), 0, "{before:?}");
            assert_eq!(before.left(&put_back(21 * DAY + 1)), 3, "{before:?}");
            let later = before.and(1, &put_back(22 * DAY));
            assert_eq!(
                later.left(&put_back(22 * DAY)),
                2,
                "once, not at every look: {before:?}"
            );
        }
        assert_eq!(
            Refunded::none(&put_back(20 * DAY)).left(&put_back(20 * DAY)),
            3,
            "enrolled since"
        );
    }
}
