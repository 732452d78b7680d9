//! The shipped units under a real systemd: `make install`, `systemctl`, and the commands of the
//! documents.

use std::cell::Cell;
use std::fs::read_to_string;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use tests::daemon::authenticator;
use tests::fleet::{Authority, Tls, free_port, relay};
use tests::libpam::PamCode;
use tests::machine::Machine;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

const GUIDE: &str = include_str!("../../../docs/administrators-guide.md");

#[test]
fn after_make_install_two_commands_bring_the_first_login() {
    let _place = world::enter();
    let machine = Machine::boot();
    machine.run(&["systemctl", "enable", "--now", "provisiond"]);
    let device = enroll(&machine, "alice");
    let code = device.code();
    assert!(log_in(&machine, "alice", &code));
    assert!(!log_in(&machine, "alice", &code), "a replay");
    assert_eq!(
        machine.run(&["stat", "-c", "%a %U %G", SETTINGS, SECRETS, MIRROR]),
        "640 root _pam-totp\n600 root root\n600 _pam-totp _pam-totp"
    );
    machine.run(&["provisiond", "--check"]);
}

#[test]
fn an_upgrade_keeps_settings_and_secrets_and_a_restart_serves_it() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.write(SETTINGS, "policy: {window: 2}\n");
    let secrets = machine.run(&["cat", SECRETS]);
    let told = machine.run(&INSTALL);
    assert!(told.contains("systemctl restart provisiond"), "{told}");
    machine.run(&["systemctl", "restart", "provisiond"]);
    assert_eq!(machine.run(&["cat", SECRETS]), secrets);
    assert_eq!(machine.run(&["cat", SETTINGS]), "policy: {window: 2}");
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn with_bad_settings_the_daemon_waits_and_the_first_login_after_the_repair_starts_it() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.write(SETTINGS, "polcy\n");
    machine.run(&["systemctl", "stop", "provisiond.service"]);
    assert!(!log_in(&machine, "alice", &device.code()));
    machine.wait_for(UNITS[0], "ActiveState", "failed");
    assert_eq!(machine.property(UNITS[0], "ExecMainStatus"), "78");
    assert_eq!(machine.property(UNITS[0], "NRestarts"), "0");
    machine.write(SETTINGS, "");
    assert!(log_in(&machine, "alice", &device.code()));
}

/// What was done to the file, by a shell, and a part of the sentence if it is refused.
const SECRETS_FILES: [(&str, Option<&str>); 13] = [
    ("chown root:root $F; chmod 600 $F", None),
    ("chown root:_pam-totp $F; chmod 640 $F", None),
    ("chown _pam-totp:_pam-totp $F; chmod 400 $F", None),
    (
        "chmod 644 $F",
        Some("secrets: holds secrets and every user can read it"),
    ),
    (
        "chmod 660 $F",
        Some("secrets: its group or other users can write"),
    ),
    (
        "chown nobody $F; chmod 600 $F",
        Some("secrets: belongs to uid 65534"),
    ),
    (
        "rm $F",
        Some("secrets: cannot be read, because it does not exist"),
    ),
    (": > $F", Some("secrets: there is no application secret")),
    ("echo > $F", Some("secrets: there is no application secret")),
    (
        "mv $F /etc/other; ln -s /etc/other $F",
        Some("secrets: is a symbolic link"),
    ),
    (
        "chmod 777 /etc/pam-totp",
        Some("settings.yaml: lies in a folder"),
    ),
    (
        "chgrp _pam-totp $F; chmod 640 $F; : > $F",
        Some("secrets: there is no application secret"),
    ),
    (
        "chmod 604 $F; chown root:root $F",
        Some("secrets: holds secrets and every"),
    ),
];

