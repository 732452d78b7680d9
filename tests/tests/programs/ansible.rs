//! Ansible: users and devices by the role among the examples, with Debian's ansible-core.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::daemon::Daemon;
use tests::guide::GUIDE;
use tests::{program, world};

/// The users of the guide.
const ALICE: [&str; 3] = ["phone", "loan", "old"];

#[test]
fn a_playbook_that_is_played_twice_changes_nothing_the_second_time() {
    let _place = world::enter();
    let daemon = daemon();
    let playbook = Playbook::new(&daemon, &users_of_the_guide());
    let before = daemon.totpctl_json(&["list"], "");
    let checked = playbook.play(&["--check", "--diff"]);
    assert!(checked.contains("changed=1 "), "{checked}");
    for line in [
        "-    old:",
        "+      until: 2027-01-31",
        "+      services: [sudo]",
        "+  state: disabled",
    ] {
        assert!(
            checked.contains(&format!("\n{line}\n")),
            "{line}: {checked}"
        );
    }
    assert_eq!(
        daemon.totpctl_json(&["list"], ""),
        before,
        "--check changes nothing"
    );

    let first = playbook.play(&[]);
    assert!(
        first.contains("changed=1 ") && first.contains("failed=0 "),
        "{first}"
    );
    let ticket = fs::read_to_string(&playbook.tickets).expect("a ticket");
    let ticket: Value = serde_json::from_str(&ticket).expect("one line");
    let code = ticket["code"].as_str().expect("a code");
    assert!(!first.contains(code), "no ticket is in what Ansible logs");
    for arguments in [&[][..], &["--check", "--diff"]] {
        let again = playbook.play(arguments);
        assert!(
            again.contains("changed=0 ") && again.contains("failed=0 "),
            "{again}"
        );
    }
}

#[test]
fn a_playbook_with_a_mistake_fails_with_the_sentence_and_one_that_is_refused_names_the_user() {
    let _place = world::enter();
    let daemon = daemon();
    for (users, why) in [
        ("{alice: {stat: disabled}}", "'stat': it is not known here"),
        (
            "{no-account: {state: disabled}, bob: {state: disabled}}",
            "no-account: ",
        ),
    ] {
        let told = Playbook::new(&daemon, users).play(&[]);
        assert!(told.contains("failed=1 ") && told.contains(why), "{told}");
    }
    let bob = daemon.totpctl_json(&["show", "bob"], "");
    assert_eq!(bob["disabled"], true, "the others are done");
}

#[test]
fn the_file_of_the_guide_and_the_role_make_the_same_users() {
    let _place = world::enter();
    let by_file = daemon();
    let folder = world::scratch_folder("apply");
    let (file, tickets) = (folder.join("users.yaml"), folder.join("tickets.jsonl"));
    fs::write(&file, format!("users: {}\n", users_of_the_guide())).expect("the file");
    for command in commands_of_the_guide() {
        let command = command
            .replace("/root/users.yaml", file.to_str().expect("a path"))
            .replace("/root/tickets.jsonl", tickets.to_str().expect("a path"));
        let arguments: Vec<&str> = command.split(' ').skip(1).collect();
        let applied = by_file.totpctl(&arguments, "");
        assert!(applied.status.success(), "{command}: {applied:?}");
    }
    let by_role = daemon();
    Playbook::new(&by_role, &users_of_the_guide()).play(&[]);
    let states = [&by_file, &by_role].map(|daemon| {
        ["alice", "bob", "carol"].map(|user| {
            let shown = daemon.totpctl_json(&["show", user], "");
            let devices = shown["devices"]
                .as_array()
                .expect("devices")
                .iter()
                .map(|device| {
                    ["name", "state", "valid_until", "services"].map(|key| device[key].clone())
                });
            let devices: Vec<_> = devices.collect();
            (
                shown["disabled"].clone(),
                shown["ticket_until"].is_u64(),
                devices,
            )
        })
    });
    assert_eq!(states[0], states[1]);
    let [alice, bob, carol] = &states[0];
    assert_eq!(
        (alice.2.len(), bob.0 == true, carol.1),
        (2, true, true),
        "{states:?}"
    );
}

/// One in which alice has the devices of the guide, and bob one.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    for device in ALICE {
        daemon.enroll_as("alice", device);
    }
    daemon.enroll("bob");
    daemon
}

fn chapter() -> &'static str {
    let (_, chapter) = GUIDE
        .split_once("\n## Users by configuration management\n")
        .expect("the chapter");
    chapter.split("\n## ").next().unwrap_or_default()
}

/// The value of `users` in the file of the guide, on one line.
fn users_of_the_guide() -> String {
    let (_, file) = chapter().split_once("    users:\n").expect("the file");
    let lines = file.lines().take_while(|line| line.starts_with("    "));
    let file: String = lines.map(|line| format!("{}\n", &line[4..])).collect();
    let mut python = Command::new("python3");
    python.args([
        "-c",
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin), default=str))",
    ]);
    let told = program::with_input(python, &file);
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn commands_of_the_guide() -> Vec<&'static str> {
    let lines = chapter().lines().map(str::trim_start);
    let commands: Vec<_> = lines
        .filter(|line| line.starts_with("totpctl apply "))
        .collect();
    assert_eq!(commands.len(), 2);
    commands
}

/// A playbook with the role.
struct Playbook {
    folder: PathBuf,
    tickets: PathBuf,
}

impl Playbook {
    fn new(daemon: &Daemon, users: &str) -> Self {
        let folder = world::scratch_folder("ansible");
        let tickets = folder.join("tickets.jsonl");
        let text = format!(
            "- hosts: localhost\n  gather_facts: false\n  roles:\n    - role: pam_totp\n      vars:\n        \
             pam_totp_users: {users}\n        pam_totp_tickets: {}\n        pam_totp_socket: {}\n",
            tickets.display(),
            daemon.login_socket().display()
        );
        fs::write(folder.join("users.yml"), text).expect("the playbook");
        Self { folder, tickets }
    }

    /// Plays it on this machine, and returns what Ansible prints.
    fn play(&self, arguments: &[&str]) -> String {
        let totpctl = world::built("totpctl");
        let folder = totpctl.parent().expect("its folder").display().to_string();
        let path = env::var("PATH").unwrap_or_default();
        let mut ansible = Command::new("ansible-playbook");
        ansible
            .args(["-i", "localhost,", "-c", "local", "users.yml"])
            .args(arguments);
        ansible.current_dir(&self.folder).env("HOME", &self.folder);
        ansible.env("PATH", format!("{folder}:{path}"));
        ansible.env("ANSIBLE_ROLES_PATH", shipped("roles"));
        ansible.env("ANSIBLE_NOCOLOR", "1").env("LC_ALL", "C.UTF-8");
        let played = program::with_input(ansible, "");
        format!(
            "{}{}",
            String::from_utf8_lossy(&played.stdout),
            String::from_utf8_lossy(&played.stderr)
        )
    }
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging/examples/ansible")
        .join(name)
}
