//! A machine that systemd runs, with pam-totp installed by `make install`: `tests/boot-systemd`.
//!
//! Its units, sockets, credentials, sandboxes and restarts are real; its kernel is ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lines::{Lines, PATIENCE};
use crate::program::with_input;
use crate::world;

/// A running machine. Everything in it ends when it is dropped.
pub struct Machine {
    /// The journal: every line since the start.
    pub journal: Lines,
    boot: Child,
    follower: Child,
    pid: u32,
}

impl Machine {
    /// Boots it. The daemon is installed, and neither enabled nor started.
    #[must_use]
    pub fn boot() -> Self {
        let built = world::built("provisiond");
        let programs = built.parent().expect("the folder of the programs");
        let mut boot = Command::new(Path::new(PROJECT).join("tests/boot-systemd"))
            .arg(programs)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/boot-systemd");
        let told = BufReader::new(boot.stdout.take().expect("its output"));
        let pid = told
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("pid ")?.parse().ok())
            .expect("the first process of the machine");
        wait_until_booted(pid);
        let journal = Lines::default();
        let mut follower = inside(pid, &["journalctl", "--follow", "--no-tail", "-o", "cat"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("journalctl");
        journal.follow(follower.stdout.take().expect("its output"));
        Self {
            journal,
            boot,
            follower,
            pid,
        }
    }

    /// Runs a command in there as root, with this on its standard input.
    pub fn with_input(&self, command: &[&str], input: &str) -> Output {
        with_input(inside(self.pid, command), input)
    }

    /// Runs a command in there as root.
    pub fn command(&self, command: &[&str]) -> Output {
        self.with_input(command, "")
    }

    /// Runs a command in there that must succeed, and returns what it printed.
    pub fn run(&self, command: &[&str]) -> String {
        let output = self.command(command);
        assert!(
            output.status.success(),
            "{command:?}: {output:?}\n{}",
            self.journal.text()
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A path in there, as it is reached from outside.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// Writes a file in there.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).expect("a file of the machine");
    }

    /// What systemd says of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", "-p", name, unit])
    }

    /// Waits until systemd says this of a unit.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for(&self, unit: &str, name: &str, value: &str) {
        self.until(|| self.property(unit, name) == value);
    }

    /// Waits until `is_so`.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn until(&self, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "it did not happen in time");
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.follower.kill();
        let _ = self.follower.wait();
        let boot = i32::try_from(self.boot.id()).expect("a pid");
        // The script then ends the machine and its control groups.
        let _ = kill(Pid::from_raw(boot), Signal::SIGTERM);
        let _ = self.boot.wait();
        if std::thread::panicking() {
            eprintln!("--- the journal:\n{}\n---", self.journal.text());
        }
    }
}

fn wait_until_booted(pid: u32) {
    let begun = Instant::now();
    loop {
        let told = inside(pid, &["systemctl", "is-system-running", "--wait"])
            .stderr(Stdio::null())
            .output()
            .expect("nsenter, of the package util-linux");
        if told.stdout.starts_with(b"running") {
            return;
        }
        let state = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(begun.elapsed() < BOOT, "the machine is '{state}'");
        let is_there = Path::new(&format!("/proc/{pid}")).exists();
        assert!(
            is_there,
            "the machine ended before it had booted: see above"
        );
    }
}

/// Machines boot beside all other tests, and beside each other.
const BOOT: Duration = PATIENCE;

fn inside(pid: u32, command: &[&str]) -> Command {
    let mut nsenter = Command::new("nsenter");
    nsenter
        .args(["--mount", "--pid", "--cgroup", "--ipc", "--uts", "--target"])
        .arg(pid.to_string())
        .arg("--")
        .args(command);
    nsenter
}

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