#[test]
fn of_the_secrets_file_the_check_says_what_the_start_does() {
    let _place = world::enter();
    let machine = serving();
    for (spoil, refused) in SECRETS_FILES {
        machine.run(&[
            "sh",
            "-c",
            &format!("F={SECRETS}; cp -p $F /run/kept; {spoil}"),
        ]);
        let seen = machine.journal.text().lines().count();
        let check = machine.command(&["provisiond", "--check"]);
        let start = machine.command(&["systemctl", "restart", "provisiond"]);
        assert_eq!(
            check.status.success(),
            refused.is_none(),
            "{spoil}: {check:?}"
        );
        assert_eq!(
            start.status.success(),
            refused.is_none(),
            "{spoil}: {start:?}"
        );
        if let Some(reason) = refused {
            let told = String::from_utf8_lossy(&check.stderr);
            let sentence = told.trim();
            assert!(
                sentence.contains(&format!("/etc/pam-totp/{reason}")),
                "{spoil}: {sentence}"
            );
            machine.until(|| {
                let journal = machine.journal.text();
                journal
                    .lines()
                    .skip(seen)
                    .any(|line| line.contains(sentence))
            });
        }
        let back = "rm -f $F /etc/other; chmod 755 /etc/pam-totp; mv /run/kept $F";
        machine.run(&["sh", "-c", &format!("F={SECRETS}; {back}")]);
    }
    machine.run(&["systemctl", "restart", "provisiond"]);
}

#[test]
fn a_reload_refuses_secrets_that_others_have_become_able_to_read() {
    let _place = world::enter();
    let machine = serving();
    machine.run(&["chmod", "644", SECRETS]);
    let reload = machine.command(&["systemctl", "reload", "provisiond"]);
    assert!(!reload.status.success(), "{reload:?}");
    machine.journal.wait_for(&["event=reload_failed", SECRETS]);
}

#[test]
fn users_who_may_not_read_the_secrets_are_told_that_root_checks_them() {
    let _place = world::enter();
    let machine = serving();
    let check = |user: &str, group: &str| {
        let to = [
            "setpriv",
            "--reuid",
            user,
            "--regid",
            group,
            "--clear-groups",
        ];
        let told = machine.command(&[&to[..], &["provisiond", "--check"]].concat());
        (
            told.status.success(),
            String::from_utf8_lossy(&told.stderr).into_owned(),
        )
    };
    for (user, group) in [("_pam-totp", "_pam-totp"), ("nobody", "nogroup")] {
        let (may, told) = check(user, group);
        assert!(!may && told.contains("run this as root"), "{user}: {told}");
    }
    machine.run(&["chgrp", "_pam-totp", SECRETS]);
    machine.run(&["chmod", "640", SECRETS]);
    assert!(check("_pam-totp", "_pam-totp").0);
}

/// Not by the unit: a daemon that is started as root reads them before it gives root up.
#[test]
fn secrets_of_root_alone_reach_a_daemon_that_systemd_gives_no_credentials() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.run(&[&["systemctl", "stop"], &UNITS[..]].concat());
    machine.run(&[
        "sh",
        "-c",
        "chown root:root $1; chmod 600 $1",
        "sh",
        SECRETS,
    ]);
    let start = [
        "systemd-run",
        "-p",
        "Type=notify",
        "--unit=by-hand",
        "provisiond",
    ];
    machine.run(&start);
    assert!(log_in(&machine, "alice", &device.code()));
    machine.run(&["systemctl", "stop", "by-hand"]);
}

/// systemd's limit is twenty attempts in two seconds. A slow machine reaches two.
#[test]
fn however_many_logins_find_a_daemon_that_cannot_start_roots_socket_stays_open() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.run(&[&["systemctl", "stop"], &UNITS[..]].concat());
    let fails = "[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/false\nRestart=no\n";
    drop_in(&machine, UNITS[0], fails);
    for socket in &UNITS[1..] {
        drop_in(&machine, socket, "[Socket]\nTriggerLimitBurst=2\n");
    }
    machine.run(&["systemctl", "start", UNITS[1], UNITS[2]]);
    // systemd ends each connection when the start has failed. A closed socket refuses.
    let knock = |socket| while_it_is_open(&machine, &machine.path(socket), 6);
    knock("/run/pam-totp/login.sock");
    assert_eq!(machine.property(UNITS[1], "Result"), "success");
    knock("/run/pam-totp/provisiond.sock");
    assert_eq!(
        machine.property(UNITS[2], "Result"),
        "trigger-limit-hit",
        "no user makes systemd start the daemon without end"
    );
    drop_in(&machine, UNITS[0], "");
    assert!(log_in(&machine, "alice", &device.code()));
    machine.wait_for("provisiond.socket", "ActiveState", "active");
}

