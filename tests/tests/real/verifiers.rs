//! Verifiers: daemons that are not root and ask for others. They may ask for their own services and
//! ordinary users, and never for a user with a higher role.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};
use tests::connection::ask;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::odd_names::with_odd_names;
use tests::stack::Stack;
use tests::stranger::{Crowd, Outcome, connect_as};
use tests::wire::Caller;
use tests::world;

use crate::roles::{DENIED, daemon_with_admins, everything, refusal, with_roles};

#[test]
fn a_verifier_asks_for_its_own_users_and_services() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let bob = daemon.enroll("bob");
    let told = as_vera(&daemon, "Challenge", "bob", "tunnel", "").expect("what to ask for");
    assert_eq!(
        (&told["ask"], &told["enrolled"], &told["digits"]),
        (&json!("one_code"), &Value::Null, &Value::Null)
    );
    let told = as_vera(&daemon, "Verify", "bob", "tunnel", &bob.code()).expect("a verdict");
    assert_eq!(told["verdict"], "accepted");
    let line = daemon.audited("bob", "accepted");
    assert!(
        line.contains(" role=verifier ") && !line.contains("source="),
        "{line}"
    );
}

#[test]
fn what_a_verifier_is_told_is_the_same_whether_its_user_has_a_device_or_not() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let told = |typed: &str| as_vera(&daemon, "Verify", "bob", "tunnel", typed).expect("a verdict");
    let wrong: Vec<String> = (0..15).map(|n| format!("2222{n:02}")).collect();
    let wrong = wrong.iter().map(String::as_str).collect();
    let typed = [
        vec!["123", "000000", "111111"],
        wrong,
        vec!["123456 654321"],
    ]
    .concat();
    let attempts = || -> Vec<Value> { typed.iter().map(|code| told(code)).collect() };
    let unknown = attempts();
    let verdicts: Vec<&Value> = unknown.iter().map(|told| &told["verdict"]).collect();
    assert_eq!(verdicts[..2], ["malformed", "rejected"]);
    assert_eq!(
        (verdicts[17], verdicts[18]),
        (&json!("two_codes_needed"), &json!("rejected"))
    );
    daemon.enroll("bob");
    assert_eq!(attempts(), unknown);
    daemon.audited("bob", "not_enrolled");
}

#[test]
fn a_verifier_asks_for_nobody_else_and_for_no_other_service() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let people = ["root", "carol", "dave", "alice", "bob"];
    let codes = people.map(|user| daemon.enroll(user).code());
    let before = everything(&daemon);
    let refused = |user: &str, service: &str, code: &str, reason: &str| {
        assert_eq!(
            refusal(as_vera(&daemon, "Challenge", user, service, code)),
            DENIED,
            "{user} {service}"
        );
        assert_eq!(
            refusal(as_vera(&daemon, "Verify", user, service, code)),
            DENIED,
            "{user} {service}"
        );
        let reason = format!(" reason={reason}");
        daemon.log.wait_for(&[
            "event=not_permitted method=Verify ",
            &format!(" user={user} "),
            &reason,
        ]);
    };
    for (user, code) in people.iter().zip(&codes).take(3) {
        refused(user, "tunnel", code, "protected_account");
    }
    refused("alice", "tunnel", &codes[3], "not_in_users_group");
    refused("no-account", "tunnel", "123456", "no_such_account");
    for service in ["sshd", "TUNNEL", "tunnel-l", "tunnel ", ""] {
        refused("bob", service, &codes[4], "service_not_allowed");
    }
    assert_eq!(
        everything(&daemon),
        before,
        "nothing is spent, nothing charged"
    );
}

#[test]
fn who_is_in_no_group_that_the_name_service_tells_is_no_user_of_a_verifiers() {
    let _place = world::enter();
    let mut setup = with_odd_names(with_roles(Setup::new()));
    setup.settings = setup
        .settings
        .replace("users-group: totp-users", "users-group: odd-broken");
    let daemon = setup.start();
    let bob = daemon.enroll("bob");
    assert_eq!(
        refusal(as_vera(&daemon, "Verify", "bob", "tunnel", &bob.code())),
        DENIED
    );
    daemon.log.wait_for(&[
        "event=not_permitted method=Verify user=bob ",
        " reason=no_answer_from_name_service",
    ]);
}

