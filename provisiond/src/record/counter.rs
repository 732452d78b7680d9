//! Which codes of a device that counts (HOTP, RFC 4226) are looked for, and which of them are used up. Pure.
//!
//! The floor of such a device's spent state is how many of its codes are used up, and so the counter of its next one.
//! It only goes forwards: with a login past every code that was left out, with a wrong code not at all.

use std::ops::RangeInclusive;

use crate::record::spent::SpentSteps;

/// The counters at which the first of `length` codes in a row may stand: the last used one, so that it can be told from
/// a wrong one, and those of the next `ahead` codes.
#[must_use]
pub fn searched(spent: &SpentSteps, length: u64, ahead: u64) -> RangeInclusive<u64> {
    let next = spent.floor();
    let end = next.saturating_add(ahead.min(LOOK_AHEAD));
    next.saturating_sub(1)..=end.saturating_sub(length.max(1))
}

/// The same for two codes in a row that open no login, and so may be much farther ahead.
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

/// Uses up the code of that counter and all before it.
#[must_use]
pub fn spend(spent: SpentSteps, counter: u64) -> SpentSteps {
    spent.with_floor(counter.saturating_add(1))
}

/// How many codes may have been shown and not typed (RFC 4226 section 7.4).
pub const LOOK_AHEAD: u64 = 10;
/// How many of a device that is to be found again.
const FAR_AHEAD: u64 = 100;
/// The highest counter that a device may begin with. Nobody presses a button so often, and a clock left the steps of
/// these numbers behind in the last century: a key that was a TOTP device's revives no code as a HOTP device's.
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
        assert_eq!(searched(&used_up(57), 2, 10), 56..=65, "the last pair is that of 65 and 66");
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
