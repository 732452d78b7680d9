//! Malformed names and codes: each is refused with a reason, no other user is touched, and no login
//! is accepted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::connection::open;
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::program::with_input;
use tests::sshd::System;
use tests::stack::Stack;
use tests::wire::exchange;
use tests::world;

use crate::roles::everything;

#[test]
fn names_that_no_account_can_have_are_refused_on_the_socket() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let before = everything(&daemon);
    for name in bad_names() {
        for (method, parameters) in about(&name) {
            let (error, told) = daemon.call(method, &parameters).expect_err("a refusal");
            let field = told["field"].as_str().unwrap_or_default();
            assert_eq!(
                (error.as_str(), field),
                ("BadParameter", "user"),
                "{method} {name:.50?}: {told}"
            );
            assert!(
                told["why"]
                    .as_str()
                    .is_some_and(|why| why.starts_with("a user name ")),
                "{told}"
            );
        }
    }
    for bytes in [&b"al\xffice"[..], b"\xc0\xafalice", b"al\xed\xa0\x80ice"] {
        let call = [
            b"{\"method\":\"org.pamtotp.Provision.Show\",\"parameters\":{\"user\":\"",
            bytes,
            b"\"}}\0",
        ]
        .concat();
        let answer = exchange(open(&daemon.login_socket()), &call);
        assert!(
            String::from_utf8_lossy(&answer).contains("BadParameter"),
            "{bytes:?}"
        );
    }
    assert_eq!(everything(&daemon), before);
}

#[test]
fn strange_names_are_other_peoples_names_and_harm_no_terminal() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "look-alike", "retry=1");
    for name in [
        "ALICE",
        "Alice",
        "alice\u{200b}",
        "\u{202e}alice",
        "\u{430}lice",
        "ali%s",
        "..",
        "-rf",
        "\u{ff41}lice",
    ] {
        assert_eq!(
            stack.login(name, &[&code]).code,
            PamCode::AUTH_ERR,
            "{name:?}"
        );
        daemon
            .call("Enroll", &json!({ "user": name, "active": true }))
            .expect("a name like any other");
        assert_eq!(
            stack.login(name, &[&code]).code,
            PamCode::AUTH_ERR,
            "{name:?} has a key of its own"
        );
    }
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let shown = said(&daemon.totpctl(&["list"], ""))
        + &said(&daemon.totpctl(&["show", "\u{202e}alice"], ""));
    for text in [shown, daemon.log.text()] {
        assert!(
            !text.contains(['\u{200b}', '\u{202e}', '\u{1b}']),
            "{text:?}"
        );
    }
}

#[test]
fn totpctl_refuses_names_that_no_account_can_have() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let before = everything(&daemon);
    let text_names = bad_names()
        .into_iter()
        .filter(|name| !name.contains('\0') && name.len() < 10_000);
    let names = text_names
        .map(OsString::from)
        .chain([OsString::from_vec(b"al\xffice".to_vec())]);
    for name in names {
        for command in [
            "enroll", "confirm", "verify", "show", "disable", "enable", "revoke",
        ] {
            let mut totpctl = Command::new(world::built("totpctl"));
            totpctl
                .arg("--json")
                .arg("--socket")
                .arg(daemon.login_socket())
                .args([OsStr::new(command), &name]);
            let output = with_input(totpctl, "123456\n");
            assert_eq!(
                output.status.code(),
                Some(2),
                "{command} {name:?}: {output:?}"
            );
            assert!(!said(&output).contains('\u{1b}'), "{output:?}");
        }
    }
    assert_eq!(everything(&daemon), before);
}

