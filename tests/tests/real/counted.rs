//! Devices that count (HOTP). Their codes come from `oathtool`.

use serde_json::{Value, json};
use tests::daemon::{Daemon, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::roles::{DENIED, refusal};

#[test]
fn the_codes_of_rfc_4226_open_one_login_each_also_after_a_kill() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let options = [
        "enroll",
        "alice",
        "--kind",
        "hotp",
        "--counter",
        "0",
        "--key",
        "-",
        "--yes",
    ];
    let told = daemon.totpctl_json(&options, &format!("{RFC_4226}\n"));
    let codes = authenticator(&told).counted(0, 9);
    assert_eq!(
        (codes[0].as_str(), codes[9].as_str()),
        ("755224", "520489"),
        "Appendix D"
    );
    for (n, code) in codes.iter().enumerate() {
        let stack = Stack::of(&daemon, "counted", "retry=1");
        assert_eq!(stack.login("alice", &[code]).code, PamCode::SUCCESS, "{n}");
        daemon.kill();
        daemon.start_again();
        assert_eq!(stack.login("alice", &[code]).code, PamCode::AUTH_ERR, "{n}");
        // Before the next kill: a killed daemon loses the lines that are on their way.
        let replays = ["user=alice", "verdict=already_used"];
        assert_eq!(daemon.log.wait_for_many(n + 1, &replays).len(), n + 1);
    }
    assert_eq!(daemon.budget("alice"), 5);
}

#[test]
fn a_counter_looks_a_little_ahead_never_back_and_farther_with_two_codes_in_a_row() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "ahead", "retry=1");
    let codes = enroll(&daemon, "alice").counted(0, 20);
    let login = |typed: &str| stack.login("alice", &[typed]).code;
    assert_eq!(
        login(&codes[2]),
        PamCode::SUCCESS,
        "pressed twice for nothing"
    );
    for used_up in [&codes[0], &codes[1], &codes[2]] {
        assert_eq!(login(used_up), PamCode::AUTH_ERR);
    }
    assert_eq!(login(&codes[6]), PamCode::AUTH_ERR, "pressed four times");
    assert_eq!(
        login(&format!("{}{}", codes[12], codes[13])),
        PamCode::AUTH_ERR,
        "eleven ahead"
    );
    assert_eq!(
        login(&format!("{}{}", codes[11], codes[12])),
        PamCode::SUCCESS
    );
    assert_eq!(login(&codes[11]), PamCode::AUTH_ERR);
    assert_eq!(login(&codes[13]), PamCode::SUCCESS);
}

#[test]
fn a_new_device_is_confirmed_with_one_of_its_first_ten_codes() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon.totpctl_json(&["enroll", "alice", "--kind", "hotp", "--digits", "8"], "");
    let uri = told["uri"].as_str().expect("a URI");
    assert!(
        uri.starts_with("otpauth://hotp/") && uri.contains("&digits=8&counter=0&"),
        "{uri}"
    );
    assert_eq!(
        (&told["kind"], &told["counter"], &told["period"]),
        (&json!("hotp"), &json!(0), &Value::Null)
    );
    let codes = authenticator(&told).counted(0, 11);
    let confirm = |code: &str| {
        daemon
            .call("Confirm", &json!({ "user": "alice", "code": code }))
            .expect("a verdict")["verdict"]
            .clone()
    };
    assert_eq!(confirm(&codes[10]), "rejected");
    assert_eq!(confirm(&codes[9]), "accepted");
    let shown = String::from_utf8(daemon.totpctl(&["show", "alice"], "").stdout).expect("text");
    assert!(shown.contains(" 8 digits, hotp, sha1 "), "{shown}");
    let stack = Stack::of(&daemon, "confirmed", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[9]]).code, PamCode::AUTH_ERR);
    assert_eq!(stack.login("alice", &[&codes[10]]).code, PamCode::SUCCESS);
}

#[test]
fn a_key_that_comes_back_has_counted_as_far_as_it_had() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "again", "retry=1");
    let device = enroll(&daemon, "alice");
    let codes = device.counted(0, 4);
    assert_eq!(stack.login("alice", &[&codes[2]]).code, PamCode::SUCCESS);
    daemon
        .call("Revoke", &json!({ "user": "alice" }))
        .expect("a revocation");
    let again =
        json!({ "user": "alice", "kind": "hotp", "counter": 0, "key": device.key, "active": true });
    daemon.call("Enroll", &again).expect("the same key");
    for (code, outcome) in [
        (&codes[1], PamCode::AUTH_ERR),
        (&codes[2], PamCode::AUTH_ERR),
        (&codes[3], PamCode::SUCCESS),
    ] {
        assert_eq!(stack.login("alice", &[code]).code, outcome, "{code}");
    }
}

#[test]
fn what_is_no_device_that_counts_is_refused_with_a_sentence() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let key = RFC_4226;
    for (wish, field) in [
        (
            json!({ "user": "alice", "kind": "hotp", "period": 30 }),
            "period",
        ),
        (
            json!({ "user": "alice", "kind": "hotp", "key": key }),
            "counter",
        ),
        (
            json!({ "user": "alice", "kind": "hotp", "counter": 5_000_001 }),
            "counter",
        ),
        (
            json!({ "user": "alice", "kind": "hotp", "counter": -1 }),
            "parameters",
        ),
        (
            json!({ "user": "alice", "kind": "totp", "counter": 1 }),
            "counter",
        ),
        (json!({ "user": "alice", "counter": 1 }), "counter"),
        (json!({ "user": "alice", "kind": "HOTP" }), "kind"),
        (json!({ "user": "alice", "kind": "codes" }), "kind"),
    ] {
        let (error, told) = daemon.call("Enroll", &wish).expect_err("a refusal");
        assert_eq!(
            (error.as_str(), &told["field"]),
            ("BadParameter", &json!(field)),
            "{wish}: {told}"
        );
    }
    for choice in [json!({ "kind": "hotp" }), json!({ "counter": 0 })] {
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("alice"), "Enroll", &choice)),
            DENIED,
            "{choice}"
        );
    }
}

#[test]
fn what_passlib_does_not_know_is_left_out_of_what_is_exported() {
    let _place = world::enter();
    let daemon = Daemon::start();
    enroll(&daemon, "alice");
    daemon.totpctl_json(&["enroll", "alice", "--device", "phone", "--yes"], "");
    let output = daemon.totpctl(&["export", "passlib", "alice"], "");
    let (lines, notes) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(
        output.status.success()
            && lines.lines().count() == 1
            && lines.contains("\"device\":\"phone\""),
        "{lines}"
    );
    assert!(
        notes.contains("alice: device 'default' was not exported"),
        "{notes}"
    );
}

/// A device that counts, active at once.
fn enroll(daemon: &Daemon, user: &str) -> Authenticator {
    authenticator(&daemon.totpctl_json(&["enroll", user, "--kind", "hotp", "--yes"], ""))
}

/// The key of Appendix D.
const RFC_4226: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
