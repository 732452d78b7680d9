//! How far a device's clock is from ours, in steps, learned from its accepted codes. Pure.
//!
//! What is learned moves the window and never widens it, so a guess has the odds that it always had. A single code moves
//! it only when the one before it lay on the same side: people type a code late now and then, and a clock that is wrong is
//! wrong every time.

use serde::{Deserialize, Serialize};

/// A device's remembered offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Steps that it is ahead, at most [`MAX_DRIFT`] either way.
    steps: i8,
    /// On which side of the middle of the window its last code lay.
    side: i8,
}

impl Drift {
    /// The step that the device shows when ours is `step`.
    #[must_use]
    pub fn shown_at(self, step: u64) -> u64 {
        step.saturating_add_signed(self.steps.into())
    }

    /// Our step when the device shows `step`: the other way round.
    #[must_use]
    pub fn ours_at(self, step: u64) -> u64 {
        step.saturating_add_signed(i64::from(self.steps).saturating_neg())
    }

    /// After a single code of `found` was accepted at our step `now`.
    #[must_use]
    pub fn after_a_code(self, found: u64, now: u64) -> Self {
        let side = offset(found, self.shown_at(now)).signum();
        if side != 0 && side == self.side { Self { side, ..self.moved(side) } } else { Self { side, ..self } }
    }

    /// After two consecutive codes were accepted at our step `now`, the second of which was `last`. They are typed as they come, and
    /// found far outside the window: one login is enough to learn from.
    #[must_use]
    pub fn after_a_pair(self, last: u64, now: u64, window: u64) -> Self {
        let away = offset(last, self.shown_at(now));
        let inside = u64::from(away.unsigned_abs()) <= window;
        Self { side: 0, ..if inside { self } else { self.moved(away) } }
    }

    fn moved(self, steps: i8) -> Self {
        Self { steps: self.steps.saturating_add(steps).clamp(MAX_DRIFT.saturating_neg(), MAX_DRIFT), ..self }
    }
}

fn offset(found: u64, middle: u64) -> i8 {
    i8::try_from(i128::from(found).saturating_sub(i128::from(middle))).unwrap_or(0)
}

/// Two minutes, with steps of 30 seconds. A clock that is further away has to be set.
const MAX_DRIFT: i8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_second_code_on_the_same_side_moves_the_window_by_one() {
        let late = Drift::default().after_a_code(99, 100);
        assert_eq!(late.shown_at(200), 200, "once is chance");
        let late = late.after_a_code(199, 200);
        assert_eq!((late.shown_at(300), late.ours_at(299)), (299, 300));
        assert_eq!(late.after_a_code(299, 300).after_a_code(398, 400).shown_at(500), 499, "in the middle in between");
        let other = Drift::default().after_a_code(99, 100).after_a_code(201, 200).after_a_code(299, 300);
        assert_eq!(other.shown_at(400), 400, "now on this side, now on that");
    }

    #[test]
    fn a_pair_moves_the_window_at_once_if_it_lay_outside() {
        assert_eq!(Drift::default().after_a_pair(103, 100, 1).shown_at(200), 203);
        assert_eq!(Drift::default().after_a_pair(97, 100, 1).shown_at(200), 197);
        assert_eq!(Drift::default().after_a_pair(99, 100, 1).shown_at(200), 200, "typed a little late");
        assert_eq!(Drift::default().after_a_pair(110, 100, 1).shown_at(200), 204, "no further than this");
    }

    proptest! {
        #[test]
        fn it_never_goes_further_than_four_steps(codes in prop::collection::vec((0u64..40, 20u64..30, any::<bool>()), 1..200)) {
            let mut drift = Drift::default();
            for (found, now, pair) in codes {
                drift = if pair { drift.after_a_pair(found, now, 1) } else { drift.after_a_code(found, now) };
                prop_assert!((96..=104).contains(&drift.shown_at(100)));
                prop_assert_eq!(drift.ours_at(drift.shown_at(100)), 100);
            }
        }
    }
}
