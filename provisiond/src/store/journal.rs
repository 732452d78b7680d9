//! The journal in front of sled (write-ahead log): every group of updates is one frame, appended to a
//! file and made durable with one fdatasync, before its callers are answered. sled follows behind,
//! and what it lacks after a crash is replayed from here at the next start.
//!
//! Knows rows and points, never what a row means. A process appends to segments of its own only: what
//! an earlier one left behind its last frame is unknown.

pub mod frame;
mod segment;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::frame::{Frame, Point, Row, frames};
use self::segment::{MAX_SIZE, Segment, number_of, path_of};
use super::marker::{settle_folder, sync_folder_of};
use super::private::{self, PRIVATE_FOLDER};

/// How a written file becomes durable. Tests replace it.
pub(crate) type SyncData = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// The journal of this process, to which frames are appended.
pub(crate) struct Journal {
    folder: PathBuf,
    segment: Segment,
    sync: SyncData,
}

impl Journal {
    /// Makes the rows of a group durable that lead a store from one point to another.
    pub(crate) fn append(
        &mut self,
        before: Point,
        after: Point,
        rows: Vec<Row>,
    ) -> io::Result<Vec<Row>> {
        let mut frame = Frame {
            segment: self.segment.number,
            before,
            after,
            rows,
        };
        let mut bytes = frame.to_bytes().ok_or_else(too_large)?;
        if !self.segment.has_room(bytes.len()) {
            let number = next(self.segment.number)?;
            self.segment = Segment::create(&self.folder, number)?;
            frame.segment = number;
            bytes = frame.to_bytes().ok_or_else(too_large)?;
        }
        self.segment.write(&bytes)?;
        (self.sync)(self.segment.file())?;
        if self.segment.is_in_its_place()? {
            Ok(frame.rows)
        } else {
            Err(io::Error::other(
                "another program removed, replaced or cut its journal",
            ))
        }
    }

    /// The number of the segment that the last frame is in.
    pub(crate) fn segment(&self) -> u64 {
        self.segment.number
    }
}

/// The segments that earlier processes have left, the oldest first.
pub(crate) struct Earlier {
    folder: PathBuf,
    numbers: Vec<u64>,
}

impl Earlier {
    /// Looks into the folder, which is made if there is none.
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(PRIVATE_FOLDER).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        private::tree(folder, &|_, _| Ok(()))?;
        Ok(Self {
            folder: folder.to_owned(),
            numbers: numbers(folder)?,
        })
    }

    /// The whole frames, segment by segment.
    pub(crate) fn segments(&self) -> impl Iterator<Item = io::Result<Vec<Frame>>> {
        self.numbers.iter().map(|number| {
            let path = path_of(&self.folder, *number);
            let file = private::file(OpenOptions::new().read(true), &path)?;
            let mut bytes = Vec::new();
            file.take(MAX_SIZE).read_to_end(&mut bytes)?;
            Ok(frames(&bytes, *number).collect())
        })
    }

    /// A journal that begins behind them.
    pub(crate) fn begin(&self, sync: SyncData) -> io::Result<Journal> {
        let number = next(self.numbers.last().copied().unwrap_or(0))?;
        let segment = Segment::create(&self.folder, number)?;
        settle_folder(&self.folder)?;
        Ok(Journal {
            folder: self.folder.clone(),
            segment,
            sync,
        })
    }
}

/// Removes the segments with these numbers, the oldest first: what is left at every instant is the
/// end of the chain. Only to be called when sled durably holds all that is in them.
pub(crate) fn remove(folder: &Path, which: Range<u64>) -> io::Result<()> {
    let mut numbers = numbers(folder)?;
    numbers.retain(|number| which.contains(number));
    for number in numbers {
        std::fs::remove_file(path_of(folder, number))?;
    }
    sync_folder_of(&path_of(folder, which.end))
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in folder.read_dir()? {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn next(number: u64) -> io::Result<u64> {
    let too_many = || io::Error::other("the number of its last segment is no number of ours");
    number.checked_add(1).ok_or_else(too_many)
}

fn too_large() -> io::Error {
    io::Error::other("a group of updates is larger than its journal takes")
}
