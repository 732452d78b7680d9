//! What the daemon promises, in numbers: who has what, which codes have been used, how many guesses are left, and which
//! codes are in doubt. It says of each verdict whether it may be.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::{PERIOD, Time, UNNOTICED};

const DAY: u64 = 86_400;
/// Steps that a code may be early or late, and that a device's clock may be known to be off.
const WINDOW: u64 = 1;
const DRIFT: u64 = 4;
const BUDGET: u64 = 5;

/// The key of a device, by number. A key that is taken over again keeps its number.
pub(crate) type Key = usize;

/// Everything that is never forgotten, whatever becomes of the daemon's store.
#[derive(Default)]
pub(crate) struct Truth {
    /// Codes that have opened a login, of each key.
    pub(crate) spent: BTreeMap<Key, BTreeSet<u64>>,
    /// Those of them that a store which was put back cannot know.
    forgiven: BTreeSet<(Key, u64)>,
    /// Guesses that were judged, for each person and kind of source.
    guesses: BTreeMap<(usize, bool), Bucket>,
}

/// What an administrator sees of a person. A store that is put back puts it back.
#[derive(Clone, Default)]
pub(crate) struct Person {
    pub(crate) devices: Vec<Device>,
    pub(crate) ever_enrolled: bool,
    /// When a login was last accepted from elsewhere, and from home.
    accepted: [Option<u64>; 2],
    /// Guesses that the daemon remembers, from where they have logged in before and from elsewhere.
    buckets: [Bucket; 2],
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) active: bool,
    pub(crate) counts: bool,
    /// The first code that counts, where the key came from elsewhere.
    pub(crate) floor: u64,
    /// In trusted seconds.
    pub(crate) created: u64,
    /// Its owner types what it shows now, and nothing else: its clock is never found to be off.
    pub(crate) exact: bool,
}

impl Device {
    /// Steps by which its clock may be known to be off.
    fn slack(&self) -> u64 {
        if self.exact { 0 } else { DRIFT }
    }
}

/// Five units, and one more a day.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: u64,
    since: u64,
}

impl Bucket {
    fn settled(self, tick: u64) -> Self {
        let days = tick.saturating_sub(self.since) / DAY;
        Self { used: self.used.saturating_sub(days), since: self.since + days * DAY }
    }

    /// Three positions are compared for each device, which is a unit.
    fn pays(self, units: u64, tick: u64) -> bool {
        units + self.settled(tick).used <= BUDGET
    }

    fn charged(self, units: u64, tick: u64) -> Self {
        let settled = self.settled(tick);
        let since = if settled.used == 0 { settled.since.max(tick) } else { settled.since };
        Self { used: settled.used + units, since }
    }

    fn refunded(self, units: u64, tick: u64) -> Self {
        let settled = self.settled(tick);
        Self { used: settled.used.saturating_sub(units), ..settled }
    }
}

impl Person {
    pub(crate) fn active(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.active)
    }

    fn knows(&self, home: bool, time: &Time) -> bool {
        self.accepted[usize::from(home)].is_some_and(|at| time.now < at + 30 * DAY)
    }

    /// Nobody knows what was used in the part of the past that the store has lost.
    pub(crate) fn forget_the_budget(&mut self, tick: u64) {
        self.buckets = [Bucket { used: BUDGET, since: tick + 1 }; 2];
    }
}

impl Truth {
    /// A single code was judged and wrong. Fails if there were no units left for it.
    pub(crate) fn judged(&mut self, who: usize, person: &mut Person, home: bool, time: &Time) -> u64 {
        let (known, units) = (person.knows(home, time), person.active().count() as u64);
        let bucket = self.guesses.entry((who, known)).or_default();
        assert!(bucket.pays(units, time.ran), "{bucket:?} does not pay for a guess, and it was judged");
        *bucket = bucket.charged(units, time.ran);
        let believed = &mut person.buckets[usize::from(known)];
        *believed = believed.charged(units, time.tick);
        units
    }

