//! The journal in front of sled (write-ahead log): every group of updates is one frame, appended to a
//! file and made durable with one fdatasync, before its callers are answered. sled follows behind,
//! and what it lacks after a crash is replayed from here at the next start.
//!
//! Knows rows and points, never what a row means. A process appends to segments of its own only: what
//! an earlier one left behind its last frame is unknown.

pub mod frame;
mod segment;
pub(crate) mod snapshot;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use self::frame::{Frame, Point, Row, frames};
pub(crate) use self::segment::MAX_SIZE;
use self::segment::{Segment, number_of, path_of};
use super::marker::{settle_folder, sync_folder_of};
use super::private::{self, PRIVATE_FOLDER};
use super::unreadable::Patched;

/// How a written file becomes durable. Tests replace it.
pub(crate) type SyncData = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// The journal of this process, to which frames are appended.
pub(crate) struct Journal {
    folder: PathBuf,
    segment: Segment,
    sync: SyncData,
    notices: Sender<Notice>,
}

impl Journal {
    /// Makes the rows of a group durable that lead a store from one point to another.
    ///
    /// If another program has removed, replaced or cut the segment, the frames before may be gone.
    /// `bring_up` then makes sled hold them, and the group goes into a new segment before it counts.
    pub(crate) fn append(
        &mut self,
        before: Point,
        after: Point,
        rows: Vec<Row>,
        bring_up: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Vec<Row>> {
        let mut frame = Frame {
            segment: 0,
            before,
            after,
            rows,
        };
        if !self.write(&mut frame)? {
            bring_up()?;
            self.rotate()?;
            let _ = self.notices.send(Notice::Hurt);
            if !self.write(&mut frame)? {
                return Err(io::Error::other(
                    "another program removes, replaces or cuts its journal",
                ));
            }
        }
        Ok(frame.rows)
    }

    /// Begins a new segment.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        make_folder(&self.folder)?;
        self.segment = Segment::create(&self.folder, next(self.segment.number)?)?;
        let _ = self.notices.send(Notice::Grown);
        Ok(())
    }

    /// The number of the segment that the last frame is in.
    pub(crate) fn segment(&self) -> u64 {
        self.segment.number
    }

    /// Whether the frame is durable in a file that has its name.
    fn write(&mut self, frame: &mut Frame) -> io::Result<bool> {
        frame.segment = self.segment.number;
        let mut bytes = frame.to_bytes().ok_or_else(too_large)?;
        if !self.segment.has_room(bytes.len()) {
            self.rotate()?;
            frame.segment = self.segment.number;
            bytes = frame.to_bytes().ok_or_else(too_large)?;
        }
        self.segment.write(&bytes)?;
        (self.sync)(self.segment.file())?;
        self.segment.is_in_its_place()
    }
}

/// What the keeper of the copy hears.
pub(crate) enum Notice {
    /// There is one more segment.
    Grown,
    /// The journal was hurt.
    Hurt,
}

/// The segments that earlier processes have left, the oldest first.
pub(crate) struct Earlier {
    folder: PathBuf,
    numbers: Vec<u64>,
}

impl Earlier {
    /// Looks into the folder, which is made if there is none.
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        make_folder(folder)?;
        private::tree(folder, &|_, _| Ok(()))?;
        snapshot::remove_draft(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            numbers: numbers(folder)?,
        })
    }

    /// Calls `each` with all whole frames, in their order.
    pub(crate) fn each_frame(
        &self,
        each: &mut dyn FnMut(Frame) -> io::Result<()>,
    ) -> io::Result<()> {
        each_frame(&self.folder, each)
    }

    /// Whether there is no copy at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && snapshot::size(&self.folder) == 0
    }

    /// A journal that begins behind them.
    pub(crate) fn begin(&self, sync: SyncData, notices: Sender<Notice>) -> io::Result<Journal> {
        let number = next(self.numbers.last().copied().unwrap_or(0))?;
        let segment = Segment::create(&self.folder, number)?;
        settle_folder(&self.folder)?;
        Ok(Journal {
            folder: self.folder.clone(),
            segment,
            sync,
            notices,
        })
    }
}

