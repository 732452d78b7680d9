//! The clock: read once for each call, and compared with the mark of earlier readings to detect
//! jumps.
//!
//! TOTP codes depend on the time, so an attacker who sets the clock back can replay codes. The
//! daemon trusts a clock that has jumped, but quarantines the codes that may have been spent in the
//! time that the jump hides: see [`mark`]. What is in doubt since then is in [`doubt`].

pub mod doubt;
pub mod mark;
pub mod moment;
pub mod noticing;
#[expect(unsafe_code, reason = "these system calls have no safe wrapper")]
pub mod sys;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use self::mark::{BootId, ClockEvent, Mark, Reading, Reason};
use self::moment::Moment;

/// Unix seconds; 0 for any time before 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Seconds since this machine was started (CLOCK_BOOTTIME), which no process can set.
#[must_use]
pub fn running() -> u64 {
    seconds(micros(ClockId::CLOCK_BOOTTIME))
}

/// Whether the time is plausible: not earlier than this program's build. A machine that has lost
/// its clock starts at some time in the past, for which an attacker may know unused codes.
#[must_use]
pub fn can_be(now: u64) -> bool {
    now >= EARLIEST
}

/// The clock of this machine, and its mark.
pub struct Clock {
    read: Box<dyn Fn() -> Reading + Send + Sync>,
    synchronised: Box<dyn Fn() -> Option<bool> + Send + Sync>,
    tell: Box<dyn Fn(ClockEvent) + Send + Sync>,
    mark: Mutex<Option<Mark>>,
}

impl Clock {
    /// The machine's own clock. `tell` is called once for each event.
    #[must_use]
    pub fn of_this_machine(tell: impl Fn(ClockEvent) + Send + Sync + 'static) -> Arc<Self> {
        let boot = BootId::of_this_machine();
        Self::new(move || read(boot), sys::synchronised, tell)
    }

    /// A clock with other sources of time, for tests. `synchronised`: whether the kernel holds its
    /// clock for right; `None` if it does not say.
    #[must_use]
    pub fn new(
        read: impl Fn() -> Reading + Send + Sync + 'static,
        synchronised: impl Fn() -> Option<bool> + Send + Sync + 'static,
        tell: impl Fn(ClockEvent) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (read, synchronised, tell) = (Box::new(read), Box::new(synchronised), Box::new(tell));
        Arc::new(Self {
            read,
            synchronised,
            tell,
            mark: Mutex::new(None),
        })
    }

    /// Resumes from the mark that an earlier process has left in the store, which was last found
    /// rolled back in that trusted second.
    pub fn resume(&self, found: Option<Mark>, rolled_back_tick: Option<u64>) {
        *self.lock() = found.map(|mark| mark.caught_up(rolled_back_tick));
        self.update(|_, mark| (mark, ()));
    }

    /// The one reading by which a call is judged. A kernel that does not say whether its clock is
    /// synchronised is believed about the drift of devices, and does not vouch for a clock that is
    /// behind.
    #[must_use]
    pub fn moment(&self, rolled_back_tick: Option<u64>) -> Moment {
        self.look(rolled_back_tick, true)
    }

    /// The same for a call that measures no device's clock. The kernel is asked only if its answer
    /// may end a doubt: to ask it is a system call of each login.
    #[must_use]
    pub fn moment_of_question(&self, rolled_back_tick: Option<u64>) -> Moment {
        self.look(rolled_back_tick, false)
    }

    fn look(&self, rolled_back_tick: Option<u64>, measures: bool) -> Moment {
        self.update(|seen, mark| {
            let asks = measures || mark.is_behind();
            let synchronised = asks.then(|| (self.synchronised)());
            let doubts = mark.doubts_at(seen, synchronised == Some(Some(true)));
            let moment = Moment {
                now: seconds(seen.wall),
                tick: mark.tick_at(seen),
                since_boot: Duration::from_micros(seen.running.unsigned_abs()),
                rolled_back_tick,
                doubts,
                synchronised: synchronised.is_some_and(|told| told.unwrap_or(true)),
            };
            (mark.with_doubts(doubts), moment)
        })
    }

    /// The mark for the store.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.update(|_, mark| (mark, mark))
    }

    /// Notes that a step is about to be spent; `begins` is its start in Unix seconds.
    pub fn will_spend(&self, begins: u64) {
        self.update(|_, mark| (mark.with_spent(begins), ()));
    }

    /// Notes a roll-back of the store. Every step before now may be among the lost ones, and so may
    /// later steps up to `known`, the latest spent step according to the store's witnesses.
    pub fn doubt_the_store(&self, known: u64) {
        let at = self.update(|seen, mark| {
            let at = seconds(seen.wall);
            (mark.with_lost_past(at, known), at)
        });
        (self.tell)(ClockEvent {
            reason: Reason::StoreRolledBack,
            at,
            seconds: 0,
        });
    }

    /// Ends the doubts of the clock, because an administrator vouches for it. Those of the store
    /// stay.
    pub fn accept(&self) {
        self.update(|seen, mark| {
            let doubts = mark.doubts_at(seen, true).accepted();
            (mark.with_doubts(doubts), ())
        });
    }

    /// Reads under the lock, so that no reading is compared with a later one.
    fn update<T>(&self, change: impl FnOnce(&Reading, Mark) -> (Mark, T)) -> T {
        let (event, told) = {
            let mut kept = self.lock();
            let seen = (self.read)();
            let (mark, event) = kept.map_or((Mark::new(&seen), None), |mark| mark.after(&seen));
            let (mark, told) = change(&seen, mark);
            *kept = Some(mark);
            (event, told)
        };
        event.into_iter().for_each(|event| (self.tell)(event));
        told
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mark>> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads both clocks at the same moment: a process that was suspended between the two readings
/// would see a false jump.
fn read(boot: BootId) -> Reading {
    let mut before = micros(ClockId::CLOCK_BOOTTIME);
    let mut seen = Reading {
        boot,
        wall: micros(ClockId::CLOCK_REALTIME),
        running: before,
    };
    for _ in 0..READ_TRIES {
        let after = micros(ClockId::CLOCK_BOOTTIME);
        if after.saturating_sub(before) < ONE_MOMENT {
            break;
        }
        before = after;
        seen = Reading {
            boot,
            wall: micros(ClockId::CLOCK_REALTIME),
            running: before,
        };
    }
    seen
}

/// A clock that cannot be read counts as 0, which is before this program was built.
fn micros(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec()
            .saturating_mul(SECOND)
            .saturating_add(time.tv_nsec().checked_div(1000).unwrap_or(0))
    })
}

fn seconds(micros: i64) -> u64 {
    u64::try_from(micros.div_euclid(SECOND)).unwrap_or(0)
}

/// Microseconds.
const SECOND: i64 = 1_000_000;
const ONE_MOMENT: i64 = SECOND / 10;
const READ_TRIES: u32 = 8;
/// The time of the build, if it is given (`SOURCE_DATE_EPOCH`, reproducible-builds.org), else the
/// begin of this version. Unix seconds.
const EARLIEST: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => BEGUN,
    },
    None => BEGUN,
};
/// The reason for the log why no code is judged on a machine that has lost its clock.
pub const CLOCK_BEFORE_BUILD: &str = "clock_before_build";
/// 26 October 2026.
const BEGUN: u64 = 1_793_000_000;

#[cfg(test)]
pub(crate) mod tests;
