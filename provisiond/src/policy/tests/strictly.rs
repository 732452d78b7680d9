//! Tests: `policy.strict`, the lockout of a device after a hundred wrong answers (SP 800-63B-4).

use super::*;

/// A user under `policy.strict`, with the largest guess budget.
fn strictly() -> Life {
    Life {
        policy: Policy {
            budget: 1000,
            strict: true,
            ..POLICY
        },
        ..Life::new()
    }
}

#[test]
fn where_the_settings_are_strict_the_hundredth_wrong_answer_in_a_row_disables_the_device() {
    let mut alice = strictly();
    let (right, wrong) = (alice.code(0), alice.wrong());
    let pair = format!("{wrong} {wrong}");
    assert_eq!(alice.verdict(&right), Verdict::Accepted);
    for typed in std::iter::repeat_n(&wrong, 50).chain(std::iter::repeat_n(&pair, 49)) {
        let judged = alice.judged(typed, NONE);
        assert_eq!(
            (judged.verdict, judged.disabled),
            (Verdict::Rejected, Vec::new())
        );
    }
    for (typed, verdict) in [
        (right.as_str(), Verdict::AlreadyUsed),
        ("none", Verdict::Malformed),
    ] {
        assert_eq!(alice.verdict(typed), verdict, "which is no failure");
    }
    assert_eq!(alice.record.devices[0].state, State::Active);
    let judged = alice.judged(&wrong, NONE);
    assert_eq!(
        (judged.verdict, judged.disabled),
        (Verdict::Rejected, vec![DeviceName::new("default").unwrap()])
    );
    assert_eq!(alice.record.devices[0].state, State::Disabled);
    assert_eq!(
        alice.record.why_unusable(NOW, "sshd"),
        Some("strict_disabled")
    );
    alice.pass(30);
    assert_eq!(alice.verdict(&alice.code(0)), Verdict::Disabled);
}

#[test]
fn a_success_begins_the_count_anew_and_wrong_codes_that_are_given_back_stay_failures() {
    let mut alice = Life {
        source: Source::Terminal,
        ..strictly()
    };
    alice
        .record
        .devices
        .push(device(&user("alice"), "spare", Parameters::default()));
    alice.record.devices[1].state = State::Disabled;
    let wrong = alice.wrong();
    let most = 3;
    let guess = |alice: &mut Life, times| (0..times).for_each(|_| drop(alice.judged(&wrong, NONE)));
    guess(&mut alice, 99);
    assert_eq!(
        alice.judged(&alice.code(0), most).verdict,
        Verdict::Accepted
    );
    assert_eq!(alice.left(), 1000 - 99 + most);
    alice.record.devices[1].state = State::Active;
    guess(&mut alice, 99);
    assert_eq!(
        alice.record.active().count(),
        2,
        "neither the first ninety-nine nor a disabled device's count"
    );
    let used = alice.code(1);
    assert_eq!(
        alice.judged(&used, NONE).device,
        Some(DeviceName::new("default").unwrap())
    );
    let judged = alice.judged(&wrong, NONE);
    assert_eq!(
        judged.disabled,
        [DeviceName::new("spare").unwrap()],
        "the other one has opened nothing"
    );
    assert_eq!(alice.record.active().count(), 1);
}

#[test]
fn a_repeated_answer_is_a_failure_too() {
    let mut alice = strictly();
    let wrong = alice.wrong();
    assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
    let repeated = Earlier {
        refund: 0,
        repeated: true,
    };
    assert!((0..98).all(|_| alice.judged_after(&wrong, repeated).disabled.is_empty()));
    assert_eq!(
        alice.judged_after(&wrong, repeated).disabled,
        [DeviceName::new("default").unwrap()]
    );
}

#[test]
fn only_devices_whose_codes_are_as_long_are_disabled() {
    let mut alice = strictly();
    alice.record.devices.push(device(
        &user("alice"),
        "long",
        Parameters {
            digits: 8,
            ..Parameters::default()
        },
    ));
    let wrong = alice.wrong();
    let disabled: Vec<DeviceName> = (0..100)
        .flat_map(|_| alice.judged(&wrong, NONE).disabled)
        .collect();
    assert_eq!(disabled, [DeviceName::new("default").unwrap()]);
    assert_eq!(
        alice.verdict(&wrong),
        Verdict::Malformed,
        "the long one is asked for a long code"
    );
}

#[test]
fn where_they_are_not_nothing_is_counted_so_that_switching_it_on_disables_nobody_at_once() {
    let mut alice = Life {
        policy: Policy {
            strict: false,
            ..strictly().policy
        },
        ..Life::new()
    };
    let wrong = alice.wrong();
    assert!((0..500).all(|_| alice.judged(&wrong, NONE).disabled.is_empty()));
    alice.policy.strict = true;
    assert!((0..99).all(|_| alice.judged(&wrong, NONE).disabled.is_empty()));
    alice.policy.strict = false;
    assert!(alice.judged(&wrong, NONE).disabled.is_empty());
    alice.policy.strict = true;
    assert!(
        alice.judged(&wrong, NONE).disabled.is_empty(),
        "switched off in between"
    );
    assert_eq!(alice.record.active().count(), 1);
}
