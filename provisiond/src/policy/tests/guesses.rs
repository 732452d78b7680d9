//! Tests: the price of a guess, the pool that pays it, and when two codes are asked for.

use super::*;

#[test]
fn a_guess_costs_a_unit_for_each_three_positions() {
    let mut alice = Life::new();
    alice
        .record
        .devices
        .push(device(&user("alice"), "second", Parameters::default()));
    let wrong = alice.wrong();
    for left in [3, 1] {
        assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
        assert_eq!(alice.left(), left);
    }
    assert_eq!(
        alice.verdict(&wrong),
        Verdict::TwoCodesNeeded,
        "one unit does not pay for two devices"
    );
    assert_eq!(alice.ask(), Ask::TwoCodes);
    alice.pass(86400);
    assert_eq!(alice.left(), 2);
    assert_eq!(alice.ask(), Ask::OneCode);
    let mut carol = Life::new();
    for name in ["2", "3", "4", "5", "6"] {
        carol
            .record
            .devices
            .push(device(&user("alice"), name, Parameters::default()));
    }
    assert_eq!(
        carol.ask(),
        Ask::OneCode,
        "many devices do not cost their owner the single code"
    );
    let wrong = carol.wrong();
    assert_eq!(
        (carol.judged(&wrong, NONE).charged.unknown, carol.left()),
        (6, 0)
    );
    carol.pass(5 * 86400);
    assert_eq!(
        (carol.left(), carol.ask()),
        (4, Ask::TwoCodes),
        "the sixth unit is paid off"
    );
    carol.pass(86400);
    assert_eq!(carol.ask(), Ask::OneCode);
    let mut bob = Life::new();
    bob.policy.window = 2;
    let wrong = bob.wrong();
    assert_eq!(bob.judged(&wrong, NONE).charged.unknown, 2);
}

#[test]
fn who_has_devices_of_several_lengths_is_asked_for_what_is_enough_of_any() {
    let mut alice = Life::new();
    let eight = Parameters {
        digits: 8,
        ..Parameters::default()
    };
    for (name, parameters) in [("second", Parameters::default()), ("long", eight)] {
        alice
            .record
            .devices
            .push(device(&user("alice"), name, parameters));
    }
    let wrong = alice.wrong();
    for _ in 0..2 {
        assert_eq!(
            (alice.ask(), alice.verdict(&wrong)),
            (Ask::OneCode, Verdict::Rejected)
        );
    }
    assert_eq!(
        (alice.left(), alice.ask()),
        (1, Ask::TwoCodes),
        "one unit does not pay for a code of six digits"
    );
    let long = eight
        .code_at(&alice.keys()[2], eight.step_at(NOW))
        .to_string();
    assert_eq!(
        alice.verdict(&long),
        Verdict::Accepted,
        "for one of eight it does"
    );
}

#[test]
fn a_login_from_a_known_source_gives_back_what_its_wrong_codes_have_cost() {
    let mut alice = at_home();
    let wrong = alice.wrong();
    let cost = alice.judged(&wrong, NONE).charged;
    assert_eq!(
        (cost, alice.left()),
        (
            Units {
                known: 1,
                unknown: 0
            },
            4
        )
    );
    let right = alice.code(1);
    assert_eq!(
        (alice.judged(&right, cost.known).verdict, alice.left()),
        (Verdict::Accepted, 5)
    );
}

#[test]
fn a_login_from_a_new_source_gives_nothing_back() {
    let mut alice = at_home();
    let (wrong, right) = (alice.wrong(), alice.code(1));
    let _ = alice.verdict(&wrong);
    alice.comes_from("203.0.113.9");
    let _ = alice.verdict(&wrong);
    assert_eq!(alice.judged(&right, 1).verdict, Verdict::Accepted);
    assert_eq!(
        alice.left(),
        4,
        "it is known from now on, and nothing came back to the pool that it has from now on"
    );
    alice.source = Source::Untold;
    assert_eq!(alice.left(), 4, "nor to the other one");
}

#[test]
fn three_units_a_day_come_back_however_many_logins_there_are() {
    let mut alice = at_home();
    let wrong = alice.wrong();
    for (refund, left) in [(1, 5), (1, 5), (2, 4), (1, 3)] {
        (0..refund).for_each(|_| drop(alice.judged(&wrong, NONE)));
        alice.pass(90);
        let right = alice.code(0);
        assert_eq!(
            (alice.judged(&right, refund).verdict, alice.left()),
            (Verdict::Accepted, left)
        );
    }
    alice.pass(86400);
    let (right, left) = (alice.code(0), alice.left());
    assert_eq!(
        (alice.judged(&right, 1).verdict, alice.left()),
        (Verdict::Accepted, left + 1),
        "the next day"
    );
}

const REPEATED: Earlier = Earlier {
    refund: 0,
    repeated: true,
};