#[test]
fn a_missing_mirror_comes_back_and_where_it_cannot_the_daemon_starts_with_a_warning() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.run(&["rm", MIRROR]);
    machine.run(&["systemctl", "restart", "provisiond"]);
    machine.run(&["test", "-s", MIRROR]);
    machine.run(&["rm", MIRROR, "/usr/lib/tmpfiles.d/pam-totp.conf"]);
    machine.run(&["systemctl", "restart", "provisiond"]);
    machine.journal.wait_for(&["event=mirror_unavailable"]);
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn a_socket_that_a_hand_has_removed_is_named_with_the_command_that_brings_it_back() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.run(&["rm", "-r", "/run/pam-totp"]);
    machine.run(&["systemctl", "restart", "provisiond"]);
    machine
        .journal
        .wait_for(&["event=socket_removed path=/run/pam-totp/login.sock"]);
    assert!(!log_in(&machine, "alice", &device.code()));
    machine.run(&[
        "systemctl",
        "restart",
        "provisiond-login.socket",
        "provisiond.socket",
    ]);
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn without_its_account_the_daemon_waits_and_the_first_login_after_the_repair_starts_it() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    machine.run(&["systemctl", "stop", "provisiond.service"]);
    machine.run(&["userdel", "_pam-totp"]);
    assert!(!log_in(&machine, "alice", &device.code()));
    machine.wait_for("provisiond.service", "ActiveState", "failed");
    assert_eq!(machine.property("provisiond.service", "NRestarts"), "0");
    machine.run(&["systemd-sysusers", "pam-totp.conf"]);
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn what_only_an_administrator_can_mend_is_no_reason_to_start_the_daemon_again_and_again() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    let program = "/usr/sbin/provisiond";
    let store = "/var/lib/pam-totp/store";
    for (code, breaks, mends) in [
        ("78", ["chmod", "0777", store], ["chmod", "0700", store]),
        (
            "203",
            ["chmod", "0644", program],
            ["chmod", "0755", program],
        ),
    ] {
        machine.run(&["systemctl", "stop", "provisiond.service"]);
        machine.run(&breaks);
        assert!(!log_in(&machine, "alice", &device.code()), "{code}");
        machine.wait_for(UNITS[0], "ActiveState", "failed");
        assert_eq!(machine.property(UNITS[0], "ExecMainStatus"), code);
        assert_eq!(machine.property(UNITS[0], "NRestarts"), "0", "{code}");
        machine.run(&mends);
    }
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn a_reload_with_bad_settings_fails_and_says_why() {
    let _place = world::enter();
    let machine = serving();
    let reload = || machine.command(&["systemctl", "reload", "provisiond"]);
    assert!(reload().status.success());
    machine.write(SETTINGS, "policy: {windw: 2}\n");
    assert!(!reload().status.success());
    machine.journal.wait_for(&["totpctl", "windw"]);
    assert_eq!(
        machine.property("provisiond.service", "ActiveState"),
        "active"
    );
    machine.write(SETTINGS, "policy: {window: 2}\n");
    assert!(reload().status.success());
}

#[test]
fn a_daemon_that_stands_still_is_started_anew() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    drop_in(&machine, UNITS[0], "[Service]\nWatchdogSec=2s\n");
    machine.run(&["systemctl", "restart", "provisiond"]);
    // As long as the daemon answers, it tells so, and is left alone.
    let told = || machine.property(UNITS[0], "WatchdogTimestampMonotonic");
    for _ in 0..3 {
        let before = told();
        machine.until(|| told() != before);
    }
    assert_eq!(machine.property(UNITS[0], "NRestarts"), "0");
    let pid = machine.property(UNITS[0], "MainPID");
    machine.run(&["kill", "-STOP", &pid]);
    machine.wait_for(UNITS[0], "NRestarts", "1");
    machine.wait_for(UNITS[0], "ActiveState", "active");
    assert!(log_in(&machine, "alice", &device.code()));
}

