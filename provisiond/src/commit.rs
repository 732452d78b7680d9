//! Group commit: one thread is the only writer. It takes what has queued up, has it made durable in one go, and wakes
//! everybody who waits for it.
//!
//! Knows no store and no record. What fails once is never tried again: after a failed sync nobody can say what is on
//! the disk, so every waiter and every later caller is told [`Unavailable`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::{Outcome, Unavailable};

/// What the one thread does with the updates that it is handed.
pub(crate) trait Apply: Send + 'static {
    /// One caller's change.
    type Update: Send + 'static;

    /// How much an update weighs against [`GROUP_BYTES`].
    fn bytes(update: &Self::Update) -> usize;

    /// Applies the updates in their order, each judged against those before it, and returns when all are durable: one
    /// answer each. The error is a sentence, after which nothing is applied any more.
    fn apply(&mut self, group: Vec<Self::Update>) -> Result<Vec<Answer>, String>;

    /// When [`Apply::chore`] is to be called next; `None` while there is nothing to do, so that nothing wakes up.
    fn chore_due(&self) -> Option<Instant>;

    /// What has to be done now and then, and before the end.
    fn chore(&mut self) -> Result<(), String>;
}

/// What a caller is told.
pub(crate) type Answer = Result<Outcome, Unavailable>;

/// The callers' end of the queue.
pub(crate) struct Committer<U> {
    shared: Arc<Shared<U>>,
}

impl<U: Send + 'static> Committer<U> {
    /// Starts the thread. `broken` says whether the store underneath has failed without a word; `fatal` hears, once,
    /// the sentence with which it all ended.
    pub(crate) fn start<A: Apply<Update = U>>(
        apply: A,
        broken: impl Fn() -> bool + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(Box::new(broken), Box::new(fatal)));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("commit".into()).spawn(move || {
            run(apply, &theirs);
            theirs.end();
        })?;
        Ok(Self { shared })
    }

    /// Queues the update and waits for its outcome until the deadline. With a deadline that has passed already, or a
    /// queue that is full until then, nothing is queued and the store is unavailable.
    pub(crate) fn submit(&self, update: U, deadline: Instant) -> Answer {
        let (reply, answer) = sync_channel(1);
        self.shared.enqueue(Request { update, reply }, deadline)?;
        match answer.recv_timeout(left_until(deadline)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(Unavailable),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.suspect();
                Ok(Outcome::Unknown)
            }
        }
    }

    /// Whether updates can still succeed.
    pub(crate) fn works(&self) -> bool {
        !self.failed() && !self.shared.closed.load(Ordering::SeqCst)
    }

    /// Whether it ended with a failure.
    pub(crate) fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::SeqCst)
    }

    /// Ends it all, with the sentence for `fatal`.
    pub(crate) fn fail(&self, why: &str) {
        self.shared.fail(why, Vec::new());
    }

    /// Lets nobody in any more, waits until everything queued is durable and the chores are done.
    pub(crate) fn close(&self) {
        let queue = self.shared.lock();
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.wake_all();
        let wait = self.shared.ended.wait_timeout_while(queue, CLOSE_PATIENCE, |queue| !queue.ended);
        let ended = wait.unwrap_or_else(PoisonError::into_inner).0.ended;
        if !ended {
            self.fail("the store could not be closed in time: its disk does not answer");
        }
    }
}

/// What the callers and the thread share.
struct Shared<U> {
    queue: Mutex<Queue<U>>,
    filled: Condvar,
    room: Condvar,
    ended: Condvar,
    closed: AtomicBool,
    failed: AtomicBool,
    broken: Box<dyn Fn() -> bool + Send + Sync>,
    fatal: Box<dyn Fn(&str) + Send + Sync>,
}

struct Queue<U> {
    waiting: VecDeque<Request<U>>,
    busy_since: Option<Instant>,
    ended: bool,
}

struct Request<U> {
    update: U,
    reply: Reply,
}

/// Dropping it unanswered tells its caller that the store is unavailable.
type Reply = SyncSender<Answer>;

/// What the thread does next.
enum Turn<U> {
    Group(Vec<Request<U>>),
    Chore,
    Over,
}

