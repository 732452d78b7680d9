//! What is seen of a store from outside: its lock, the files of its folder, and two witnesses of what it held: the
//! marker, which survives a power cut, and the mirror of its age, which survives anything else.
//!
//! They know numbers, never records. What it means when the store says otherwise is judged in [`super::sled`].

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// How old a store is, in numbers that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// How many updates it has seen.
    pub(crate) generation: u64,
    /// When the latest step begins that was spent in it, in Unix seconds.
    pub(crate) spent: u64,
}

/// What a store held when its marker was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How many users.
    pub(crate) users: u64,
    /// How old it was.
    pub(crate) age: Age,
}

/// A small file beside the store that says whether it is empty: a store that lost everything cannot say so itself.
#[derive(Debug)]
pub(crate) struct Marker {
    path: PathBuf,
    mark: Option<Mark>,
}

impl Marker {
    /// Reads the marker of the store at `store`.
    pub(crate) fn read(store: &Path) -> io::Result<Self> {
        let path = beside(store, ".marker");
        let mark = match std::fs::read(&path) {
            Ok(text) => Some(parse(&text).unwrap_or(UNREADABLE)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, mark })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` when there is no marker.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Whether it says that the store held users.
    pub(crate) fn says_users(&self) -> bool {
        self.mark.is_some_and(|mark| mark.users > 0)
    }

    /// When the latest step begins that it knows to be spent, in Unix seconds.
    pub(crate) fn spent(&self) -> u64 {
        self.mark.map_or(0, |mark| mark.age.spent)
    }

    /// Writes it anew: it is durable on return, and at every moment there is a whole one.
    pub(crate) fn write(&mut self, mark: Mark) -> io::Result<()> {
        let draft = beside(&self.path, ".new");
        let mut file = private().truncate(true).open(&draft)?;
        let Mark { users, age: Age { generation, spent } } = mark;
        write!(file, "{TITLE}\nusers {users}\ngeneration {generation}\nspent {spent}\n{ADVICE}\n")?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        sync_folder_of(&self.path)?;
        self.mark = Some(mark);
        Ok(())
    }
}

/// The age, once more, in a file that lives as long as the machine is up: a store that was put back while the machine ran is
/// behind it.
#[derive(Debug)]
pub(crate) struct Mirror(Option<File>);

impl Mirror {
    /// Opens or creates the mirror, if there is to be one, and reads it. A text that is no age says nothing.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<(Self, Option<Age>)> {
        let Some(path) = path else { return Ok((Self(None), None)) };
        let file = private().custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
        let mut text = Vec::new();
        (&file).take(MIRROR_BYTES).read_to_end(&mut text)?;
        Ok((Self(Some(file)), parse_age(text.trim_ascii_end())))
    }

    /// Writes the age over the former one. Nothing is synced and no failure is told: a mirror that stays behind raises no
    /// alarm, it only sees less.
    pub(crate) fn write(&self, age: Age) {
        if let Some(file) = &self.0 {
            _ = file.write_all_at(format!("{:020} {:020}\n", age.generation, age.spent).as_bytes(), 0);
        }
    }
}

/// Opens or creates the file and locks it for this process alone, waiting until `deadline` for another one to let go of
/// it; `None` if it does not.
pub(crate) fn lock(path: &Path, deadline: Instant) -> io::Result<Option<Flock<File>>> {
    let mut file = private().open(path)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(Some(locked)),
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() >= deadline => return Ok(None),
            Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) => file = again,
            Err((_, errno)) => return Err(errno.into()),
        }
        sleep(LOCK_POLL);
    }
}

/// Makes the store's folder, if it is not there, and removes drafts of snapshots from it. A kill can leave one, and sled
/// would take it for its newest snapshot. Only drafts go: without its snapshots a store is lost.
pub(crate) fn prepare_folder(store: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PRIVATE_FOLDER).create(store) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for entry in store.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Restricts and syncs everything in the store's folder, whatever the umask was, then the folder and its entry: sled
/// syncs neither its settings nor any folder.
pub(crate) fn settle_folder(store: &Path) -> io::Result<()> {
    for entry in store.read_dir()? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { PRIVATE_FOLDER } else { PRIVATE };
        std::fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        File::open(entry.path())?.sync_all()?;
    }
    std::fs::set_permissions(store, Permissions::from_mode(PRIVATE_FOLDER))?;
    File::open(store)?.sync_all()?;
    sync_folder_of(store)
}

/// The path of a file beside `path`, with `ending` after its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Makes the entry of `path` in its folder durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Reads, writes, and creates with the mode that every file here has.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
    options
}

fn parse(text: &[u8]) -> Option<Mark> {
    let mut lines = text.split(|byte| *byte == b'\n');
    (lines.next()? == TITLE.as_bytes()).then_some(())?;
    let users = number(lines.next()?.strip_prefix(b"users ")?)?;
    let generation = number(lines.next()?.strip_prefix(b"generation ")?)?;
    let spent = number(lines.next()?.strip_prefix(b"spent ")?)?;
    Some(Mark { users, age: Age { generation, spent } })
}

fn parse_age(text: &[u8]) -> Option<Age> {
    let mut numbers = text.split(|byte| *byte == b' ').map(number);
    let age = Age { generation: numbers.next()??, spent: numbers.next()?? };
    numbers.next().is_none().then_some(age)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a marker says that cannot be read: there were users once, and nothing else is known.
const UNREADABLE: Mark = Mark { users: 1, age: Age { generation: 0, spent: 0 } };
const TITLE: &str = "pam-totp store marker 1";
const ADVICE: &str = "Remove this file only if the store beside it is meant to start empty.";
const MIRROR_BYTES: u64 = 64;
const LOCK_POLL: Duration = Duration::from_millis(50);
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const MARK: Mark = Mark { users: 3, age: Age { generation: u64::MAX, spent: 1_800_000_000 } };

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let mut marker = Marker::read(&store).unwrap();
        assert_eq!((marker.mark(), marker.says_users()), (None, false));
        marker.write(Mark { users: 0, ..MARK }).unwrap();
        assert!(!Marker::read(&store).unwrap().says_users());
        marker.write(MARK).unwrap();
        assert_eq!((marker.mark(), Marker::read(&store).unwrap().mark()), (Some(MARK), Some(MARK)));
        let mode = std::fs::metadata(folder.path().join("store.marker")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn a_marker_that_cannot_be_read_still_says_that_there_were_users() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let mut marker = Marker::read(&store).unwrap();
        marker.write(MARK).unwrap();
        let whole = std::fs::read(marker.path()).unwrap();
        let needed = whole.len() - ADVICE.len() - 2;
        for cut in 0..needed - 20 {
            std::fs::write(marker.path(), &whole[..cut]).unwrap();
            assert!(Marker::read(&store).unwrap().says_users(), "cut at {cut}");
        }
        for text in ["users 0", "pam-totp store marker 2\nusers 0\ngeneration 0\n", "\u{fffd}"] {
            std::fs::write(marker.path(), text).unwrap();
            assert_eq!(Marker::read(&store).unwrap().mark(), Some(UNREADABLE), "{text}");
        }
    }

    #[test]
    fn a_mirror_tells_the_last_age_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generation");
        let (mirror, before) = Mirror::open(Some(&path)).unwrap();
        assert_eq!(before, None);
        mirror.write(Age { generation: 123_456, spent: 98_765 });
        mirror.write(Age { generation: 7, spent: 30 });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "00000000000000000007 00000000000000000030\n");
        for age in [Age { generation: 7, spent: 30 }, Age { generation: u64::MAX, spent: u64::MAX }] {
            mirror.write(age);
            assert_eq!(Mirror::open(Some(&path)).unwrap().1, Some(age));
        }
        for text in ["", "x", "1", "1 ", " 1", "-1 1", "+1 1", "1  2", "1 2 3", "99999999999999999999 1", "\u{663} 1"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Mirror::open(Some(&path)).unwrap().1, None, "{text:?}");
        }
        assert_eq!(Mirror::open(None).unwrap().1, None);
    }

    #[test]
    fn a_mirror_behind_a_symbolic_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("target"), folder.path().join("generation"));
        std::fs::write(&target, "1").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(Mirror::open(Some(&path)).is_err());
    }
}
