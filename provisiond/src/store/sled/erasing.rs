//! Erases deleted keys from the disk (secure deletion, compaction): sled keeps former versions of
//! its rows in its log for an unlimited time. When a key was deleted, the next start copies all rows
//! into a fresh store, compares the two, exchanges their names and removes the former store.
//!
//! At every instant the store's name stands for a whole store, so a kill or a power cut costs
//! nothing: the folder that it leaves beside the store is removed at the next start. Knows nothing
//! of users and witnesses: both stores have the same rows, and so the same age.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ::sled::{Db, IVec};

use super::base::Base;
use super::opening::{OpenError, config, guarded, open, unusable};
use super::{Place, Tell, Told};
use crate::store::exchange::exchange;
use crate::store::journal::SyncData;
use crate::store::marker::{Marker, beside, lock, prepare_folder, settle_folder, sync_folder_of};
use crate::store::room;

/// The same store, and no deleted key in its files. If that cannot be had, the store as it was.
/// Never to be called for a store in doubt: its files are all that is left of it.
pub(super) fn without_deleted_keys(
    base: Base,
    place: &Place,
    marker: &Marker,
    renew_the_copy: impl FnOnce(&Db) -> io::Result<()>,
    tell: &Tell,
) -> Result<Base, OpenError> {
    let store = place.path.as_path();
    let is_due = guarded(store, || {
        is_due(&base.db).map_err(|error| unusable(store, error))
    })?;
    let copied = match remove_leftover(store) {
        Ok(()) if !is_due => return Ok(base),
        // Before the store says of itself that nothing is left.
        Ok(()) => has_room(store)
            .and_then(|()| renew_the_copy(&base.db).map_err(|error| error.to_string()))
            .and_then(|()| copy(store, &base.db, place.cache_mib, tell)),
        Err(error) => Err(error.to_string()),
    };
    let (base, erased) = match copied {
        Ok(()) => {
            let sync = SyncData::clone(&base.sync);
            drop(base);
            let exchanged = wait_until_closed(store)
                .and_then(|()| {
                    exchange(store, &beside(store, DRAFT)).map_err(|error| error.to_string())
                })
                .and_then(|()| remove_former(store));
            (open(place, marker, &sync, soon())?, exchanged)
        }
        Err(why) => (base, Err(why)),
    };
    if erased.is_err() {
        // What cannot be removed now, the next start removes.
        let _ = remove_leftover(store);
    }
    tell(erased.map_or_else(Told::NotErased, |()| Told::Erased));
    Ok(base)
}

/// Whether the files of this store may hold a deleted key. A store of an earlier version, which
/// does not say, may.
fn is_due(db: &Db) -> ::sled::Result<bool> {
    Ok(!db.is_empty() && !db.contains_key(ERASED)?)
}

