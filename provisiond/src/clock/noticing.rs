//! Detects at once that the clock was set, also between logins, so that the log reports it in time.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Clock;

/// Starts the thread. It sleeps until the clock is set, and reads the clock once a day.
///
/// # Errors
/// The system cannot create a timer or start a thread.
pub fn start(clock: Arc<Clock>) -> io::Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC)?;
    std::thread::Builder::new()
        .name("clock".into())
        .spawn(move || watch(&timer, &clock))?;
    Ok(())
}

/// Sets the timer before it reads the clock, so that no change falls in between. A timer that fails
/// ends the thread: then the next login detects the event.
fn watch(timer: &TimerFd, clock: &Clock) {
    loop {
        let set = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        let tomorrow = i64::try_from(super::now().saturating_add(DAY)).unwrap_or(i64::MAX);
        match timer.set(Expiration::OneShot(TimeSpec::seconds(tomorrow)), set) {
            // The timer is set; the clock was set once more meanwhile.
            Ok(()) | Err(Errno::ECANCELED) => {}
            Err(_) => return,
        }
        _ = clock.moment(None);
        // Returns when the time has come or the clock was set.
        if timer.wait().is_err() {
            return;
        }
    }
}

/// Seconds.
const DAY: u64 = 86400;
