//! Tests: devices with a drift, clocks that jump, and stores that are rolled back.

use super::*;

#[test]
fn a_clock_that_is_wrong_every_time_is_followed_and_the_window_gets_no_wider() {
    let mut alice = Life::new();
    for login in 0..6u64 {
        alice.moment.now = NOW + login * 300;
        let ahead = alice.code(1 + i64::try_from(login.saturating_sub(1).min(4)).unwrap());
        assert_eq!(alice.verdict(&ahead), Verdict::Accepted, "login {login}");
    }
    alice.moment.now = NOW + 3000;
    for (steps, verdict) in [
        (6, Verdict::Rejected),
        (2, Verdict::Rejected),
        (3, Verdict::Accepted),
    ] {
        let code = alice.code(steps);
        assert_eq!(alice.verdict(&code), verdict, "{steps} ahead");
    }
    let mut late = Life::new();
    let pair = late.code(-7) + &late.code(-6);
    assert_eq!(late.verdict(&pair), Verdict::Accepted);
    late.moment.now = NOW + 3000;
    let code = late.code(-5);
    assert_eq!(
        late.verdict(&code),
        Verdict::Accepted,
        "two minutes is as far as it goes, and the window"
    );
}

#[test]
fn of_a_device_that_is_ahead_the_next_code_comes_sooner() {
    let mut alice = Life::new();
    let pair = alice.code(2) + &alice.code(3);
    assert_eq!(alice.verdict(&pair), Verdict::Accepted);
    alice.moment.now = NOW / 30 * 30 + 18;
    let code = alice.code(3);
    assert_eq!(alice.judged(&code, NONE).retry_after, Some(12));
}

#[test]
fn after_a_roll_back_older_codes_are_refused_and_the_owner_is_in_within_two_periods() {
    let mut alice = Life::new();
    alice.moment.rolled_back_tick = Some(NOW);
    alice.moment.doubts = Doubts {
        rolled_back: Some(NOW),
        lost: NOW,
        ..Doubts::default()
    };
    assert_eq!(
        alice.ask(),
        Ask::TwoCodes,
        "how many guesses were used is unknown"
    );
    let pair = alice.code(-1) + &alice.code(0);
    assert_eq!(alice.verdict(&pair), Verdict::Refused);
    alice.record.unknown = Pool::full(&alice.moment);
    for steps in [-1, 0, 1] {
        let code = alice.code(steps);
        assert_eq!(alice.verdict(&code), Verdict::Refused, "{steps}");
    }
    assert_eq!(alice.left(), 5);
    alice.moment.now = NOW + 60;
    let code = alice.code(0);
    assert_eq!(alice.verdict(&code), Verdict::Accepted);
}

/// Rolls the store back to now after `past` has happened. Of `past` only the latest spent step
/// stays known.
fn with_a_lost_past(alice: &mut Life, past: impl FnOnce(&mut Life)) -> Life {
    let before = alice.record.clone();
    past(alice);
    let (now, tick, lost) = (
        alice.moment.now,
        alice.moment.tick,
        alice.record.latest_spent(),
    );
    let doubts = Doubts {
        rolled_back: Some(now),
        lost,
        ..Doubts::default()
    };
    let moment = Moment {
        doubts,
        rolled_back_tick: Some(tick),
        ..Moment::ordinary(now)
    };
    Life {
        record: before,
        moment,
        ..Life::new()
    }
}

/// Two consecutive codes. The first is the code of `step`.
fn pair_of(alice: &Life, step: u64) -> String {
    let steps = step.checked_signed_diff(alice.moment.now / 30).unwrap();
    alice.code(steps) + &alice.code(steps + 1)
}

