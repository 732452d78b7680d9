//! Tests of the clock: events are told once, and a doubt outlives the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::doubt::Doubts;
use super::*;

#[test]
fn it_cannot_be_earlier_than_this_program() {
    assert!(can_be(now()) && can_be(u64::MAX) && can_be(EARLIEST));
    for lost in [0, 946_684_800, EARLIEST - 1] {
        assert!(!can_be(lost), "{lost}");
    }
}

/// The hands of a clock, which a test moves.
#[derive(Clone)]
pub(crate) struct Hands(Arc<Mutex<Reading>>);

impl Hands {
    pub(crate) fn new() -> Self {
        let (boot, wall, running) = (
            BootId::of_this_machine(),
            1_800_000_000 * SECOND,
            100 * SECOND,
        );
        Self(Arc::new(Mutex::new(Reading {
            boot,
            wall,
            running,
        })))
    }

    /// The machine is started again, and its clock is so many seconds later than before.
    pub(crate) fn boot(&self, wall: i64, running: i64) {
        self.pass(wall, 0);
        let mut hands = self.0.lock().unwrap();
        (hands.boot, hands.running) = (BootId::from(hands.boot.number() + 1), running * SECOND);
    }

    /// A clock that reads these hands.
    pub(crate) fn clock(&self) -> Arc<Clock> {
        self.telling(|_| ())
    }

    fn telling(&self, tell: impl Fn(ClockEvent) + Send + Sync + 'static) -> Arc<Clock> {
        let hands = self.clone();
        Clock::new(move || *hands.0.lock().unwrap(), || Some(true), tell)
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        seconds(self.0.lock().unwrap().wall)
    }

    /// Moves each of the two clocks by so many seconds.
    pub(crate) fn pass(&self, wall: i64, running: i64) {
        let mut hands = self.0.lock().unwrap();
        (hands.wall, hands.running) =
            (hands.wall + wall * SECOND, hands.running + running * SECOND);
    }
}

/// A clock, its hands, and its reported events.
fn clock() -> (Hands, Arc<Clock>, Receiver<ClockEvent>) {
    let (hands, (told, heard)) = (Hands::new(), channel());
    let told = Mutex::new(told);
    let clock = hands.telling(move |event| told.lock().unwrap().send(event).unwrap());
    (hands, clock, heard)
}

#[test]
fn an_event_is_told_once_and_leaves_a_doubt_that_outlives_the_process() {
    let (hands, clock, heard) = clock();
    clock.resume(None, None);
    assert_eq!(
        clock.moment(None),
        Moment {
            tick: 0,
            since_boot: Duration::from_secs(100),
            ..Moment::ordinary(1_800_000_000)
        }
    );
    hands.pass(3610, 10);
    for _ in 0..3 {
        let doubts = Doubts {
            moved: Some(1_800_003_610),
            ..Doubts::default()
        };
        let since_boot = Duration::from_secs(110);
        let expected = Moment {
            tick: 10,
            since_boot,
            doubts,
            ..Moment::ordinary(1_800_003_610)
        };
        assert_eq!(clock.moment(None), expected);
    }
    assert_eq!(heard.try_iter().count(), 1);
    let mark = clock.mark();
    hands.pass(20, 20);
    clock.resume(Some(mark), None);
    assert_eq!(
        (clock.moment(None).tick, clock.moment(None).doubts.moved),
        (30, Some(1_800_003_610))
    );
    assert_eq!(heard.try_iter().count(), 0);
    clock.accept();
    assert_eq!(clock.moment(None).doubts, Doubts::default());
}

#[test]
fn a_jump_while_nobody_looked_is_noticed_by_the_next_process() {
    let (hands, clock, heard) = clock();
    clock.resume(None, None);
    let mark = clock.mark();
    hands.pass(-600, 40);
    clock.resume(Some(mark), None);
    let event = heard.try_recv().unwrap();
    assert_eq!((event.reason, event.seconds), (Reason::Jumped, -640));
}

#[test]
fn what_the_store_has_lost_cannot_be_accepted_away() {
    let (hands, clock, heard) = clock();
    clock.will_spend(hands.now() + 60);
    clock.will_spend(hands.now());
    clock.doubt_the_store(hands.now() + 30);
    assert_eq!(heard.try_recv().unwrap().reason, Reason::StoreRolledBack);
    clock.accept();
    clock.will_spend(hands.now() + 90);
    let doubts = Doubts {
        rolled_back: Some(1_800_000_000),
        lost: 1_800_000_060,
        ..Doubts::default()
    };
    assert_eq!(
        clock.moment(None).doubts,
        doubts,
        "what is spent from now on is not lost"
    );
}

#[test]
fn this_machines_clocks_run_on_together() {
    let clock = Clock::of_this_machine(|event| panic!("{event:?}"));
    let first = clock.moment(None);
    let second = clock.moment(None);
    assert!(first.now.abs_diff(now()) <= 1 && second.now >= first.now);
    assert_eq!(second.doubts, Doubts::default());
}

#[test]
fn a_clock_that_is_behind_after_a_boot_stays_in_doubt_until_the_kernel_or_an_administrator_vouches()
{
    for (vouches, seconds, behind) in [
        (Some(true), 0, None),
        (Some(false), 0, Some(1_800_000_000)),
        (None, 0, Some(1_800_000_000)),
        (Some(false), 3599, Some(1_800_000_000)),
        (Some(false), 3600, None),
    ] {
        let (hands, read) = (Hands::new(), Hands::new());
        let clock = || {
            let read = hands.clone();
            Clock::new(move || *read.0.lock().unwrap(), move || vouches, |_| ())
        };
        let before = read.clock().mark();
        hands.boot(-3600, 10);
        let after = clock();
        after.resume(Some(before), None);
        hands.pass(seconds, seconds);
        assert_eq!(after.moment(None).doubts.behind, behind, "{vouches:?}");
        let again = clock();
        again.resume(Some(after.mark()), None);
        assert_eq!(
            again.moment(None).doubts.behind,
            behind,
            "a restart changes nothing: {vouches:?}"
        );
        again.accept();
        assert_eq!(again.moment(None).doubts.latest(), None);
    }
}

#[test]
fn a_question_asks_the_kernel_only_while_its_answer_may_end_a_doubt() {
    let (hands, asked) = (Hands::new(), Arc::new(AtomicUsize::new(0)));
    let clock = || {
        let (read, asked) = (hands.clone(), Arc::clone(&asked));
        let vouches = move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Some(true)
        };
        Clock::new(move || *read.0.lock().unwrap(), vouches, |_| ())
    };
    let ordinary = clock();
    ordinary.resume(None, None);
    let question = ordinary.moment_of_question(None);
    assert!(!question.synchronised, "it measures no device's clock");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let before = ordinary.mark();
    hands.boot(-3600, 10);
    let behind = clock();
    behind.resume(Some(before), None);
    assert_eq!(behind.moment_of_question(None).doubts.behind, None);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let _ = behind.moment_of_question(None);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the doubt is over");
}
