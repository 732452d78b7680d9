//! Opens the store, and the reasons why it cannot be opened: in use by another process, lost,
//! damaged, or of another version.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ::sled::Db;

use super::Place;
use super::base::Base;
use super::log_file::LogFile;
use crate::store::journal::SyncData;
use crate::store::marker::{Marker, lock, prepare_folder};
use crate::store::moving::Fence;
use crate::store::private::{self, Kind};
use crate::store::unreadable;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error("the store at {0} is in use by another process; stop the other provisiond first")]
    InUse(PathBuf),
    /// Its records move, or have moved.
    #[error("the store at {0} is closed: {1}")]
    Fenced(PathBuf, Fence),
    /// It is empty, but held users.
    #[error(
        "the store at {store} is empty, but {marker} says that it held users; restore a backup, or remove {marker} and \
         {store}.journal if the store is meant to start empty"
    )]
    Lost {
        /// The store's folder.
        store: PathBuf,
        /// Its marker.
        marker: PathBuf,
    },
    /// sled cannot read it.
    #[error("the store at {store} is damaged ({why}); restore a backup")]
    Damaged {
        /// The store's folder.
        store: PathBuf,
        /// The damage.
        why: String,
    },
    /// It is damaged, and the disk has no room for one that is made anew.
    #[error("the store at {store} is damaged, and cannot be made anew: {why}; make room")]
    NoRoom {
        /// The store's folder.
        store: PathBuf,
        /// The bytes of what it is made from.
        bytes: u64,
        /// What is missing.
        why: String,
    },
    /// It is damaged, and could not be made anew. What is whole of it was not changed.
    #[error(
        "the store at {store} is damaged, and could not be made anew ({why}); check the disk, then start provisiond again"
    )]
    NotHealed {
        /// The store's folder.
        store: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A later version has written it.
    #[error(
        "the store at {0} was written by a newer version of provisiond; install that version again"
    )]
    Newer(PathBuf),
    /// A version from before the first release has written it.
    #[error(
        "the store at {0} was written by a provisiond that is too old for this one to read; install that version again, \
         and take its users over with 'totpctl export passlib' and 'totpctl import passlib'"
    )]
    Older(PathBuf),
    /// A system call failed.
    #[error("the store's {path} cannot be used: {error}; check its owner, its mode and the disk")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl OpenError {
    /// Whether another start fails in the same way until the administrator has done something.
    #[must_use]
    pub fn needs_the_administrator(&self) -> bool {
        match self {
            Self::InUse(_) | Self::NoRoom { .. } | Self::NotHealed { .. } => false,
            Self::Lost { .. }
            | Self::Damaged { .. }
            | Self::Newer(_)
            | Self::Older(_)
            | Self::Fenced(..) => true,
            // What others can change, and what is no file or folder, is refused as this kind, too.
            Self::Io { error, .. } => error.kind() == ErrorKind::PermissionDenied,
        }
    }
}

/// Opens sled's store, or creates it. Waits until `deadline` for a killed process to let it go.
pub(super) fn open(
    place: &Place,
    marker: &Marker,
    sync: &SyncData,
    deadline: Instant,
) -> Result<Base, OpenError> {
    let log = prepare(&place.path, marker, deadline)?;
    let db = open_sled(&place.path, place.cache_mib)?;
    Ok(Base {
        db,
        log: LogFile::new(log, place.path.join("db")),
        sync: SyncData::clone(sync),
    })
}

/// Prepares the folder for sled and returns our own file descriptor of sled's log.
fn prepare(store: &Path, marker: &Marker, deadline: Instant) -> Result<File, OpenError> {
    let path = store.join("db");
    let is_new = match path.symlink_metadata() {
        Ok(log) => log.is_file() && log.len() == 0,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(at(&path)(error)),
    };
    if is_new && marker.says_users() {
        return Err(lost(store, marker));
    }
    prepare_folder(store).map_err(at(store))?;
    // A killed process releases our lock and sled's lock one after the other. sled itself would not
    // wait.
    let log = lock(&path, deadline)
        .map_err(at(&path))?
        .ok_or_else(|| OpenError::InUse(store.to_owned()))?;
    // sled takes a part that it cannot read for one that was never written, and overwrites what
    // follows it, which could still be saved.
    if has_lost_a_part(store).map_err(at(store))? {
        return Err(damaged(store, LOST_A_PART));
    }
    log.unlock().map_err(|(_, errno)| at(&path)(errno.into()))
}

/// Whether the disk has lost a part of any file of sled's.
fn has_lost_a_part(store: &Path) -> io::Result<bool> {
    let lost = Cell::new(false);
    private::tree(store, &|file, kind| {
        if kind == Kind::File && unreadable::has_lost_a_part(file)? {
            lost.set(true);
        }
        Ok(())
    })?;
    Ok(lost.get())
}

fn open_sled(store: &Path, cache_mib: u32) -> Result<Db, OpenError> {
    guarded(store, || {
        config(store, cache_mib)
            .open()
            .map_err(|error| unusable(store, error))
    })
}

pub(super) fn config(store: &Path, cache_mib: u32) -> ::sled::Config {
    let cache = u64::from(cache_mib.max(1)).saturating_mul(1 << 20);
    // Only the committer flushes.
    ::sled::Config::new()
        .path(store)
        .cache_capacity(cache)
        .flush_every_ms(None)
}

/// Catches panics: sled reacts to damage with a panic as often as with an error.
pub(super) fn guarded<T>(
    store: &Path,
    work: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let panicked = |_| Err(damaged(store, "its library panicked"));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |error| OpenError::Io { path, error }
}

pub(super) fn unusable(store: &Path, error: ::sled::Error) -> OpenError {
    match error {
        error if is_of_a_lost_part(&error) => damaged(store, LOST_A_PART),
        ::sled::Error::Io(error) if error.kind() != ErrorKind::UnexpectedEof => at(store)(error),
        error => damaged(store, &error.to_string()),
    }
}

/// Whether the disk has lost what sled wanted to read.
pub(super) fn is_of_a_lost_part(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if unreadable::is_loss(error))
}

pub(super) fn damaged(store: &Path, why: &str) -> OpenError {
    OpenError::Damaged {
        store: store.to_owned(),
        why: why.to_owned(),
    }
}

pub(super) fn lost(store: &Path, marker: &Marker) -> OpenError {
    OpenError::Lost {
        store: store.to_owned(),
        marker: marker.path().to_owned(),
    }
}

const LOST_A_PART: &str = "the disk cannot read a part of its files";
