//! A frame of the journal (write-ahead log record): the rows that one group of updates changes, with
//! a checksum (SHA-256) over all of it. Pure: bytes in, frames out.
//!
//! Reads hostile bytes: the disk may have lost, torn or altered any of them. A frame is taken whole
//! or not at all, and what stands behind a damaged one is still found.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Shared by the journal, the overlay and sled's batch, without a copy for each.
pub type Bytes = Arc<[u8]>;

/// Where a store stands. Two stores that stand at the same point have the same versions of the same
/// users' records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The number of updates.
    pub generation: u64,
    /// The sum of the fingerprints of all users' records.
    pub imprint: u64,
}

/// A row and its new value; `None`: the row is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

impl Row {
    /// The bytes of both.
    #[must_use]
    pub fn size(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.len());
        self.key.len().saturating_add(value)
    }
}

/// The changes of one group of updates, which led a store from one point to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The number of the segment that it was written to.
    pub segment: u64,
    /// The point where the store stood before.
    pub before: Point,
    /// The point where it stood after.
    pub after: Point,
    /// What was changed. Of two rows with one key the later one holds.
    pub rows: Vec<Row>,
}

impl Frame {
    /// The bytes, in whole multiples of [`ALIGNMENT`]. `None`: it is larger than a frame may be.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        for row in &self.rows {
            write_row(&mut body, row)?;
        }
        if body.len() > MAX_BODY {
            return None;
        }
        let numbers = [
            u64::try_from(body.len()).ok()?,
            self.segment,
            self.before.generation,
            self.before.imprint,
            self.after.generation,
            self.after.imprint,
        ];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        let checksum = checksum(&numbers, &body)?;
        let mut bytes = [&MAGIC[..], &numbers, &checksum, &body].concat();
        bytes.resize(bytes.len().checked_next_multiple_of(ALIGNMENT)?, 0);
        Some(bytes)
    }

    /// The frame at the beginning of `bytes`, and its length. `None`: there is no whole frame.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (numbers, rest) = rest.split_first_chunk::<NUMBERS>()?;
        let (told, rest) = rest.split_first_chunk::<CHECKSUM>()?;
        let [
            length,
            segment,
            before,
            before_imprint,
            after,
            after_imprint,
        ] = parts(numbers)?;
        let length = usize::try_from(length).ok()?;
        let (body, _) = rest.split_at_checked(length)?;
        if length > MAX_BODY || checksum(numbers, body)? != *told {
            return None;
        }
        let point = |generation, imprint| Point {
            generation,
            imprint,
        };
        let frame = Self {
            segment,
            before: point(before, before_imprint),
            after: point(after, after_imprint),
            rows: read_rows(body)?,
        };
        let whole = HEADER.checked_add(length)?;
        Some((frame, whole.checked_next_multiple_of(ALIGNMENT)?))
    }
}

/// The next frame of a file in which nothing but frames is. `None`: the file is at its end.
///
/// # Errors
/// The file cannot be read, or there is no whole frame.
pub fn next_frame(file: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut bytes = Vec::new();
    file.take(HEADER as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let length = bytes.get(ALIGNMENT..).and_then(|rest| rest.first_chunk());
    let length = length.map_or(u64::MAX, |length| u64::from_be_bytes(*length));
    if length <= MAX_BODY as u64 {
        let padded = length.next_multiple_of(ALIGNMENT as u64);
        file.take(padded).read_to_end(&mut bytes)?;
    }
    let whole = Frame::parse(&bytes).filter(|(_, length)| *length == bytes.len());
    whole.map(|(frame, _)| Some(frame)).ok_or_else(damaged)
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

/// All whole frames of a segment with that number, in their order. What is damaged is left out.
pub fn frames(file: impl Read, segment: u64) -> impl Iterator<Item = io::Result<Frame>> {
    // A frame of another segment is a trace of another life of these blocks.
    whole_frames(file).filter(move |frame| {
        frame
            .as_ref()
            .map_or(true, |frame| frame.segment == segment)
    })
}

/// All whole frames of a file, in their order, whatever is between them. No more of the file is in
/// memory than two frames have at most.
pub(super) fn whole_frames(file: impl Read) -> impl Iterator<Item = io::Result<Frame>> {
    let mut window = Window {
        file,
        bytes: Vec::new(),
        at: 0,
        has_ended: false,
    };
    std::iter::from_fn(move || window.next().transpose())
}

/// The part of a file that is being read.
struct Window<R> {
    file: R,
    bytes: Vec<u8>,
    /// Where the next frame may begin.
    at: usize,
    /// The file is at its end, or cannot be read further.
    has_ended: bool,
}

impl<R: Read> Window<R> {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            self.fill()?;
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let (frame, length) = match Frame::parse(rest) {
                Some((frame, length)) => (Some(frame), length),
                None => (None, ALIGNMENT),
            };
            self.at = self.at.saturating_add(length);
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Reads on until a whole frame is there, or the file is at its end.
    fn fill(&mut self) -> io::Result<()> {
        let left = self.bytes.len().saturating_sub(self.at);
        if self.has_ended || left >= LARGEST {
            return Ok(());
        }
        self.bytes.drain(..self.at.min(self.bytes.len()));
        self.at = 0;
        self.has_ended = true;
        let wanted = LARGEST as u64;
        let read = (&mut self.file).take(wanted).read_to_end(&mut self.bytes)?;
        self.has_ended = (read as u64) < wanted;
        Ok(())
    }
}

fn write_row(body: &mut Vec<u8>, row: &Row) -> Option<()> {
    let length = match &row.value {
        Some(value) => u32::try_from(value.len())
            .ok()
            .filter(|length| *length != REMOVED)?,
        None => REMOVED,
    };
    body.extend(u16::try_from(row.key.len()).ok()?.to_be_bytes());
    body.extend(length.to_be_bytes());
    body.extend(row.key.iter());
    body.extend(row.value.iter().flat_map(|value| value.iter()));
    Some(())
}

fn read_rows(mut body: &[u8]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let (key_length, rest) = body.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*key_length).into())?;
        let length = u32::from_be_bytes(*length);
        let (value, rest) = if length == REMOVED {
            (None, rest)
        } else {
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(value.into()), rest)
        };
        rows.push(Row {
            key: key.into(),
            value,
        });
        body = rest;
    }
    Some(rows)
}

