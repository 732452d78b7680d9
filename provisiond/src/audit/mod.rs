//! The audit log: one line for each decision, to syslog (authpriv) or standard error, and as an
//! event for `totpctl log`.
//!
//! Lines pass a bounded queue to a thread of their own, so that a stuck log delays no login. It rests
//! for a moment after each batch, so that many logins a second wake it seldom. Each [`Share`] may
//! fill a part of the queue; a part that is half full ends the rest. Lines for which there is no room
//! are counted, and the count is logged as soon as lines flow again.
//! The fields of a login's line are set in `login`.

use std::collections::HashMap;
use std::iter;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use common::config::audit::{AuditSettings, Delivery, Format};
use common::wire::event::Event;

use crate::clock;

mod events;
mod held;
mod kept;
mod line;
mod sink;
pub mod skew;

use events::Events;
pub use kept::Wanted;
use line::QUEUE;
pub use line::{Line, Share};
use sink::Sink;
pub use sink::Target;

/// The handle to the log.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Told when a share's part of the queue becomes half full.
    filling: Condvar,
    /// Empty until the store's folder is known.
    events: OnceLock<Events>,
    lost: AtomicU64,
    /// `audit.delivery: required`: a login whose line is lost is refused.
    required: AtomicBool,
    json: AtomicBool,
}

struct Queue {
    lines: SyncSender<Message>,
    /// The lines that wait, by their share.
    waiting: HashMap<Share, usize>,
    /// The number of the last line.
    number: u64,
}

enum Message {
    Line(Arc<Event>, Share),
    Flush(SyncSender<()>),
}

/// The queue was full, and the settings require the line for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten;

impl Audit {
    /// Starts the thread that writes. The settings are in force from the first line on.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(target: Target, settings: AuditSettings) -> std::io::Result<Self> {
        let (audit, messages) = Self::queued();
        audit.obey(settings);
        let shared = Arc::clone(&audit.0);
        let write = move || write_all(&messages, Sink::new(target), &shared);
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(write)?;
        Ok(audit)
    }

    fn queued() -> (Self, Receiver<Message>) {
        let (lines, messages) = sync_channel(QUEUE);
        let queue = Mutex::new(Queue {
            lines,
            waiting: HashMap::new(),
            number: 0,
        });
        let shared = Shared {
            queue,
            filling: Condvar::new(),
            events: OnceLock::new(),
            lost: AtomicU64::new(0),
            required: AtomicBool::new(false),
            json: AtomicBool::new(false),
        };
        (Self(Arc::new(shared)), messages)
    }

    /// From now on lines are also stored as events, in files beside the store at `store`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn remember(&self, store: &Path) -> std::io::Result<()> {
        let events = Events::start(store)?;
        let mut queue = self.0.lock();
        queue.number = queue.number.max(events.last_number());
        let _ = self.0.events.set(events);
        Ok(())
    }

    /// Applies changed settings.
    pub fn obey(&self, settings: AuditSettings) {
        self.0
            .required
            .store(settings.delivery == Delivery::Required, Ordering::Relaxed);
        self.0
            .json
            .store(settings.format == Format::Json, Ordering::Relaxed);
    }

    /// Queues a line; never waits.
    pub fn write(&self, line: Line) {
        // The line tells of something that has happened already: no caller depends on it.
        let _ = self.require(line);
    }

    /// Queues a line that a login depends on; never waits.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn require(&self, line: Line) -> Result<(), Unwritten> {
        if self.0.take(line) {
            return Ok(());
        }
        self.0.lost.fetch_add(1, Ordering::Relaxed);
        self.left_out()
    }

    /// The result for a login whose line is not written.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn left_out(&self) -> Result<(), Unwritten> {
        if self.0.required.load(Ordering::Relaxed) {
            Err(Unwritten)
        } else {
            Ok(())
        }
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Events lost since the start.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.0.events.get().map_or(0, Events::lost)
    }

    /// The wanted events that happened before this call.
    #[must_use]
    pub fn events(&self, wanted: &Wanted) -> Vec<Event> {
        self.0
            .events
            .get()
            .map(|events| events.read(wanted))
            .unwrap_or_default()
    }

    /// Events from now on. The queue ends if the reader is too slow, and when the process ends.
    #[must_use]
    pub fn follow(&self) -> Receiver<Arc<Event>> {
        self.0
            .events
            .get()
            .map_or_else(|| sync_channel(0).1, Events::follow)
    }

    /// Ends all followed streams: the process is about to end.
    pub fn end_following(&self) {
        if let Some(events) = self.0.events.get() {
            events.end_following();
        }
    }

    /// Waits until all queued lines are written, for a second or two at most: the process is about
    /// to end.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let lines = self.0.lock().lines.clone();
        if lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIME);
        }
        if let Some(events) = self.0.events.get() {
            events.flush();
        }
    }
}

