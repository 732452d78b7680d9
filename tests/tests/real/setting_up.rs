//! `totpctl setup`: a service asks for codes, a new login with a code confirms it, and everything
//! comes back byte for byte where no such login does. With the real systemd, sshd, sudo and su.

use std::cell::Cell;
use std::process::Output;

use serde_json::{Value, json};
use tests::daemon::authenticator;
use tests::machine::Machine;
use tests::oathtool::Authenticator;
use tests::world;

#[test]
fn sshd_asks_for_key_and_code_and_the_new_login_confirms_it() {
    let scene = Scene::start();
    let alice = scene.enroll("alice");
    assert!(scene.gets_in("alice", ""), "a key alone");
    let told = scene.set_up(&["sshd"]);
    assert!(told.contains("sudo totpctl setup --confirm"), "{told}");
    scene.is_armed();
    assert!(!scene.gets_in("alice", &alice.wrong()));
    scene.refuses(&["--confirm"], "accepted no code of alice through sshd");
    let code = alice.code();
    let confirmed = scene.ssh("alice", &code, CONFIRM);
    assert!(confirmed.status.success(), "{confirmed:?}");
    scene.is_disarmed();
    assert!(!scene.gets_in("alice", &code), "a replay");
    assert!(scene.gets_in("alice", &alice.code_at(1)));
}

#[test]
fn a_session_that_was_open_before_does_not_confirm_whatever_code_was_tried() {
    let scene = Scene::start();
    let alice = scene.enroll("alice");
    scene.set_up(&["sshd"]);
    let verify = ["totpctl", "verify", "alice", "--service", "sshd"];
    let tried = scene
        .machine
        .with_input(&verify, &format!("{}\n", alice.code()));
    assert!(tried.status.success(), "{tried:?}");
    scene.refuses(&["--confirm"], "did not begin with that login");
    scene.is_armed();
}

#[test]
fn sshd_asks_for_password_and_code_and_spares_the_exempt_group() {
    let scene = Scene::start();
    let (alice, _) = (scene.enroll("alice"), scene.enroll("bob"));
    scene.machine.run(&["groupadd", "--force", "machines"]);
    scene.machine.run(&["usermod", "-aG", "machines", "bob"]);
    let before = scene.files();
    scene.set_up(&[
        "sshd",
        "--mode",
        "password+code",
        "--exempt-group",
        "machines",
    ]);
    assert!(scene.gets_in("bob", ""), "a machine has a key alone");
    let refused = scene.ssh_with("alice", "wrong", &alice.code(), "true");
    assert!(!refused.status.success(), "{refused:?}");
    assert!(scene.ssh("alice", &alice.code(), CONFIRM).status.success());
    scene.undo(&[]);
    assert_eq!(without_times(&scene.files()), without_times(&before));
}

#[test]
fn sshd_takes_a_key_or_a_password_and_always_a_code() {
    let scene = Scene::start();
    let (alice, bob) = (scene.enroll("alice"), scene.enroll("bob"));
    scene.set_up(&["sshd", "--mode", "key-or-password+code"]);
    assert!(!scene.gets_in("bob", &bob.wrong()));
    assert!(scene.gets_in("bob", &bob.code()), "key and code");
    scene.machine.run(&["rm", "/etc/ssh/keys/alice"]);
    assert!(
        !scene
            .ssh_with("alice", "wrong", &alice.code(), "true")
            .status
            .success()
    );
    assert!(
        scene.ssh("alice", &alice.code(), CONFIRM).status.success(),
        "password and code"
    );
}

