//! What is remembered of the clock, and how a new reading is held against it. Pure.
//!
//! CLOCK_BOOTTIME cannot be set and counts on through suspend: within one boot it tells what CLOCK_REALTIME should say.
//! When that says something else, or a new boot begins before the last one has ended, there was an *event*: the clock is
//! believed from then on, and codes of before the event are in doubt. The kernel slews both clocks alike, so what remains of
//! small differences (a leap second, a virtual machine's correction) is followed slowly, and never adds up to an event; nor
//! can many small steps back add up to a past that comes again.

/// The clocks, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which boot of the machine this is.
    pub boot: BootId,
    /// CLOCK_REALTIME, in microseconds since 1970.
    pub wall: i64,
    /// CLOCK_BOOTTIME, in microseconds since the machine was started.
    pub running: i64,
}

/// The kernel's random number of a boot; nothing where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootId(Option<u128>);

impl BootId {
    /// That of now.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::parse(&std::fs::read_to_string(BOOT_ID).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let digits: String = text.trim_end().chars().filter(|c| *c != '-').collect();
        Self(u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0))
    }

    /// Two boots of which nothing is known are not the same.
    fn is(self, other: Self) -> bool {
        self.0.is_some() && self == other
    }
}

/// The clock as it was when it was last looked at, and what made it doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    seen: Reading,
    /// Microseconds in which this machine was seen running, over all its boots.
    trusted: u64,
    clock_moved_at: Option<u64>,
    store_rolled_back_at: Option<u64>,
    /// When the latest step begins that was ever spent, in Unix seconds.
    spent: u64,
    /// The same as of when the store was rolled back: what is spent since then is not forgotten.
    lost: u64,
}

/// Something after which codes of before are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it was.
    pub reason: Reason,
    /// When, by the clock as it is since, in Unix seconds.
    pub at: u64,
    /// How far the clock was from where it should be; after a new boot, from where it was last seen.
    pub seconds: i64,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The clock was set while the machine ran.
    Jumped,
    /// After a new boot it says less than before.
    BehindMark,
    /// The machine was started again, so soon that codes of before may still be good.
    NewBoot,
    /// The store is older than it was.
    StoreRolledBack,
}

impl Reason {
    /// The word of the audit lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Jumped => "jumped",
            Self::BehindMark => "behind_last_boot",
            Self::NewBoot => "new_boot",
            Self::StoreRolledBack => "store_rolled_back",
        }
    }
}

/// Why codes of before a certain time are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// That time, in Unix seconds.
    pub at: u64,
    /// What is in doubt.
    pub of: Doubted,
    /// When the latest step begins, in Unix seconds, that was spent and that a store may have forgotten; 0 if it was never put
    /// back. It is later than `at` where a device, or this machine's clock, was ahead.
    pub lost: u64,
}

/// What can be in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubted {
    /// The clock.
    Clock,
    /// What the store remembers.
    Store,
}

impl Doubted {
    /// The log's word for why a code of before is not taken.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock_event",
            Self::Store => "store_rolled_back",
        }
    }
}

impl From<u128> for BootId {
    /// The boot with that number; 0 is none.
    fn from(number: u128) -> Self {
        Self((number != 0).then_some(number))
    }
}

impl Mark {
    /// The first one.
    #[must_use]
    pub fn new(seen: &Reading) -> Self {
        Self { seen: *seen, trusted: 0, clock_moved_at: None, store_rolled_back_at: None, spent: 0, lost: 0 }
    }

    /// The mark after a reading, and the event, if it was one.
    #[must_use]
    pub fn after(self, seen: &Reading) -> (Self, Option<Event>) {
        let event = self.event(seen);
        if let Some(event) = event {
            return (self.moved_to(seen).with_moved_clock(event.at), Some(event));
        }
        match self.elapsed(seen) {
            // So short a time allows for no correction, and would round every one away.
            Some(elapsed) if elapsed < SECOND => (self, None),
            Some(elapsed) => (self.followed_by(seen, elapsed), None),
            None => (self.moved_to(seen), None),
        }
    }

    /// The trusted seconds at a reading that this mark came from.
    #[must_use]
    pub fn tick_at(&self, seen: &Reading) -> u64 {
        self.trusted_at(seen).checked_div(SECOND.unsigned_abs()).unwrap_or(0)
    }