#[test]
fn an_application_of_a_verifiers_logs_people_in_through_the_module() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let (bob, alice) = (daemon.enroll("bob"), daemon.enroll("alice"));
    assert_eq!(
        log_in_as_vera(&daemon, "bob", &bob.wrong()),
        PamCode::AUTH_ERR
    );
    assert_eq!(
        log_in_as_vera(&daemon, "bob", &bob.code()),
        PamCode::SUCCESS
    );
    assert_ne!(
        log_in_as_vera(&daemon, "alice", &alice.code()),
        PamCode::SUCCESS
    );
    daemon.log.wait_for(&[
        "event=not_permitted ",
        " user=alice ",
        " reason=not_in_users_group",
    ]);
}

#[test]
fn an_address_is_believed_of_a_verifier_where_the_settings_say_so_and_a_terminal_never() {
    let _place = world::enter();
    let daemon = with_roles(Setup::new())
        .with("      trusted-rhost: true\n")
        .start();
    let bob = daemon.enroll("bob");
    let verify = |code: &str, rhost: &str| {
        let about = json!({ "user": "bob", "service": "tunnel", "codes": [code], "rhost": rhost, "tty": "tty1" });
        daemon
            .call_as(&Caller::user("vera"), "Verify", &about)
            .expect("a verdict")["verdict"]
            .clone()
    };
    assert_eq!(verify(&bob.code(), "192.0.2.7"), "accepted");
    let line = daemon.audited("bob", "accepted");
    assert!(
        line.contains(" source=192.0.2.7 ") && !line.contains("tty"),
        "{line}"
    );
    for (rhost, known, unknown) in [("192.0.2.7", 4, 5), ("192.0.2.8", 4, 4), ("", 4, 3)] {
        assert_eq!(verify(&bob.wrong(), rhost), "rejected");
        assert_eq!(
            (daemon.known_budget("bob"), daemon.budget("bob")),
            (known, unknown),
            "from {rhost:?}"
        );
    }
}

#[test]
fn a_code_that_a_verifier_has_seen_counts_for_its_service_and_address_and_opens_no_sudo() {
    let _place = world::enter();
    let grace = "grace: {same-source: {for: 1h, services: [tunnel]}, same-host: {for: 1h, services: [machine]}}\n";
    let daemon = with_roles(Setup::new())
        .with("      trusted-rhost: true\n")
        .with(grace)
        .start();
    let bob = daemon.enroll("bob");
    assert_eq!(
        as_vera(&daemon, "Verify", "bob", "tunnel", &bob.code()).expect("a verdict")["verdict"],
        "accepted"
    );
    assert_eq!(
        as_vera(&daemon, "Challenge", "bob", "tunnel", "").expect("what to ask for")["ask"],
        "nothing"
    );
    let on_the_machine = || {
        let about = json!({ "user": "bob", "service": "machine", "tty": "tty1" });
        daemon.call("Challenge", &about).expect("what to ask for")["ask"].clone()
    };
    assert_eq!(on_the_machine(), "one_code");
    let by_root =
        json!({ "user": "bob", "service": "login", "codes": [bob.code_at(1)], "tty": "tty1" });
    assert_eq!(
        daemon.call("Verify", &by_root).expect("a verdict")["verdict"],
        "accepted"
    );
    assert_eq!(on_the_machine(), "nothing");
}

