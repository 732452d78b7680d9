//! What would help an attacker if it were told now, as a log line: each is held back until it can
//! help no more. In memory only: a stop of the daemon loses them, and none is ever told early.

use std::collections::VecDeque;

use crate::clock;

/// The lines that are held back.
#[derive(Debug)]
pub(super) struct Held<T>(VecDeque<(Hour, T)>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// A time by two clocks. A line is due only when both have come to it, so that a clock that is set
/// forth and back again, or set back meanwhile, brings no line early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hour {
    /// Unix seconds.
    wall: u64,
    /// Seconds since the machine was started.
    running: u64,
}

impl Hour {
    pub(super) fn now() -> Self {
        Self {
            wall: clock::now(),
            running: clock::running(),
        }
    }

    fn after(self, seconds: u64) -> Self {
        Self {
            wall: self.wall.saturating_add(seconds),
            running: self.running.saturating_add(seconds),
        }
    }

    fn has_come(self, now: Self) -> bool {
        self.wall <= now.wall && self.running <= now.running
    }
}

impl<T> Held<T> {
    /// Holds a line back for so many seconds from now on. A line that would have to wait too long
    /// is dropped, and a full store drops its oldest.
    pub(super) fn hold(&mut self, line: T, seconds: u64, now: Hour) {
        if seconds > LONGEST {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now.after(seconds), line));
    }

    /// Takes out the lines that are due.
    pub(super) fn due(&mut self, now: Hour) -> Vec<T> {
        let (due, held) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(until, _)| until.has_come(now));
        self.0 = held;
        due.into_iter().map(|(_, line)| line).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Seconds: two hours.
const LONGEST: u64 = 7200;
/// Lines. Each takes well under a kilobyte.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Line;

    const NOW: Hour = Hour {
        wall: 1_795_468_680,
        running: 1000,
    };

    fn held(seconds: impl IntoIterator<Item = u64>) -> Held<Line> {
        let mut held = Held::default();
        for seconds in seconds {
            held.hold(Line::new("x").with("seconds", seconds), seconds, NOW);
        }
        held
    }

    fn due(held: &mut Held<Line>, now: Hour) -> Vec<String> {
        let lines = held.due(now).into_iter();
        lines
            .map(|line| line.at(0, 0).fields.value("seconds").unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_line_is_told_once_and_not_before_its_time() {
        let mut held = held([60, 30, 90]);
        assert!(due(&mut held, NOW.after(29)).is_empty());
        assert_eq!(due(&mut held, NOW.after(60)), ["60", "30"]);
        assert!(due(&mut held, NOW.after(89)).is_empty());
        assert_eq!(due(&mut held, NOW.after(90)), ["90"]);
        assert!(held.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_brings_no_line_early() {
        let mut held = held([60]);
        let forth = Hour {
            wall: NOW.wall + 86_400,
            ..NOW
        };
        let back = Hour {
            wall: NOW.wall - 86_400,
            running: NOW.running + 86_400,
        };
        assert!(due(&mut held, forth).is_empty() && due(&mut held, back).is_empty());
        assert_eq!(due(&mut held, NOW.after(60)), ["60"]);
    }

    #[test]
    fn lines_and_their_times_are_bounded() {
        assert!(held([LONGEST + 1]).is_empty() && !held([LONGEST]).is_empty());
        let mut held = held(0..=MOST as u64);
        let told = due(&mut held, NOW.after(LONGEST));
        assert_eq!(told.len(), MOST);
        assert_eq!(told[0], "1", "the oldest made room");
    }
}
