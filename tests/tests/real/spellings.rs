//! Accounts that the name service knows by several spellings, and a name service that does not answer.

use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::odd_names::with_odd_names;
use tests::stack::Stack;
use tests::world;

#[test]
fn every_spelling_of_an_account_is_the_same_person() {
    let _place = world::enter();
    let daemon = daemon();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "spelt", "retry=1");
    let code = alice.code();
    assert_eq!(stack.login("odd-ALICE", &[&code]).code, PamCode::SUCCESS);
    for spelling in ["alice", "odd-alice", "ODD-Alice"] {
        assert_eq!(stack.login(spelling, &[&code]).code, PamCode::AUTH_ERR, "{spelling}");
        let line = daemon.log.wait_for_many(1, &["event=verify user=alice ", " verdict=already_used"]);
        assert!(line[0].contains(" service=spelt "), "{line:?}");
    }
    daemon.log.wait_for(&["event=verify user=alice spelt=odd-ALICE ", " verdict=accepted"]);
    for spelling in ["alice", "odd-alice", "ODD-ALICE", "Odd-Alice", "alice"] {
        assert_eq!(stack.login(spelling, &[&alice.wrong()]).code, PamCode::AUTH_ERR);
    }
    assert_eq!(daemon.budget("alice"), 0, "one budget for all of them");
    let shown = daemon.totpctl_json(&["show", "odd-alicE"], "");
    assert_eq!(shown["user"], "alice", "{shown}");
    let (error, _) = daemon.call("Enroll", &json!({ "user": "odd-ALICE", "device": "default" })).expect_err("a device");
    assert_eq!(error, "DeviceExists");
}

#[test]
fn nobody_is_let_by_as_not_enrolled_while_the_name_service_does_not_answer() {
    let _place = world::enter();
    let daemon = daemon();
    let passes =
        |user: &str| Stack::expecting_ignore(&daemon, "spelt-nullok", "nullok retry=1").login(user, &["123456"]).code;
    assert_eq!((passes("no-account"), passes("odd-broken")), (PamCode::SUCCESS, PamCode::AUTH_ERR));
    let told = |user: &str| Stack::of(&daemon, "spelt-unknown", "user_unknown retry=1").login(user, &["123456"]).code;
    assert_eq!((told("no-account"), told("odd-broken")), (PamCode::USER_UNKNOWN, PamCode::AUTH_ERR));
    daemon.log.wait_for(&["user=odd-broken ", " verdict=refused ", " reason=no_answer_from_name_service"]);
}

#[test]
fn a_name_service_that_hangs_keeps_nobody_from_logging_in() {
    let _place = world::enter();
    let daemon = daemon();
    let (root, alice) = (daemon.enroll("root"), daemon.enroll("alice"));
    let stack = Stack::of(&daemon, "spelt-hung", "retry=1");
    // Two questions each: more than there are threads to ask with.
    for number in 0..3 {
        let refused = stack.login(&format!("odd-hung-{number}"), &["123456"]).code;
        assert_eq!(refused, PamCode::AUTH_ERR, "an answer, and in time");
    }
    assert_eq!(stack.login("root", &[&root.code()]).code, PamCode::SUCCESS);
    assert_eq!(stack.login("alice", &[&alice.code()]).code, PamCode::SUCCESS);
}

fn daemon() -> Daemon {
    with_odd_names(Setup::new()).start()
}