#[test]
fn sudo_and_sudo_i_ask_for_a_code_and_sudo_itself_confirms() {
    let scene = Scene::start();
    let alice = scene.enroll("alice");
    scene
        .machine
        .write("/etc/sudoers.d/setting-up", "alice ALL=(ALL) ALL\n");
    let before = scene.files();
    scene.set_up(&["sudo"]);
    assert!(
        !scene.sudo(&["-k", "true"], "").status.success(),
        "the password alone"
    );
    assert!(
        !scene.sudo(&["-k", "-i", "true"], "").status.success(),
        "sudo -i"
    );
    let doctor = scene.machine.command(&["totpctl", "doctor"]);
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        !found.contains("/etc/pam.d/") && !found.contains("pam-totp-sudo"),
        "{found}"
    );
    let confirm = ["-k", "totpctl", "setup", "--confirm"];
    let confirmed = scene.sudo(&confirm, &alice.code());
    assert!(confirmed.status.success(), "{confirmed:?}");
    scene.is_disarmed();
    assert!(
        scene
            .sudo(&["-k", "-i", "true"], &alice.code_at(1))
            .status
            .success()
    );
    scene.undo(&["sudo"]);
    assert_eq!(without_times(&scene.files()), without_times(&before));
    assert!(scene.sudo(&["-k", "true"], "").status.success());
}

#[test]
fn su_asks_for_the_code_of_root_and_root_itself_for_none() {
    let scene = Scene::start();
    let root = scene.enroll("root");
    scene
        .machine
        .with_input(&["chpasswd", "-c", "SHA256"], &format!("root:{PASSWORD}\n"));
    scene.machine.run(&["totpctl", "setup", "su", "--yes"]);
    let su = |arguments: &[&str], input: &str| {
        let command = [&AS_ALICE[..], &["su"], arguments].concat();
        scene
            .machine
            .with_input(&command, &format!("{PASSWORD}\n{input}\n"))
    };
    assert!(
        !su(&["-c", "true"], "").status.success(),
        "the password alone"
    );
    assert!(!su(&["-", "-c", "true"], "").status.success(), "su -");
    let confirmed = su(&["-c", "totpctl setup --confirm"], &root.code());
    assert!(confirmed.status.success(), "{confirmed:?}");
    scene.machine.run(&["su", "alice", "-c", "true"]);
}

/// On a console of its own.
#[test]
fn login_asks_for_password_and_code_and_the_new_console_confirms() {
    let scene = Scene::start();
    let alice = scene.enroll("alice");
    scene.set_up(&["login"]);
    let log_in = |code: &str| {
        // With a line end after the brace, expect takes the list for cases.
        let dialogue = format!(
            "spawn login; expect login: {{send alice\\r}}; expect Password: {{send \"{PASSWORD}\\r\"}}; \
             expect code: {{send {code}\\r}}; \
             expect {{\n {{$ }} {{send \"{CONFIRM} && exit\\r\"}}\n refused {{exit 1}}\n accepted {{exit 1}}\n }}; \
             expect eof"
        );
        scene.machine.command(&["expect", "-c", &dialogue])
    };
    log_in(&alice.wrong());
    scene.is_armed();
    let told = log_in(&alice.code());
    assert!(
        !scene.has("/var/lib/pam-totp-setup/login.armed"),
        "{told:?}"
    );
    scene.is_disarmed();
}

#[test]
fn unless_it_is_confirmed_the_timer_puts_every_file_back_byte_for_byte() {
    let (scene, before) = Scene::with_alice();
    let often = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=100ms\nOnUnitInactiveSec=100ms\nAccuracySec=1ms\n";
    scene
        .machine
        .run(&["mkdir", "-p", &format!("/run/systemd/system/{TIMER}.d")]);
    scene
        .machine
        .write(&format!("/run/systemd/system/{TIMER}.d/often.conf"), often);
    scene.machine.run(&["systemctl", "daemon-reload"]);
    scene.set_up(&["sshd"]);
    assert_ne!(scene.files(), before);
    let looked = || {
        scene
            .machine
            .property(UNDO, "InactiveEnterTimestampMonotonic")
    };
    for _ in 0..2 {
        let last = looked();
        scene.machine.until(|| looked() != last);
    }
    assert_ne!(scene.files(), before, "its time has not come");
    scene.let_the_time_pass("sshd");
    scene
        .machine
        .until(|| !scene.has("/var/lib/pam-totp-setup/sshd.armed"));
    scene
        .machine
        .until(|| scene.machine.property(TIMER, "ActiveState") == "inactive");
    assert_eq!(scene.files(), before);
    scene.is_disarmed();
    scene.sshd_has_read_its_files();
    assert!(scene.gets_in("alice", ""));
}

