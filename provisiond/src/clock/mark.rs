//! The clock mark: the last seen state of the clock, and the detection of clock jumps and of boots
//! after which codes are quarantined; how large a jump, and how soon a boot. Pure.
//!
//! CLOCK_BOOTTIME cannot be set and counts on through suspend: within one boot it tells how far
//! CLOCK_REALTIME should have moved. If that differs, or if a new boot begins too early, there is
//! an *event*: from then on the clock is trusted as it is, and codes from before the event are in
//! doubt (quarantined). The kernel slews both clocks alike. The mark follows small differences (a
//! leap second, a virtual machine's correction) slowly, so that they never add up to an event. Nor
//! can many small steps back add up to a replay of the past.

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
        Self::parse(&std::fs::read_to_string(BOOT_ID).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let digits: String = text.trim_end().chars().filter(|c| *c != '-').collect();
        Self(u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0))
    }

    /// Whether both are the same boot. Unknown ids are never the same.
    fn is(self, other: Self) -> bool {
        self.0.is_some() && self == other
    }
}

/// The last reading of the clock, and the last events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    seen: Reading,
    /// Trusted time: microseconds in which this machine was seen running, over all its boots.
    trusted: u64,
    clock_moved_at: Option<u64>,
    store_rolled_back_at: Option<u64>,
    /// The start of the latest step that was ever spent, in Unix seconds.
    spent: u64,
    /// The same at the time of the last roll-back: steps that were spent since then are not lost.
    lost: u64,
}

/// A clock or store event. It quarantines the codes from before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kind of event.
    pub reason: Reason,
    /// The time by the clock after the event, in Unix seconds.
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
    /// After a new boot the clock is behind the mark.
    BehindMark,
    /// The machine was started again so soon that codes from before may still be valid.
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

/// The doubt behind a quarantine: codes up to a certain time are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// That time, in Unix seconds.
    pub at: u64,
    /// The cause of the doubt.
    pub of: Doubted,
    /// The start of the latest spent step that a rolled-back store may have lost, in Unix seconds;
    /// 0 if it was never rolled back. It is later than `at` if a device, or this machine's clock,
    /// was ahead.
    pub lost: u64,
}

/// The cause of a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubted {
    /// The clock jumped, or the machine was started again.
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
            clock_moved_at: None,
            store_rolled_back_at: None,
            spent: 0,
            lost: 0,
        }
    }

    /// The mark after a reading, and the event, if there was one.
    #[must_use]
    pub fn after(self, seen: &Reading) -> (Self, Option<Event>) {
        let event = self.event(seen);
        if let Some(event) = event {
            return (self.moved_to(seen).with_moved_clock(event.at), Some(event));
        }
        match self.elapsed(seen) {
            // Too short a time: the correction would be rounded to 0.
            Some(elapsed) if elapsed < SECOND => (self, None),
            Some(elapsed) => (self.followed_by(seen, elapsed), None),
            None => (self.moved_to(seen), None),
        }
    }

    /// The trusted seconds at the reading that led to this mark.
    #[must_use]
    pub fn tick_at(&self, seen: &Reading) -> u64 {
        self.trusted_at(seen)
            .checked_div(SECOND.unsigned_abs())
            .unwrap_or(0)
    }

    /// The present doubt: the later one, of the clock or of the store.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        let clock = self.clock_moved_at.map(|at| Doubt {
            at,
            of: Doubted::Clock,
            lost: self.lost,
        });
        let store = self.store_rolled_back_at.map(|at| Doubt {
            at,
            of: Doubted::Store,
            lost: self.lost,
        });
        clock.into_iter().chain(store).max_by_key(|doubt| doubt.at)
    }

    /// The mark after a roll-back of the store: it may have lost all steps spent before `at`, and
    /// later ones up to `known`, the latest spent step according to the store's witnesses.
    #[must_use]
    pub fn with_lost_past(self, at: u64, known: u64) -> Self {
        let spent = self.spent.max(known);
        Self {
            store_rolled_back_at: Some(at),
            spent,
            lost: spent,
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

    /// The mark without the doubt of the clock; and whether there was any.
    #[must_use]
    pub fn accepted(self) -> (Self, bool) {
        (
            Self {
                clock_moved_at: None,
                ..self
            },
            self.clock_moved_at.is_some(),
        )
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
        let [clock, store] =
            [self.clock_moved_at, self.store_rolled_back_at].map(Option::unwrap_or_default);
        [
            half(high),
            half(low),
            wall,
            running,
            self.trusted,
            clock,
            store,
            self.spent,
            self.lost,
        ]
    }

    /// The mark from its numbers.
    #[must_use]
    pub fn from_numbers(
        [high, low, wall, running, trusted, clock, store, spent, lost]: [u64; NUMBERS],
    ) -> Self {
        let boot = (u128::from(high) << 64) | u128::from(low);
        let seen = Reading {
            boot: BootId::from(boot),
            wall: wall.cast_signed(),
            running: running.cast_signed(),
        };
        let [clock_moved_at, store_rolled_back_at] =
            [clock, store].map(|at| (at != 0).then_some(at));
        Self {
            seen,
            trusted,
            clock_moved_at,
            store_rolled_back_at,
            spent,
            lost,
        }
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
        is_one.then(|| Event {
            reason,
            at: super::seconds(seen.wall),
            seconds: away.checked_div(SECOND).unwrap_or(0),
        })
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

    /// A clock that was corrected backwards moves an earlier doubt back with it. Otherwise the
    /// doubt would last until its time comes again.
    fn with_moved_clock(self, at: u64) -> Self {
        let store_rolled_back_at = self.store_rolled_back_at.map(|lost| lost.min(at));
        Self {
            clock_moved_at: Some(at),
            store_rolled_back_at,
            ..self
        }
    }
}

/// The count of numbers in a mark.
pub const NUMBERS: usize = 9;
/// Microseconds, like all that follow.
const SECOND: i64 = super::SECOND;
/// A larger difference is a jump.
const TOLERANCE: i64 = 2 * SECOND;
/// A boot this soon after the last reading is an event, and quarantines codes: two periods of the
/// longest common kind, after which codes from before have expired.
const SOON: i64 = 2 * 60 * SECOND;
/// Differences are followed by one part in so many of the elapsed time: twice as fast as the kernel
/// slews a clock.
const FOLLOWING: i64 = 1000;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests;
