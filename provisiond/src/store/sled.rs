//! The embedded store on sled 0.34 and a journal in front of it, with the measures by which an
//! acknowledged update survives a power cut, a lost, damaged or rolled-back store is detected, and a
//! failing disk ends the process, so that no code can be replayed.
//!
//! Knows bytes and versions, never the meaning of a record. Where sled's own guarantees are too
//! weak, a comment says so.

mod base;
mod comparing;
mod counted;
mod erasing;
mod fence;
mod healing;
mod keeping;
mod log_file;
mod making;
pub mod moving;
mod opening;
mod overlay;
mod replay;
mod rescue;
mod restoring;
mod rows;
mod salvage;
mod settling;
mod starting;
mod summary;
mod upkeep;
mod witnesses;
mod writer;

use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::sled::Db;
use common::names::user::UserName;
use nix::fcntl::Flock;

use self::counted::{Counted, bytes_on_disk};
pub use self::opening::OpenError;
use self::opening::is_of_a_lost_part;
use self::overlay::{Overlay, merged};
pub use self::restoring::{Contents, RestoreError, Restoring, record_of};
use self::rows::{AFTER_RECORDS, RECORDS, key, stored, user_of};
use self::starting::Surroundings;
use self::summary::Summary;
use self::upkeep::Upkeep;
use self::writer::{Change, Update};
use super::marker::beside;
use super::{Health, Incomplete, Measures, Outcome, Store, Stored, Unavailable, Version};
use crate::clock::Clock;
use crate::store::commit::Committer;
use crate::store::journal::JOURNAL;

/// The location of the store, and its memory limit.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder. Journal, lock and marker lie beside it: the same path with `.journal`, `.lock` and
    /// `.marker`.
    pub path: PathBuf,
    /// The size of sled's cache, in MiB. sled uses several times as much memory.
    pub cache_mib: u32,
    /// A file on a tmpfs that mirrors the store's age.
    pub mirror: Option<PathBuf>,
}

/// What the store tells while it is opened and served.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// The opening goes on: rows were copied or compared. Told at least twice a minute.
    GoesOn,
    /// No file of the store holds a deleted key any more.
    Erased,
    /// The files hold deleted keys until a later start. The store is as it was.
    NotErased(String),
    /// A part was damaged, lost or old, and was made anew from the other one.
    Healed(Part),
    /// Neither part was whole. Every record that is whole in either is served; some may be missing.
    Salvaged,
    /// It could not be made anew.
    NotHealed(Part, String),
}

/// The two parts of the store, each of which holds every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// sled's folder.
    Store,
    /// The snapshot, and the journal that goes on from it.
    Copy,
}

impl Part {
    /// Its word in the log and in the metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Copy => "copy",
        }
    }
}

/// Hears what the store tells.
pub(super) type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// The store in its own folder, locked for this process.
pub struct SledStore {
    /// Always `Some`, until `drop` takes it.
    db: Option<Db>,
    overlay: Arc<Overlay>,
    committer: Arc<Committer<Update>>,
    keeper: Keeping,
    summary: Arc<Mutex<Summary>>,
    upkeep: Arc<Upkeep>,
    /// The next update deletes a key.
    deletes: Arc<AtomicBool>,
    counted: Arc<Counted>,
    path: PathBuf,
    _lock: Flock<File>,
}

