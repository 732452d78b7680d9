//! `totpctl doctor` on a machine with the real daemon and the real sshd: quiet when it is healthy,
//! and one finding for each fault.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tests::sshd::System;
use tests::world;

const PASSWORD_AND_CODE: &str = "auth requisite pam_unix.so\nauth required TOTP";
const SSHD: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive\n";
const SSHD_FILE: &str = "/etc/ssh/sshd_config.d/00-doctor.conf";

/// What a machine for tests may lack: a synchronised clock and such.
const OF_THE_MACHINE: [&str; 4] = [
    "apparmor",
    "clock-unsynchronised",
    "clock-quarantine",
    "selinux",
];

/// A healthy machine.
fn healthy() -> System {
    let system = System::start();
    for service in ["sshd", "sudo", "sudo-i"] {
        system.service(service, PASSWORD_AND_CODE);
    }
    fs::write(SSHD_FILE, SSHD).expect("sshd's settings");
    system
}

/// The kinds of what doctor finds, and its exit code.
fn found(system: &System, arguments: &[&str]) -> (Vec<String>, i32) {
    let output = system
        .daemon
        .totpctl(&[&["--json", "doctor"], arguments].concat(), "");
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let findings = told["findings"].as_array().expect("a list");
    let kinds = findings
        .iter()
        .map(|finding| finding["kind"].as_str().expect("a kind").to_owned())
        .filter(|kind| !OF_THE_MACHINE.contains(&kind.as_str()));
    (kinds.collect(), output.status.code().expect("an exit code"))
}

fn expect(system: &System, arguments: &[&str], kinds: &[&str]) {
    let (told, code) = found(system, arguments);
    assert_eq!(told, kinds);
    if !kinds.is_empty() {
        assert_eq!(code, 1);
    }
}

#[test]
fn doctor_is_quiet_on_a_healthy_machine_and_finds_each_fault() {
    let _alone = world::enter_alone();
    let mut system = healthy();
    expect(&system, &[], &[]);
    forgotten_sister(&system);
    exempt_group(&system);
    sshd(&system);
    settings(&system);
    socket(&system);
    system.daemon.terminate();
    expect(&system, &[], &["daemon-unreachable"]);
}

fn forgotten_sister(system: &System) {
    system.service("sudo-i", "auth required pam_unix.so");
    expect(system, &[], &["not-named"]);
    expect(system, &["sudo-i"], &["not-named"]);
    expect(system, &["sudo"], &["not-named"]);
    system.service("sudo-i", PASSWORD_AND_CODE);
}

/// The line of `totpctl setup sudo --exempt-group`.
fn exempt_group(system: &System) {
    let line = "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup users";
    let rest = "auth required TOTP\nauth required pam_permit.so";
    system.service(
        "sudo",
        &format!("auth requisite pam_unix.so\n{line}\n{rest}"),
    );
    let (told, _) = found(system, &["sudo"]);
    assert_eq!(told, ["exempt-group"]);
    system.service("sudo", &format!("{line}\n{rest}"));
    expect(system, &["sudo"], &["not-asked"]);
    system.service("sudo", PASSWORD_AND_CODE);
}

fn sshd(system: &System) {
    for (lines, kinds) in [
        ("UsePAM no\n".to_owned(), &["sshd-without-pam"][..]),
        (
            SSHD.replace("Methods keyboard-interactive", "Methods any"),
            &["sshd-without-code"],
        ),
        (format!("{SSHD}LoginGraceTime 20\n"), &["sshd-short-grace"]),
        ("NoSuchSetting yes\n".to_owned(), &["sshd-settings"]),
    ] {
        fs::write(SSHD_FILE, lines).expect("sshd's settings");
        expect(system, &["sshd"], kinds);
    }
    fs::write(SSHD_FILE, SSHD).expect("sshd's settings");
    expect(system, &["--user", "root"], &["sshd-root"]);
    for bad in ["root,addr=192.0.2.1", "no-such-account"] {
        let refused = system.daemon.totpctl(&["doctor", "--user", bad], "");
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    }
}

fn settings(system: &System) {
    let file = Path::new("/etc/pam-totp/settings.yaml");
    let text = fs::read_to_string(file).expect("settings");
    world::write_for_daemon(file, &format!("{text}\npolicy: {{window: 99}}\n"));
    expect(system, &[], &["bad-settings"]);
    world::write_for_daemon(file, &text);
    expect(system, &[], &[]);
}

fn socket(system: &System) {
    let path = Path::new("/run/pam-totp/login.sock");
    let mode = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    mode(0o666);
    expect(system, &[], &["socket-mode"]);
    mode(0o600);
    expect(system, &[], &[]);
}
