//! Settings and application secrets that cannot be used: the check and the start say so, and a
//! daemon that runs goes on with what it has.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

#[test]
fn settings_that_cannot_be_used_are_refused_with_the_file_and_the_reason() {
    let _place = world::enter();
    for (text, reason) in [
        ("  context:\n    digts: 6\n", "digts"),
        ("policy: {windoe: 1}\n", "windoe"),
        ("policy: {window: wide}\n", "window"),
        ("policy: [1]\n", "section"),
        ("policy: {budget: 1, budget: 2}\n", "'budget' is repeated"),
        ("policy: {refill: soon}\n", "24h"),
        ("policy: {window: 11}\n", "between 0 and 10"),
        (
            "rules:\n- name: lan\n  services: [sshd]\n  from:\n",
            "rules[0].from: no value stands here",
        ),
        ("nonsense\n", "line"),
        ("a: [\n", "line"),
        ("a: &a [*a]\npolicy: *a\n", "line"),
        ("\0\n", "position"),
    ] {
        let setup = Setup::new();
        // A section that stands twice would be another mistake.
        let kept = if text.starts_with(' ') {
            ""
        } else {
            &setup.settings
        };
        let text = format!(
            "{kept}{}{text}",
            if text.starts_with(' ') { "totp:\n" } else { "" }
        );
        setup.write();
        world::write_for_daemon(&setup.folder.join("settings.yaml"), &text);
        refused(&setup, "settings.yaml", reason, &text);
    }
}

#[test]
fn a_default_secret_that_is_a_weak_one_is_refused_also_where_weak_ones_open() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.settings = setup
        .settings
        .replace("totp:\n", "totp:\n  allow-weak-secrets: true\n");
    setup.secrets = "1: an application secret of the tests\n2: hunter\n".into();
    setup.write();
    refused(
        &setup,
        "settings.yaml",
        "'default-tag'",
        "the second is the default",
    );
    setup.settings = setup
        .settings
        .replace("  context:\n", "  context:\n    default-tag: 1\n");
    let daemon = setup.start();
    daemon.enroll("alice");
    world::write_for_daemon(
        &daemon.setup.folder.join("secrets"),
        "2: hunter\n1: hunter\n",
    );
    let told = daemon.call("Reload", &json!({})).unwrap_err();
    assert!(
        told.1["why"]
            .as_str()
            .expect("a sentence")
            .contains("'default-tag'"),
        "{told:?}"
    );
    daemon.enroll("bob");
}

#[test]
fn files_that_are_no_settings_are_refused_without_being_read() {
    let _place = world::enter();
    for name in ["settings.yaml", "secrets"] {
        for (what, reason) in [
            ("100 KiB", "larger than"),
            ("no text", "not UTF-8"),
            ("a folder", "not a regular file"),
            ("a pipe", "not a regular file"),
            ("a symbolic link", "symbolic link"),
            ("nothing", "cannot be read"),
            ("a stranger's", "chown root"),
            ("every user's to write", "chmod go-w"),
            ("its group's to write", "chmod go-w"),
        ] {
            let setup = Setup::new();
            setup.write();
            spoil(&setup.folder.join(name), what);
            refused(&setup, name, reason, what);
        }
    }
    let device = Command::new(world::built("provisiond"))
        .args(["--check", "--settings", "/dev/zero"])
        .output();
    let sentence = said(&device.expect("provisiond"));
    assert!(
        sentence.contains("/dev/zero: is not a regular file"),
        "{sentence}"
    );
    let readable = Setup::new();
    readable.write();
    fs::set_permissions(
        readable.folder.join("secrets"),
        Permissions::from_mode(0o644),
    )
    .expect("its mode");
    refused(&readable, "secrets", "chmod o=", "every user's to read");
}

#[test]
fn application_secrets_that_cannot_be_used_are_refused_and_never_shown() {
    let _place = world::enter();
    for (text, reason) in [
        ("", "--new-secret"),
        ("# nothing\n\n", "--new-secret"),
        ("1: fifteen bytes!!\n2: short\n", "fewer than 16"),
        (
            "1:                  short                  \n",
            "fewer than 16",
        ),
        (
            "1: hunter2-hunter2-hunter2\n1: hunter3-hunter3-hunter3\n",
            "repeated",
        ),
        ("hunter2-hunter2-hunter2\n", "line 1"),
        (
            "1: hunter2-hunter2-hunter2\n\nhunter3-hunter3-hunter3\n",
            "line 3",
        ),
        ("a b: hunter2-hunter2-hunter2\n", "tag"),
        (
            "{\"1\": \"hunter2-hunter2-hunter2\",\n \"1\": \"hunter3-hunter3-hunter3\"}\n",
            "line 2",
        ),
        ("{\"1\": 12345678901234567890}\n", "line 1"),
        ("{\"1\": \"hunter2-hunter2-hunter2\"\n", "line"),
    ] {
        let mut setup = Setup::new();
        setup.secrets = text.into();
        setup.write();
        refused(&setup, "secrets", reason, text);
    }
    for (secrets, reason) in [
        ("{1: short}", "fewer than 16"),
        (
            "{1: hunter2-hunter2-hunter2, 1: hunter3-hunter3-hunter3}",
            "repeated",
        ),
        ("[hunter2-hunter2-hunter2]", "line"),
        ("hunter2-hunter2-hunter2", "line end"),
        ("{1: {2: hunter2-hunter2-hunter2}}", "line"),
        ("12345678901234567890", "line"),
    ] {
        let setup = Setup::new();
        setup.write();
        world::write_for_daemon(
            &setup.folder.join("settings.yaml"),
            &format!("totp:\n  context:\n    secrets: {secrets}\n"),
        );
        refused(&setup, "settings.yaml", reason, secrets);
    }
}