/// Plays the copy: calls `each` with all rows of the snapshot, then with those of all frames that
/// follow from its beginning, in their order. Returns how far it reaches.
///
/// # Errors
/// The snapshot is hurt, or `each` failed.
pub(crate) fn play(
    folder: &Path,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<Point> {
    Held::open(folder)?.play(None, each)
}

/// The files of the copy, held open: what is removed or renewed meanwhile can still be read.
pub(crate) struct Held {
    snapshot: Option<File>,
    segments: Vec<(u64, File)>,
}

impl Held {
    /// Opens a snapshot and the segments that belong to it. If the keeper renews the snapshot
    /// meanwhile, its segments may be gone: then all is opened again.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let snapshot = snapshot::open(folder)?;
            let Some(segments) = open_segments(folder)? else {
                continue;
            };
            if inode_of(snapshot.as_ref())? == inode_of(snapshot::open(folder)?.as_ref())? {
                return Ok(Self { snapshot, segments });
            }
        }
        Err(io::Error::other("it is renewed again and again"))
    }

    /// Plays it, as far as to `until` where that is told.
    pub(crate) fn play(
        &self,
        until: Option<Point>,
        each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
    ) -> io::Result<Point> {
        let start = snapshot::play_file(self.snapshot.as_ref(), each)?;
        let mut reached = start.point;
        for (number, file) in self.segments.iter().map(|(number, file)| (*number, file)) {
            if number < start.segment {
                continue;
            }
            let file = Patched::from_the_start(file)?;
            for frame in frames(file.take(MAX_SIZE), number) {
                let frame = frame?;
                if frame.before == reached && until != Some(reached) {
                    each(frame.rows)?;
                    reached = frame.after;
                }
            }
        }
        Ok(reached)
    }
}

/// `None`: one was removed meanwhile.
fn open_segments(folder: &Path) -> io::Result<Option<Vec<(u64, File)>>> {
    let mut segments = Vec::new();
    for number in numbers(folder)? {
        match private::file(OpenOptions::new().read(true), &path_of(folder, number)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => segments.push((number, file?)),
        }
    }
    Ok(Some(segments))
}

fn inode_of(file: Option<&File>) -> io::Result<Option<u64>> {
    file.map(|file| file.metadata().map(|file| file.ino()))
        .transpose()
}

/// How many segments there are.
pub(crate) fn count(folder: &Path) -> io::Result<usize> {
    Ok(numbers(folder)?.len())
}

/// Removes the segments with these numbers, the oldest first: what is left at every instant is the
/// end of the chain. Only to be called when sled and a snapshot durably hold all that is in them.
pub(crate) fn remove(folder: &Path, which: Range<u64>) -> io::Result<()> {
    let mut numbers = numbers(folder)?;
    numbers.retain(|number| which.contains(number));
    for number in numbers {
        std::fs::remove_file(path_of(folder, number))?;
    }
    sync_folder_of(&path_of(folder, which.end))
}

/// Calls `each` with all whole frames of all segments, in their order.
pub(crate) fn each_frame(
    folder: &Path,
    each: &mut dyn FnMut(Frame) -> io::Result<()>,
) -> io::Result<()> {
    for number in numbers(folder)? {
        for frame in segment_frames(folder, number)? {
            each(frame?)?;
        }
    }
    Ok(())
}

fn segment_frames(
    folder: &Path,
    number: u64,
) -> io::Result<impl Iterator<Item = io::Result<Frame>>> {
    let file = private::file(OpenOptions::new().read(true), &path_of(folder, number))?;
    Ok(frames(
        Patched::from_the_start(file)?.take(MAX_SIZE),
        number,
    ))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PRIVATE_FOLDER).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
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

/// The ending of its folder, beside the store.
pub(crate) const JOURNAL: &str = ".journal";
/// Openings of the copy before it is given up.
const TRIES: u32 = 10;
