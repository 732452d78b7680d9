//! What the daemon remembers until it is started again: what wrong codes have cost, for the login
//! that may get it back, and which answers were wrong, so that the same one again is counted once.

use std::collections::BTreeMap;

use crate::people::{DRIFT, Key, Login, Person};
use crate::reference::Spent;

/// Seconds within which a login gets back what wrong codes have cost.
const REFUNDED_FOR: u64 = 300;
/// Wrong codes whose cost comes back with one login.
const REFUNDED_AT_ONCE: usize = 2;
/// The latest wrong answers that the daemon remembers of users that share a slot in its table, as
/// all may.
const REMEMBERED: u64 = 16;

#[derive(Clone, Default)]
pub(crate) struct Memory {
    /// When each wrong code of a person from a known source was typed, and the units that it cost.
    charges: BTreeMap<(usize, &'static str), Vec<(u64, u64)>>,
    /// What each person has typed that was wrong.
    wrong: BTreeMap<(usize, String), Vec<Wrong>>,
    /// How many answers there were, of all persons. Each may have been wrong.
    answers: u64,
}

#[derive(Clone)]
struct Wrong {
    number: u64,
    places: Places,
}

/// What an answer is compared with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Places {
    devices: Vec<Place>,
    /// Whether it is a pair that is searched for in the window only: surely, and perhaps.
    narrow: [bool; 2],
}

/// A device, its step, and the latest of its codes that were used up, where that may move the
/// places at which it is looked for.
type Place = (Key, u64, Option<u64>);

/// What the daemon makes of an answer that is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    /// It was wrong at the very same places.
    Before,
    /// It may be either. The model never types such a code.
    Perhaps,
}

impl Memory {
    pub(crate) fn charged(&mut self, login: &Login, units: u64) {
        self.charges
            .entry((login.user, login.from))
            .or_default()
            .push((login.time.tick, units));
    }

    /// What a login may get back. It is asked once.
    pub(crate) fn refund(&mut self, login: &Login) -> u64 {
        let charges = self
            .charges
            .remove(&(login.user, login.from))
            .unwrap_or_default();
        let latest = charges.iter().rev().take(REFUNDED_AT_ONCE);
        latest
            .filter(|(at, _)| login.time.tick < at + REFUNDED_FOR)
            .map(|(_, units)| units)
            .sum()
    }

    /// A person got the guesses back otherwise, or goes by another name.
    pub(crate) fn forget_charges(&mut self, user: usize) {
        self.charges.retain(|(other, _), _| *other != user);
    }

    pub(crate) fn seen(&self, user: usize, text: &str, places: &Places) -> Seen {
        let wrong = self
            .wrong
            .get(&(user, text.to_owned()))
            .into_iter()
            .flatten();
        let alike: Vec<&Wrong> = wrong.filter(|wrong| wrong.places.may_be(places)).collect();
        let is_remembered = |wrong: &Wrong| self.answers - wrong.number < REMEMBERED;
        match alike
            .iter()
            .any(|wrong| is_remembered(wrong) && wrong.places.are_surely(places))
        {
            true => Seen::Before,
            false if alike.is_empty() => Seen::New,
            false => Seen::Perhaps,
        }
    }

    /// Whether a wrong answer is wrong for the first time.
    pub(crate) fn is_new(&mut self, login: &Login, text: &str, places: Places) -> bool {
        let new = self.seen(login.user, text, &places) == Seen::New;
        if new {
            self.was_wrong(login.user, text, places);
        }
        new
    }

    fn was_wrong(&mut self, user: usize, text: &str, places: Places) {
        self.wrong
            .entry((user, text.to_owned()))
            .or_default()
            .push(Wrong {
                number: self.answers,
                places,
            });
    }

    /// The daemon was asked about an answer.
    pub(crate) fn answered(&mut self) {
        self.answers += 1;
    }

    /// A person goes by another name, or has a device that may have been there before: what the
    /// daemon knows again is as uncertain as after many answers.
    pub(crate) fn blur(&mut self) {
        self.answers += REMEMBERED;
    }
}

impl Places {
    fn are_surely(&self, now: &Self) -> bool {
        self == now && self.narrow[0] == self.narrow[1]
    }

    fn may_be(&self, now: &Self) -> bool {
        let devices = self
            .devices
            .iter()
            .zip(&now.devices)
            .all(|(before, now)| may_be_the_same(before, now));
        let [[surely_before, before], [surely, perhaps]] = [self.narrow, now.narrow];
        self.devices.len() == now.devices.len()
            && devices
            && surely_before <= perhaps
            && surely <= before
    }
}

/// A clock that was found to be off meanwhile may be looked for where it was before.
fn may_be_the_same(before: &Place, now: &Place) -> bool {
    let steps = before.1.abs_diff(now.1);
    before.0 == now.0
        && if before.2 == now.2 {
            steps == 0
        } else {
            steps <= 2 * DRIFT
        }
}

pub(crate) fn is_pair(text: &str) -> bool {
    text.contains(' ')
}

/// Where an answer to this login is looked for.
pub(crate) fn places(person: &Person, login: &Login, text: &str, spent: &Spent) -> Places {
    let used = |key: Key| {
        spent
            .get(&key)
            .and_then(|spent| spent.values().max().copied())
    };
    let devices = person.usable(login).map(|device| match device.counts {
        true => (device.key, 0, used(device.key)),
        false => (
            device.key,
            login.time.step(),
            used(device.key).filter(|_| !device.exact),
        ),
    });
    let narrow = if is_pair(text) {
        person.is_narrow(login)
    } else {
        [false; 2]
    };
    Places {
        devices: devices.collect(),
        narrow,
    }
}