#[test]
fn a_repeated_answer_is_as_wrong_as_before_and_costs_nothing_also_when_nothing_is_left() {
    let mut alice = Life::new();
    let (wrong, other) = (alice.wrong(), alice.code(5));
    let _ = alice.verdict(&wrong);
    for left in [4, 0] {
        let before = alice.record.clone();
        let judged = alice.judged_after(&wrong, REPEATED);
        assert_eq!(
            (judged.verdict, judged.charged, judged.repeated),
            (Verdict::Rejected, Units::default(), true)
        );
        assert_eq!(
            (judged.next, alice.left()),
            (Some(before), left),
            "written like any other"
        );
        (0..left).for_each(|_| drop(alice.judged(&other, NONE)));
    }
    assert_eq!(
        (alice.verdict(&other), alice.ask()),
        (Verdict::TwoCodesNeeded, Ask::TwoCodes)
    );
    let pair = format!("{wrong}{wrong}");
    let before = alice.record.clone();
    assert_eq!(
        (alice.judged_after(&pair, REPEATED).verdict, &alice.record),
        (Verdict::Rejected, &before),
        "no wrong pair"
    );
    alice.suspect = true;
    assert_eq!(
        alice.judged_after(&wrong, REPEATED).verdict,
        Verdict::TwoCodesNeeded,
        "as any other from there"
    );
}

#[test]
fn no_answer_is_accepted_because_it_is_repeated() {
    let mut alice = Life::new();
    for typed in [alice.code(0), alice.code(0) + &alice.code(1)] {
        let before = alice.record.clone();
        assert_eq!(
            (alice.judged_after(&typed, REPEATED).verdict, &alice.record),
            (Verdict::Rejected, &before)
        );
    }
    let used = alice.code(0);
    assert_eq!(alice.verdict(&used), Verdict::Accepted);
    assert_eq!(
        alice.judged_after(&used, REPEATED).verdict,
        Verdict::Rejected
    );
}

#[test]
fn an_answer_is_compared_with_the_same_positions_until_the_next_step() {
    let mut alice = Life::new();
    alice.moment.now = NOW / 30 * 30;
    let hotp = device_of(
        Kind::Hotp,
        &user("alice"),
        "counter",
        Parameters {
            digits: 8,
            ..Parameters::default()
        },
    );
    alice.record.devices.push(hotp);
    let seen = |alice: &Life, typed: &str| {
        let answer = Answer::parse(&[SecretText::typed(typed.as_bytes())]).unwrap();
        let all = compared(&alice.record, &answer, &alice.now());
        all.into_iter()
            .map(|compared| (compared.device, compared.positions))
            .collect::<Vec<_>>()
    };
    let [six, eight] = ["123456", "12345678"].map(|typed| seen(&alice, typed));
    assert!(
        six.len() == 1 && eight.len() == 1 && six[0].0 != eight[0].0,
        "each by its own length"
    );
    let step = Parameters::default().step_at(alice.moment.now);
    assert_eq!(
        (six[0].1.clone(), seen(&alice, "123456123456")[0].1.clone()),
        (step - 1..=step + 1, step - 10..=step + 9)
    );
    alice.pass(29);
    assert_eq!(seen(&alice, "123456"), six);
    alice.pass(1);
    assert_ne!(seen(&alice, "123456"), six);
    assert_eq!(
        seen(&alice, "12345678"),
        eight,
        "a counter stays where it is"
    );
    alice.record.devices[1].spend(&[0]);
    assert_ne!(seen(&alice, "12345678"), eight);
}

/// Alice at a known address.
fn at_home() -> Life {
    let mut alice = Life::new();
    alice.comes_from("192.0.2.1");
    let first = alice.code(0);
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
    alice
}

#[test]
fn strangers_do_not_use_up_the_guesses_of_whom_the_owner_logs_in_from() {
    let mut alice = Life::new();
    alice.comes_from("192.0.2.1");
    let (first, wrong) = (alice.code(0), alice.wrong());
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
    alice.comes_from("203.0.113.9");
    for _ in 0..6 {
        let _ = alice.verdict(&wrong);
    }
    assert_eq!((alice.left(), alice.ask()), (0, Ask::TwoCodes));
    alice.comes_from("192.0.2.1");
    let next = alice.code(1);
    assert_eq!(
        (alice.left(), alice.ask(), alice.verdict(&next)),
        (5, Ask::OneCode, Verdict::Accepted)
    );
    assert_eq!(
        (alice.verdict(&wrong), alice.left()),
        (Verdict::Rejected, 4),
        "each pool pays for its own"
    );
    alice.pass(31 * 86400);
    assert_eq!(
        alice.left(),
        5,
        "after a month the address is like any other, and the stranger's guesses are back"
    );
    alice.source = Source::Untold;
    assert_eq!(alice.left(), 5);
}

