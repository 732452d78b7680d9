//! The users, and what an administrator sees of them. A store that is put back puts them back.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::reach::{FURTHEST, Pairs, WINDOW};
use crate::time::Time;

pub(crate) const DAY: u64 = 86_400;
/// Guesses.
pub(crate) const BUDGET: u64 = 5;
/// Units that logins give back in a day.
pub(crate) const REFUNDS: u64 = 3;
/// Steps that a device's clock may be known to be off.
pub(crate) const DRIFT: u64 = 4;
/// Letters in a bypass as it is shown, and in no other code.
const BYPASS: usize = 9;

/// The key of a device, by number. A key that is taken over again keeps its number.
pub(crate) type Key = usize;

#[derive(Clone, Default)]
pub(crate) struct Person {
    /// Goes by their other name.
    pub(crate) renamed: bool,
    pub(crate) devices: Vec<Device>,
    /// Ever had a device.
    pub(crate) enrolled: bool,
    /// An administrator has shut the account.
    pub(crate) shut: bool,
    pub(crate) sheet: Sheet,
    pub(crate) bypass: Option<Bypass>,
    /// When the helpdesk last gave the guesses back, in trusted seconds.
    pub(crate) unlocked: Option<u64>,
    /// When a login was last accepted from each source.
    pub(crate) accepted: BTreeMap<&'static str, u64>,
    /// Guesses that the daemon remembers, from where they have not logged in before and from where
    /// they have.
    pub(crate) buckets: [Bucket; 2],
    /// What logins have given back.
    pub(crate) refunded: Refunded,
    /// Wrong pairs of codes at logins, from unknown sources and from known ones.
    pub(crate) pairs: [Pairs; 2],
    /// Other answers that the daemon may have counted like wrong pairs, in either pool.
    pub(crate) others: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) active: bool,
    pub(crate) counts: bool,
    /// The only service that it is for.
    pub(crate) service: Option<&'static str>,
    /// When it counts, in Unix seconds.
    pub(crate) days: Range<u64>,
    /// The first code that counts, where the key came from elsewhere.
    pub(crate) floor: u64,
    /// Since when all is known that it has used, in trusted seconds.
    pub(crate) known_since: u64,
    /// Its owner types what it shows now, and nothing else: its clock is never found to be off.
    pub(crate) exact: bool,
}

/// Five units, and one more a day.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bucket {
    pub(crate) used: u64,
    pub(crate) since: u64,
}

impl Bucket {
    pub(crate) fn left(mut self, tick: u64) -> u64 {
        BUDGET.saturating_sub(*self.used(tick))
    }

    /// What is gone, to be changed. The day begins with the first unit.
    pub(crate) fn used(&mut self, tick: u64) -> &mut u64 {
        let days = tick.saturating_sub(self.since) / DAY;
        self.used = self.used.saturating_sub(days);
        self.since = if self.used == 0 {
            self.since.max(tick)
        } else {
            self.since + days * DAY
        };
        &mut self.used
    }
}

/// Units given back: three a day, which begins with the first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Refunded {
    pub(crate) units: u64,
    pub(crate) since: u64,
}

impl Refunded {
    /// As many of the wished ones as are given.
    pub(crate) fn give(&mut self, wished: u64, time: &Time) -> u64 {
        if time.tick >= self.since + DAY {
            self.units = 0;
        }
        if self.units == 0 {
            self.since = time.stamp();
        }
        let given = wished.min(REFUNDS - self.units);
        self.units += given;
        given
    }
}

/// What is left of a sheet of recovery codes.
#[derive(Clone, Default)]
pub(crate) struct Sheet {
    pub(crate) codes: Vec<String>,
    /// In trusted seconds.
    pub(crate) made: u64,
}

#[derive(Clone)]
pub(crate) struct Bypass {
    pub(crate) code: String,
    /// Logins that it still opens.
    pub(crate) uses: u8,
    /// Wrong ones that it still bears.
    pub(crate) tries: u8,
    /// In trusted seconds, as is the second of its ends.
    pub(crate) made: u64,
    pub(crate) good: Range<u64>,
    pub(crate) until_tick: u64,
}