impl Queue {
    /// Numbers and queues a line under one lock, so that lines stand in the order of their numbers.
    /// Returns whether there was room.
    fn take(&mut self, line: Line, events: Option<&Events>) -> bool {
        let share = line.share();
        let event = self.number(line, events);
        let waiting = self.waiting.entry(share).or_default();
        let has_room =
            *waiting < share.most() && self.lines.try_send(Message::Line(event, share)).is_ok();
        *waiting = waiting.saturating_add(usize::from(has_room));
        has_room
    }

    /// Makes a line an event and passes it on to be stored, even if the log's queue is full.
    fn number(&mut self, line: Line, events: Option<&Events>) -> Arc<Event> {
        self.number = self.number.saturating_add(1);
        let share = line.share();
        let event = Arc::new(line.at(clock::now(), self.number));
        if let Some(events) = events {
            events.tell(Arc::clone(&event), share);
        }
        event
    }

    fn is_filling(&self) -> bool {
        let mut shares = self.waiting.iter();
        shares.any(|(share, waiting)| *waiting >= share.half())
    }

    /// A line waits no more.
    fn begin_to_write(&mut self, share: Share) {
        let waiting = self.waiting.entry(share).or_default();
        *waiting = waiting.saturating_sub(1);
    }
}

impl Shared {
    /// Queues a line. Returns whether there was room.
    fn take(&self, line: Line) -> bool {
        let share = line.share();
        let mut queue = self.lock();
        let has_room = queue.take(line, self.events.get());
        if has_room && queue.waiting.get(&share) == Some(&share.half()) {
            self.filling.notify_one();
        }
        has_room
    }

    /// Waits so long, or until a share's part of the queue is half full. Returns whether that was so.
    fn rest(&self, longest: Duration) -> bool {
        self.filling
            .wait_timeout_while(self.lock(), longest, |queue| !queue.is_filling())
            .is_ok_and(|(_, waited)| !waited.timed_out())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held cannot leave it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn format(&self) -> Format {
        if self.json.load(Ordering::Relaxed) {
            Format::Json
        } else {
            Format::Text
        }
    }
}

fn write_all(messages: &Receiver<Message>, mut sink: Sink, shared: &Shared) {
    let mut troubles = Troubles::default();
    while let Ok(first) = messages.recv() {
        for message in iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Line(event, share) => {
                    shared.lock().begin_to_write(share);
                    sink.write(&event, shared.format());
                }
                Message::Flush(done) => drop(done.try_send(())),
            }
            for line in troubles.since_last_time(shared) {
                let event = shared.lock().number(line, shared.events.get());
                sink.write(&event, shared.format());
            }
        }
        shared.rest(REST);
    }
}

/// The reported troubles of the log itself.
#[derive(Default)]
struct Troubles {
    lines_lost: u64,
    events_fail: bool,
    files_gone: u64,
}

