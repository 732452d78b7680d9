//! The snapshot: all rows of the store in one file, as frames, so that the journal need not reach back
//! to the first update. With the frames since its beginning, in their order, it is a whole copy of the
//! store.
//!
//! It is fuzzy: updates go on while it is written, and some rows are newer than others. The frames
//! since its beginning make them all of one time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::mem::take;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::frame::{Frame, Point, Row, damaged, next_frame, whole_frames};
use crate::store::marker::sync_folder_of;
use crate::store::private;
use crate::store::unreadable::Patched;

/// Where a snapshot begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Where the store stood. It may have gone on before the first row was read.
    pub(crate) point: Point,
    /// The segment with the first frame from there on.
    pub(crate) segment: u64,
}

/// Writes a snapshot in the place of the one before, durable on return. Until then the one before
/// stands.
pub(crate) fn write(
    folder: &Path,
    start: Start,
    rows: impl Iterator<Item = io::Result<Row>>,
) -> io::Result<()> {
    let draft = folder.join(DRAFT);
    let written = fill(&draft, start, rows);
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written?;
    std::fs::rename(&draft, folder.join(NAME))?;
    sync_folder_of(&draft)
}

/// Removes what a killed process has left of an unfinished one.
pub(super) fn remove_draft(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(DRAFT)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The size of the snapshot, in bytes; 0 if there is none.
pub(crate) fn size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join(NAME)).map_or(0, |file| file.len())
}

/// When the snapshot was made; `None` if there is none.
pub(crate) fn made(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join(NAME)).ok()?.modified().ok()
}

/// Opens the snapshot. `None`: there is none.
pub(super) fn open(folder: &Path) -> io::Result<Option<File>> {
    match private::file(OpenOptions::new().read(true), &path(folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

/// The path of the snapshot in its folder.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Calls `each` with all rows of the snapshot. Without one, the store begins with nothing.
pub(crate) fn play(
    folder: &Path,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<Start> {
    play_file(open(folder)?.as_ref(), each)
}

/// The same of a snapshot that was opened before, from its beginning.
pub(super) fn play_file(
    file: Option<&File>,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<Start> {
    let Some(file) = file else {
        return Ok(Start::default());
    };
    let mut file = BufReader::new(Patched::from_the_start(file)?);
    let start = read(&mut file, each)?;
    let is_all = file.read(&mut [0])? == 0;
    if is_all { Ok(start) } else { Err(damaged()) }
}

/// Calls `each` with all rows, up to the frame that says that it is the last.
pub(crate) fn read(
    file: &mut impl Read,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<Start> {
    let mut expected: Option<(Start, u64)> = None;
    while let Some(frame) = next_frame(file)? {
        let start = Start {
            point: frame.before,
            segment: frame.segment,
        };
        let (first, number) = expected.unwrap_or((start, 0));
        if first != start || frame.after.generation != number {
            return Err(damaged());
        }
        if frame.after.imprint == LAST {
            return Ok(start);
        }
        each(frame.rows)?;
        expected = Some((start, number.saturating_add(1)));
    }
    Err(damaged())
}

/// Calls `each` with the rows of every part of the snapshot that is whole, however much of it is
/// damaged.
pub(crate) fn each_whole_part(
    folder: &Path,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(file) = open(folder)? else {
        return Ok(());
    };
    for frame in whole_frames(Patched::from_the_start(file)?) {
        each(frame?.rows)?;
    }
    Ok(())
}

/// The generation at which the snapshot begins, by its first part that is whole; 0 if there is none.
pub(crate) fn begins(folder: &Path) -> u64 {
    let file = open(folder).ok().flatten();
    let file = file.and_then(|file| Patched::from_the_start(file).ok());
    let part = file.and_then(|file| whole_frames(file).next()?.ok());
    part.map_or(0, |part| part.before.generation)
}

fn fill(draft: &Path, start: Start, rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<()> {
    let file = BufWriter::new(private::new_file(draft)?);
    let mut writing = Writing::new(file, start);
    for row in rows {
        writing.add(row?)?;
    }
    let file = writing.finish()?;
    file.into_inner().map_err(io::Error::from)?.sync_all()
}

/// A snapshot that is being written.
pub(crate) struct Writing<W> {
    file: W,
    start: Start,
    number: u64,
    bytes: usize,
    chunk: Vec<Row>,
}

impl<W: Write> Writing<W> {
    pub(crate) fn new(file: W, start: Start) -> Self {
        Self {
            file,
            start,
            number: 0,
            bytes: 0,
            chunk: Vec::new(),
        }
    }

    /// Adds a row. Of two with one key the later one holds.
    pub(crate) fn add(&mut self, row: Row) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(row.size());
        self.chunk.push(row);
        if self.bytes >= CHUNK {
            self.put(MORE)?;
        }
        Ok(())
    }

    /// Writes the end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(MORE)?;
        self.put(LAST)?;
        Ok(self.file)
    }

    fn put(&mut self, imprint: u64) -> io::Result<()> {
        let frame = Frame {
            segment: self.start.segment,
            before: self.start.point,
            after: Point {
                generation: self.number,
                imprint,
            },
            rows: take(&mut self.chunk),
        };
        let too_large = || io::Error::other("a row is larger than its snapshot takes");
        let bytes = frame.to_bytes().ok_or_else(too_large)?;
        (self.number, self.bytes) = (self.number.saturating_add(1), 0);
        self.file.write_all(&bytes)
    }
}

const NAME: &str = "snapshot";
const DRAFT: &str = "snapshot.new";
/// Bytes of the rows in a frame.
const CHUNK: usize = 64 * 1024;
/// The frames of a snapshot are numbered, where those of the journal have a point after them; the
/// last one has no rows, and says so.
const MORE: u64 = 0;
const LAST: u64 = 1;
