//! The snapshot: all rows of the store in one file, as frames, so that the journal need not reach back
//! to the first update. With the frames since its beginning, in their order, it is a whole copy of the
//! store.
//!
//! It is fuzzy: updates go on while it is written, and some rows are newer than others. The frames
//! since its beginning make them all of one time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::mem::take;
use std::path::Path;
use std::time::SystemTime;

use super::frame::{Frame, Point, Row, damaged, next_frame, whole_frames};
use crate::store::marker::sync_folder_of;
use crate::store::private;

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

/// Calls `each` with all rows of the snapshot. Without one, the store begins with nothing.
pub(crate) fn play(
    folder: &Path,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> io::Result<Start> {
    let file = match private::file(OpenOptions::new().read(true), &folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Start::default()),
        file => file?,
    };
    let mut file = BufReader::new(file);
    let mut expected: Option<(Start, u64)> = None;
    while let Some(frame) = next_frame(&mut file)? {
        let start = Start {
            point: frame.before,
            segment: frame.segment,
        };
        let (first, number) = expected.unwrap_or((start, 0));
        if first != start || frame.after.generation != number {
            return Err(damaged());
        }
        if frame.after.imprint == LAST {
            let is_all = next_frame(&mut file)?.is_none();
            return if is_all { Ok(start) } else { Err(damaged()) };
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
    let file = match private::file(OpenOptions::new().read(true), &folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    for frame in whole_frames(file) {
        each(frame?.rows)?;
    }
    Ok(())
}

/// The generation at which the snapshot begins, by its first part that is whole; 0 if there is none.
pub(crate) fn begins(folder: &Path) -> u64 {
    let file = private::file(OpenOptions::new().read(true), &folder.join(NAME));
    let part = file.ok().and_then(|file| whole_frames(file).next()?.ok());
    part.map_or(0, |part| part.before.generation)
}

fn fill(draft: &Path, start: Start, rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<()> {
    let mut file = BufWriter::new(private::new_file(draft)?);
    let (mut number, mut bytes, mut chunk) = (0u64, 0usize, Vec::new());
    for row in rows {
        let row = row?;
        bytes = bytes.saturating_add(row.size());
        chunk.push(row);
        if bytes >= CHUNK {
            put(&mut file, start, number, MORE, take(&mut chunk))?;
            (number, bytes) = (number.saturating_add(1), 0);
        }
    }
    put(&mut file, start, number, MORE, chunk)?;
    put(&mut file, start, number.saturating_add(1), LAST, Vec::new())?;
    file.into_inner().map_err(io::Error::from)?.sync_all()
}

fn put(
    file: &mut BufWriter<File>,
    start: Start,
    number: u64,
    imprint: u64,
    rows: Vec<Row>,
) -> io::Result<()> {
    let frame = Frame {
        segment: start.segment,
        before: start.point,
        after: Point {
            generation: number,
            imprint,
        },
        rows,
    };
    let bytes = frame.to_bytes();
    let too_large = || io::Error::other("a row is larger than its snapshot takes");
    file.write_all(&bytes.ok_or_else(too_large)?)
}

const NAME: &str = "snapshot";
const DRAFT: &str = "snapshot.new";
/// Bytes of the rows in a frame.
const CHUNK: usize = 64 * 1024;
/// The frames of a snapshot are numbered, where those of the journal have a point after them; the
/// last one has no rows, and says so.
const MORE: u64 = 0;
const LAST: u64 = 1;
