//! The clock mark: the last seen state of the clock, and the detection of clock jumps and of boots
//! after which codes are quarantined. Pure.
//!
//! CLOCK_BOOTTIME cannot be set and counts on through suspend: within one boot it tells how far
//! CLOCK_REALTIME should have moved. If that differs, there is an *event*: from then on the clock
//! is trusted as it is, and codes from before the event are in doubt (quarantined). The kernel
//! slews both clocks alike. The mark follows small differences (a leap second, a virtual machine's
//! correction) slowly, so that they never add up to an event. Nor can many small steps back add up
//! to a replay of the past.
//!
//! Every new boot is an event, whatever the mark says: the mark may be that of an older disk, which
//! was put back while the machine was off. No code was used between the last boot and this one, so
//! the event is dated at the beginning of the boot. A boot that began before the mark, by its own
//! clock, has a wrong clock, or the store comes from another machine: that event is dated at its
//! discovery, and if the clock is behind the mark, the mark stays in force (see [`Doubts`]).

use super::doubt::Doubts;

/// The clocks, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The boot of the machine.
    pub boot: BootId,
    /// CLOCK_REALTIME, in microseconds since 1970.
    pub wall: i64,
    /// CLOCK_BOOTTIME, in microseconds since the machine was started.
    pub running: i64,
}

/// The kernel's random id of a boot; `None` if the kernel gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootId(Option<u128>);

impl BootId {
    /// The id of the present boot.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::parse(&std::fs::read_to_string(BOOT_ID).unwrap_or_default()).or_of_this_process()
    }

    /// Where the kernel gives no id, each process counts as a boot of its own. Otherwise each
    /// reading would be an event.
    fn or_of_this_process(self) -> Self {
        let begun = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(self.0.or(Some(begun.as_nanos().max(1))))
    }

    fn parse(text: &str) -> Self {
        let digits: String = text.trim_end().chars().filter(|c| *c != '-').collect();
        Self(u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0))
    }

    #[cfg(test)]
    pub(super) fn number(self) -> u128 {
        self.0.unwrap_or(0)
    }

    /// Whether both are the same boot. Unknown ids are never the same.
    fn is(self, other: Self) -> bool {
        self.0.is_some() && self == other
    }
}

/// The last reading of the clock, and the doubts that the last events have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    seen: Reading,
    /// Trusted time: microseconds in which this machine was seen running, over all its boots.
    trusted: u64,
    doubts: Doubts,
    /// The start of the latest step that was ever spent, in Unix seconds. `Doubts::lost` is the
    /// same at the time of the last roll-back: steps that were spent since then are not lost.
    spent: u64,
}

/// A clock or store event. It quarantines the codes from before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEvent {
    /// The kind of event.
    pub reason: Reason,
    /// The time by the clock after the event, in Unix seconds; of a new boot, its beginning.
    pub at: u64,
    /// The jump: how far the clock was from where it should be; after a new boot, from where it was
    /// last seen.
    pub seconds: i64,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The clock was set while the machine ran.
    Jumped,
    /// A new boot has begun before the time that was last seen, by its own clock.
    BehindMark,
    /// The machine was started again.
    NewBoot,
    /// The store was rolled back.
    StoreRolledBack,
}

impl Reason {
    /// The reason for the log.
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

impl From<u128> for BootId {
    /// The boot with that id; 0 is unknown.
    fn from(number: u128) -> Self {
        Self((number != 0).then_some(number))
    }
}

impl Mark {
    /// The first mark, without a past.
    #[must_use]
    pub fn new(seen: &Reading) -> Self {
        Self {
            seen: *seen,
            trusted: 0,
            doubts: Doubts::default(),
            spent: 0,
        }
    }

