//! Waits, before the store is opened, until its disk takes changes, and where it is damaged, until there
//! is room to heal it; or until etcd serves. A daemon that ended instead would be started again each
//! second, with lines in the log each time.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sd_notify::NotifyState;

use crate::audit::{Audit, Line};
use crate::process::notify;

/// Waits until the disk of the store at `store` lacks nothing. False: the daemon was asked to stop meanwhile.
pub(super) fn wait(
    store: &Path,
    lack: impl Fn(&Path) -> Option<io::Error>,
    audit: &Audit,
    signals: &SigSet,
) -> io::Result<bool> {
    let lack = || lack(store).map(|error| cannot_be_written(store, &error));
    wait_while(lack, STATUS, audit, signals)
}

/// Waits as long as something lacks, which is told in a sentence. False: the daemon was asked to stop
/// meanwhile.
///
/// The service manager hears that the daemon is ready: a start that lasted would hold up a whole
/// boot. Logins wait in the sockets, and their modules give up at their deadline.
///
/// # Errors
/// The system lets no signals be waited for.
pub(super) fn wait_while(
    mut lack: impl FnMut() -> Option<String>,
    status: &str,
    audit: &Audit,
    signals: &SigSet,
) -> io::Result<bool> {
    let Some(mut reason) = lack() else {
        return Ok(true);
    };
    let stop = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    let mut reminder = Reminder::default();
    loop {
        if reminder.is_due(Instant::now()) {
            audit.write(Line::new("store_waits").with("reason", &reason).error());
        }
        if is_stopped(&stop) {
            audit.write(Line::new("stopped"));
            audit.flush();
            return Ok(false);
        }
        // This loop is alive, and not stuck in the disk.
        notify(&[NotifyState::Watchdog]);
        match lack() {
            Some(again) => reason = again,
            None => break,
        }
    }
    notify(&[NotifyState::Status("")]);
    audit.write(Line::new("store_goes_on"));
    Ok(true)
}

fn cannot_be_written(store: &Path, error: &io::Error) -> String {
    format!(
        "the store at {} cannot be written ({error}), and the daemon waits: no login with a code succeeds until \
         the disk has room and can be written",
        store.display()
    )
}

/// Lets a moment pass. True: a signal asks the daemon to stop. A reload needs nothing: the settings
/// in force are read when the daemon serves.
fn is_stopped(signals: &SignalFd) -> bool {
    let mut awaited = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut awaited, PollTimeout::from(RETRY_MS));
    let mut told = std::iter::from_fn(|| signals.read_signal().ok().flatten());
    told.any(|signal| signal.ssi_signo != Signal::SIGHUP as u32)
}

/// When the log is told again what lasts.
#[derive(Default)]
struct Reminder(Option<Instant>);

impl Reminder {
    /// At first, and then once a minute.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|due| now >= due);
        if is_due {
            self.0 = now.checked_add(BETWEEN_LINES);
        }
        is_due
    }
}

const STATUS: &str =
    "waits until the disk of the store can be written: no login with a code succeeds";
const RETRY_MS: u16 = 1000;
const BETWEEN_LINES: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_at_first_and_then_once_a_minute() {
        let begun = Instant::now();
        let mut reminder = Reminder::default();
        let told = (0..300_u64)
            .filter(|second| reminder.is_due(begun + Duration::from_secs(*second)))
            .collect::<Vec<_>>();
        assert_eq!(told, [0, 60, 120, 180, 240]);
    }
}
