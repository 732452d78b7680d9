//! sled's log file: our own file descriptor of it, and the check that it is still the file at its
//! path. Another program may remove, replace or cut it while the daemon runs; what is written after
//! that is lost with the process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The log file, opened before the first write, so that this file descriptor gets every write-back
/// error.
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
    size: u64,
}

impl LogFile {
    /// `file` was opened at `path`.
    pub(super) fn new(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            size: 0,
        }
    }

    /// The descriptor, to be synced.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Fails if the file has another name now, or none, or one more, or if it was cut.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let (ours, named) = (self.file.metadata()?, fs::symlink_metadata(&self.path)?);
        let is_same = (ours.dev(), ours.ino(), 1) == (named.dev(), named.ino(), named.nlink());
        let size = ours.len();
        // sled itself cuts whole free segments off the end, and never the first one.
        let is_cut = size < self.size && (size == 0 || !size.is_multiple_of(SEGMENT));
        if !is_same || is_cut {
            return Err(io::Error::other(
                "another program removed, replaced or cut its file 'db'",
            ));
        }
        self.size = size;
        Ok(())
    }
}

/// The size of sled's segments.
const SEGMENT: u64 = 512 * 1024;
