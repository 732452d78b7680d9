//! People who come from passlib, and go back to it; and a client of the socket that nobody here wrote.

use std::sync::Mutex;

use serde_json::{Value, json};
use tests::daemon::{Daemon, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::python;
use tests::stack::Stack;
use tests::worker::{Gate, Worker};
use tests::world;

use crate::count;

const SECRETS: &str = r#"{"1": "an application secret of the tests"}"#;

#[test]
fn a_thousand_users_of_passlib_come_with_their_old_authenticators_and_go_back() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let users = passlib_users(1000, 1);
    for user in &users {
        let told = daemon.call("Import", &json!({ "user": user["user"], "record": user["record"].to_string() }));
        assert_eq!(told.expect("an import")["imported"], true, "{user}");
    }
    log_in_at_once(&daemon, &users);
    let lines: Vec<String> = users.iter().map(|user| exported(&daemon, user)).collect();
    assert_eq!(python::run("passlib_reads.py", &[SECRETS], &lines.join("\n")).trim(), "1000");
}

#[test]
fn importing_again_changes_nothing_and_a_code_of_before_is_not_taken() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let user = passlib_users(1, 2).remove(0);
    let stack = Stack::of(&daemon, "imported", "retry=1");
    let import = |name: &str| {
        daemon.call("Import", &json!({ "user": name, "record": user["record"].to_string() })).expect("an import")
    };
    let (name, [present, next]) = authenticator(&user).within_a_step(["alice", "bob"], |name| {
        assert_eq!(import(name), json!({ "user": name, "device": "default", "imported": true }));
    });
    assert_eq!(stack.login(name, &[&present]).code, PamCode::AUTH_ERR, "it may have been used there");
    daemon.audited(name, "already_used");
    assert_eq!(stack.login(name, &[&next]).code, PamCode::SUCCESS);
    assert_eq!(import(name), json!({ "user": name, "device": "default", "imported": false }));
    assert_eq!(stack.login(name, &[&next]).code, PamCode::AUTH_ERR, "importing revives nothing");
}

#[test]
fn records_that_cannot_be_taken_are_refused_and_leave_no_trace() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let good = passlib_users(1, 3).remove(0)["record"].clone();
    let mut bad: Vec<String> =
        ["", "{}", "[]", "null", "otpauth://hotp/a?secret=AAAAAAAAAAAAAAAA"].map(String::from).into();
    for (field, value) in
        [("c", json!(23)), ("c", json!(-1)), ("t", json!("unknown")), ("k", json!("1")), ("v", json!(3))]
    {
        let mut record = good.clone();
        record["enckey"][field] = value;
        bad.push(record.to_string());
    }
    for record in &bad {
        let (error, told) = daemon.call("Import", &json!({ "user": "bad", "record": record })).expect_err("a refusal");
        assert_eq!((error.as_str(), &told["field"]), ("BadParameter", &json!("record")), "{record}");
    }
    let (error, _) = daemon.call("Show", &json!({ "user": "bad" })).expect_err("nobody");
    assert_eq!(error, "NoSuchUser");
}

#[test]
fn passlib_agrees_on_random_keys_labels_times_and_windows() {
    let _place = world::enter();
    let (totpctl, folder) = (world::built("totpctl"), world::scratch_folder("agreement"));
    let seed = count("PAM_TOTP_SEED", usize::try_from(std::process::id()).expect("a number"));
    let arguments = [totpctl.to_str().expect("a path"), folder.to_str().expect("a path"), &seed.to_string(), "100"];
    assert_eq!(python::run("passlib_agrees.py", &arguments, "").trim(), "100");
}

#[test]
fn a_foreign_client_reads_the_interface_and_drives_the_daemon() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let socket = daemon.login_socket();
    let told = python::run("foreign_client.py", &[socket.to_str().expect("a path"), "alice"], "");
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let expected = [
        json!(["org.varlink.service", "org.pamtotp.Provision"]),
        json!("accepted"),
        json!("already_used"),
        json!(["alice"]),
        json!("org.pamtotp.Provision.NoSuchUser"),
        json!(["org.pamtotp.Provision.BadParameter", "device"]),
    ];
    assert_eq!(lines, expected);
}

fn passlib_users(count: usize, seed: usize) -> Vec<Value> {
    let told = python::run("passlib_users.py", &[SECRETS, &count.to_string(), &seed.to_string()], "");
    let users: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("a user")).collect();
    assert_eq!(users.len(), count);
    users
}

/// 64 at a time, each with the code after the present one: that of now may have been used at the old place.
fn log_in_at_once(daemon: &Daemon, users: &[Value]) {
    let stack = Stack::of(daemon, "old-users", "retry=1");
    let waiting = Mutex::new(users.iter().collect::<Vec<_>>());
    let refused = Mutex::new(Vec::new());
    let gate = Gate::new();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut worker = Worker::start(&stack, &gate);
                loop {
                    let next = waiting.lock().expect("the queue").pop();
                    let Some(user) = next else { break };
                    let device: Authenticator = authenticator(user);
                    let outcome = worker.login(user["user"].as_str().expect("a name"), &device.code_at(1));
                    if outcome.code != PamCode::SUCCESS {
                        refused.lock().expect("the list").push((user.to_string(), outcome));
                    }
                }
            });
        }
    });
    let refused = refused.into_inner().expect("the list");
    assert!(refused.is_empty(), "{} were refused: {refused:?}", refused.len());
}

/// What passlib is to find in the user's exported record.
fn exported(daemon: &Daemon, user: &Value) -> String {
    let told = daemon.call("Export", &json!({ "user": user["user"] })).expect("an export");
    let mut expected = user.clone();
    expected["record"] = told["records"][0]["record"].clone();
    expected.to_string()
}
