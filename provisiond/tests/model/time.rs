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
}
