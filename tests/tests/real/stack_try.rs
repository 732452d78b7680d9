//! `totpctl try`: logins through the real libpam and the machine's service files. It says "asked and
//! accepted" only where that is so, names the line where the module is not asked, and costs the
//! user no guess without a wrong code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::termios::LocalFlags;
use serde_json::{Value, json};
use tests::sshd::System;
use tests::terminal::Terminal;
use tests::world;

/// The answers to the two plays of a service that asks for a password and a code.
fn both(code: &str) -> String {
    format!("{PASSWORD}\n\n{PASSWORD}\n{code}\n")
}

fn machine() -> System {
    let system = System::start();
    world::set_password("alice", PASSWORD);
    system
}

/// What `try` says of alice at a service, and its exit code.
fn tried(system: &System, service: &str, input: &str) -> (Value, i32) {
    let output = played(system, &["--service", service], input);
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (told, output.status.code().expect("an exit code"))
}

fn played(system: &System, arguments: &[&str], input: &str) -> Output {
    let command = ["--json", "try", "alice"];
    system
        .daemon
        .totpctl(&[&command[..], arguments].concat(), input)
}

fn expect(system: &System, service: &str, input: &str, outcome: &str) -> Value {
    let (told, code) = tried(system, service, input);
    let good = ["asked_and_accepted", "exempt"].contains(&outcome);
    assert_eq!(
        (told["outcome"].as_str(), code),
        (Some(outcome), i32::from(!good)),
        "{told}"
    );
    told
}

/// The guesses of alice from here.
fn guesses(system: &System) -> u64 {
    system.daemon.known_budget("alice")
}

#[test]
fn a_right_stack_is_asked_and_accepted_and_only_a_wrong_code_costs_a_guess() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service("sshd", PASSWORD_AND_CODE);
    let full = guesses(&system);
    // An accepted code would give a guess back.
    let without = format!("{PASSWORD}\n\nwrong\n");
    expect(&system, "sshd", &without, "refused_unasked");
    assert_eq!(guesses(&system), full, "the play without a code is free");
    // The second play may begin in the next time step.
    let used = both(&alice.code());
    expect(&system, "sshd", &used, "asked_and_accepted");
    let told = expect(&system, "sshd", &used, "rejected");
    assert_eq!(told["verdict"], "already_used");
    expect(&system, "sshd", &both(&alice.wrong()), "rejected");
    assert_eq!(guesses(&system), full - 1);
    system.service("sshd", "auth required TOTP");
    let key_and_code = format!("\n{}\n", alice.code_at(1));
    expect(&system, "sshd", &key_and_code, "asked_and_accepted");
}

#[test]
fn a_hole_is_named_with_its_line_and_a_refusal_that_lets_in_too() {
    let _place = world::enter();
    let system = machine();
    system.daemon.enroll("alice");
    let shared =
        "auth required pam_env.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n";
    fs::write("/etc/pam.d/shared-by-a-test", shared).expect("a shared file");
    for (lines, file, line, outcome) in [
        (
            "# a comment\nauth sufficient pam_unix.so\nauth required TOTP",
            "sshd",
            2,
            "let_in_unasked",
        ),
        (
            "auth include shared-by-a-test\nauth required TOTP",
            "shared-by-a-test",
            2,
            "let_in_unasked",
        ),
        ("auth required pam_unix.so", "sshd", 1, "let_in_unasked"),
        (
            "auth requisite pam_unix.so\nauth optional TOTP",
            "sshd",
            2,
            "let_in_refused",
        ),
    ] {
        system.service("sshd", lines);
        let told = expect(&system, "sshd", &format!("{PASSWORD}\n\n"), outcome);
        let place = json!([{"file": format!("/etc/pam.d/{file}"), "line": line}]);
        assert_eq!(told["lines"], place, "{told}");
    }
    let told = system.daemon.totpctl(
        &["try", "alice", "--service", "sshd"],
        &format!("{PASSWORD}\n\n"),
    );
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        words.contains("let in although the daemon said 'malformed'"),
        "{words}"
    );
    fs::remove_file("/etc/pam.d/shared-by-a-test").expect("the shared file");
}

#[test]
fn a_stack_that_lets_no_user_in_is_told_with_its_line_also_if_the_code_is_right() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service("sshd", "auth requisite pam_deny.so\nauth required TOTP");
    let told = expect(&system, "sshd", "", "no_way_in");
    assert_eq!(told["lines"][0]["line"], 1);
    system.service("sshd", "auth required TOTP\nauth required pam_deny.so");
    let told = expect(
        &system,
        "sshd",
        &format!("\n{}\n", alice.code()),
        "no_way_in",
    );
    assert_eq!(told["lines"][0]["line"], 2);
    fs::write("/etc/pam.d/sshd", "auth required pam_unix.so \\\n").expect("a service file");
    expect(&system, "sshd", "", "no_way_in");
}

#[test]
fn a_refusal_before_the_module_or_after_it_is_no_verdict_on_the_code() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service("sshd", PASSWORD_AND_CODE);
    expect(&system, "sshd", "wrong\n", "refused_unasked");
    let lines = fs::read_to_string("/etc/pam.d/sshd").expect("the service file");
    let shut = lines.replace(
        "account required pam_permit.so",
        "account required pam_deny.so",
    );
    fs::write("/etc/pam.d/sshd", shut).expect("the service file");
    expect(&system, "sshd", &both(&alice.code()), "refused_afterwards");
    fs::write("/etc/pam.d/sshd", lines).expect("the service file");
    let early = format!("{PASSWORD}\n{}\n", alice.code_at(1));
    expect(&system, "sshd", &early, "code_typed_first");
}

