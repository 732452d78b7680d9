//! Messages that are none: each gets an error, or the connection ends, and people log in all the
//! while.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde_json::{Value, json};
use tests::connection::{after, answer, errors, open, rest};
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::stranger::connect_as;
use tests::wire::{Caller, exchange, request};
use tests::world;

use crate::meanwhile::{MESSAGE, SLACK, while_people_log_in};
use crate::roles::everything;

#[test]
fn what_is_no_call_gets_an_error_and_does_no_harm() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("bob");
    let before = everything(&daemon)["users"].clone();
    let bob = Caller::user("bob").uid;
    let connections: [&dyn Fn() -> UnixStream; 2] = [&|| open(&daemon.login_socket()), &|| {
        connect_as(bob, &daemon.open_socket())
    }];
    while_people_log_in(&daemon, || {
        for (what, bytes, expected) in no_calls() {
            for connect in connections {
                let begun = Instant::now();
                let answer = exchange(connect(), &bytes);
                assert_eq!(errors(&answer), expected, "{what}");
                assert!(begun.elapsed() < SLACK, "{what}: {:?}", begun.elapsed());
            }
        }
    });
    let after = everything(&daemon)["users"].clone();
    assert!(before.as_array().is_some_and(|users| {
        users
            .iter()
            .all(|user| after.to_string().contains(&user.to_string()))
    }));
}

