//! How many lines of the log each uid may cause. A process that is refused twenty thousand times a second must not push
//! the lines of logins out of the queue, nor fill the disk.
//!
//! Root's processes have no quota: what they cause are logins.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The lines that each uid caused in the present second.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<u32, Quota>>);

#[derive(Clone, Copy, Debug)]
struct Quota {
    since: Instant,
    lines: u32,
}

/// Whether a line may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Allowance {
    /// It may. Before it, so many of the same uid were left out.
    Write {
        /// How many.
        left_out: u32,
    },
    /// It may not; it is counted.
    LeaveOut,
}

impl Quotas {
    /// Counts one line of `uid`.
    pub fn count(&self, uid: u32) -> Allowance {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_UIDS {
            all.retain(|_, quota| quota.since.elapsed() < SPAN || quota.left_out() > 0);
        }
        let quota = all.entry(uid).or_insert_with(Quota::fresh);
        let mut left_out = 0;
        if quota.since.elapsed() >= SPAN {
            left_out = quota.left_out();
            *quota = Quota::fresh();
        }
        quota.lines = quota.lines.saturating_add(1);
        if quota.left_out() > 0 { Allowance::LeaveOut } else { Allowance::Write { left_out } }
    }
}

impl Quota {
    fn fresh() -> Self {
        Self { since: Instant::now(), lines: 0 }
    }

    fn left_out(self) -> u32 {
        self.lines.saturating_sub(LINES)
    }
}

/// Lines in a second: more than a person's programs ever cause.
const LINES: u32 = 200;
const SPAN: Duration = Duration::from_secs(1);
const MAX_UIDS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_and_counted_and_others_are_not_concerned() {
        let quotas = Quotas::default();
        for _ in 0..LINES {
            assert_eq!(quotas.count(1000), Allowance::Write { left_out: 0 });
        }
        for _ in 0..7 {
            assert_eq!(quotas.count(1000), Allowance::LeaveOut);
        }
        assert_eq!(quotas.count(1001), Allowance::Write { left_out: 0 });
        let past = Instant::now().checked_sub(SPAN).expect("a time a second ago");
        quotas.0.lock().unwrap().values_mut().for_each(|quota| quota.since = past);
        assert_eq!(quotas.count(1000), Allowance::Write { left_out: 7 });
        assert_eq!(quotas.count(1000), Allowance::Write { left_out: 0 });
    }
}