impl Troubles {
    /// Lines about new troubles: lost lines, the first event that cannot be written, and a file of
    /// events that another program has taken away.
    fn since_last_time(&mut self, shared: &Shared) -> Vec<Line> {
        let lost = shared.lost.load(Ordering::Relaxed);
        let lines = lost.saturating_sub(std::mem::replace(&mut self.lines_lost, lost));
        let fail = shared.events.get().is_some_and(Events::are_failing);
        let begins = !std::mem::replace(&mut self.events_fail, fail) && fail;
        let lost = (lines > 0).then(|| Line::new("audit_lost").with("lines", lines).error());
        let gone = shared.events.get().map_or(0, Events::gone);
        let was_gone = std::mem::replace(&mut self.files_gone, gone);
        lost.into_iter()
            .chain(begins.then(|| Line::new("events_not_saved").error()))
            .chain((gone > was_gone).then(|| Line::new("events_removed").warning()))
            .collect()
    }
}

const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Lines that come meanwhile wake no thread. A kill loses them.
const REST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const A_MINUTE: Duration = Duration::from_secs(60);

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
            audit.obey(AuditSettings {
                delivery,
                ..AuditSettings::default()
            });
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
    fn no_share_of_a_stuck_log_fills_the_queue_for_callers_with_more_rights() {
        let (audit, messages) = Audit::queued();
        audit.obey(AuditSettings {
            delivery: Delivery::Required,
            ..AuditSettings::default()
        });
        let shares = [
            Share::Stranger,
            Share::Own,
            Share::Refused,
            Share::RefusedByVerifier,
            Share::Verifier,
            Share::Staff,
        ];
        for share in shares {
            let line = || Line::new("verify").of(share).of(Share::Root);
            let written = (0..2 * QUEUE).filter(|_| audit.require(line()).is_ok());
            assert_eq!(written.count(), share.most(), "{share:?}");
        }
        let all: usize = shares.into_iter().map(Share::most).sum();
        let kept = (0..QUEUE).filter(|_| audit.require(Line::new("verify")).is_ok());
        assert_eq!(kept.count(), QUEUE - all, "root's own part");
        let Ok(Message::Line(_, share)) = messages.recv() else {
            panic!("a line")
        };
        audit.0.lock().begin_to_write(share);
        let stranger = || audit.require(Line::new("verify").of(Share::Stranger));
        assert_eq!([stranger(), stranger()], [Ok(()), Err(Unwritten)]);
    }

    #[test]
    fn a_part_of_the_queue_that_fills_up_ends_the_rest_of_the_writing_thread() {
        for share in [Share::Staff, Share::Stranger, Share::Root] {
            let (audit, messages) = Audit::queued();
            let lines = |count: usize| {
                (0..count).for_each(|_| audit.write(Line::new("verify").of(share)));
            };
            lines(share.half() - 1);
            assert!(!audit.0.rest(Duration::ZERO), "{share:?}: there is room");
            std::thread::scope(|scope| {
                let resting = scope.spawn(|| audit.0.rest(A_MINUTE));
                lines(1);
                assert!(resting.join().unwrap(), "{share:?}");
            });
            drop(messages);
        }
    }

    #[test]
    fn lines_are_events_also_while_the_log_is_stuck_and_numbers_go_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        for run in 0..2 {
            let (audit, _stuck) = Audit::queued();
            audit.remember(&store).unwrap();
            for _ in 0..10 {
                audit.write(Line::new("verify"));
            }
            let numbers: Vec<u64> = audit
                .events(&Wanted {
                    limit: 99,
                    ..Wanted::default()
                })
                .iter()
                .map(|e| e.number)
                .collect();
            assert_eq!(numbers, (1..=10 * (run + 1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn troubles_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let (audit, messages) = Audit::queued();
        audit.remember(&folder.path().join("store")).unwrap();
        drop((folder, messages));
        let mut troubles = Troubles::default();
        let mut told = |audit: &Audit| {
            let lines = troubles.since_last_time(&audit.0);
            lines
                .into_iter()
                .map(|line| line.at(0, 0).text())
                .collect::<Vec<_>>()
        };
        assert!(told(&audit).is_empty());
        (0..3).for_each(|_| audit.write(Line::new("verify")));
        audit.flush();
        assert_eq!(
            told(&audit),
            ["event=audit_lost lines=3", "event=events_not_saved"]
        );
        assert!(told(&audit).is_empty());
    }
}
