//! Devices that count at some times and for some services only, and what they are called.

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::roles::refusal;

#[test]
fn a_device_for_one_service_is_nothing_at_another() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (here, elsewhere) = (
        Stack::of(&daemon, "bounds-here", "retry=1"),
        Stack::of(&daemon, "bounds-there", "retry=1"),
    );
    let told = daemon.totpctl_json(
        &[
            "enroll",
            "alice",
            "--services",
            "bounds-here,other",
            "--yes",
        ],
        "",
    );
    let code = authenticator(&told).code();
    let refused = elsewhere.login("alice", &[&code]);
    let unknown = elsewhere.login("nobody-of-that-name", &[&code]);
    assert_eq!(
        (refused.code, &refused.said),
        (unknown.code, &unknown.said),
        "a user sees no difference"
    );
    assert_eq!(refused.code, PamCode::AUTH_ERR);
    let line = daemon.audited("alice", "disabled");
    assert!(
        line.contains(" reason=not_for_this_service") && line.contains(" service=bounds-there "),
        "{line}"
    );
    assert_eq!(daemon.budget("alice"), 5, "it is not alice's guess");
    assert_eq!(
        here.login("alice", &[&code]).code,
        PamCode::SUCCESS,
        "and it was not spent"
    );
}

#[test]
fn of_several_devices_those_count_that_are_for_the_service() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (ssh, sudo) = (
        Stack::of(&daemon, "bounds-ssh", "retry=1"),
        Stack::of(&daemon, "bounds-sudo", "retry=1"),
    );
    let phone = enroll(&daemon, &["--device", "phone", "--services", "bounds-ssh"]);
    let token = enroll(&daemon, &["--device", "token", "--services", "bounds-sudo"]);
    let (phone, token) = (phone.code(), token.code());
    for (stack, wrong, right) in [(&ssh, &token, &phone), (&sudo, &phone, &token)] {
        assert_eq!(stack.login("alice", &[wrong]).code, PamCode::AUTH_ERR);
        assert_eq!(stack.login("alice", &[right]).code, PamCode::SUCCESS);
    }
    assert_eq!(
        daemon.budget("alice"),
        3,
        "one device at a time is compared, a unit each"
    );
}

#[test]
fn a_device_counts_between_its_days() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "bounds-days", "retry=1");
    let code = enroll(&daemon, &["--until", "2999-12-30"]).code();
    for (bounds, reason) in [
        (["--from", "2999-01-01"], "not_yet_valid"),
        (["--until", "2020-01-01"], "expired"),
    ] {
        let told = daemon.totpctl_json(&[&["restrict", "alice"][..], &bounds].concat(), "");
        assert_eq!(told["services"], json!([]), "{told}");
        assert_eq!(
            stack.login("alice", &[&code]).code,
            PamCode::AUTH_ERR,
            "{reason}"
        );
        daemon.log.wait_for(&[
            "user=alice",
            " verdict=disabled ",
            &format!(" reason={reason}"),
        ]);
    }
    let shown = String::from_utf8(daemon.totpctl(&["show", "alice"], "").stdout).expect("text");
    assert!(
        shown.contains("'default' is usable until 2020-01-02 00:00 UTC"),
        "{shown}"
    );
    daemon.totpctl_json(&["restrict", "alice", "--lift"], "");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    assert!(daemon.logged(&["event=restrict ", " user=alice "]).len() >= 3);
}

#[test]
fn what_is_advised_about_a_device_past_its_last_day_helps_and_nothing_else_does() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "bounds-advice", "retry=1");
    let code = enroll(&daemon, &["--until", "2020-01-01"]).code();
    let codes = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("recovery codes");
    let recovery = codes["recovery_codes"][0].as_str().expect("a code");
    for refused in [&code, recovery] {
        assert_eq!(stack.login("alice", &[refused]).code, PamCode::AUTH_ERR);
    }
    let why = String::from_utf8(daemon.totpctl(&["why", "alice"], "").stdout).expect("text");
    for advised in [
        "past its last day",
        "totpctl restrict",
        "--lift",
        "totpctl bypass",
    ] {
        assert!(why.contains(advised), "{why}");
    }
    let bypass = daemon
        .call("Bypass", &json!({ "user": "alice" }))
        .expect("a bypass");
    assert_eq!(
        stack
            .login("alice", &[bypass["code"].as_str().expect("a code")])
            .code,
        PamCode::SUCCESS
    );
    daemon.totpctl_json(&["restrict", "alice", "--lift"], "");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
}

