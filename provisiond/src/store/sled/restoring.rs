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

use super::opening::{OpenError, at};
use super::rows::{stored, user_of};
use super::starting::claim;
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

/// Puts the backup in the place of the store, which no daemon serves. A former store is kept beside
/// it, as the path with `.former`. `file` was read to its end before and is whole.
///
/// # Errors
/// [`RestoreError`]. Unless the last steps fail, nothing has changed.
pub fn restore(place: &Place, file: &mut File, replace: bool) -> Result<Header, RestoreError> {
    let path = place.path.as_path();
    let deadline = Instant::now().checked_add(LOCK_WAIT);
    let _lock = claim(path, deadline.unwrap_or_else(Instant::now))?;
    let mut marker = Marker::read(path).map_err(at(path))?;
    let former = beside(path, FORMER);
    let is_there = path.exists() || beside(path, JOURNAL).exists();
    let has_users = marker.says_users() || is_there && marker.mark().is_none();
    if has_users && !replace {
        return Err(RestoreError::HasUsers(path.to_owned()));
    }
    if is_there
        && [former.clone(), beside(&former, JOURNAL)]
            .iter()
            .any(|kept| kept.exists())
    {
        return Err(RestoreError::Kept(former));
    }
    let (_, mirrored) = Mirror::open(place.mirror.as_deref()).map_err(at(path))?;
    let mut contents = Contents::default();
    file.rewind().map_err(at(path))?;
    let (header, _) = backup::read(&mut *file, &mut |rows| {
        rows.iter().for_each(|row| contents.note(row));
        Ok(())
    })?;
    let found = contents.summary.ok_or(BackupError::Damaged)?;
    let (summary, clock) = in_doubt(found, &marker, mirrored);
    let draft = beside(path, DRAFT);
    write_draft(&draft, file, summary, clock)?;
    let mark = StoreMark {
        users: summary.users.max(1),
        age: summary.age(clock.spent()),
    };
    put_in_place(path, &draft, &former, (&mut marker, mark)).map_err(at(path))?;
    Ok(header)
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
    file: &mut File,
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
    file.rewind().map_err(failed)?;
    backup::read(&mut *file, &mut |rows| {
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
const FORMER: &str = ".former";
const MOST_OF_MARKER: u64 = 4096;
