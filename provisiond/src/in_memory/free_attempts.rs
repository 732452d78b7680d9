//! How often people's own processes may be wrong where being wrong costs their account nothing: pairs of codes, and first
//! codes of a pending device. Root's logins are slowed down by what stands before them; a process on this machine can ask
//! twenty thousand times a second.
//!
//! Kept in memory, by uid. It holds up nobody but the uid that was wrong, and only for what was free. A verifier's tries
//! are many people's: they are counted for each user, and slowed down to a pace that the odds allow for ever, because
//! whoever used up an hour's tries through it would else keep the user out.

use std::sync::Mutex;
use std::time::Duration;

use common::names::user::UserName;

use super::{Bounded, Window, lock};

/// Wrong tries.
#[derive(Debug)]
pub(crate) struct FreeAttempts(Mutex<Bounded<Tries, Window>>);

impl Default for FreeAttempts {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MAX_KNOWN)))
    }
}

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
}

impl FreeAttempts {
    /// Whether there may be one more.
    #[must_use]
    pub(crate) fn has_any(&self, tries: &Tries) -> bool {
        let (most, span) = tries.allowed();
        lock(&self.0).get(tries).is_none_or(|wrong| wrong.times(span) < most)
    }

    /// Counts one that was wrong for free.
    pub(crate) fn count(&self, tries: Tries) {
        let (_, span) = tries.allowed();
        let mut all = lock(&self.0);
        let wrong = all.entry(tries, Window::begin, |wrong| wrong.is_over(OWN_SPAN), |wrong| wrong.since);
        wrong.count(span);
    }
}

/// Twenty wrong pairs an hour, twenty positions each: the odds of a hit are 4 in a million a year. They are too few for the
/// narrower search, which begins with a thousand.
const OWN_TRIES: u32 = 20;
const OWN_SPAN: Duration = Duration::from_secs(3600);
/// Ten a second for a year are what pairs of codes are reckoned to withstand, whoever asks.
const TRIES_FOR_OTHERS: u32 = 10;
const SPAN_FOR_OTHERS: Duration = Duration::from_secs(1);
const MAX_KNOWN: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn twenty_wrong_tries_an_hour_and_others_are_not_concerned() {
        let attempts = FreeAttempts::default();
        let tried = Tries::Own(1000);
        for _ in 0..OWN_TRIES {
            assert!(attempts.has_any(&tried));
            attempts.count(tried.clone());
        }
        assert!(!attempts.has_any(&tried));
        assert!(attempts.has_any(&Tries::Own(1001)));
        let past = Instant::now().checked_sub(OWN_SPAN).expect("a time an hour ago");
        lock(&attempts.0).values_mut().for_each(|wrong| wrong.since = past);
        assert!(attempts.has_any(&tried));
        attempts.count(tried.clone());
        assert_eq!(lock(&attempts.0).get(&tried).map(|wrong| wrong.times), Some(1));
    }

    #[test]
    fn a_verifier_is_slowed_down_for_the_user_that_it_is_wrong_about() {
        let attempts = FreeAttempts::default();
        let about = |name: &str| Tries::For(1000, UserName::new(name).unwrap());
        (0..TRIES_FOR_OTHERS).for_each(|_| attempts.count(about("alice")));
        assert!(!attempts.has_any(&about("alice")));
        assert!(attempts.has_any(&about("bob")) && attempts.has_any(&Tries::Own(1000)));
        let past = Instant::now().checked_sub(SPAN_FOR_OTHERS).expect("a time a second ago");
        lock(&attempts.0).values_mut().for_each(|wrong| wrong.since = past);
        assert!(attempts.has_any(&about("alice")));
    }
}
