//! A backup takes the place of a store that is closed.
//!
//! The restored store is a snapshot alone, from which the next start makes sled, as it heals one. It
//! says of itself that it was rolled back and that users may be missing: what was used or enrolled
//! since the backup is unknown. At every instant a start finds the former store, in doubt, or
//! refuses, or finds the restored one.

use std::fs::{DirBuilder, File, OpenOptions, rename};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::names::user::UserName;
use nix::fcntl::Flock;

use super::opening::{OpenError, at};
use super::rows::{stored, user_of};
use super::starting::{claim, keep_out};
use super::summary::{SUMMARY, Summary, believed};
use super::{LOCK_WAIT, Place};
use crate::clock::Clock;
use crate::clock::mark::Mark;
use crate::store::Stored;
use crate::store::backup::{self, BackupError, Header};
use crate::store::journal::JOURNAL;
use crate::store::journal::frame::Row;
use crate::store::journal::snapshot::{self, Start, Writing};
use crate::store::marker::{Age, Marker, Mirror, StoreMark, beside, settle_folder, sync_folder_of};
use crate::store::private::{self, PRIVATE_FOLDER};

/// What the rows of a backup tell of the store.
#[derive(Debug, Default)]
pub struct Contents {
    summary: Option<(Summary, Mark)>,
}

impl Contents {
    /// Looks at the next row.
    pub fn note(&mut self, row: &Row) {
        if *row.key == *SUMMARY {
            self.summary = row.value.as_deref().and_then(Summary::parse);
        }
    }

    /// The users with a record.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.summary.map_or(0, |(summary, _)| summary.users)
    }

    /// The generation of the store.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.summary.map_or(0, |(summary, _)| summary.generation)
    }
}

/// The user whose record the row is, and the record, unless the row removes it. `None`: it is no
/// user's.
#[must_use]
pub fn record_of(row: &Row) -> Option<(UserName, Option<Stored>)> {
    let record = row.value.as_deref().map(stored);
    user_of(&row.key).map(|user| (user, record))
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// It would take the place of a store with users.
    #[error(
        "the store at {0} has users: with --replace the backup takes its place, and the store is kept beside it"
    )]
    HasUsers(PathBuf),
    /// A store of before is kept already.
    #[error("{0} is there, which an earlier restore has kept: move it away or remove it first")]
    Kept(PathBuf),
}

/// A store that no daemon serves, and the backup that is to take its place.
pub struct Restoring<'a> {
    place: &'a Place,
    marker: Marker,
    backup: File,
    _lock: Flock<File>,
}

impl<'a> Restoring<'a> {
    /// Claims the store, and copies the backup beside it: it is read several times, and may come
    /// through a pipe.
    ///
    /// # Errors
    /// [`RestoreError`]. Nothing has changed.
    pub fn begin(place: &'a Place, backup: &mut impl Read) -> Result<Self, RestoreError> {
        let path = place.path.as_path();
        let deadline = Instant::now().checked_add(LOCK_WAIT);
        let lock = claim(path, deadline.unwrap_or_else(Instant::now))?;
        keep_out(path)?;
        let marker = Marker::read(path).map_err(at(path))?;
        let copied = copied(backup, &beside(path, COPY));
        Ok(Self {
            place,
            marker,
            backup: copied.map_err(BackupError::Io)?,
            _lock: lock,
        })
    }

    /// The backup, from its beginning, to be checked.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn backup(&self) -> Result<&File, RestoreError> {
        let mut backup = &self.backup;
        backup.rewind().map_err(BackupError::Io)?;
        Ok(backup)
    }

    /// Puts the backup, which is whole, in the place of the store. A former store is kept beside it,
    /// as the path with `.former`.
    ///
    /// # Errors
    /// [`RestoreError`]. Unless the last steps fail, nothing has changed.
    pub fn put_in_place(mut self, replace: bool) -> Result<Header, RestoreError> {
        let path = self.place.path.as_path();
        let former = beside(path, FORMER);
        let is_there = path.exists() || beside(path, JOURNAL).exists();
        let has_users = self.marker.says_users() || is_there && self.marker.mark().is_none();
        if has_users && !replace {
            return Err(RestoreError::HasUsers(path.to_owned()));
        }
        let mut kept = [former.clone(), beside(&former, JOURNAL)].into_iter();
        if is_there && kept.any(|kept| kept.exists()) {
            return Err(RestoreError::Kept(former));
        }
        let (_, mirrored) = Mirror::open(self.place.mirror.as_deref()).map_err(at(path))?;
        let mut contents = Contents::default();
        let (header, _) = backup::read(self.backup()?, &mut |rows| {
            rows.iter().for_each(|row| contents.note(row));
            Ok(())
        })?;
        let found = contents.summary.ok_or(BackupError::Damaged)?;
        let (summary, clock) = in_doubt(found, &self.marker, mirrored);
        let draft = beside(path, DRAFT);
        write_draft(&draft, self.backup()?, summary, clock)?;
        let mark = StoreMark {
            users: summary.users.max(1),
            age: summary.age(clock.spent()),
        };
        put_in_place(path, &draft, &former, (&mut self.marker, mark)).map_err(at(path))?;
        Ok(header)
    }
}