/// The disk fills up while the daemon serves, and stays full while the daemon looks again and again.
#[test]
fn on_a_full_disk_the_daemon_is_not_started_again_and_again_and_goes_on_when_there_is_room() {
    let _place = world::enter();
    let machine = Machine::boot();
    let small = "mkdir -p $1 && mount -t tmpfs -o size=8m tmpfs $1 && mkdir $1/filled";
    machine.run(&["sh", "-c", small, "sh", "/var/lib/pam-totp"]);
    machine.run(&["systemctl", "enable", "--now", "provisiond"]);
    let device = enroll(&machine, "alice");
    machine.run(&[
        "sh",
        "-c",
        "cat /dev/zero > /var/lib/pam-totp/filled/all || true",
    ]);
    // Until the store has used up what room it had.
    let fails = || machine.journal.with(&["event=store_failed"]).len();
    let newcomers = Cell::new(0);
    machine.until(|| {
        let user = format!("user-{}", newcomers.replace(newcomers.get() + 1));
        machine.with_input(&["totpctl", "enroll", &user, "--yes"], "");
        fails() > 0
    });
    machine.journal.wait_for(&["event=store_waits"]);
    // Each look at the disk is a sign of life.
    let looked = || machine.property(UNITS[0], "WatchdogTimestampMonotonic");
    for _ in 0..3 {
        let before = looked();
        machine.until(|| looked() != before);
    }
    assert_eq!(machine.property(UNITS[0], "NRestarts"), "1");
    assert_eq!(machine.property(UNITS[0], "ActiveState"), "active");
    let status = machine.property(UNITS[0], "StatusText");
    assert!(status.contains("waits until the disk"), "{status}");
    machine.run(&["rm", "/var/lib/pam-totp/filled/all"]);
    machine.journal.wait_for(&["event=store_goes_on"]);
    machine.until(|| log_in(&machine, "alice", &device.code()));
    assert_eq!(machine.journal.with(&["event=store_waits"]).len(), 1);
    assert_eq!(
        (fails(), machine.property(UNITS[0], "NRestarts")),
        (1, "1".into())
    );
}

/// The commands stand in the head of the unit.
#[test]
fn the_example_mails_what_happened_while_it_did_not_run() {
    let _place = world::enter();
    let machine = serving();
    enroll(&machine, "alice");
    let examples = "/usr/share/doc/pam-totp/examples";
    let unit = machine.run(&["cat", &format!("{examples}/pam-totp-mail.service")]);
    let commands = unit.lines().filter_map(|line| line.strip_prefix("#   "));
    let sendmail = "#!/bin/sh\n[ \"$*\" = '-oi -odi -t' ] && cat >> /var/lib/mails\n";
    machine.write("/usr/sbin/sendmail", sendmail);
    machine.run(&["chmod", "755", "/usr/sbin/sendmail"]);
    for command in commands {
        machine.run(&["sh", "-c", &format!("cd {examples} && {command}")]);
    }
    let has_come = |word: &str| {
        let grep = ["grep", "-q", word, "/var/lib/mails"];
        machine.until(|| machine.command(&grep).status.success());
    };
    machine.until(|| machine.command(&["test", "-e", STATE]).status.success());
    let begun = machine.run(&["cat", STATE]);
    // The first event of a later second.
    machine.until(|| {
        machine.run(&["totpctl", "unlock", "alice"]);
        machine.run(&["cat", STATE]) != begun
    });
    has_come("unlock");
    machine.run(&["systemctl", "stop", "pam-totp-mail"]);
    machine.run(&["totpctl", "bypass", "alice"]);
    machine.run(&["systemctl", "restart", "provisiond"]);
    machine.run(&["systemctl", "start", "pam-totp-mail"]);
    has_come("bypass");
}