#[test]
fn after_a_roll_back_no_code_comes_again_that_was_used_ahead_and_the_owner_is_in_with_the_first_one_after_it()
 {
    let learns = |alice: &mut Life| {
        assert_eq!(
            alice.verdict(&pair_of(alice, NOW / 30 + 3)),
            Verdict::Accepted
        );
        alice.pass(300);
        assert_eq!(
            alice.verdict(&alice.code(5)),
            Verdict::Accepted,
            "four steps are known, and one is the window"
        );
    };
    let far = |alice: &mut Life| {
        learns(alice);
        alice.pass(300);
        assert_eq!(
            alice.verdict(&pair_of(alice, alice.moment.now / 30 + 13)),
            Verdict::Accepted
        );
    };
    let ahead = |alice: &mut Life| {
        alice.pass(600);
        assert_eq!(alice.verdict(&alice.code(1)), Verdict::Accepted);
        alice.moment.now -= 300;
    };
    for (past, furthest) in [(&learns as &dyn Fn(&mut Life), 5), (&far, 14), (&ahead, 11)] {
        let mut alice = with_a_lost_past(&mut Life::new(), past);
        let last = alice.moment.now / 30 + furthest;
        for _ in 0..=furthest + 12 {
            for first in [last - 1, last] {
                assert_ne!(
                    alice.verdict(&pair_of(&alice, first)),
                    Verdict::Accepted,
                    "{furthest}"
                );
            }
            alice.pass(30);
        }
        let mut owner = with_a_lost_past(&mut Life::new(), past);
        owner.pass(30 * furthest);
        assert_eq!(
            owner.verdict(&pair_of(&owner, last)),
            Verdict::Refused,
            "{furthest}"
        );
        assert_eq!(
            owner.verdict(&pair_of(&owner, last + 1)),
            Verdict::Accepted,
            "{furthest}"
        );
    }
    let mut as_far_ahead = with_a_lost_past(&mut Life::new(), learns);
    as_far_ahead.pass(60);
    assert_eq!(
        as_far_ahead.verdict(&pair_of(&as_far_ahead, NOW / 30 + 16)),
        Verdict::Accepted,
        "within two periods"
    );
}

#[test]
fn a_clock_that_ran_a_year_ahead_before_a_roll_back_keeps_nobody_out_for_longer_than_fourteen_steps()
 {
    let mut alice = with_a_lost_past(&mut Life::new(), |alice| {
        alice.moment.now = NOW + 31_536_000;
        assert_eq!(alice.verdict(&alice.code(0)), Verdict::Accepted);
        alice.moment.now = NOW;
    });
    alice.pass(14 * 30);
    assert_eq!(
        alice.verdict(&pair_of(&alice, NOW / 30 + 14)),
        Verdict::Refused
    );
    assert_eq!(
        alice.verdict(&pair_of(&alice, NOW / 30 + 15)),
        Verdict::Accepted
    );
}

#[test]
fn after_a_clock_event_older_codes_are_refused_no_guess_is_lost_and_the_owner_is_in_within_two_periods()
 {
    let mut alice = Life::new();
    alice.pass(10);
    alice.moment.doubts.moved = Some(NOW + 10);
    assert_eq!((alice.ask(), alice.left()), (Ask::OneCode, 5));
    let old: Vec<String> = (-1..=1).map(|steps| alice.code(steps)).collect();
    for typed in old.iter().chain([&(old[0].clone() + &old[1])]) {
        assert_eq!(alice.verdict(typed), Verdict::Refused, "{typed}");
    }
    alice.pass(50);
    let code = alice.code(0);
    assert_eq!(alice.verdict(&code), Verdict::Accepted);
    assert_eq!(alice.left(), 5);
    for typed in old {
        assert_ne!(alice.verdict(&typed), Verdict::Accepted);
    }
}

#[test]
fn a_clock_that_is_set_gives_no_guess_back_and_takes_none() {
    let mut alice = Life::new();
    let wrong = alice.wrong();
    for _ in 0..3 {
        assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
    }
    for (now, left) in [(NOW + 864_000, 2), (NOW - 864_000, 2), (0, 2), (NOW, 2)] {
        alice.moment.now = now;
        assert_eq!(alice.left(), left, "{now}");
    }
    alice.moment.tick += 86400;
    assert_eq!(alice.left(), 3);
}

