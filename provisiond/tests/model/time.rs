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
    /// The store was put back to an earlier state.
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

    /// The latest time of which codes are in doubt.
    pub(crate) fn doubt(&self, moved: Option<u64>) -> Option<u64> {
        moved.into_iter().chain(self.restored).max()
    }

    /// The trusted second of what is made now: after the store was last put back.
    pub(crate) fn stamp(&self) -> u64 {
        self.tick.max(self.restored_tick.map_or(0, |at| at + 1))
    }

    /// Whether what was made then may have been used in a part of the past that the store has lost.
    pub(crate) fn has_lost(&self, made: u64) -> bool {
        self.restored_tick.is_some_and(|at| made <= at)
    }
}