/// The commands stand in the head of the unit.
#[test]
fn the_example_imports_a_file_that_a_user_has_made_meanwhile_and_its_code_opens_the_next_login() {
    let _place = world::enter();
    let machine = serving();
    let home = "/var/lib/home-of-alice";
    machine.run(&["usermod", "--home", home, "alice"]);
    machine.run(&["install", "-d", "-o", "alice", "-m", "700", home]);
    let examples = "/usr/share/doc/pam-totp/examples";
    let unit = machine.run(&["cat", &format!("{examples}/pam-totp-import.service")]);
    for command in unit.lines().filter_map(|line| line.strip_prefix("#   ")) {
        machine.run(&["sh", "-c", &format!("cd {examples} && {command}")]);
    }
    // The first run finds nothing, and a later one the file.
    machine.journal.wait_for(&["0 imported, 0 existed already"]);
    let file = format!("{home}/.google_authenticator");
    machine.run(&[
        "setpriv",
        "--reuid=alice",
        "--regid=alice",
        "--clear-groups",
        "google-authenticator",
        "--quiet",
        "--force",
        "-t",
        "-d",
        "-w",
        "3",
        "-u",
        "-Q",
        "none",
        "-C",
        "-s",
        &file,
    ]);
    let key = machine.run(&["head", "-n", "1", &file]);
    machine.run(&["systemctl", "start", "pam-totp-import.service"]);
    machine.journal.wait_for(&["alice: imported as device"]);
    let device = Authenticator::new(&key);
    // The code of the present step may have been used before.
    assert!(log_in(&machine, "alice", &device.code_at(1)));
    machine.run(&["systemctl", "start", "pam-totp-import.service"]);
    machine.journal.wait_for(&["0 imported, 1 existed already"]);
    let unit = "/etc/systemd/system/pam-totp-import";
    for kind in ["service", "timer"] {
        let unit = format!("{unit}.{kind}");
        let told = machine.command(&["systemd-analyze", "--man=no", "verify", &unit]);
        assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    }
    let unit = &format!("{unit}.service");
    machine.run(&[
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--threshold=35",
        unit,
    ]);
}

/// The command stands in the guide.
#[test]
fn a_login_imports_the_file_of_a_user_without_a_record_through_the_importers_socket() {
    let _place = world::enter();
    let machine = serving();
    let home = "/var/lib/home-of-bob";
    machine.run(&["usermod", "--home", home, "bob"]);
    machine.run(&["install", "-d", "-o", "bob", "-m", "700", home]);
    let file = format!("{home}/.google_authenticator");
    let make = "google-authenticator -q -f -t -d -w 3 -u -Q none -C -s";
    let user = ["setpriv", "--reuid=bob", "--regid=bob", "--clear-groups"];
    let make: Vec<&str> = make.split(' ').chain([file.as_str()]).collect();
    machine.run(&[&user[..], &make].concat());
    let settings = machine.run(&["cat", SETTINGS]);
    let on = "import: {google-authenticator: {homes: true}}\n";
    machine.write(SETTINGS, &format!("{settings}\n{on}"));
    machine.run(&["totpctl", "reload"]);
    let enable = "systemctl enable --now pam-totp-importer.socket";
    assert!(GUIDE.contains(&format!("\n      {enable}\n")));
    machine.run(&enable.split(' ').collect::<Vec<_>>());
    let key = machine.run(&["head", "-n", "1", &file]);
    let device = Authenticator::new(&key);
    // Where the importer is late, the login after this one finds the device.
    let first = log_in(&machine, "bob", &device.code());
    machine.journal.wait_for(&["event=import user=bob "]);
    assert!(first || log_in(&machine, "bob", &device.code_at(1)));
    let ended = || {
        machine.run(&[
            "systemctl",
            "list-units",
            "--all",
            "--plain",
            "pam-totp-importer@*",
        ])
    };
    machine.until(|| !ended().contains("pam-totp-importer@"));
    assert!(!log_in(&machine, "alice", "123456"));
    machine.until(|| !ended().contains("pam-totp-importer@"));
}

#[test]
fn the_timer_writes_the_metrics_where_node_exporter_reads_them() {
    let _place = world::enter();
    let machine = serving();
    let folder = "/var/lib/prometheus/node-exporter";
    machine.run(&["mkdir", "-p", folder]);
    let enable = "systemctl enable --now pam-totp-metrics.timer";
    assert!(GUIDE.contains(&format!("\n    {enable}\n")));
    machine.run(&enable.split(' ').collect::<Vec<_>>());
    let file = machine.path(&format!("{folder}/pam-totp.prom"));
    machine.until(|| file.exists());
    let text = read_to_string(&file).expect("the metrics");
    assert!(text.contains("\npam_totp_up 1\n"), "{text}");
    machine.wait_for("pam-totp-metrics.service", "Result", "success");
}

