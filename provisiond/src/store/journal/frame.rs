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
pub fn frames(bytes: &[u8], segment: u64) -> impl Iterator<Item = Frame> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (frame, length) = match Frame::parse(rest) {
                Some((frame, length)) => (Some(frame), length),
                None => (None, ALIGNMENT),
            };
            rest = rest.get(length..).unwrap_or_default();
            // A frame of another segment is a trace of another life of these blocks.
            if let Some(frame) = frame.filter(|frame| frame.segment == segment) {
                return Some(frame);
            }
        }
        None
    })
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
        let found: Vec<u64> = frames(&bytes, 3).map(|f| f.before.generation).collect();
        assert_eq!(found, [0, 1, 3, 4]);
        assert_eq!(frames(&bytes, 4).count(), 0, "frames of another segment");
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
            prop_assert!(frames(&hurt, 3).count() <= 1);
        }
    }
}
