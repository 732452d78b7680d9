//! Backups: made while users log in, checked, and restored elsewhere, where no used code opens
//! anything again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::guide::{lines_of, typed};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::program::with_input;
use tests::sshd::System;
use tests::stack::Stack;
use tests::world;

/// Runs totpctl about the store of this setup.
fn totpctl(setup: &Setup, arguments: &[&str]) -> Output {
    let mut totpctl = std::process::Command::new(world::built("totpctl"));
    totpctl.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    totpctl.args(arguments);
    totpctl
        .arg("--settings")
        .arg(setup.folder.join("settings.yaml"));
    totpctl.arg("--runtime-dir").arg(&setup.runtime);
    with_input(totpctl, "")
}

fn done(setup: &Setup, arguments: &[&str]) -> String {
    let output = totpctl(setup, arguments);
    assert!(output.status.success(), "totpctl {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

/// It is refused, and says this.
fn refused(setup: &Setup, arguments: &[&str], part: &str) {
    let output = totpctl(setup, arguments);
    assert!(
        !output.status.success(),
        "totpctl {arguments:?}: {output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(part), "totpctl {arguments:?}: {said}");
}

fn new_path(name: &str) -> PathBuf {
    world::scratch_folder("backups").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn backup_of(daemon: &Daemon) -> PathBuf {
    let path = new_path("backup");
    let told = done(&daemon.setup, &["backup", text(&path)]);
    assert!(told.contains("keep a copy of the secrets file"), "{told}");
    path
}

/// A machine without a store, with the same application secrets and the same time.
fn elsewhere(clocks: &Clocks) -> Setup {
    let setup = clocks.of(Setup::new());
    setup.write();
    setup
}

/// The daemon of the restored store.
fn restored(setup: Setup, backup: &Path) -> Daemon {
    done(&setup, &["restore", text(backup)]);
    setup.start()
}

#[test]
fn of_a_backup_under_load_that_is_restored_elsewhere_no_used_code_opens_anything() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let names: Vec<String> = (0..40).map(|n| format!("user-{n}")).collect();
    let devices = daemon.enroll_many(&names);
    let codes: Vec<String> = devices
        .iter()
        .map(|device| device.code_when(clocks.now()))
        .collect();
    let (stack, is_over) = (
        Stack::of(&daemon, "load", "retry=1"),
        AtomicBool::new(false),
    );
    let backup = std::thread::scope(|scope| {
        scope.spawn(|| {
            for (name, code) in names.iter().zip(&codes) {
                assert_eq!(stack.login(name, &[code]).code, PamCode::SUCCESS, "{name}");
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let mut backup = backup_of(&daemon);
        while !is_over.load(Ordering::SeqCst) {
            let next = backup_of(&daemon);
            fs::remove_file(std::mem::replace(&mut backup, next)).expect("an older one");
        }
        backup
    });
    let told = done(&daemon.setup, &["backup", "--verify", text(&backup)]);
    assert!(
        told.contains("40 users") && told.contains("open every record"),
        "{told}"
    );
    let told = done(
        &daemon.setup,
        &["--json", "backup", "--verify", text(&backup)],
    );
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&told["done"], &told["users"]),
        (&json!("checked"), &json!(40))
    );
    drop(daemon);
    let daemon = restored(elsewhere(&clocks), &backup);
    let stack = Stack::of(&daemon, "restored", "retry=1");
    for (name, code) in names.iter().zip(&codes) {
        assert_eq!(stack.login(name, &[code]).code, PamCode::AUTH_ERR, "{name}");
    }
    let status = daemon.call("Status", &json!({})).expect("its state");
    assert_eq!(
        (&status["users"], &status["clock"], &status["incomplete"]),
        (&json!(40), &json!("quarantine"), &json!(true))
    );
}

/// A user with everything that may have been used since the backup.
struct Alice {
    phone: Authenticator,
    token: Authenticator,
    recovery: String,
    bypass: String,
}

fn alice(daemon: &Daemon) -> Alice {
    let told = daemon.totpctl_json(&["enroll", "alice", "--yes"], "");
    let options = [
        "enroll", "alice", "--device", "token", "--kind", "hotp", "--yes",
    ];
    let token = authenticator(&daemon.totpctl_json(&options, ""));
    let bypass = daemon.totpctl_json(&["bypass", "alice", "--uses", "3"], "");
    let text = |value: &Value| value.as_str().expect("a code").to_owned();
    Alice {
        phone: authenticator(&told),
        token,
        recovery: text(&told["recovery_codes"][0]),
        bypass: text(&bypass["code"]),
    }
}

#[test]
fn after_a_restore_guesses_are_none_and_codes_of_before_wait_until_they_are_renewed() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let alice = alice(&daemon);
    let backup = backup_of(&daemon);
    drop(daemon);
    clocks.pass(600);
    let daemon = restored(elsewhere(&clocks), &backup);
    let login = |typed: &str| {
        Stack::of(&daemon, "after", "retry=1")
            .login("alice", &[typed])
            .code
    };
    assert_eq!(daemon.budget("alice"), 0);
    let counted = alice.token.counted(0, 1);
    for suspended in [&alice.recovery, &alice.bypass, &counted.concat()] {
        assert_eq!(login(suspended), PamCode::AUTH_ERR, "{suspended}");
    }
    clocks.pass(90);
    assert_eq!(
        login(&alice.phone.code_when(clocks.now())),
        PamCode::AUTH_ERR,
        "one code"
    );
    clocks.pass(60);
    let pair = [0, 30].map(|seconds| alice.phone.code_when(clocks.now() + seconds));
    assert_eq!(
        login(&pair.concat()),
        PamCode::SUCCESS,
        "two codes in a row"
    );
    let missing = daemon.call("Enroll", &json!({ "user": "bob", "active": true }));
    assert_eq!(
        missing.expect_err("bob may be missing").0,
        "StoreIncomplete"
    );
    daemon.totpctl_json(&["store", "accept-loss"], "");
    daemon.enroll("bob");
    let renewed = daemon.totpctl_json(&["recovery-codes", "alice"], "");
    let code = renewed["recovery_codes"][0].as_str().expect("a code");
    assert_eq!(login(code), PamCode::SUCCESS);
}

#[test]
fn a_restore_takes_the_place_of_a_store_with_users_only_if_that_is_said_and_keeps_it() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let mut daemon = clocks.of(Setup::new()).start();
    daemon.enroll("alice");
    let backup = backup_of(&daemon);
    let bob = daemon.enroll("bob");
    refused(
        &daemon.setup,
        &["restore", "--replace", text(&backup)],
        "is in use",
    );
    assert!(daemon.terminate().success());
    refused(&daemon.setup, &["restore", text(&backup)], "with --replace");
    daemon.start_again();
    let login = Stack::of(&daemon, "still", "").login("bob", &[&bob.code_when(clocks.now())]);
    assert_eq!(login.code, PamCode::SUCCESS, "nothing was changed");
    assert!(daemon.terminate().success());
    done(&daemon.setup, &["restore", "--replace", text(&backup)]);
    daemon.start_again();
    daemon.log.wait_for(&["event=store_incomplete", "known=2"]);
    let state = &daemon.setup.state;
    for kept in [
        "store.former",
        "store.former.journal",
        "store.former.marker",
    ] {
        assert!(state.join(kept).exists(), "{kept}");
    }
    assert!(daemon.terminate().success());
    refused(
        &daemon.setup,
        &["restore", "--replace", text(&backup)],
        "move it away",
    );
}

#[test]
fn a_backup_that_is_cut_altered_newer_or_of_other_secrets_is_refused_and_nothing_is_changed() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    daemon.enroll("alice");
    let backup = backup_of(&daemon);
    refused(&daemon.setup, &["backup", text(&backup)], "exists already");
    let bytes = fs::read(&backup).expect("a backup");
    let mut setup = elsewhere(&clocks);
    let refuse = |setup: &Setup, bytes: &[u8], why: &str| {
        let path = new_path("bad");
        fs::write(&path, bytes).expect("a file");
        refused(setup, &["backup", "--verify", text(&path)], why);
        refused(setup, &["restore", text(&path)], why);
        assert!(!setup.state.join("store.journal").exists(), "{why}");
    };
    for length in [bytes.len() - 1, bytes.len() / 2, 40] {
        refuse(&setup, &bytes[..length], "damaged, or was cut");
    }
    for at in [30, bytes.len() / 2, bytes.len() - 1] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        refuse(&setup, &altered, "damaged, or was cut");
    }
    let longer = [&bytes[..], b"more"].concat();
    refuse(&setup, &longer, "damaged, or was cut");
    refuse(&setup, b"", "is no backup");
    refuse(&setup, &[b'x'; 100_000], "is no backup");
    let newer = [b"pam-totp backup 2\n", &bytes[18..]].concat();
    refuse(&setup, &newer, "a newer version");
    setup.secrets = "2: another application secret of the tests\n".to_owned();
    setup.write();
    refuse(
        &setup,
        &bytes,
        "1 record: the application secret '1' is not here",
    );
}

