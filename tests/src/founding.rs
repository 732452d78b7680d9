//! A fleet made by the guide's chapters: machines that systemd runs, and what the chapters say, typed in
//! them as it stands there. Only addresses are others: the machines share one network.

use crate::daemon::authenticator;
use crate::guide::lines_of;
use crate::machine::Machine;
use crate::oathtool::Authenticator;

/// A verifier and a login host.
pub struct Fleet {
    /// The verifier.
    pub verifier: Machine,
    /// The login host.
    pub host: Machine,
    /// The device of alice, who may log in to the host.
    pub alice: Authenticator,
    /// The members of etcd, if the records are there.
    pub members: Vec<Machine>,
}

/// What a chapter lets an administrator do, in its order.
enum Step {
    /// Type these lines, at that place.
    Type(String, Vec<String>),
    /// Write a file.
    Write(String, String),
}

impl Fleet {
    /// One whose verifier keeps the records on its disk.
    #[must_use]
    pub fn by_the_guide() -> Self {
        Self::of(verifier(), Vec::new())
    }

    /// One whose verifier keeps the records on three members of etcd.
    #[must_use]
    pub fn on_etcd_by_the_guide() -> Self {
        let verifier = verifier();
        let members = [1, 2, 3].map(member).into();
        follow_the_chapter_on_etcd(&verifier, &members);
        Self::of(verifier, members)
    }

    fn of(verifier: Machine, members: Vec<Machine>) -> Self {
        let host = named_machine();
        let mut told = String::new();
        for step in steps("A fleet of hosts") {
            match step {
                Step::Type(_, lines) if of_the_host(&lines) => {
                    hand_over(&verifier, &host, "web1.example.com.tar");
                    lines.iter().for_each(|line| _ = type_in(&host, line));
                }
                Step::Type(_, lines) => {
                    let printed = lines.iter().map(|line| type_in(&verifier, line));
                    told += &printed.collect::<String>();
                }
                Step::Write(path, text) => {
                    for line in text.lines() {
                        assert!(told.contains(&format!("{line}\n")), "not printed: {line}");
                    }
                    add_settings(&verifier, &path, &text);
                }
            }
        }
        host.journal.wait_for(&["event=verifier_reached"]);
        let enrolled = verifier.run(&["totpctl", "--json", "enroll", "alice", "--yes"]);
        let enrolled = serde_json::from_str(&enrolled).expect("JSON");
        let alice = authenticator(&enrolled);
        Self {
            verifier,
            host,
            alice,
            members,
        }
    }

    /// Whether that code lets alice in at the host.
    #[must_use]
    pub fn log_in(&self, code: &str) -> bool {
        let lines = "auth required pam_totp.so retry=1\naccount required pam_permit.so\n";
        self.host.write("/etc/pam.d/sshd", lines);
        let login = ["pamtester", "sshd", "alice", "authenticate"];
        let output = self.host.with_input(&login, &format!("{code}\n"));
        output.status.success()
    }
}

/// Types a line in that machine's /tmp, and returns what it printed.
pub fn type_in(machine: &Machine, line: &str) -> String {
    machine.run(&["sh", "-euc", &format!("cd /tmp; {line}")]) + "\n"
}

/// An administrator copies a file from one machine to the other.
///
/// # Panics
/// If it is not there.
pub fn hand_over(from: &Machine, to: &Machine, name: &str) {
    let path = format!("/tmp/{name}");
    let bytes = std::fs::read(from.path(&path)).expect("the file of a machine");
    std::fs::write(to.path(&path), bytes).expect("a copy");
}

/// A machine that knows the others by name. On one network all calls come from 127.0.0.1, so the names
/// of the members lead there, too: a member looks whether its peers' names lead to their addresses.
fn named_machine() -> Machine {
    let machine = Machine::boot();
    let names = "echo 127.0.0.1 v1.example.com >> /etc/hosts
for n in 1 2 3; do for a in 127.0.2.1$n 127.0.0.1; do echo $a etcd-$n.example.org >> /etc/hosts; done; done
getent hosts v1.example.com";
    machine.run(&["sh", "-euc", names]);
    machine.run(&["systemctl", "enable", "--now", "provisiond"]);
    machine
}

