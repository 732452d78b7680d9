//! A backup of the store in one file: made from the copy while the store is served, checked, and put
//! in the place of a store that is closed.
//!
//! ```text
//! "pam-totp backup 1\n"
//! one line of JSON: the header
//! a snapshot, as in the store's journal: rows in frames, each with a checksum, and a last frame
//! SHA-256 of everything before (32 bytes)
//! ```
//! Each record is sealed as it is in the store. The hash notices a file that was cut or damaged. It
//! is no MAC: an attacker who can write the file can leave records out, or put older ones in, which
//! is why a restored store is in doubt.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beside;
use super::journal::frame::{Point, Row};
use super::journal::snapshot::{self, Start, Writing};
use super::journal::{Held, JOURNAL};
use super::marker::Marker;
use super::sled::Contents;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the program that made it.
    pub program: String,
    /// The machine that it was made on.
    pub host: String,
    /// When, in Unix seconds.
    pub made: u64,
    /// The generation of the store.
    pub generation: u64,
    /// Users with a record.
    pub users: u64,
}

/// Why a backup cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store has no copy that could be read.
    #[error(
        "the copy of the store at {0} cannot be read ({1}): the running daemon renews it, and says so in its log \
         (event=store_healed); then try again"
    )]
    Copy(String, io::Error),
    /// The file cannot be read or written.
    #[error("the backup cannot be read or written: {0}")]
    Io(io::Error),
    /// Other bytes.
    #[error("the file is no backup of pam-totp")]
    NoBackup,
    /// A later version.
    #[error("the backup was made by a newer version of pam-totp: restore it with that version")]
    Newer,
    /// The end is missing, or bytes were changed.
    #[error("the backup is damaged, or was cut: take another one")]
    Damaged,
}

/// Writes a backup of the store at `store`, as it is at one moment.
///
/// # Errors
/// [`BackupError`].
pub fn write(
    store: &Path,
    out: impl Write,
    header: impl FnOnce(&Contents) -> Header,
) -> Result<Header, BackupError> {
    let folder = beside(store, JOURNAL);
    let copy = |error| BackupError::Copy(folder.display().to_string(), error);
    let held = Held::open(&folder).map_err(copy)?;
    let mut contents = Contents::default();
    let reached = held.play(None, &mut |rows| {
        rows.iter().for_each(|row| contents.note(row));
        Ok(())
    });
    let reached = reached.map_err(copy)?;
    if reached.generation < known_of(store) {
        return Err(copy(io::Error::other("it is behind the store")));
    }
    let header = header(&contents);
    let mut out = Hashing::of(out);
    out.write_all(MAGIC).map_err(BackupError::Io)?;
    let line = serde_json::to_string(&header).map_err(|error| BackupError::Io(error.into()))?;
    writeln!(out, "{line}").map_err(BackupError::Io)?;
    let start = Start {
        point: reached,
        segment: 0,
    };
    let mut writing = Writing::new(out, start);
    // To the same point: the store may have gone on since.
    let played = held.play(Some(reached), &mut |rows| {
        rows.into_iter().try_for_each(|row| writing.add(row))
    });
    played.map_err(BackupError::Io)?;
    let out = writing.finish().map_err(BackupError::Io)?;
    out.end().map_err(BackupError::Io)?;
    Ok(header)
}

/// Reads a backup to its end, and hands all rows to `each`, in their order. Of two with one key the
/// later one holds. Only when this returns is it known that the backup is whole.
///
/// # Errors
/// [`BackupError`].
pub fn read(
    file: impl Read,
    each: &mut dyn FnMut(Vec<Row>) -> io::Result<()>,
) -> Result<(Header, Point), BackupError> {
    let mut file = Hashing::of(BufReader::new(file));
    let header = read_header(&mut file)?;
    let start = snapshot::read(&mut file, each).map_err(unreadable)?;
    let hash: [u8; 32] = file.hash.clone().finalize().into();
    let mut told = Vec::new();
    let rest = file.inner.take(33).read_to_end(&mut told);
    rest.map_err(BackupError::Io)?;
    match told == hash {
        true => Ok((header, start.point)),
        false => Err(BackupError::Damaged),
    }
}

fn read_header(file: &mut Hashing<BufReader<impl Read>>) -> Result<Header, BackupError> {
    let mut magic = Vec::new();
    let mut first = Read::by_ref(file).take(MAGIC.len() as u64);
    first.read_to_end(&mut magic).map_err(BackupError::Io)?;
    if magic != MAGIC {
        return Err(match magic.starts_with(ANY_VERSION) {
            true => BackupError::Newer,
            false => BackupError::NoBackup,
        });
    }
    let mut line = Vec::new();
    let mut most = (&mut file.inner).take(MOST_OF_HEADER);
    most.read_until(b'\n', &mut line).map_err(BackupError::Io)?;
    file.hash.update(&line);
    serde_json::from_slice(&line).map_err(|_| BackupError::Damaged)
}

/// The generation that the store is known to have reached.
fn known_of(store: &Path) -> u64 {
    let marker = Marker::read(store).ok();
    let age = marker.and_then(|marker| marker.age());
    age.map_or(0, |age| age.generation)
}

fn unreadable(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::InvalidData => BackupError::Damaged,
        _ => BackupError::Io(error),
    }
}

/// Passes bytes on, and hashes them.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T> Hashing<T> {
    fn of(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }
}

impl<T: Write> Hashing<T> {
    fn end(mut self) -> io::Result<()> {
        let hash = self.hash.finalize();
        self.inner.write_all(&hash)?;
        self.inner.flush()
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }
}

const MAGIC: &[u8] = b"pam-totp backup 1\n";
const ANY_VERSION: &[u8] = b"pam-totp backup ";
/// Bytes of the header's line: a host name, a version and numbers.
const MOST_OF_HEADER: u64 = 4096;
