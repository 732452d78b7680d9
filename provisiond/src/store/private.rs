//! Opens the files and folders that only the daemon may write: the store, its witnesses, the
//! events. Each is judged by its descriptor, so that no name leads anywhere else: no symbolic link
//! is followed, no pipe is waited for, and what other users can write is not believed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// Opens a file, or creates it if the options say so.
pub(crate) fn file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = options
        .mode(PRIVATE)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(readable)?;
    check(&file.metadata()?, Kind::File)?;
    Ok(file)
}

/// Creates a file, to be written and read. One that an earlier process has left is removed, never written to.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => file(
            OpenOptions::new().read(true).write(true).create_new(true),
            path,
        ),
    }
}

/// Opens a folder.
pub(crate) fn folder(path: &Path) -> io::Result<File> {
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits())
        .open(path)
        .map_err(readable)?;
    check(&folder.metadata()?, Kind::Folder)?;
    Ok(folder)
}

/// Opens a folder and everything in it, and shows each to `look`, the folder last. An error names
/// the entry.
pub(crate) fn tree(path: &Path, look: &impl Fn(&File, Kind) -> io::Result<()>) -> io::Result<()> {
    let opened = folder(path)?;
    for entry in path.read_dir()? {
        let entry = entry?;
        let named = |error: io::Error| {
            let entry = entry.file_name().to_string_lossy().into_owned();
            io::Error::new(error.kind(), format!("its entry '{entry}': {error}"))
        };
        let kind = entry.file_type().map_err(named)?;
        if kind.is_dir() {
            tree(&entry.path(), look).map_err(named)?;
        } else if kind.is_file() {
            file(OpenOptions::new().read(true), &entry.path())
                .and_then(|file| look(&file, Kind::File))
                .map_err(named)?;
        } else {
            return Err(named(unfit(Kind::File.is_not())));
        }
    }
    look(&opened, Kind::Folder)
}

/// What a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
}

impl Kind {
    /// The mode that only the daemon can use it with.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::File => PRIVATE,
            Self::Folder => PRIVATE_FOLDER,
        }
    }

    fn is_not(self) -> &'static str {
        match self {
            Self::File => "it is no ordinary file: remove it",
            Self::Folder => "it is no folder: remove it",
        }
    }
}

fn check(found: &Metadata, kind: Kind) -> io::Result<()> {
    let is_kind = match kind {
        Kind::File => found.is_file(),
        Kind::Folder => found.is_dir(),
    };
    if !is_kind {
        Err(unfit(kind.is_not()))
    } else if ![0, geteuid().as_raw()].contains(&found.uid()) {
        Err(unfit(&format!(
            "it belongs to the uid {}: give it to the daemon's account",
            found.uid()
        )))
    } else if found.mode() & OTHERS_WRITE != 0 {
        Err(unfit(
            "other users can write to it: find out what they wrote, then 'chmod go-w'",
        ))
    } else if kind == Kind::File && found.nlink() != 1 {
        Err(unfit(
            "it has a second name (a hard link), by which it can be changed: copy it",
        ))
    } else {
        Ok(())
    }
}

/// An entry that is not what the daemon has put there. Another start finds it as it is, until an
/// administrator has looked.
fn unfit(why: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why)
}

fn readable(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) if code == Errno::ENOTDIR as i32 => unfit(
            "it is no folder, or a symbolic link, which is not followed: name the folder itself in the settings",
        ),
        Some(code) if code == Errno::ELOOP as i32 => {
            unfit("it is a symbolic link, which is not followed: put the file itself there")
        }
        _ => error,
    }
}

const PRIVATE: u32 = 0o600;
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;
const OTHERS_WRITE: u32 = 0o022;
