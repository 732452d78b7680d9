//! Start-up steps: hardening (core files, debuggers, umask), sockets, the drop of root privileges.
//! The steps that need root come first; then the process gives up root for good.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

use crate::server::Sockets;

/// The failures of a start: each a sentence with the next step.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The account to run as does not exist.
    #[error(
        "there is no account '{ACCOUNT}' to run as: 'systemd-sysusers' makes it, or 'useradd --system {ACCOUNT}'"
    )]
    NoAccount,
    /// The service manager handed in other sockets than the daemon's two.
    #[error("the service manager must hand in exactly login.sock and provisiond.sock")]
    Sockets,
    /// Another user could create a socket there and impersonate the daemon.
    #[error("other users can write to the folder {}: name a folder of root's with --runtime-dir", .0.display())]
    Folder(PathBuf),
    /// Another process serves there.
    #[error("the sockets in {} are in use by another process; stop the other provisiond first", .0.display())]
    InUse(PathBuf),
    /// The system refused a step.
    #[error("cannot {step}: {error}")]
    System {
        /// The step.
        step: String,
        /// The system's error.
        error: io::Error,
    },
}

/// The account that the daemon runs as, or will after it has dropped root. Settings and secrets may
/// belong to it.
///
/// # Errors
/// [`CannotStart::NoAccount`], for root only.
pub fn daemon_account() -> Result<Account, CannotStart> {
    if !geteuid().is_root() {
        return Ok(Account {
            uid: geteuid(),
            gid: nix::unistd::getegid(),
        });
    }
    let user = User::from_name(ACCOUNT).map_err(|e| cannot(format!("look up '{ACCOUNT}'"), e))?;
    user.map(|user| Account {
        uid: user.uid,
        gid: user.gid,
    })
    .ok_or(CannotStart::NoAccount)
}

/// The uid and gid that the daemon runs as.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its user.
    pub uid: Uid,
    /// Its group.
    pub gid: Gid,
}

/// Hardens the process: no core file, no debugger, no new file that other users can read, no new
/// privileges.
///
/// # Errors
/// [`CannotStart::System`].
pub fn harden() -> Result<(), CannotStart> {
    umask(Mode::from_bits_truncate(0o077));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|e| cannot("switch core files off", e))?;
    prctl::set_dumpable(false).map_err(|e| cannot("keep debuggers off", e))?;
    prctl::set_no_new_privs().map_err(|e| cannot("give up new privileges", e))
}

/// Lifts the soft limit of open files to the hard one: the soft one is for programs that use
/// select(2). A limit that stays is no error, because connections leave descriptors to the store.
pub fn lift_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The two sockets: handed in by the service manager (socket activation), else made in `folder`.
///
/// # Errors
/// [`CannotStart`].
pub fn sockets(folder: &Path) -> Result<Sockets, CannotStart> {
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return make_sockets(folder);
    }
    let (mut login, mut open) = (None, None);
    for index in 0..handed.len() {
        let listener = handed
            .take_unix_listener(index)
            .map_err(|e| cannot("take a socket over", e))?;
        let listener = listener.ok_or(CannotStart::Sockets)?;
        let address = listener
            .local_addr()
            .map_err(|e| cannot("name a socket", e))?;
        match address
            .as_pathname()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
        {
            Some(LOGIN) => login = Some(listener),
            Some(OPEN) => open = Some(listener),
            _ => return Err(CannotStart::Sockets),
        }
    }
    match (login, open) {
        (Some(login), Some(open)) => Ok(Sockets {
            login,
            open,
            claim: None,
        }),
        _ => Err(CannotStart::Sockets),
    }
}

/// Opens the file that mirrors the store's generation, and makes it if it is missing. A process that
/// is still root gives it to the daemon's account. Under a service manager the file exists already.
///
/// # Errors
/// The system's error. The daemon then starts without this witness of a roll-back.
pub fn generation_mirror(folder: &Path, account: Account) -> io::Result<PathBuf> {
    let path = folder.join("generation");
    let file = private_file(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    if geteuid().is_root() {
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(path)
}

/// Drops root privileges for good. Does nothing in a process that does not run as root.
///
/// # Errors
/// [`CannotStart::System`].
pub fn drop_privileges(account: Account) -> Result<(), CannotStart> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let step = || format!("become '{ACCOUNT}'");
    setgroups(&[account.gid]).map_err(|e| cannot(step(), e))?;
    setresgid(account.gid, account.gid, account.gid).map_err(|e| cannot(step(), e))?;
    setresuid(account.uid, account.uid, account.uid).map_err(|e| cannot(step(), e))
}

fn make_sockets(folder: &Path) -> Result<Sockets, CannotStart> {
    let step = || format!("make the folder {}", folder.display());
    let is_new = !folder.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(|e| cannot(step(), e))?;
    if is_new {
        // All users must reach the sockets, whatever the umask is.
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))
            .map_err(|e| cannot(step(), e))?;
    }
    // Only the owner may create a socket here, because clients connect by the path.
    let metadata = folder.metadata().map_err(|e| cannot(step(), e))?;
    if ![0, geteuid().as_raw()].contains(&metadata.uid()) || metadata.mode() & 0o022 != 0 {
        return Err(CannotStart::Folder(folder.to_owned()));
    }
    let claim = Some(claim(folder)?);
    Ok(Sockets {
        login: make_socket(&folder.join(LOGIN), 0o600)?,
        open: make_socket(&folder.join(OPEN), 0o666)?,
        claim,
    })
}

/// Locks the folder for as long as this process lives: a second daemon would otherwise take over
/// the sockets of a running one. Waits a short time for a daemon that is stopping. The lock is a
/// file that only the daemon can open, because any user could lock the folder itself.
fn claim(folder: &Path) -> Result<Flock<File>, CannotStart> {
    let step = || format!("lock the folder {}", folder.display());
    let mut file = private_file(&folder.join("lock")).map_err(|e| cannot(step(), e))?;
    for _ in 0..CLAIM_TRIES {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(claim) => return Ok(claim),
            Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
            Err((_, errno)) => return Err(cannot(step(), errno)),
        };
        std::thread::sleep(CLAIM_PAUSE);
    }
    Err(CannotStart::InUse(folder.to_owned()))
}

/// Binds a socket in place of one that an earlier daemon left. The mode is set before `listen`, so
/// that no client can connect earlier.
fn make_socket(path: &Path, mode: u32) -> Result<UnixListener, CannotStart> {
    let step = |doing: &str| format!("{doing} {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot(step("remove"), error));
        }
        _ => {}
    }
    let made = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    );
    let made = made.map_err(|e| cannot(step("make"), e))?;
    let address = UnixAddr::new(path).map_err(|e| cannot(step("name"), e))?;
    bind(made.as_raw_fd(), &address).map_err(|e| cannot(step("bind"), e))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|e| cannot(step("open up"), e))?;
    listen(&made, Backlog::MAXCONN).map_err(|e| cannot(step("listen on"), e))?;
    Ok(UnixListener::from(made))
}

/// Opens or creates a private file. It follows no symbolic link and does not block on a pipe.
fn private_file(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

fn cannot(step: impl Into<String>, error: impl Into<io::Error>) -> CannotStart {
    CannotStart::System {
        step: step.into(),
        error: error.into(),
    }
}

/// The account that the daemon runs as.
const ACCOUNT: &str = "_pam-totp";
/// Five seconds in all: longer than a daemon takes to stop.
const CLAIM_TRIES: u32 = 100;
const CLAIM_PAUSE: Duration = Duration::from_millis(50);
const LOGIN: &str = "login.sock";
const OPEN: &str = "provisiond.sock";
