//! The queue between the callers and the committer thread: waiting updates, size limits of a group,
//! and detection of a failed or stuck disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, Apply};
use crate::store::Unavailable;

/// The state that the callers and the committer thread share.
pub(super) struct Shared<U> {
    queue: Mutex<Queue<U>>,
    filled: Condvar,
    room: Condvar,
    ended: Condvar,
    closed: AtomicBool,
    failed: AtomicBool,
    broken: Box<dyn Fn() -> bool + Send + Sync>,
    fatal: Box<dyn Fn(&str) + Send + Sync>,
}

pub(super) struct Queue<U> {
    pub(super) waiting: VecDeque<Request<U>>,
    pub(super) busy_since: Option<Instant>,
    /// Callers that wait for room.
    outside: usize,
    ended: bool,
}

pub(super) struct Request<U> {
    pub(super) update: U,
    /// If it is dropped unanswered, the caller gets [`Unavailable`].
    pub(super) reply: Reply,
}

type Reply = SyncSender<Answer>;

/// The next work of the committer thread.
pub(super) enum Turn<U> {
    Group(Vec<Request<U>>),
    Chore,
    Over,
}

impl<U> Shared<U> {
    pub(super) fn new(
        broken: Box<dyn Fn() -> bool + Send + Sync>,
        fatal: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            busy_since: None,
            outside: 0,
            ended: false,
        };
        Self {
            queue: Mutex::new(queue),
            filled: Condvar::new(),
            room: Condvar::new(),
            ended: Condvar::new(),
            closed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            broken,
            fatal,
        }
    }

    /// Queues a request, or waits for room until the deadline.
    pub(super) fn enqueue(
        &self,
        request: Request<U>,
        deadline: Instant,
    ) -> Result<(), Unavailable> {
        let mut queue = self.lock();
        loop {
            let left = left_until(deadline);
            if self.is_over() || left.is_zero() {
                return Err(Unavailable);
            }
            if queue.waiting.len() < QUEUE {
                queue.waiting.push_back(request);
                drop(queue);
                self.filled.notify_one();
                return Ok(());
            }
            queue.outside = queue.outside.saturating_add(1);
            let waited = self.room.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.outside = queue.outside.saturating_sub(1);
        }
    }

    /// The thread's next work. Sleeps until there is any.
    pub(super) fn next<A: Apply<Update = U>>(&self, chore_due: Option<Instant>) -> Turn<U> {
        let mut queue = self.lock();
        queue.busy_since = None;
        loop {
            let left = chore_due.map(left_until);
            if self.has_failed() {
                return Turn::Over;
            }
            if left.is_some_and(|left| left.is_zero()) {
                queue.busy_since = Some(Instant::now());
                return Turn::Chore;
            }
            if !queue.waiting.is_empty() {
                queue.busy_since = Some(Instant::now());
                let group = take_group::<A>(&mut queue.waiting);
                // Without any, it saves a system call for each group.
                if queue.outside > 0 {
                    self.room.notify_all();
                }
                return Turn::Group(group);
            }
            if self.closed.load(Ordering::SeqCst) {
                return Turn::Over;
            }
            queue = match left {
                None => self
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.filled
                        .wait_timeout(queue, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// A caller's deadline has passed: finds out whether the disk is only slow, or the store has
    /// failed.
    pub(super) fn suspect(&self) {
        let busy = self.lock().busy_since.map(|since| since.elapsed());
        if (self.broken)() {
            self.fail(
                "the store failed: its last write did not succeed; check the disk",
                Vec::new(),
            );
        } else if busy.is_some_and(|busy| busy > STUCK) {
            self.fail(
                "the store failed: its disk does not answer; check the disk",
                Vec::new(),
            );
        }
    }

    /// Answers all callers before it calls `fatal`, which may end the process.
    pub(super) fn fail(&self, why: &str, unanswered: Vec<Reply>) {
        let first = !self.failed.swap(true, Ordering::SeqCst);
        drop(unanswered);
        self.lock().waiting.clear();
        self.wake_all();
        if first {
            (self.fatal)(why);
        }
    }

    /// Accepts no more updates, and waits until the thread has ended.
    pub(super) fn close(&self) {
        let queue = self.lock();
        self.closed.store(true, Ordering::SeqCst);
        self.wake_all();
        let wait = self
            .ended
            .wait_timeout_while(queue, CLOSE_TIMEOUT, |queue| !queue.ended);
        let ended = wait.unwrap_or_else(PoisonError::into_inner).0.ended;
        if !ended {
            self.fail(
                "the store could not be closed in time: its disk does not answer",
                Vec::new(),
            );
        }
    }

    /// Whether the committer ended with a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Whether updates are no longer accepted.
    pub(super) fn is_over(&self) -> bool {
        self.has_failed() || self.closed.load(Ordering::SeqCst)
    }

    /// Marks the thread as ended.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.ended.notify_all();
    }

    fn wake_all(&self) {
        self.filled.notify_all();
        self.room.notify_all();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<U>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn take_group<A: Apply>(
    waiting: &mut VecDeque<Request<A::Update>>,
) -> Vec<Request<A::Update>> {
    let mut bytes = 0usize;
    let fits = |request: &&Request<A::Update>| {
        bytes = bytes.saturating_add(A::bytes(&request.update));
        bytes <= GROUP_BYTES
    };
    let count = waiting.iter().take(GROUP).take_while(fits).count().max(1);
    waiting.drain(..count).collect()
}

pub(super) fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Updates that may wait: more than the daemon has connections.
pub(super) const QUEUE: usize = 512;
/// The largest group, in updates and in bytes. sled may overwrite a segment of its log (512 KiB)
/// after it has begun two more. A group, with the pages that sled rewrites for it, stays below one
/// segment, so that no data is overwritten before the data that replaces it is synced.
pub(crate) const GROUP: usize = 64;
pub(crate) const GROUP_BYTES: usize = 64 * 1024;
/// If a group takes longer than this, the disk or the library is stuck.
pub(super) const STUCK: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