#[test]
fn who_was_enrolled_is_not_let_by_when_the_last_device_has_run_out() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "bounds-nullok", "nullok retry=1");
    let code = enroll(&daemon, &["--until", "2020-01-01"]).code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
}

#[test]
fn bounds_that_make_no_sense_are_refused_with_a_sentence() {
    let _place = world::enter();
    let daemon = Daemon::start();
    enroll(&daemon, &[]);
    let long: Vec<String> = (0..8).map(|n| format!("{n:032}")).collect();
    for (bounds, field) in [
        (
            json!({ "valid_from": 2000, "valid_until": 1000, "services": [] }),
            "valid_until",
        ),
        (
            json!({ "valid_from": 99_999_999_999_u64, "services": [] }),
            "valid_from",
        ),
        (json!({ "services": ["/etc/passwd"] }), "services"),
        (
            json!({ "services": ["a", "b", "c", "d", "e", "f", "g", "h", "i"] }),
            "services",
        ),
        (json!({ "valid_until": -1, "services": [] }), "parameters"),
    ] {
        let wish = crate::roles::and(&bounds, "user", &json!("alice"));
        let (error, told) = daemon.call("Restrict", &wish).expect_err("a refusal");
        assert_eq!(
            (error.as_str(), &told["field"]),
            ("BadParameter", &json!(field)),
            "{bounds}: {told}"
        );
    }
    daemon
        .call("Restrict", &json!({ "user": "alice", "services": long }))
        .expect("as many as there may be");
    let wish = json!({ "user": "alice", "services": ["one-more"], "active": true });
    assert_eq!(
        refusal(daemon.call("Enroll", &wish)),
        "BadParameter",
        "one record has room for so much"
    );
    let output = daemon.totpctl(&["restrict", "alice"], "");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn nothing_opens_a_disabled_account_and_it_looks_like_anybodys() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "shut", "nullok retry=1");
    let code = enroll(&daemon, &[]).code();
    let codes = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("recovery codes");
    let recovery = codes["recovery_codes"][0].as_str().expect("a code");
    let told = daemon.totpctl_json(&["disable", "alice", "--all"], "");
    assert_eq!(told, json!({ "user": "alice", "state": "disabled" }));
    let strict = Stack::of(&daemon, "shut-too", "retry=1");
    let (shut, unknown) = (
        strict.login("alice", &[&code]),
        strict.login("nobody-of-that-name", &[&code]),
    );
    assert_eq!(
        (shut.code, &shut.said),
        (unknown.code, &unknown.said),
        "a user sees no difference"
    );
    assert_eq!(
        strict.login("alice", &[recovery]).code,
        PamCode::AUTH_ERR,
        "neither does a recovery code"
    );
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::AUTH_ERR,
        "nullok is for users that were never enrolled"
    );
    let line = daemon.audited("alice", "disabled");
    assert!(line.contains(" reason=account_disabled"), "{line}");
    let own = json!({ "name": "mine", "proof": code });
    assert_eq!(
        refusal(daemon.call_as(&Caller::user("alice"), "RenameDevice", &own)),
        "ProofRequired"
    );
    assert_eq!(daemon.budget("alice"), 5);
    let shown = daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("alice");
    assert_eq!(
        (
            &shown["user"]["disabled"],
            &shown["user"]["devices"][0]["state"]
        ),
        (&json!(true), &json!("active"))
    );
    daemon.totpctl_json(&["enable", "alice", "--all"], "");
    for code in [&code, recovery] {
        assert_eq!(stack.login("alice", &[code]).code, PamCode::SUCCESS);
    }
}