/// The next boot starts the target. The kernel's name for the boot is another then.
#[test]
fn the_next_boot_puts_every_file_back_at_once() {
    let (scene, before) = Scene::with_alice();
    scene.set_up(&["sshd"]);
    let record = "/var/lib/pam-totp-setup/sshd.armed";
    scene.machine.run(&[
        "sed",
        "-i",
        "s/\"boot\": .*\"/\"boot\": \"another\"/",
        record,
    ]);
    scene
        .machine
        .run(&["systemctl", "start", "multi-user.target"]);
    // The target is there already, and its start waits for no unit that it wants.
    scene.machine.until(|| scene.files() == before);
    scene.is_disarmed();
}

#[test]
fn the_rollback_needs_neither_the_daemon_nor_a_valid_configuration_of_sshd() {
    let (scene, before) = Scene::with_alice();
    scene.set_up(&["sshd"]);
    scene.stop_the_daemon();
    scene.let_no_daemon_start();
    scene.append("/etc/ssh/sshd_config.d/00-pam-totp.conf", "nonsense");
    scene.machine.command(&["systemctl", "restart", "ssh"]);
    // systemd takes this unit for started as soon as its process exists.
    scene
        .machine
        .wait_for("ssh.service", "ActiveState", "failed");
    scene.let_the_time_pass("sshd");
    let undone = scene.machine.command(&["systemctl", "start", UNDO]);
    assert!(
        !undone.status.success(),
        "a change of another hand is told loudly"
    );
    scene
        .machine
        .journal
        .wait_for(&["WARNING", "was changed by another hand"]);
    let aside = "/etc/ssh/sshd_config.d/00-pam-totp.conf.set-aside";
    assert!(scene.machine.run(&["cat", aside]).ends_with("nonsense"));
    scene.machine.run(&["rm", aside]);
    assert_eq!(scene.files(), before);
    scene.sshd_has_read_its_files();
    assert!(scene.gets_in("alice", ""), "sshd runs again");
}

#[test]
fn a_file_that_another_hand_has_changed_keeps_that_change() {
    let scene = Scene::start();
    scene.enroll("alice");
    let sudo = scene.machine.run(&["cat", "/etc/pam.d/sudo"]);
    let sudo_i = scene.machine.run(&["cat", "/etc/pam.d/sudo-i"]);
    scene.set_up(&["sudo"]);
    scene.append("/etc/pam.d/sudo", "# theirs");
    let told = scene.machine.command(&["totpctl", "setup", "--undo"]);
    assert_eq!(told.status.code(), Some(1));
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        words.contains("/etc/pam.d/sudo was changed by another hand"),
        "{words}"
    );
    assert_eq!(
        scene.machine.run(&["cat", "/etc/pam.d/sudo"]),
        format!("{sudo}\n# theirs")
    );
    assert_eq!(scene.machine.run(&["cat", "/etc/pam.d/sudo-i"]), sudo_i);
    assert!(!scene.has("/etc/pam.d/pam-totp-sudo"));
}

