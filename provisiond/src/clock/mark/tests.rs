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

fn noon_mark() -> Mark {
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
        let (mark, event) = noon_mark().after(&at(wall, running));
        let expected = seconds.map(|seconds| {
            let now = u64::try_from(1_800_000_000 + wall).unwrap();
            ClockEvent {
                reason: Reason::Jumped,
                at: now,
                seconds,
            }
        });
        assert_eq!(event, expected, "{wall} {running}");
        assert_eq!(mark.doubts.latest(), expected.map(|event| event.at));
        assert_eq!(
            mark.after(&at(wall + 1, running + 1)).1,
            None,
            "noticed once"
        );
    }
}

#[test]
fn a_new_boot_is_an_event_dated_at_its_beginning_however_long_ago_the_last_one_was_seen() {
    let noon = 1_800_000_000;
    for (since, running, reason, at, behind) in [
        (-3600, 5, Reason::BehindMark, noon - 3600, Some(noon)),
        (-3, 5, Reason::BehindMark, noon - 3, Some(noon)),
        (0, 1, Reason::NewBoot, noon - 1, None),
        (20, 5, Reason::NewBoot, noon + 15, None),
        (20, 23, Reason::BehindMark, noon + 20, None),
        (119, 30, Reason::NewBoot, noon + 89, None),
        (120, 30, Reason::NewBoot, noon + 90, None),
        (31_536_000, 60, Reason::NewBoot, noon + 31_535_940, None),
        (31_536_000, -60, Reason::NewBoot, noon + 31_536_000, None),
    ] {
        let at = u64::try_from(at).unwrap();
        let seen = reading(8, NOON + since * SECOND, running * SECOND);
        let (mark, event) = noon_mark().after(&seen);
        let event = event.unwrap();
        assert_eq!((event.reason, event.at), (reason, at), "{since} {running}");
        assert_eq!(event.seconds, since);
        let doubts = Doubts {
            booted: Some(at),
            made_since: 1,
            behind: behind.map(|time: i64| time.unsigned_abs()),
            ..Doubts::default()
        };
        assert_eq!(mark.doubts, doubts, "{since} {running}");
        let later = reading(8, seen.wall + SECOND, seen.running + SECOND);
        assert_eq!(mark.after(&later).1, None, "noticed once");
    }
}

#[test]
fn a_clock_that_is_behind_over_two_boots_is_behind_the_latest_time_that_was_seen() {
    let first = reading(8, NOON - 7200 * SECOND, 5 * SECOND);
    let second = reading(9, NOON - 3600 * SECOND, 5 * SECOND);
    let third = reading(10, NOON - 3000 * SECOND, 5 * SECOND);
    let mark = [first, second, third]
        .iter()
        .fold(noon_mark(), |mark, seen| mark.after(seen).0);
    let doubts = |vouched| mark.doubts_at(&third, vouched);
    assert_eq!(doubts(false).behind, Some(1_800_000_000));
    assert_eq!(doubts(true).behind, None, "the kernel vouches");
    let set = reading(10, NOON - 9000 * SECOND, 10 * SECOND);
    let set = mark.after(&set).0.doubts;
    assert_eq!(
        set.behind,
        Some(1_800_000_000),
        "setting it vouches for nothing"
    );
}

#[test]
fn what_is_made_in_one_second_after_boots_and_roll_backs_is_later_than_each_of_them() {
    let boot = |number, mark: Mark| mark.after(&reading(number, NOON + SECOND, 0)).0;
    let mut stamp = 0;
    let mut mark = noon_mark();
    let mut rolled_back = None;
    for number in 8..20 {
        if number % 3 == 0 {
            rolled_back = Some(mark.doubts.stamp(0, rolled_back));
        }
        mark = boot(number, mark.caught_up(rolled_back));
        assert!(stamp < mark.doubts.made_since, "made before boot {number}");
        let made = mark.doubts.stamp(mark.trusted / 1_000_000, rolled_back);
        assert!(made >= mark.doubts.made_since && rolled_back < Some(made));
        stamp = made;
    }
}

#[test]
fn a_boot_of_which_nothing_is_known_is_a_new_one() {
    let unknown = Reading {
        boot: BootId::default(),
        ..at(200, 110)
    };
    let (mark, event) = noon_mark().after(&unknown);
    assert_eq!(event.map(|event| event.reason), Some(Reason::NewBoot));
    assert!(mark.after(&unknown).1.is_some(), "and so is the next one");
}

#[test]
fn the_machines_own_clock_does_not_go_back() {
    let (mark, event) = noon_mark().after(&at(-3600, 50));
    assert_eq!(
        event.map(|event| (event.reason, event.seconds)),
        Some((Reason::Jumped, -3600))
    );
    assert_eq!(mark.tick_at(&at(-3590, 60)), 10);
}

