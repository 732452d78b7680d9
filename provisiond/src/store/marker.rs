//! The witnesses of a store, by which its loss or roll-back is detected: the marker, a file that
//! survives a power cut, and the mirror of the store's age on a tmpfs, which is current at all
//! times until the machine stops. Also the store's lock file, and its folder as it is before and
//! after it is opened.
//!
//! The witnesses hold numbers, never records. [`super::sled`] judges what a difference from the
//! store means.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::private::{self, PRIVATE_FOLDER};
use super::unreadable::Patched;

/// The age of a store, in numbers that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// The number of updates.
    pub(crate) generation: u64,
    /// The start of the latest spent step, in Unix seconds.
    pub(crate) spent: u64,
    /// The generation that a store must have reached to hold every user: the store's own, unless
    /// users are missing from it.
    pub(crate) whole: u64,
}

/// The state of a store when its marker was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreMark {
    /// The number of users.
    pub(crate) users: u64,
    /// The age.
    pub(crate) age: Age,
}

/// The marker: a small file beside the store that tells whether it held users. An emptied store
/// cannot tell so itself.
#[derive(Debug)]
pub(crate) struct Marker {
    path: PathBuf,
    mark: Option<StoreMark>,
}

impl Marker {
    /// Reads the marker of the store at `store`.
    pub(crate) fn read(store: &Path) -> io::Result<Self> {
        let path = beside(store, ".marker");
        let mark = match private::file(OpenOptions::new().read(true), &path) {
            Ok(file) => Some(parse(&start_of(&file)?).unwrap_or(UNREADABLE)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, mark })
    }

    /// The path of the marker.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its contents; `None` when there is no marker.
    pub(crate) fn mark(&self) -> Option<StoreMark> {
        self.mark
    }

    /// The age according to the marker, if there is one that can be read.
    pub(crate) fn age(&self) -> Option<Age> {
        self.mark
            .filter(|mark| *mark != UNREADABLE)
            .map(|mark| mark.age)
    }

    /// The number of users according to the marker.
    pub(crate) fn users(&self) -> u64 {
        self.mark.map_or(0, |mark| mark.users)
    }

    /// Whether the store held users according to the marker.
    pub(crate) fn says_users(&self) -> bool {
        self.users() > 0
    }

    /// The start of the latest spent step according to the marker, in Unix seconds.
    pub(crate) fn spent(&self) -> u64 {
        self.mark.map_or(0, |mark| mark.age.spent)
    }

    /// Replaces the marker: the new one is durable on return, and a complete one exists at every
    /// moment.
    pub(crate) fn write(&mut self, mark: StoreMark) -> io::Result<()> {
        let draft = beside(&self.path, ".new");
        let mut file = private::new_file(&draft)?;
        let StoreMark {
            users,
            age:
                Age {
                    generation,
                    spent,
                    whole,
                },
        } = mark;
        let numbers = format!(
            "{TITLE}\nusers {users}\ngeneration {generation}\nspent {spent}\nwhole {whole}\n"
        );
        let check = checksum(numbers.as_bytes());
        write!(file, "{numbers}check {check}\n{ADVICE}\n")?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        sync_folder_of(&self.path)?;
        self.mark = Some(mark);
        Ok(())
    }
}

/// The mirror: a copy of the age in a file that lives until the machine stops. A store that was
/// rolled back in that time is behind it.
#[derive(Debug)]
pub(crate) struct Mirror(Option<File>);

impl Mirror {
    /// Opens or creates the mirror, if one is configured, and reads it. Unreadable contents count
    /// as none.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<(Self, Option<Age>)> {
        let Some(path) = path else {
            return Ok((Self(None), None));
        };
        let file = kept(path)?;
        let age = parse_age(&start_of(&file)?);
        Ok((Self(Some(file)), age))
    }

    /// Overwrites the age, without fsync. A failure is ignored: a mirror that stays behind raises
    /// no false alarm, it only detects less.
    pub(crate) fn write(&self, age: Age) {
        if let Some(file) = &self.0 {
            let Age {
                generation,
                spent,
                whole,
            } = age;
            _ = file.write_all_at(
                format!("{generation:020} {spent:020} {whole:020}\n").as_bytes(),
                0,
            );
        }
    }
}

