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
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{JoinHandle, yield_now};

    use super::*;

    const WORD: Outcome = Outcome::Conflict;

    /// Shows each group that it is handed, then does as it is told.
    struct Puppet {
        groups: Sender<Vec<u32>>,
        orders: Receiver<Order>,
        due: Option<Instant>,
        chores: Sender<()>,
    }

    enum Order {
        Succeed,
        Fail,
        Panic,
    }

    impl Apply for Puppet {
        type Update = u32;

        fn bytes(update: &u32) -> usize {
            usize::try_from(*update).unwrap()
        }

        fn apply(&mut self, group: Vec<u32>) -> Result<Vec<Answer>, String> {
            let answers = vec![Ok(WORD); group.len()];
            self.groups.send(group).unwrap();
            match self.orders.recv().unwrap() {
                Order::Succeed => Ok(answers),
                Order::Fail => Err("it failed".into()),
                Order::Panic => panic!("as ordered"),
            }
        }

        fn chore_due(&self) -> Option<Instant> {
            self.due
        }

        fn chore(&mut self) -> Result<(), String> {
            self.due = None;
            self.chores.send(()).map_err(|e| e.to_string())
        }
    }

    struct Stage {
        committer: Arc<Committer<u32>>,
        groups: Receiver<Vec<u32>>,
        orders: Sender<Order>,
        chores: Receiver<()>,
        broken: Arc<AtomicBool>,
        fatal: Receiver<String>,
    }

    fn stage(due: Option<Instant>) -> Stage {
        let (groups, seen_groups) = channel();
        let (orders, taken_orders) = channel();
        let (chores, seen_chores) = channel();
        let (fatal, seen_fatal) = channel();
        let (broken, fatal) = (Arc::new(AtomicBool::new(false)), Mutex::new(fatal));
        let puppet = Puppet { groups, orders: taken_orders, due, chores };
        let seen_broken = Arc::clone(&broken);
        let committer = Committer::start(
            puppet,
            move || seen_broken.load(Ordering::SeqCst),
            move |why| fatal.lock().unwrap().send(why.to_owned()).unwrap(),
        );
        let committer = Arc::new(committer.unwrap());
        Stage { committer, groups: seen_groups, orders, chores: seen_chores, broken, fatal: seen_fatal }
    }

    impl Stage {
        fn submits(&self, update: u32) -> JoinHandle<Answer> {
            let committer = Arc::clone(&self.committer);
            std::thread::spawn(move || committer.submit(update, soon()))
        }

        /// Callers 1 to `count` wait in the queue, in this order.
        fn queue_up(&self, count: u32) -> Vec<JoinHandle<Answer>> {
            let join = |update| {
                let caller = self.submits(update);
                while self.committer.shared.lock().waiting.len() < update as usize {
                    yield_now();
                }
                caller
            };
            (1..=count).map(join).collect()
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn answers(callers: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    }

    #[test]
    fn what_queues_up_while_one_group_is_written_is_the_next_group() {
        let stage = stage(None);
        let first = stage.submits(0);
        assert_eq!(stage.groups.recv().unwrap(), [0]);
        let others = stage.queue_up(5);
        stage.orders.send(Order::Succeed).unwrap();
        assert_eq!(stage.groups.recv().unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(first.join().unwrap(), Ok(WORD));
        assert!(others.iter().all(|caller| !caller.is_finished()), "nobody is answered before the group is durable");
        stage.orders.send(Order::Succeed).unwrap();
        assert_eq!(answers(others), [Ok(WORD); 5]);
    }

    #[test]
    fn a_group_is_bounded_in_updates_and_in_bytes() {
        let groups = |updates: Vec<u32>| {
            let request = |update| Request { update, reply: sync_channel(1).0 };
            let mut waiting: VecDeque<_> = updates.into_iter().map(request).collect();
            let mut sizes = Vec::new();
            while !waiting.is_empty() {
                sizes.push(take_group::<Puppet>(&mut waiting).len());
            }
            sizes
        };
        assert_eq!(groups(vec![1; GROUP * 2 + 1]), [GROUP, GROUP, 1]);
        let quarter = u32::try_from(GROUP_BYTES / 4).unwrap();
        assert_eq!(groups(vec![quarter; 9]), [4, 4, 1]);
        assert_eq!(groups(vec![u32::MAX, u32::MAX, 1, 1]), [1, 1, 2], "one that is too large goes alone");
    }

    #[test]
    fn a_caller_leaves_at_its_deadline_and_the_commit_stands() {
        let stage = stage(None);
        let answer = stage.committer.submit(7, Instant::now() + Duration::from_millis(20));
        assert_eq!(answer, Ok(Outcome::Unknown));
        assert_eq!(stage.groups.recv().unwrap(), [7]);
        stage.orders.send(Order::Succeed).unwrap();
        stage.orders.send(Order::Succeed).unwrap();
        assert_eq!(stage.committer.submit(8, soon()), Ok(WORD));
        assert!(stage.fatal.try_recv().is_err());
    }

    #[test]
    fn a_full_queue_and_a_deadline_that_has_passed_queue_nothing() {
        let stage = stage(None);
        let first = stage.submits(0);
        stage.groups.recv().unwrap();
        assert_eq!(stage.committer.submit(1, Instant::now()), Err(Unavailable));
        let filler = || Request { update: 0, reply: sync_channel(1).0 };
        stage.committer.shared.lock().waiting.extend(std::iter::repeat_with(filler).take(QUEUE));
        assert_eq!(stage.committer.submit(1, Instant::now() + Duration::from_millis(20)), Err(Unavailable));
        let patient = stage.submits(2);
        (0..=QUEUE / GROUP + 1).for_each(|_| stage.orders.send(Order::Succeed).unwrap());
        assert_eq!((first.join().unwrap(), patient.join().unwrap()), (Ok(WORD), Ok(WORD)));
        assert!(stage.groups.try_iter().flatten().all(|update| update != 1));
    }

    #[test]
    fn a_failure_is_told_to_everybody_and_is_for_ever() {
        for order in [Order::Fail, Order::Panic] {
            let stage = stage(None);
            let first = stage.submits(0);
            stage.groups.recv().unwrap();
            let others = stage.queue_up(3);
            stage.orders.send(order).unwrap();
            assert_eq!(first.join().unwrap(), Err(Unavailable));
            assert_eq!(answers(others), [Err(Unavailable); 3]);
            assert_eq!(stage.committer.submit(9, soon()), Err(Unavailable));
            assert!(!stage.committer.works() && stage.committer.failed());
            stage.committer.close();
            assert_eq!(stage.fatal.iter().take(1).count(), 1);
            assert!(stage.fatal.try_recv().is_err(), "said once");
            assert!(stage.groups.try_recv().is_err(), "nothing was tried again");
        }
    }

    #[test]
    fn whoever_waits_in_vain_finds_out_that_the_store_failed_without_a_word() {
        let stage = stage(None);
        stage.broken.store(true, Ordering::SeqCst);
        let patient = stage.submits(1);
        stage.groups.recv().unwrap();
        let answer = stage.committer.submit(2, Instant::now() + Duration::from_millis(20));
        assert_eq!(answer, Ok(Outcome::Unknown));
        assert!(stage.fatal.recv().unwrap().contains("did not succeed"));
        // What the thread still brings back is not believed.
        stage.orders.send(Order::Succeed).unwrap();
        assert_eq!(patient.join().unwrap(), Err(Unavailable));
    }

    #[test]
    fn a_disk_that_never_answers_is_given_up() {
        let stage = stage(None);
        let patient = stage.submits(1);
        stage.groups.recv().unwrap();
        stage.committer.shared.suspect();
        assert!(stage.committer.works(), "a slow disk is no failure");
        stage.committer.shared.lock().busy_since = Instant::now().checked_sub(STUCK + Duration::from_millis(1));
        stage.committer.shared.suspect();
        assert!(stage.fatal.recv().unwrap().contains("does not answer"));
        stage.orders.send(Order::Succeed).unwrap();
        assert_eq!(patient.join().unwrap(), Err(Unavailable));
    }

    #[test]
    fn closing_commits_what_is_queued_and_lets_nobody_in() {
        let stage = stage(Some(soon()));
        let first = stage.submits(0);
        stage.groups.recv().unwrap();
        let others = stage.queue_up(3);
        let closer = std::thread::spawn({
            let committer = Arc::clone(&stage.committer);
            move || committer.close()
        });
        while stage.committer.works() {
            yield_now();
        }
        assert_eq!(stage.committer.submit(9, soon()), Err(Unavailable));
        (0..2).for_each(|_| stage.orders.send(Order::Succeed).unwrap());
        closer.join().unwrap();
        assert_eq!((first.join().unwrap(), answers(others)), (Ok(WORD), vec![Ok(WORD); 3]));
        assert_eq!(stage.chores.try_iter().count(), 1, "the chore is done before the end, due or not");
        assert!(!stage.committer.failed() && stage.fatal.try_recv().is_err());
    }

    #[test]
    fn a_chore_is_done_when_it_is_due_and_once() {
        let stage = stage(Some(Instant::now() + Duration::from_millis(20)));
        stage.chores.recv().unwrap();
        stage.committer.close();
        assert!(stage.chores.try_recv().is_err());
    }
}