#[test]
fn a_slow_slew_and_a_second_back_are_no_events() {
    for millionths in [-500, 500] {
        let mut mark = noon_mark();
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
    let (mark, event) = noon_mark().after(&at(49, 150));
    assert_eq!(event, None);
    assert_eq!(
        mark.after(&at(2148, 2250)).1,
        None,
        "and another one, half an hour later"
    );
}

#[test]
fn many_small_steps_back_do_not_bring_the_past_again() {
    let mut mark = noon_mark();
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
    let mut mark = noon_mark();
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
    let mut mark = noon_mark();
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
    let behind = noon_mark()
        .after(&reading(8, NOON - 60 * SECOND, 5 * SECOND))
        .0;
    let moved = behind
        .after(&reading(8, NOON - 600 * SECOND, 10 * SECOND))
        .0;
    let lost = moved.with_lost_past(1_799_999_000, 1_800_000_030);
    assert!(
        [moved, lost]
            .iter()
            .all(|mark| mark.doubts.of_the_clock().is_some())
    );
    let store = Doubts {
        rolled_back: Some(1_799_999_000),
        lost: 1_800_000_030,
        ..Doubts::default()
    };
    for (mark, stays) in [(moved, Doubts::default()), (lost, store)] {
        let accepted = mark.doubts.accepted();
        assert_eq!(
            (accepted.latest(), accepted.lost),
            (stays.latest(), stays.lost)
        );
        assert_eq!(accepted.made_since, mark.doubts.made_since);
    }
    let accepted = lost.with_doubts(store);
    assert_eq!(
        accepted
            .after(&reading(8, NOON - 599 * SECOND, 11 * SECOND))
            .1,
        None,
        "the mark follows the clock"
    );
}

#[test]
fn a_roll_back_loses_what_was_spent_before_it_by_whoever_knows_most() {
    let spent = noon_mark()
        .with_spent(1_800_000_090)
        .with_spent(1_800_000_030);
    assert_eq!(
        (spent.spent(), spent.spent_ahead(), spent.doubts),
        (1_800_000_090, true, Doubts::default())
    );
    assert!(!spent.after(&at(90, 190)).0.spent_ahead());
    for (known, lost) in [(0, 1_800_000_090), (1_800_000_120, 1_800_000_120)] {
        let back = spent
            .with_lost_past(1_800_000_060, known)
            .with_spent(1_800_000_300);
        let doubt = |mark: Mark| (mark.doubts.rolled_back, mark.doubts.lost);
        assert_eq!(doubt(back), (Some(1_800_000_060), lost));
        assert_eq!(
            doubt(back.after(&at(400, 190)).0),
            (Some(1_800_000_060), lost),
            "an event of the clock ends nothing, and hides nothing"
        );
        let again = back.with_lost_past(1_800_000_090, 0);
        assert_eq!(doubt(again), (Some(1_800_000_090), 1_800_000_300));
    }
}

#[test]
fn a_clock_that_is_corrected_backwards_takes_the_doubts_of_the_future_with_it() {
    let ahead = noon_mark()
        .after(&reading(8, NOON + 864_000 * SECOND, 5 * SECOND))
        .0
        .with_lost_past(1_800_864_000, 0);
    let set = reading(8, NOON + 60 * SECOND, 15 * SECOND);
    let booted = reading(9, NOON + 60 * SECOND, 5 * SECOND);
    for back in [set, booted] {
        let doubts = ahead.after(&back).0.doubts_at(&back, true);
        assert_eq!(doubts.latest(), Some(1_800_000_060), "{back:?}");
    }
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
                let _ = (next.tick_at(&seen), next.doubts_at(&seen, false));
            }
        }
    }
}

#[test]
fn the_kernels_number_of_a_boot_is_read() {
    let unknown = BootId::default();
    assert_ne!(BootId::of_this_machine(), unknown);
    let [one, another] = [unknown, BOOT].map(BootId::or_of_this_process);
    assert!(
        one.is(one) && another == BOOT,
        "a process is a boot at least"
    );
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
    fn what_is_stored_is_read_back(boot in any::<u128>(), [wall, running] in any::<[i64; 2]>(), [trusted, spent, lost, made_since] in any::<[u64; 4]>(), times in prop::array::uniform4(prop::option::of(1u64..))) {
        let seen = Reading { boot: BootId((boot != 0).then_some(boot)), wall, running };
        let [moved, booted, behind, rolled_back] = times;
        let doubts = Doubts { moved, booted, made_since, behind, rolled_back, lost };
        let mark = Mark { seen, trusted, doubts, spent };
        let numbers = mark.to_numbers();
        prop_assert_eq!(Mark::from_numbers(&numbers), Some(mark));
        let before = Doubts { booted: None, made_since: 0, behind: None, ..doubts };
        prop_assert_eq!(Mark::from_numbers(&numbers[..9]), Some(Mark { doubts: before, ..mark }));
        for wrong in [0, 8, 10, 11] {
            prop_assert_eq!(Mark::from_numbers(&numbers[..wrong]), None);
        }
    }

    /// For every movement of the clock: without an event at most four seconds of the past repeat,
    /// and no jump adds trusted time.
    #[test]
    fn no_past_comes_again_without_an_event(steps in prop::collection::vec((-5000i64..5000, 0i64..100_000), 1..60)) {
        let (mut mark, mut wall, mut running) = (noon_mark(), NOON, 100 * SECOND);
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
