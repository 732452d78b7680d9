//! How often people's own processes may be wrong where being wrong costs their account nothing: pairs of codes, and first
//! codes of a pending device. Root's logins are slowed down by what stands before them; a process on this machine can ask
//! twenty thousand times a second.
//!
//! Kept in memory, by uid. It holds up nobody but the uid that was wrong, and only for what was free.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tries of each uid.
#[derive(Debug, Default)]
pub struct Patience(Mutex<HashMap<u32, Wrong>>);

#[derive(Debug)]
struct Wrong {
    since: Instant,
    times: u32,
}

impl Patience {
    /// Whether `uid` may try again.
    #[must_use]
    pub fn has_any(&self, uid: u32) -> bool {
        let all = self.lock();
        all.get(&uid).is_none_or(|wrong| wrong.times < WRONG_TRIES || wrong.since.elapsed() >= SPAN)
    }

    /// Remembers that `uid` was wrong for free.
    pub fn try_it(&self, uid: u32) {
        let mut all = self.lock();
        if all.len() >= MAX_UIDS {
            all.retain(|_, wrong| wrong.since.elapsed() < SPAN);
        }
        let fresh = || Wrong { since: Instant::now(), times: 0 };
        let wrong = all.entry(uid).or_insert_with(fresh);
        if wrong.since.elapsed() >= SPAN {
            *wrong = fresh();
        }
        wrong.times = wrong.times.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Wrong>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Twenty wrong pairs an hour, twenty positions each: the odds of a hit are 4 in a million a year.
const WRONG_TRIES: u32 = 20;
const SPAN: Duration = Duration::from_secs(3600);
/// After this many, those whose hour is over are forgotten. There are never more than there are accounts.
const MAX_UIDS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_wrong_tries_an_hour_and_others_are_not_concerned() {
        let patience = Patience::default();
        for _ in 0..WRONG_TRIES {
            assert!(patience.has_any(1000));
            patience.try_it(1000);
        }
        assert!(!patience.has_any(1000));
        assert!(patience.has_any(1001));
        let past = Instant::now().checked_sub(SPAN).expect("a time an hour ago");
        patience.lock().values_mut().for_each(|wrong| wrong.since = past);
        assert!(patience.has_any(1000));
        patience.try_it(1000);
        assert_eq!(patience.lock()[&1000].times, 1);
    }
}
