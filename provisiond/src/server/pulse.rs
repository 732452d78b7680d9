//! The service manager's watchdog. A thread tells it, again and again, that the daemon works: that
//! the store does, and that threads are free to accept connections. A daemon that hangs says nothing, and is
//! started anew.

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// A sign of life, given in time for the watchdog.
pub struct Pulse {
    every: Duration,
    due: Instant,
    tell: Box<dyn Fn() + Send>,
}

impl Pulse {
    /// A pulse for a watchdog that must hear `tell` once `within` this time.
    #[must_use]
    pub fn new(within: Duration, tell: impl Fn() + Send + 'static) -> Self {
        Self {
            every: within.checked_div(SIGNS_IN_TIME).unwrap_or(within),
            due: Instant::now(),
            tell: Box::new(tell),
        }
    }

    /// Gives the sign if it is due and the daemon `works`. Returns how long to wait for the next.
    pub(super) fn beat(&mut self, works: impl Fn() -> bool) -> PollTimeout {
        let now = Instant::now();
        if now >= self.due {
            let next = if works() {
                (self.tell)();
                self.every
            } else {
                self.every.min(LOOK_AGAIN)
            };
            self.due = now.checked_add(next).unwrap_or(now);
        }
        let wait = self.due.saturating_duration_since(now);
        PollTimeout::try_from(wait.max(SHORTEST)).unwrap_or(PollTimeout::MAX)
    }
}

/// One that is late, and one that is lost, do no harm.
const SIGNS_IN_TIME: u32 = 3;
/// A daemon at work may be busy at the very moment of the look.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The kernel takes whole milliseconds: a shorter wait would be none.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_sign_is_given_when_it_is_due_and_the_daemon_works() {
        let (signs, given) = channel();
        let mut pulse = Pulse::new(Duration::from_secs(3000), move || signs.send(()).unwrap());
        let count = || given.try_iter().count();
        let again = pulse.beat(|| false);
        assert_eq!(
            (count(), again.as_millis()),
            (0, Some(250)),
            "it does not work"
        );
        pulse.due = Instant::now();
        let wait = pulse.beat(|| true);
        assert_eq!(count(), 1);
        assert_eq!(wait.as_millis(), Some(1_000_000));
        pulse.beat(|| true);
        assert_eq!(count(), 0, "it is not due yet");
    }
}
