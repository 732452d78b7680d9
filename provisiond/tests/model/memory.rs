//! What the daemon remembers until it is started again: what wrong codes have cost, for the login that may get it back, and
//! which answers were wrong, so that the same one again is counted once.

use std::collections::BTreeMap;

use crate::people::{DRIFT, Key, Login, Person};

/// Seconds within which a login gets back what wrong codes have cost.
const REFUNDED_FOR: u64 = 300;
/// Wrong codes whose cost comes back with one login.
const REFUNDED_AT_ONCE: usize = 2;
/// Wrong answers of a person that the daemon surely remembers.
const REMEMBERED: usize = 8;

#[derive(Default)]
pub(crate) struct Memory {
    /// When each wrong code of a person from a known source was typed, and the units that it cost.
    charges: BTreeMap<(usize, &'static str), Vec<(u64, u64)>>,
    /// The latest last.
    wrong: BTreeMap<usize, Vec<Wrong>>,
}

struct Wrong {
    text: String,
    places: Places,
    /// Whether the daemon knows it again for certain, if it is typed at the same places.
    sure: bool,
}

/// What an answer is compared with: each device.
type Places = Vec<Place>;
/// A device, its step, and the latest of its codes that were used up, where that may move the places at which it is looked for.
type Place = (Key, u64, Option<u64>);

/// What the daemon makes of an answer that is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    /// It was wrong at the very same places.
    Before,
    /// It may be either. Nobody types that.
    Perhaps,
}

impl Memory {
    pub(crate) fn charged(&mut self, login: &Login, units: u64) {
        self.charges.entry((login.who, login.from)).or_default().push((login.time.tick, units));
    }

    /// What a login may get back. It is asked once.
    pub(crate) fn refund(&mut self, login: &Login) -> u64 {
        let charges = self.charges.remove(&(login.who, login.from)).unwrap_or_default();
        let latest = charges.iter().rev().take(REFUNDED_AT_ONCE);
        latest.filter(|(at, _)| login.time.tick < at + REFUNDED_FOR).map(|(_, units)| units).sum()
    }

    /// A person got the guesses back otherwise, or goes by another name.
    pub(crate) fn forget_charges(&mut self, who: usize) {
        self.charges.retain(|(other, _), _| *other != who);
    }

    pub(crate) fn seen(&self, who: usize, text: &str, places: &Places) -> Seen {
        let count = places.len();
        let is_alike = |wrong: &Wrong| {
            let places = wrong.places.iter().zip(places).all(|(before, now)| may_be_the_same(before, now));
            wrong.text == text && wrong.places.len() == count && places
        };
        let alike: Vec<&Wrong> = self.wrong.get(&who).into_iter().flatten().filter(|wrong| is_alike(wrong)).collect();
        match alike.iter().any(|wrong| wrong.sure && wrong.places == *places) {
            true => Seen::Before,
            false if alike.is_empty() => Seen::New,
            false => Seen::Perhaps,
        }
    }

    /// Whether a wrong answer is wrong for the first time.
    pub(crate) fn is_new(&mut self, login: &Login, text: &str, places: Places) -> bool {
        let new = self.seen(login.who, text, &places) == Seen::New;
        if new {
            self.was_wrong(login.who, text, places);
        }
        new
    }

    fn was_wrong(&mut self, who: usize, text: &str, places: Places) {
        let all = self.wrong.entry(who).or_default();
        all.push(Wrong { text: text.to_owned(), places, sure: true });
        all.iter_mut().rev().skip(REMEMBERED).for_each(|wrong| wrong.sure = false);
    }

    /// A person goes by another name, or has a device that may have been there before.
    pub(crate) fn blur(&mut self, who: usize) {
        self.wrong.entry(who).or_default().iter_mut().for_each(|wrong| wrong.sure = false);
    }
}

/// A clock that was found to be off meanwhile may be looked for where it was before.
fn may_be_the_same(before: &Place, now: &Place) -> bool {
    let steps = before.1.abs_diff(now.1);
    before.0 == now.0 && if before.2 == now.2 { steps == 0 } else { steps <= 2 * DRIFT }
}

/// Where an answer to this login is looked for.
pub(crate) fn places(person: &Person, login: &Login, spent: &BTreeMap<Key, BTreeMap<u64, u64>>) -> Places {
    let used = |key: Key| spent.get(&key).and_then(|spent| spent.values().max().copied());
    let devices = person.usable(login).map(|device| match device.counts {
        true => (device.key, 0, used(device.key)),
        false => (device.key, login.time.step(), used(device.key).filter(|_| !device.exact)),
    });
    devices.collect()
}
