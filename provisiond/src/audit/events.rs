//! The events behind `totpctl log`: stores the latest ones in files, and passes new ones on to
//! callers that follow.
//!
//! Has a thread and a queue of its own, so that neither a stuck disk nor a slow reader delays a
//! login or the log. It rests for a moment after each batch, so that many logins a second wake it
//! seldom; whoever reads waits for the rest of that moment.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::wire::event::Event;

use super::Share;
use super::kept::{Files, Kept, Wanted};

/// The handle to the events.
pub(super) struct Events {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    followers: Mutex<Followers>,
    lost: AtomicU64,
    failing: AtomicBool,
    gone: AtomicU64,
}

enum Message {
    Event(Arc<Event>, Share),
    Flush(SyncSender<()>),
}

/// The callers that follow new events.
#[derive(Default)]
struct Followers {
    queues: Vec<SyncSender<Arc<Event>>>,
    /// The process is about to end: no caller can begin to follow.
    ended: bool,
}

impl Events {
    /// Starts the thread that stores events, in files beside the store at `store`.
    pub(super) fn start(store: &Path) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let files = Files::beside(store);
        let shared = Arc::new(Shared {
            files: files.clone(),
            followers: Mutex::default(),
            lost: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            gone: AtomicU64::new(0),
        });
        let events = Self {
            queue,
            shared: Arc::clone(&shared),
        };
        let remember = move || remember_all(&messages, Kept::new(files), &shared);
        std::thread::Builder::new()
            .name("events".into())
            .spawn(remember)?;
        Ok(events)
    }

    /// The number of the latest stored event.
    pub(super) fn last_number(&self) -> u64 {
        self.shared.files.last_number()
    }

    /// Queues an event; never waits.
    pub(super) fn tell(&self, event: Arc<Event>, share: Share) {
        if self.queue.try_send(Message::Event(event, share)).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Whether the latest event could not be written.
    pub(super) fn are_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// How many files of events another program has removed or moved since the start.
    pub(super) fn gone(&self) -> u64 {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// The wanted events that happened before this call.
    pub(super) fn read(&self, wanted: &Wanted) -> Vec<Event> {
        self.flush();
        self.shared.files.read(wanted)
    }

    /// Waits until all queued events are written, for a second at most.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIME);
        }
    }

    /// Events from now on. A follower that is too slow is dropped: its queue ends.
    pub(super) fn follow(&self) -> Receiver<Arc<Event>> {
        let (queue, events) = sync_channel(FOLLOWER_QUEUE);
        let mut followers = self.shared.followers();
        if !followers.ended {
            followers.queues.push(queue);
        }
        events
    }

    /// Drops all followers.
    pub(super) fn end_following(&self) {
        let mut followers = self.shared.followers();
        followers.ended = true;
        followers.queues.clear();
    }
}

impl Shared {
    fn followers(&self) -> MutexGuard<'_, Followers> {
        // A panic while the lock is held cannot leave the list half changed.
        self.followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the events of a batch, then hands them on.
    fn remember(&self, kept: &mut Kept, batch: &mut Vec<Arc<Event>>) {
        if batch.is_empty() {
            return;
        }
        let lost = kept.write();
        self.failing.store(lost > 0, Ordering::Relaxed);
        self.gone.store(kept.gone(), Ordering::Relaxed);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        for event in batch.drain(..) {
            self.hand_on(&event);
        }
    }

    fn hand_on(&self, event: &Arc<Event>) {
        self.followers()
            .queues
            .retain(|queue| queue.try_send(Arc::clone(event)).is_ok());
    }
}

fn remember_all(messages: &Receiver<Message>, mut kept: Kept, shared: &Shared) {
    let mut batch = Vec::new();
    while let Ok(first) = messages.recv() {
        for message in std::iter::once(first)
            .chain(messages.try_iter())
            .take(QUEUE)
        {
            match message {
                Message::Event(event, share) => {
                    kept.add(&event, share);
                    batch.push(event);
                }
                Message::Flush(done) => {
                    shared.remember(&mut kept, &mut batch);
                    let _ = done.try_send(());
                }
            }
        }
        shared.remember(&mut kept, &mut batch);
        std::thread::sleep(REST);
    }
}

/// A wake-up for each event, and a look whether its file is still there, would cost a login more than
/// what is written. A killed daemon loses so much of its events, and no line of its log.
const REST: Duration = Duration::from_millis(20);
/// Events that may wait.
const QUEUE: usize = 1024;
/// Events that may wait for one follower: a batch has room.
const FOLLOWER_QUEUE: usize = QUEUE;
const FLUSH_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Line;

    fn event(number: u64) -> Arc<Event> {
        Arc::new(Line::new("verify").with("user", "alice").at(1000, number))
    }

    fn started() -> (tempfile::TempDir, Events) {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::start(&folder.path().join("store")).unwrap();
        (folder, events)
    }

    fn numbers(events: &Events) -> Vec<u64> {
        events
            .read(&Wanted {
                limit: 99,
                ..Wanted::default()
            })
            .iter()
            .map(|event| event.number)
            .collect()
    }

    #[test]
    fn what_was_told_before_is_read_and_what_comes_after_is_followed() {
        let (_folder, events) = started();
        (1..=3).for_each(|n| events.tell(event(n), Share::Root));
        assert_eq!(numbers(&events), [1, 2, 3]);
        let followed = events.follow();
        (4..=5).for_each(|n| events.tell(event(n), Share::Root));
        let told: Vec<u64> = (0..2).map(|_| followed.recv().unwrap().number).collect();
        assert_eq!((told, events.last_number()), (vec![4, 5], 5));
    }

    #[test]
    fn who_does_not_read_along_is_dropped_and_holds_nobody_up() {
        let (_folder, events) = started();
        let (slow, other) = (events.follow(), events.follow());
        let many = FOLLOWER_QUEUE as u64 + 1;
        for n in 1..=many {
            events.tell(event(n), Share::Root);
            assert_eq!(other.recv().unwrap().number, n);
        }
        assert_eq!(slow.iter().count(), FOLLOWER_QUEUE);
        assert_eq!(numbers(&events).last(), Some(&many));
    }

    #[test]
    fn at_the_end_nobody_reads_along_any_more() {
        let (_folder, events) = started();
        let followed = events.follow();
        events.end_following();
        assert!(followed.recv().is_err() && events.follow().recv().is_err());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_still_followed() {
        let (folder, events) = started();
        drop(folder);
        let followed = events.follow();
        events.tell(event(1), Share::Root);
        assert_eq!(followed.recv().unwrap().number, 1);
        assert_eq!((events.lost(), events.are_failing()), (1, true));
    }
}