    /// The latest time of which codes are in doubt.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        let clock = self.clock_moved_at.map(|at| Doubt { at, of: Doubted::Clock, lost: self.lost });
        let store = self.store_rolled_back_at.map(|at| Doubt { at, of: Doubted::Store, lost: self.lost });
        clock.into_iter().chain(store).max_by_key(|doubt| doubt.at)
    }

    /// What was used before `at` may have been forgotten, and of what begins later the steps up to the one that others than
    /// the store know to be spent.
    #[must_use]
    pub fn with_lost_past(self, at: u64, known: u64) -> Self {
        let spent = self.spent.max(known);
        Self { store_rolled_back_at: Some(at), spent, lost: spent, ..self }
    }

    /// After a step was spent that begins then.
    #[must_use]
    pub fn with_spent(self, begins: u64) -> Self {
        Self { spent: self.spent.max(begins), ..self }
    }

    /// When the latest step begins that was ever spent, in Unix seconds.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Whether its time had not come when the clock was last looked at.
    #[must_use]
    pub fn spent_ahead(&self) -> bool {
        self.spent > super::seconds(self.seen.wall)
    }

    /// Without doubt in the clock; and whether there was any.
    #[must_use]
    pub fn accepted(self) -> (Self, bool) {
        (Self { clock_moved_at: None, ..self }, self.clock_moved_at.is_some())
    }

    /// As numbers, for the store.
    #[must_use]
    pub fn to_numbers(self) -> [u64; NUMBERS] {
        let boot = self.seen.boot.0.unwrap_or(0);
        let (high, low) = (boot >> 64, boot & u128::from(u64::MAX));
        let half = |half| u64::try_from(half).unwrap_or(0);
        let (wall, running) = (self.seen.wall.cast_unsigned(), self.seen.running.cast_unsigned());
        let [clock, store] = [self.clock_moved_at, self.store_rolled_back_at].map(Option::unwrap_or_default);
        [half(high), half(low), wall, running, self.trusted, clock, store, self.spent, self.lost]
    }

    /// The other way round.
    #[must_use]
    pub fn from_numbers([high, low, wall, running, trusted, clock, store, spent, lost]: [u64; NUMBERS]) -> Self {
        let boot = (u128::from(high) << 64) | u128::from(low);
        let seen = Reading { boot: BootId::from(boot), wall: wall.cast_signed(), running: running.cast_signed() };
        let [clock_moved_at, store_rolled_back_at] = [clock, store].map(|at| (at != 0).then_some(at));
        Self { seen, trusted, clock_moved_at, store_rolled_back_at, spent, lost }
    }

    fn event(&self, seen: &Reading) -> Option<Event> {
        let since = seen.wall.saturating_sub(self.seen.wall);
        let (reason, away) = match self.elapsed(seen) {
            Some(elapsed) => (Reason::Jumped, since.saturating_sub(elapsed)),
            None if self.seen.boot.is(seen.boot) => (Reason::Jumped, since),
            None if since < -TOLERANCE => (Reason::BehindMark, since),
            None => (Reason::NewBoot, since),
        };
        let is_one = match reason {
            Reason::Jumped => away.unsigned_abs() > TOLERANCE.unsigned_abs(),
            Reason::NewBoot => since < SOON,
            Reason::BehindMark | Reason::StoreRolledBack => true,
        };
        is_one.then(|| Event { reason, at: super::seconds(seen.wall), seconds: away.checked_div(SECOND).unwrap_or(0) })
    }

    /// Microseconds since the mark. `None`: the machine was started anew, or its own clock went back.
    fn elapsed(&self, seen: &Reading) -> Option<i64> {
        let elapsed = seen.running.saturating_sub(self.seen.running);
        (self.seen.boot.is(seen.boot) && elapsed >= 0).then_some(elapsed)
    }

    fn trusted_at(&self, seen: &Reading) -> u64 {
        self.trusted.saturating_add(self.elapsed(seen).map_or(0, i64::unsigned_abs))
    }

    fn moved_to(self, seen: &Reading) -> Self {
        Self { seen: *seen, trusted: self.trusted_at(seen), ..self }
    }

    /// Follows a clock that is a little off, by a thousandth of the time that has passed.
    fn followed_by(self, seen: &Reading, elapsed: i64) -> Self {
        let expected = self.seen.wall.saturating_add(elapsed);
        let most = elapsed.checked_div(FOLLOWING).unwrap_or(0);
        let off = seen.wall.saturating_sub(expected).clamp(most.saturating_neg(), most);
        self.moved_to(&Reading { wall: expected.saturating_add(off), ..*seen })
    }

    /// A clock that was corrected backwards takes the older doubt with it, or that would last until its time has come.
    fn with_moved_clock(self, at: u64) -> Self {
        let store_rolled_back_at = self.store_rolled_back_at.map(|lost| lost.min(at));
        Self { clock_moved_at: Some(at), store_rolled_back_at, ..self }
    }
}

/// How many numbers a mark is.
pub const NUMBERS: usize = 9;
/// Microseconds, like all that follow.
const SECOND: i64 = super::SECOND;
/// A clock that is further away than this was set.
const TOLERANCE: i64 = 2 * SECOND;
/// Two periods of the longest kind that authenticators usually have. Codes of before have run out by then.
const SOON: i64 = 2 * 60 * SECOND;
/// Differences are followed at one part in so many: twice as fast as the kernel slews a clock.
const FOLLOWING: i64 = 1000;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests;