/// Removes what a killed or failed erasing has left beside the store.
fn remove_leftover(store: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(beside(store, DRAFT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a fresh store beside this one, with the same rows, whole and durable.
fn copy(store: &Path, db: &Db, cache_mib: u32, tell: &Tell) -> Result<(), String> {
    let (steps, heard) = channel();
    let copying = Copying {
        from: db.clone(),
        draft: beside(store, DRAFT),
        cache_mib,
        steps,
    };
    // On a failing disk sled can wait for ever. Then the thread stays behind, and the daemon serves.
    std::thread::Builder::new()
        .name("erase".into())
        .spawn(move || {
            let done = copying.run();
            let _ = copying.steps.send(Step::Done(done));
        })
        .map_err(|error| error.to_string())?;
    loop {
        match heard.recv_timeout(STUCK) {
            Ok(Step::GoesOn) => tell(Told::GoesOn),
            Ok(Step::Done(done)) => return done,
            Err(_) => return Err("the disk does not answer, or sled panicked".to_owned()),
        }
    }
}

fn remove_former(store: &Path) -> Result<(), String> {
    remove_leftover(store)
        .and_then(|()| sync_folder_of(store))
        .map_err(|error| error.to_string())
}

/// Waits until no thread of sled has the store's file open any more.
pub(super) fn wait_until_closed(store: &Path) -> Result<(), String> {
    match lock(&store.join("db"), soon()) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("sled does not close its file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The work of the thread that copies.
pub(super) struct Copying {
    from: Db,
    draft: PathBuf,
    cache_mib: u32,
    steps: Sender<Step>,
}

enum Step {
    GoesOn,
    Done(Result<(), String>),
}

impl Copying {
    fn run(&self) -> Result<(), String> {
        prepare_folder(&self.draft).map_err(|error| error.to_string())?;
        self.write().map_err(|error| error.to_string())?;
        wait_until_closed(&self.draft)?;
        // What sled reads back is compared, not what it remembers.
        if !self.is_same()? {
            return Err("sled reads other rows from the copy than it wrote".to_owned());
        }
        wait_until_closed(&self.draft)?;
        settle_folder(&self.draft).map_err(|error| error.to_string())
    }

    pub(super) fn write(&self) -> ::sled::Result<()> {
        let fresh = self.open()?;
        for (number, row) in rows(&self.from).enumerate() {
            let (key, value) = row?;
            fresh.insert(key, value)?;
            if self.is_step(number) {
                fresh.flush()?;
            }
        }
        fresh.insert(ERASED, &[])?;
        fresh.flush()?;
        Ok(())
    }

    pub(super) fn is_same(&self) -> Result<bool, String> {
        let fresh = self.open().map_err(|error| error.to_string())?;
        let mut copied = rows(&fresh);
        for (number, row) in rows(&self.from).enumerate() {
            let (row, copy) = (row, copied.next().transpose());
            match (row, copy) {
                (Ok(row), Ok(Some(copy))) if row == copy => _ = self.is_step(number),
                (Ok(_), Ok(_)) => return Ok(false),
                (Err(error), _) | (_, Err(error)) => return Err(error.to_string()),
            }
        }
        Ok(copied.next().is_none())
    }
}

#[cfg(test)]
impl Copying {
    pub(super) fn to(draft: PathBuf, from: &Db) -> Self {
        Self {
            from: from.clone(),
            draft,
            cache_mib: 1,
            steps: channel().0,
        }
    }
}

impl Copying {
    fn open(&self) -> ::sled::Result<Db> {
        config(&self.draft, self.cache_mib).open()
    }

    /// Tells now and then that the work goes on. True: what was written until now is due.
    fn is_step(&self, number: usize) -> bool {
        let is_step = number.is_multiple_of(ROWS_OF_A_STEP);
        if is_step {
            let _ = self.steps.send(Step::GoesOn);
        }
        is_step
    }
}

/// When the next step must have come.
pub(super) fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(STUCK).unwrap_or(now)
}

/// All rows but the one that says whether deleted keys were erased.
fn rows(db: &Db) -> impl Iterator<Item = ::sled::Result<(IVec, IVec)>> {
    let says_erased =
        |row: &::sled::Result<(IVec, IVec)>| row.as_ref().is_ok_and(|(key, _)| key == ERASED);
    db.iter().filter(move |row| !says_erased(row))
}

/// Whether a copy of the store has room.
pub(super) fn has_room(store: &Path) -> Result<(), String> {
    let size = std::fs::metadata(store.join("db")).map_err(|error| error.to_string())?;
    room::for_a_copy(store, size.len())
}

/// The key of a row that says that no file of the store holds a deleted key. The update that deletes
/// one removes the row, too.
pub(super) const ERASED: &[u8] = b"e";
/// The ending of the folder beside the store.
const DRAFT: &str = ".erasing";
const ROWS_OF_A_STEP: usize = 1024;
/// If a step takes longer than this, the disk or the library is stuck.
pub(super) const STUCK: Duration = Duration::from_secs(30);
