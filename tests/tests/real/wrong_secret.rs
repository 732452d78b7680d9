//! An application secret that has another value than before, under its old tag: the daemon says so
//! once, and seals nothing under it.

use nix::sys::signal::Signal;
use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

const WRONG: &str = "1: another application secret of the tests\n";

/// The secret of tag 1 is wrong: no user is enrolled, and no login is judged.
fn seals_nothing(daemon: &Daemon) {
    let status = daemon.call("Status", &json!({})).expect("its state");
    assert_eq!(status["wrong_secrets"], json!(["1"]), "{status}");
    let told = daemon.totpctl(&["status"], "");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("another application secret than before under 1;"),
        "{told}"
    );
    let (error, why) = daemon
        .call("Enroll", &json!({ "user": "bob", "active": true }))
        .expect_err("nothing is sealed");
    assert_eq!(error, "BadParameter", "{why}");
    let stack = Stack::of(daemon, "wrong-secret", "retry=1");
    for user in ["alice", "bob"] {
        assert_eq!(stack.login(user, &["123456"]).code, PamCode::AUTH_ERR);
        daemon.audited(user, "refused");
    }
}

#[test]
fn a_wrong_secret_is_noticed_at_the_start_and_nothing_is_sealed_under_it() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    assert!(daemon.terminate().success());
    let right = std::mem::replace(&mut daemon.setup.secrets, WRONG.to_owned());
    daemon.start_again();
    daemon.log.wait_for(&["event=wrong_secret tag=1"]);
    seals_nothing(&daemon);
    assert!(daemon.terminate().success());
    daemon.setup.secrets = right;
    daemon.start_again();
    let told = daemon.log.with(&["event=wrong_secret"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let login = Stack::of(&daemon, "right-secret", "").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    daemon.enroll("bob");
}

/// As after `provisiond --new-secret > secrets`: the tag is new as well.
#[test]
fn a_secret_that_was_lost_and_made_anew_is_noticed_and_no_user_is_enrolled_under_it() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    assert!(daemon.terminate().success());
    let made = "1790000000: another application secret of the tests\n".to_owned();
    let right = std::mem::replace(&mut daemon.setup.secrets, made);
    daemon.start_again();
    daemon.log.wait_for(&["event=wrong_secret tag=1790000000"]);
    let enrolled = daemon.call("Enroll", &json!({ "user": "bob", "active": true }));
    assert_eq!(enrolled.expect_err("nothing is sealed").0, "BadParameter");
    assert!(daemon.terminate().success());
    daemon.setup.secrets += &right;
    daemon.start_again();
    daemon.enroll("bob");
    let login = Stack::of(&daemon, "found-again", "").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
}

#[test]
fn a_wrong_secret_is_noticed_at_a_reload_and_so_is_the_right_one() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let file = daemon.setup.folder.join("secrets");
    world::write_for_daemon(&file, WRONG);
    daemon.signal(Signal::SIGHUP);
    daemon.log.wait_for(&["event=reloaded"]);
    daemon.log.wait_for(&["event=wrong_secret tag=1"]);
    seals_nothing(&daemon);
    world::write_for_daemon(&file, &daemon.setup.secrets);
    daemon.totpctl_json(&["reload"], "");
    daemon.enroll("bob");
}

#[test]
fn a_new_tag_and_a_store_without_users_are_no_alarm() {
    let _place = world::enter();
    let mut daemon = Setup::new().start();
    assert!(daemon.terminate().success());
    daemon.setup.secrets = WRONG.to_owned();
    daemon.start_again();
    let alice = daemon.enroll("alice");
    assert!(daemon.terminate().success());
    daemon.setup.secrets += "2: a third application secret of the tests\n";
    daemon.start_again();
    daemon.enroll("bob");
    let login = Stack::of(&daemon, "new-tag", "").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    assert!(daemon.log.with(&["event=wrong_secret"]).is_empty());
}
