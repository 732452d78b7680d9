//! Tests of the clock mark: jumps, boots, and what a mark of before says.

use proptest::prelude::*;

use super::*;

const BOOT: BootId = BootId(Some(7));
const NOON: i64 = 1_800_000_000 * SECOND;

fn reading(boot: u128, wall: i64, running: i64) -> Reading {
    Reading {
        boot: BootId(Some(boot)),
        wall,
        running,
    }
}

/// Seconds after noon on each clock, in the first boot.
fn at(wall: i64, running: i64) -> Reading {
    Reading {
        boot: BOOT,
        wall: NOON + wall * SECOND,
        running: running * SECOND,
    }
}

fn noon() -> Mark {
    Mark::new(&at(0, 100))
}

#[test]
fn a_clock_that_was_set_is_an_event_and_one_that_runs_on_is_none() {
    for (wall, running, seconds) in [
        (0, 100, None),
        (50, 150, None),
        (52, 150, None),
        (48, 150, None),
        (53, 150, Some(3)),
        (47, 150, Some(-3)),
        (3650, 150, Some(3600)),
        (-3550, 150, Some(-3600)),
        // A machine that slept for a month.
        (2_592_000, 2_592_100, None),
        // A machine that was stopped for a month, then had its clock set.
        (2_592_000, 101, Some(2_591_999)),
    ] {
        let (mark, event) = noon().after(&at(wall, running));
        let expected = seconds.map(|seconds| {
            let now = u64::try_from(1_800_000_000 + wall).unwrap();
            Event {
                reason: Reason::Jumped,
                at: now,
                seconds,
            }
        });
        assert_eq!(event, expected, "{wall} {running}");
        assert_eq!(
            mark.doubt(),
            expected.map(|event| Doubt {
                at: event.at,
                of: Doubted::Clock,
                lost: 0
            })
        );
        assert_eq!(
            mark.after(&at(wall + 1, running + 1)).1,
            None,
            "noticed once"
        );
    }
}

#[test]
fn a_new_boot_is_an_event_if_it_comes_soon_or_before_the_last_one_has_ended() {
    for (since, reason) in [
        (-3600, Some(Reason::BehindMark)),
        (-3, Some(Reason::BehindMark)),
        (-2, Some(Reason::NewBoot)),
        (0, Some(Reason::NewBoot)),
        (119, Some(Reason::NewBoot)),
        (120, None),
        (31_536_000, None),
    ] {
        let seen = reading(8, NOON + since * SECOND, 5 * SECOND);
        let (mark, event) = noon().after(&seen);
        assert_eq!(event.map(|event| event.reason), reason, "{since}");
        assert_eq!(event.map_or(since, |event| event.seconds), since);
        assert_eq!(
            mark.after(&reading(8, seen.wall + SECOND, 6 * SECOND)).1,
            None,
            "noticed once"
        );
    }
}

#[test]
fn a_boot_of_which_nothing_is_known_is_a_new_one() {
    let unknown = Reading {
        boot: BootId::default(),
        ..at(10, 110)
    };
    let (mark, event) = noon().after(&unknown);
    assert_eq!(event.map(|event| event.reason), Some(Reason::NewBoot));
    assert_eq!(
        mark.after(&unknown).1.map(|event| event.reason),
        Some(Reason::NewBoot),
        "and so is the next one"
    );
}

#[test]
fn the_machines_own_clock_does_not_go_back() {
    let (mark, event) = noon().after(&at(-3600, 50));
    assert_eq!(
        event.map(|event| (event.reason, event.seconds)),
        Some((Reason::Jumped, -3600))
    );
    assert_eq!(mark.tick_at(&at(-3590, 60)), 10);
}

#[test]
fn a_slow_slew_and_a_second_back_are_no_events() {
    for millionths in [-500, 500] {
        let mut mark = noon();
        for minute in 1..=7 * 24 * 60 {
            let passed = minute * 60 * SECOND;
            let (next, event) = mark.after(&reading(
                7,
                NOON + passed + passed / 1_000_000 * millionths,
                100 * SECOND + passed,
            ));
            assert_eq!(event, None, "minute {minute}");
            mark = next;
        }
    }
    let (mark, event) = noon().after(&at(49, 150));
    assert_eq!(event, None);
    assert_eq!(
        mark.after(&at(2148, 2250)).1,
        None,
        "and another one, half an hour later"
    );
}

#[test]
fn many_small_steps_back_do_not_bring_the_past_again() {
    let mut mark = noon();
    let (mut wall, mut running) = (0, 100);
    let mut events = 0;
    for _ in 0..600 {
        (wall, running) = (wall - 1, running + 1);
        let (next, event) = mark.after(&at(wall, running));
        mark = next;
        events += i32::from(event.is_some());
    }
    assert!(events >= 250, "{events}");
    let mut events = 0;
    for _ in 0..100 {
        let (next, event) = mark.after(&at(wall - 1, running));
        (mark, wall) = (next, wall - 1);
        events += i32::from(event.is_some());
    }
    assert!(events >= 30, "{events}");
}

#[test]
fn trusted_seconds_are_those_in_which_the_machine_was_seen_running() {
    let mut mark = noon();
    for (seen, tick) in [
        (at(10, 110), 10),
        (at(864_010, 111), 11),
        (at(-5000, 1111), 1011),
        (reading(8, NOON, 400 * SECOND), 1011),
        (reading(8, NOON + 30 * SECOND, 430 * SECOND), 1041),
        (reading(9, NOON + 900_000 * SECOND, 2 * SECOND), 1041),
    ] {
        mark = mark.after(&seen).0;
        assert_eq!(mark.tick_at(&seen), tick, "{seen:?}");
    }
}

