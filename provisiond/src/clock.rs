//! The time of day, read once a request.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds; 0 for any time before 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
