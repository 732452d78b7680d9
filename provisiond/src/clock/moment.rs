//! A moment: the one reading of the clock by which a call is judged, with trusted seconds and the
//! quarantine.

use std::time::Duration;

use super::doubt::Doubts;

/// The time of an attempt: one reading of the clock, and the last roll-back of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix seconds.
    pub now: u64,
    /// Trusted seconds: those in which this machine was seen running.
    pub tick: u64,
    /// Since the machine was started (CLOCK_BOOTTIME): counts on while it sleeps, and cannot be
    /// set.
    pub since_boot: Duration,
    /// The trusted second in which a roll-back of the store was last found.
    pub rolled_back_tick: Option<u64>,
    /// The quarantine: which earlier codes are refused, and why.
    pub doubts: Doubts,
    /// Whether our own clock is fit to measure a device's by.
    pub synchronised: bool,
}

impl Moment {
    /// An ordinary moment: no quarantine, and all time is trusted.
    #[must_use]
    pub fn ordinary(now: u64) -> Self {
        Self {
            now,
            tick: now,
            since_boot: Duration::ZERO,
            rolled_back_tick: None,
            doubts: Doubts::default(),
            synchronised: true,
        }
    }

    /// The trusted second for a new entry: always later than the last boot, and than the last
    /// roll-back of the store.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        self.doubts.stamp(self.tick, self.rolled_back_tick)
    }

    /// Whether the store was rolled back after `stamp`, so that uses since then may be lost. In
    /// trusted seconds, because the clock may have been wrong then or now.
    #[must_use]
    pub fn has_lost(&self, stamp: u64) -> bool {
        self.rolled_back_tick.is_some_and(|event| stamp <= event)
    }
}
