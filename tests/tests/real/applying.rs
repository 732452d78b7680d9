//! `totpctl apply`: users and devices become what a file says; applied again, the file changes
//! nothing; a file with an error changes nothing at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::oathtool::Authenticator;
use tests::odd_names::with_odd_names;
use tests::wire::Caller;
use tests::world;

const STAFF: &str = "\
users:
  alice:
    devices:
      phone: {services: [sudo, su], until: 2099-12-31}
      tablet: {state: active}
      watch:
    exclusive: true
  bob: {state: disabled}
  carol: {enroll: ticket, devices: {phone: }}
";

#[test]
fn users_become_what_a_file_says_and_applied_again_it_changes_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (phone, tablet) = (
        daemon.enroll_as("alice", "phone"),
        daemon.enroll_as("alice", "tablet"),
    );
    let (old, bob) = (daemon.enroll_as("alice", "old"), daemon.enroll("bob"));
    let disable = ["disable", "alice", "--device", "tablet"];
    assert!(daemon.totpctl(&disable, "").status.success());
    let tickets = world::scratch_folder("tickets").join("tickets.jsonl");
    let tickets = tickets.to_str().expect("a path");
    let apply = |more: &[&str]| {
        daemon.totpctl(
            &[&["--json", "apply", "-", "--tickets", tickets], more].concat(),
            STAFF,
        )
    };

    let before = state(&daemon);
    let checked = told(&apply(&["--check", "--diff"]));
    assert_eq!(state(&daemon), before, "--check changes nothing");
    assert!(fs::metadata(tickets).is_err(), "and issues no ticket");
    let counts = |told: &Value| {
        ["changed", "unchanged", "failed", "to_enroll"]
            .map(|count| told[count].as_u64().expect("a count"))
    };
    assert_eq!(counts(&checked), [3, 0, 0, 2], "{checked}");
    let diff = &checked["diff"];
    for (side, line) in [
        ("before", "    old:\n"),
        (
            "after",
            "      until: 2099-12-31\n      services: [su, sudo]\n",
        ),
        ("after", "bob:\n  state: disabled\n"),
    ] {
        assert!(
            diff[side].as_str().expect("text").contains(line),
            "{side} {line}: {diff}"
        );
    }

    let first = apply(&[]);
    let applied = told(&first);
    assert_eq!(counts(&applied), [3, 0, 0, 2], "{applied}");
    assert_eq!(changes_of(&applied, "alice"), changes_of(&checked, "alice"));
    for (user, device, service, verdict) in [
        ("alice", &phone, "sudo", "accepted"),
        ("alice", &tablet, "sshd", "accepted"),
        ("alice", &old, "sshd", "rejected"),
        ("alice", &phone, "sshd", "rejected"),
        ("bob", &bob, "sshd", "disabled"),
    ] {
        assert_eq!(
            judged(&daemon, user, device, service),
            verdict,
            "{user} {service}"
        );
    }
    let ticket = fs::read_to_string(tickets).expect("the tickets");
    assert_eq!(
        fs::metadata(tickets).expect("it").permissions().mode() & 0o7777,
        0o600
    );
    let issued: Value = serde_json::from_str(&ticket).expect("one line of JSON");
    let code = issued["code"].as_str().expect("a code");
    assert_eq!(issued["user"], "carol");
    let printed = format!("{first:?}{}", daemon.log.text());
    assert!(!printed.contains(code), "the ticket is in the file alone");

    let again = told(&apply(&["--diff"]));
    assert_eq!(counts(&again), [0, 3, 0, 2], "{again}");
    assert_eq!(again["diff"], json!({ "before": "", "after": "" }));
    assert_eq!(fs::read_to_string(tickets).expect("the tickets"), ticket);
    let proof = json!({ "device": "phone", "proof": code });
    let carol = Caller::user("carol");
    daemon
        .call_as(&carol, "Enroll", &proof)
        .expect("a device by this ticket");
    assert_eq!(
        told(&apply(&[]))["to_confirm"],
        1,
        "it waits for its first code"
    );
}

#[test]
fn a_file_with_an_error_changes_nothing_and_every_error_is_named_with_its_line() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let before = state(&daemon);
    let file = "users:\n  alice: {state: disabled}\n  bob:\n    stat: disabled\n  a/b: {}\n";
    let refused = daemon.totpctl(&["apply", "-"], file);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let notes = String::from_utf8(refused.stderr).expect("text");
    for wanted in ["line 4: 'stat': ", "line 5: 'a/b': ", "nothing was changed"] {
        assert!(notes.contains(wanted), "{wanted}: {notes}");
    }
    let without_a_file = daemon.totpctl(&["apply", "-"], STAFF);
    let notes = String::from_utf8(without_a_file.stderr).expect("text");
    assert!(notes.contains("--tickets"), "{notes}");
    assert_eq!(without_a_file.status.code(), Some(2));
    assert_eq!(state(&daemon), before);
    let refused = daemon.totpctl(&["--json", "apply", "-"], "users: {alice: {keys: []}}");
    assert_eq!(refused.status.code(), Some(2));
    let refused: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(refused["error"]["code"], "bad_record", "{refused}");
}

#[test]
fn a_user_that_is_refused_is_named_by_the_line_and_the_others_are_done() {
    let _place = world::enter();
    let daemon = with_odd_names(Setup::new()).start();
    for user in ["alice", "bob", "carol"] {
        daemon.enroll_as(user, "phone");
    }
    let file = "users:\n  odd-ALICE: {state: disabled}\n  no-account: {state: disabled}\n  \
                alice: {state: active}\n  carol: {exclusive: true, devices: {phnoe: }}\n  bob: {state: disabled}\n";
    let applied = daemon.totpctl(&["--json", "apply", "-"], file);
    assert_eq!(applied.status.code(), Some(1), "{applied:?}");
    let applied: Value = serde_json::from_slice(&applied.stdout).expect("JSON");
    let failed: Vec<&Value> = applied["users"]
        .as_array()
        .expect("users")
        .iter()
        .filter(|user| user["error"].is_object())
        .collect();
    let lines: Vec<&Value> = failed.iter().map(|user| &user["line"]).collect();
    assert_eq!(lines, [3, 4, 5], "{applied}");
    for (failed, why) in failed
        .iter()
        .zip(["", "line 2 already", "would revoke 'phone'"])
    {
        let message = failed["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(why), "{message}");
    }
    let disabled: Vec<bool> = ["alice", "bob", "carol"]
        .iter()
        .map(|user| daemon.totpctl_json(&["show", user], "")["disabled"] == true)
        .collect();
    assert_eq!(disabled, [true, true, false]);
    let own = daemon.totpctl_as("alice", &["apply", "-"], file);
    assert_eq!(
        own.status.code(),
        Some(4),
        "for administrators only: {own:?}"
    );
}

/// The result of a run that succeeded.
fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn changes_of(told: &Value, user: &str) -> Value {
    let users = told["users"].as_array().expect("users");
    let found = users.iter().find(|told| told["user"] == user);
    found.expect("the user")["changes"].clone()
}

fn state(daemon: &Daemon) -> Value {
    daemon.totpctl_json(&["list"], "")
}

fn judged(daemon: &Daemon, user: &str, device: &Authenticator, service: &str) -> Value {
    // The code of the present step made the device active.
    let call = json!({ "user": user, "codes": [device.code_at(1)], "service": service });
    daemon.call("Verify", &call).expect("a verdict")["verdict"].clone()
}
