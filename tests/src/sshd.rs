//! The machine's own services: the real sshd, sudo, su and pamtester over the world's /etc, and the
//! daemon where the packages put it.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::daemon::{Daemon, Setup};
use crate::lines::{Lines, PATIENCE};
use crate::program::{self, with_input};
use crate::stack::module;
use crate::terminal::Terminal;
use crate::world;

/// The machine for one test: meanwhile no other test changes its service files or runs the daemon
/// at its usual place.
pub struct System {
    /// The daemon at its usual place.
    pub daemon: Daemon,
    _alone: MutexGuard<'static, ()>,
}

impl System {
    /// Starts the daemon, with the machine's service files as Debian installs them.
    #[must_use]
    pub fn start() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        world::change_the_machine();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            daemon: Setup::packaged().start(),
            _alone: alone,
        }
    }

    /// Sets a service's authentication: these lines, with `TOTP` standing for our module. Accounts
    /// and sessions are permitted.
    pub fn service(&self, name: &str, auth: &str) {
        let auth = auth.replace("TOTP", module().to_str().expect("a path in UTF-8"));
        let rest = "account required pam_permit.so\nsession required pam_permit.so\n";
        fs::write(
            Path::new("/etc/pam.d").join(name),
            format!("{auth}\n{rest}"),
        )
        .expect("a service file");
    }

    /// Lets a user become any other user through sudo.
    pub fn allow_sudo(&self, user: &str) {
        self.sudoers(user, &format!("{user} ALL=(ALL) ALL\n"));
    }

    /// Gives sudo a file of its settings.
    pub fn sudoers(&self, name: &str, lines: &str) {
        let file = Path::new("/etc/sudoers.d").join(name);
        fs::write(&file, lines).expect("a rule");
        fs::set_permissions(&file, Permissions::from_mode(0o440)).expect("its mode");
    }
}

/// Runs a command as a user, with this on its standard input.
pub fn as_user(user: &str, command: &[&str], input: &str) -> Output {
    with_input(command_of(user, command), input)
}

/// A command that a user runs.
#[must_use]
pub fn command_of(user: &str, command: &[&str]) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([
        "--reuid",
        user,
        "--regid",
        user,
        "--clear-groups",
        "--",
        "env",
        "-i",
        "HOME=/",
        "PATH=/usr/bin:/bin",
    ]);
    setpriv
        .arg(format!("USER={user}"))
        .arg(format!("LOGNAME={user}"))
        .args(command)
        .current_dir("/");
    setpriv
}

/// A running sshd on a port of its own.
pub struct Sshd {
    /// Its log.
    pub log: Lines,
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Sshd {
    /// Starts one; `methods` is what it demands of every user (AuthenticationMethods).
    #[must_use]
    pub fn start(methods: &str) -> Self {
        Self::start_with(methods, "")
    }

    /// The same with more lines in its configuration.
    #[must_use]
    pub fn start_with(methods: &str, lines: &str) -> Self {
        Self::configured(&format!(
            "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods {methods}\n{lines}"
        ))
    }

    /// Starts one with these lines in its configuration.
    #[must_use]
    pub fn configured(lines: &str) -> Self {
        let folder = world::scratch_folder("sshd");
        fs::create_dir(folder.join("keys")).expect("a folder for keys");
        keygen(&folder.join("host-key"));
        let port = free_port();
        let config = folder.join("config");
        let there = folder.display();
        // All of the tests come from one address.
        let spared = knows_penalties() && !lines.contains("PerSourcePenalties");
        let more = if spared {
            "PerSourcePenalties no\n"
        } else {
            ""
        };
        fs::write(
            &config,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {there}/host-key\nPidFile none\n\
                 AuthorizedKeysFile {there}/keys/%u\nUseDNS no\nLogLevel VERBOSE\n{more}{lines}"
            ),
        )
        .expect("a configuration");
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = sshd.spawn().expect("sshd, of the package openssh-server");
        let log = Lines::default();
        log.follow(child.stderr.take().expect("its log"));
        log.wait_for(&["Server listening on 127.0.0.1"]);
        Self {
            log,
            child,
            folder,
            port,
        }
    }

    /// Makes a key that opens this user's account, as far as keys do.
    #[must_use]
    pub fn authorize(&self, user: &str) -> PathBuf {
        let key = self.folder.join(format!("key-of-{user}"));
        if !key.exists() {
            keygen(&key);
        }
        fs::copy(
            key.with_extension("pub"),
            self.folder.join("keys").join(user),
        )
        .expect("the authorized key");
        key
    }

    /// Logs in with the real client and runs `id -un`.
    pub fn login(&self, client: &Client<'_>) -> Session {
        let folder = self.folder_for(client);
        fs::write(folder.join("codes"), client.codes.join("\n") + "\n").expect("the codes");
        let output = self
            .ssh(client, &folder.join("askpass"))
            .output()
            .expect("ssh, of the package openssh-client");
        let prompts = fs::read_to_string(folder.join("prompts")).expect("the prompts");
        Session {
            accepted: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            prompts: prompts.split_terminator('\0').map(str::to_owned).collect(),
        }
    }

