//! What programs read from totpctl: one object, and in it no name that the manual has not.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::daemon::{Daemon, authenticator};
use tests::world;

const MANUAL: &str = include_str!("../../../docs/totpctl.1");

#[test]
fn every_answer_of_totpctl_is_one_object_whose_names_stand_in_the_manual() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon.totpctl_json(&["enroll", "alice", "--yes"], "");
    let alice = authenticator(&told);
    let mut told = vec![told];
    let mut tell = |exit: i32, command: &str, input: &str| {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = daemon.totpctl(&[&["--json"], &arguments[..]].concat(), input);
        assert_eq!(output.status.code(), Some(exit), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.lines().count(), 1, "{command}: {text}");
        told.push(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{command}: {e}: {text}")));
    };
    tell(0, "enroll alice --device token --kind hotp --yes", "");
    tell(0, "enroll alice --device new", "");
    tell(1, "confirm alice", "000000\n");
    tell(0, "verify alice", &alice.code());
    tell(1, "verify alice", &alice.code());
    tell(1, "verify carol", "123456\n");
    // Its stack is that of the file `other`, which asks for the password.
    tell(1, "try alice --service no-such-service", "wrong\n");
    tell(1, "resync alice --device default", "123456 654321\n");
    for command in SUCCESSFUL {
        tell(0, command, "");
    }
    let file = "users: {no-account: {state: disabled}, bob: {devices: {phone: }, state: disabled}}";
    tell(1, "apply - --diff", file);
    tell(2, "apply -", "users: {alice: {key: x}}");
    for (exit, command) in REFUSED {
        tell(exit, command, "");
    }
    let names: BTreeSet<&str> = told.iter().flat_map(names).collect();
    let documented: BTreeSet<&str> = json_section()
        .split(|c: char| c != '_' && !c.is_alphanumeric())
        .collect();
    let missing: Vec<_> = names.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/totpctl.1: {missing:?}");
}

/// The names in an object, and the codes of errors. What `fields` holds is the log's.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let inside = members
                .iter()
                .filter(|(name, _)| *name != "fields")
                .flat_map(|(_, value)| names(value));
            let code = value["error"]["code"].as_str();
            members
                .keys()
                .map(String::as_str)
                .chain(code)
                .chain(inside)
                .collect()
        }
        Value::Array(values) => values.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

fn json_section() -> &'static str {
    let (_, section) = MANUAL
        .split_once("\n.Sh JSON\n")
        .expect("a section on JSON");
    section.split("\n.Sh ").next().unwrap_or_default()
}

/// Commands that succeed, in this order: each finds what the ones before it left.
const SUCCESSFUL: [&str; 25] = [
    "show alice",
    "list",
    "why alice",
    "log -n 1",
    "disable alice --device token",
    "enable alice --device token",
    "disable alice --all",
    "enable alice --all",
    "rename-device alice second --device token",
    "restrict alice --device second --services su --until 2999-01-01",
    "revoke alice --device second",
    "recovery-codes alice",
    "bypass alice",
    "ticket bob",
    "unlock alice",
    "revoke-grace alice",
    "rename-user alice alicia",
    "forget alicia --yes",
    "status",
    "metrics",
    "reload",
    "clock-accept",
    "store accept-loss",
    "--version",
    "--help",
];

/// Commands that fail, with their exit codes.
const REFUSED: [(i32, &str); 12] = [
    (5, "show alicia"),
    (5, "disable bob --device phone"),
    (1, "confirm bob"),
    (2, "show a/b"),
    (2, "frobnicate"),
    (2, "show one two"),
    (2, "key"),
    (2, "verify bob"),
    (2, "enroll bob --digits 5"),
    (2, "enroll bob --digits many"),
    (3, "status --socket /nowhere"),
    (3, "status --server-uid 1"),
];
