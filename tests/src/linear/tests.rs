use super::logins::Told::{Accepted, Enrolled, Forgotten, Refused, Shown};
use super::logins::{Known, Told};
use super::*;
use crate::random::Random;

/// A history of one user: calls that began and ended then.
fn of<const N: usize>(calls: [(Told, u64, u64); N]) -> Vec<(&'static str, Operation<Told>)> {
    let operation = |(call, begun, ended)| Operation {
        call,
        begun,
        ended: Some(ended),
    };
    let of_alice = |call| ("alice", operation(call));
    calls.into_iter().map(of_alice).collect()
}

/// A call of unknown outcome.
fn unknown(call: Told, begun: u64) -> (&'static str, Operation<Told>) {
    let operation = Operation {
        call,
        begun,
        ended: None,
    };
    ("alice", operation)
}

fn is_linearizable(history: &[(&'static str, Operation<Told>)]) -> bool {
    check(history).is_ok()
}

#[test]
fn two_logins_by_one_code_are_a_violation_that_is_shown() {
    let history = of([
        (Enrolled(1), 0, 1),
        (Accepted(1, 7), 2, 9),
        (Accepted(1, 7), 3, 8),
    ]);
    let violation = check(&history).unwrap_err();
    assert_eq!((violation.placed.len(), violation.left.len()), (2, 1));
    let shown = violation.to_string();
    assert!(
        shown.contains("alice") && shown.contains("Accepted(1, 7)"),
        "{shown}"
    );
}

#[test]
fn a_login_by_a_code_whose_use_was_acknowledged_is_a_violation() {
    assert!(!is_linearizable(&of([
        (Enrolled(1), 0, 1),
        (Accepted(1, 7), 2, 3),
        (Refused(1, 7), 4, 5),
        (Accepted(1, 7), 6, 7),
    ])));
}

#[test]
fn a_code_that_is_refused_before_its_use_is_a_violation_and_not_beside_it() {
    let with_a_refusal = |begun, ended| {
        of([
            (Enrolled(1), 0, 1),
            (Refused(1, 7), begun, ended),
            (Accepted(1, 7), 4, 6),
        ])
    };
    assert!(!is_linearizable(&with_a_refusal(2, 3)));
    assert!(is_linearizable(&with_a_refusal(2, 5)));
    assert!(is_linearizable(&with_a_refusal(7, 8)));
}

#[test]
fn an_acknowledged_enrolment_that_is_lost_is_a_violation() {
    let lost = [Shown(None), Refused(1, 7), Enrolled(2)];
    for lost in lost {
        let history = of([(Enrolled(1), 0, 1), (lost, 2, 3)]);
        assert!(!is_linearizable(&history), "{lost:?}");
    }
}

#[test]
fn an_acknowledged_use_that_is_lost_is_a_violation_however_many_logins_are_in_doubt() {
    let mut history = of([
        (Enrolled(1), 0, 1),
        (Accepted(1, 7), 2, 3),
        (Accepted(1, 7), 20, 21),
    ]);
    history.extend((4..16).map(|begun| unknown(Accepted(1, 7), begun)));
    assert!(!is_linearizable(&history));
}

#[test]
fn a_stale_read_is_a_violation() {
    let with_a_look = |begun, ended| {
        of([
            (Enrolled(1), 0, 1),
            (Forgotten, 2, 5),
            (Shown(Some(1)), begun, ended),
        ])
    };
    assert!(is_linearizable(&with_a_look(3, 9)));
    assert!(!is_linearizable(&with_a_look(6, 9)));
}

#[test]
fn a_call_of_unknown_outcome_may_be_made_late_or_never_but_not_before_it_began() {
    let in_doubt = |begun, rest: Vec<_>| {
        let mut history = of([(Enrolled(1), 0, 1)]);
        history.push(unknown(Accepted(1, 7), begun));
        history.extend(rest);
        is_linearizable(&history)
    };
    assert!(in_doubt(2, of([(Refused(1, 7), 100, 101)])));
    assert!(in_doubt(2, of([(Accepted(1, 7), 100, 101)])));
    assert!(!in_doubt(9, of([(Refused(1, 7), 3, 4)])));
    let both = of([(Refused(1, 7), 3, 4), (Accepted(1, 7), 5, 6)]);
    assert!(!in_doubt(2, both), "spent, and opened a login later");
}

#[test]
fn of_twenty_logins_at_once_any_one_may_win_and_only_one() {
    for winner in 0..20_u64 {
        let mut history = of([(Enrolled(1), 0, 1)]);
        history.extend((0..20).flat_map(|number| {
            let told = match number == winner {
                true => Accepted(1, 7),
                false => Refused(1, 7),
            };
            of([(told, 2 + number, 50 + number)])
        }));
        assert!(is_linearizable(&history), "{winner}");
        history.extend(of([(Accepted(1, 7), 30, 40)]));
        assert!(!is_linearizable(&history), "{winner}");
    }
}

#[test]
fn each_step_and_each_device_has_a_use_of_its_own_and_users_do_not_matter_to_each_other() {
    let mut history = of([
        (Enrolled(1), 0, 1),
        (Accepted(1, 7), 2, 3),
        (Accepted(1, 8), 4, 5),
        (Refused(1, 6), 6, 7),
        (Forgotten, 8, 9),
        (Enrolled(2), 10, 11),
        (Refused(1, 9), 12, 13),
        (Accepted(2, 7), 14, 15),
    ]);
    let of_bob = of([(Enrolled(1), 20, 21), (Accepted(1, 7), 22, 23)]);
    history.extend(of_bob.into_iter().map(|(_, operation)| ("bob", operation)));
    assert!(is_linearizable(&history));
}

#[test]
fn the_same_calls_in_another_order_may_leave_another_state() {
    for device in [1, 2] {
        let history = of([
            (Enrolled(1), 0, 5),
            (Forgotten, 0, 5),
            (Enrolled(2), 0, 5),
            (Shown(Some(device)), 6, 7),
        ]);
        assert!(is_linearizable(&history), "{device}");
    }
}

/// Every order of every choice of the calls in doubt is tried, without any memory.
fn is_explained_by_some_order(waiting: &[Operation<Told>], state: &Known) -> bool {
    if waiting.iter().all(|operation| operation.ended.is_none()) {
        return true;
    }
    (0..waiting.len()).any(|index| {
        let mut others = waiting.to_vec();
        let next = others.remove(index);
        let is_first = |other: &Operation<Told>| other.ended.is_none_or(|end| next.begun <= end);
        let after = next.call.after(state);
        others.iter().all(is_first)
            && after.is_some_and(|after| is_explained_by_some_order(&others, &after))
    })
}

fn call(random: &mut Random) -> Told {
    let device = 1 + u32::from(random.one_in(4));
    let step = 7 + u64::from(random.one_in(2));
    match random.below(10) {
        0..2 => Enrolled(device),
        2 => Forgotten,
        3 => Shown((!random.one_in(3)).then_some(device)),
        4..8 => Accepted(device, step),
        _ => Refused(device, step),
    }
}

fn operation(random: &mut Random) -> Operation<Told> {
    let begun = random.below(12) as u64;
    Operation {
        call: call(random),
        begun,
        ended: (!random.one_in(5)).then(|| begun + random.below(6) as u64),
    }
}

#[test]
fn the_search_finds_an_order_exactly_where_trying_all_orders_does() {
    let mut linearizable = 0;
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed);
        let calls = random.below(7);
        let mut all: Vec<_> = (0..calls).map(|_| operation(&mut random)).collect();
        // Most random histories would fail at their first call.
        all.insert(
            0,
            Operation {
                call: Enrolled(1),
                begun: 0,
                ended: Some(0),
            },
        );
        let history: Vec<_> = all.iter().map(|told| ("alice", told.clone())).collect();
        let by_all_orders = is_explained_by_some_order(&all, &Known::default());
        assert_eq!(
            is_linearizable(&history),
            by_all_orders,
            "{seed}: {history:?}"
        );
        linearizable += u64::from(by_all_orders);
    }
    let few = HISTORIES / 5;
    assert!((few..4 * few).contains(&linearizable), "{linearizable}");
}

const HISTORIES: u64 = 5000;
