//! The counter of an HOTP device (RFC 4226): how far ahead a code is searched for, and which codes
//! are spent. Pure.
//!
//! The floor of the device's spent state is the counter of its next code. It only moves forwards: a
//! login moves it past every skipped code, and a wrong code does not move it.

use std::ops::RangeInclusive;

use crate::record::spent::SpentSteps;

/// The counters at which the first of `length` consecutive codes is searched for: the last spent
/// one, so that a replay can be distinguished from a wrong code, and the next `ahead` ones.
#[must_use]
pub fn searched(spent: &SpentSteps, length: u64, ahead: u64) -> RangeInclusive<u64> {
    let next = spent.floor();
    let end = next.saturating_add(ahead.min(LOOK_AHEAD));
    next.saturating_sub(1)..=end.saturating_sub(length.max(1))
}

/// The same for a resynchronisation, which opens no login, and so may search much farther ahead.
#[must_use]
pub fn searched_far(spent: &SpentSteps, length: u64) -> RangeInclusive<u64> {
    let next = spent.floor();
    next.saturating_sub(1)..=next.saturating_add(FAR_AHEAD).saturating_sub(length.max(1))
}

/// Whether the code of that counter may still open a login.
#[must_use]
pub fn accepts(spent: &SpentSteps, counter: u64) -> bool {
    counter >= spent.floor()
}

/// Spends the code of that counter and all before it.
#[must_use]
pub fn spend(spent: SpentSteps, counter: u64) -> SpentSteps {
    spent.with_floor(counter.saturating_add(1))
}

/// The look-ahead: codes that the device may have shown and the user has not typed (RFC 4226
/// section 7.4).
pub const LOOK_AHEAD: u64 = 10;
/// The look-ahead of a resynchronisation.
const FAR_AHEAD: u64 = 100;
/// The highest counter that a device may begin with. No button is pressed so often, and the time
/// steps of these numbers lie in the last century: a TOTP key that is enrolled again as an HOTP key
/// makes no replay possible.
pub const MAX_START: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn used_up(codes: u64) -> SpentSteps {
        SpentSteps::default().with_floor(codes)
    }

    #[test]
    fn a_new_device_is_searched_from_its_first_code() {
        assert_eq!(searched(&used_up(0), 1, 3), 0..=2);
        assert_eq!(searched(&used_up(0), 1, 99), 0..=9);
        assert!(accepts(&used_up(0), 0));
    }

    #[test]
    fn the_search_begins_with_the_code_that_was_used_last_and_looks_ten_ahead() {
        assert_eq!(searched(&used_up(57), 1, 3), 56..=59);
        assert_eq!(
            searched(&used_up(57), 2, 10),
            56..=65,
            "the last pair is that of 65 and 66"
        );
        assert_eq!(searched(&used_up(57), 1, u64::MAX), 56..=66);
        assert!(searched(&used_up(0), 3, 1).count() <= 1);
    }

    #[test]
    fn the_counter_only_goes_forwards() {
        let spent = spend(used_up(5), 8);
        assert_eq!(spent, used_up(9));
        assert!(!accepts(&spent, 8) && accepts(&spent, 9));
        assert_eq!(spend(spent.clone(), 2), spent);
    }

    #[test]
    fn the_ends_of_numbers_are_no_trouble() {
        assert!(searched(&used_up(u64::MAX), u64::MAX, 10).is_empty());
        assert_eq!(spend(used_up(u64::MAX), u64::MAX), used_up(u64::MAX));
    }
}
