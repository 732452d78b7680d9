//! The embedded store on sled 0.34, with the measures by which an acknowledged update survives a
//! power cut, a lost, damaged or rolled-back store is detected, and a failing disk ends the
//! process, so that no code can be replayed.
//!
//! Knows bytes and versions, never the meaning of a record. Where sled's own guarantees are too
//! weak, a comment says so.

mod erasing;
mod log_file;
mod opening;
mod rows;
mod summary;
mod writer;

use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::sled::Db;
use common::names::user::UserName;
use nix::fcntl::Flock;

pub use self::erasing::Erasing;
use self::log_file::LogFile;
pub use self::opening::OpenError;
use self::opening::{Opened, at, guarded, lost};
use self::rows::{AFTER_RECORDS, RECORDS, key, stored, user_of};
use self::summary::{Summary, count, judge_age, known_to_be_spent, read_summary};
use self::writer::{Change, SyncData, Update, Writer};
use super::marker::{Marker, Mirror, beside, lock};
use super::private;
use super::{Health, Incomplete, Outcome, Store, Stored, Unavailable, Version};
use crate::clock::Clock;
use crate::store::commit::Committer;

/// The location of the store, and its memory limit.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder. Lock and marker lie beside it: the same path with `.lock` and `.marker`.
    pub path: PathBuf,
    /// The size of sled's cache, in MiB. sled uses several times as much memory.
    pub cache_mib: u32,
    /// A file on a tmpfs that mirrors the store's age.
    pub mirror: Option<PathBuf>,
}

/// The store in its own folder, locked for this process.
pub struct SledStore {
    /// Always `Some`, until `drop` takes it.
    db: Option<Db>,
    committer: Committer<Update>,
    summary: Arc<Mutex<Summary>>,
    /// The next update deletes a key.
    deletes: Arc<AtomicBool>,
    _lock: Flock<File>,
}

impl SledStore {
    /// Opens the store, or creates it. The clock resumes from the stored mark, and learns of a
    /// roll-back of the store; every update stores the clock's mark. `fatal` is called at most
    /// once, with a sentence, when the store has failed for good. No call works after that, and the
    /// process should end, so that a new one finds out what is on the disk. `tell` is called while
    /// the store is opened, if keys were deleted that its files still hold.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place,
        clock: Arc<Clock>,
        tell: impl Fn(Erasing),
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_with(
            Surroundings {
                lock_wait: LOCK_WAIT,
                sync: Box::new(File::sync_data),
            },
            place,
            clock,
            &tell,
            fatal,
        )
    }

    fn open_with(
        around: Surroundings,
        place: &Place,
        clock: Arc<Clock>,
        tell: &dyn Fn(Erasing),
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let path = place.path.as_path();
        let deadline = Instant::now()
            .checked_add(around.lock_wait)
            .unwrap_or_else(Instant::now);
        let in_use = || OpenError::InUse(path.to_owned());
        let state = path.parent().unwrap_or(path);
        private::folder(state).map_err(at(state))?;
        let lock_path = beside(path, ".lock");
        let lock = lock(&lock_path, deadline)
            .map_err(at(&lock_path))?
            .ok_or_else(in_use)?;
        let marker = Marker::read(path).map_err(at(&beside(path, ".marker")))?;
        let mirror_path = place.mirror.as_deref();
        let (mirror, mirrored) =
            Mirror::open(mirror_path).map_err(at(mirror_path.unwrap_or(path)))?;
        let mut opened = Opened::at(place, &marker, deadline)?;
        let db = &opened.db;
        let (found, seen) = guarded(path, || read_summary(db, path))?;
        let counted = guarded(path, || Ok(count(db, &found)))?;
        clock.resume(seen, found.rolled_back_tick);
        let moment = clock.moment(found.rolled_back_tick);
        let summary = judge_age(found, counted, &marker, mirrored, moment.stamp())
            .ok_or_else(|| lost(path, &marker))?;
        if summary.rolled_back_tick != found.rolled_back_tick
            || summary.generation != found.generation
        {
            clock.doubt_the_store(known_to_be_spent(&marker, mirrored, moment.now));
        }
        // A store in doubt stays as it was found: a good copy may have to be made from it.
        if summary == found && summary.incomplete.is_none() {
            opened = erasing::without_deleted_keys(opened, place, &marker, tell)?;
        }
        let Opened { db, log } = opened;
        let shared = Arc::new(Mutex::new(summary));
        let deletes = Arc::default();
        let mut writer = Writer {
            path: path.to_owned(),
            db: db.clone(),
            log: LogFile::new(log, path.join("db")),
            sync: around.sync,
            marker,
            marker_due: None,
            mirror,
            clock,
            summary,
            shared: Arc::clone(&shared),
            deletes: Arc::clone(&deletes),
        };
        writer.settle().map_err(at(path))?;
        let watched = db.clone();
        // sled's I/O threads leave an error here, and can forget to wake the thread that waits for
        // the write.
        let broken = move || watched.context.global_error().is_err();
        let committer = Committer::start(writer, broken, fatal).map_err(at(path))?;
        Ok(Self {
            db: Some(db),
            committer,
            summary: shared,
            deletes,
            _lock: lock,
        })
    }

    fn submit(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: Option<Vec<u8>>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let change = Change {
            user: user.clone(),
            expected,
            record,
        };
        self.committer
            .submit(Update::Records(vec![change]), deadline)
    }

    fn summary(&self) -> Summary {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error while reading concerns that caller only. A panic leaves sled in an unknown state,
    /// and ends the store.
    fn read<T>(&self, read: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T, Unavailable> {
        let db = self
            .db
            .as_ref()
            .filter(|_| self.committer.works())
            .ok_or(Unavailable)?;
        match catch_unwind(AssertUnwindSafe(|| read(db))) {
            Ok(result) => result.map_err(|_| Unavailable),
            Err(_) => {
                self.committer
                    .fail("the store failed while reading: its library panicked; check the disk");
                Err(Unavailable)
            }
        }
    }
}

impl Store for SledStore {
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable> {
        Ok(self
            .read(|db| db.get(key(user)))?
            .map(|value| stored(&value)))
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
        let from = Change {
            user: user.clone(),
            expected: Some(expected),
            record: None,
        };
        let to = Change {
            user: to.clone(),
            expected: None,
            record: Some(record),
        };
        // The last change determines the version that is returned.
        self.committer
            .submit(Update::Records(vec![from, to]), deadline)
    }

    fn list(
        &self,
        after: Option<&UserName>,
        limit: usize,
    ) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        let from = after.map_or(Bound::Included(RECORDS.to_vec()), |user| {
            Bound::Excluded(key(user))
        });
        let range = (from, Bound::Excluded(AFTER_RECORDS.to_vec()));
        self.read(|db| {
            // A row without a valid user name is a trace of damage. It is skipped, so that it hides
            // no other user.
            let users = db.range(range).filter_map(|row| match row {
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
        };
        self.committer.works().then_some(health).ok_or(Unavailable)
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
        self.committer.close();
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
        let db = self.db.take();
        if self.committer.failed() {
            // Dropping it would make sled write and sync once more.
            std::mem::forget(db);
        } else {
            _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        }
    }
}

/// The parts that tests replace.
struct Surroundings {
    lock_wait: Duration,
    sync: SyncData,
}

const LOCK_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