#[test]
fn a_backup_goes_to_standard_output_for_another_program_and_its_file_is_roots_alone() {
    let _place = world::enter();
    let daemon = Setup::new().start();
    daemon.enroll("alice");
    let backup = backup_of(&daemon);
    let kept = fs::metadata(&backup).expect("a backup");
    assert_eq!((kept.mode() & 0o777, kept.uid()), (0o600, 0));
    let piped = totpctl(&daemon.setup, &["backup", "-"]);
    assert!(
        piped.status.success() && piped.stderr.is_empty(),
        "{piped:?}"
    );
    let path = new_path("piped");
    fs::write(&path, &piped.stdout).expect("a file");
    let told = done(&daemon.setup, &["backup", "--verify", text(&path)]);
    assert!(told.contains("1 user"), "{told}");
    drop(daemon);
    let nowhere = Setup::new();
    nowhere.write();
    let none = new_path("none");
    refused(&nowhere, &["backup", text(&none)], "cannot be read");
    assert!(!none.exists(), "no half backup stays");
}

#[test]
fn the_chapter_on_backups_is_played_as_it_stands() {
    let _place = world::enter();
    let mut system = System::start();
    let daemon = &mut system.daemon;
    daemon.enroll("alice");
    let lines = lines_of("Backup and restore");
    let [backup, verify, _age, stop, restore, start, accept] = &lines[..] else {
        panic!("{lines:?}");
    };
    let _ = fs::remove_file("/root/pam-totp.backup");
    typed(backup);
    assert!(typed(verify).contains("1 user"));
    assert!(stop.starts_with("systemctl stop provisiond"), "{stop}");
    assert!(daemon.terminate().success());
    for part in ["store", "store.journal"] {
        fs::remove_dir_all(daemon.setup.state.join(part)).expect("a lost disk");
    }
    fs::remove_file(daemon.setup.state.join("store.marker")).expect("a lost disk");
    typed(restore);
    assert_eq!(start, "systemctl start provisiond");
    daemon.start_again();
    typed(accept);
    let shown = daemon.totpctl_json(&["show", "alice"], "");
    assert_eq!(shown["enrolled"], true, "{shown}");
    fs::remove_file("/root/pam-totp.backup").expect("the backup");
}