impl<U> Shared<U> {
    fn new(broken: Box<dyn Fn() -> bool + Send + Sync>, fatal: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        let queue = Queue { waiting: VecDeque::new(), busy_since: None, ended: false };
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

    fn enqueue(&self, request: Request<U>, deadline: Instant) -> Result<(), Unavailable> {
        let mut queue = self.lock();
        loop {
            let left = left_until(deadline);
            if self.over() || left.is_zero() {
                return Err(Unavailable);
            }
            if queue.waiting.len() < QUEUE {
                queue.waiting.push_back(request);
                drop(queue);
                self.filled.notify_one();
                return Ok(());
            }
            queue = self.room.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread's next turn. Sleeps for as long as there is none.
    fn next<A: Apply<Update = U>>(&self, chore_due: Option<Instant>) -> Turn<U> {
        let mut queue = self.lock();
        queue.busy_since = None;
        loop {
            let left = chore_due.map(left_until);
            if self.failed.load(Ordering::SeqCst) {
                return Turn::Over;
            }
            if left.is_some_and(|left| left.is_zero()) {
                queue.busy_since = Some(Instant::now());
                return Turn::Chore;
            }
            if !queue.waiting.is_empty() {
                queue.busy_since = Some(Instant::now());
                let group = take_group::<A>(&mut queue.waiting);
                self.room.notify_all();
                return Turn::Group(group);
            }
            if self.closed.load(Ordering::SeqCst) {
                return Turn::Over;
            }
            queue = match left {
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// A caller waited in vain: is this a slow disk, or a store that will never answer?
    fn suspect(&self) {
        let busy = self.lock().busy_since.map(|since| since.elapsed());
        if (self.broken)() {
            self.fail("the store failed: its last write did not succeed; check the disk", Vec::new());
        } else if busy.is_some_and(|busy| busy > STUCK) {
            self.fail("the store failed: its disk does not answer; check the disk", Vec::new());
        }
    }

    /// Everybody is told before `fatal` is, because that may end the process.
    fn fail(&self, why: &str, unanswered: Vec<Reply>) {
        let first = !self.failed.swap(true, Ordering::SeqCst);
        drop(unanswered);
        self.lock().waiting.clear();
        self.wake_all();
        if first {
            (self.fatal)(why);
        }
    }

    fn over(&self) -> bool {
        self.failed.load(Ordering::SeqCst) || self.closed.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.lock().ended = true;
        self.ended.notify_all();
    }

    fn wake_all(&self) {
        self.filled.notify_all();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue<U>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_group<A: Apply>(waiting: &mut VecDeque<Request<A::Update>>) -> Vec<Request<A::Update>> {
    let mut bytes = 0usize;
    let fits = |request: &&Request<A::Update>| {
        bytes = bytes.saturating_add(A::bytes(&request.update));
        bytes <= GROUP_BYTES
    };
    let count = waiting.iter().take(GROUP).take_while(fits).count().max(1);
    waiting.drain(..count).collect()
}

fn run<A: Apply>(mut apply: A, shared: &Shared<A::Update>) {
    loop {
        let done = match shared.next::<A>(apply.chore_due()) {
            Turn::Group(group) => commit(&mut apply, shared, group),
            Turn::Chore => chore(&mut apply, shared),
            Turn::Over => break,
        };
        if done.is_err() {
            return;
        }
    }
    if !shared.failed.load(Ordering::SeqCst) && apply.chore_due().is_some() {
        _ = chore(&mut apply, shared);
    }
}

fn commit<A: Apply>(
    apply: &mut A,
    shared: &Shared<A::Update>,
    group: Vec<Request<A::Update>>,
) -> Result<(), Unavailable> {
    let (updates, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.update, request.reply)).unzip();
    let answers = match caught(|| apply.apply(updates)) {
        // Whoever gave it up in the meantime has told the callers so.
        Ok(_) if shared.failed.load(Ordering::SeqCst) => return Err(Unavailable),
        Ok(answers) => answers,
        Err(why) => {
            shared.fail(&why, replies);
            return Err(Unavailable);
        }
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller that left at its deadline is no error: the commit stands.
        _ = reply.send(answer);
    }
    Ok(())
}

fn chore<A: Apply>(apply: &mut A, shared: &Shared<A::Update>) -> Result<(), Unavailable> {
    caught(|| apply.chore()).map_err(|why| {
        shared.fail(&why, Vec::new());
        Unavailable
    })
}

fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let panicked = |_| Err("the store failed: its library panicked; check the disk".to_owned());
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// More callers than the daemon has connections.
const QUEUE: usize = 512;
/// The largest group, in updates and in bytes. sled may overwrite a segment of its log (512 KiB) after it has begun two
/// more; what a group writes, with the pages that it makes sled rewrite, stays below one, so that nothing is
/// overwritten whose successor has not been synced.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 64 * 1024;
/// A group that takes longer than this has met a disk, or a library, that will not answer any more.
const STUCK: Duration = Duration::from_secs(10);
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