/// A copy without a name: it is gone with this process.
fn copied(from: &mut impl Read, path: &Path) -> io::Result<File> {
    let mut file = private::new_file(path)?;
    std::fs::remove_file(path)?;
    io::copy(from, &mut file)?;
    Ok(file)
}

/// The summary and the mark of the clock with which the restored store begins: newer than all that is
/// known of the former one, rolled back, and with users that may be missing. Every step up to now may
/// have been used.
fn in_doubt(
    (found, seen): (Summary, Mark),
    marker: &Marker,
    mirrored: Option<Age>,
) -> (Summary, Mark) {
    let clock = Clock::of_this_machine(|_| ());
    clock.resume(Some(seen), found.rolled_back_tick);
    let moment = clock.moment(found.rolled_back_tick);
    let ages = || marker.age().into_iter().chain(mirrored);
    let known = ages().map(|age| age.spent).fold(moment.now, u64::max);
    clock.doubt_the_store(known);
    let newest = ages().map(|age| believed(age.generation));
    let newest = newest.fold(found.generation, u64::max);
    let summary = found.restored(newest, moment.stamp(), marker.users());
    (summary, clock.mark())
}

/// A folder with the snapshot that the restored store begins with.
fn write_draft(
    draft: &Path,
    backup: &File,
    summary: Summary,
    mark: Mark,
) -> Result<(), RestoreError> {
    let failed = |error| RestoreError::Store(at(draft)(error));
    match std::fs::remove_dir_all(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let made = DirBuilder::new().mode(PRIVATE_FOLDER).create(draft);
    made.map_err(failed)?;
    let out = private::new_file(&snapshot::path(draft)).map_err(failed)?;
    let start = Start {
        point: summary.point(),
        segment: 0,
    };
    let mut writing = Writing::new(io::BufWriter::new(out), start);
    backup::read(backup, &mut |rows| {
        let others = rows.into_iter().filter(|row| *row.key != *SUMMARY);
        others.into_iter().try_for_each(|row| writing.add(row))
    })?;
    let row = Row {
        key: SUMMARY.into(),
        value: Some(summary.to_bytes(mark).into()),
    };
    writing.add(row).map_err(failed)?;
    let mut out = writing.finish().map_err(failed)?;
    out.flush().map_err(failed)?;
    settle_folder(draft).map_err(failed)
}

/// The marker first: from then on a store of before is in doubt, and none is a lost one.
fn put_in_place(
    store: &Path,
    draft: &Path,
    former: &Path,
    (marker, mark): (&mut Marker, StoreMark),
) -> io::Result<()> {
    let copied = kept(marker.path())?;
    marker.write(mark)?;
    if let Some(copied) = copied {
        private::new_file(&beside(former, ".marker"))?.write_all(&copied)?;
    }
    for (from, to) in [
        (store.to_owned(), former.to_owned()),
        (beside(store, JOURNAL), beside(former, JOURNAL)),
    ] {
        if from.exists() {
            rename(from, to)?;
        }
    }
    rename(draft, beside(store, JOURNAL))?;
    sync_folder_of(store)
}

/// The bytes of the former marker.
fn kept(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match private::file(OpenOptions::new().read(true), path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => {
            file?.take(MOST_OF_MARKER).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
    }
}

/// The endings of what lies beside the store.
const DRAFT: &str = ".restoring";
const COPY: &str = ".restoring.backup";
const FORMER: &str = ".former";
const MOST_OF_MARKER: u64 = 4096;