#[test]
fn the_module_lets_nobody_in_whose_name_is_no_text() {
    let _place = world::enter();
    let system = System::start();
    for (n, options) in ["", "nullok", "retry=1"].into_iter().enumerate() {
        let service = format!("totp-names-{n}");
        system.service(&service, &format!("auth required TOTP {options}"));
        for name in [&b"al\xffice"[..], b"\xc0\xafalice", b"alice\xe2\x80"] {
            let mut pamtester = Command::new("pamtester");
            pamtester.args([
                OsStr::new(&service),
                &OsString::from_vec(name.to_vec()),
                OsStr::new("authenticate"),
            ]);
            let output = with_input(pamtester, "123456\n");
            assert_eq!(
                output.status.code(),
                Some(1),
                "{name:?} {options}: {output:?}"
            );
            assert!(
                said(&output).contains("Authentication failure"),
                "{output:?}"
            );
        }
        world::syslog().wait_for(&[
            &format!("({service}:auth)"),
            "refused: a user name must be UTF-8",
        ]);
    }
}

#[test]
fn what_is_no_code_is_malformed_on_the_socket_and_costs_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let code = alice.code();
    let verify = |codes: &Value| {
        let attempt = json!({ "user": "alice", "codes": codes, "service": "socket" });
        daemon
            .call("Verify", &attempt)
            .map(|reply| reply["verdict"].clone())
    };
    let long = format!("{}{code}", " ".repeat(510));
    for typed in [
        json!([]),
        json!([""]),
        json!([format!("{code}\n")]),
        json!([format!("{code}\0")]),
        json!([format!("\0{code}")]),
        json!([format!("+{code}")]),
        json!([long]),
        json!(["1".repeat(60_000)]),
        json!([code, code, code, code]),
        json!([format!("{code}{code}"), code]),
        json!(["", code]),
        json!(vec![code.as_str(); 5_000]),
    ] {
        assert_eq!(
            verify(&typed),
            Ok(json!("malformed")),
            "{:.60}",
            typed.to_string()
        );
    }
    let (error, _) = verify(&json!(["1".repeat(1 << 20)])).expect_err("a refusal");
    assert_eq!(error, "TooLarge");
    assert_eq!(daemon.budget("alice"), 5);
    assert_eq!(
        verify(&json!([code])),
        Ok(json!("accepted")),
        "none of them spent it"
    );
}

#[test]
fn what_is_no_code_is_no_code_for_totpctl_either() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    daemon
        .call("Enroll", &json!({ "user": "alice", "device": "waiting" }))
        .expect("a pending device");
    let code = alice.code();
    let inputs = [
        "\n".into(),
        format!("{code}\0\n"),
        format!("+{code}\n"),
        "1".repeat(1 << 20) + "\n",
        String::new(),
    ];
    for input in inputs {
        for command in ["verify", "confirm"] {
            let output = daemon.totpctl(&["--json", command, "alice"], &input);
            assert!(
                matches!(output.status.code(), Some(1 | 2)),
                "{command} {input:.20?}: {output:?}"
            );
            assert!(!said(&output).contains("accepted"), "{output:?}");
        }
    }
    assert_eq!(daemon.budget("alice"), 5);
    let typed = daemon.totpctl_json(&["verify", "alice"], &format!("{code}\n"));
    assert_eq!(typed["verdict"], "accepted", "none of them spent it");
}

/// What no account can be called.
fn bad_names() -> Vec<String> {
    let names = [
        "",
        " ",
        "alice ",
        " alice",
        "\talice",
        "a/b",
        "../../etc/passwd",
        "a:b",
        "a\nb",
        "a\rb",
        "a\0",
        "\u{1b}[2J",
    ];
    let long = [
        "a".repeat(257),
        "\u{e9}".repeat(150),
        "a".repeat(300),
        "a".repeat(60_000),
    ];
    names
        .map(str::to_owned)
        .into_iter()
        .chain(["\u{7f}", "\u{85}", "alice\u{a0}"].map(str::to_owned))
        .chain(long)
        .collect()
}

/// Every call that names a user.
fn about(name: &str) -> [(&'static str, Value); 7] {
    [
        ("Challenge", json!({ "user": name, "service": "x" })),
        (
            "Verify",
            json!({ "user": name, "codes": ["123456"], "service": "x" }),
        ),
        ("Enroll", json!({ "user": name, "active": true })),
        ("Confirm", json!({ "user": name, "code": "123456" })),
        ("Show", json!({ "user": name })),
        ("SetState", json!({ "user": name, "state": "disabled" })),
        ("Revoke", json!({ "user": name })),
    ]
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