#[test]
fn short_looks_lose_no_trusted_time() {
    let mut mark = noon();
    for look in 1..=1000 {
        let seen = reading(
            7,
            NOON + look * SECOND / 10,
            100 * SECOND + look * SECOND / 10,
        );
        mark = mark.after(&seen).0;
        assert_eq!(mark.tick_at(&seen), look.unsigned_abs() / 10);
    }
}

#[test]
fn what_was_accepted_is_not_in_doubt_and_what_the_store_lost_stays_so() {
    let moved = noon().after(&at(3650, 150)).0;
    let (accepted, was) = moved.accepted();
    assert!(was && accepted.doubt().is_none() && !accepted.accepted().1);
    assert_eq!(
        accepted.after(&at(3651, 151)).1,
        None,
        "the mark follows the clock"
    );
    let lost = moved.with_lost_past(1_800_003_600, 1_800_003_630);
    let store = Some(Doubt {
        at: 1_800_003_600,
        of: Doubted::Store,
        lost: 1_800_003_630,
    });
    assert_eq!(
        (
            lost.doubt().map(|doubt| doubt.at),
            lost.accepted().0.doubt()
        ),
        (Some(1_800_003_650), store)
    );
}

#[test]
fn a_roll_back_loses_what_was_spent_before_it_by_whoever_knows_most() {
    let spent = noon().with_spent(1_800_000_090).with_spent(1_800_000_030);
    assert_eq!(
        (spent.spent(), spent.spent_ahead(), spent.doubt()),
        (1_800_000_090, true, None)
    );
    assert!(!spent.after(&at(90, 190)).0.spent_ahead());
    for (known, lost) in [(0, 1_800_000_090), (1_800_000_120, 1_800_000_120)] {
        let back = spent
            .with_lost_past(1_800_000_060, known)
            .with_spent(1_800_000_300);
        let doubt = |mark: Mark| mark.doubt().map(|doubt| (doubt.of, doubt.lost));
        assert_eq!(doubt(back), Some((Doubted::Store, lost)));
        assert_eq!(
            doubt(back.after(&at(400, 190)).0),
            Some((Doubted::Clock, lost)),
            "an event of the clock ends nothing"
        );
        let again = back.with_lost_past(1_800_000_090, 0);
        assert_eq!(doubt(again), Some((Doubted::Store, 1_800_000_300)));
    }
}

#[test]
fn a_clock_that_is_corrected_backwards_takes_the_doubts_of_the_future_with_it() {
    let ahead = noon()
        .after(&at(864_000, 150))
        .0
        .with_lost_past(1_800_864_000, 0);
    let back = ahead.after(&at(60, 160)).0;
    assert_eq!(back.doubt().map(|doubt| doubt.at), Some(1_800_000_060));
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let extremes = [i64::MIN, -1, 0, 29 * SECOND, i64::MAX / 30, i64::MAX];
    for wall in extremes {
        for running in extremes {
            let mark = Mark::new(&reading(7, wall, running));
            for seen in [
                at(0, 0),
                reading(7, i64::MAX, i64::MAX),
                reading(7, i64::MIN, i64::MIN),
                reading(8, 0, 0),
            ] {
                let (next, _) = mark.after(&seen);
                let _ = (next.tick_at(&seen), next.doubt());
            }
        }
    }
}

#[test]
fn the_kernels_number_of_a_boot_is_read() {
    assert_ne!(BootId::of_this_machine(), BootId::default());
    assert_eq!(
        BootId::parse("00000000-0000-0000-0000-00000000000a\n"),
        BootId(Some(10))
    );
    for text in [
        "",
        "\n",
        "0",
        "no boot id",
        "00000000-0000-0000-0000-00000000000a 1",
    ] {
        assert_eq!(BootId::parse(text), BootId::default(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(boot in any::<u128>(), wall in any::<i64>(), running in any::<i64>(), trusted in any::<u64>(), [spent, lost] in any::<[u64; 2]>(), clock in prop::option::of(1u64..), store in prop::option::of(1u64..)) {
        let seen = Reading { boot: BootId((boot != 0).then_some(boot)), wall, running };
        let mark = Mark { seen, trusted, clock_moved_at: clock, store_rolled_back_at: store, spent, lost };
        prop_assert_eq!(Mark::from_numbers(mark.to_numbers()), mark);
    }

    /// For every movement of the clock: without an event at most four seconds of the past repeat,
    /// and no jump adds trusted time.
    #[test]
    fn no_past_comes_again_without_an_event(steps in prop::collection::vec((-5000i64..5000, 0i64..100_000), 1..60)) {
        let (mut mark, mut wall, mut running) = (noon(), NOON, 100 * SECOND);
        let mut latest = wall;
        for (jump, passes) in steps {
            (wall, running) = (wall + (jump + passes) * 1000, running + passes * 1000);
            let seen = reading(7, wall, running);
            let (next, event) = mark.after(&seen);
            mark = next;
            latest = if event.is_some() { wall } else { latest.max(wall) };
            prop_assert!(wall >= latest - 2 * TOLERANCE, "{} µs back", latest - wall);
            prop_assert_eq!(mark.tick_at(&seen), ((running - 100 * SECOND) / SECOND).unsigned_abs());
        }
    }
}