/// A service that names a file which is not there refuses every login.
#[test]
fn lines_that_a_service_still_names_stay_where_they_are() {
    let scene = Scene::start();
    scene.enroll("alice");
    scene.set_up(&["sudo"]);
    scene.append("/etc/pam.d/sudo", "@include pam-totp-sudo");
    let told = scene.machine.command(&["totpctl", "setup", "--undo"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(scene.has("/etc/pam.d/pam-totp-sudo"));
}

/// Killed before each of these calls in turn.
#[test]
fn killed_at_any_step_a_set_up_can_be_taken_back_byte_for_byte() {
    let (scene, before) = Scene::with_alice();
    for (service, call) in [
        ("sudo", "renameat"),
        ("sudo", "linkat"),
        ("sudo", "fsync"),
        ("sshd", "renameat"),
    ] {
        let steps = scene.at_each(&format!("{call}:signal=KILL"), &set_up_of(service), || {
            scene.machine.command(&["totpctl", "setup", "--undo"]);
            assert_eq!(
                without_times(&scene.files()),
                without_times(&before),
                "{call}"
            );
        });
        assert!(steps > 1, "{call}: {steps}");
    }
}

#[test]
fn killed_at_any_step_an_undo_can_be_run_again() {
    let (scene, before) = Scene::with_alice();
    let undo = ["totpctl", "setup", "sudo", "--undo"].map(str::to_owned);
    for call in ["renameat", "unlinkat"] {
        scene.set_up(&["sudo"]);
        let steps = scene.at_each(&format!("{call}:signal=KILL"), &undo, || {
            scene
                .machine
                .command(&["totpctl", "setup", "sudo", "--undo"]);
            assert_eq!(scene.files(), before, "{call}");
            scene.set_up(&["sudo"]);
        });
        assert!(steps > 1, "{call}: {steps}");
        scene.undo(&[]);
    }
}

/// From each write on, no write finds room.
#[test]
fn on_a_full_disk_a_set_up_fails_and_an_undo_needs_no_room() {
    let (scene, before) = Scene::with_alice();
    let steps = scene.at_each("write:error=ENOSPC", &set_up_of("sudo"), || {
        let inject = "inject=write:error=ENOSPC";
        let undo = [
            "strace",
            "-o",
            "/dev/null",
            "-e",
            inject,
            "totpctl",
            "setup",
            "--undo",
        ];
        scene.machine.command(&undo);
        assert_eq!(scene.files(), before);
    });
    assert!(steps > 4, "{steps}");
}

#[test]
fn a_set_up_that_sshd_would_not_follow_is_taken_back_at_once() {
    let scene = Scene::start();
    scene.enroll("alice");
    let config = scene.machine.run(&["cat", SSHD_CONFIG]);
    let without = config.replace("Include /etc/ssh/sshd_config.d/*.conf", "");
    scene.machine.write(SSHD_CONFIG, &without);
    let before = scene.files();
    scene.refuses(&["sshd", "--yes", "--user", "alice"], "must include");
    assert_eq!(scene.files(), before);
    scene.is_disarmed();
}

#[test]
fn nothing_is_written_for_a_user_that_could_not_log_in_or_without_the_daemon() {
    let (scene, before) = Scene::with_alice();
    scene.refuses(&["sshd", "--yes", "--user", "bob"], "bob");
    scene.refuses(&["sshd", "--yes", "--user", "root"], "root");
    scene.refuses(&["sshd", "--yes", "--user", "nobody-here"], "no account");
    scene.machine.run(&["totpctl", "disable", "alice", "--all"]);
    scene.refuses(&["sshd", "--yes", "--user", "alice"], "could not log in");
    scene.machine.run(&["totpctl", "enable", "alice", "--all"]);
    scene.refuses(&["sshd", "--user", "alice"], "nothing was changed");
    scene
        .machine
        .run(&["totpctl", "setup", "sshd", "--dry-run"]);
    scene.stop_the_daemon();
    scene.refuses(&["sshd", "--yes", "--user", "alice"], "provisiond");
    assert_eq!(scene.files(), before);
    assert!(!scene.has("/var/lib/pam-totp-setup/sshd.armed"));
}

#[test]
fn a_file_that_setup_does_not_understand_is_left_alone() {
    let scene = Scene::start();
    scene.enroll("alice");
    let sudo = scene.machine.run(&["cat", "/etc/pam.d/sudo"]);
    for line in ["auth sufficient pam_unix.so", "auth required pam_totp.so"] {
        scene
            .machine
            .write("/etc/pam.d/sudo", &format!("{line}\n{sudo}\n"));
        scene.refuses(&["sudo", "--yes", "--user", "alice"], "/etc/pam.d/sudo");
    }
    scene
        .machine
        .run(&["mv", "/etc/pam.d/sudo", "/etc/pam.d/elsewhere"]);
    scene
        .machine
        .run(&["ln", "-s", "elsewhere", "/etc/pam.d/sudo"]);
    scene.refuses(&["sudo", "--yes", "--user", "alice"], "is a link");
    scene.machine.run(&["rm", "/etc/pam.d/sudo"]);
    scene.refuses(&["sudo", "--yes", "--user", "alice"], "does not exist");
    assert!(!scene.has("/etc/pam.d/pam-totp-sudo"));
}

/// The line stands in a file that is meant for accounts, and ends the authentication all the same.
#[test]
fn a_stack_that_would_let_in_without_a_code_is_noticed_before_anything_is_written() {
    let scene = Scene::start();
    scene.enroll("alice");
    let account = scene.machine.run(&["cat", "/etc/pam.d/common-account"]);
    let hole = format!("auth sufficient pam_permit.so\n{account}\n");
    scene.machine.write("/etc/pam.d/common-account", &hole);
    let sudo = "@include common-account\n@include common-auth\nsession required pam_permit.so\n";
    scene.machine.write("/etc/pam.d/sudo", sudo);
    let before = scene.files();
    let set_up = ["sudo", "--yes", "--user", "alice"];
    scene.refuses(&set_up, "/etc/pam.d/common-account, line 1");
    assert_eq!(scene.files(), before);
}

#[test]
fn nothing_is_written_before_yes_is_typed() {
    let (scene, before) = Scene::with_alice();
    let asked = ["totpctl", "setup", "sudo", "--user", "alice"];
    for answer in ["", "\n", "y\n", "no\n", "YES\n"] {
        let told = scene.machine.with_input(&asked, answer);
        assert_eq!(told.status.code(), Some(2), "{answer:?}: {told:?}");
        assert_eq!(scene.files(), before, "{answer:?}");
    }
    scene.is_disarmed();
    let told = scene.machine.with_input(&asked, "yes\n");
    assert!(told.status.success(), "{told:?}");
    let shown = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(shown.contains("+@include pam-totp-sudo"), "{shown}");
    scene.is_armed();
    scene.undo(&[]);
    assert_eq!(scene.files(), before);
}

#[test]
fn a_group_that_setup_exempts_from_sudo_is_meant_for_doctor_too() {
    let (scene, _) = Scene::with_alice();
    scene.machine.run(&["groupadd", "--force", "machines"]);
    scene.set_up(&["sudo", "--exempt-group", "machines"]);
    let doctor = scene
        .machine
        .command(&["totpctl", "--json", "doctor", "sudo", "sudo-i"]);
    let told: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let about_pam = findings.iter().filter(|it| {
        let file = it["file"].as_str().unwrap_or_default();
        file.starts_with("/etc/pam.d/")
    });
    let kinds: Vec<_> = about_pam.map(|it| (&it["kind"], &it["severity"])).collect();
    assert_eq!(kinds, [(&json!("exempt-group"), &json!("note"))]);
}

/// The shared files of Red Hat's family, as authselect writes them.
#[test]
fn where_other_shared_files_rule_nothing_is_written_and_the_recipe_is_named() {
    let (scene, _) = Scene::with_alice();
    scene.machine.run(&["rm", "/etc/pam.d/common-auth"]);
    let shared =
        "auth required pam_env.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n";
    scene.machine.write("/etc/pam.d/system-auth", shared);
    let sudo = "auth include system-auth\naccount include system-auth\n";
    scene.machine.write("/etc/pam.d/sudo", sudo);
    let before = scene.files();
    for service in ["sshd", "sudo"] {
        let set_up = [service, "--yes", "--user", "alice"];
        scene.refuses(&set_up, "A shared file with sufficient");
        scene.refuses(&set_up, "this system has other ones");
        scene.machine.run(&["mkdir", "/etc/authselect"]);
        scene.refuses(&set_up, "authselect writes the shared files here");
        scene.machine.run(&["rmdir", "/etc/authselect"]);
    }
    assert_eq!(scene.files(), before);
    scene.is_disarmed();
}

#[test]
fn one_set_up_at_a_time_waits_for_its_confirmation() {
    let scene = Scene::start();
    scene.enroll("alice");
    scene.set_up(&["sudo"]);
    scene.refuses(&["sshd", "--yes", "--user", "alice"], "not confirmed yet");
    scene.undo(&[]);
    scene.refuses(&["--undo"], "nothing to take back");
    scene.refuses(&["--confirm"], "no set-up waits");
}

#[test]
fn without_systemd_a_set_up_wants_to_be_told_that_no_timer_takes_it_back() {
    let (scene, before) = Scene::with_alice();
    // As it looks in a container.
    let inside = |command: &str| {
        let hidden = format!("mount -t tmpfs tmpfs /run/systemd && {command}");
        scene
            .machine
            .command(&["unshare", "--mount", "sh", "-c", &hidden])
    };
    let refused = inside("totpctl setup sudo --yes --user alice");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && words.contains("--no-rollback"),
        "{words}"
    );
    assert_eq!(scene.files(), before);
    assert!(
        inside("totpctl setup sudo --yes --user alice --no-rollback")
            .status
            .success()
    );
    assert_ne!(scene.files(), before);
    assert!(inside("totpctl setup --undo").status.success());
    assert_eq!(scene.files(), before);
}

#[test]
fn totpctl_alone_tells_root_the_next_commands_until_a_user_is_enrolled() {
    let scene = Scene::start();
    let told = scene.machine.run(&["totpctl"]);
    let commands = ["totpctl enroll USER", "totpctl setup sshd"];
    assert!(
        commands.iter().all(|command| told.contains(command)),
        "{told}"
    );
    assert!(!told.contains("systemctl"), "{told}");
    scene.stop_the_daemon();
    let told = scene.machine.run(&["totpctl"]);
    assert!(told.contains("systemctl enable --now provisiond"), "{told}");
    scene.machine.run(&["systemctl", "start", "provisiond"]);
    scene.enroll("alice");
    assert_eq!(scene.machine.command(&["totpctl"]).status.code(), Some(2));
}

/// The machine with an sshd, and two users with keys and passwords.
struct Scene {
    machine: Machine,
    port: String,
    /// How often sshd has read its configuration.
    read: Cell<usize>,
    _place: world::Shared,
}

impl Scene {
    fn start() -> Self {
        let place = world::enter();
        world::set_password("alice", PASSWORD);
        let machine = Machine::boot();
        let port = free_port();
        machine.write("/etc/sudoers.d/setting-up", SUDOERS);
        machine.run(&["chmod", "440", "/etc/sudoers.d/setting-up"]);
        machine.run(&["mkdir", "-p", "/etc/ssh/keys"]);
        machine.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY]);
        for user in ["alice", "bob", "root"] {
            machine.run(&[
                "cp",
                &format!("{KEY}.pub"),
                &format!("/etc/ssh/keys/{user}"),
            ]);
        }
        let config = machine.run(&["cat", SSHD_CONFIG]);
        machine.write(SSHD_CONFIG, &format!("{config}\nPort {port}\n{SSHD}"));
        machine.write("/etc/systemd/system/ssh.service", SSHD_UNIT);
        machine.run(&["systemctl", "daemon-reload"]);
        machine.run(&["systemctl", "start", "ssh"]);
        machine.run(&["systemctl", "enable", "--now", "provisiond"]);
        let scene = Self {
            machine,
            port,
            read: Cell::new(0),
            _place: place,
        };
        scene.sshd_has_read_its_files();
        scene
    }

    /// The machine with an enrolled alice, and its files.
    fn with_alice() -> (Self, String) {
        let scene = Self::start();
        scene.enroll("alice");
        let files = scene.files();
        (scene, files)
    }

    fn enroll(&self, user: &str) -> Authenticator {
        let told = self
            .machine
            .run(&["totpctl", "--json", "enroll", user, "--yes"]);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        authenticator(&told)
    }

    /// Sets a service up, for alice.
    fn set_up(&self, arguments: &[&str]) -> String {
        let command = ["totpctl", "setup", "--yes", "--user", "alice"];
        let told = self.machine.run(&[&command[..], arguments].concat());
        if arguments.contains(&"sshd") {
            self.sshd_has_read_its_files();
        }
        told
    }

    /// Waits until sshd has read its configuration once more: a reload does not wait for it.
    fn sshd_has_read_its_files(&self) {
        self.read.set(self.read.get() + 1);
        let listening = ["Server listening on 127.0.0.1"];
        self.machine
            .journal
            .wait_for_many(self.read.get(), &listening);
    }

    /// A login with the key, with the right password and this code where they are asked for.
    fn ssh(&self, user: &str, code: &str, command: &str) -> Output {
        self.ssh_with(user, PASSWORD, code, command)
    }

    /// The same with another password.
    fn ssh_with(&self, user: &str, password: &str, code: &str, command: &str) -> Output {
        let askpass = format!(
            "#!/bin/sh\ncase $1 in *assword*) echo '{password}' ;; *) echo '{code}' ;; esac\n"
        );
        self.machine.write("/run/askpass", &askpass);
        self.machine.run(&["chmod", "755", "/run/askpass"]);
        let there = format!("{user}@127.0.0.1");
        let ssh = [
            "env",
            "SSH_ASKPASS=/run/askpass",
            "SSH_ASKPASS_REQUIRE=force",
            "ssh",
            "-F",
            "none",
        ];
        let options = ["-p", &self.port, "-i", KEY, &there, command];
        self.machine
            .command(&[&ssh[..], &CLIENT[..], &options[..]].concat())
    }

    fn gets_in(&self, user: &str, code: &str) -> bool {
        self.ssh(user, code, "true").status.success()
    }

    /// Alice's sudo, with her password and this code.
    fn sudo(&self, arguments: &[&str], code: &str) -> Output {
        let command = [&AS_ALICE[..], &["sudo", "-S"], arguments].concat();
        self.machine
            .with_input(&command, &format!("{PASSWORD}\n{code}\n"))
    }

    fn stop_the_daemon(&self) {
        let units = ["provisiond.socket", "provisiond-login.socket", "provisiond"];
        self.machine
            .run(&[&["systemctl", "stop"], &units[..]].concat());
    }

    fn let_no_daemon_start(&self) {
        let folder = "/run/systemd/system/provisiond.service.d";
        self.machine.run(&["mkdir", "-p", folder]);
        let never = "[Service]\nExecStartPre=/bin/false\n";
        self.machine.write(&format!("{folder}/never.conf"), never);
        self.machine.run(&["systemctl", "daemon-reload"]);
        let start = ["systemctl", "start", "provisiond"];
        assert!(!self.machine.command(&start).status.success());
    }

    /// As another hand changes a file.
    fn append(&self, path: &str, line: &str) {
        let text = std::fs::read_to_string(self.machine.path(path)).expect("a file");
        self.machine.write(path, &format!("{text}{line}\n"));
    }

    /// A `totpctl setup` that must refuse, in these words.
    fn refuses(&self, arguments: &[&str], words: &str) {
        let told = self
            .machine
            .command(&[&["totpctl", "setup"], arguments].concat());
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(!told.status.success() && said.contains(words), "{told:?}");
    }

    fn undo(&self, arguments: &[&str]) {
        self.machine
            .run(&[&["totpctl", "setup", "--undo"], arguments].concat());
    }

    /// Runs a command again and again, with this fault at its first call, then at its second one,
    /// until it succeeds. Returns how often it did not.
    fn at_each(&self, fault: &str, command: &[String], after: impl Fn()) -> u32 {
        for step in 1..=MOST_STEPS {
            let from_then_on = if fault.contains("error") { "+" } else { "" };
            let inject = format!("inject={fault}:when={step}{from_then_on}");
            let strace = ["strace", "-o", "/dev/null", "-e", &inject];
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let played = self.machine.command(&[&strace[..], &command].concat());
            after();
            if played.status.success() {
                return step - 1;
            }
        }
        panic!("{command:?} fails without a fault, too");
    }

    /// As if ten minutes had passed: the record's times are in milliseconds since the boot.
    fn let_the_time_pass(&self, service: &str) {
        let record = format!("/var/lib/pam-totp-setup/{service}.armed");
        let at_once = "s/\"milliseconds\": [0-9]*/\"milliseconds\": 1/";
        self.machine.run(&["sed", "-i", at_once, &record]);
    }

    fn has(&self, path: &str) -> bool {
        self.machine.path(path).exists()
    }

    /// Every file that a set-up could change: mode, owner, time of change, and bytes.
    fn files(&self) -> String {
        let list = "find /etc/pam.d /etc/ssh /etc/pam-totp ! -type d -printf '%p %m %U %G %T@\\n' | sort; \
            find /etc/pam.d /etc/ssh /etc/pam-totp -type f -exec sha256sum {} + | sort";
        self.machine.run(&["sh", "-c", list])
    }

    fn is_armed(&self) {
        assert_eq!(self.machine.property(TIMER, "ActiveState"), "active");
        assert_eq!(self.machine.property(TIMER, "UnitFileState"), "enabled");
    }

    /// Waits until no timer looks at a set-up any more: it ends after the files are back.
    fn is_disarmed(&self) {
        self.machine.wait_for(TIMER, "ActiveState", "inactive");
        self.machine.wait_for(TIMER, "UnitFileState", "disabled");
    }
}

