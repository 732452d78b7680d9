//! Reads the lines of an import file up to a longest length, and wipes what it has read: the lines
//! hold keys.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// The lines of a reader.
pub(crate) struct BoundedLines<R> {
    input: R,
    chunk: Zeroizing<Vec<u8>>,
    /// The part of the chunk that no line has taken yet.
    unread: std::ops::Range<usize>,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The whole line, without its end.
    Whole(Zeroizing<Vec<u8>>),
    /// The line is longer than [`MAX_LINE`]; the reader has skipped it.
    TooLong,
}

impl<R: Read> BoundedLines<R> {
    /// Reads nothing yet.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            chunk: Zeroizing::new(vec![0; CHUNK]),
            unread: 0..0,
        }
    }

    /// The next line; `None` after the last. A last line needs no end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
        let (mut begun, mut too_long) = (false, false);
        loop {
            if self.unread.is_empty() && !self.refill()? {
                let last = if too_long {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                };
                return Ok(begun.then_some(last));
            }
            begun = true;
            let unread = self.chunk.get(self.unread.clone()).unwrap_or_default();
            let end = unread.iter().position(|byte| *byte == b'\n');
            let part = unread
                .get(..end.unwrap_or(unread.len()))
                .unwrap_or_default();
            too_long |= line.len().saturating_add(part.len()) > MAX_LINE;
            if !too_long {
                line.extend_from_slice(part);
            }
            let taken = part.len().saturating_add(usize::from(end.is_some()));
            self.unread.start = self.unread.start.saturating_add(taken);
            if end.is_some() {
                return Ok(Some(if too_long {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                }));
            }
        }
    }

    /// Reads the next chunk; false at the end of the input.
    fn refill(&mut self) -> io::Result<bool> {
        loop {
            match self.input.read(&mut self.chunk) {
                Ok(count) => {
                    self.unread = 0..count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The longest line, in bytes, without its end.
pub(crate) const MAX_LINE: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives `step` bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn lines(text: &[u8], step: usize) -> Vec<String> {
        let mut lines = BoundedLines::new(Slow(text, step));
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|line| match line {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                Line::TooLong => "too long".to_owned(),
            })
            .collect()
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        for step in [1, 2, 3, 1000] {
            assert_eq!(lines(b"a\n\nbc\nd", step), ["a", "", "bc", "d"], "{step}");
            assert_eq!(lines(b"a\n", step), ["a"], "{step}");
            assert!(lines(b"", step).is_empty());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_alone() {
        let (longest, longer) = ("x".repeat(MAX_LINE), "x".repeat(MAX_LINE + 1));
        for step in [999, 16 * 1024, 1 << 20] {
            let found = lines(
                format!("a\n{longest}\n{longer}\nb\n{longer}").as_bytes(),
                step,
            );
            assert_eq!(
                found,
                ["a", &longest, "too long", "b", "too long"],
                "{step}"
            );
        }
    }
}
