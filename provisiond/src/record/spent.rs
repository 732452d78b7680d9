//! Replay protection: the time steps of a device whose codes are spent. Pure: knows no clock and no
//! store.
//!
//! A floor, and up to 64 spent steps above it. Neither a clock that jumps forward nor its
//! correction makes a replay possible: an acceptable step lies above every spent step that is not
//! in the future. A clock that ran ahead locks no user out as long as the steps spent then are
//! remembered one by one: they block nothing before their time comes. Older ones fall below the
//! floor, and the floor never falls.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A device's spent steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Packed", try_from = "Packed")]
pub struct SpentSteps {
    floor: u64,
    above: BTreeSet<u64>,
}

impl SpentSteps {
    /// Whether `step` may still open a login. `horizon` is the latest step that clock, drift and
    /// window allow now; steps spent beyond it were spent while a clock ran ahead.
    #[must_use]
    pub fn accepts(&self, step: u64, horizon: u64) -> bool {
        step > self.latest(horizon) && !self.above.contains(&step)
    }

    /// The latest step spent at or before `horizon`, or the floor.
    #[must_use]
    pub fn latest(&self, horizon: u64) -> u64 {
        self.above
            .range(..=horizon)
            .next_back()
            .copied()
            .unwrap_or(0)
            .max(self.floor)
    }

    /// The latest step that is remembered one by one. It is the last to be forgotten.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.above.last().copied()
    }

    /// The latest spent steps: those remembered one by one from `earliest` on, and the floor, up to
    /// which all are.
    #[must_use]
    pub fn since(&self, earliest: u64) -> Vec<u64> {
        let floor = (self.floor >= earliest).then_some(earliest..=self.floor);
        let above = self.above.range(earliest..).copied();
        floor.into_iter().flatten().chain(above).collect()
    }

    /// Every step up to the floor is spent.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Marks every step up to `step` as spent.
    #[must_use]
    pub fn with_floor(mut self, step: u64) -> Self {
        self.floor = self.floor.max(step);
        self.above = self.above.split_off(&self.floor.saturating_add(1));
        self
    }

    /// A shorter form for a revoked device, on the safe side: every step up to the latest spent one
    /// at `horizon` is spent.
    #[must_use]
    pub fn at_rest(&self, horizon: u64) -> Self {
        let mut rest = self.clone().with_floor(self.latest(horizon));
        rest.remember(MAX_AT_REST);
        rest
    }

    /// Remembers only the latest `most` steps one by one; the floor rises to the latest of the
    /// others.
    pub fn remember(&mut self, most: usize) {
        while self.above.len() > most
            && let Some(smallest) = self.above.pop_first()
        {
            self.floor = self.floor.max(smallest);
        }
    }

    /// Marks `step` as spent, for good.
    pub fn spend(&mut self, step: u64) {
        if step > self.floor {
            self.above.insert(step);
            self.remember(MAX_ABOVE);
        }
    }
}

/// The stored form: each step as its distance from the step before, which takes few bytes.
#[derive(Serialize, Deserialize)]
struct Packed {
    floor: u64,
    distances: Vec<u64>,
}

impl From<SpentSteps> for Packed {
    fn from(spent: SpentSteps) -> Self {
        let mut before = 0;
        let distances = spent.above.iter().map(|step| {
            let distance = step.saturating_sub(before);
            before = *step;
            distance
        });
        Self {
            floor: spent.floor,
            distances: distances.collect(),
        }
    }
}

impl TryFrom<Packed> for SpentSteps {
    type Error = &'static str;

    fn try_from(packed: Packed) -> Result<Self, Self::Error> {
        if packed.distances.len() > MAX_ABOVE {
            return Err("too many spent steps");
        }
        let mut above = BTreeSet::new();
        let mut step = 0u64;
        for distance in packed.distances {
            step = step
                .checked_add(distance)
                .ok_or("a spent step beyond the end of time")?;
            above.insert(step);
        }
        Ok(Self {
            floor: packed.floor,
            above,
        })
    }
}

