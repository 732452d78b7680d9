//! What the daemon remembers until it is started again: what wrong codes have cost, for the login that may get it back.

use std::collections::BTreeMap;

use crate::people::Login;

/// Seconds within which a login gets back what wrong codes have cost.
const REFUNDED_FOR: u64 = 300;
/// Wrong codes whose cost comes back with one login.
const REFUNDED_AT_ONCE: usize = 2;

#[derive(Default)]
pub(crate) struct Memory {
    /// When each wrong code of a person from a known source was typed, and the units that it cost.
    charges: BTreeMap<(usize, &'static str), Vec<(u64, u64)>>,
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
    pub(crate) fn forget(&mut self, who: usize) {
        self.charges.retain(|(other, _), _| *other != who);
    }
}
