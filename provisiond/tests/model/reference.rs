//! What the daemon promises, in numbers: used codes, guesses left, codes in doubt. It says whether
//! a verdict may be.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::memory::{Memory, is_pair, places};
use crate::people::{BUDGET, Bucket, DRIFT, Device, Key, Login, Person, Typed};
use crate::reach::{FURTHEST, WINDOW};
use crate::time::{PERIOD, Time, UNNOTICED};

/// A word for why something may be as it is; `None` if it may not.
type Reason = Option<&'static str>;
/// Codes of each key that are used up, numbered as they were.
pub(crate) type Spent = BTreeMap<Key, BTreeMap<u64, u64>>;

/// Everything that is never forgotten, whatever becomes of the daemon's store.
#[derive(Clone, Default)]
pub(crate) struct Truth {
    pub(crate) spent: Spent,
    /// How many codes were used up.
    pub(crate) spends: u64,
    /// Which of them a store that was put back knows nothing of.
    lost: Vec<Range<u64>>,
    /// The same of a whole disk that was put back while the machine was off, and the time of the
    /// boot after it.
    lost_unnoticed: Vec<(Range<u64>, u64)>,
    /// Guesses that were judged, for each person and kind of source.
    guesses: BTreeMap<(usize, bool), Bucket>,
    /// The exception: what a restart forgets.
    pub(crate) memory: Memory,
    /// How often a code that no device shows may still open something.
    pub(crate) good_for: BTreeMap<String, u8>,
}

impl Truth {
    /// An answer was wrong. One that was wrong there before costs nothing, and a pair is counted.
    /// Says whether it was new.
    pub(crate) fn rejected(&mut self, person: &mut Person, text: &str, login: &Login) -> bool {
        let new = self
            .memory
            .is_new(login, text, places(person, login, text, &self.spent));
        match is_pair(text) {
            _ if !new => {}
            true => person.count_a_wrong_pair(login),
            false => self.charge(person, login),
        }
        new
    }

    /// Fails if no units were left for a wrong code: three positions are compared for each device,
    /// which is one.
    fn charge(&mut self, person: &mut Person, login: &Login) {
        let (known, units) = (person.knows(login), person.usable(login).count() as u64);
        let guesses = self
            .guesses
            .entry((login.user, known))
            .or_default()
            .used(login.time.ran);
        *guesses += units;
        assert!(*guesses <= BUDGET, "guess {guesses} was judged: {login:?}");
        *person.buckets[usize::from(known)].used(login.time.tick) += units;
        self.memory.charged(login, if known { units } else { 0 });
    }

    /// A device's codes opened a login. Fails if they cannot have.
    pub(crate) fn accepted(&mut self, person: &mut Person, typed: &Typed, login: &Login) {
        self.spend_right(person, typed, login);
        self.welcome(person, login);
    }

    /// The same where none was needed: the code is spent, and that is all.
    pub(crate) fn accepted_unneeded(&mut self, person: &mut Person, typed: &Typed, login: &Login) {
        self.spend_right(person, typed, login);
    }

    fn spend_right(&mut self, person: &mut Person, typed: &Typed, login: &Login) {
        assert!(
            person
                .usable(login)
                .any(|device| device.key == typed.device.key),
            "it does not count: {typed:?}"
        );
        let ([narrow, _], slack) = (person.is_narrow(login), typed.device.slack() as i64);
        assert!(
            self.is_in_reach(typed, narrow, slack, &login.time),
            "it is too far off: {login:?}: {typed:?}"
        );
        let device = person.device(typed.device.key);
        assert!(
            !device.counts || !login.time.has_lost(device.known_since),
            "its used codes are in doubt: {typed:?}"
        );
        self.spend(device, &typed.steps, &login.time);
    }

    /// What an accepted login brings, whatever opened it. From a known source, it gets wrong codes
    /// back.
    fn welcome(&mut self, person: &mut Person, login: &Login) {
        let refund = self.memory.refund(login);
        if person.knows(login) {
            let units = person.refunded.give(refund, &login.time);
            let guesses = self
                .guesses
                .entry((login.user, true))
                .or_default()
                .used(login.time.ran);
            let believed = person.buckets[1].used(login.time.tick);
            [guesses, believed]
                .into_iter()
                .for_each(|used| *used = used.saturating_sub(units));
        }
        person.learn(login);
    }

