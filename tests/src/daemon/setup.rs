//! What a daemon is started with, and its start, up to the moment at which it serves.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Daemon;
use crate::lines::{Lines, PATIENCE};
use crate::network::Host;
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
    /// How many descriptors it may have, if that is bounded.
    pub descriptors: Option<u32>,
    /// The file by which a process enters the control group that it is to be in, if any.
    pub group: Option<PathBuf>,
    /// The machine of a network that it runs on, if it is not to run on this one.
    pub host: Option<Host>,
    /// Variables of its environment, besides the tests' own.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// The paths are the built-in ones: the daemon is told none.
    packaged: bool,
    /// The login socket and the open socket, if the daemon is handed them in.
    handed_in: Option<[UnixListener; 2]>,
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
            descriptors: None,
            group: None,
            host: None,
            environment: Vec::new(),
            packaged: false,
            handed_in: None,
        }
    }

    /// The same with sockets that outlive it, handed in as a service manager does.
    #[must_use]
    pub fn handed_in(mut self) -> Self {
        fs::create_dir_all(&self.runtime).expect("the sockets' folder");
        let listen = |name: &str| UnixListener::bind(self.runtime.join(name)).expect("a socket");
        self.handed_in = Some(["login.sock", "provisiond.sock"].map(listen));
        self
    }

    /// The daemon where the packages put it, found by modules and by totpctl without being told.
    /// One at a time: see `sshd::System`.
    #[must_use]
    pub(crate) fn packaged() -> Self {
        let place = |path: &str| {
            let path = PathBuf::from(path);
            world::empty(&path);
            path
        };
        // The sockets' folder too: it remembers the generation of the store that an earlier test
        // left.
        let (folder, runtime) = (place("/etc/pam-totp"), place("/run/pam-totp"));
        let state = place("/var/lib/pam-totp");
        world::give_to_daemon(&state);
        let settings = settings(&folder.join("secrets"), &state);
        Self {
            folder,
            settings,
            runtime,
            state,
            packaged: true,
            ..Self::in_state(&world::state_folder())
        }
    }

    /// Adds lines to the settings, whose last section is `provisiond`: `"  admin-group:
    /// totpadmins\n"` goes on there, and `"policy: {window: 2}\n"` begins another.
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
        self.try_start()
            .unwrap_or_else(|(status, log)| panic!("provisiond: {status}\n{}", log.text()))
    }

    /// Starts the daemon and waits until it serves or ends.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub fn try_start(self) -> Result<Daemon, (ExitStatus, Lines)> {
        self.write();
        let log = Lines::default();
        let child = self.spawn(&log)?;
        Ok(Daemon {
            setup: self,
            child: Some(child),
            log,
        })
    }

    /// Writes the files without starting anything.
    pub fn write(&self) {
        fs::create_dir_all(&self.runtime).expect("the sockets' folder");
        world::write_for_daemon(&self.folder.join("settings.yaml"), &self.settings);
        world::write_for_daemon(&self.folder.join("secrets"), &self.secrets);
    }

    /// Starts the process. What it says comes to `log`.
    pub(super) fn spawn(&self, log: &Lines) -> Result<Child, (ExitStatus, Lines)> {
        let notified = world::scratch().join(format!("notify-{}", world::next_number()));
        let notify = UnixDatagram::bind(&notified).expect("a socket to be notified on");
        fs::set_permissions(
            &notified,
            std::os::unix::fs::PermissionsExt::from_mode(0o666),
        )
        .expect("its mode");
        let mut command = self.command();
        command
            .env("NOTIFY_SOCKET", &notified)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        if let Some([login, open]) = &self.handed_in {
            command.stdin(handed(login)).stdout(handed(open));
        }
        let mut child = command.spawn().expect("provisiond");
        log.follow(child.stderr.take().expect("its standard error"));
        let ready = wait_until_ready(&mut child, &notify, log);
        let _ = fs::remove_file(&notified);
        ready.map_or(Ok(child), |status| Err((status, log.clone())))
    }

    /// The daemon's command line, for this setup.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = match (&self.handed_in, &self.group, self.descriptors) {
            (Some(_), ..) => Command::new("sh"),
            // The shell becomes the daemon.
            (None, Some(group), _) => {
                let mut command = Command::new("sh");
                command.args(["-c", ENTER]).arg(world::built("provisiond"));
                command.arg(group);
                command
            }
            (None, None, None) => match &self.host {
                Some(host) => host.command(world::built("provisiond")),
                None => Command::new(world::built("provisiond")),
            },
            // prlimit(1) becomes the daemon.
            (None, None, Some(most)) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={most}:{most}"));
                command.arg(world::built("provisiond"));
                command
            }
        };
        if self.handed_in.is_some() {
            command
                .args(["-c", HAND_IN])
                .arg(world::built("provisiond"));
        }
        command
            .env_remove("NOTIFY_SOCKET")
            .env_remove("PAM_TOTP_SETTINGS")
            .args(["--log", "stderr"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !self.packaged {
            command
                .arg("--settings")
                .arg(self.folder.join("settings.yaml"));
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

/// `None` when it serves, its status when it ended. A start that says that it goes on has as much time
/// as it asks for, as with systemd.
fn wait_until_ready(child: &mut Child, notify: &UnixDatagram, log: &Lines) -> Option<ExitStatus> {
    notify.set_read_timeout(Some(GLANCE)).expect("a timeout");
    let mut deadline = Instant::now() + PATIENCE;
    let mut message = [0; 4096];
    loop {
        match notify.recv(&mut message) {
            Ok(count) => {
                for line in String::from_utf8_lossy(&message[..count]).lines() {
                    if line == "READY=1" {
                        return None;
                    }
                    if let Some(more) = line.strip_prefix("EXTEND_TIMEOUT_USEC=") {
                        let more = Duration::from_micros(more.parse().expect("a time"));
                        deadline = deadline.max(Instant::now() + more);
                    }
                }
            }
            // Nothing yet: does it still live?
            Err(_) => match child.try_wait().expect("its status") {
                Some(status) => return Some(status),
                None if Instant::now() > deadline => {
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
    format!(
        "{context}provisiond:\n  store: {{sled: {{path: {}}}}}\n",
        store.display()
    )
}

fn handed(listener: &UnixListener) -> Stdio {
    Stdio::from(OwnedFd::from(
        listener.try_clone().expect("another descriptor"),
    ))
}

/// Standard input and output are the sockets. The process stays the same, so its number is known
/// (sd_listen_fds(3)).
const HAND_IN: &str =
    r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@""#;
/// Into a control group first.
const ENTER: &str = r#"echo $$ > "$1"; shift; exec "$0" "$@""#;
const SECRETS: &str = "1: an application secret of the tests\n";
/// How often a daemon that is not ready is looked at.
const GLANCE: Duration = Duration::from_millis(20);