#[test]
fn a_suspect_source_is_asked_for_two_codes_and_charged_nothing() {
    let mut alice = Life::new();
    alice.suspect = true;
    let (wrong, right) = (alice.wrong(), alice.code(0));
    assert_eq!(
        (alice.ask(), ask(None, &alice.now())),
        (Ask::TwoCodes, Ask::TwoCodes)
    );
    for single in [&wrong, &right] {
        assert_eq!(alice.verdict(single), Verdict::TwoCodesNeeded);
    }
    assert_eq!(alice.left(), 5);
    assert_eq!(
        alice.verdict(&format!("{right}{}", alice.code(1))),
        Verdict::Accepted,
        "never refused"
    );
}

/// Alice after a thousand wrong pairs.
fn after_many_wrong_pairs(mut alice: Life) -> Life {
    let wrong = alice.wrong();
    let pair = wrong.clone() + &wrong;
    for _ in 0..1000 {
        assert_eq!(alice.verdict(&pair), Verdict::Rejected);
    }
    alice
}

#[test]
fn after_a_thousand_wrong_pairs_a_pair_has_to_lie_in_the_window() {
    let mut alice = Life::new();
    let wrong = alice.wrong();
    for _ in 0..999 {
        assert_eq!(alice.verdict(&(wrong.clone() + &wrong)), Verdict::Rejected);
    }
    assert_eq!(alice.verdict_of_pair(-10), Verdict::Accepted, "not yet");
    for period in [15, 30, 60, 120] {
        let mut alice = Life::new();
        let parameters = Parameters {
            period,
            ..Parameters::default()
        };
        alice.record.devices = vec![device(&user("alice"), "default", parameters)];
        let mut alice = after_many_wrong_pairs(alice);
        let record = alice.record.clone();
        for (first, verdict) in [
            (-10, Verdict::Rejected),
            (-3, Verdict::Rejected),
            (-2, Verdict::Accepted),
            (-1, Verdict::Accepted),
            (0, Verdict::Accepted),
            (1, Verdict::Rejected),
            (9, Verdict::Rejected),
        ] {
            alice.record = record.clone();
            assert_eq!(
                alice.verdict_of_pair(first),
                verdict,
                "{first}, {period} seconds each"
            );
            if verdict == Verdict::Accepted {
                assert_eq!(alice.verdict_of_pair(first), Verdict::AlreadyUsed);
            }
        }
    }
    let mut alice = after_many_wrong_pairs(Life::new());
    assert_eq!(
        alice.ask(),
        Ask::OneCode,
        "single codes are paid for by themselves"
    );
    alice.pass(2 * 86400);
    assert_eq!(
        alice.verdict_of_pair(-10),
        Verdict::Accepted,
        "half of them are forgotten each day"
    );
}

#[test]
fn after_a_thousand_wrong_pairs_the_window_is_that_of_the_learned_drift() {
    let mut alice = Life::new();
    assert_eq!(
        alice.verdict_of_pair(-6),
        Verdict::Accepted,
        "four steps behind from now on"
    );
    alice.pass(3600);
    let mut alice = after_many_wrong_pairs(alice);
    for (first, verdict) in [
        (-1, Verdict::Rejected),
        (-3, Verdict::Rejected),
        (-5, Verdict::Accepted),
    ] {
        assert_eq!(alice.verdict_of_pair(first), verdict, "{first}");
    }
    assert_eq!(
        alice.verdict_of_pair(-4),
        Verdict::AlreadyUsed,
        "a code of the pair before"
    );
    alice.pass(60);
    assert_eq!(alice.verdict_of_pair(-4), Verdict::Accepted);
}

#[test]
fn after_a_thousand_wrong_pairs_whoever_types_the_present_code_and_the_next_is_in_with_any_window()
{
    for window in [0, 1, 4, 10] {
        let mut alice = Life::new();
        alice.policy.window = window;
        let mut alice = after_many_wrong_pairs(alice);
        let pair = alice.code(0) + &alice.code(1);
        alice.pass(30);
        assert_eq!(alice.verdict(&pair), Verdict::Accepted, "{window}");
        for first in [-11, 10] {
            assert_eq!(
                alice.verdict_of_pair(first),
                Verdict::Rejected,
                "{window}: never farther than before"
            );
        }
    }
}

#[test]
fn each_pool_has_its_own_thousand_wrong_pairs() {
    let mut alice = Life::new();
    alice.comes_from("192.0.2.1");
    let first = alice.code(0);
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
    alice.comes_from("203.0.113.9");
    let mut alice = after_many_wrong_pairs(alice);
    assert_eq!(alice.verdict_of_pair(5), Verdict::Rejected);
    alice.comes_from("192.0.2.1");
    assert_eq!(alice.verdict_of_pair(5), Verdict::Accepted);
}

#[test]
fn three_codes_are_no_answer_and_cost_nothing() {
    let mut alice = Life::new();
    let (before, three) = (
        alice.record.clone(),
        alice.code(-1) + &alice.code(0) + &alice.code(1),
    );
    assert_eq!(alice.verdict(&three), Verdict::Malformed);
    assert_eq!(alice.record, before);
}