#[test]
fn the_check_finds_what_the_daemons_user_will_not_be_able_to_read() {
    let _place = world::enter();
    for name in ["settings.yaml", "secrets"] {
        let setup = Setup::new();
        setup.write();
        // Root's alone: the daemon has given root up when it reads them.
        chown(setup.folder.join(name), Some(0), Some(0)).expect("chown");
        fs::set_permissions(setup.folder.join(name), Permissions::from_mode(0o600))
            .expect("its mode");
        refused(&setup, name, "cannot be read", "root's alone");
    }
}

#[test]
fn the_check_does_not_advise_the_check() {
    let _place = world::enter();
    let setup = Setup::new().with("policy: {window: 11}\n");
    setup.write();
    let checked = run(setup.command().arg("--check"));
    assert!(!said(&checked).contains("--check"), "{}", said(&checked));
}

#[test]
fn settings_that_can_be_used_pass_the_check_which_starts_nothing() {
    let _place = world::enter();
    let setup = Setup::new();
    setup.write();
    let checked = run(setup.command().arg("--check"));
    assert!(checked.status.success(), "{checked:?}");
    assert!(
        said(&checked).contains("settings.yaml") && said(&checked).contains("can be used"),
        "{checked:?}"
    );
    assert_eq!(said(&checked).lines().count(), 1, "{checked:?}");
    assert_eq!(
        fs::read_dir(&setup.runtime)
            .expect("the sockets' folder")
            .count(),
        0
    );
    assert_eq!(
        fs::read_dir(&setup.state)
            .expect("the store's folder")
            .count(),
        0
    );
    let misspelt = setup.settings.clone() + "polcy: {window: 0}\nother-program: [1]\n";
    world::write_for_daemon(&setup.folder.join("settings.yaml"), &misspelt);
    let checked = run(setup.command().arg("--check"));
    assert!(
        checked.status.success()
            && said(&checked).contains("ignored sections: 'polcy', 'other-program'."),
        "{checked:?}"
    );
    let unknown = run(setup.command().arg("--chekc"));
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}

#[test]
fn a_misspelt_section_is_in_the_daemons_log() {
    let _place = world::enter();
    let daemon = Setup::new().with("polcy: {window: 0}\n").start();
    daemon
        .log
        .wait_for(&["event=unknown_section setting=polcy"]);
    let settings = daemon.setup.settings.replace("polcy", "polic");
    world::write_for_daemon(&daemon.setup.folder.join("settings.yaml"), &settings);
    daemon.signal(Signal::SIGHUP);
    daemon
        .log
        .wait_for(&["event=unknown_section setting=polic"]);
}

