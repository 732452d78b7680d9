//! A segment of the journal: one file, of which some zeros are written and synced ahead of their use
//! (preallocated). A frame then changes no metadata of the file, and one fdatasync makes it durable
//! without a commit of the file system's own journal.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::store::marker::sync_folder_of;
use crate::store::private;

/// The segment that frames are appended to.
pub(super) struct Segment {
    pub(super) number: u64,
    file: File,
    /// Its device and its inode, which no other file has while it is open.
    inode: (u64, u64),
    path: PathBuf,
    /// Where the next frame begins.
    end: u64,
    /// Bytes of the file.
    size: u64,
}

impl Segment {
    /// A new file, durable on return.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(folder, number);
        let file = private::new_file(&path)?;
        let made = file.metadata()?;
        let mut segment = Self {
            number,
            inode: (made.dev(), made.ino()),
            file,
            path,
            end: 0,
            size: 0,
        };
        segment.grow()?;
        sync_folder_of(&segment.path)?;
        Ok(segment)
    }

    /// Whether so many bytes fit behind the last frame.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end_with(bytes) <= MAX_SIZE
    }

    /// Writes behind the last frame, without a sync.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end_with(bytes.len());
        while self.size < end {
            self.grow()?;
        }
        self.file.write_all_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }

    fn end_with(&self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.end.saturating_add(bytes)
    }

    fn grow(&mut self) -> io::Result<()> {
        self.file.write_all_at(&vec![0; STEP], self.size)?;
        self.file.sync_all()?;
        self.size = self.size.saturating_add(STEP as u64);
        Ok(())
    }

    /// The descriptor, to be synced.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file still has its name, no other one, and its size. If not, another program has
    /// removed, replaced, linked or cut it, and what was written last may be nowhere.
    pub(super) fn is_in_its_place(&self) -> io::Result<bool> {
        let named = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            named => named?,
        };
        let is_ours = (named.dev(), named.ino()) == self.inode;
        Ok(is_ours && (named.nlink(), named.len()) == (1, self.size))
    }
}

/// The path of the segment with that number.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{ENDING}"))
}

/// The number of the segment with that file name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

const ENDING: &str = ".journal";
/// The most bytes of a segment: several thousand logins.
pub(crate) const MAX_SIZE: u64 = 4 << 20;
/// Bytes that are written ahead: several hundred logins.
const STEP: usize = 1 << 18;