    /// The mark after a reading, and the event, if there was one.
    #[must_use]
    pub fn after(self, seen: &Reading) -> (Self, Option<ClockEvent>) {
        let event = self.event(seen);
        if let Some(event) = &event {
            let doubts = self.doubts_after(event, seen);
            return (
                Self {
                    doubts,
                    ..self.moved_to(seen)
                },
                Some(*event),
            );
        }
        match self.elapsed(seen) {
            // Too short a time: the correction would be rounded to 0.
            Some(elapsed) if elapsed < SECOND => (self, None),
            Some(elapsed) => (self.followed_by(seen, elapsed), None),
            None => (self.moved_to(seen), None),
        }
    }

    /// The mark with trusted time that has caught up with the stamps that were given: within one
    /// trusted second, each boot and each roll-back gives a later one.
    #[must_use]
    pub fn caught_up(self, rolled_back_tick: Option<u64>) -> Self {
        let stamp = self.doubts.stamp(0, rolled_back_tick);
        let micros = stamp.saturating_mul(SECOND.unsigned_abs());
        Self {
            trusted: self.trusted.max(micros),
            ..self
        }
    }

    /// The trusted seconds at the reading that led to this mark.
    #[must_use]
    pub fn tick_at(&self, seen: &Reading) -> u64 {
        self.trusted_at(seen)
            .checked_div(SECOND.unsigned_abs())
            .unwrap_or(0)
    }

    /// The doubts at the reading that led to this mark. `vouched`: the kernel holds its clock for
    /// right.
    #[must_use]
    pub fn doubts_at(&self, seen: &Reading, vouched: bool) -> Doubts {
        self.doubts.at(super::seconds(seen.wall), vouched)
    }

    /// Whether the clock was behind an earlier time, as far as this mark knows.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.doubts.behind.is_some()
    }

    /// The mark with these doubts.
    #[must_use]
    pub fn with_doubts(self, doubts: Doubts) -> Self {
        Self { doubts, ..self }
    }

    /// The mark after a roll-back of the store: it may have lost all steps spent before `at`, and
    /// later ones up to `known`, the latest spent step according to the store's witnesses.
    #[must_use]
    pub fn with_lost_past(self, at: u64, known: u64) -> Self {
        let spent = self.spent.max(known);
        let doubts = Doubts {
            rolled_back: Some(at),
            lost: spent,
            ..self.doubts
        };
        Self {
            doubts,
            spent,
            ..self
        }
    }

    /// The mark after a step was spent; `begins` is its start in Unix seconds.
    #[must_use]
    pub fn with_spent(self, begins: u64) -> Self {
        Self {
            spent: self.spent.max(begins),
            ..self
        }
    }

    /// The start of the latest step that was ever spent, in Unix seconds.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Whether that step was still in the future at the last reading.
    #[must_use]
    pub fn spent_ahead(&self) -> bool {
        self.spent > super::seconds(self.seen.wall)
    }

    /// The mark as numbers, for the store.
    #[must_use]
    pub fn to_numbers(self) -> [u64; NUMBERS] {
        let boot = self.seen.boot.0.unwrap_or(0);
        let (high, low) = (boot >> 64, boot & u128::from(u64::MAX));
        let half = |half| u64::try_from(half).unwrap_or(0);
        let (wall, running) = (
            self.seen.wall.cast_unsigned(),
            self.seen.running.cast_unsigned(),
        );
        let Doubts {
            moved,
            booted,
            made_since,
            behind,
            rolled_back,
            lost,
        } = self.doubts;
        let [moved, booted, behind, rolled_back] =
            [moved, booted, behind, rolled_back].map(Option::unwrap_or_default);
        [
            half(high),
            half(low),
            wall,
            running,
            self.trusted,
            moved,
            rolled_back,
            self.spent,
            lost,
            booted,
            made_since,
            behind,
        ]
    }

