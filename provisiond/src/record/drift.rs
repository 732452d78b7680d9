//! The drift of a device's clock against ours, in time steps, learned from its accepted codes.
//! Pure.
//!
//! The drift moves the window and never widens it, so the odds of a guess stay the same. A single
//! code moves it only if the code before lay on the same side: users type a code late now and then,
//! but a wrong clock is wrong every time.

use serde::{Deserialize, Serialize};

/// A device's learned drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Steps that its clock is ahead, at most [`MAX_DRIFT`] either way.
    steps: i8,
    /// The side of the window's middle on which its last code lay: -1, 0 or 1.
    side: i8,
}

impl Drift {
    /// The drift that another system has learned: as far as it goes here.
    #[must_use]
    pub fn of_steps(steps: i64) -> Self {
        let most = i64::from(MAX_DRIFT);
        let steps = steps.clamp(most.saturating_neg(), most);
        Self {
            steps: i8::try_from(steps).unwrap_or(0),
            side: 0,
        }
    }

    /// Steps that its clock is ahead.
    #[must_use]
    pub fn steps(self) -> i64 {
        self.steps.into()
    }

    /// The step that the device shows when ours is `step`.
    #[must_use]
    pub fn shown_at(self, step: u64) -> u64 {
        step.saturating_add_signed(self.steps.into())
    }

    /// Our step when the device shows `step`.
    #[must_use]
    pub fn ours_at(self, step: u64) -> u64 {
        step.saturating_add_signed(i64::from(self.steps).saturating_neg())
    }

    /// The drift after the single code of step `found` was accepted at our step `now`.
    #[must_use]
    pub fn after_a_code(self, found: u64, now: u64) -> Self {
        let side = offset(found, self.shown_at(now)).signum();
        if side != 0 && side == self.side {
            Self {
                side,
                ..self.moved(side)
            }
        } else {
            Self { side, ..self }
        }
    }

    /// The drift after a pair was accepted at our step `now`; `last` is the step of its second
    /// code. Users type a pair without delay, and it is found far outside the window, so one login
    /// is enough to learn from.
    #[must_use]
    pub fn after_a_pair(self, last: u64, now: u64, window: u64) -> Self {
        let away = offset(last, self.shown_at(now));
        let inside = u64::from(away.unsigned_abs()) <= window;
        Self {
            side: 0,
            ..if inside { self } else { self.moved(away) }
        }
    }

    fn moved(self, steps: i8) -> Self {
        Self {
            steps: self
                .steps
                .saturating_add(steps)
                .clamp(MAX_DRIFT.saturating_neg(), MAX_DRIFT),
            ..self
        }
    }
}

fn offset(found: u64, middle: u64) -> i8 {
    i8::try_from(i128::from(found).saturating_sub(i128::from(middle))).unwrap_or(0)
}

/// Steps: two minutes, with steps of 30 seconds. A clock with more drift must be set.
pub const MAX_DRIFT: i8 = 4;

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
        assert_eq!(
            late.after_a_code(299, 300)
                .after_a_code(398, 400)
                .shown_at(500),
            499,
            "in the middle in between"
        );
        let other = Drift::default()
            .after_a_code(99, 100)
            .after_a_code(201, 200)
            .after_a_code(299, 300);
        assert_eq!(other.shown_at(400), 400, "now on this side, now on that");
    }

    #[test]
    fn a_drift_that_another_system_has_learned_goes_no_further_than_ours() {
        for (steps, shown) in [(0, 100), (2, 102), (-3, 97), (90, 104), (i64::MIN, 96)] {
            assert_eq!(Drift::of_steps(steps).shown_at(100), shown, "{steps}");
        }
    }

    #[test]
    fn a_pair_moves_the_window_at_once_if_it_lay_outside() {
        assert_eq!(
            Drift::default().after_a_pair(103, 100, 1).shown_at(200),
            203
        );
        assert_eq!(Drift::default().after_a_pair(97, 100, 1).shown_at(200), 197);
        assert_eq!(
            Drift::default().after_a_pair(99, 100, 1).shown_at(200),
            200,
            "typed a little late"
        );
        assert_eq!(
            Drift::default().after_a_pair(110, 100, 1).shown_at(200),
            204,
            "no further than this"
        );
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
