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

/// Records go by the name service's spelling, which may become another.
#[test]
fn who_was_enrolled_by_an_earlier_spelling_is_not_somebody_new() {
    let _place = world::enter_alone();
    let mut daemon = with_odd_names(Setup::new().with("unknown-users: skip\n")).start();
    // Accounts that do not exist: each name stands for itself.
    let zoe = daemon.enroll("odd-Zoe");
    daemon.enroll_many(&["carla".into(), "dora".into()]);
    daemon.kill();
    for account in ["zoe", "Carla", "dora", "Dora"] {
        world::run("useradd", &["--badname", "--no-create-home", "--password", "*", account]);
    }
    daemon.start_again();
    let log_in =
        |user: &str| Stack::expecting_ignore(&daemon, "respelt", "nullok user_unknown retry=1").login(user, &["1"]);
    for (user, now) in [("odd-Zoe", "zoe"), ("Carla", "Carla"), ("odd-CARLA", "Carla")] {
        let login = log_in(user);
        assert_eq!((login.code, login.prompts().len()), (PamCode::AUTH_ERR, 1), "{user}");
        let line = daemon.log.wait_for(&["event=verify ", &format!(" user={now} "), " reason=other_spelling"]);
        assert!(line.contains(" verdict=refused "), "{line}");
        assert!(daemon.call("Ticket", &json!({ "user": user })).is_err(), "{user} has no first device before them");
    }
    assert_eq!(log_in("Dora").code, PamCode::SUCCESS, "the name service knows another by the small letters");
    daemon.totpctl_json(&["rename-user", "odd-Zoe", "zoe"], "");
    assert_eq!(Stack::of(&daemon, "respelt", "").login("odd-Zoe", &[&zoe.code()]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["forget", "odd-zoe", "--yes"], "");
    assert_eq!(log_in("odd-Zoe").code, PamCode::SUCCESS);
}

#[test]
fn who_was_shut_out_by_an_earlier_spelling_is_not_let_by() {
    let _place = world::enter_alone();
    let mut daemon = with_odd_names(Setup::new().with("roll-out: {observe: true}\n")).start();
    daemon.enroll("odd-Yan");
    daemon.totpctl_json(&["disable", "odd-Yan", "--all"], "");
    daemon.kill();
    world::run("useradd", &["--no-create-home", "--password", "*", "yan"]);
    daemon.start_again();
    let stack = Stack::expecting_ignore(&daemon, "shut-respelt", "nullok retry=1");
    assert_eq!(stack.login("odd-Yan", &["123456"]).code, PamCode::AUTH_ERR);
}

fn daemon() -> Daemon {
    with_odd_names(Setup::new()).start()
}
