//! The importer: a process of root, outside the daemon, that imports the google-authenticator's file of one
//! user (`pam-totp-importer.socket`). The daemon names the user, and waits for one word.
//!
//! Neither the word nor the process decides anything: what a login is judged by is in the store, where
//! the importer's own call `Import` puts it. Knows no record and no file.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::identity::caller::Peer;
use crate::in_memory::Bounded;

/// Where the importer listens, and which users it was asked about of late.
pub struct Importer {
    socket: PathBuf,
    asked: Mutex<Bounded<UserName, Instant>>,
    under_way: AtomicUsize,
}

/// Why the importer brought no word, or refused the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("cannot be reached: {0}; to start it: systemctl enable --now pam-totp-importer.socket")]
    Unreachable(io::Error),
    #[error("uid {0} listens on its socket, and not root: nothing was sent to it")]
    WrongServer(u32),
    #[error("did not answer in time: see journalctl -t totpctl")]
    Silent,
    #[error("refused the user's file, or failed: journalctl -t totpctl has the reason")]
    Failed,
}

impl Importer {
    /// The importer whose socket is in this folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self::at(folder.join(FILE))
    }

    /// The importer that listens there.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self {
            socket,
            asked: Mutex::new(Bounded::new(MAX_KNOWN)),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Whether there is a socket.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.socket.exists()
    }

    /// Has the importer look for the user's file, unless it was asked within the last minute or few
    /// others are waited for. Returns when it has answered, and in time for the login in any case.
    pub(crate) fn ask(&self, user: &UserName, deadline: Instant) -> Result<(), Trouble> {
        let Some(_place) = Place::among(&self.under_way) else {
            return Ok(());
        };
        if !self.is_due(user) {
            return Ok(());
        }
        let now = Instant::now();
        let until = now
            .checked_add(PATIENCE)
            .map_or(now, |end| end.min(deadline));
        let mut stream = self.connect()?;
        match Peer::of(&stream) {
            Ok(peer) if peer.is_root() => {}
            Ok(peer) => return Err(Trouble::WrongServer(peer.uid)),
            Err(errno) => return Err(Trouble::Unreachable(errno.into())),
        }
        let name = format!("{}\n", user.as_str());
        stream
            .write_all(name.as_bytes())
            .map_err(|_| Trouble::Failed)?;
        match word(&mut stream, until) {
            Ok(word) if [IMPORTED, NOTHING].contains(&&*word) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Trouble::Silent),
            Ok(_) | Err(_) => Err(Trouble::Failed),
        }
    }

    /// Notes that the user was asked about now, unless that was within the last minute.
    fn is_due(&self, user: &UserName) -> bool {
        let is_over = |asked: &Instant| asked.elapsed() >= AGAIN_AFTER;
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(user).is_some_and(|asked| !is_over(asked)) {
            return false;
        }
        *all.entry(user.clone(), Instant::now, is_over, |asked| *asked) = Instant::now();
        true
    }

    /// Never waits: where the backlog is full, the importer is not asked.
    fn connect(&self) -> Result<UnixStream, Trouble> {
        let connected = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
            connect(socket.as_raw_fd(), &UnixAddr::new(&self.socket)?)?;
            let stream = UnixStream::from(socket);
            stream.set_nonblocking(false)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        connected().map_err(Trouble::Unreachable)
    }
}

/// All that the importer says, which is short, until it closes the connection.
fn word(stream: &mut UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut word = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A time of 0 would be none.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut bytes = [0; LONGEST];
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(word),
            Ok(read) => word.extend(bytes.iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if word.len() > LONGEST || left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
}

/// One of the logins that may wait for the importer at once.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn among(under_way: &'a AtomicUsize) -> Option<Self> {
        let one_more = |held: usize| (held < AT_ONCE).then(|| held.saturating_add(1));
        let taken = under_way.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        taken.is_ok().then(|| Self(under_way))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The words, each a line.
const IMPORTED: &[u8] = b"imported\n";
const NOTHING: &[u8] = b"nothing\n";
/// Bytes of the longest word, and more.
const LONGEST: usize = 16;
/// The module waits three seconds, and the name service has a second of them.
const PATIENCE: Duration = Duration::from_millis(700);
const AGAIN_AFTER: Duration = Duration::from_secs(60);
const AT_ONCE: usize = 4;
/// The file name of `IMPORTER_SOCKET`, which another folder may have in a test.
const FILE: &str = "importer.sock";
const MAX_KNOWN: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn name(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn a_user_is_asked_about_once_a_minute_and_few_users_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let importer = Importer::in_folder(folder.path());
        assert!(!importer.is_there());
        let ask = |user: &str| importer.ask(&name(user), later());
        assert!(matches!(ask("alice"), Err(Trouble::Unreachable(_))));
        assert!(ask("alice").is_ok(), "not asked again");
        let places: Vec<_> = (0..AT_ONCE)
            .map(|_| Place::among(&importer.under_way))
            .collect();
        assert!(places.iter().all(Option::is_some));
        assert!(ask("bob").is_ok(), "not asked");
        drop(places);
        assert!(matches!(ask("bob"), Err(Trouble::Unreachable(_))));
    }

    #[test]
    fn an_importer_that_is_silent_long_winded_or_not_roots_is_trouble_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(FILE)).unwrap();
        let importer = Importer::in_folder(folder.path());
        let ours = nix::unistd::geteuid();
        if !ours.is_root() {
            let refused = importer.ask(&name("alice"), later()).unwrap_err();
            assert!(matches!(refused, Trouble::WrongServer(uid) if uid == ours.as_raw()));
            return;
        }
        let begun = Instant::now();
        let silent = importer.ask(&name("alice"), later()).unwrap_err();
        assert!(matches!(silent, Trouble::Silent), "{silent}");
        let _alices = listener.accept().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(&[b'x'; 100]);
        });
        assert!(importer.ask(&name("bob"), later()).is_err());
        assert!(begun.elapsed() < 3 * PATIENCE, "{:?}", begun.elapsed());
        server.join().unwrap();
    }
}
