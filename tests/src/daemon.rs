//! A daemon for one test: its own settings, secrets, sockets and store, and a hand on its process.
//!
//! Its standard error is kept in [`Daemon::log`]; restarts go on in the same log.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lines::{Lines, PATIENCE};
use crate::oathtool::Authenticator;
use crate::program::with_input;
use crate::wire::{self, Who};
use crate::world;

/// What a daemon is started with. Change the fields as the test needs before [`Setup::start`].
pub struct Setup {
    /// Holds the settings, the secrets and the folder of the sockets.
    pub folder: PathBuf,
    /// The settings file's text.
    pub settings: String,
    /// The secrets file's text.
    pub secrets: String,
    /// Where the sockets are.
    pub runtime: PathBuf,
    /// Where the store is.
    pub state: PathBuf,
    /// Variables of its environment, besides the tests' own.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// The paths are the built-in ones: the daemon is told none.
    packaged: bool,
}

impl Setup {
    /// A daemon of its own, with default policy.
    #[must_use]
    pub fn new() -> Self {
        Self::in_state(&world::state_folder())
    }

    /// The same, with its store in an existing folder of the daemon's user.
    #[must_use]
    pub fn in_state(state: &Path) -> Self {
        let folder = world::scratch_folder("daemon");
        Self {
            settings: settings(&folder.join("secrets"), state),
            secrets: SECRETS.into(),
            runtime: folder.join("run"),
            state: state.to_owned(),
            folder,
            environment: Vec::new(),
            packaged: false,
        }
    }

    /// The daemon where the packages put it, found by modules and by totpctl without being told. One at a time:
    /// see `sshd::System`.
    #[must_use]
    pub(crate) fn packaged() -> Self {
        let place = |path: &str| {
            let path = PathBuf::from(path);
            world::empty(&path);
            path
        };
        // The sockets' folder too: it remembers the generation of the store that an earlier test left.
        let (folder, runtime) = (place("/etc/pam-totp"), place("/run/pam-totp"));
        let state = place("/var/lib/pam-totp");
        world::give_to_daemon(&state);
        let settings = settings(&folder.join("secrets"), &state);
        Self { folder, settings, secrets: SECRETS.into(), runtime, state, environment: Vec::new(), packaged: true }
    }

    /// Adds lines to the settings, whose last section is `provisiond`: `"  admin-group: totpadmins\n"` goes on there,
    /// and `"policy: {window: 2}\n"` begins another.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self
    }

    /// Starts the daemon and waits until it serves.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time.
    #[must_use]
    pub fn start(self) -> Daemon {
        self.try_start().unwrap_or_else(|(status, log)| panic!("provisiond: {status}\n{}", log.text()))
    }

    /// Starts the daemon and waits until it serves or ends.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub fn try_start(self) -> Result<Daemon, (ExitStatus, Lines)> {
        self.write();
        let log = Lines::default();
        let child = spawn(&self, &log)?;
        Ok(Daemon { setup: self, child: Some(child), log })
    }

    /// Writes the files without starting anything.
    pub fn write(&self) {
        fs::create_dir_all(&self.runtime).expect("the sockets' folder");
        world::write_for_daemon(&self.folder.join("settings.yaml"), &self.settings);
        world::write_for_daemon(&self.folder.join("secrets"), &self.secrets);
    }

    /// The daemon's command line, for this setup.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(world::built("provisiond"));
        command.env_remove("NOTIFY_SOCKET").env_remove("PAM_TOTP_SETTINGS").args(["--log", "stderr"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !self.packaged {
            command.arg("--settings").arg(self.folder.join("settings.yaml"));
            command.arg("--runtime-dir").arg(&self.runtime);
        }
        command
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

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

    /// Everybody's socket.
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
        let stopped = nix::sys::wait::waitpid(pid_of(self.pid()), Some(nix::sys::wait::WaitPidFlag::WUNTRACED));
        assert!(matches!(stopped, Ok(nix::sys::wait::WaitStatus::Stopped(..))), "{stopped:?}");
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
            panic!("provisiond did not end within {PATIENCE:?}:\n{}", self.log.text());
        }
        waiter.join().expect("the waiter")
    }

    /// Starts it again after it was killed or has ended, on the same files.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        self.setup.write();
        let started = spawn(&self.setup, &self.log);
        self.child = Some(started.unwrap_or_else(|(status, log)| panic!("provisiond: {status}\n{}", log.text())));
    }

    /// Runs totpctl as root, with this on its standard input.
    pub fn totpctl(&self, arguments: &[&str], input: &str) -> Output {
        let mut totpctl = Command::new(world::built("totpctl"));
        totpctl.arg("--socket").arg(self.login_socket()).args(arguments);
        with_input(totpctl, input)
    }

    /// Runs totpctl as a user of the world, with this on its standard input.
    pub fn totpctl_as(&self, user: &str, arguments: &[&str], input: &str) -> Output {
        let mut totpctl = Command::new("setpriv");
        totpctl.args(["--reuid", user, "--regid", user, "--init-groups", "--"]);
        totpctl.arg(world::for_everyone("totpctl")).arg("--socket").arg(self.open_socket()).args(arguments);
        with_input(totpctl, input)
    }

    /// Runs totpctl, which must succeed, and reads its JSON.
    pub fn totpctl_json(&self, arguments: &[&str], input: &str) -> Value {
        let output = self.totpctl(&[&["--json"], arguments].concat(), input);
        assert!(output.status.success(), "totpctl {arguments:?}: {output:?}\n{}", self.log.text());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("totpctl {arguments:?}: {e}: {output:?}"))
    }

    /// A call on root's socket, as root.
    ///
    /// # Errors
    /// The error reply's short name and its parameters.
    pub fn call(&self, method: &str, parameters: &Value) -> Result<Value, (String, Value)> {
        wire::call(&self.login_socket(), method, parameters)
    }

    /// A call on everybody's socket, as somebody.
    ///
    /// # Errors
    /// As [`Daemon::call`].
    pub fn call_as(&self, who: &Who, method: &str, parameters: &Value) -> Result<Value, (String, Value)> {
        wire::call_as(who, &self.open_socket(), method, parameters)
    }

    /// Enrols a user with totpctl, active at once.
    pub fn enroll(&self, user: &str) -> Authenticator {
        let told = self.totpctl_json(&["enroll", user, "--yes"], "");
        assert_eq!(told["state"], "active", "{told}");
        authenticator(&told)
    }

    /// Enrols many users, on the socket, active at once.
    pub fn enroll_many(&self, users: &[String]) -> Vec<Authenticator> {
        let enroll = |user| self.call("Enroll", &json!({ "user": user, "active": true })).expect("an enrolment");
        users.iter().map(|user| authenticator(&enroll(user))).collect()
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
        let shown = self.call("Show", &json!({ "user": user })).expect("what is known of the user");
        shown["user"][what].as_u64().expect("a number")
    }

    /// How many refused attempts of `user` the log tells of: one by one, and summed up. What was left out is told with
    /// the next accepted login at the latest.
    #[must_use]
    pub fn refusals_told(&self, user: &str) -> usize {
        let user = format!(" user={user} ");
        let lines = self.log.with(&["event=verify ", &user]);
        let refused = lines.iter().filter(|line| !line.contains(" verdict=accepted")).count();
        let summed = self.log.with(&["event=lines_left_out ", &user]).into_iter().map(|line| {
            let lines = line.split(' ').find_map(|field| field.strip_prefix("lines="));
            lines.and_then(|lines| lines.parse::<usize>().ok()).expect("a number of lines")
        });
        refused + summed.sum::<usize>()
    }

    /// Waits for the audit line of an attempt of `user` that came to `verdict`.
    pub fn audited(&self, user: &str, verdict: &str) -> String {
        self.log.wait_for(&["event=verify ", &format!(" user={user} "), &format!(" verdict={verdict}")])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- provisiond said:\n{}\n---", self.log.text());
        }
    }
}