#[test]
fn a_new_secret_is_a_line_for_the_secrets_file() {
    let _place = world::enter();
    let line = || {
        String::from_utf8(run(Setup::new().command().arg("--new-secret")).stdout).expect("a text")
    };
    let mut setup = Setup::new();
    setup.secrets = line();
    let daemon = setup.start();
    let code = daemon.enroll("alice").code();
    assert_eq!(
        Stack::of(&daemon, "new-secret", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
    assert_ne!(line(), line());
}

#[test]
fn without_its_account_the_daemon_says_how_to_make_it() {
    let _place = world::enter();
    let setup = Setup::new();
    setup.write();
    let passwd = fs::read_to_string("/etc/passwd").expect("the account database");
    let others = passwd
        .lines()
        .filter(|line| !line.starts_with(world::DAEMON));
    let without = setup.folder.join("passwd");
    fs::write(&without, others.collect::<Vec<_>>().join("\n") + "\n").expect("another database");
    for check in [&[][..], &["--check"]] {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command
            .arg("mount --bind \"$0\" /etc/passwd && exec \"$@\"")
            .arg(&without);
        let daemon = setup.command();
        command
            .arg(daemon.get_program())
            .args(daemon.get_args())
            .args(check);
        let output = run(&mut command);
        assert!(!output.status.success(), "{output:?}");
        let sentence = said(&output);
        assert!(
            sentence.contains("'_pam-totp'") && sentence.contains("useradd"),
            "{sentence}"
        );
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}

#[test]
fn a_reload_with_bad_settings_keeps_the_old_ones_and_says_so() {
    let _place = world::enter();
    let daemon = Setup::new().with("policy: {budget: 3}\n").start();
    let alice = daemon.enroll("alice");
    let settings = daemon.setup.folder.join("settings.yaml");
    let good = daemon.setup.settings.replace("budget: 3", "budget: 4");
    for (n, bad) in [
        "policy: {budget: many}\n",
        "policy: {window: 1\n",
        "totp: {context: {secrets-path: /none}}\n",
    ]
    .into_iter()
    .enumerate()
    {
        world::write_for_daemon(&settings, bad);
        daemon.signal(Signal::SIGHUP);
        let line = daemon
            .log
            .wait_for_many(2 * n + 1, &["event=reload_failed"])
            .remove(2 * n);
        assert!(
            line.contains(if n == 2 { "/none" } else { "settings.yaml" }),
            "{line}"
        );
        let told = daemon.totpctl(&["--json", "reload"], "");
        assert_eq!(told.status.code(), Some(78), "{told:?}");
        assert!(said(&told).contains("bad_settings"), "{told:?}");
        daemon
            .log
            .wait_for_many(2 * n + 2, &["event=reload_failed"]);
        assert_eq!(daemon.budget("alice"), 3);
    }
    let moved = daemon.setup.settings.replace("/store}", "/another}");
    world::write_for_daemon(&settings, &moved);
    assert_eq!(
        daemon.totpctl(&["reload"], "").status.code(),
        Some(78),
        "a store does not move"
    );
    assert_eq!(
        Stack::of(&daemon, "kept", "")
            .login("alice", &[&alice.code()])
            .code,
        PamCode::SUCCESS
    );
    world::write_for_daemon(&settings, &good);
    daemon.signal(Signal::SIGHUP);
    daemon.log.wait_for(&["event=reloaded", "settings.yaml"]);
    assert_eq!(daemon.budget("alice"), 4);
}

#[test]
fn reloads_without_end_lose_no_login() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let users: Vec<String> = (0..30).map(|n| format!("reload-{n:02}")).collect();
    let devices = daemon.enroll_many(&users);
    let stack = Stack::of(&daemon, "reload", "retry=1");
    for (user, device) in users.iter().zip(devices) {
        (0..4).for_each(|_| daemon.signal(Signal::SIGHUP));
        assert_eq!(stack.login(user, &[&device.code()]).code, PamCode::SUCCESS);
    }
    daemon.log.wait_for(&["event=reloaded"]);
}

#[test]
fn a_second_daemon_in_the_same_place_gives_up_and_the_first_is_still_reached() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    let stack = Stack::of(&daemon, "second", "retry=1");
    let second = run(&mut daemon.setup.command());
    assert_eq!(second.status.code(), Some(70), "{second:?}");
    assert!(
        said(&second).contains("in use") && said(&second).contains("stop the other"),
        "{second:?}"
    );
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::SUCCESS);
    world::write_for_daemon(
        &daemon.setup.folder.join("settings.yaml"),
        "policy: {window: 11}\n",
    );
    assert_eq!(run(&mut daemon.setup.command()).status.code(), Some(78));
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
}

/// Puts something else in the place of a file that was good.
fn spoil(path: &Path, what: &str) {
    let mode = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
    let good = fs::read_to_string(path).expect("a good file");
    let replaced = |command: &str, arguments: &[&str]| {
        fs::remove_file(path).expect("the good file");
        world::run(
            command,
            &[arguments, &[path.to_str().expect("a path in UTF-8")]].concat(),
        );
    };
    match what {
        "100 KiB" => world::write_for_daemon(path, &format!("{good}# {}\n", "x".repeat(100 << 10))),
        "no text" => fs::write(path, [good.as_bytes(), b"# \xff\xfe\n"].concat()).expect("a file"),
        "a folder" => replaced("mkdir", &[]),
        "a pipe" => replaced("mkfifo", &["--mode=644"]),
        "a symbolic link" => {
            let elsewhere = path.with_extension("elsewhere");
            fs::rename(path, &elsewhere).expect("the good file");
            symlink(&elsewhere, path).expect("a link");
        }
        "nothing" => fs::remove_file(path).expect("the good file"),
        "a stranger's" => chown(path, Some(world::user("bob").uid.as_raw()), None).expect("chown"),
        "every user's to write" => mode(0o646),
        "its group's to write" => mode(0o660),
        other => panic!("{other}"),
    }
}

/// The check and the start both refuse, in a line or two that name the file and show no secret.
fn refused(setup: &Setup, file: &str, reason: &str, case: &str) {
    let file = setup.folder.join(file);
    // A daemon that takes them does not end: the check comes first.
    for arguments in [&["--check"][..], &[]] {
        let output = run(setup.command().args(arguments));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(78), "{case:.80}: {output:?}");
        assert!(
            text.contains(file.to_str().expect("a path in UTF-8")),
            "{case:.80}: {text}"
        );
        assert!(text.contains(reason), "{case:.80}: {text}");
        assert!(
            text.lines().all(|line| line.starts_with("provisiond: ")) && text.lines().count() <= 2,
            "{text}"
        );
        assert!(
            !["hunter", "12345678901234567890"]
                .iter()
                .any(|secret| text.contains(secret)),
            "{text}"
        );
    }
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
