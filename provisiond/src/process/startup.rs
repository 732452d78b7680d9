//! From a started process to one that can serve: sockets, privileges, limits. In this order: what needs root comes
//! first, and then root is given up for good.

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
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

use crate::server::Sockets;

/// Why the daemon cannot start: a sentence with the next step.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The account to run as does not exist.
    #[error("there is no account '{ACCOUNT}' to run as: 'systemd-sysusers' makes it, or 'useradd --system {ACCOUNT}'")]
    NoAccount,
    /// The service manager handed in something else than our two sockets.
    #[error("the service manager must hand in login.sock and provisiond.sock, and nothing else")]
    Sockets,
    /// Others could put sockets of their own there.
    #[error("the folder {} can be written by others than us: give one of root's with --runtime-dir", .0.display())]
    Folder(PathBuf),
    /// Somebody else serves there.
    #[error("the sockets in {} are in use by another process; stop the other provisiond first", .0.display())]
    InUse(PathBuf),
    /// A step that the system refused.
    #[error("cannot {step}: {error}")]
    System {
        /// What we were about to do.
        step: String,
        /// What the system said.
        error: io::Error,
    },
}

/// The uid that the daemon runs as, or will: files may belong to it.
///
/// # Errors
/// [`CannotStart::NoAccount`], for root only.
pub fn daemon_account() -> Result<Account, CannotStart> {
    if !geteuid().is_root() {
        return Ok(Account { uid: geteuid(), gid: nix::unistd::getegid() });
    }
    let user = User::from_name(ACCOUNT).map_err(|e| cannot(format!("look up '{ACCOUNT}'"), e))?;
    user.map(|user| Account { uid: user.uid, gid: user.gid }).ok_or(CannotStart::NoAccount)
}

/// Whom the daemon runs as.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its user.
    pub uid: Uid,
    /// Its group.
    pub gid: Gid,
}

/// No core file, no debugger, no new files that others can read. For as long as the process lives.
///
/// # Errors
/// [`CannotStart::System`].
pub fn harden() -> Result<(), CannotStart> {
    umask(Mode::from_bits_truncate(0o077));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|e| cannot("switch core files off", e))?;
    prctl::set_dumpable(false).map_err(|e| cannot("keep debuggers off", e))?;
    prctl::set_no_new_privs().map_err(|e| cannot("give up new privileges", e))
}

/// The two sockets: from the service manager if it has them, else made in `folder`.
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
        let listener = handed.take_unix_listener(index).map_err(|e| cannot("take a socket over", e))?;
        let listener = listener.ok_or(CannotStart::Sockets)?;
        let address = listener.local_addr().map_err(|e| cannot("name a socket", e))?;
        match address.as_pathname().and_then(Path::file_name).and_then(|name| name.to_str()) {
            Some(LOGIN) => login = Some(listener),
            Some(OPEN) => open = Some(listener),
            _ => return Err(CannotStart::Sockets),
        }
    }
    match (login, open) {
        (Some(login), Some(open)) => Ok(Sockets { login, open, claim: None }),
        _ => Err(CannotStart::Sockets),
    }
}

/// Prepares the file that mirrors the store's generation, while root can still give it away. It exists already where
/// the service manager started us.
///
/// # Errors
/// [`CannotStart::System`].
pub fn generation_mirror(folder: &Path, account: Account) -> Result<PathBuf, CannotStart> {
    let path = folder.join("generation");
    if geteuid().is_root() {
        let step = || format!("make {}", path.display());
        let file = private_file(&path).map_err(|e| cannot(step(), e))?;
        fchown(&file, Some(account.uid.as_raw()), Some(account.gid.as_raw())).map_err(|e| cannot(step(), e))?;
    }
    Ok(path)
}

/// Gives up root for good. Does nothing for a process that never had it.
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
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|e| cannot(step(), e))?;
    if is_new {
        // Whatever the umask is, everybody may look for a socket.
        std::fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(|e| cannot(step(), e))?;
    }
    // Nobody but the owner may make a socket here: a client's first look is at the path.
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

/// Locks the folder for as long as this process lives, or the sockets of a daemon that serves would be taken from it. One
/// that is about to end is waited for. The lock is a file that only we can open: anybody could lock the folder itself.
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

/// Binds in place of what an earlier daemon left. The mode is set before anyone can connect: nobody listens yet.
fn make_socket(path: &Path, mode: u32) -> Result<UnixListener, CannotStart> {
    let step = |doing: &str| format!("{doing} {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(step("remove"), error)),
        _ => {}
    }
    let made = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let made = made.map_err(|e| cannot(step("make"), e))?;
    let address = UnixAddr::new(path).map_err(|e| cannot(step("name"), e))?;
    bind(made.as_raw_fd(), &address).map_err(|e| cannot(step("bind"), e))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| cannot(step("open up"), e))?;
    listen(&made, Backlog::MAXCONN).map_err(|e| cannot(step("listen on"), e))?;
    Ok(UnixListener::from(made))
}

/// Opens or makes a file of ours, not through a link and not waiting at a pipe.
fn private_file(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

fn cannot(step: impl Into<String>, error: impl Into<io::Error>) -> CannotStart {
    CannotStart::System { step: step.into(), error: error.into() }
}

/// The account that the daemon runs as.
const ACCOUNT: &str = "_pam-totp";
/// Five seconds: longer than a daemon takes to end.
const CLAIM_TRIES: u32 = 100;
const CLAIM_PAUSE: Duration = Duration::from_millis(50);
const LOGIN: &str = "login.sock";
const OPEN: &str = "provisiond.sock";
