//! Reads settings and secrets files, and checks their owner and mode, and the folders above them:
//! only root and the daemon may be able to write them, and a file with secrets must not be readable
//! by other users. Does not parse them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::problem::Problem;
use super::secrets_file::DEFAULT_SECRETS;
use crate::secret::SecretText;

/// Which files are trusted, and how the secrets come if the settings name no file.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The uid of the daemon. Files and folders belong to it or to root.
    pub(super) daemon_uid: u32,
    /// The service manager's credentials (`$CREDENTIALS_DIRECTORY`), if it gave any.
    pub(super) credentials: Option<PathBuf>,
    /// The default file of secrets.
    pub(super) secrets_file: PathBuf,
    /// What it held when this process was root.
    pub(super) read_as_root: Option<Arc<SecretText>>,
}

/// The users that may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// All users.
    All,
    /// Its owner and its group.
    Few,
}

impl Trust {
    /// Trusts the files of root and of the daemon.
    #[must_use]
    pub fn new(daemon_uid: u32, credentials: Option<PathBuf>) -> Self {
        Self {
            daemon_uid,
            credentials,
            secrets_file: PathBuf::from(DEFAULT_SECRETS),
            read_as_root: None,
        }
    }

    /// Judges a file by its kind, owner and mode, and by the folders that lead to it.
    pub(super) fn judge(
        &self,
        path: &Path,
        metadata: &Metadata,
        readers: Readers,
    ) -> Result<(), Problem> {
        if !metadata.is_file() {
            return Err(Problem::NotAFile);
        }
        if !self.owns(metadata) {
            let found = metadata.uid();
            return Err(Problem::Owner { found });
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(Problem::Writable);
        }
        if readers == Readers::Few && metadata.mode() & OTHERS_READ != 0 {
            return Err(Problem::Readable);
        }
        self.judge_folders(path)
    }

    /// A user that can write to a folder above the file can put another file in its place.
    fn judge_folders(&self, path: &Path) -> Result<(), Problem> {
        let absolute = std::path::absolute(path)?;
        let resolved = absolute.parent().map(Path::canonicalize).transpose()?;
        let folders = absolute.ancestors().skip(1);
        let resolved = resolved.iter().flat_map(|folder| folder.ancestors());
        for folder in folders.chain(resolved) {
            let metadata = folder.metadata()?;
            // Of a sticky folder, such as /tmp, other users cannot remove what is not theirs.
            let open = metadata.mode() & OTHERS_WRITE != 0 && metadata.mode() & STICKY == 0;
            if open || !self.owns(&metadata) {
                return Err(Problem::Folder(folder.to_owned()));
            }
        }
        Ok(())
    }

    fn owns(&self, metadata: &Metadata) -> bool {
        [0, self.daemon_uid].contains(&metadata.uid())
    }
}

/// The text of a file that only root and the daemon can write.
pub(super) struct TrustedFile {
    text: Zeroizing<String>,
    mode: u32,
    state: State,
}

impl TrustedFile {
    /// Reads the whole file. An editor may write it in place at this moment, and the beginning of
    /// the settings may be settings too: what was changed just before is read again until it rests.
    pub(super) fn read(path: &Path, trust: &Trust) -> Result<Self, Problem> {
        Self::read_at_rest(path, trust, std::thread::sleep)
    }

    /// The same, where `wait` gives the writer so much time.
    pub(super) fn read_at_rest(
        path: &Path,
        trust: &Trust,
        mut wait: impl FnMut(Duration),
    ) -> Result<Self, Problem> {
        for _ in 0..TRIES {
            let file = Self::read_once(path, trust)?;
            wait(file.state.unrest());
            if State::of(&path.symlink_metadata()?) == file.state {
                return Ok(file);
            }
        }
        Err(Problem::Changing)
    }

    fn read_once(path: &Path, trust: &Trust) -> Result<Self, Problem> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        trust.judge(path, &metadata, Readers::All)?;
        Ok(Self {
            text: text_of(file)?,
            mode: metadata.mode(),
            state: State::of(&metadata),
        })
    }

    /// The file's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The same, without the file.
    pub(super) fn into_text(self) -> Zeroizing<String> {
        self.text
    }

    /// Fails if other users can read the file: it may then not hold secrets.
    pub(super) fn is_for_few(&self) -> Result<(), Problem> {
        if self.mode & OTHERS_READ != 0 {
            Err(Problem::Readable)
        } else {
            Ok(())
        }
    }
}

/// What tells whether a file was changed or replaced.
#[derive(Debug, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    size: u64,
    changed: Option<SystemTime>,
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: metadata.modified().ok(),
        }
    }

    /// How long to wait for the writer's next bytes.
    fn unrest(&self) -> Duration {
        let age = self.changed.and_then(|changed| changed.elapsed().ok());
        REST.saturating_sub(age.unwrap_or_default())
    }
}

/// Opens the file, but not through a symbolic link, and without waiting for the other end of a
/// pipe.
fn open(path: &Path) -> Result<File, Problem> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::ELOOP as i32 => Problem::Link,
            _ => error.into(),
        })
}

fn text_of(file: File) -> Result<Zeroizing<String>, Problem> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES.saturating_add(1)));
    let read = file
        .take(MAX_BYTES.saturating_add(1) as u64)
        .read_to_end(&mut bytes)?;
    if read > MAX_BYTES {
        return Err(Problem::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The largest file. Nested flow maps parse in quadratic time: this size takes a second at worst.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// A file that was not changed for so long is not being written.
const REST: Duration = Duration::from_millis(200);
const TRIES: u32 = 10;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o007;
const STICKY: u32 = 0o1000;
