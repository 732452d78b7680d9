//! Unreadable sectors (an I/O error on read, EIO): the disk has lost a part of a file. The reader gets
//! zeros in its place, and whatever follows: no checksum takes zeros for a record, so a lost sector is
//! damage like any other, and heals like it.
//!
//! Does not judge what was lost: checksums and counts do.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use nix::errno::Errno;

/// Whether the error says that the disk has lost what was to be read: a bad sector, or a block whose
/// checksum or place the file system does not believe.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::EIO, Errno::EUCLEAN, Errno::EBADMSG]
        .into_iter()
        .any(|lost| code == Some(lost as i32))
}

/// Reads a whole file, and says whether the disk has lost a part of it.
pub(crate) fn has_lost_a_part(file: impl Read + Seek) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(STEP, Patched::from_the_start(file)?);
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.get_ref().lost > 0)
}

/// A file in which zeros stand for blocks that the disk has lost.
pub(crate) struct Patched<F> {
    file: F,
    at: u64,
    lost: usize,
}

impl<F: Read + Seek> Patched<F> {
    /// The file from its first byte on.
    pub(crate) fn from_the_start(mut file: F) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self {
            file,
            at: 0,
            lost: 0,
        })
    }

    /// The rest of one block, alone: an error of many blocks does not say which of them is lost.
    fn read_in_block(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = BLOCK.saturating_sub(self.at % BLOCK);
        let rest = usize::try_from(rest).unwrap_or(buffer.len());
        let end = rest.min(buffer.len());
        let block = buffer.get_mut(..end).unwrap_or_default();
        self.file.seek(SeekFrom::Start(self.at))?;
        match self.file.read(block) {
            Err(error) if is_loss(&error) => {
                self.lost = self.lost.saturating_add(1);
                block.fill(0);
                let behind = self.at.saturating_add(block.len() as u64);
                self.file.seek(SeekFrom::Start(behind))?;
                Ok(block.len())
            }
            read => read,
        }
    }
}

impl<F: Read + Seek> Read for Patched<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.lost >= ENOUGH {
            return Ok(0);
        }
        let read = match self.file.read(buffer) {
            Err(error) if is_loss(&error) => self.read_in_block(buffer),
            read => read,
        };
        if let Ok(read) = read {
            self.at = self.at.saturating_add(read as u64);
        }
        read
    }
}

/// Blocks of the page cache, which are read from the disk as one.
const BLOCK: u64 = 4096;
/// A dying disk takes seconds for each block. After so many of them the file counts as cut.
const ENOUGH: usize = 64;
const STEP: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{Cursor, ErrorKind};

    use super::*;

    /// A disk of fours that has lost the blocks in a range.
    struct Disk {
        bytes: Cursor<Vec<u8>>,
        lost: std::ops::Range<u64>,
        reads: usize,
    }

    impl Disk {
        fn of(blocks: u64, lost: std::ops::Range<u64>) -> Self {
            let size = usize::try_from(blocks * BLOCK).unwrap();
            Self {
                bytes: Cursor::new(vec![4; size - 100]),
                lost,
                reads: 0,
            }
        }
    }

    impl Read for Disk {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.reads += 1;
            let at = self.bytes.position();
            if self.lost.contains(&(at / BLOCK)) {
                return Err(Errno::EIO.into());
            }
            // The kernel returns what comes before the first lost block.
            let until = (self.lost.start * BLOCK).checked_sub(at).unwrap_or(BLOCK);
            let most = buffer.len().min(usize::try_from(until).unwrap());
            self.bytes.read(&mut buffer[..most])
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    #[test]
    fn a_lost_block_is_read_as_zeros_and_what_follows_is_read() {
        let mut bytes = Vec::new();
        let mut disk = Patched::from_the_start(Disk::of(9, 3..5)).unwrap();
        disk.read_to_end(&mut bytes).unwrap();
        let mut expected = vec![4; 9 * 4096 - 100];
        expected[3 * 4096..5 * 4096].fill(0);
        assert!(bytes == expected);
        assert!(has_lost_a_part(Disk::of(9, 8..9)).unwrap());
        assert!(!has_lost_a_part(Disk::of(9, 9..9)).unwrap());
    }

    #[test]
    fn a_disk_that_reads_nothing_is_given_up() {
        let mut disk = Patched::from_the_start(Disk::of(100_000, 10..100_000)).unwrap();
        let mut bytes = Vec::new();
        disk.read_to_end(&mut bytes).unwrap();
        assert!(disk.lost == ENOUGH && disk.file.reads < 4 * ENOUGH);
        assert!(bytes.len() < 100 * 4096);
    }

    #[test]
    fn another_error_is_no_loss() {
        struct Denied;
        impl Read for Denied {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(Errno::EACCES.into())
            }
        }
        impl Seek for Denied {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(0)
            }
        }
        let error = has_lost_a_part(Denied).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}