/// Spent steps remembered one by one.
const MAX_ABOVE: usize = 64;
/// The same for a revoked device: only a clock that ran ahead leaves any.
const MAX_AT_REST: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_step_is_accepted_once() {
        let mut spent = SpentSteps::default();
        assert!(!spent.accepts(0, 10), "step 0 is the floor of a new device");
        assert!(spent.accepts(10, 11));
        spent.spend(10);
        assert!(!spent.accepts(10, 11));
        assert!(!spent.accepts(9, 11), "older than what was spent");
        assert!(spent.accepts(11, 11));
    }

    #[test]
    fn the_latest_spent_steps_are_told() {
        let mut spent = SpentSteps::default().with_floor(100);
        spent.spend(103);
        assert_eq!(spent.since(98), [98, 99, 100, 103]);
        assert_eq!(spent.since(101), [103]);
        assert!(spent.since(104).is_empty());
    }

    #[test]
    fn a_clock_that_jumps_and_is_corrected_revives_nothing() {
        let mut spent = SpentSteps::default();
        spent.spend(100);
        spent.spend(220); // the clock was an hour ahead
        assert!(!spent.accepts(100, 102), "spent before the jump");
        assert!(!spent.accepts(99, 102));
        assert!(
            spent.accepts(101, 102),
            "the owner is let in with a fresh code after the correction"
        );
        for step in 101..=330 {
            if spent.accepts(step, step + 1) {
                spent.spend(step);
            }
        }
        assert!(
            !spent.accepts(220, 221),
            "spent in the future, still spent when that time has come"
        );
        assert!(!spent.accepts(100, 331));
    }

    #[test]
    fn more_than_64_logins_with_a_clock_that_ran_ahead_shut_the_device_until_their_time_has_come() {
        let mut spent = SpentSteps::default();
        spent.spend(100);
        (1000..1063).for_each(|step| spent.spend(step));
        assert!(spent.accepts(101, 102), "the clock is right again");
        (1063..1065).for_each(|step| spent.spend(step));
        assert!(!spent.accepts(101, 102) && spent.accepts(1065, 1066));
    }

    #[test]
    fn the_floor_never_falls() {
        let mut spent = SpentSteps::default();
        for step in (1..=500).rev() {
            let floor = spent.floor;
            spent.spend(step);
            assert!(spent.floor >= floor);
            assert!(spent.above.len() <= 64);
        }
        assert_eq!(spent.floor, 436);
    }

    #[test]
    fn what_is_below_the_floor_is_used_already_and_takes_no_room() {
        let mut spent = SpentSteps::default().with_floor(10);
        for step in [9, 10] {
            spent.spend(step);
        }
        assert_eq!(spent, SpentSteps::default().with_floor(10));
    }

    #[test]
    fn a_raised_floor_takes_everything_below_it_for_used() {
        let mut spent = SpentSteps::default();
        spent.spend(5);
        spent.spend(20);
        let spent = spent.with_floor(10);
        assert_eq!(
            spent,
            SpentSteps {
                floor: 10,
                above: [20].into()
            }
        );
        assert!(!spent.accepts(10, 11) && spent.accepts(11, 12));
        assert_eq!(spent.clone().with_floor(3), spent);
    }

    #[test]
    fn at_rest_few_bytes_say_at_least_as_much() {
        let mut spent = SpentSteps::default();
        (100..130)
            .chain([500, 600])
            .for_each(|step| spent.spend(step));
        let rest = spent.at_rest(131);
        assert_eq!(
            rest,
            SpentSteps {
                floor: 129,
                above: [500, 600].into()
            }
        );
        assert!((1..=700).all(|step| spent.accepts(step, 700) || !rest.accepts(step, 700)));
        let ahead = spent.at_rest(50);
        assert_eq!(
            ahead,
            SpentSteps {
                floor: 127,
                above: [128, 129, 500, 600].into()
            }
        );
    }

    proptest! {
        #[test]
        fn no_step_is_accepted_after_it_was_spent(steps in prop::collection::vec((0u64..200, 0u64..200), 1..400)) {
            let mut spent = SpentSteps::default();
            let mut ever = BTreeSet::new();
            for (step, horizon) in steps {
                if spent.accepts(step, horizon) {
                    prop_assert!(ever.insert(step), "step {step} was accepted twice");
                    spent.spend(step);
                }
            }
        }

        #[test]
        fn what_is_stored_is_read_back(floor in any::<u64>(), above in prop::collection::btree_set(any::<u64>(), 0..64)) {
            let spent = SpentSteps { floor, above };
            let bytes = postcard::to_stdvec(&spent).unwrap();
            prop_assert_eq!(postcard::from_bytes::<SpentSteps>(&bytes).unwrap(), spent);
        }
    }
}
