//! How often people's own processes may be wrong where being wrong costs their account nothing: pairs of codes, and first
//! codes of a pending device. Root's logins are slowed down by what stands before them; a process on this machine can ask
//! twenty thousand times a second.
//!
//! Kept in memory, by uid. It holds up nobody but the uid that was wrong, and only for what was free. A verifier's tries
//! are many people's: they are counted for each user, and slowed down to a pace that the odds allow for ever, because
//! whoever used up an hour's tries through it would else keep the user out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::names::user::UserName;

/// Wrong tries.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<HashMap<Tries, Wrong>>);

/// Whose tries count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tries {
    /// Those of a uid for its own sake.
    Own(u32),
    /// Those of a verifier's uid for one user.
    For(u32, UserName),
}

impl Tries {
    /// How many may be wrong, in which time.
    fn allowed(&self) -> (u32, Duration) {
        match self {
            Self::Own(_) => (OWN_TRIES, OWN_SPAN),
            Self::For(..) => (TRIES_FOR_OTHERS, SPAN_FOR_OTHERS),
        }
    }

    fn is_over(&self, since: Instant) -> bool {
        since.elapsed() >= self.allowed().1
    }
}

#[derive(Debug)]
struct Wrong {
    since: Instant,
    times: u32,
}

impl Patience {
    /// Whether there may be one more.
    #[must_use]
    pub(crate) fn has_any(&self, tries: &Tries) -> bool {
        let all = self.lock();
        all.get(tries).is_none_or(|wrong| wrong.times < tries.allowed().0 || tries.is_over(wrong.since))
    }

    /// Remembers one that was wrong for free.
    pub(crate) fn try_it(&self, tries: Tries) {
        let mut all = self.lock();
        if all.len() >= MAX_KNOWN {
            all.retain(|tries, wrong| !tries.is_over(wrong.since));
        }
        let fresh = || Wrong { since: Instant::now(), times: 0 };
        let is_over = all.get(&tries).is_some_and(|wrong| tries.is_over(wrong.since));
        let wrong = all.entry(tries).or_insert_with(fresh);
        if is_over {
            *wrong = fresh();
        }
        wrong.times = wrong.times.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tries, Wrong>> {
        // A panic while the lock is held cannot leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Twenty wrong pairs an hour, twenty positions each: the odds of a hit are 4 in a million a year. They are too few for the
/// narrower search, which begins with a thousand.
const OWN_TRIES: u32 = 20;
const OWN_SPAN: Duration = Duration::from_secs(3600);
/// Ten a second for a year are what pairs of codes are reckoned to withstand, whoever asks.
const TRIES_FOR_OTHERS: u32 = 10;
const SPAN_FOR_OTHERS: Duration = Duration::from_secs(1);
/// After this many, those whose time is over are forgotten. There are never more than accounts, for each verifier.
const MAX_KNOWN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_wrong_tries_an_hour_and_others_are_not_concerned() {
        let patience = Patience::default();
        let tried = Tries::Own(1000);
        for _ in 0..OWN_TRIES {
            assert!(patience.has_any(&tried));
            patience.try_it(tried.clone());
        }
        assert!(!patience.has_any(&tried));
        assert!(patience.has_any(&Tries::Own(1001)));
        let past = Instant::now().checked_sub(OWN_SPAN).expect("a time an hour ago");
        patience.lock().values_mut().for_each(|wrong| wrong.since = past);
        assert!(patience.has_any(&tried));
        patience.try_it(tried.clone());
        assert_eq!(patience.lock()[&tried].times, 1);
    }

    #[test]
    fn a_verifier_is_slowed_down_for_the_user_that_it_is_wrong_about() {
        let patience = Patience::default();
        let about = |name: &str| Tries::For(1000, UserName::new(name).unwrap());
        (0..TRIES_FOR_OTHERS).for_each(|_| patience.try_it(about("alice")));
        assert!(!patience.has_any(&about("alice")));
        assert!(patience.has_any(&about("bob")) && patience.has_any(&Tries::Own(1000)));
        let past = Instant::now().checked_sub(SPAN_FOR_OTHERS).expect("a time a second ago");
        patience.lock().values_mut().for_each(|wrong| wrong.since = past);
        assert!(patience.has_any(&about("alice")));
    }
}