/// Opens or creates the file and locks it for this process. Waits until `deadline` for another
/// process to release the lock; `None` if it does not.
pub(crate) fn lock(path: &Path, deadline: Instant) -> io::Result<Option<Flock<File>>> {
    let mut file = kept(path)?;
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

/// Creates the store's folder if needed, checks all that lies in it, and removes drafts of
/// snapshots. A killed daemon can leave one, and sled would use it as its newest snapshot. Complete
/// snapshots stay: without them a store is lost.
pub(crate) fn prepare_folder(store: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PRIVATE_FOLDER).create(store) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    private::tree(store, &|_, _| Ok(()))?;
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

/// Sets private modes on all files in the store's folder, whatever the umask was, and syncs them,
/// then the folder and its entry: sled syncs neither its settings nor any folder.
pub(crate) fn settle_folder(store: &Path) -> io::Result<()> {
    private::tree(store, &|file, kind| {
        file.set_permissions(Permissions::from_mode(kind.mode()))?;
        file.sync_all()
    })?;
    sync_folder_of(store)
}

/// The path of a file beside `path`, with `ending` after its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Makes the entry of `path` in its folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Opens or creates a file that keeps its contents.
pub(super) fn kept(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    private::file(
        options.read(true).write(true).create(true).truncate(false),
        path,
    )
}

/// The first bytes of a file, which are all of a witness.
fn start_of(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = Patched::from_the_start(file)?;
    file.take(WITNESS_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &[u8]) -> Option<StoreMark> {
    let mut lines = text.split(|byte| *byte == b'\n');
    (lines.next()? == TITLE.as_bytes()).then_some(())?;
    let users = number(lines.next()?.strip_prefix(b"users ")?)?;
    let generation = number(lines.next()?.strip_prefix(b"generation ")?)?;
    let spent = number(lines.next()?.strip_prefix(b"spent ")?)?;
    // Markers of before have neither of these two lines.
    if let Some(at) = text.windows(CHECK.len()).position(|part| part == CHECK) {
        let (numbers, rest) = text.split_at_checked(at.checked_add(1)?)?;
        let told = rest.strip_prefix(b"check ")?.split(|byte| *byte == b'\n');
        (told.take(1).next()? == checksum(numbers).as_bytes()).then_some(())?;
    }
    let whole = match lines.next().and_then(|line| line.strip_prefix(b"whole ")) {
        Some(whole) => number(whole)?,
        None => generation,
    };
    Some(StoreMark {
        users,
        age: Age {
            generation,
            spent,
            whole,
        },
    })
}

/// A flipped bit in a number would make the store look rolled back.
fn checksum(numbers: &[u8]) -> String {
    let hash = Sha256::digest(numbers);
    HEXLOWER.encode(hash.first_chunk::<8>().map_or(&[], |bytes| bytes))
}

fn parse_age(text: &[u8]) -> Option<Age> {
    // A mirror of before may have left the end of a longer line behind its own.
    let line = text.split(|byte| *byte == b'\n').next()?;
    let mut numbers = line.split(|byte| *byte == b' ').map(number);
    let (generation, spent) = (numbers.next()??, numbers.next()??);
    // Mirrors of before have two numbers.
    let whole = numbers.next().unwrap_or(Some(generation))?;
    let age = Age {
        generation,
        spent,
        whole,
    };
    numbers.next().is_none().then_some(age)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// An unreadable marker counts as this: there were users, and the age is unknown.
const UNREADABLE: StoreMark = StoreMark {
    users: 1,
    age: Age {
        generation: 0,
        spent: 0,
        whole: 0,
    },
};
const TITLE: &str = "pam-totp store marker 1";
const ADVICE: &str = "Remove this file only if the store beside it is meant to start empty.";
const CHECK: &[u8] = b"\ncheck ";
const WITNESS_BYTES: u64 = 4096;
const LOCK_POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const MARK: StoreMark = StoreMark {
        users: 3,
        age: Age {
            generation: u64::MAX,
            spent: 1_800_000_000,
            whole: 7,
        },
    };

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let mut marker = Marker::read(&store).unwrap();
        assert_eq!((marker.mark(), marker.says_users()), (None, false));
        marker.write(StoreMark { users: 0, ..MARK }).unwrap();
        assert!(!Marker::read(&store).unwrap().says_users());
        marker.write(MARK).unwrap();
        assert_eq!(
            (marker.mark(), Marker::read(&store).unwrap().mark()),
            (Some(MARK), Some(MARK))
        );
        let mode = std::fs::metadata(folder.path().join("store.marker"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "a draft was left behind"
        );
    }

    #[test]
    fn a_marker_that_cannot_be_read_still_says_that_there_were_users() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let mut marker = Marker::read(&store).unwrap();
        marker.write(MARK).unwrap();
        let whole = std::fs::read(marker.path()).unwrap();
        let needed = whole.len() - ADVICE.len() - "\nwhole 7\n".len() - 1;
        for cut in 0..needed - 20 {
            std::fs::write(marker.path(), &whole[..cut]).unwrap();
            assert!(Marker::read(&store).unwrap().says_users(), "cut at {cut}");
        }
        let of_before = "pam-totp store marker 1\nusers 3\ngeneration 9\nspent 0\nRemove\n";
        std::fs::write(marker.path(), of_before).unwrap();
        assert_eq!(
            Marker::read(&store).unwrap().age().map(|age| age.whole),
            Some(9)
        );
        for text in [
            "users 0",
            "pam-totp store marker 2\nusers 0\ngeneration 0\n",
            "\u{fffd}",
        ] {
            std::fs::write(marker.path(), text).unwrap();
            assert_eq!(
                Marker::read(&store).unwrap().mark(),
                Some(UNREADABLE),
                "{text}"
            );
        }
    }

    #[test]
    fn a_marker_with_any_flipped_bit_tells_the_truth_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut marker = Marker::read(&folder.path().join("store")).unwrap();
        marker.write(MARK).unwrap();
        let whole = std::fs::read(marker.path()).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = parse(&bytes);
            assert!(read.is_none_or(|mark| mark == MARK), "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn a_mirror_tells_the_last_age_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generation");
        let (mirror, before) = Mirror::open(Some(&path)).unwrap();
        assert_eq!(before, None);
        let age = |generation, spent, whole| Age {
            generation,
            spent,
            whole,
        };
        mirror.write(age(123_456, 98_765, 123_456));
        mirror.write(age(7, 30, 5));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "00000000000000000007 00000000000000000030 00000000000000000005\n"
        );
        for age in [age(7, 30, 7), age(u64::MAX, u64::MAX, u64::MAX)] {
            mirror.write(age);
            assert_eq!(Mirror::open(Some(&path)).unwrap().1, Some(age));
        }
        for of_before in ["7 30", "7 30\n", "7 30\n0000 0005\n"] {
            std::fs::write(&path, of_before).unwrap();
            let read = Mirror::open(Some(&path)).unwrap().1;
            assert_eq!(read, Some(age(7, 30, 7)), "{of_before:?}");
        }
        for text in [
            "",
            "x",
            "1",
            "1 ",
            " 1",
            "-1 1",
            "+1 1",
            "1  2",
            "1 2 3 4",
            "1 2 x",
            "99999999999999999999 1",
            "\u{663} 1",
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Mirror::open(Some(&path)).unwrap().1, None, "{text:?}");
        }
        assert_eq!(Mirror::open(None).unwrap().1, None);
    }

    #[test]
    fn a_mirror_behind_a_symbolic_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (
            folder.path().join("target"),
            folder.path().join("generation"),
        );
        std::fs::write(&target, "1").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(Mirror::open(Some(&path)).is_err());
    }
}