#[test]
fn who_was_shut_out_is_let_by_by_no_rule_and_not_as_somebody_new() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("rules: [{name: everybody, users: [alice, bob]}]\n")
        .start();
    let exempt = Stack::expecting_ignore(&daemon, "shut-rule", "nullok retry=1");
    assert_eq!(exempt.login("bob", &[]).code, PamCode::SUCCESS);
    for (all, outcome) in [
        ("disabled", PamCode::AUTH_ERR),
        ("active", PamCode::SUCCESS),
        ("disabled", PamCode::AUTH_ERR),
    ] {
        daemon
            .call(
                "SetState",
                &json!({ "user": "bob", "all": true, "state": all }),
            )
            .expect("a change");
        assert_eq!(exempt.login("bob", &["123456"]).code, outcome, "{all}");
    }
}

#[test]
fn an_account_is_shut_by_administrators_and_as_a_whole() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = enroll(&daemon, &[]).code();
    let all = |state: &str| json!({ "user": "alice", "all": true, "state": state, "proof": code });
    for state in ["disabled", "active"] {
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("alice"), "SetState", &all(state))),
            "PermissionDenied"
        );
    }
    assert_eq!(
        refusal(daemon.call("SetState", &all("pending"))),
        "BadParameter"
    );
    let one = json!({ "user": "alice", "device": "default", "all": true, "state": "disabled" });
    assert_eq!(refusal(daemon.call("SetState", &one)), "BadParameter");
    assert_eq!(
        refusal(daemon.call(
            "SetState",
            &json!({ "user": "no-account", "all": true, "state": "disabled" })
        )),
        "NoSuchUser",
        "a name that was mistyped is not shut"
    );
}

#[test]
fn a_renamed_device_is_the_same_device() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "renamed", "retry=1");
    let phone = enroll(&daemon, &["--device", "phone"]);
    enroll(&daemon, &["--device", "tablet"]);
    let [code, next] = phone.pair();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let rename = |old: &str, new: &str| json!({ "user": "alice", "device": old, "name": new });
    assert_eq!(
        refusal(daemon.call("RenameDevice", &rename("phone", "tablet"))),
        "DeviceExists"
    );
    assert_eq!(
        refusal(daemon.call("RenameDevice", &rename("phone", "my phone"))),
        "BadParameter"
    );
    assert_eq!(
        refusal(daemon.call("RenameDevice", &rename("phon", "x"))),
        "NoSuchDevice"
    );
    let told = daemon.totpctl_json(
        &["rename-device", "alice", "old-phone", "--device", "phone"],
        "",
    );
    assert_eq!(told["device"], "old-phone");
    daemon.log.wait_for(&[
        "event=rename_device ",
        " user=alice ",
        " device=phone ",
        " new_name=old-phone",
    ]);
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::AUTH_ERR,
        "still used"
    );
    let line = daemon.audited("alice", "already_used");
    assert!(line.contains(" device=old-phone"), "{line}");
    // People rename their own with a code.
    let own = |proof: &Value| json!({ "device": "old-phone", "name": "mine", "proof": proof });
    let alice = Caller::user("alice");
    assert_eq!(
        refusal(daemon.call_as(&alice, "RenameDevice", &own(&Value::Null))),
        "ProofRequired"
    );
    assert_eq!(
        daemon
            .call_as(&alice, "RenameDevice", &own(&json!(next)))
            .expect("a proof")["device"],
        "mine"
    );
}

#[test]
fn people_keep_a_device_that_opens_everything() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let phone = enroll(&daemon, &["--device", "phone"]);
    let token = enroll(&daemon, &["--device", "token", "--services", "sudo"]);
    let (alice, code) = (Caller::user("alice"), phone.code());
    let revoke = |proof: &str| {
        daemon.call_as(
            &alice,
            "Revoke",
            &json!({ "device": "phone", "proof": proof }),
        )
    };
    assert_eq!(
        refusal(revoke(&token.code())),
        "ProofRequired",
        "it is a proof to sudo alone"
    );
    assert_eq!(
        refusal(revoke(&code)),
        "BadParameter",
        "only a device for sudo would be left"
    );
}

/// A device of alice's, active at once.
fn enroll(daemon: &Daemon, options: &[&str]) -> Authenticator {
    authenticator(&daemon.totpctl_json(&[&["enroll", "alice", "--yes"], options].concat(), ""))
}
