//! The rate limit of each calling uid for free attempts, which are wrong answers that cost no guess
//! budget: pairs, and issued codes, from users' own processes and verifiers. A
//! local process could try twenty thousand times a second; root's logins are slowed down by the
//! services in front of them.
//!
//! Kept in memory, by uid. It limits only the uid that was wrong, and only free attempts. A
//! verifier serves many users: its attempts are counted for each user, and limited to a rate that
//! withstands brute force for ever. An hourly limit would let an attacker lock the user out through
//! the verifier.

use std::sync::Mutex;
use std::time::Duration;

use common::names::user::UserName;

use super::{Bounded, Window, lock};

/// The wrong free attempts of late.
#[derive(Debug)]
pub(crate) struct FreeAttempts {
    own: Mutex<Bounded<Tries, Window>>,
    /// A table of its own: a verifier that is wrong about many users makes the daemon forget no
    /// user's own wrong attempts.
    of_verifiers: Mutex<Bounded<Tries, Window>>,
}

impl Default for FreeAttempts {
    fn default() -> Self {
        let [own, of_verifiers] = [(); 2].map(|()| Mutex::new(Bounded::new(MAX_KNOWN)));
        Self { own, of_verifiers }
    }
}

/// The attempts that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tries {
    /// Attempts of a uid for its own account.
    Own(u32),
    /// Attempts of a verifier's uid for one user.
    For(u32, UserName),
}

impl Tries {
    /// How many may be wrong within which time.
    fn allowed(&self) -> (u32, Duration) {
        match self {
            Self::Own(_) => (OWN_TRIES, OWN_SPAN),
            Self::For(..) => (TRIES_FOR_OTHERS, SPAN_FOR_OTHERS),
        }
    }
}

/// A free attempt under way. It counts as a wrong one from its beginning, so that attempts at once
/// are no more than are allowed; when it is dropped, it is given back.
#[must_use]
pub(crate) struct Attempt<'a> {
    all: &'a FreeAttempts,
    tries: Option<Tries>,
}

impl Attempt<'_> {
    /// The attempt was wrong, and stays counted.
    pub(crate) fn was_wrong(mut self) {
        self.tries = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(tries) = &self.tries else { return };
        if let Some(wrong) = lock(self.all.table(tries)).get_mut(tries) {
            wrong.times = wrong.times.saturating_sub(1);
        }
    }
}

impl FreeAttempts {
    /// Begins an attempt, if one more is allowed. Without `tries` there is no limit.
    pub(crate) fn begin(&self, tries: Option<Tries>) -> Option<Attempt<'_>> {
        let is_allowed = tries.as_ref().is_none_or(|tries| self.count(tries.clone()));
        is_allowed.then(|| Attempt { all: self, tries })
    }

    /// Counts a wrong free attempt, if one more is allowed. Returns whether it is.
    pub(crate) fn count(&self, tries: Tries) -> bool {
        let (most, span) = tries.allowed();
        let mut all = lock(self.table(&tries));
        let wrong = all.entry(
            tries,
            Window::begin,
            |wrong| wrong.is_over(span),
            |wrong| wrong.since,
        );
        let is_allowed = wrong.times(span) < most;
        if is_allowed {
            wrong.count(span);
        }
        is_allowed
    }

    fn table(&self, tries: &Tries) -> &Mutex<Bounded<Tries, Window>> {
        match tries {
            Tries::Own(_) => &self.own,
            Tries::For(..) => &self.of_verifiers,
        }
    }
}

/// Twenty wrong pairs an hour, twenty positions each: the odds of a hit are 4 in a million a year.
/// So few never reach the thousand wrong pairs after which the search is narrow.
const OWN_TRIES: u32 = 20;
const OWN_SPAN: Duration = Duration::from_secs(3600);
/// Ten a second: the rate of a brute-force attack that pairs withstand for a year.
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
        let begin = |tries: &Tries| attempts.begin(Some(tries.clone()));
        for _ in 0..OWN_TRIES {
            begin(&tried).expect("an attempt").was_wrong();
        }
        assert!(begin(&tried).is_none());
        assert!(begin(&Tries::Own(1001)).is_some() && attempts.begin(None).is_some());
        let past = Instant::now()
            .checked_sub(OWN_SPAN)
            .expect("a time an hour ago");
        lock(&attempts.own)
            .values_mut()
            .for_each(|wrong| wrong.since = past);
        begin(&tried).expect("an attempt").was_wrong();
        assert_eq!(
            lock(&attempts.own).get(&tried).map(|wrong| wrong.times),
            Some(1)
        );
    }

    #[test]
    fn attempts_at_once_are_no_more_than_are_allowed_and_what_was_not_wrong_is_given_back() {
        let attempts = FreeAttempts::default();
        let under_way: Vec<_> = (0..2 * OWN_TRIES)
            .filter_map(|_| attempts.begin(Some(Tries::Own(1000))))
            .collect();
        assert_eq!(under_way.len(), OWN_TRIES as usize);
        drop(under_way);
        assert!(attempts.begin(Some(Tries::Own(1000))).is_some());
    }

    #[test]
    fn a_verifier_is_slowed_down_for_the_user_that_it_is_wrong_about() {
        let attempts = FreeAttempts::default();
        let about = |name: &str| Tries::For(1000, UserName::new(name).unwrap());
        let may_try = |tries: Tries| attempts.begin(Some(tries)).is_some();
        assert!((0..TRIES_FOR_OTHERS).all(|_| attempts.count(about("alice"))));
        assert!(!may_try(about("alice")));
        assert!(may_try(about("bob")) && may_try(Tries::Own(1000)));
        let past = Instant::now()
            .checked_sub(SPAN_FOR_OTHERS)
            .expect("a time a second ago");
        lock(&attempts.of_verifiers)
            .values_mut()
            .for_each(|wrong| wrong.since = past);
        assert!(may_try(about("alice")));
    }

    #[test]
    fn a_verifier_that_is_wrong_about_many_users_gives_no_user_attempts_back() {
        let attempts = FreeAttempts::default();
        assert!((0..OWN_TRIES).all(|_| attempts.count(Tries::Own(1000))));
        for n in 0..2 * MAX_KNOWN {
            let user = UserName::new(&format!("u{n}")).unwrap();
            assert!(attempts.count(Tries::For(1001, user)));
        }
        assert!(!attempts.count(Tries::Own(1000)));
    }
}
