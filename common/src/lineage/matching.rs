//! Finds the time step of a code by passlib's rules: a window in seconds, a skew, and the last step
//! that was used.
//!
//! For offline use only. The daemon's own rules are stricter: they know every spent step and a
//! budget of guesses.

use crate::lineage::token::{Malformed, clean};
use crate::secret::Key;
use crate::totp::Parameters;

/// The time and the window of the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The present time, in Unix seconds.
    pub time: i64,
    /// Seconds accepted on each side. Every step that they touch is searched.
    pub window: u64,
    /// Seconds by which the authenticator's clock is known to be ahead; added to the time.
    pub skew: i64,
    /// The step of the last accepted code. It and all earlier steps are refused.
    pub last_counter: Option<u64>,
}

/// A code that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its step. Of two that fit, the earlier.
    pub counter: u64,
    /// The step of the present time, without the skew.
    pub expected_counter: u64,
    /// When the step ends, in Unix seconds.
    pub expire_time: u64,
    /// How long to remember the step, in seconds, and until when.
    pub cache_seconds: u64,
    /// Until when a replay of this code could still be inside the window, in Unix seconds.
    pub cache_time: u64,
}

impl Match {
    /// How many steps the authenticator is ahead.
    #[must_use]
    pub fn skipped(&self) -> i64 {
        let difference = i128::from(self.counter).saturating_sub(i128::from(self.expected_counter));
        i64::try_from(difference).unwrap_or(i64::MAX)
    }
}

/// Why a code does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// No step in reach has this code.
    #[error("the code does not fit: use the one that the authenticator shows now")]
    Rejected,
    /// It is the code that was used last.
    #[error("the code was used already: wait for the next one")]
    AlreadyUsed {
        /// When the step that was used ends, in Unix seconds.
        expire_time: u64,
    },
    /// No code of this length.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Too many steps to search.
    #[error("the window covers more than {MAX_STEPS} steps: make it smaller")]
    TooWide,
}

/// Finds the step at which the key shows the code `typed`.
///
/// # Errors
/// [`NoMatch`]. Before 1970 there are no codes.
pub fn find(
    key: &Key,
    parameters: Parameters,
    typed: &str,
    search: Search,
) -> Result<Match, NoMatch> {
    let period = u64::from(parameters.period);
    let steps = search.steps(parameters);
    if steps
        .as_ref()
        .is_some_and(|steps| steps.end().saturating_sub(*steps.start()) >= MAX_STEPS)
    {
        return Err(NoMatch::TooWide);
    }
    let code = clean(typed, parameters.digits)?;
    let found = steps
        .map(|steps| parameters.find(key, std::slice::from_ref(&code), steps))
        .unwrap_or_default();
    let counter = found.into_iter().min().ok_or(NoMatch::Rejected)?;
    let expire_time = parameters.start_of(counter.saturating_add(1));
    if Some(counter) == search.last_counter {
        return Err(NoMatch::AlreadyUsed { expire_time });
    }
    Ok(Match {
        counter,
        expected_counter: parameters.step_at(search.time.unsigned_abs()),
        expire_time,
        cache_seconds: period.saturating_add(search.window),
        cache_time: expire_time.saturating_add(search.window),
    })
}

impl Search {
    /// The steps to look at, the last used one among them; `None` when there are none.
    fn steps(&self, parameters: Parameters) -> Option<std::ops::RangeInclusive<u64>> {
        let time = u64::try_from(self.time).ok()?;
        let middle = i128::from(time).saturating_add(i128::from(self.skew));
        let (first, last) = (
            middle.saturating_sub(i128::from(self.window)).max(0),
            middle
                .saturating_add(i128::from(self.window))
                .min(i128::from(u64::MAX)),
        );
        let first = parameters
            .step_at(u64::try_from(first).ok()?)
            .max(self.last_counter.unwrap_or(0));
        let last = parameters.step_at(u64::try_from(last).ok()?);
        (first <= last).then_some(first..=last)
    }
}

/// Each step costs one HMAC: so many take a fraction of a second.
const MAX_STEPS: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(b"12345678901234567890".to_vec()).unwrap()
    }

    fn search(time: i64) -> Search {
        Search {
            time,
            window: 30,
            ..Search::default()
        }
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let parameters = Parameters::default();
        for time in [i64::MIN, -1, 0, i64::MAX] {
            for skew in [i64::MIN, 0, i64::MAX] {
                for last_counter in [None, Some(0), Some(u64::MAX)] {
                    let found = find(
                        &key(),
                        parameters,
                        "000000",
                        Search {
                            skew,
                            last_counter,
                            ..search(time)
                        },
                    );
                    assert_eq!(found, Err(NoMatch::Rejected));
                }
            }
        }
    }

    #[test]
    fn a_window_without_end_is_refused() {
        let wide = Search {
            window: u64::MAX,
            ..search(59)
        };
        assert_eq!(
            find(&key(), Parameters::default(), "287082", wide),
            Err(NoMatch::TooWide)
        );
        let bounded_by_the_last = Search {
            last_counter: Some(0),
            window: 86_400,
            ..search(59)
        };
        assert!(find(&key(), Parameters::default(), "287082", bounded_by_the_last).is_ok());
    }

    #[test]
    fn before_1970_there_are_no_codes() {
        assert_eq!(
            find(&key(), Parameters::default(), "755224", search(-1)),
            Err(NoMatch::Rejected)
        );
        assert_eq!(
            find(&key(), Parameters::default(), "755224", search(0))
                .unwrap()
                .counter,
            0
        );
    }
}