fn verifier() -> Machine {
    let machine = named_machine();
    machine.run(&["usermod", "-aG", "staff", "alice"]);
    machine
}

/// A machine with what the package etcd-server brings.
fn member(_: u8) -> Machine {
    let machine = named_machine();
    machine.run(&["install", "-d", "-o", "etcd", "-m", "700", "/var/lib/etcd"]);
    machine.write("/etc/systemd/system/etcd.service", ETCD_UNIT);
    machine.run(&["systemctl", "daemon-reload"]);
    machine
}

fn follow_the_chapter_on_etcd(verifier: &Machine, members: &Vec<Machine>) {
    for step in steps("A fleet: the store on etcd") {
        match step {
            Step::Type(place, lines) if place == ON_A_MEMBER => {
                for (number, member) in (1..).zip(members) {
                    let name = format!("etcd-{number}");
                    for file in ["ca.pem", &format!("{name}.pem"), &format!("{name}.key")] {
                        hand_over(verifier, member, file);
                    }
                    let (last, first) = lines.split_last().expect("lines");
                    let first: Vec<String> =
                        first.iter().map(|l| l.replace("etcd-1", &name)).collect();
                    type_in(member, &first.join("\n"));
                    // One alone waits for the others.
                    type_in(member, &last.replace("restart", "restart --no-block"));
                }
                for member in members {
                    member.wait_for("etcd", "ActiveState", "active");
                }
            }
            Step::Type(_, lines) => _ = type_in(verifier, &lines.join("\n")),
            Step::Write(path, text) if path == "/etc/default/etcd" => {
                for (number, member) in (1..).zip(members) {
                    member.write(&path, &settings_of(number, &text));
                }
            }
            Step::Write(path, text) => {
                let (folder, _) = path.rsplit_once('/').expect("a path");
                verifier.run(&["mkdir", "-p", folder]);
                verifier.write(&path, &text.replace("192.0.2.", "127.0.2."));
            }
        }
    }
    verifier.journal.wait_for(&["event=started", "store=etcd"]);
}

/// The settings of etcd-1, with the name and the address of another member.
fn settings_of(number: u8, text: &str) -> String {
    let line = |line: &str| match line.starts_with("ETCD_INITIAL_CLUSTER=") {
        true => format!("{line}\n"),
        false => {
            let address = line.replace("192.0.2.11", &format!("127.0.2.1{number}"));
            format!("{}\n", address.replace("etcd-1", &format!("etcd-{number}")))
        }
    };
    text.lines().map(line).collect()
}

/// Adds a section of the chapter to the settings that are there.
fn add_settings(machine: &Machine, path: &str, text: &str) {
    let before = std::fs::read_to_string(machine.path(path)).unwrap_or_default();
    let has_a_store = before.contains("\n    etcd:\n");
    let lines = text.strip_prefix("provisiond:\n").expect("a section");
    match has_a_store {
        true => machine.write(path, &(before + lines)),
        false => machine.write(path, text),
    }
}

/// The files and commands of a chapter.
fn steps(chapter: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines_of(chapter) {
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(path), _) if path.starts_with('/') => {
                steps.push(Step::Write(path.to_owned(), String::new()));
            }
            (Some(place), _) => steps.push(Step::Type(place.to_owned(), Vec::new())),
            (None, Some(Step::Type(_, lines))) => lines.push(line),
            (None, Some(Step::Write(_, text))) => *text += &(line + "\n"),
            (None, None) => panic!("of which machine is this?: {line}"),
        }
    }
    steps
}

/// The host's block is the one that unpacks the host's file.
fn of_the_host(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("tar -xf web1"))
}

const ON_A_MEMBER: &str = "as root, on etcd-1";
/// What Debian's unit runs.
const ETCD_UNIT: &str = "[Service]
EnvironmentFile=/etc/default/etcd
Type=notify
User=etcd
ExecStart=/usr/bin/etcd
";