    /// Begins to log in and waits until the user is asked. The user does not answer yet.
    #[must_use]
    pub fn begin(&self, client: &Client<'_>) -> Asked {
        let folder = self.folder_for(client);
        let codes = folder.join("codes");
        mkfifo(&codes, Mode::S_IRWXU).expect("a pipe for the code");
        let ssh = self
            .ssh(client, &folder.join("askpass"))
            .spawn()
            .expect("ssh, of the package openssh-client");
        let begun = Instant::now();
        loop {
            // The client reads the codes only after the prompt.
            match fs::File::options()
                .write(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(&codes)
            {
                Ok(input) => {
                    return Asked {
                        ssh,
                        input: Some(input),
                    };
                }
                Err(_) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
                Err(e) => panic!("no prompt came: {e}\n{}", self.log.text()),
            }
        }
    }

    /// Logs in with the real client on a terminal, where it asks the person itself.
    #[must_use]
    pub fn on_terminal(&self, client: &Client<'_>) -> Terminal {
        let mut ssh = self.ssh(client, Path::new("/nonexistent"));
        ssh.env("SSH_ASKPASS_REQUIRE", "never")
            .env("LC_ALL", "C.UTF-8");
        Terminal::start(&ssh, 100)
    }

    /// Waits until no process of it is left that serves a connection.
    pub fn wait_until_idle(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let begun = Instant::now();
        while fs::read_to_string(&children).is_ok_and(|children| !children.trim().is_empty()) {
            assert!(begun.elapsed() < PATIENCE, "sshd still serves a connection");
            std::thread::yield_now();
        }
    }

    fn folder_for(&self, client: &Client<'_>) -> PathBuf {
        let folder = self.folder.join(format!("client-{}", world::next_number()));
        fs::create_dir(&folder).expect("a folder for the client");
        let askpass = folder.join("askpass");
        program::write(&askpass, ASKPASS);
        fs::write(folder.join("password"), client.password).expect("the password");
        fs::write(folder.join("prompts"), "").expect("no prompts yet");
        folder
    }

    fn ssh(&self, client: &Client<'_>, askpass: &Path) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &self.port.to_string()]);
        // Of an option that is given twice, ssh takes the first.
        for option in client.options {
            ssh.args(["-o", option]);
        }
        let few_methods: &[&str] = if client.by_default { &[] } else { &FEW_METHODS };
        for option in CLIENT_OPTIONS.iter().chain(few_methods) {
            ssh.args(["-o", option]);
        }
        match client.key {
            Some(key) => ssh.arg("-i").arg(key),
            None => ssh.args(["-o", "PubkeyAuthentication=no"]),
        };
        ssh.arg(format!("{}@127.0.0.1", client.user))
            .args(["id", "-un"]);
        ssh.env("SSH_ASKPASS", askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env_remove("SSH_AUTH_SOCK");
        ssh.stdin(Stdio::null());
        ssh
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- sshd said:\n{}\n---", self.log.text());
        }
    }
}

/// A user at the client of ssh, and what they answer.
#[derive(Default)]
pub struct Client<'a> {
    /// The account.
    pub user: &'a str,
    /// A key file, if there is one.
    pub key: Option<&'a Path>,
    /// Answers every prompt that asks for a password.
    pub password: &'a str,
    /// Answer the other prompts in turn.
    pub codes: &'a [&'a str],
    /// Goes on with whatever method the server and the client's defaults leave, as people's clients
    /// do. Otherwise it gives up after one round of keyboard-interactive.
    pub by_default: bool,
    /// Further options of the client (`ssh -o`).
    pub options: &'a [&'a str],
}

/// A login whose person is being asked. The client is killed when it is dropped.
pub struct Asked {
    ssh: Child,
    input: Option<fs::File>,
}

impl Asked {
    /// Answers the prompt.
    pub fn answer(&mut self, code: &str) {
        let mut input = self.input.take().expect("an unanswered prompt");
        input
            .write_all(format!("{code}\n").as_bytes())
            .expect("the code");
    }

    /// Waits until the client has ended, and says whether it got in.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn got_in(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            match self.ssh.try_wait().expect("its status") {
                Some(status) => return status.success(),
                None => assert!(begun.elapsed() < PATIENCE, "ssh did not end"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

/// How it went.
#[derive(Debug)]
pub struct Session {
    /// Whether the client got in.
    pub accepted: bool,
    /// What the command printed there.
    pub output: String,
    /// What the client complained about.
    pub errors: String,
    /// Every prompt the person saw.
    pub prompts: Vec<String>,
}

/// Whether sshd refuses addresses from which logins have failed, for a while: from 9.8 on.
#[must_use]
pub fn knows_penalties() -> bool {
    let told = Command::new("/usr/sbin/sshd")
        .args(["-T", "-f", "/dev/null"])
        .output()
        .expect("sshd");
    String::from_utf8_lossy(&told.stdout).contains("persourcepenalties")
}

fn keygen(path: &Path) {
    world::run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            path.to_str().expect("a path in UTF-8"),
        ],
    );
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// ssh runs it for each prompt; it remembers the prompt, which may have several lines, and prints
/// the answer.
const ASKPASS: &str = r#"#!/bin/sh
here=$(dirname "$0")
printf '%s\0' "$1" >> "$here/prompts"
case $1 in
*assword*) cat "$here/password" ;;
*) head -n 1 "$here/codes" && [ -p "$here/codes" ] || sed -i 1d "$here/codes" ;;
esac
"#;

const CLIENT_OPTIONS: [&str; 5] = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "KexAlgorithms=curve25519-sha256",
    "IdentitiesOnly=yes",
];
const FEW_METHODS: [&str; 2] = [
    "NumberOfPasswordPrompts=1",
    "PreferredAuthentications=publickey,keyboard-interactive",
];
