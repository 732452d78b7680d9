//! Tests of the group commit: order, deadlines, a store that fails.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, yield_now};
use std::time::Duration;

use super::queue::{GROUP, GROUP_BYTES, QUEUE, STUCK, take_group};
use super::*;

const WORD: Outcome = Outcome::Conflict;

/// Reports each group to the test, then obeys the test's order.
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
    let puppet = Puppet {
        groups,
        orders: taken_orders,
        due,
        chores,
    };
    let seen_broken = Arc::clone(&broken);
    let committer = Committer::start(
        puppet,
        move || seen_broken.load(Ordering::SeqCst),
        move |why| fatal.lock().unwrap().send(why.to_owned()).unwrap(),
    );
    let committer = Arc::new(committer.unwrap());
    Stage {
        committer,
        groups: seen_groups,
        orders,
        chores: seen_chores,
        broken,
        fatal: seen_fatal,
    }
}

impl Stage {
    fn submits(&self, update: u32) -> JoinHandle<Answer> {
        let committer = Arc::clone(&self.committer);
        std::thread::spawn(move || committer.submit(update, soon()))
    }

    /// Queues the updates of callers 1 to `count`, in this order.
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
    callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .collect()
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
    assert!(
        others.iter().all(|caller| !caller.is_finished()),
        "no caller is answered before the group is durable"
    );
    stage.orders.send(Order::Succeed).unwrap();
    assert_eq!(answers(others), [Ok(WORD); 5]);
}

#[test]
fn a_group_is_bounded_in_updates_and_in_bytes() {
    let groups = |updates: Vec<u32>| {
        let request = |update| Request {
            update,
            reply: sync_channel(1).0,
        };
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
    assert_eq!(
        groups(vec![u32::MAX, u32::MAX, 1, 1]),
        [1, 1, 2],
        "one that is too large goes alone"
    );
}

#[test]
fn a_caller_leaves_at_its_deadline_and_the_commit_stands() {
    let stage = stage(None);
    let answer = stage
        .committer
        .submit(7, Instant::now() + Duration::from_millis(20));
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
    let filler = || Request {
        update: 0,
        reply: sync_channel(1).0,
    };
    stage
        .committer
        .shared
        .lock()
        .waiting
        .extend(std::iter::repeat_with(filler).take(QUEUE));
    assert_eq!(
        stage
            .committer
            .submit(1, Instant::now() + Duration::from_millis(20)),
        Err(Unavailable)
    );
    let patient = stage.submits(2);
    (0..=QUEUE / GROUP + 1).for_each(|_| stage.orders.send(Order::Succeed).unwrap());
    assert_eq!(
        (first.join().unwrap(), patient.join().unwrap()),
        (Ok(WORD), Ok(WORD))
    );
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
    let answer = stage
        .committer
        .submit(2, Instant::now() + Duration::from_millis(20));
    assert_eq!(answer, Ok(Outcome::Unknown));
    assert!(stage.fatal.recv().unwrap().contains("did not succeed"));
    // A late success of the thread is not trusted.
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
    stage.committer.shared.lock().busy_since =
        Instant::now().checked_sub(STUCK + Duration::from_millis(1));
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
    assert_eq!(
        (first.join().unwrap(), answers(others)),
        (Ok(WORD), vec![Ok(WORD); 3])
    );
    assert_eq!(
        stage.chores.try_iter().count(),
        1,
        "the chore is done before the end, due or not"
    );
    assert!(!stage.committer.failed() && stage.fatal.try_recv().is_err());
}

#[test]
fn a_chore_is_done_when_it_is_due_and_once() {
    let stage = stage(Some(Instant::now() + Duration::from_millis(20)));
    stage.chores.recv().unwrap();
    stage.committer.close();
    assert!(stage.chores.try_recv().is_err());
}
