//! The one reading of the clock by which a request is judged.

use std::time::Duration;

use super::mark::Doubt;

/// When an attempt is judged: one reading of the clock, and what the store knows of its own past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix seconds.
    pub now: u64,
    /// Trusted seconds: those in which this machine was seen running.
    pub tick: u64,
    /// Since the machine was started (CLOCK_BOOTTIME): goes on while it sleeps, and cannot be set.
    pub since_boot: Duration,
    /// The trusted second in which the store was last found to be older than it should be.
    pub rolled_back_tick: Option<u64>,
    /// What makes codes of before it doubtful.
    pub doubt: Option<Doubt>,
    /// Whether our own clock is fit to measure a device's by.
    pub synchronised: bool,
}

impl Moment {
    /// A moment like most: nothing is in doubt, and all time can be trusted.
    #[must_use]
    pub fn ordinary(now: u64) -> Self {
        Self { now, tick: now, since_boot: Duration::ZERO, rolled_back_tick: None, doubt: None, synchronised: true }
    }

    /// The trusted second of what is made now: after the last roll-back of the store, if only by a moment.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        self.tick.max(self.rolled_back_tick.map_or(0, |event| event.saturating_add(1)))
    }

    /// Whether the store was rolled back since then: what was used in the meantime may be forgotten. By trusted seconds,
    /// because the clock may have been wrong then or now.
    #[must_use]
    pub fn has_lost(&self, stamp: u64) -> bool {
        self.rolled_back_tick.is_some_and(|event| stamp <= event)
    }
}