/// A login. A proof is one with no service and from nowhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    pub(crate) user: usize,
    pub(crate) service: &'static str,
    pub(crate) from: &'static str,
    pub(crate) time: Time,
}

/// What a device shows: the codes of these steps.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) device: Device,
    pub(crate) steps: Vec<u64>,
    pub(crate) text: String,
}

impl Person {
    pub(crate) fn active(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.active)
    }

    /// The devices that count for a login.
    pub(crate) fn usable(&self, login: &Login) -> impl Iterator<Item = &Device> {
        self.active()
            .filter(|device| !self.shut && device.fits(login))
    }

    pub(crate) fn device(&mut self, key: Key) -> &mut Device {
        self.devices
            .iter_mut()
            .find(|device| device.key == key)
            .expect("a device that they have")
    }

    /// Whether they have logged in from there lately.
    pub(crate) fn knows(&self, login: &Login) -> bool {
        self.accepted
            .get(login.from)
            .is_some_and(|at| login.time.now < at + 30 * DAY)
    }

    /// A login was accepted.
    pub(crate) fn learn(&mut self, login: &Login) {
        let now = login.time.now;
        self.accepted.retain(|_, at| now < *at + 30 * DAY);
        self.accepted
            .extend(Some((login.from, now)).filter(|(from, _)| !from.is_empty()));
    }

    /// Nothing has been guessed.
    pub(crate) fn forget_guesses(&mut self, time: &Time) {
        self.buckets = [Bucket::default(); 2];
        (self.pairs, self.others) = ([Pairs::none(time.tick); 2], 0);
    }

    /// The daemon does not know how many guesses there were until then, and how many came back.
    pub(crate) fn use_up_guesses(&mut self, since: u64) {
        self.buckets = [Bucket {
            used: BUDGET,
            since,
        }; 2];
        self.refunded = Refunded {
            units: REFUNDS,
            since,
        };
    }

    /// When a code was made that no device shows, and whether it is good now. `None`: it is no such
    /// code of this person, or it does not count for this login.
    pub(crate) fn issued(&self, code: &str, login: &Login) -> Option<(u64, bool)> {
        let (time, proof) = (&login.time, login.service.is_empty());
        let in_bounds = self.usable(login).next().is_some() || self.active().next().is_none();
        match &self.bypass {
            _ if self.shut => None,
            Some(bypass) if bypass.code == code && !proof => {
                Some((bypass.made, bypass.is_good(time)))
            }
            _ if in_bounds && self.sheet.codes.iter().any(|left| left == code) => {
                Some((self.sheet.made, true))
            }
            _ => None,
        }
    }

    /// A code that no device shows has opened something.
    pub(crate) fn use_up(&mut self, code: &str) {
        self.sheet.codes.retain(|left| left != code);
        self.bypass
            .iter_mut()
            .filter(|bypass| bypass.code == code)
            .for_each(|bypass| bypass.uses -= 1);
        self.bypass.take_if(|bypass| bypass.uses == 0);
    }

    /// One has opened nothing: the fifth that looks like it ends a bypass.
    pub(crate) fn miss(&mut self, code: &str) {
        self.bypass
            .iter_mut()
            .filter(|_| code.len() == BYPASS)
            .for_each(|bypass| bypass.tries -= 1);
        self.bypass.take_if(|bypass| bypass.tries == 0);
    }

    /// An administrator changes something, and what is over is forgotten.
    pub(crate) fn expire(&mut self, now: u64) {
        self.bypass.take_if(|bypass| bypass.good.end <= now);
    }
}

impl Device {
    fn fits(&self, login: &Login) -> bool {
        self.service.is_none_or(|service| service == login.service)
            && self.days.contains(&login.time.now)
    }

    /// Steps after that of an event that may be in doubt.
    pub(crate) fn in_doubt(&self, time: &Time) -> u64 {
        if time.has_lost(self.known_since) {
            FURTHEST
        } else {
            WINDOW + self.slack()
        }
    }

    /// Steps by which its clock may be known to be off.
    pub(crate) fn slack(&self) -> u64 {
        if self.exact { 0 } else { DRIFT }
    }
}

impl Bypass {
    pub(crate) fn is_good(&self, time: &Time) -> bool {
        self.good.contains(&time.now) && time.tick < self.until_tick
    }
}