#[test]
fn after_a_login_an_hour_ahead_and_the_correction_its_code_opens_nothing_for_ever() {
    let mut alice = Life::new();
    // Outside the window a replay is an ordinary wrong code.
    alice.policy.budget = 1000;
    alice.moment.now = NOW + 3600;
    let ahead = alice.code(0);
    assert_eq!(alice.verdict(&ahead), Verdict::Accepted);
    alice.moment.now = NOW;
    let mut logins = 0;
    for _ in 0..202 {
        let code = alice.code(0);
        logins += u32::from(alice.verdict(&code) == Verdict::Accepted);
        assert_ne!(alice.verdict(&ahead), Verdict::Accepted);
        alice.pass(30);
    }
    assert_eq!(
        logins, 200,
        "all but the code that was used ahead and the one before it"
    );
    alice.moment.now = NOW + 3600;
    assert_eq!(alice.verdict(&ahead), Verdict::AlreadyUsed);
}

#[test]
fn nothing_is_learned_of_a_device_while_our_own_clock_is_not_synchronised() {
    for (synchronised, verdict) in [(false, Verdict::Rejected), (true, Verdict::Accepted)] {
        let mut alice = Life::new();
        alice.moment.synchronised = synchronised;
        let pair = alice.code(3) + &alice.code(4);
        assert_eq!(
            alice.verdict(&pair),
            Verdict::Accepted,
            "it lets in all the same"
        );
        alice.pass(300);
        let code = alice.code(4);
        assert_eq!(alice.verdict(&code), verdict);
    }
}

#[test]
fn a_code_that_is_refused_in_a_quarantine_comes_with_the_time_until_one_is_accepted() {
    let mut alice = Life::new();
    let wait = 60 - NOW % 30;
    alice.moment.doubts.moved = Some(NOW);
    let judged = alice.judged(&alice.code(0), NONE);
    assert_eq!(
        (judged.verdict, judged.retry_after),
        (Verdict::Refused, Some(wait))
    );
    alice.pass(wait - 1);
    let judged = alice.judged(&alice.code(1), NONE);
    assert_eq!(
        (judged.verdict, judged.retry_after),
        (Verdict::Accepted, None),
        "a device that is a little fast shows it sooner"
    );
}

#[test]
fn after_a_boot_the_codes_of_before_it_are_refused_but_those_of_a_device_that_was_made_since() {
    for (made, verdict) in [(NOW, Verdict::Refused), (NOW + 1, Verdict::Accepted)] {
        let mut alice = Life::new();
        alice.record.devices[0].known_since = made;
        alice.moment.doubts = Doubts {
            booted: Some(NOW),
            made_since: NOW + 1,
            ..Doubts::default()
        };
        let code = alice.code(1);
        assert_eq!(alice.verdict(&code), verdict, "{made}");
        alice.moment.doubts.behind = Some(NOW + 3600);
        alice.pass(3600);
        let code = alice.code(1);
        assert_eq!(
            alice.verdict(&code),
            verdict,
            "the clock is not yet past what was seen before the boot"
        );
        alice.pass(60);
        let code = alice.code(0);
        assert_eq!(alice.verdict(&code), Verdict::Accepted);
    }
}

proptest! {
    /// Holds for every movement of the clock, noticed or not.
    #[test]
    fn no_step_opens_two_logins(moves in prop::collection::vec((-5000i64..5000, -10i64..=10, any::<bool>()), 1..150)) {
        let mut alice = Life::new();
        // Codes so long that no two are the same.
        let ten = Parameters { digits: 10, ..Parameters::default() };
        alice.record.devices = vec![device(&user("alice"), "default", ten)];
        let mut opened = Vec::new();
        for (seconds, steps, noticed) in moves {
            alice.moment.now = alice.moment.now.saturating_add_signed(seconds);
            if noticed {
                alice.moment.doubts.moved = Some(alice.moment.now);
            }
            let first = ten.step_at(alice.moment.now).saturating_add_signed(steps);
            for typed in [alice.code(steps), alice.code(steps) + &alice.code(steps + 1)] {
                let codes = typed.len() as u64 / 10;
                if alice.verdict(&typed) == Verdict::Accepted {
                    opened.extend(first..first + codes);
                }
            }
        }
        let count = opened.len();
        opened.sort_unstable();
        opened.dedup();
        prop_assert_eq!(opened.len(), count);
    }
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    for now in [0, 29, u64::MAX] {
        let mut alice = Life::new();
        alice.moment.now = now;
        let (code, pair) = (alice.code(0), alice.code(0) + &alice.code(1));
        for typed in [code, pair] {
            let _ = alice.verdict(&typed);
        }
    }
}
