//! `policy.strict`: a hundred wrong answers in a row, and what remains.

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::roles::{and, refusal};

const STRICT: &str = "policy: {strict: true, budget: 1000}\n";

#[test]
fn the_hundredth_wrong_answer_in_a_row_disables_the_device_and_a_recovery_code_still_opens() {
    let _place = world::enter();
    let daemon = Setup::new().with(STRICT).start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice", "active": true }))
        .expect("an enrolment");
    let (device, recovery) = (
        authenticator(&told),
        told["recovery_codes"][0].as_str().expect("a code"),
    );
    let right = device.code_at(1);
    let stack = Stack::of(&daemon, "strict", "retry=1");
    guess(&daemon, &device, 99);
    assert_eq!(
        (
            state(&daemon),
            daemon.logged(&["event=strict_disabled "]).len()
        ),
        (json!("active"), 0)
    );
    let hundredth = stack.login("alice", &[&device.wrong()]);
    assert_eq!(
        (hundredth.code, state(&daemon)),
        (PamCode::AUTH_ERR, json!("disabled"))
    );
    daemon.log.wait_for(&[
        "event=strict_disabled ",
        " user=alice ",
        " device=default ",
        " failures=100",
    ]);
    let refused = stack.login("alice", &[&right]);
    assert_eq!(
        (refused.code, &refused.said),
        (PamCode::AUTH_ERR, &hundredth.said),
        "as if it were wrong"
    );
    let line = daemon.audited("alice", "disabled");
    assert!(line.contains(" reason=strict_disabled"), "{line}");
    let why = String::from_utf8_lossy(&daemon.totpctl(&["why", "alice"], "").stdout).into_owned();
    assert!(why.contains("a hundred wrong answers in a row"), "{why}");
    assert_eq!(stack.login("alice", &[recovery]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["enable", "alice"], "");
    guess(&daemon, &device, 1);
    assert_eq!(
        state(&daemon),
        "active",
        "an administrator's word begins the count anew"
    );
    assert_eq!(stack.login("alice", &[&right]).code, PamCode::SUCCESS);
}

#[test]
fn a_login_begins_the_count_anew() {
    let _place = world::enter();
    let daemon = Setup::new().with(STRICT).start();
    let device = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "anew", "retry=1");
    guess(&daemon, &device, 99);
    assert_eq!(
        stack.login("alice", &[&device.code()]).code,
        PamCode::SUCCESS
    );
    guess(&daemon, &device, 99);
    assert_eq!(state(&daemon), "active");
    guess(&daemon, &device, 1);
    assert_eq!(state(&daemon), "disabled");
}

#[test]
fn wrong_proofs_count_as_wrong_logins_do_and_the_owner_undoes_it_with_a_recovery_code() {
    let _place = world::enter();
    let daemon = Setup::new().with(STRICT).start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice", "active": true }))
        .expect("an enrolment");
    let (device, recovery) = (authenticator(&told), &told["recovery_codes"][0]);
    guess(&daemon, &device, 99);
    let enable = |proof: Value| {
        let wish = and(
            &json!({ "device": "default", "state": "active" }),
            "proof",
            &proof,
        );
        daemon.call_as(&Caller::user("alice"), "SetState", &wish)
    };
    assert_eq!(refusal(enable(json!(device.wrong()))), "ProofRequired");
    daemon
        .log
        .wait_for(&["event=strict_disabled ", " user=alice ", " device=default "]);
    assert_eq!(state(&daemon), "disabled");
    assert_eq!(refusal(enable(json!(device.code()))), "ProofRequired");
    enable(recovery.clone()).expect("a recovery code is a proof");
    assert_eq!(state(&daemon), "active");
}

#[test]
fn a_name_behind_which_there_is_nobody_is_judged_on_after_a_hundred_wrong_answers() {
    let _place = world::enter();
    let daemon = Setup::new().with("policy: {strict: true}\n").start();
    let pair =
        json!({ "user": "nobody-here", "codes": ["123456", "654321"], "service": "guesses" });
    let asks = |attempt: &Value| daemon.call("Verify", attempt).expect("a verdict")["ask"].clone();
    for code in ["123451", "123452", "123453", "123454", "123455"] {
        asks(&json!({ "user": "nobody-here", "codes": [code], "service": "guesses" }));
    }
    assert!((0..120).all(|_| asks(&pair) == "two_codes"));
    assert_eq!(
        daemon.logged(&["event=strict_disabled "]),
        Vec::<String>::new()
    );
}

/// One wrong code, again and again. It costs one guess, and every time it is a failure.
fn guess(daemon: &Daemon, device: &Authenticator, times: usize) {
    let wrong = json!({ "user": "alice", "codes": [device.wrong()], "service": "guesses" });
    for _ in 0..times {
        assert_eq!(
            daemon.call("Verify", &wrong).expect("a verdict")["verdict"],
            "rejected"
        );
    }
}

fn state(daemon: &Daemon) -> Value {
    daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("a user")["user"]["devices"][0]["state"]
        .clone()
}