#[test]
fn where_no_code_is_needed_a_verifier_or_a_users_own_process_is_told_which_end_of_a_text_is_one() {
    let _place = world::enter();
    let daemon = with_roles(Setup::new())
        .with("rules: [{name: all, users: [bob]}]\n")
        .start();
    let bob = daemon.enroll("bob");
    let (right, wrong) = (bob.code(), bob.wrong());
    let told = |process: &str, typed: &str| {
        let about = json!({ "user": "bob", "service": "tunnel", "codes": [typed] });
        let told = daemon.call_as(&Caller::user(process), "Verify", &about);
        let told = told.expect("a verdict");
        (told["verdict"].clone(), told["is_code"].clone())
    };
    let exempt = |is_code: Value| (json!("exempt"), is_code);
    for process in ["vera", "bob"] {
        for end_of_a_password in [&*wrong, "blue-moon", "123456 654321"] {
            assert_eq!(told(process, end_of_a_password), exempt(Value::Null));
        }
    }
    assert_eq!(told("vera", &right), (json!("accepted"), Value::Null));
    for process in ["vera", "bob"] {
        assert_eq!(told(process, &right), exempt(json!(true)));
    }
    // After so many wrong ones no other is compared, and a known one is known all the same.
    for wrong in bob.wrong_codes(25) {
        assert_eq!(told("bob", &wrong), exempt(Value::Null));
    }
    assert_eq!(told("bob", &bob.code_at(1)), exempt(Value::Null));
    assert_eq!(told("bob", &right), exempt(json!(true)));
    assert_eq!((daemon.known_budget("bob"), daemon.budget("bob")), (5, 5));
}

#[test]
fn a_verifier_may_have_many_connections_once_it_is_known_to_be_one() {
    let _place = world::enter_alone();
    let daemon = daemon_with_admins();
    let vera = connect_as(Caller::user("vera").uid, &daemon.open_socket());
    assert_eq!(refusal(ask(&vera, "Show", &json!({}))), "NoSuchUser");
    let crowd = Crowd::gather(Caller::user("vera").uid, 70, &daemon.open_socket());
    assert_eq!(
        crowd.outcome(),
        Outcome {
            served: 63,
            busy: 7,
            closed: 0
        }
    );
    crowd.leave();
}

#[test]
fn who_is_named_in_the_settings_and_does_not_exist_is_named_in_the_log() {
    let _place = world::enter();
    let mut setup = with_roles(Setup::new());
    setup.settings = setup
        .settings
        .replace("user: vera", "user: nemo")
        .replace("totp-users", "no-such-users");
    let daemon = setup.start();
    for (setting, name) in [("vpn.user", "nemo"), ("vpn.users-group", "no-such-users")] {
        daemon.log.wait_for(&[
            "event=unknown_name ",
            &format!("verifiers.{setting} "),
            &format!(" name={name}"),
        ]);
    }
    assert_eq!(
        refusal(as_vera(&daemon, "Verify", "bob", "tunnel", "123456")),
        DENIED
    );
}

fn as_vera(
    daemon: &Daemon,
    method: &str,
    user: &str,
    service: &str,
    code: &str,
) -> Result<Value, (String, Value)> {
    let mut about =
        json!({ "user": user, "service": service, "rhost": "192.0.2.7", "tty": "tty1" });
    if method == "Verify" {
        about["codes"] = json!([code]);
    }
    daemon.call_as(&Caller::user("vera"), method, &about)
}

/// One login in a process of vera's, with the real module on the open socket.
fn log_in_as_vera(daemon: &Daemon, user: &str, code: &str) -> PamCode {
    let module = world::for_everyone("libpam_totp.so");
    let socket = daemon.open_socket();
    let stack = Stack::new(
        "tunnel",
        &format!(
            "auth required {} socket={} retry=1\n",
            module.display(),
            socket.display()
        ),
    );
    set_permissions(stack.confdir(), Permissions::from_mode(0o755))
        .expect("a folder that every user may pass");
    let output = Command::new("setpriv")
        .args(["--reuid", "vera", "--regid", "vera", "--init-groups", "--"])
        .arg(world::for_everyone("login-worker"))
        .arg("once")
        .arg(stack.confdir())
        .args([stack.service(), user, code])
        .output()
        .expect("a login");
    let said = String::from_utf8_lossy(&output.stdout);
    let done = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|e| e["event"] == "done");
    let code = done.unwrap_or_else(|| panic!("no end: {output:?}"))["code"]
        .as_i64()
        .expect("a code");
    PamCode(i32::try_from(code).expect("a code of libpam's"))
}