impl SledStore {
    /// Opens the store, or creates it. The clock resumes from the stored mark, and learns of a
    /// roll-back of the store; every update stores the clock's mark. `fatal` is called at most
    /// once, with a sentence, when the store has failed for good. No call works after that, and the
    /// process should end, so that a new one finds out what is on the disk. `tell` hears of deleted
    /// keys that are erased, and of what is healed, while the store is opened and later.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place,
        clock: Arc<Clock>,
        tell: impl Fn(Told) + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let around = Surroundings::of_a_daemon();
        Self::open_with(around, place, clock, Arc::new(tell), fatal)
    }

    fn submit(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: Option<Vec<u8>>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let change = Change::of(user, expected, record);
        self.committer
            .submit(Update::Records(vec![change]), deadline)
    }

    fn summary(&self) -> Summary {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error while reading concerns that caller only. But what the disk has lost is healed by the
    /// next start alone, and a panic leaves sled in an unknown state: both end the store.
    fn read<T>(&self, read: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T, Unavailable> {
        let db = self
            .db
            .as_ref()
            .filter(|_| self.committer.works())
            .ok_or(Unavailable)?;
        let why = match catch_unwind(AssertUnwindSafe(|| read(db))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if is_of_a_lost_part(&error) => LOST_A_PART,
            Ok(Err(_)) => return Err(Unavailable),
            Err(_) => PANICKED,
        };
        self.committer.fail(why);
        Err(Unavailable)
    }
}

impl Store for SledStore {
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable> {
        let key = key(user);
        self.read(|db| match self.overlay.get(&key) {
            Some(value) => Ok(value.map(|value| stored(&value))),
            None => Ok(db.get(&key)?.map(|value| stored(&value))),
        })
    }

    fn insert_new(
        &self,
        user: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.submit(user, None, Some(record), deadline)
    }

    fn replace(
        &self,
        user: &UserName,
        expected: Version,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.submit(user, Some(expected), Some(record), deadline)
    }

    /// In one group: an enrolment waits for the disk once.
    fn enrol(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let change = Change::of(user, expected, Some(record));
        self.committer.submit(Update::Enrolment(change), deadline)
    }

    fn remove(
        &self,
        user: &UserName,
        expected: Version,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.will_delete();
        self.submit(user, Some(expected), None, deadline)
    }

    fn rename(
        &self,
        user: &UserName,
        expected: Version,
        to: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.will_delete();
        let from = Change::of(user, Some(expected), None);
        let to = Change::of(to, None, Some(record));
        // The last change determines the version that is returned.
        self.committer
            .submit(Update::Records(vec![from, to]), deadline)
    }

    fn list(
        &self,
        after: Option<&UserName>,
        limit: usize,
    ) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        let from = after.map_or(RECORDS.to_vec(), key);
        let from = match after {
            Some(_) => Bound::Excluded(from.as_slice()),
            None => Bound::Included(from.as_slice()),
        };
        let range = (from, Bound::Excluded(AFTER_RECORDS));
        self.read(|db| {
            // First, because what the settler takes out of it meanwhile is in sled then.
            let newer = self.overlay.range(range);
            // A row without a valid user name is a trace of damage. It is skipped, so that it hides
            // no other user.
            let users = merged(newer, db.range::<&[u8], _>(range)).filter_map(|row| match row {
                Ok((key, value)) => user_of(&key).map(|user| Ok((user, stored(&value)))),
                Err(error) => Some(Err(error)),
            });
            users.take(limit).collect()
        })
    }

    fn health(&self) -> Result<Health, Unavailable> {
        let summary = self.summary();
        let health = Health {
            kind: "sled",
            users: summary.users,
            generation: summary.generation,
            copy: Some(self.upkeep.health()),
        };
        self.committer.works().then_some(health).ok_or(Unavailable)
    }

    fn measures(&self) -> Measures {
        let copy = beside(&self.path, JOURNAL);
        Measures {
            bytes: vec![
                (Part::Store.word(), bytes_on_disk(&self.path)),
                (Part::Copy.word(), bytes_on_disk(&copy)),
            ],
            ..self.counted.measures()
        }
    }

    fn rolled_back_tick(&self) -> Option<u64> {
        self.summary().rolled_back_tick
    }

    fn incomplete(&self) -> Option<Incomplete> {
        self.summary().incomplete
    }

    fn keep_mark(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        self.committer.submit(Update::KeepMark, deadline)
    }

    fn accept_loss(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        self.committer.submit(Update::AcceptLoss, deadline)
    }

    fn will_delete(&self) {
        self.deletes.store(true, Ordering::SeqCst);
    }

    fn close(&self) {
        self.keeper.ends.store(true, Ordering::SeqCst);
        self.committer.close();
        self.keeper.wait();
        if !self.committer.failed() && !self.overlay.close() {
            self.committer.fail(NOT_CLOSED);
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
        let db = self.db.take();
        if self.committer.failed() {
            self.overlay.end();
            // Dropping it would make sled write and sync once more.
            std::mem::forget(db);
        } else {
            _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        }
    }
}

/// The thread that keeps the copy.
struct Keeping {
    ends: Arc<AtomicBool>,
    ended: Mutex<Receiver<()>>,
}

impl Keeping {
    /// Waits until it has ended, or a disk that does not answer holds it up.
    fn wait(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(LOCK_WAIT);
    }
}

const LOCK_WAIT: Duration = Duration::from_secs(5);
/// sled takes what has come in so long as a few large batches.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
const NOT_CLOSED: &str = "the store could not be closed: its disk does not answer; check the disk";
const LOST_A_PART: &str = "the store failed while reading: the disk has lost a part of it; the next start heals it; check the disk";
const PANICKED: &str = "the store failed while reading: its library panicked; check the disk";

#[cfg(test)]
mod tests;
