//! `totpctl migrate` between two stores, as an administrator uses it, also killed on its way.

use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::daemon::{Daemon, Setup};
use crate::libpam::PamCode;
use crate::stack::Stack;
use crate::world;

/// Two daemons of one machine: the one of the old store, and the one of the new store, which is empty.
/// Neither runs while records move.
pub struct Migration {
    /// The daemon of the old store.
    pub old: Daemon,
    /// The daemon of the new store.
    pub new: Daemon,
}

impl Migration {
    /// Stops the daemon of the old store. That of the new one has begun an empty store.
    #[must_use]
    pub fn between(mut old: Daemon, new: Setup) -> Self {
        let mut new = new.start();
        old.terminate();
        new.terminate();
        Self { old, new }
    }

    /// Runs `totpctl migrate`.
    pub fn run(&self) -> Output {
        let mut totpctl = Command::new(world::built("totpctl"));
        let [from, to] = [&self.old, &self.new].map(|it| it.setup.folder.join("settings.yaml"));
        totpctl.args(["--json", "migrate", "--from"]).arg(from);
        totpctl.arg("--to").arg(to);
        totpctl.arg("--runtime-dir").arg(&self.old.setup.runtime);
        totpctl.stdin(Stdio::null());
        totpctl.output().expect("totpctl")
    }

    /// Runs what it runs, which is killed at the so-manieth of these system calls. Returns whether it
    /// came to its end before that.
    pub fn killed_at(&self, calls: &str, number: usize) -> bool {
        let provisiond = self.old.setup.command();
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--output=/dev/null", "-e"]);
        strace.arg(format!("trace={calls}")).arg("-e");
        strace.arg(format!("inject={calls}:signal=SIGKILL:when={number}"));
        strace
            .arg(provisiond.get_program())
            .args(provisiond.get_args());
        strace
            .arg("--migrate-to")
            .arg(self.new.setup.folder.join("settings.yaml"));
        let output = strace.stdin(Stdio::null()).output().expect("strace");
        output.status.success()
    }

    /// Plays a move that is killed at these system calls, and has its daemons do what they can
    /// after each: one code of alice is used wherever a daemon serves. Returns the codes that were used,
    /// and how often the move was killed.
    ///
    /// # Panics
    /// If both daemons serve.
    pub fn killed_at_each(&mut self, calls: &str, codes: &[String]) -> (usize, usize) {
        let (mut used, mut kills, mut number) = (0, 0, 1);
        while !self.killed_at(calls, number) {
            kills += 1;
            let both = [&mut self.old, &mut self.new];
            let serve = both.map(|daemon| daemon.try_start_again().is_ok());
            let serve = [serve[0], serve[1] && has_alice(&self.new)];
            assert_ne!(serve, [true; 2], "both serve after a kill at {number}");
            for (daemon, serves) in [&self.old, &self.new].into_iter().zip(serve) {
                if serves && used + LEFT < codes.len() {
                    assert!(lets_in(daemon, &codes[used]), "after a kill at {number}");
                    used += 1;
                }
            }
            self.old.kill();
            self.new.kill();
            // The first calls one by one, and then some of them.
            number += 1 + number / 6;
        }
        (used, kills)
    }
}

/// Whether that code lets alice in at that daemon.
#[must_use]
pub fn lets_in(daemon: &Daemon, code: &str) -> bool {
    let stack = Stack::of(daemon, "migration", "retry=1");
    stack.login("alice", &[code]).code == PamCode::SUCCESS
}

fn has_alice(daemon: &Daemon) -> bool {
    daemon.call("Show", &json!({ "user": "alice" })).is_ok()
}

/// Enrols alice. Her recovery codes stay good for as long as a test takes.
#[must_use]
pub fn alice(daemon: &Daemon) -> Vec<String> {
    let wish = json!({ "user": "alice", "active": true });
    let told = daemon.call("Enroll", &wish).expect("an enrolment");
    let codes = told["recovery_codes"].as_array().expect("recovery codes");
    let codes = codes.iter().filter_map(|code| code.as_str());
    codes.map(str::to_owned).collect()
}

/// Codes that are not used on the way.
const LEFT: usize = 3;