fn parts(numbers: &[u8; NUMBERS]) -> Option<[u64; 6]> {
    let (numbers, _) = numbers.as_chunks();
    let numbers: Vec<u64> = numbers.iter().copied().map(u64::from_be_bytes).collect();
    numbers.try_into().ok()
}

fn checksum(numbers: &[u8], body: &[u8]) -> Option<[u8; CHECKSUM]> {
    let hash = Sha256::new()
        .chain_update(numbers)
        .chain_update(body)
        .finalize();
    hash.first_chunk().copied()
}

/// Every frame begins at a multiple of this.
pub const ALIGNMENT: usize = 8;
/// The most bytes that the rows of a frame may have: several times what a group of updates has.
pub const MAX_BODY: usize = 512 * 1024;
/// What every frame begins with. The last digit is the version of this format.
const MAGIC: &[u8; ALIGNMENT] = b"ptotpfr1";
const NUMBERS: usize = 6 * 8;
const CHECKSUM: usize = 16;
const HEADER: usize = ALIGNMENT + NUMBERS + CHECKSUM;
/// The bytes of the largest frame.
const LARGEST: usize = (HEADER + MAX_BODY).next_multiple_of(ALIGNMENT);
/// Stands in place of a value's length for a row that is removed.
const REMOVED: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(key: &str, value: Option<&[u8]>) -> Row {
        Row {
            key: key.as_bytes().into(),
            value: value.map(Into::into),
        }
    }

    fn frame(generation: u64) -> Frame {
        let point = |generation| Point {
            generation,
            imprint: generation.wrapping_mul(7),
        };
        Frame {
            segment: 3,
            before: point(generation),
            after: point(generation + 1),
            rows: vec![
                row("ralice", Some(&[7; 100])),
                row("rbob", None),
                row("", Some(&[])),
            ],
        }
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let bytes = frame(5).to_bytes().unwrap();
        assert!(bytes.len().is_multiple_of(ALIGNMENT));
        assert_eq!(Frame::parse(&bytes), Some((frame(5), bytes.len())));
    }

    #[test]
    fn a_frame_with_any_altered_bit_or_missing_byte_is_no_frame() {
        let bytes = frame(5).to_bytes().unwrap();
        let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let whole = HEADER + 3 * 6 + 6 + 100 + 4;
        assert!(whole > bytes.len() - padding - 8);
        for bit in 0..whole * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::parse(&bytes), None, "bit {bit}");
        }
        for length in 0..whole {
            assert_eq!(Frame::parse(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn frames_behind_a_damaged_one_are_found() {
        let mut bytes: Vec<u8> = (0..5).flat_map(|n| frame(n).to_bytes().unwrap()).collect();
        let each = bytes.len() / 5;
        bytes.extend([0; 4096]);
        bytes[2 * each + 40] ^= 1;
        let found = frames(&bytes[..], 3).map(|frame| frame.unwrap().before.generation);
        assert_eq!(found.collect::<Vec<_>>(), [0, 1, 3, 4]);
        assert_eq!(
            frames(&bytes[..], 4).count(),
            0,
            "frames of another segment"
        );
    }

    #[test]
    fn large_frames_are_found_with_damage_before_and_between_them() {
        let large = |generation| Frame {
            rows: vec![row("r", Some(&vec![7; MAX_BODY - 7]))],
            ..frame(generation)
        };
        let mut bytes = vec![0; 4096];
        for generation in 0..3 {
            bytes.extend(large(generation).to_bytes().unwrap());
            bytes.extend([0x5a; 8 * 1000]);
        }
        let found = frames(&bytes[..], 3).map(|frame| frame.unwrap().before.generation);
        assert_eq!(found.collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_file_that_cannot_be_read_further_is_an_error_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let whole = frame(1).to_bytes().unwrap();
        let mut found = frames(whole.chain(Broken), 3);
        assert!(found.next().unwrap().is_err());
        assert_eq!(found.next().unwrap().unwrap(), frame(1));
        assert!(found.next().is_none());
    }

    #[test]
    fn a_frame_larger_than_any_is_neither_written_nor_read() {
        let large = Frame {
            rows: vec![row("r", Some(&vec![0; MAX_BODY]))],
            ..frame(1)
        };
        assert_eq!(large.to_bytes(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..200usize) {
            let _ = Frame::parse(&bytes);
            let mut hurt = frame(9).to_bytes().unwrap();
            hurt.splice(cut..cut, bytes);
            prop_assert!(frames(&hurt[..], 3).count() <= 1);
        }
    }
}
