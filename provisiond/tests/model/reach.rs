//! How far from the present one the daemon searches for codes, and how many wrong pairs make that
//! search narrow.

use crate::people::{DAY, Device, Login, Person, Typed};
use crate::reference::Truth;
use crate::time::Time;

/// Steps that a code may be early or late.
pub(crate) const WINDOW: u64 = 1;
/// Steps that each of two consecutive codes may be early or late, unless the search is narrow.
const FAR: u64 = 10;
/// Steps that a store which was put back may have forgotten to be spent ahead of their time.
pub(crate) const FURTHEST: u64 = 14;
/// Wrong pairs that make the search narrow.
pub(crate) const MANY_PAIRS: u64 = 1000;

/// Wrong pairs; half of them are forgotten each day.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pairs {
    times: u64,
    since: u64,
}

impl Pairs {
    pub(crate) fn none(since: u64) -> Self {
        Self { times: 0, since }
    }

    fn at(self, tick: u64) -> Self {
        let days = tick.saturating_sub(self.since) / DAY;
        Self {
            times: self.times.checked_shr(days as u32).unwrap_or(0),
            since: self.since + days * DAY,
        }
    }
}

impl Person {
    /// A pair was wrong that is no repeated answer.
    pub(crate) fn count_a_wrong_pair(&mut self, login: &Login) {
        let known = self.knows(login);
        let pairs = &mut self.pairs[usize::from(known)];
        *pairs = pairs.at(login.time.tick);
        pairs.times += 1;
    }

    pub(crate) fn wrong_pairs(&self, login: &Login) -> u64 {
        self.pairs[usize::from(self.knows(login))]
            .at(login.time.tick)
            .times
    }

    /// Whether pairs are searched for in the window only: surely, and perhaps.
    pub(crate) fn is_narrow(&self, login: &Login) -> [bool; 2] {
        let times = self.wrong_pairs(login);
        [times, times + self.others].map(|times| times >= MANY_PAIRS)
    }
}

impl Truth {
    /// Whether the daemon finds a device's codes, if it searches `more` steps farther to either
    /// side. In a narrow search the last code of a pair lies where a single code has to, and of a
    /// HOTP device the first one does.
    pub(crate) fn is_in_reach(
        &self,
        Typed { device, steps, .. }: &Typed,
        narrow: bool,
        more: i64,
        time: &Time,
    ) -> bool {
        let (near, next) = (narrow || steps.len() == 1, self.next(device));
        let [first, last] = [steps[0], steps[steps.len() - 1]];
        if device.counts {
            return next <= first + 1
                && if near {
                    first < next + 3
                } else {
                    last < next + FAR
                };
        }
        let [earliest, latest] =
            [if near { last } else { first }, last].map(|step| step as i64 - time.step() as i64);
        let reach = if near { WINDOW } else { FAR } as i64 + more;
        -reach <= earliest && latest <= reach
    }

    /// The next code of a HOTP device.
    pub(crate) fn next(&self, device: &Device) -> u64 {
        let last = self
            .spent
            .get(&device.key)
            .and_then(|spent| spent.last_key_value());
        last.map_or(0, |(last, _)| last + 1).max(device.floor)
    }
}