    /// The mark from its numbers. A mark of before this version lacks the last three. `None`: they
    /// are no mark.
    #[must_use]
    pub fn from_numbers(numbers: &[u64]) -> Option<Self> {
        let (old, new) = numbers.split_first_chunk()?;
        let [booted, made_since, behind] = match new {
            [] => [0, 0, 0],
            new => <[u64; 3]>::try_from(new).ok()?,
        };
        let [
            high,
            low,
            wall,
            running,
            trusted,
            moved,
            rolled_back,
            spent,
            lost,
        ] = *old;
        let boot = (u128::from(high) << 64) | u128::from(low);
        let seen = Reading {
            boot: BootId::from(boot),
            wall: wall.cast_signed(),
            running: running.cast_signed(),
        };
        let [moved, booted, behind, rolled_back] =
            [moved, booted, behind, rolled_back].map(|at| (at != 0).then_some(at));
        let doubts = Doubts {
            moved,
            booted,
            made_since,
            behind,
            rolled_back,
            lost,
        };
        Some(Self {
            seen,
            trusted,
            doubts,
            spent,
        })
    }

    fn event(&self, seen: &Reading) -> Option<ClockEvent> {
        let since = seen.wall.saturating_sub(self.seen.wall);
        let began = seen.wall.saturating_sub(seen.running.max(0));
        let (reason, at, away) = match self.elapsed(seen) {
            Some(elapsed) => (Reason::Jumped, seen.wall, since.saturating_sub(elapsed)),
            None if self.seen.boot.is(seen.boot) => (Reason::Jumped, seen.wall, since),
            None if began.saturating_sub(self.seen.wall) < -TOLERANCE => {
                (Reason::BehindMark, seen.wall, since)
            }
            None => (Reason::NewBoot, began, since),
        };
        let is_one = reason != Reason::Jumped || away.unsigned_abs() > TOLERANCE.unsigned_abs();
        is_one.then(|| ClockEvent {
            reason,
            at: super::seconds(at),
            seconds: away.checked_div(SECOND).unwrap_or(0),
        })
    }

    fn doubts_after(&self, event: &ClockEvent, seen: &Reading) -> Doubts {
        match event.reason {
            Reason::NewBoot | Reason::BehindMark => {
                let is_behind = seen.wall < self.seen.wall;
                let behind = is_behind.then(|| super::seconds(self.seen.wall));
                self.doubts.with_boot(event.at, self.tick_at(seen), behind)
            }
            Reason::Jumped | Reason::StoreRolledBack => self.doubts.with_moved(event.at),
        }
    }

    /// Microseconds since the mark. `None`: the machine was started again, or CLOCK_BOOTTIME went
    /// back.
    fn elapsed(&self, seen: &Reading) -> Option<i64> {
        let elapsed = seen.running.saturating_sub(self.seen.running);
        (self.seen.boot.is(seen.boot) && elapsed >= 0).then_some(elapsed)
    }

    fn trusted_at(&self, seen: &Reading) -> u64 {
        self.trusted
            .saturating_add(self.elapsed(seen).map_or(0, i64::unsigned_abs))
    }

    fn moved_to(self, seen: &Reading) -> Self {
        Self {
            seen: *seen,
            trusted: self.trusted_at(seen),
            ..self
        }
    }

    /// Follows a small difference of the clock, by at most a thousandth of the elapsed time.
    fn followed_by(self, seen: &Reading, elapsed: i64) -> Self {
        let expected = self.seen.wall.saturating_add(elapsed);
        let most = elapsed.checked_div(FOLLOWING).unwrap_or(0);
        let off = seen
            .wall
            .saturating_sub(expected)
            .clamp(most.saturating_neg(), most);
        self.moved_to(&Reading {
            wall: expected.saturating_add(off),
            ..*seen
        })
    }
}

/// The count of numbers in a mark.
pub const NUMBERS: usize = 12;
/// Microseconds, like all that follow.
const SECOND: i64 = super::SECOND;
/// A larger difference is a jump.
const TOLERANCE: i64 = 2 * SECOND;
/// Differences are followed by one part in so many of the elapsed time: twice as fast as the kernel
/// slews a clock.
const FOLLOWING: i64 = 1000;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests;