#[test]
fn uninstall_refuses_while_a_pam_file_names_the_module_and_then_leaves_nothing_running() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    assert!(log_in(&machine, "alice", &device.code()));
    machine.run(&["systemctl", "enable", "--now", METRICS]);
    let refused = machine.command(&UNINSTALL);
    assert!(!refused.status.success(), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains(SERVICE), "{told}");
    assert!(
        log_in(&machine, "alice", &device.code_at(1)),
        "all is there"
    );
    machine.write(
        SERVICE,
        "# auth required pam_totp.so\nauth required pam_permit.so\n",
    );
    machine.run(&UNINSTALL);
    for unit in UNITS.into_iter().chain([METRICS]) {
        assert_eq!(machine.property(unit, "LoadState"), "not-found", "{unit}");
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    let left = [
        "find",
        "/etc/systemd",
        "/usr/lib",
        "/usr/sbin",
        "/usr/bin",
        "-name",
    ];
    for name in ["*provisiond*", "*pam?totp*", "totpctl"] {
        assert_eq!(machine.run(&[&left[..], &[name]].concat()), "", "{name}");
    }
    machine.run(&["test", "-e", SETTINGS, "-a", "-e", SECRETS]);
}

/// The programs were brought along: there is no compiler.
#[test]
fn the_module_goes_where_libpam_looks_or_nothing_is_installed() {
    let _place = world::enter();
    let machine = Machine::boot();
    machine.run(&[
        "rm",
        "-f",
        "/usr/bin/gcc",
        "/usr/bin/cc",
        "/usr/bin/dpkg-architecture",
    ]);
    let find =
        |name: &str| machine.run(&["find", "/usr", "/lib", "-name", name, "-printf", "%h\n"]);
    let libpams = find("pam_deny.so");
    machine.run(&["find", "/usr", "-name", "pam_totp.so", "-delete"]);
    machine.run(&INSTALL);
    assert_eq!(find("pam_totp.so"), libpams);
    machine.run(&["find", "/usr", "-name", "pam_totp.so", "-delete"]);
    machine.run(&["find", "/usr", "-name", "pam_deny.so", "-delete"]);
    let told = machine.command(&INSTALL);
    let words = String::from_utf8_lossy(&told.stderr);
    assert!(
        !told.status.success() && words.contains("MODULEDIR="),
        "{told:?}"
    );
    assert_eq!(find("pam_totp.so"), "");
}

#[test]
fn the_units_are_valid_and_strict() {
    let _place = world::enter();
    let machine = Machine::boot();
    let folder = "/usr/lib/systemd/system";
    let units = UNITS.map(|unit| format!("{folder}/{unit}"));
    let undo = ["service", "timer"].map(|kind| format!("{folder}/pam-totp-setup-undo.{kind}"));
    let metrics = ["service", "timer"].map(|kind| format!("{folder}/pam-totp-metrics.{kind}"));
    let importer = ["@.service", ".socket"].map(|kind| format!("{folder}/pam-totp-importer{kind}"));
    let all = units.iter().chain(&undo).chain(&metrics).chain(&importer);
    for unit in all {
        let told = machine.command(&["systemd-analyze", "--man=no", "verify", unit]);
        assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    }
    // Tenths of a point. The rollback has to be root, and may change owners. The metrics are read
    // by root, too. The importer reads the homes of all users.
    for (unit, most) in [
        (&units[0], "--threshold=10"),
        (&undo[0], "--threshold=14"),
        (&metrics[0], "--threshold=10"),
        (&importer[0], "--threshold=16"),
    ] {
        let analyze = ["systemd-analyze", "security", "--offline=yes"];
        machine.run(&[&analyze[..], &[most, unit]].concat());
    }
    for (name, value) in [
        ("OOMScoreAdjust", "-900"),
        ("TasksMax", "512"),
        ("LimitNOFILE", "1024"),
        ("LimitNOFILESoft", "1024"),
        ("LogRateLimitIntervalUSec", "0"),
    ] {
        assert_eq!(machine.property(UNITS[0], name), value, "{name}");
    }
}

/// The commands stand in the guide.
#[test]
fn the_break_glass_drill_stops_the_daemon_and_starts_it_again() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    let (_, drill) = GUIDE
        .split_once("Try it now, with the daemon stopped: `")
        .expect("the drill");
    let mut commands = drill.split('`').step_by(2);
    let mut play = || machine.run(&["sh", "-c", commands.next().expect("a command")]);
    play();
    assert!(!log_in(&machine, "alice", &device.code()));
    assert_eq!(machine.property(UNITS[0], "ActiveState"), "inactive");
    play();
    assert!(log_in(&machine, "alice", &device.code()));
}