fn set_up_of(service: &str) -> [String; 6] {
    ["totpctl", "setup", service, "--yes", "--user", "alice"].map(str::to_owned)
}

/// The files without their times: a file that was put back from its record has a new one.
fn without_times(files: &str) -> Vec<&str> {
    let timed = |line: &&str| line.starts_with('/');
    let cut = |line| match timed(&line) {
        true => line.rsplit_once(' ').map_or(line, |(head, _)| head),
        false => line,
    };
    files.lines().map(cut).collect()
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .local_addr()
        .expect("its address")
        .port()
        .to_string()
}

/// A set-up has fewer steps of a kind.
const MOST_STEPS: u32 = 200;
const PASSWORD: &str = "correct horse";
const CONFIRM: &str = "sudo -n totpctl setup --confirm";
const UNDO: &str = "pam-totp-setup-undo.service";
const AS_ALICE: [&str; 9] = [
    "setpriv",
    "--reuid",
    "alice",
    "--regid",
    "alice",
    "--init-groups",
    "--",
    "env",
    "-C/",
];
const TIMER: &str = "pam-totp-setup-undo.timer";
const KEY: &str = "/run/key";
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
const SSHD: &str = "ListenAddress 127.0.0.1\nAuthorizedKeysFile /etc/ssh/keys/%u\n";
const SSHD_UNIT: &str = "[Service]\nExecStart=/usr/sbin/sshd -D\nExecReload=/usr/sbin/sshd -t\n\
    ExecReload=/bin/kill -HUP $MAINPID\nRuntimeDirectory=sshd\n";
const SUDOERS: &str = "alice ALL=(ALL) NOPASSWD: /usr/bin/totpctl\n";
const CLIENT: [&str; 10] = [
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "NumberOfPasswordPrompts=1",
    "-o",
    "KexAlgorithms=curve25519-sha256",
];
