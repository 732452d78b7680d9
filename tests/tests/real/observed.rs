//! `roll-out.observe` denies no user but these: shut accounts, and accounts that may be shut.

use std::sync::Barrier;

use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::odd_names::with_odd_names;
use tests::stack::Stack;
use tests::world;

#[test]
fn a_shut_account_stays_shut_whatever_is_typed() {
    let _place = world::enter();
    let daemon = observing(Setup::new());
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let [code, next] = alice.pair();
    shut(&daemon, "alice");
    for typed in [
        &code,
        &alice.wrong(),
        "no code",
        "",
        "abcd-efgh",
        &format!("{code} {next}"),
    ] {
        assert!(is_refused(&daemon, "alice", typed), "{typed:?}");
    }
    assert!(
        !is_refused(&daemon, "bob", &bob.wrong()),
        "no other user is denied"
    );
}

#[test]
fn a_crowd_at_a_shut_account_gets_nobody_in() {
    let _place = world::enter();
    let daemon = observing(Setup::new());
    daemon.enroll("alice");
    shut(&daemon, "alice");
    let mut verdicts = Vec::new();
    while verdicts.len() < 50 * CROWD && !verdicts.iter().any(|verdict| verdict == "busy") {
        verdicts.extend(at_once(&daemon, "alice"));
    }
    for verdict in &verdicts {
        assert!(
            ["disabled", "busy"].contains(&verdict.as_str()),
            "{verdict}"
        );
    }
    assert!(
        verdicts.iter().any(|verdict| verdict == "busy"),
        "it was a crowd"
    );
}

#[test]
fn nobody_is_let_by_whose_record_cannot_be_read() {
    let _place = world::enter();
    let mut daemon = observing(Setup::new());
    let alice = daemon.enroll("alice");
    assert!(!is_refused(&daemon, "alice", &alice.wrong()));
    daemon.kill();
    daemon.setup.secrets = "2: another application secret of the tests\n".into();
    daemon.start_again();
    assert!(is_refused(&daemon, "alice", &alice.wrong()));
    let line = daemon.audited("alice", "refused");
    assert!(line.contains(" reason=no_application_secret"), "{line}");
    assert!(
        !is_refused(&daemon, "bob", "123456"),
        "a user without one is let by"
    );
}

/// A shut account may have another spelling, which the name service alone knows.
#[test]
fn nobody_is_let_by_while_the_name_service_does_not_answer() {
    let _place = world::enter();
    let daemon = observing(with_odd_names(Setup::new()));
    daemon.enroll("alice");
    shut(&daemon, "alice");
    for user in ["odd-ALICE", "odd-broken"] {
        assert!(is_refused(&daemon, user, "123456"), "{user}");
    }
    assert!(!is_refused(&daemon, "no-account", "123456"));
}

fn observing(setup: Setup) -> Daemon {
    setup.with("roll-out: {observe: true}\n").start()
}

fn shut(daemon: &Daemon, user: &str) {
    daemon.totpctl_json(&["disable", user, "--all"], "");
}

/// In a stack that succeeds if the module stands aside.
fn is_refused(daemon: &Daemon, user: &str, typed: &str) -> bool {
    let stack = Stack::expecting_ignore(daemon, "observed", "retry=1 nullok");
    stack.login(user, &[typed]).code != PamCode::SUCCESS
}

/// The verdicts on many attempts that begin together.
fn at_once(daemon: &Daemon, user: &str) -> Vec<String> {
    let (gate, attempt) = (
        Barrier::new(CROWD),
        json!({ "user": user, "service": "crowd", "codes": ["123456"] }),
    );
    let attempt = || {
        gate.wait();
        let told = daemon.call("Verify", &attempt).expect("a verdict");
        told["verdict"].as_str().expect("a word").to_owned()
    };
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..CROWD).map(|_| scope.spawn(attempt)).collect();
        crowd
            .into_iter()
            .map(|one| one.join().expect("a verdict"))
            .collect()
    })
}

const CROWD: usize = 40;