#[test]
fn with_the_drop_in_of_a_fleet_a_verifier_serves_relays_under_its_unit_and_else_says_why_not() {
    let _place = world::enter();
    let machine = serving();
    let device = enroll(&machine, "alice");
    let (authority, port) = (Authority::new(), free_port());
    let Tls { ca, cert, key } = authority.verifier();
    machine.run(&["mkdir", "/etc/pam-totp/fleet"]);
    for (name, path) in [("ca", ca), ("cert", cert), ("key", key)] {
        let there = format!("/etc/pam-totp/fleet/{name}.pem");
        machine.write(&there, &read_to_string(path).expect("PEM"));
        machine.run(&["chgrp", "_pam-totp", &there]);
        machine.run(&["chmod", "640", &there]);
    }
    let files = ["ca", "cert", "key"].map(|name| format!("{name}: /etc/pam-totp/fleet/{name}.pem"));
    let hosts = "{all: {names: [web1], services: [sshd], users-groups: [alice]}}";
    let (files, listen) = (files.join(", "), format!("127.0.0.1:{port}"));
    let fleet = format!("{{listen: '{listen}', {files}, hosts: {hosts}}}");
    machine.write(SETTINGS, &format!("provisiond: {{fleet: {fleet}}}\n"));
    let restart = ["systemctl", "restart", "provisiond"];
    assert!(!machine.command(&restart).status.success());
    machine.journal.wait_for(&["cannot listen on"]);
    drop_in(&machine, UNITS[0], OF_A_FLEET);
    machine.run(&restart);
    let relay = relay(&authority.host("web1"), &[port]).start();
    relay.log.wait_for(&["event=verifier_reached"]);
    let login = Stack::of(&relay, "sshd", "retry=1").login("alice", &[&device.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    machine
        .journal
        .wait_for(&["event=verify user=alice ", " role=relay host=web1"]);
}

/// A machine on which the daemon serves.
fn serving() -> Machine {
    let machine = Machine::boot();
    machine.run(&["systemctl", "enable", "--now", "provisiond"]);
    machine
}

fn enroll(machine: &Machine, user: &str) -> Authenticator {
    let told = machine.run(&["totpctl", "--json", "enroll", user, "--yes"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    authenticator(&told)
}

/// Changes a unit, until the machine ends.
fn drop_in(machine: &Machine, unit: &str, lines: &str) {
    let folder = &format!("/run/systemd/system/{unit}.d");
    machine.run(&["mkdir", "-p", folder]);
    machine.write(&format!("{folder}/of-a-test.conf"), lines);
    machine.run(&["systemctl", "daemon-reload"]);
}

/// Connects again and again, each time until the other side has ended the connection.
fn while_it_is_open(machine: &Machine, path: &Path, times: usize) {
    for _ in 0..times {
        let Ok(mut connection) = UnixStream::connect(path) else {
            return;
        };
        let _ = connection.read_to_end(&mut Vec::new());
        // systemd answers when it has ended all of them.
        machine.property(UNITS[0], "ActiveState");
    }
}

/// Whether a login with this code gets in.
fn log_in(machine: &Machine, user: &str, code: &str) -> bool {
    let lines = "auth required pam_totp.so retry=1\naccount required pam_permit.so\n";
    machine.write(SERVICE, lines);
    let told = machine.with_input(
        &["pamtester", "totp", user, "authenticate"],
        &format!("{code}\n"),
    );
    told.status.success()
}

const UNITS: [&str; 3] = [
    "provisiond.service",
    "provisiond-login.socket",
    "provisiond.socket",
];
/// As it is in the file that `totpctl fleet` packs for a machine.
const OF_A_FLEET: &str = include_str!("../../../totpctl/src/fleet/fleet.conf");
const METRICS: &str = "pam-totp-metrics.timer";
const SERVICE: &str = "/etc/pam.d/totp";
const SETTINGS: &str = "/etc/pam-totp/settings.yaml";
const SECRETS: &str = "/etc/pam-totp/secrets";
const STATE: &str = "/var/lib/pam-totp-mail/last";
const MIRROR: &str = "/run/pam-totp/generation";
const INSTALL: [&str; 5] = [
    "make",
    "-C",
    "/run/project",
    "install",
    "RELEASE=/run/built",
];
const UNINSTALL: [&str; 5] = [
    "make",
    "-C",
    "/run/project",
    "uninstall",
    "RELEASE=/run/built",
];