/// The device that an enrolment's answer describes.
#[must_use]
pub fn authenticator(told: &Value) -> Authenticator {
    let number = |field: &str| told[field].as_u64().unwrap_or_else(|| panic!("no {field}: {told}"));
    Authenticator {
        key: told["key"].as_str().expect("a key").to_owned(),
        alg: told["alg"].as_str().expect("an algorithm").to_owned(),
        digits: u8::try_from(number("digits")).expect("digits"),
        period: u32::try_from(told["period"].as_u64().unwrap_or(30)).expect("a period"),
    }
}

fn spawn(setup: &Setup, log: &Lines) -> Result<Child, (ExitStatus, Lines)> {
    let notified = world::scratch().join(format!("notify-{}", world::next_number()));
    let notify = UnixDatagram::bind(&notified).expect("a socket to be notified on");
    fs::set_permissions(&notified, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("its mode");
    let mut child = setup
        .command()
        .env("NOTIFY_SOCKET", &notified)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("provisiond");
    log.follow(child.stderr.take().expect("its standard error"));
    let ready = wait_until_ready(&mut child, &notify, log);
    let _ = fs::remove_file(&notified);
    ready.map_or(Ok(child), |status| Err((status, log.clone())))
}

/// `None` when it serves, its status when it ended.
fn wait_until_ready(child: &mut Child, notify: &UnixDatagram, log: &Lines) -> Option<ExitStatus> {
    notify.set_read_timeout(Some(GLANCE)).expect("a timeout");
    let begun = Instant::now();
    let mut message = [0; 4096];
    loop {
        match notify.recv(&mut message) {
            Ok(count) if String::from_utf8_lossy(&message[..count]).lines().any(|line| line == "READY=1") => {
                return None;
            }
            Ok(_) => {}
            // Nothing yet: does it still live?
            Err(_) => match child.try_wait().expect("its status") {
                Some(status) => return Some(status),
                None if begun.elapsed() > PATIENCE => {
                    let _ = child.kill();
                    let _ = child.wait();
                    log.push("(the harness lost patience)");
                    return Some(ExitStatus::from_raw(Signal::SIGKILL as i32));
                }
                None => {}
            },
        }
    }
}

fn settings(secrets: &Path, state: &Path) -> String {
    let (secrets, store) = (secrets.display(), state.join("store"));
    let context = format!("totp:\n  context:\n    issuer: tests\n    secrets-path: {secrets}\n");
    format!("{context}provisiond:\n  store: {{sled: {{path: {}}}}}\n", store.display())
}

fn pid_of(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a pid"))
}

const SECRETS: &str = "1: an application secret of the tests\n";
/// How often a daemon that is not ready is looked at.
const GLANCE: Duration = Duration::from_millis(20);