    /// Codes are used up. Fails if one was before, or is in doubt. From here on, the device's clock
    /// may be known to be off.
    fn spend(&mut self, device: &mut Device, steps: &[u64], time: &Time) {
        let doubt = time
            .surely_in_doubt(device.known_since)
            .filter(|_| !device.counts);
        let doubtful = doubt.map(|doubt| doubt.saturating_sub(UNNOTICED) / PERIOD + WINDOW);
        for step in steps {
            assert!(
                *step >= device.floor,
                "code {step} is below the floor: {device:?}"
            );
            assert!(
                !device.counts || *step >= self.next(device),
                "counted back to {step}: {device:?}"
            );
            assert!(
                doubtful.is_none_or(|doubt| *step + device.slack() > doubt),
                "{step} is in doubt: {device:?}, {time:?}"
            );
            let before = self.use_up(device.key, *step);
            assert!(
                before.is_none_or(|before| self.has_lost(before, *step, device, time)),
                "{step} opens twice: {device:?}, {time:?}"
            );
        }
        device.exact &= device.counts || steps[0] == time.step();
    }

    /// Says which number it had if it was before.
    pub(crate) fn use_up(&mut self, key: Key, step: u64) -> Option<u64> {
        self.spends += 1;
        self.spent.entry(key).or_default().insert(step, self.spends)
    }

    /// Whether a store that was put back may take a code again. The limit: what was used far ahead
    /// of the clock, as it is since, cannot be in doubt; nor can what was used ahead of the boot
    /// before which a whole disk was put back, which nothing tells the daemon.
    fn has_lost(&self, before: u64, step: u64, device: &Device, time: &Time) -> bool {
        let doubt = time
            .surely_in_doubt(0)
            .map_or(0, |doubt| doubt.saturating_sub(UNNOTICED) / PERIOD);
        let known = |lost: &Range<u64>| lost.contains(&before) && step > doubt + FURTHEST;
        let unknown = |(lost, booted): &(Range<u64>, u64)| {
            let shown = booted.saturating_sub(UNNOTICED) / PERIOD + WINDOW;
            lost.contains(&before) && step + device.slack() > shown
        };
        self.lost.iter().any(known) || self.lost_unnoticed.iter().any(unknown)
    }

    /// All guesses are given back, or a user that the store does not know is enrolled.
    pub(crate) fn unlocked(&mut self, person: &mut Person, user: usize, time: &Time) {
        self.guesses.retain(|(other, _), _| *other != user);
        person.forget_guesses(time);
        self.memory.forget_charges(user);
    }

    /// The store was put back to when so many codes were used up. The guesses since then are
    /// unknown.
    pub(crate) fn lost(&mut self, people: &mut [Person], spends: u64, time: &Time) {
        people
            .iter_mut()
            .for_each(|person| person.use_up_guesses(time.stamp()));
        self.lost.push(spends + 1..self.spends + 1);
    }

    /// A whole disk was put back while the machine was off, of when `before` was true. The limit:
    /// guesses, and codes that have no time, come back with it.
    pub(crate) fn lost_unnoticed(&mut self, before: Self, counting: &[Key], booted: u64) {
        for key in counting {
            self.spent.remove(key);
        }
        let counted = before
            .spent
            .into_iter()
            .filter(|(key, _)| counting.contains(key));
        self.spent.extend(counted);
        (self.guesses, self.good_for) = (before.guesses, before.good_for);
        self.lost_unnoticed
            .push((before.spends + 1..self.spends + 1, booted));
    }

    /// The clock is set: a time before the boot may come again, with codes that were used then.
    pub(crate) fn clock_is_set_to(&mut self, now: u64) {
        let booted = self.lost_unnoticed.iter_mut().map(|(_, booted)| booted);
        booted.for_each(|booted| *booted = now.min(*booted));
    }

