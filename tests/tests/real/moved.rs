//! Accounts that get another name, and accounts that are forgotten.

use std::thread;

use serde_json::{Value, json};
use tests::daemon::{Daemon, authenticator};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

use crate::roles::{everything, refusal};

#[test]
fn devices_follow_a_renamed_account_and_what_was_used_stays_used() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "moved", "retry=1");
    let phone = daemon.enroll("alice");
    let [code, next] = phone.pair();
    let old = daemon.totpctl_json(&["enroll", "alice", "--device", "old", "--yes"], "");
    let used = authenticator(&old).code();
    let told = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("recovery codes");
    let recovery = told["recovery_codes"][0].as_str().expect("a code");
    for code in [&code, &used] {
        assert_eq!(stack.login("alice", &[code]).code, PamCode::SUCCESS);
    }
    daemon
        .call("Revoke", &json!({ "user": "alice", "device": "old" }))
        .expect("a revocation");
    let told = daemon.totpctl_json(&["rename-user", "alice", "alice-smith"], "");
    assert_eq!(told, json!({ "was": "alice", "user": "alice-smith" }));
    daemon.log.wait_for(&[
        "event=rename_user ",
        " user=alice ",
        " new_name=alice-smith",
    ]);
    // The account still has its old name, and the record of the new name is bound to its uid.
    assert_eq!(
        refusal(daemon.call("Show", &json!({ "user": "alice" }))),
        "BadParameter"
    );
    for typed in [&next, recovery] {
        assert_eq!(
            stack.login("alice", &[typed]).code,
            PamCode::AUTH_ERR,
            "no user has that name"
        );
    }
    assert_eq!(stack.login("alice-smith", &[&code]).code, PamCode::AUTH_ERR);
    daemon.audited("alice-smith", "already_used");
    for typed in [&next, recovery] {
        assert_eq!(stack.login("alice-smith", &[typed]).code, PamCode::SUCCESS);
    }
    // What is left of a revoked device has moved, too.
    let again =
        json!({ "user": "alice-smith", "device": "back", "key": old["key"], "active": true });
    daemon.call("Enroll", &again).expect("the same key");
    assert_eq!(stack.login("alice-smith", &[&used]).code, PamCode::AUTH_ERR);
}

#[test]
fn nobody_is_renamed_to_somebody_who_is_there() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "moved-onto", "retry=1");
    let [alice, bob] = ["alice", "bob"].map(|user| daemon.enroll(user).code());
    let before = everything(&daemon);
    let rename =
        |user: &str, new: &str| daemon.call("RenameUser", &json!({ "user": user, "new": new }));
    for (user, new, error) in [
        ("alice", "bob", "UserExists"),
        ("alice", "alice", "UserExists"),
        ("nobody-of-that-name", "carol", "NoSuchUser"),
        ("alice", "a/b", "BadParameter"),
        ("alice", "", "BadParameter"),
    ] {
        assert_eq!(refusal(rename(user, new)), error, "{user} {new}");
    }
    assert_eq!(everything(&daemon), before);
    for (user, code) in [("alice", &alice), ("bob", &bob)] {
        assert_eq!(stack.login(user, &[code]).code, PamCode::SUCCESS);
    }
}

#[test]
fn a_daemon_killed_while_it_renames_leaves_one_of_the_two() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("anna-0");
    for round in 0..8 {
        let (old, new) = (format!("anna-{round}"), format!("anna-{}", round + 1));
        let (socket, wish) = (daemon.login_socket(), json!({ "user": old, "new": new }));
        let renaming = thread::spawn(move || tests::wire::call(&socket, "RenameUser", &wish));
        if round % 2 == 0 {
            thread::yield_now();
        }
        daemon.kill();
        // Without an answer, the harness gives up the call.
        let answered = renaming.join().is_ok_and(|answer| answer.is_ok());
        daemon.start_again();
        let there = names(&daemon);
        assert!(
            there == [old.as_str()] || there == [new.as_str()],
            "{there:?}"
        );
        assert!(
            !answered || there == [new.as_str()],
            "what was answered is durable"
        );
        if there == [old.as_str()] {
            daemon
                .call("RenameUser", &json!({ "user": old, "new": new }))
                .expect("now it is");
        }
    }
}

#[test]
fn who_is_forgotten_is_somebody_who_never_came() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let strict = Stack::of(&daemon, "forgotten", "retry=1");
    daemon.enroll("bob");
    for (arguments, typed, exit) in [
        (&["forget", "alice"][..], "alic\n", 2),
        (&["forget", "alice"], "", 2),
        (&["forget", "nobody"], "nobody\n", 5),
    ] {
        assert_eq!(
            daemon.totpctl(arguments, typed).status.code(),
            Some(exit),
            "{arguments:?} {typed}"
        );
    }
    assert_eq!(names(&daemon), ["alice", "bob"]);
    let output = daemon.totpctl(&["forget", "alice"], "alice\n");
    assert!(output.status.success(), "{output:?}");
    daemon.log.wait_for(&["event=forget ", " user=alice "]);
    assert_eq!(names(&daemon), ["bob"]);
    assert_eq!(strict.login("alice", &[&code]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "not_enrolled");
    let nullok = Stack::expecting_ignore(&daemon, "forgotten-nullok", "nullok");
    assert_eq!(nullok.login("alice", &[]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["forget", "bob", "--yes"], "");
    assert_eq!(nullok.login("bob", &[]).code, PamCode::SUCCESS);
}

/// All users that have a record.
fn names(daemon: &Daemon) -> Vec<String> {
    let listed = daemon.totpctl_json(&["list"], "");
    let users = listed["users"].as_array().expect("users");
    users
        .iter()
        .filter_map(|user| user["user"].as_str().map(str::to_owned))
        .collect::<Vec<_>>()
}

#[test]
fn a_record_that_cannot_be_read_is_forgotten_all_the_same() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.kill();
    // The secret that it was written under is gone.
    daemon.setup.secrets = "2: another application secret of the tests\n".into();
    daemon.start_again();
    let shown = daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("what is known");
    assert_eq!(shown["user"]["damaged"], Value::Bool(true));
    let rename = daemon.call("RenameUser", &json!({ "user": "alice", "new": "carol" }));
    assert_eq!(refusal(rename), "RecordDamaged");
    daemon.totpctl_json(&["forget", "alice", "--yes"], "");
    // A store without users takes any secret.
    daemon.totpctl_json(&["reload"], "");
    daemon.enroll("alice");
}