#[test]
fn arrays_in_the_place_of_objects_are_no_calls() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("bob");
    let show = format!("{INTERFACE}.Show");
    for call in [
        json!([show, { "user": "bob" }]),
        json!([show, { "user": "bob" }, false, false, false]),
        json!({ "method": show, "parameters": ["bob"] }),
        json!({ "method": show, "parameters": [] }),
        json!({ "method": format!("{INTERFACE}.Verify"), "parameters": ["bob", null, ["1"], "x", null, null] }),
        json!({ "method": format!("{INTERFACE}.Status"), "parameters": [] }),
    ] {
        let stream = open(&daemon.login_socket());
        let answer = exchange(stream, format!("{call}\0").as_bytes());
        assert_eq!(
            errors(&answer),
            ["BadParameter"],
            "{call}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn a_call_cut_anywhere_is_never_answered_and_its_code_not_spent() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let call = request(
        "Verify",
        &json!({ "user": "alice", "codes": [code], "service": "cut" }),
    );
    let connect = || open(&daemon.login_socket());
    while_people_log_in(&daemon, || {
        for cut in 0..call.len() - 1 {
            assert_eq!(
                exchange(connect(), &call[..cut]),
                b"",
                "closed after {cut} bytes"
            );
        }
        let begun = Instant::now();
        let silent: Vec<UnixStream> = (1..call.len())
            .map(|cut| after(connect(), &call[..cut]))
            .collect();
        // The last of them lacks nothing but its NUL.
        for stream in silent {
            assert_eq!(rest(&stream), b"");
        }
        assert!(
            begun.elapsed() > MESSAGE && begun.elapsed() < MESSAGE + SLACK,
            "{:?}",
            begun.elapsed()
        );
    });
    assert_eq!(
        Stack::of(&daemon, "cut", "retry=1")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn calls_that_arrive_in_one_piece_are_answered_one_by_one() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let (show, wrong) = (
        request("Show", &json!({ "user": "alice" })),
        request("Nonsense", &json!({})),
    );
    let connect = || open(&daemon.login_socket());
    let came = exchange(connect(), &[show.as_slice(), &wrong, b"\0", &show].concat());
    assert_eq!(errors(&came), ["", "MethodNotFound", "BadParameter", ""]);
    assert_eq!(
        errors(&exchange(connect(), &show.repeat(500))),
        vec![""; 500]
    );
    let (half, other) = show.split_at(show.len() / 2);
    let stream = after(connect(), &[&show, half].concat());
    assert_eq!(errors(&answer(&stream)), [""]);
    assert_eq!(errors(&answer(&after(stream, other))), [""]);
}

#[test]
fn a_call_that_wants_no_reply_gets_none_not_even_an_error() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let oneway = |method: &str, parameters: Value| {
        json!({ "method": format!("{INTERFACE}.{method}"), "parameters": parameters, "oneway": true }).to_string()
            + "\0"
    };
    let good = oneway("SetState", json!({ "user": "alice", "state": "disabled" }));
    let status = request("Status", &json!({}));
    for first in [
        &good,
        &oneway("Show", json!({ "user": "nobody-of-that-name" })),
        &oneway("Show", json!({ "user": 5 })),
        &oneway("Nonsense", json!({})),
        &oneway("List", json!({})),
    ] {
        let stream = open(&daemon.login_socket());
        let answer = exchange(stream, &[first.as_bytes(), &status].concat());
        assert_eq!(
            errors(&answer),
            [""],
            "{first}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    let shown = daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("alice");
    assert_eq!(
        shown["user"]["devices"][0]["state"], "disabled",
        "it was done"
    );
    let bob = connect_as(Caller::user("bob").uid, &daemon.open_socket());
    let refused = [
        oneway("Show", json!({ "user": "alice" })).as_bytes(),
        &request("Nonsense", &json!({})),
    ]
    .concat();
    assert_eq!(
        errors(&exchange(bob, &refused)),
        ["MethodNotFound"],
        "not permitted, and not told either"
    );
    daemon
        .log
        .wait_for(&["event=not_permitted", " method=Show ", " user=alice "]);
}

/// A name, bytes that are no call, and the errors that they get; none if the connection just ends.
type NoCall = (String, Vec<u8>, Vec<&'static str>);

fn no_calls() -> Vec<NoCall> {
    [bad_bytes(), bad_parameters(), unknown_methods()].concat()
}

/// Too long, too deep, or no text.
fn bad_bytes() -> Vec<NoCall> {
    let padded = |length: usize| {
        let mut call = request("org.varlink.service.GetInfo", &json!({}));
        call.splice(0..0, std::iter::repeat_n(b' ', length + 1 - call.len()));
        call
    };
    vec![
        ("nothing".into(), vec![], vec![]),
        ("the longest call".into(), padded(65_536), vec![""]),
        ("a byte more".into(), padded(65_537), vec!["TooLarge"]),
        (
            "a byte more, without an end".into(),
            vec![b' '; 65_537],
            vec!["TooLarge"],
        ),
        ("10 MiB".into(), vec![b'x'; 10 << 20], vec!["TooLarge"]),
        (
            "brackets".into(),
            [&vec![b'['; 65_000][..], b"\0"].concat(),
            vec!["BadParameter"],
        ),
        (
            "braces".into(),
            [b"{\"a\":".repeat(13_000), b"\0".to_vec()].concat(),
            vec!["BadParameter"],
        ),
        (
            "no text".into(),
            b"{\"method\":\"\xff\xfe\"}\0".to_vec(),
            vec!["BadParameter"],
        ),
        (
            "a byte order mark".into(),
            [b"\xef\xbb\xbf", show("{}").as_bytes()].concat(),
            vec!["BadParameter"],
        ),
        (
            "a name that is no text".into(),
            show("{\"user\":\"_\"}").replace('_', "\u{1}").into(),
            vec!["BadParameter"],
        ),
    ]
}

/// JSON that is no call, or a call with parameters of wrong types.
fn bad_parameters() -> Vec<NoCall> {
    let nested = [("[", "]"), ("{\"a\":", "}")]
        .map(|(open, close)| open.repeat(9_000) + "1" + &close.repeat(9_000));
    let [lists, maps] = nested;
    let parameters = [
        &lists,
        &maps,
        &format!("{{\"user\":{lists}}}"),
        &format!("{{\"x\":{maps}}}"),
    ]
    .map(|text| show(text));
    let texts = parameters.into_iter().chain(
        bad_texts()
            .iter()
            .map(|text| text.replace("ORG", INTERFACE) + "\0"),
    );
    texts
        .map(|text| {
            (
                format!("{text:.120}"),
                text.into_bytes(),
                vec!["BadParameter"],
            )
        })
        .collect()
}

fn unknown_methods() -> Vec<NoCall> {
    let methods = [
        ("org.pamtotp.Other.Show", "InterfaceNotFound"),
        ("Show", "InterfaceNotFound"),
        ("", "InterfaceNotFound"),
        (".Show", "InterfaceNotFound"),
        ("org.pamtotp.provision.Show", "InterfaceNotFound"),
        ("org.pamtotp.Provision.", "MethodNotFound"),
        ("org.pamtotp.Provision.show", "MethodNotFound"),
        ("org.pamtotp.Provision.Show\\n", "MethodNotFound"),
        ("org.varlink.service.GetNothing", "MethodNotFound"),
    ];
    methods
        .map(|(method, error)| {
            (
                method.into(),
                format!("{{\"method\":\"{method}\"}}\0").into(),
                vec![error],
            )
        })
        .into()
}

fn show(parameters: &str) -> String {
    format!("{{\"method\":\"{INTERFACE}.Show\",\"parameters\":{parameters}}}\0")
}

/// What is no call, or none with parameters of the right types.
fn bad_texts() -> &'static [&'static str] {
    &[
        "",
        " ",
        "nonsense",
        "null",
        "5",
        "\"ORG.Show\"",
        "{}",
        "[]",
        "{\"method\":5}",
        "{\"method\":null}",
        "{\"method\":\"ORG.Show\"}x",
        "{\"method\":\"ORG.Show\"}{\"method\":\"ORG.Show\"}",
        "{\"method\":\"ORG.Show\"",
        "{\"method\":\"ORG.Show\",}",
        "{'method':'ORG.Show'}",
        "{\"method\":\"ORG.Show\",\"more\":\"yes\"}",
        "{\"method\":\"ORG.Show\",\"oneway\":1}",
        "{\"method\":\"ORG.Show\",\"parameters\":5}",
        "{\"method\":\"ORG.Show\",\"parameters\":\"{}\"}",
        "{\"method\":\"ORG.Show\",\"parameters\":{},\"parameters\":{}}",
        "{\"method\":\"ORG.Show\",\"method\":\"ORG.Status\"}",
        "{\"method\":\"ORG.Show\",\"extra\":1}",
        "{\"method\":\"ORG.Show\",\"Parameters\":{}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"extra\":1}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":\"bob\",\"user\":\"root\"}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":\"bob\",\"\\u0075ser\":\"root\"}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":5}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":[\"bob\"]}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":true}}",
        "{\"method\":\"ORG.Show\",\"parameters\":{\"user\":\"\\ud800\"}}",
        "{\"method\":\"ORG.Verify\"}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":\"123456\",\"service\":\"x\"}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":[123456],\"service\":\"x\"}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":[null],\"service\":\"x\"}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":[[\"123456\"]],\"service\":\"x\"}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":{},\"service\":\"x\"}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":[\"1\"]}}",
        "{\"method\":\"ORG.Verify\",\"parameters\":{\"user\":\"bob\",\"codes\":[],\"service\":\"x\",\"tty\":1}}",
        "{\"method\":\"ORG.Challenge\",\"parameters\":{\"user\":\"bob\"}}",
        "{\"method\":\"ORG.Confirm\",\"parameters\":{\"user\":\"bob\",\"code\":123456}}",
        "{\"method\":\"ORG.Confirm\",\"parameters\":{\"user\":\"bob\"}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"digits\":256}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"digits\":-6}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"digits\":6.0}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"digits\":\"6\"}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"period\":4294967326}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"period\":1e999}}",
        "{\"method\":\"ORG.Enroll\",\"parameters\":{\"user\":\"bob\",\"active\":\"true\"}}",
        "{\"method\":\"ORG.SetState\",\"parameters\":{\"user\":\"bob\"}}",
        "{\"method\":\"ORG.SetState\",\"parameters\":{\"user\":\"bob\",\"state\":\"off\"}}",
        "{\"method\":\"ORG.SetState\",\"parameters\":{\"user\":\"bob\",\"state\":0}}",
        "{\"method\":\"ORG.SetState\",\"parameters\":{\"user\":\"bob\",\"state\":\"pending\"}}",
        "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
        "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":1}}",
    ]
}

const INTERFACE: &str = common::wire::protocol::NAME;
