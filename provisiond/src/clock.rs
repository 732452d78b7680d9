//! The time of day, read once a request.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds; 0 for any time before 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether it can be that time: not if it is earlier than this program. A machine that has lost its clock begins somewhere
/// in the past, where codes may be known that have never been used.
#[must_use]
pub fn can_be(now: u64) -> bool {
    now >= EARLIEST
}

/// When this was built, if the builder says so (`SOURCE_DATE_EPOCH`, reproducible-builds.org), else when this version was
/// begun. Unix seconds.
const EARLIEST: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => BEGUN,
    },
    None => BEGUN,
};
/// 26 October 2026.
const BEGUN: u64 = 1_793_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_cannot_be_earlier_than_this_program() {
        assert!(can_be(now()) && can_be(u64::MAX) && can_be(EARLIEST));
        for lost in [0, 946_684_800, EARLIEST - 1] {
            assert!(!can_be(lost), "{lost}");
        }
    }
}
