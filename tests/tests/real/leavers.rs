//! The end of a user's devices: which are stale or expire soon, and records whose account is gone.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::odd_names::with_odd_names;
use tests::world;

#[test]
fn users_without_an_account_are_disabled_first_and_forgotten_by_a_later_run() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    for user in ["left-1", "left-2"] {
        daemon.enroll(user);
    }
    let gc = |options: &[&str]| daemon.totpctl_json(&[&["gc"], options].concat(), "");
    let told = |users: &[&str], step: &str, done: bool, others: usize| json!({ "users": users, "step": step, "done": done, "others": others });
    let both = &["left-1", "left-2"];
    assert_eq!(gc(&[]), told(both, "disable", false, 0));
    assert_eq!(gc(&["--forget", "--yes"]), told(&[], "forget", true, 2));
    assert!(!is_disabled(&daemon, "left-1"), "a plan changes nothing");
    assert_eq!(gc(&["--yes"]), told(both, "disable", true, 0));
    assert!(is_disabled(&daemon, "left-1") && is_disabled(&daemon, "left-2"));
    assert!(!is_disabled(&daemon, "alice"));
    assert_eq!(gc(&["--yes"]), told(&[], "disable", true, 2));
    assert_eq!(gc(&["--forget"]), told(both, "forget", false, 0));
    assert!(is_disabled(&daemon, "left-1"), "a plan changes nothing");
    assert_eq!(gc(&["--forget", "--yes"]), told(both, "forget", true, 0));
    for user in both {
        let shown = daemon.call("Show", &json!({ "user": user }));
        assert_eq!(shown.expect_err("no record").0, "NoSuchUser", "{user}");
    }
    assert_eq!(gc(&[]), told(&[], "disable", false, 0));
}

#[test]
fn while_a_directory_may_be_away_nothing_is_disabled_or_forgotten() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let crowd: Vec<String> = (0..10).map(|n| format!("away-{n}")).collect();
    daemon.enroll_many(&crowd);
    daemon.enroll("alice");
    let refused = |told: &Output, why: &str| {
        let text = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(2), "{text}");
        assert!(
            text.contains(why) && text.contains("nothing was changed"),
            "{text}"
        );
    };
    for options in [&["--yes"][..], &[]] {
        let told = daemon.totpctl(&[&["gc"], options].concat(), "");
        refused(&told, "10 of 11 users have no account");
    }
    refused(
        &daemon.totpctl(&["gc", "--yes", "--expect", "9"], ""),
        "--expect says 9",
    );
    assert!(!is_disabled(&daemon, "away-0"));
    let done = daemon.totpctl_json(&["gc", "--yes", "--expect", "10"], "");
    assert_eq!(done["users"].as_array().map(Vec::len), Some(10));
    assert!(is_disabled(&daemon, "away-9"));
}

#[test]
fn while_the_name_service_fails_for_one_user_no_other_is_disabled() {
    let _place = world::enter();
    let daemon = Daemon::start();
    // The directory's server cannot be reached, so that it says nothing of the second user.
    for user in ["left-3", "odd-broken-one"] {
        daemon.enroll(user);
    }
    let gc = Command::new(world::built("totpctl"))
        .envs(with_odd_names(Setup::new()).environment)
        .arg("--socket")
        .arg(daemon.login_socket())
        .args(["gc", "--yes"])
        .output()
        .expect("totpctl");
    let text = String::from_utf8_lossy(&gc.stderr).into_owned();
    assert_eq!(gc.status.code(), Some(2), "{text}");
    assert!(
        text.contains("whether 'odd-broken-one' has an account"),
        "{text}"
    );
    for user in ["left-3", "odd-broken-one"] {
        assert!(!is_disabled(&daemon, user), "{user}");
    }
}

#[test]
fn devices_that_expire_soon_and_users_that_have_used_none_for_long_are_listed() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let day = |days: &str| {
        let date = Command::new("date")
            .args(["-u", "-d", days, "+%F"])
            .output();
        let date = String::from_utf8(date.expect("date").stdout).expect("text");
        date.trim().to_owned()
    };
    for (user, until) in [
        ("alice", Some("+10 days")),
        ("bob", Some("+30 days")),
        ("carol", None),
    ] {
        daemon.enroll(user);
        if let Some(until) = until {
            daemon.totpctl_json(&["restrict", user, "--until", &day(until)], "");
        }
    }
    daemon.totpctl_json(&["enroll", "alice", "--device", "tablet", "--yes"], "");
    let told = daemon.totpctl_json(&["list", "--expiring", "14d"], "");
    let users = told["users"].as_array().expect("users");
    assert_eq!((users.len(), &users[0]["user"]), (1, &json!("alice")));
    let devices = users[0]["devices"].as_array().expect("devices");
    assert_eq!((devices.len(), &devices[0]["name"]), (1, &json!("default")));
    let table = text(&daemon.totpctl(&["list", "--expiring", "60d"], ""));
    assert!(table.starts_with("USER   DEVICE   USABLE UNTIL"), "{table}");
    assert!(table.contains("\nbob    default  "), "{table}");
    let none = text(&daemon.totpctl(&["list", "--expiring", "1d"], ""));
    assert_eq!(none, "no device's last day comes in that time\n");

    let none = text(&daemon.totpctl(&["list", "--stale", "90d"], ""));
    assert!(
        none.starts_with("every user with an active device"),
        "{none}"
    );
    let refused = daemon.totpctl(&["list", "--stale", "long"], "");
    assert_eq!(refused.status.code(), Some(2));
}

fn is_disabled(daemon: &Daemon, user: &str) -> bool {
    let shown = daemon.call("Show", &json!({ "user": user }));
    shown.expect("a user")["user"]["disabled"] == Value::Bool(true)
}

fn text(told: &Output) -> String {
    String::from_utf8_lossy(&told.stdout).into_owned()
}
