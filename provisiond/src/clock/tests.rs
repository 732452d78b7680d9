use std::sync::mpsc::{Receiver, channel};

use super::mark::Doubted;
use super::*;

#[test]
fn it_cannot_be_earlier_than_this_program() {
    assert!(can_be(now()) && can_be(u64::MAX) && can_be(EARLIEST));
    for lost in [0, 946_684_800, EARLIEST - 1] {
        assert!(!can_be(lost), "{lost}");
    }
}

/// A clock in somebody's hand, and what it told.
fn clock() -> (Arc<Mutex<Reading>>, Arc<Clock>, Receiver<Event>) {
    let boot = BootId::of_this_machine();
    let hands = Arc::new(Mutex::new(Reading { boot, wall: 1_800_000_000 * SECOND, running: 100 * SECOND }));
    let (theirs, (told, heard)) = (Arc::clone(&hands), channel());
    let told = Mutex::new(told);
    let clock = Clock::new(move || *theirs.lock().unwrap(), move |event| told.lock().unwrap().send(event).unwrap());
    (hands, clock, heard)
}

fn pass(hands: &Mutex<Reading>, wall: i64, running: i64) {
    let mut hands = hands.lock().unwrap();
    (hands.wall, hands.running) = (hands.wall + wall * SECOND, hands.running + running * SECOND);
}

#[test]
fn an_event_is_told_once_and_leaves_a_doubt_that_outlives_the_process() {
    let (hands, clock, heard) = clock();
    clock.resume(None);
    assert_eq!(clock.look(), Look { now: 1_800_000_000, tick: 0, doubt: None, rolled_back_at: None });
    pass(&hands, 3610, 10);
    for _ in 0..3 {
        let doubt = Some(Doubt { at: 1_800_003_610, of: Doubted::Clock });
        assert_eq!(clock.look(), Look { now: 1_800_003_610, tick: 10, doubt, rolled_back_at: None });
    }
    assert_eq!(heard.try_iter().count(), 1);
    let mark = clock.mark();
    pass(&hands, 20, 20);
    clock.resume(Some(mark));
    assert_eq!((clock.look().tick, clock.look().doubt.map(|doubt| doubt.at)), (30, Some(1_800_003_610)));
    assert_eq!(heard.try_iter().count(), 0);
    assert!(clock.accept() && !clock.accept() && clock.look().doubt.is_none());
}

#[test]
fn a_jump_while_nobody_looked_is_noticed_by_the_next_process() {
    let (hands, clock, heard) = clock();
    clock.resume(None);
    let mark = clock.mark();
    pass(&hands, -600, 40);
    clock.resume(Some(mark));
    let event = heard.try_recv().unwrap();
    assert_eq!((event.reason, event.seconds), (Reason::Jumped, -640));
}

#[test]
fn what_the_store_has_lost_cannot_be_accepted_away() {
    let (_, clock, heard) = clock();
    clock.doubt_the_store();
    assert_eq!(heard.try_recv().unwrap().reason, Reason::StoreRolledBack);
    assert!(!clock.accept());
    assert_eq!(clock.look().doubt, Some(Doubt { at: 1_800_000_000, of: Doubted::Store }));
}

#[test]
fn this_machines_clocks_run_on_together() {
    let clock = Clock::of_this_machine(|event| panic!("{event:?}"));
    let first = clock.look();
    let second = clock.look();
    assert!(first.now.abs_diff(now()) <= 1 && second.now >= first.now && second.doubt.is_none());
}
