//! Doubts: the events after which codes of before may have been spent already, although no record
//! says so, or come from a past that an attacker has seen. Pure.
//!
//! Each doubt is kept for itself: what ends one does not end another, and not every device is
//! concerned by all of them.

/// The doubts, each as the time up to which codes are in doubt, in Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// The clock was set while the machine ran.
    pub moved: Option<u64>,
    /// The machine was started: its disk may be an older one, put back while it was off.
    pub booted: Option<u64>,
    /// The first stamp of what was made since that boot, in trusted seconds; 0 before any boot.
    pub made_since: u64,
    /// After that boot the clock was behind this time, the last one that was seen before it.
    pub behind: Option<u64>,
    /// The store was found rolled back.
    pub rolled_back: Option<u64>,
    /// The start of the latest spent step that a rolled-back store may have lost; 0 if it was never
    /// rolled back. It is later than the roll-back if a device, or this machine's clock, was ahead.
    pub lost: u64,
}

impl Doubts {
    /// The latest time in doubt, whatever the cause.
    #[must_use]
    pub fn latest(&self) -> Option<u64> {
        self.of_the_clock().max(self.rolled_back)
    }

    /// The latest time in doubt because of the clock or a boot.
    #[must_use]
    pub fn of_the_clock(&self) -> Option<u64> {
        self.moved.max(self.booted).max(self.behind)
    }

    /// The same for a device that was made in the trusted second `stamp`. No older disk has a device
    /// that was made in this boot, and no attacker has seen its key before.
    #[must_use]
    pub fn of_the_clock_since(&self, stamp: u64) -> Option<u64> {
        if stamp < self.made_since {
            self.of_the_clock()
        } else {
            self.moved
        }
    }

    /// The stamp of what is made in the trusted second `tick`: always later than the last boot, and
    /// than the last roll-back of the store.
    #[must_use]
    pub fn stamp(&self, tick: u64, rolled_back_tick: Option<u64>) -> u64 {
        let rolled_back = rolled_back_tick.map_or(0, |event| event.saturating_add(1));
        tick.max(rolled_back).max(self.made_since)
    }

    /// What stays in doubt when an administrator vouches for the clock.
    #[must_use]
    pub fn accepted(self) -> Self {
        Self {
            moved: None,
            booted: None,
            behind: None,
            ..self
        }
    }

    /// What concerns a device that has opened nothing, according to a record that no roll-back of
    /// the store concerns: a clock that was set revives no code of it.
    #[must_use]
    pub fn of_an_unused_device(self) -> Self {
        Self {
            moved: None,
            rolled_back: None,
            lost: 0,
            ..self
        }
    }

    /// The doubts after a clock was set.
    #[must_use]
    pub(super) fn with_moved(self, at: u64) -> Self {
        Self {
            moved: Some(at),
            ..self.not_later(at)
        }
    }

    /// The doubts after a boot that began at `at`, and was noticed in the trusted second `tick`.
    /// `behind`: the last time that was seen before it, if the clock is behind that.
    #[must_use]
    pub(super) fn with_boot(self, at: u64, tick: u64, behind: Option<u64>) -> Self {
        Self {
            booted: Some(at),
            made_since: tick.saturating_add(1),
            behind: self.behind.max(behind),
            ..self.not_later(at)
        }
    }

    /// A clock that was corrected backwards moves earlier doubts back with it. Otherwise they would
    /// last until their time comes again. What a clock is behind of stays.
    fn not_later(self, at: u64) -> Self {
        let not_later = |time: Option<u64>| time.map(|time| time.min(at));
        Self {
            moved: not_later(self.moved),
            booted: not_later(self.booted),
            rolled_back: not_later(self.rolled_back),
            ..self
        }
    }

    /// The doubts at `now`: the clock is no longer behind once its time has come, or the kernel
    /// holds the clock for right.
    #[must_use]
    pub(super) fn at(self, now: u64, vouched: bool) -> Self {
        Self {
            behind: self.behind.filter(|behind| !vouched && now < *behind),
            ..self
        }
    }
}

/// The cause of a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubted {
    /// The clock was set, or the machine was started.
    Clock,
    /// The store was rolled back.
    Store,
}

impl Doubted {
    /// The reason for the log why an earlier code is refused.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock_event",
            Self::Store => "store_rolled_back",
        }
    }
}