#[test]
fn nullok_and_an_exemption_are_told_apart_from_a_hole() {
    let _place = world::enter();
    let system = machine();
    system.service(
        "sshd",
        "auth requisite pam_unix.so\nauth required TOTP nullok\nauth required pam_permit.so",
    );
    let told = expect(&system, "sshd", &format!("{PASSWORD}\n"), "never_enrolled");
    assert_eq!(told["lines"][0]["line"], 2);
    let alice = system.daemon.enroll("alice");
    expect(&system, "sshd", &both(&alice.code()), "asked_and_accepted");
    let file = Path::new("/etc/pam-totp/settings.yaml");
    let text = fs::read_to_string(file).expect("settings");
    let rule = format!("{text}\nrules:\n  - {{name: of-a-test, users: [alice]}}\n");
    world::write_for_daemon(file, &rule);
    system
        .daemon
        .call("Reload", &json!({}))
        .expect("other settings");
    let told = expect(&system, "sshd", &format!("{PASSWORD}\n"), "exempt");
    assert_eq!(told["rule"], "of-a-test");
    world::write_for_daemon(file, &text);
}

#[test]
fn su_is_tried_as_a_user_that_is_not_root() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    let su = format!("auth sufficient pam_rootok.so\n{PASSWORD_AND_CODE}");
    system.service("su", &su);
    expect(&system, "su", &both(&alice.code()), "asked_and_accepted");
    let arguments = ["--service", "su", "--caller", "root"];
    let told = played(&system, &arguments, "");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("let_in_unasked"),
        "{told:?}"
    );
}

#[test]
fn sudo_is_tried_as_the_user_itself_and_another_caller_can_be_named() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service(
        "sudo",
        &format!("auth requisite pam_succeed_if.so quiet ruser = alice\n{PASSWORD_AND_CODE}"),
    );
    expect(&system, "sudo", &both(&alice.code()), "asked_and_accepted");
    let told = played(&system, &["--service", "sudo", "--caller", "bob"], "");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("refused_unasked"),
        "{told:?}"
    );
}

#[test]
fn the_daemon_is_told_the_host_and_the_terminal_that_are_given() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service("sshd", "auth required TOTP");
    let places = ["--rhost", "192.0.2.7", "--tty", "tty9"];
    let arguments = [&["--service", "sshd"], &places[..]].concat();
    let input = format!("\n{}\n", alice.code());
    let told = played(&system, &arguments, &input);
    assert!(told.status.success(), "{told:?}");
    let line = system.daemon.audited("alice", "accepted");
    assert!(line.contains(" source=192.0.2.7 tty=tty9 "), "{line}");
}

/// The stack's session and credentials would leave a file.
#[test]
fn a_try_opens_no_session_and_sets_no_credentials() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    let trace = world::scratch_folder("session").join("trace");
    let touch = format!("pam_exec.so /usr/bin/touch {}", trace.display());
    system.service(
        "sshd",
        &format!("{PASSWORD_AND_CODE}\nsession required {touch}"),
    );
    expect(&system, "sshd", &both(&alice.code()), "asked_and_accepted");
    assert!(!trace.exists());
    system.service(
        "sshd",
        &format!("{PASSWORD_AND_CODE}\nauth required {touch}"),
    );
    expect(
        &system,
        "sshd",
        &both(&alice.code_at(1)),
        "asked_and_accepted",
    );
    assert!(trace.exists(), "the test would have seen it");
}

#[test]
fn without_the_daemon_or_root_nothing_is_played() {
    let _place = world::enter();
    let mut system = machine();
    system.daemon.enroll("alice");
    system.service("sshd", "auth sufficient pam_unix.so");
    let asked = ["try", "alice", "--service", "sshd"];
    let refused = system.daemon.totpctl_as("alice", &asked, &both(""));
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    for wrong in [
        ["try", "alice", "--service", "123456"],
        ["try", "a/b", "--service", "sshd"],
    ] {
        let refused = system.daemon.totpctl(&wrong, "");
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    }
    let ended = system.daemon.totpctl(&asked, "");
    assert_eq!(ended.status.code(), Some(2), "no answer: {ended:?}");
    system.daemon.terminate();
    let refused = system.daemon.totpctl(&asked, &both(""));
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let words = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(words, "");
}

#[test]
fn a_password_is_not_shown_at_the_terminal_and_a_module_that_asks_again_gets_no_answer() {
    let _place = world::enter();
    let system = machine();
    let alice = system.daemon.enroll("alice");
    system.service("sshd", PASSWORD_AND_CODE);
    let mut command = Command::new(world::built("totpctl"));
    command.args(["try", "alice", "--service", "sshd"]);
    let mut terminal = Terminal::start(&command, 200);
    terminal.answer_hidden("Password: ", PASSWORD);
    terminal.answer_hidden("Verification code: ", "");
    terminal.answer_hidden("Password: ", PASSWORD);
    terminal.answer_hidden("Verification code: ", &alice.code());
    let (status, shown) = terminal.end();
    assert!(status.success(), "{shown}");
    assert!(shown.contains("sshd: asked and accepted"), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(terminal.settings().local_flags.contains(LocalFlags::ECHO));
    assert_eq!(shown.matches("Verification code: ").count(), 2, "{shown}");
}

const PASSWORD: &str = "correct horse";
const PASSWORD_AND_CODE: &str = "auth requisite pam_unix.so\nauth required TOTP retry=2";
