//! What the test knows of the machine's clocks.

pub(crate) const PERIOD: u64 = 30;
/// A clock that is set by fewer seconds may pass for one that is a little off.
pub(crate) const UNNOTICED: u64 = 5;

/// The clocks, and what makes codes of before doubtful, in Unix seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    /// The clock.
    pub(crate) now: u64,
    /// Seconds in which the machine ran, as far as the daemon can know.
    pub(crate) tick: u64,
    /// The same without anything forgotten.
    pub(crate) ran: u64,
    /// The clock was moved, perhaps by too little to be noticed.
    pub(crate) moved: Option<u64>,
    /// By so much that it must be noticed.
    pub(crate) surely_moved: Option<u64>,
    /// The machine was started, and the first stamp since then.
    pub(crate) booted: Option<u64>,
    pub(crate) made_since: u64,
    /// After that the clock was behind what the daemon had seen: perhaps still, and surely.
    pub(crate) behind: Option<u64>,
    pub(crate) surely_behind: Option<u64>,
    /// The store was put back to an earlier state, which the daemon knows.
    pub(crate) restored: Option<u64>,
    /// The same in trusted seconds.
    pub(crate) restored_tick: Option<u64>,
    /// The kernel does not hold the clock for right.
    pub(crate) unsynchronised: bool,
}

impl Time {
    /// What a device whose clock is right shows.
    pub(crate) fn step(&self) -> u64 {
        self.now / PERIOD
    }

    /// The latest time of which codes may be in doubt.
    pub(crate) fn perhaps_in_doubt(&self) -> Option<u64> {
        let [moved, booted] = [self.moved, self.booted];
        moved.max(booted).max(self.behind).max(self.restored)
    }

    /// The latest time of which codes must be in doubt, of a device that was made in that trusted
    /// second.
    pub(crate) fn surely_in_doubt(&self, made: u64) -> Option<u64> {
        let [booted, behind] = if made < self.made_since {
            [self.booted, self.surely_behind]
        } else {
            [None; 2]
        };
        let moved = self.surely_moved.max(booted);
        moved.max(behind).max(self.restored)
    }

    /// The daemon has looked at its clock after a boot with the clock behind: the kernel holds it
    /// for right, or its time has come.
    pub(crate) fn is_looked_at(&mut self) {
        let (now, unsynchronised) = (self.now, self.unsynchronised);
        let is_behind =
            |margin: u64| move |behind: &u64| unsynchronised && now + margin < behind + UNNOTICED;
        self.behind = self.behind.filter(is_behind(0));
        self.surely_behind = self.surely_behind.filter(is_behind(3 * UNNOTICED));
    }

    /// The trusted second of what is made now: after the last boot, and after the store was last
    /// put back.
    pub(crate) fn stamp(&self) -> u64 {
        let restored = self.restored_tick.map_or(0, |at| at + 1);
        self.tick.max(restored).max(self.made_since)
    }

    /// Whether what was made then may have been used in a part of the past that the store has lost.
    pub(crate) fn has_lost(&self, made: u64) -> bool {
        self.restored_tick.is_some_and(|at| made <= at)
    }
}
