//! Creates the files of --png, --svg, --keys and --sheet, and the folder of --sheets, which hold keys:
//! new, readable by their owner only; a file is removed after an error. Also the draft of --textfile,
//! which is then published, and the file of tickets, to which lines are appended.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::exit::Failure;

/// A file that totpctl has created.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    folder: File,
    file: File,
    keep: bool,
}

impl NewFile {
    /// Creates an empty file at `path`. It never changes an existing file, and never follows a
    /// symbolic link.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let failed = |errno| failure(path, errno);
        let name = path.file_name().ok_or(Errno::EISDIR).map_err(failed)?;
        // The folder stays open: an attacker that may replace the path's folders cannot choose the
        // file that is removed later.
        let folder = parent(path);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(folder);
        let folder = opened.map_err(|error| failed(errno(error)))?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file: OwnedFd =
            openat(&folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            file: file.into(),
            keep: false,
        })
    }

    /// Creates a draft in the folder of `path`. One that a killed process of the same number has left
    /// is removed.
    pub(crate) fn beside(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&draft);
        Self::create(&draft)
    }

    /// Lets every user read the file, brings it to the disk, and puts it in the place of `path`, in
    /// the same folder.
    pub(crate) fn publish(mut self, path: &Path) -> Result<(), Failure> {
        let (Some(draft), Some(name)) = (self.path.file_name(), path.file_name()) else {
            return Err(failure(path, Errno::EISDIR));
        };
        let published = fchmod(&self.file, Mode::from_bits_truncate(READABLE))
            .and_then(|()| self.file.sync_all().map_err(errno))
            .and_then(|()| renameat(&self.folder, draft, &self.folder, name));
        published.map_err(|errno| failure(path, errno))?;
        self.keep = true;
        Ok(())
    }

    /// Writes the content and keeps the file. Returns its path.
    pub(crate) fn fill(mut self, content: &[u8]) -> Result<PathBuf, Failure> {
        self.append(content)?;
        self.keep()?;
        Ok(std::mem::take(&mut self.path))
    }

    /// Writes more of the content.
    pub(crate) fn append(&mut self, content: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(content);
        written.map_err(|error| self.failed(error))
    }

    /// Brings what was written to the disk, and keeps the file from here on.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.failed(error))?;
        self.keep = true;
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> Failure {
        failure(&self.path, errno(error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let (false, Some(name)) = (self.keep, self.path.file_name()) {
            let _ = unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// A file that only its owner can read, and that grows.
#[derive(Debug)]
pub(crate) struct PrivateLog {
    path: PathBuf,
    file: File,
}

impl PrivateLog {
    /// Opens the file, or creates it. It follows no symbolic link, and takes no file that other users
    /// can read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(|error| failure(path, errno(error)))?;
        let found = file
            .metadata()
            .map_err(|error| failure(path, errno(error)))?;
        let is_own = found.uid() == geteuid().as_raw() && found.nlink() == 1;
        if !found.is_file() || !is_own || found.mode() & OTHERS != 0 {
            return Err(Failure::File {
                path: path.to_owned(),
                problem: NOT_PRIVATE.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes one line more.
    pub(crate) fn append(&mut self, line: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(line);
        written.map_err(|error| failure(&self.path, errno(error)))
    }

    /// Brings what was written to the disk.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        let synced = self.file.sync_all();
        synced.map_err(|error| failure(&self.path, errno(error)))
    }
}

/// A folder that totpctl has created.
pub(crate) struct NewFolder;

impl NewFolder {
    /// Creates an empty folder at `path`. It takes none that is there already, nor a symbolic link.
    pub(crate) fn create(path: &Path) -> Result<(), Failure> {
        let created = DirBuilder::new().mode(0o700).create(path);
        created.map_err(|error| failure(path, Errno::try_from(error).unwrap_or(Errno::EIO)))
    }
}

/// The folder of the file: the current one, if the path names none.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn errno(error: std::io::Error) -> Errno {
    Errno::try_from(error).unwrap_or(Errno::EIO)
}

fn failure(path: &Path, errno: Errno) -> Failure {
    let problem = match errno {
        Errno::EEXIST => {
            "exists already, and totpctl does not overwrite it: name a new one".to_owned()
        }
        Errno::ENOENT => "cannot be created: the folder does not exist".to_owned(),
        errno => format!("cannot be created: {}", errno.desc()),
    };
    Failure::File {
        path: path.to_owned(),
        problem,
    }
}

const READABLE: u32 = 0o644;
const OTHERS: u32 = 0o077;
const NOT_PRIVATE: &str = "is not a private file of your own, as a file with tickets must be: name a new one, or run 'chmod 600' on it";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn refusal(path: &Path) -> String {
        NewFile::create(path).unwrap_err().to_string()
    }

    #[test]
    fn a_new_file_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.png");
        assert_eq!(
            NewFile::create(&path).unwrap().fill(b"picture").unwrap(),
            path
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"picture");
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }

    #[test]
    fn nothing_is_written_over_or_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("there"), "old").unwrap();
        symlink(path("there"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        for name in ["there", "link", "dangling"] {
            assert!(refusal(&path(name)).contains("exists already"), "{name}");
        }
        assert_eq!(std::fs::read(path("there")).unwrap(), b"old");
        assert!(!path("nowhere").exists());
        assert!(refusal(&path("no/such/folder")).contains("the folder does not exist"));
        assert!(refusal(Path::new("/")).contains("cannot be created"));
        assert!(refusal(Path::new("")).contains("cannot be created"));
    }

    #[test]
    fn a_new_folder_is_its_owners_only_and_no_other_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("sheets"), folder.path().join("link"));
        NewFolder::create(&path).unwrap();
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o700
        );
        symlink(folder.path(), &link).unwrap();
        for path in [path, link] {
            let refused = NewFolder::create(&path).unwrap_err().to_string();
            assert!(refused.contains("exists already"), "{refused}");
        }
    }

    #[test]
    fn lines_are_appended_to_a_private_file_and_to_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for line in ["1\n", "2\n"] {
            let mut log = PrivateLog::open(&path("log")).unwrap();
            log.append(line.as_bytes()).unwrap();
            log.keep().unwrap();
        }
        assert_eq!(std::fs::read(path("log")).unwrap(), b"1\n2\n");
        let mode = path("log").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        std::fs::write(path("open"), "").unwrap();
        symlink(path("log"), path("link")).unwrap();
        for name in ["open", "link", "."] {
            let refused = PrivateLog::open(&path(name)).unwrap_err().to_string();
            let told =
                refused.contains("not a private file") || refused.contains("cannot be created");
            assert!(told, "{name}: {refused}");
        }
        std::fs::hard_link(path("log"), path("second")).unwrap();
        assert!(PrivateLog::open(&path("second")).is_err());
    }

    #[test]
    fn what_was_not_filled_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.svg");
        drop(NewFile::create(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_disk_that_is_full_is_an_error_and_leaves_nothing() {
        let full = NewFile {
            path: "/dev/full".into(),
            folder: File::open(tempfile::tempdir().unwrap().path()).unwrap(),
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            keep: false,
        };
        assert!(
            full.fill(b"picture")
                .unwrap_err()
                .to_string()
                .contains("No space left")
        );
    }
}
