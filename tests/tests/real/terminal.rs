//! totpctl without a keyboard, and with a user that gives up: it says what was begun, and leaves
//! the terminal as it was.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::terminal::Terminal;
use tests::world;

#[test]
fn without_a_code_the_device_stays_pending_and_it_is_said_how_to_go_on() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for command in [
        &["enroll", "alice", "--device", "phone"][..],
        &["confirm", "alice"],
    ] {
        let told = daemon.totpctl(command, "");
        let said = String::from_utf8_lossy(&told.stderr).replace('\n', " ");
        assert_eq!(
            (told.status.code(), said.ends_with(UNCONFIRMED)),
            (Some(2), true),
            "{command:?}: {told:?}"
        );
        assert_eq!(states(&daemon), ["pending"]);
    }
    let told = daemon.totpctl(&["--json", "confirm", "alice"], "");
    let error: Value = serde_json::from_slice(&told.stdout).expect("one object");
    assert_eq!(
        (told.status.code(), &error["error"]["code"]),
        (Some(2), &json!("no_input"))
    );
    // A program is given the key and confirms later.
    let told = daemon.totpctl_json(&["enroll", "alice", "--device", "tablet"], "");
    assert_eq!(
        (&told["device"], &told["state"]),
        (&json!("tablet"), &json!("pending"))
    );
}

#[test]
fn whoever_gives_up_at_the_terminal_leaves_a_pending_device_and_a_terminal_as_it_was() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (command, asked) in [
        (
            &["enroll", "alice", "--device", "phone"][..],
            "Code that the new device shows now: ",
        ),
        (
            &["confirm", "alice"],
            "Code that alice's device 'phone' shows now: ",
        ),
    ] {
        for (keys, ending) in [
            (END_OF_INPUT, Ending::Status(2)),
            (INTERRUPT, Ending::Signal(Signal::SIGINT)),
        ] {
            let mut terminal = Terminal::start(&totpctl(&daemon, command), 80);
            let before = terminal.settings();
            terminal.wait_for(asked);
            terminal.type_keys(keys);
            let (status, shown) = terminal.end();
            assert_eq!(Ending::of(status), ending, "{command:?}: {shown}");
            assert_eq!(terminal.settings(), before, "{command:?}");
            let told = shown.replace('\n', " ").ends_with(UNCONFIRMED);
            assert_eq!(told, keys == END_OF_INPUT, "{command:?}: {shown}");
            assert_eq!(states(&daemon), ["pending"], "{command:?}");
        }
    }
}

#[test]
fn whoever_gives_up_while_a_key_is_typed_has_enrolled_nothing_and_sees_again_what_is_typed() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (keys, ending) in [
        (END_OF_INPUT, Ending::Status(2)),
        (INTERRUPT, Ending::Signal(Signal::SIGINT)),
    ] {
        let mut terminal =
            Terminal::start(&totpctl(&daemon, &["enroll", "alice", "--key", "-"]), 80);
        let before = terminal.settings();
        terminal.wait_for("(typing is not shown): ");
        assert!(!terminal.echoes());
        terminal.type_keys("GEZDGNBV");
        // The end of the input at the end of a line only.
        terminal.type_keys(if keys == END_OF_INPUT {
            "\x15\x04"
        } else {
            keys
        });
        let (status, shown) = terminal.end();
        assert_eq!(
            (Ending::of(status), terminal.settings()),
            (ending, before),
            "{shown}"
        );
        assert!(!shown.contains("GEZD"), "{shown}");
        assert_eq!(
            daemon
                .call("Show", &json!({ "user": "alice" }))
                .unwrap_err()
                .0,
            "NoSuchUser"
        );
    }
}

#[test]
fn nobody_is_asked_for_a_code_of_a_device_that_does_not_wait_for_one() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.totpctl_json(&["enroll", "bob", "--device", "one"], "");
    daemon.totpctl_json(&["enroll", "bob", "--device", "two"], "");
    for (command, exit) in [
        (&["confirm", "alice"][..], 1),
        (&["confirm", "alice", "--device", "default"], 1),
        (&["confirm", "alice", "--device", "other"], 5),
        (&["confirm", "bob"], 5),
        (&["confirm", "carol"], 5),
    ] {
        let (status, shown) = Terminal::start(&totpctl(&daemon, command), 80).end();
        assert_eq!(
            (status.code(), shown.contains("shows now")),
            (Some(exit), false),
            "{command:?}: {shown}"
        );
    }
}

#[test]
fn nothing_on_a_command_line_steers_the_terminal() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for command in [
        &["show", "alice", "\u{1b}[2J"][..],
        &["\u{1b}[2J"],
        &["enroll", "alice", "--alg", "\u{1b}[2J"],
        &["enroll", "alice", "--digits", "\u{1b}[2J"],
        &["enroll", "alice", "--png", "/nowhere/\u{1b}[2J"],
        &["status", "--socket", "/nowhere/\u{1b}[2J"],
    ] {
        let (status, shown) = Terminal::start(&totpctl(&daemon, command), 80).end();
        assert!(matches!(status.code(), Some(2 | 3)), "{shown}");
        assert!(
            shown.starts_with("totpctl: ") && !shown.contains('\u{1b}'),
            "{shown:?}"
        );
    }
}

#[test]
fn a_key_that_could_not_be_written_is_told_with_what_takes_its_device_back() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for arguments in [
        &["enroll", "alice", "--yes"][..],
        &["--json", "enroll", "alice", "--device", "phone"],
    ] {
        let mut full = totpctl(&daemon, arguments);
        full.stdout(
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .expect("a device that is full"),
        );
        let told = full.stdin(Stdio::null()).output().expect("totpctl");
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(
            told.status.code() == Some(1) && said.contains("No space left on device"),
            "{told:?}"
        );
        let (_, undo) = said
            .split_once("to revoke it: totpctl ")
            .expect("what to type");
        let undo: Vec<&str> = undo.lines().next().expect("a line").split(' ').collect();
        assert!(daemon.totpctl(&undo, "").status.success(), "{undo:?}");
    }
    assert!(states(&daemon).is_empty());
}

/// How a program ends.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Status(i32),
    Signal(Signal),
}

impl Ending {
    fn of(status: std::process::ExitStatus) -> Self {
        let signal = status
            .signal()
            .map(|signal| Signal::try_from(signal).expect("a signal"));
        signal.map_or_else(
            || Self::Status(status.code().expect("a code")),
            Self::Signal,
        )
    }
}

fn totpctl(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(world::built("totpctl"));
    command
        .arg("--socket")
        .arg(daemon.login_socket())
        .args(arguments);
    command
}

/// The states of alice's devices.
fn states(daemon: &Daemon) -> Vec<Value> {
    let shown = daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("the user");
    let devices = shown["user"]["devices"].as_array().expect("devices");
    devices
        .iter()
        .map(|device| device["state"].clone())
        .collect()
}

const UNCONFIRMED: &str = "standard input ended before the first code was read: alice's device 'phone' stays pending and opens \
                           no login; to confirm it: totpctl confirm alice --device phone ";
const END_OF_INPUT: &str = "\x04";
const INTERRUPT: &str = "\x03";
