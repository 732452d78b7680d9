//! A daemon for one test: a hand on its process, and what can be asked of it.
//!
//! Its standard error is kept in [`Daemon::log`]; restarts go on in the same log.

mod setup;

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

pub use self::setup::Setup;
use crate::lines::{Lines, PATIENCE};
use crate::log_page;
use crate::oathtool::Authenticator;
use crate::program::with_input;
use crate::wire::{self, Caller};
use crate::world;

/// A daemon that serves. It is killed when dropped.
pub struct Daemon {
    /// What it was started with.
    pub setup: Setup,
    /// Its standard error, over every restart.
    pub log: Lines,
    child: Option<Child>,
}

impl Daemon {
    /// One with default settings.
    #[must_use]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Root's socket.
    #[must_use]
    pub fn login_socket(&self) -> PathBuf {
        self.setup.runtime.join("login.sock")
    }

    /// The open socket, which every user may connect to.
    #[must_use]
    pub fn open_socket(&self) -> PathBuf {
        self.setup.runtime.join("provisiond.sock")
    }

    /// Its process, unless it was killed.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running daemon").id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(pid_of(self.pid()), signal).expect("a signal");
    }

    /// Stops it where it stands, and returns when it does.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let stopped = nix::sys::wait::waitpid(
            pid_of(self.pid()),
            Some(nix::sys::wait::WaitPidFlag::WUNTRACED),
        );
        assert!(
            matches!(stopped, Ok(nix::sys::wait::WaitStatus::Stopped(..))),
            "{stopped:?}"
        );
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("its end");
        }
    }

    /// Asks it to end, and says how it did.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running daemon");
        let (done, ended) = std::sync::mpsc::channel();
        let pid = child.id();
        let waiter = std::thread::spawn(move || {
            let status = child.wait().expect("its end");
            let _ = done.send(());
            status
        });
        if ended.recv_timeout(PATIENCE).is_err() {
            kill(pid_of(pid), Signal::SIGKILL).expect("SIGKILL");
            panic!(
                "provisiond did not end within {PATIENCE:?}:\n{}",
                self.log.text()
            );
        }
        waiter.join().expect("the waiter")
    }

    /// Starts it again after it was killed or has ended, on the same files.
    pub fn start_again(&mut self) {
        self.try_start_again()
            .unwrap_or_else(|status| panic!("provisiond: {status}\n{}", self.log.text()));
    }

    /// The same where it may refuse to start.
    ///
    /// # Errors
    /// How it ended.
    pub fn try_start_again(&mut self) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "it still runs");
        self.setup.write();
        let started = self.setup.spawn(&self.log);
        self.child = Some(started.map_err(|(status, _)| status)?);
        Ok(())
    }

    /// Runs totpctl as root, with this on its standard input.
    pub fn totpctl(&self, arguments: &[&str], input: &str) -> Output {
        let mut totpctl = Command::new(world::built("totpctl"));
        totpctl
            .arg("--socket")
            .arg(self.login_socket())
            .args(arguments);
        with_input(totpctl, input)
    }

    /// Runs totpctl as a user of the world, with this on its standard input.
    pub fn totpctl_as(&self, user: &str, arguments: &[&str], input: &str) -> Output {
        let mut totpctl = Command::new("setpriv");
        totpctl.args(["--reuid", user, "--regid", user, "--init-groups", "--"]);
        totpctl
            .arg(world::for_everyone("totpctl"))
            .arg("--socket")
            .arg(self.open_socket())
            .args(arguments);
        with_input(totpctl, input)
    }

    /// Runs totpctl, which must succeed, and reads its JSON.
    pub fn totpctl_json(&self, arguments: &[&str], input: &str) -> Value {
        let output = self.totpctl(&[&["--json"], arguments].concat(), input);
        assert!(
            output.status.success(),
            "totpctl {arguments:?}: {output:?}\n{}",
            self.log.text()
        );
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("totpctl {arguments:?}: {e}: {output:?}"))
    }

    /// A call on root's socket, as root.
    ///
    /// # Errors
    /// The error reply's short name and its parameters.
    pub fn call(&self, method: &str, parameters: &Value) -> Result<Value, (String, Value)> {
        wire::call(&self.login_socket(), method, parameters)
    }

    /// A call on the open socket, under a caller's credentials.
    ///
    /// # Errors
    /// As [`Daemon::call`].
    pub fn call_as(
        &self,
        caller: &Caller,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, (String, Value)> {
        wire::call_as(caller, &self.open_socket(), method, parameters)
    }

    /// Enrols a user with totpctl, active at once.
    pub fn enroll(&self, user: &str) -> Authenticator {
        let told = self.totpctl_json(&["enroll", user, "--yes"], "");
        assert_eq!(told["state"], "active", "{told}");
        authenticator(&told)
    }

    /// Enrols a further device of this name, active at once.
    ///
    /// # Panics
    /// When `totpctl` fails.
    pub fn enroll_as(&self, user: &str, device: &str) -> Authenticator {
        authenticator(&self.totpctl_json(&["enroll", user, "--device", device, "--yes"], ""))
    }

    /// Enrols many users, on the socket, active at once.
    pub fn enroll_many(&self, users: &[String]) -> Vec<Authenticator> {
        let enroll = |user| {
            self.call("Enroll", &json!({ "user": user, "active": true }))
                .expect("an enrolment")
        };
        users
            .iter()
            .map(|user| authenticator(&enroll(user)))
            .collect()
    }

    /// Single-code guesses that a user has left where nothing is known of the source.
    #[must_use]
    pub fn budget(&self, user: &str) -> u64 {
        self.number_of(user, "budget")
    }

    /// The same where the user has logged in from there before.
    #[must_use]
    pub fn known_budget(&self, user: &str) -> u64 {
        self.number_of(user, "known_budget")
    }

    fn number_of(&self, user: &str, what: &str) -> u64 {
        let shown = self
            .call("Show", &json!({ "user": user }))
            .expect("what is known of the user");
        shown["user"][what].as_u64().expect("a number")
    }

    /// The lines that contain every one of `parts`, of all that happened before this call. A thread
    /// of the daemon writes the log, in order: a line that is caused now comes after those.
    #[must_use]
    pub fn logged(&self, parts: &[&str]) -> Vec<String> {
        let user = format!("looked-{}", world::next_number());
        self.call("RevokeGrace", &json!({ "user": user }))
            .expect("a line in the log");
        self.log
            .wait_for(&["event=revoke_grace ", &format!(" user={user} ")]);
        self.log.with(parts)
    }

    /// How many refused attempts of `user` the log tells of: one by one, and summed up. What was
    /// left out is told with the next accepted login at the latest.
    #[must_use]
    pub fn refusals_told(&self, user: &str) -> usize {
        let user = format!(" user={user} ");
        let lines = self.logged(&["event=verify ", &user]);
        let refused = lines
            .iter()
            .filter(|line| !line.contains(" verdict=accepted"))
            .count();
        let summed = self
            .log
            .with(&["event=lines_suppressed ", &user])
            .into_iter()
            .map(|line| {
                let lines = line
                    .split(' ')
                    .find_map(|field| field.strip_prefix("lines="));
                lines
                    .and_then(|lines| lines.parse::<usize>().ok())
                    .expect("a number of lines")
            });
        refused + summed.sum::<usize>()
    }

    /// Waits for the audit line of an attempt of `user` that came to `verdict`.
    pub fn audited(&self, user: &str, verdict: &str) -> String {
        self.log.wait_for(&[
            "event=verify ",
            &format!(" user={user} "),
            &format!(" verdict={verdict}"),
        ])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- provisiond said:\n{}\n---", self.log.text());
        } else {
            log_page::check(&self.log.with(&["provisiond: event="]));
        }
    }
}

/// The device that an enrolment's answer describes.
#[must_use]
pub fn authenticator(told: &Value) -> Authenticator {
    let number = |field: &str| {
        told[field]
            .as_u64()
            .unwrap_or_else(|| panic!("no {field}: {told}"))
    };
    Authenticator {
        key: told["key"].as_str().expect("a key").to_owned(),
        alg: told["alg"].as_str().expect("an algorithm").to_owned(),
        digits: u8::try_from(number("digits")).expect("digits"),
        period: u32::try_from(told["period"].as_u64().unwrap_or(30)).expect("a period"),
    }
}

fn pid_of(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a pid"))
}