    /// A login was accepted. Fails if a code of it was used before, or is in doubt.
    pub(crate) fn accepted(&mut self, person: &mut Person, device: usize, steps: &[u64], home: bool, time: &Time) {
        let found = person.devices[device].clone();
        assert!(found.active, "the device is not active");
        for step in steps {
            let spent = self.spent.entry(found.key).or_default();
            let again = !spent.insert(*step) && !self.forgiven.remove(&(found.key, *step));
            assert!(!again, "code {step} of key {} was accepted twice", found.key);
            assert!(*step >= found.floor, "code {step} is below the floor {}", found.floor);
            if found.counts {
                assert!(spent.range(step + 1..).next().is_none(), "a counter went back to {step}");
            } else if let Some(doubt) = time.doubt(time.surely_moved) {
                let doubtful = doubt.saturating_sub(UNNOTICED) / PERIOD + WINDOW;
                assert!(*step + found.slack() > doubtful, "code {step} is in doubt since {doubt}");
            }
        }
        // From here on its clock may be known to be off.
        let on_time = steps.last().is_some_and(|last| last - (steps.len() as u64 - 1) == time.step());
        person.devices[device].exact &= found.counts || on_time;
        person.accepted = person.accepted.map(|at| at.filter(|at| time.now < at + 30 * DAY));
        person.accepted[usize::from(home)] = Some(time.now);
    }

    /// A person whom the store does not know is enrolled: with a new record, and all its guesses.
    pub(crate) fn begun(&mut self, who: usize, person: &mut Person) {
        self.guesses.retain(|(other, _), _| *other != who);
        person.buckets = [Bucket::default(); 2];
    }

    /// The store was put back. Two limits: what a clock that was ahead of the present one took cannot be in doubt, and how
    /// far off a device was known to be may be forgotten, too.
    pub(crate) fn lost(&mut self, time: &Time) {
        let may_come_again = |step: &u64| step + DRIFT > time.step() + WINDOW;
        for (key, spent) in &self.spent {
            self.forgiven.extend(spent.iter().filter(|step| may_come_again(step)).map(|step| (*key, *step)));
        }
    }

    /// What this login's own typos cost is given back.
    pub(crate) fn refunded(&mut self, who: usize, person: &mut Person, units: u64, home: bool, time: &Time) {
        let known = person.knows(home, time);
        let bucket = self.guesses.entry((who, known)).or_default();
        *bucket = bucket.refunded(units, time.ran);
        let believed = &mut person.buckets[usize::from(known)];
        *believed = believed.refunded(units, time.tick);
    }

    /// Why codes that the owner's device shows were refused; `None` if there is no reason.
    pub(crate) fn reason(
        &self,
        verdict: &str,
        person: &Person,
        device: &Device,
        steps: &[u64],
        home: bool,
        time: &Time,
    ) -> Option<&'static str> {
        let none = BTreeSet::new();
        let (first, several, spent) = (steps[0], steps.len() > 1, self.spent.get(&device.key).unwrap_or(&none));
        // Of sixty-five, the earliest becomes the floor.
        let floor = spent.iter().nth_back(64).map_or(0, |step| step + 1).max(device.floor);
        // What stays of a device that was taken away is not exact.
        let latest = if device.counts || device.floor > 0 { u64::MAX } else { time.step() + WINDOW + device.slack() };
        let used = |step: &u64| *step < floor || (*step <= latest && spent.range(step..=&latest).next().is_some());
        let lost = device.counts && time.restored_tick.is_some_and(|at| device.created <= at);
        let doubt = time.doubt(time.moved).filter(|_| !device.counts);
        let doubtful = lost || doubt.is_some_and(|doubt| first <= doubt / PERIOD + WINDOW + device.slack());
        let pays =
            person.buckets[usize::from(person.knows(home, time))].pays(person.active().count() as u64, time.tick);
        let away = first != time.step() || !device.exact;
        let next = spent.last().map_or(floor, |last| floor.max(last + 1));
        match verdict {
            "not_enrolled" if !person.ever_enrolled => Some("never enrolled"),
            "disabled" if person.ever_enrolled && person.active().next().is_none() => Some("no active device"),
            "already_used" if steps.iter().any(used) => Some("used"),
            "refused" if doubtful => Some("in doubt"),
            "two_codes_needed" if !several && !pays => Some("budget"),
            "rejected" if device.counts && (lost || first >= next + 3 || first + 1 < next) => Some("counted elsewhere"),
            "rejected" if !device.counts && !several && away => Some("another time's code"),
            _ => None,
        }
    }
}
