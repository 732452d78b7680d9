//! One line for each decision, to syslog (authpriv) or to standard error.
//!
//! Lines go through a bounded queue and a thread of their own, so that a stuck log holds up no login. What does not
//! fit is counted, and the count is told as soon as lines flow again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::audit::{AuditSettings, Delivery, Format};

use crate::clock;

mod line;
mod sink;

pub use line::{Entry, Line, Severity};
use sink::Sink;
pub use sink::Target;

/// The way into the log.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    lost: AtomicU64,
    /// A login whose line is lost is refused.
    required: AtomicBool,
    json: AtomicBool,
}

struct Queue {
    lines: SyncSender<Message>,
    /// The number of the last line.
    number: u64,
}

enum Message {
    Entry(Entry),
    Flush(SyncSender<()>),
}

/// A line found no place in the queue, and the settings say that nobody gets in without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten;

impl Audit {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(target: Target) -> std::io::Result<Self> {
        let (audit, messages) = Self::queued();
        let shared = Arc::clone(&audit.0);
        let write = move || write_all(&messages, Sink::new(target), &shared);
        std::thread::Builder::new().name("audit".into()).spawn(write)?;
        Ok(audit)
    }

    fn queued() -> (Self, Receiver<Message>) {
        let (lines, messages) = sync_channel(QUEUE);
        let queue = Mutex::new(Queue { lines, number: 0 });
        let shared =
            Shared { queue, lost: AtomicU64::new(0), required: AtomicBool::new(false), json: AtomicBool::new(false) };
        (Self(Arc::new(shared)), messages)
    }

    /// Puts settings in force.
    pub fn obey(&self, settings: AuditSettings) {
        self.0.required.store(settings.delivery == Delivery::Required, Ordering::Relaxed);
        self.0.json.store(settings.format == Format::Json, Ordering::Relaxed);
    }

    /// Queues a line; never waits.
    pub fn write(&self, line: Line) {
        // What it is about has happened.
        let _ = self.require(line);
    }

    /// Queues a line that somebody's way in depends on; never waits.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn require(&self, line: Line) -> Result<(), Unwritten> {
        if self.queue(line).is_ok() {
            return Ok(());
        }
        self.0.lost.fetch_add(1, Ordering::Relaxed);
        self.left_out()
    }

    /// What follows from a line that somebody's way in depends on and that is not written.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn left_out(&self) -> Result<(), Unwritten> {
        if self.0.required.load(Ordering::Relaxed) { Err(Unwritten) } else { Ok(()) }
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Waits until what is queued is written, for a second at most: the process is about to end.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let lines = self.0.lock().lines.clone();
        if lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }

    /// Numbers and places are given together, so that lines stand in the order of their numbers.
    fn queue(&self, line: Line) -> Result<(), TrySendError<Message>> {
        let time = clock::now();
        let mut queue = self.0.lock();
        let number = queue.number.saturating_add(1);
        queue.lines.try_send(Message::Entry(Entry { time, number, line }))?;
        queue.number = number;
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        // A panic while the lock is held cannot leave it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn format(&self) -> Format {
        if self.json.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
    }
}

fn write_all(messages: &Receiver<Message>, mut sink: Sink, shared: &Shared) {
    let mut told = 0;
    while let Ok(message) = messages.recv() {
        match message {
            Message::Entry(entry) => sink.write(&entry, shared.format()),
            Message::Flush(done) => drop(done.try_send(())),
        }
        let lost = shared.lost.load(Ordering::Relaxed);
        if lost > told {
            let line = Line::new("audit_lost").with("lines", lost.saturating_sub(told)).error();
            told = lost;
            let mut queue = shared.lock();
            queue.number = queue.number.saturating_add(1);
            let entry = Entry { time: clock::now(), number: queue.number, line };
            drop(queue);
            sink.write(&entry, shared.format());
        }
    }
}

/// Lines that may wait. A line has well under a kilobyte.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_log_holds_nobody_up_and_the_lines_lost_are_counted() {
        let (audit, messages) = Audit::queued();
        for _ in 0..QUEUE + 7 {
            audit.write(Line::new("verify"));
        }
        assert_eq!(audit.lost(), 7);
        drop(messages);
        audit.flush();
    }

    #[test]
    fn a_full_queue_is_told_where_lines_are_required() {
        let (audit, messages) = Audit::queued();
        let line = || Line::new("verify");
        for delivery in [Delivery::BestEffort, Delivery::Required] {
            audit.obey(AuditSettings { delivery, ..AuditSettings::default() });
            assert_eq!(audit.require(line()), Ok(()));
        }
        (0..QUEUE).for_each(|_| audit.write(line()));
        assert_eq!(audit.require(line()), Err(Unwritten));
        audit.obey(AuditSettings::default());
        assert_eq!(audit.require(line()), Ok(()));
        assert_eq!(audit.lost(), 4);
        drop(messages);
    }

    #[test]
    fn lines_are_numbered_without_a_gap() {
        let (audit, messages) = Audit::queued();
        (0..QUEUE + 3).for_each(|_| audit.write(Line::new("verify")));
        let numbers = messages.try_iter().filter_map(|message| match message {
            Message::Entry(entry) => Some(entry.number),
            Message::Flush(_) => None,
        });
        assert!(numbers.eq(1..=QUEUE as u64));
    }
}