    /// What becomes of a code that no device shows. A bypass proves nothing.
    pub(crate) fn issued(
        &mut self,
        person: &mut Person,
        code: &str,
        login: &Login,
    ) -> &'static str {
        person.others += 1;
        let (time, proof, usable) = (
            &login.time,
            login.service.is_empty(),
            person.usable(login).next().is_some(),
        );
        let unusable = if person.enrolled {
            "disabled"
        } else {
            "not_enrolled"
        };
        let [wrong, doubtful] = if usable {
            ["rejected", "refused"]
        } else {
            [unusable; 2]
        };
        let found = person.issued(code, login);
        if found.is_none() && !proof && !person.shut {
            person.miss(code);
        }
        match found {
            Some((made, _)) if time.has_lost(made) => return doubtful,
            Some((_, true)) => {}
            Some((_, false)) | None => return wrong,
        }
        let good_for = self
            .good_for
            .get_mut(code)
            .filter(|times| **times > 0)
            .expect("a code that is not used up");
        *good_for -= 1;
        person.use_up(code);
        self.welcome(person, login);
        "accepted"
    }

    /// Why two codes in a row told an administrator that of their device. They are used up if
    /// anything was `measured`.
    pub(crate) fn resynced(
        &mut self,
        verdict: &str,
        measured: bool,
        typed: &mut Typed,
        time: &Time,
    ) -> Reason {
        let (device, steps, first, ours) =
            (&mut typed.device, &typed.steps, typed.steps[0], time.step());
        let (doubt, next) = (
            time.perhaps_in_doubt().map_or(0, |doubt| doubt / PERIOD),
            self.next(device),
        );
        let unsure =
            time.unsynchronised || ours <= doubt + 2 || first <= doubt + device.in_doubt(time);
        let reached = if device.counts {
            next.saturating_sub(1)..next + 99
        } else {
            ours - 20..ours + 20
        };
        let near = device.counts || steps[1].abs_diff(ours) <= DRIFT + WINDOW;
        let lost = device.counts && time.has_lost(device.known_since);
        let reason = match verdict {
            "accepted" if near => Some("resynchronised"),
            "refused" if measured && !near => Some("too far off"),
            "refused" if unsure && !device.counts => Some("unsure where it is"),
            "already_used" if self.used(device, steps, time) => Some("used"),
            "rejected" if lost || !reached.contains(&first) => Some("out of reach"),
            _ => None,
        };
        if verdict == "accepted" || measured {
            self.spend(device, steps, time);
            device.known_since = if device.counts {
                time.stamp()
            } else {
                device.known_since
            };
        }
        reason
    }

    /// Why codes that the owner's device shows were refused.
    pub(crate) fn reason(
        &self,
        verdict: &str,
        person: &Person,
        typed: &Typed,
        login: &Login,
    ) -> Reason {
        let (device, steps, first, time) =
            (&typed.device, &typed.steps, typed.steps[0], &login.time);
        let (single, units) = (steps.len() == 1, person.usable(login).count() as u64);
        let [surely_narrow, narrow] = person.is_narrow(login);
        let near = self.is_in_reach(typed, narrow, -(device.slack() as i64), time);
        let lost = device.counts && time.has_lost(device.known_since);
        let doubt = time.perhaps_in_doubt().filter(|_| !device.counts);
        let doubtful = doubt.is_some_and(|doubt| first <= doubt / PERIOD + device.in_doubt(time));
        let left = person.buckets[usize::from(person.knows(login))].left(time.tick);
        match verdict {
            "not_enrolled" if !person.enrolled => Some("never enrolled"),
            "disabled" if person.enrolled && units == 0 => Some("no device that counts"),
            "already_used" if self.used(device, steps, time) => Some("used"),
            "refused" if lost || doubtful => Some("in doubt"),
            "two_codes_needed" if single && left < units => Some("budget"),
            "rejected" if person.usable(login).all(|usable| usable.key != device.key) => {
                Some("does not count")
            }
            "rejected" if device.counts && (lost || !near) => Some("counted elsewhere"),
            "rejected" if !device.counts && single && (first != time.step() || !device.exact) => {
                Some("another time's")
            }
            "rejected" if !single && !near && surely_narrow => {
                Some("too far after many wrong pairs")
            }
            "rejected" if !single && !near => Some("too far"),
            _ => None,
        }
    }

    fn used(&self, device: &Device, steps: &[u64], time: &Time) -> bool {
        // Of a key that comes back, what a store may have forgotten is used, too.
        let unsure = device.floor > 0 && !device.counts && time.restored.is_some();
        let floor = device.floor + if unsure { FURTHEST } else { 0 };
        let Some(spent) = self.spent.get(&device.key) else {
            return steps[0] < floor;
        };
        // Of sixty-five, the earliest becomes the floor.
        let floor = spent
            .keys()
            .nth_back(64)
            .map_or(0, |step| step + 1)
            .max(floor);
        // What stays of a device that was taken away is not exact.
        let latest = if device.floor > 0 {
            u64::MAX
        } else {
            time.step() + WINDOW + device.slack()
        };
        let before = |step| step <= latest && spent.range(step..=latest).next().is_some();
        steps
            .iter()
            .any(|step| *step < floor || spent.contains_key(step) || before(*step))
    }
}
