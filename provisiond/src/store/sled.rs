//! The embedded store: sled 0.34, and what has to stand around it so that an acknowledged update survives a power cut,
//! a lost or damaged store is noticed, and a failing disk ends the process instead of opening a door.
//!
//! Knows bytes and versions, never what a record means. Where sled's own promise is not enough, a comment says so.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::sled::{Batch, Db};
use common::user::UserName;
use nix::fcntl::Flock;
use sha2::{Digest, Sha256};

use super::marker::{Mark, Marker, Mirror, beside, lock, prepare_folder, settle_folder};
use super::{Health, Outcome, Store, Stored, Unavailable, Version};
use crate::clock::Clock;
use crate::clock::mark::{Mark as ClockMark, NUMBERS};
use crate::commit::{Answer, Apply, Committer};

/// Where the store lies, and what it may use.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder. Its lock and its marker lie beside it: the same path with `.lock` and `.marker`.
    pub path: PathBuf,
    /// What sled may keep in memory, in MiB. It takes several times as much.
    pub cache_mib: u32,
    /// A file on a tmpfs that mirrors the generation.
    pub mirror: Option<PathBuf>,
}

/// The store in a folder of its own, used by this process alone.
pub struct SledStore {
    /// Always there, until `drop` takes it.
    db: Option<Db>,
    committer: Committer<Update>,
    summary: Arc<Mutex<Summary>>,
    _lock: Flock<File>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it.
    #[error("the store at {0} is in use by another process; stop the other provisiond first")]
    InUse(PathBuf),
    /// It is empty and was not.
    #[error(
        "the store at {store} is empty, but {marker} says that it held users; restore a backup, or remove {marker} if \
         the store is meant to start empty"
    )]
    Lost {
        /// The store's folder.
        store: PathBuf,
        /// Its marker.
        marker: PathBuf,
    },
    /// sled cannot make sense of it.
    #[error("the store at {store} is damaged ({why}); restore a backup")]
    Damaged {
        /// The store's folder.
        store: PathBuf,
        /// What was found.
        why: String,
    },
    /// A later version has written it.
    #[error("the store at {0} was written by a newer version of provisiond; install that version again")]
    Newer(PathBuf),
    /// The system refused.
    #[error("the store's {path} cannot be used: {error}; check its owner, its mode and the disk")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl SledStore {
    /// Opens the store, or creates it. The clock is told what was last seen of it, and whether the store turns out to be
    /// older than it has been; every update stores its mark. `fatal` is called at most once, with a sentence, when the
    /// store has failed for good: nothing works after that, and the process should end, so that a fresh one finds out what
    /// is on the disk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place,
        clock: Arc<Clock>,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_with(Surroundings { patience: LOCK_PATIENCE, sync: Box::new(File::sync_data) }, place, clock, fatal)
    }

    fn open_with(
        around: Surroundings,
        place: &Place,
        clock: Arc<Clock>,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let path = place.path.as_path();
        let deadline = Instant::now().checked_add(around.patience).unwrap_or_else(Instant::now);
        let in_use = || OpenError::InUse(path.to_owned());
        let lock_path = beside(path, ".lock");
        let lock = lock(&lock_path, deadline).map_err(at(&lock_path))?.ok_or_else(in_use)?;
        let marker = Marker::read(path).map_err(at(&beside(path, ".marker")))?;
        let mirror_path = place.mirror.as_deref();
        let (mirror, mirrored) = Mirror::open(mirror_path).map_err(at(mirror_path.unwrap_or(path)))?;
        let log = prepare(path, &marker, deadline)?;
        let db = open_sled(path, place.cache_mib)?;
        let (found, seen) = guarded(path, || read_summary(&db, path))?;
        let counted = guarded(path, || Ok(count(&db, &found)))?;
        clock.resume(seen);
        let tick = clock.look().tick;
        let summary = judge_age(found, counted, &marker, mirrored, tick).ok_or_else(|| lost(path, &marker))?;
        if summary.rolled_back_tick != found.rolled_back_tick || summary.generation != found.generation {
            clock.doubt_the_store();
        }
        let shared = Arc::new(Mutex::new(summary));
        let mut writer = Writer {
            path: path.to_owned(),
            db: db.clone(),
            log,
            sync: around.sync,
            marker,
            marker_due: None,
            mirror,
            clock,
            summary,
            shared: Arc::clone(&shared),
        };
        writer.settle().map_err(at(path))?;
        let watched = db.clone();
        // sled's I/O threads leave an error here, and can forget to wake the one who waits for the write.
        let broken = move || watched.context.global_error().is_err();
        let committer = Committer::start(writer, broken, fatal).map_err(at(path))?;
        Ok(Self { db: Some(db), committer, summary: shared, _lock: lock })
    }

    fn submit(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: Option<Vec<u8>>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.committer.submit(vec![Change { user: user.clone(), expected, record }], deadline)
    }

    /// An error while reading is that reader's alone; a panic leaves sled in a state that nobody knows.
    fn read<T>(&self, read: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T, Unavailable> {
        let db = self.db.as_ref().filter(|_| self.committer.works()).ok_or(Unavailable)?;
        match catch_unwind(AssertUnwindSafe(|| read(db))) {
            Ok(result) => result.map_err(|_| Unavailable),
            Err(_) => {
                self.committer.fail("the store failed while reading: its library panicked; check the disk");
                Err(Unavailable)
            }
        }
    }
}

impl Store for SledStore {
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable> {
        Ok(self.read(|db| db.get(key(user)))?.map(|value| stored(&value)))
    }

    fn insert_new(&self, user: &UserName, record: Vec<u8>, deadline: Instant) -> Result<Outcome, Unavailable> {
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

    fn remove(&self, user: &UserName, expected: Version, deadline: Instant) -> Result<Outcome, Unavailable> {
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
        let from = Change { user: user.clone(), expected: Some(expected), record: None };
        let to = Change { user: to.clone(), expected: None, record: Some(record) };
        // The version that comes last is the record's.
        self.committer.submit(vec![from, to], deadline)
    }

    fn list(&self, after: Option<&UserName>, limit: usize) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        let from = after.map_or(Bound::Included(RECORDS.to_vec()), |user| Bound::Excluded(key(user)));
        let range = (from, Bound::Excluded(AFTER_RECORDS.to_vec()));
        self.read(|db| {
            // A row that is no user's is a trace of damage, and hides nobody.
            let users = db.range(range).filter_map(|row| match row {
                Ok((key, value)) => user_of(&key).map(|user| Ok((user, stored(&value)))),
                Err(error) => Some(Err(error)),
            });
            users.take(limit).collect()
        })
    }

    fn health(&self) -> Result<Health, Unavailable> {
        let summary = *self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        let health = Health { kind: "sled", users: summary.users, generation: summary.generation };
        self.committer.works().then_some(health).ok_or(Unavailable)
    }

    fn rolled_back_tick(&self) -> Option<u64> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).rolled_back_tick
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
            // sled would write and sync once more.
            std::mem::forget(db);
        } else {
            _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        }
    }
}

/// What one caller wants: all of it, or nothing.
type Update = Vec<Change>;

/// A change of one user's record: from `expected`, or nothing, to `record`, or nothing.
struct Change {
    user: UserName,
    expected: Option<Version>,
    record: Option<Vec<u8>>,
}

/// What the store says of itself, in the one value that every group of updates changes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    generation: u64,
    users: u64,
    /// In trusted seconds.
    rolled_back_tick: Option<u64>,
    /// The sum of [`imprint`] over all records.
    imprint: u64,
}

/// What tests replace.
struct Surroundings {
    patience: Duration,
    sync: SyncData,
}

type SyncData = Box<dyn Fn(&File) -> io::Result<()> + Send>;

/// The only one who writes: the committer's thread.
struct Writer {
    path: PathBuf,
    db: Db,
    /// sled's `db` file, opened by us before its first write, so that no error of writing it back can escape this
    /// descriptor.
    log: File,
    sync: SyncData,
    marker: Marker,
    marker_due: Option<Instant>,
    mirror: Mirror,
    clock: Arc<Clock>,
    summary: Summary,
    shared: Arc<Mutex<Summary>>,
}

/// A group of updates on its way.
struct Plan {
    batch: Batch,
    summary: Summary,
    /// What earlier updates of this group have made of their users' records.
    versions: HashMap<UserName, Option<Version>>,
}

impl Plan {
    /// A change that was found to be right.
    fn add(&mut self, change: Change) {
        let generation = self.summary.generation.saturating_add(1);
        let made = change.record.as_ref().map(|_| Version(generation));
        let key = key(&change.user);
        self.summary.generation = generation;
        self.summary.follow(&key, change.expected, made);
        match change.record {
            Some(record) => self.batch.insert(key, [&generation.to_be_bytes(), record.as_slice()].concat()),
            None => self.batch.remove(key),
        }
        self.versions.insert(change.user, made);
    }
}

impl Apply for Writer {
    type Update = Update;

    fn bytes(update: &Update) -> usize {
        update.iter().filter_map(|change| change.record.as_ref()).map(Vec::len).fold(0, usize::saturating_add)
    }

    fn apply(&mut self, group: Vec<Update>) -> Result<Vec<Answer>, String> {
        let mut plan = Plan { batch: Batch::default(), summary: self.summary, versions: HashMap::new() };
        let answers = group.into_iter().map(|update| self.judge(&mut plan, update)).collect();
        if plan.summary != self.summary {
            self.make_durable(plan.batch, plan.summary).map_err(|error| self.failed(&error))?;
            self.bear_witness(plan.summary).map_err(|error| self.failed(&error))?;
        }
        Ok(answers)
    }

    fn chore_due(&self) -> Option<Instant> {
        self.marker_due
    }

    fn chore(&mut self) -> Result<(), String> {
        self.make_durable(Batch::default(), self.summary).map_err(|error| self.failed(&error))?;
        self.write_marker().map_err(|error| self.failed(&error))
    }
}

impl Writer {
    /// Makes what opening has found and changed durable.
    fn settle(&mut self) -> io::Result<()> {
        let summary = self.summary;
        self.make_durable(Batch::default(), summary)?;
        settle_folder(&self.path)?;
        self.mirror.write(summary.generation);
        let mark = Mark { users: summary.users, generation: summary.generation };
        let is_new = summary == Summary::default() && self.marker.mark().is_none();
        if !is_new && self.marker.mark() != Some(mark) {
            self.write_marker()?;
        }
        self.marker_due = Instant::now().checked_add(IDLE_INTERVAL);
        Ok(())
    }

    fn judge(&self, plan: &mut Plan, update: Update) -> Answer {
        for change in &update {
            let current = match plan.versions.get(&change.user) {
                Some(version) => *version,
                None => self.version_of(&change.user)?,
            };
            if current != change.expected {
                return Ok(Outcome::Conflict);
            }
        }
        if plan.summary.generation >= ABSURD {
            return Err(Unavailable);
        }
        update.into_iter().for_each(|change| plan.add(change));
        Ok(Outcome::Done(Version(plan.summary.generation)))
    }

    fn version_of(&self, user: &UserName) -> Result<Option<Version>, Unavailable> {
        let value = self.db.get(key(user)).map_err(|_| Unavailable)?;
        Ok(value.map(|value| stored(&value).version))
    }

    fn make_durable(&mut self, mut batch: Batch, summary: Summary) -> io::Result<()> {
        batch.insert(SUMMARY, summary.to_bytes(self.clock.mark()));
        self.db.apply_batch(batch)?;
        self.sync_log()
    }

    /// sled's flush writes everything, and asks the disk for nothing that survives a power cut.
    fn sync_log(&mut self) -> io::Result<()> {
        let synced = self.db.flush().map_err(io::Error::from).and_then(|_| (self.sync)(&self.log));
        if synced.is_err() {
            // When its last handle is dropped sled syncs again, and would be told that all is well.
            std::mem::forget(self.db.clone());
        }
        synced
    }

    /// What has become durable is told to the readers, the mirror and, the first user at once, the marker.
    fn bear_witness(&mut self, summary: Summary) -> io::Result<()> {
        self.summary = summary;
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = summary;
        self.mirror.write(summary.generation);
        if summary.users > 0 && !self.marker.says_users() {
            return self.write_marker();
        }
        let soon = Instant::now().checked_add(MARKER_INTERVAL);
        self.marker_due = self.marker_due.min(soon).or(soon);
        Ok(())
    }

    fn write_marker(&mut self) -> io::Result<()> {
        self.marker_due = Instant::now().checked_add(IDLE_INTERVAL);
        self.marker.write(Mark { users: self.summary.users, generation: self.summary.generation })
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("the store at {} failed: {error}; check the disk", self.path.display())
    }
}

impl Summary {
    fn to_bytes(self, clock: ClockMark) -> Vec<u8> {
        let rolled_back = self.rolled_back_tick.map_or(0, |tick| tick.saturating_add(1));
        let numbers = [self.generation, self.users, rolled_back, self.imprint];
        let numbers = numbers.into_iter().chain(clock.to_numbers()).flat_map(u64::to_be_bytes);
        std::iter::once(FORMAT).chain(numbers).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<(Self, ClockMark)> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let (own, clock) = numbers.split_first_chunk()?;
        let [generation, users, rolled_back, imprint] = own.map(u64::from_be_bytes);
        let clock = <[[u8; 8]; NUMBERS]>::try_from(clock).ok()?.map(u64::from_be_bytes);
        let summary = Self { generation, users, rolled_back_tick: rolled_back.checked_sub(1), imprint };
        Some((summary, ClockMark::from_numbers(clock)))
    }

    /// Makes it what it is after a user's record has gone from one version, or none, to another, or none.
    fn follow(&mut self, key: &[u8], from: Option<Version>, to: Option<Version>) {
        // What is no user's is not counted: losing its last updates does no harm.
        if !key.starts_with(RECORDS) {
            return;
        }
        if let Some(version) = from {
            self.users = self.users.saturating_sub(1);
            self.imprint = self.imprint.wrapping_sub(imprint(key, version));
        }
        if let Some(version) = to {
            self.users = self.users.saturating_add(1);
            self.imprint = self.imprint.wrapping_add(imprint(key, version));
        }
    }
}

/// Makes the folder ready for sled and returns our own descriptor of its log.
fn prepare(store: &Path, marker: &Marker, deadline: Instant) -> Result<File, OpenError> {
    let path = store.join("db");
    let is_new = match path.metadata() {
        Ok(log) => log.len() == 0,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(at(&path)(error)),
    };
    if is_new && marker.says_users() {
        return Err(lost(store, marker));
    }
    prepare_folder(store).map_err(at(store))?;
    // A process that was killed lets go of our lock and of sled's one after the other. sled itself would not wait.
    let log = lock(&path, deadline).map_err(at(&path))?.ok_or_else(|| OpenError::InUse(store.to_owned()))?;
    log.unlock().map_err(|(_, errno)| at(&path)(errno.into()))
}

fn open_sled(store: &Path, cache_mib: u32) -> Result<Db, OpenError> {
    let cache = u64::from(cache_mib.max(1)).saturating_mul(1 << 20);
    // Nothing is flushed behind the committer's back.
    let config = ::sled::Config::new().path(store).cache_capacity(cache).flush_every_ms(None);
    guarded(store, || config.open().map_err(|error| unusable(store, error)))
}

/// sled meets damage with a panic as often as with an error.
fn guarded<T>(store: &Path, work: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let panicked = |_| Err(damaged(store, "its library panicked"));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

fn read_summary(db: &Db, store: &Path) -> Result<(Summary, Option<ClockMark>), OpenError> {
    let failed = |error| unusable(store, error);
    let records = db.scan_prefix(RECORDS).next().transpose().map_err(failed)?.is_some();
    let (summary, clock) = match db.get(SUMMARY).map_err(failed)?.as_deref() {
        None => (Summary::default(), None),
        Some([FORMAT, rest @ ..]) => {
            let summary = Summary::from_bytes(rest).filter(|(summary, _)| summary.generation < ABSURD);
            let (summary, clock) = summary.ok_or_else(|| damaged(store, "its summary cannot be read"))?;
            (summary, Some(clock))
        }
        Some(_) => return Err(OpenError::Newer(store.to_owned())),
    };
    if records == (summary.users > 0) {
        Ok((summary, clock))
    } else {
        Err(damaged(store, "its records and its summary differ"))
    }
}

/// What the summary should say of the records that are there. A damaged log can lose the last updates of some users
/// and keep everything later, the summary too; no generation tells that. `None`: too many to look at while others wait,
/// or not readable, which those users' `load` will say.
fn count(db: &Db, found: &Summary) -> Option<Summary> {
    let mut counted = Summary { users: 0, imprint: 0, ..*found };
    if found.users > COUNTED {
        return None;
    }
    for row in db.scan_prefix(RECORDS) {
        let (key, value) = row.ok()?;
        let version = Version(u64::from_be_bytes(*value.first_chunk()?));
        counted.generation = counted.generation.max(believed(version.0));
        counted.follow(&key, None, Some(version));
    }
    Some(counted)
}

/// Holds what was found against what was counted and what the witnesses say. `None`: the store was lost. When it is
/// older than they know, the generation leaps ahead of everything that may have been written since, so that this is
/// noticed once and no version is given twice.
fn judge_age(
    found: Summary,
    counted: Option<Summary>,
    marker: &Marker,
    mirrored: Option<u64>,
    tick: u64,
) -> Option<Summary> {
    let counted = counted.unwrap_or(found);
    let marked = marker.mark().map_or(0, |mark| believed(mark.generation));
    if found.users == 0 && marker.says_users() && found.generation <= marked {
        return None;
    }
    let known = marked.max(believed(mirrored.unwrap_or(0))).max(counted.generation);
    if found.generation >= known && counted == found {
        return Some(found);
    }
    Some(Summary { generation: known.saturating_add(LEAP), rolled_back_tick: Some(tick), ..counted })
}

/// A generation as it is told, unless nobody can have counted that far.
fn believed(generation: u64) -> u64 {
    if generation < ABSURD { generation } else { 0 }
}

/// A number that one version of one user's record has and hardly any other.
fn imprint(key: &[u8], version: Version) -> u64 {
    let hash = Sha256::new().chain_update(version.0.to_be_bytes()).chain_update(key).finalize();
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn key(user: &UserName) -> Vec<u8> {
    let prefix = if user.is_reserved() { RESERVED } else { RECORDS };
    [prefix, user.as_str().as_bytes()].concat()
}

fn user_of(key: &[u8]) -> Option<UserName> {
    let name = key.strip_prefix(RECORDS).and_then(|name| std::str::from_utf8(name).ok())?;
    UserName::new(name).ok()
}

/// A value too short for a version is a record with nothing in it: damage, which whoever reads the record will notice.
fn stored(value: &[u8]) -> Stored {
    let (version, bytes) = value.split_first_chunk().unwrap_or((&[0; 8], &[]));
    Stored { bytes: bytes.to_vec(), version: Version(u64::from_be_bytes(*version)) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |error| OpenError::Io { path, error }
}

fn unusable(store: &Path, error: ::sled::Error) -> OpenError {
    match error {
        ::sled::Error::Io(error) if error.kind() != ErrorKind::UnexpectedEof => at(store)(error),
        error => damaged(store, &error.to_string()),
    }
}

fn damaged(store: &Path, why: &str) -> OpenError {
    OpenError::Damaged { store: store.to_owned(), why: why.to_owned() }
}

fn lost(store: &Path, marker: &Marker) -> OpenError {
    OpenError::Lost { store: store.to_owned(), marker: marker.path().to_owned() }
}

/// A record's key is this and the user's name; its value is the version and the record.
const RECORDS: &[u8] = b"r";
const AFTER_RECORDS: &[u8] = b"s";
/// The same for records that are no user's.
const RESERVED: &[u8] = b"d";
/// The key of the [`Summary`].
const SUMMARY: &[u8] = b"m";
/// The first byte of the summary: how this store is laid out.
const FORMAT: u8 = 2;
/// More than can be written in the minute that the marker may be behind.
const LEAP: u64 = 1 << 32;
/// A generation that no store reaches by counting: who says so is damaged, and not believed.
const ABSURD: u64 = 1 << 62;
/// Up to this many users, all records are counted at open; it takes a fraction of a second.
const COUNTED: u64 = 20_000;
/// How far marks may be behind while something is written, and while nothing is.
const MARKER_INTERVAL: Duration = Duration::from_secs(60);
const IDLE_INTERVAL: Duration = Duration::from_secs(600);
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};

    use tempfile::TempDir;

    use super::*;

    fn clock() -> Arc<Clock> {
        Clock::of_this_machine(|_| ())
    }

    /// A folder for a store, its witnesses and copies of it.
    struct Home(TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn place(&self, mirror: bool) -> Place {
            let mirror = mirror.then(|| self.path("generation"));
            Place { path: self.path("store"), cache_mib: 1, mirror }
        }

        fn open(&self) -> SledStore {
            self.try_open(true).unwrap()
        }

        fn try_open(&self, mirror: bool) -> Result<SledStore, OpenError> {
            SledStore::open(&self.place(mirror), clock(), |why| panic!("{why}"))
        }

        fn open_at_once(&self) -> Result<SledStore, OpenError> {
            let around = Surroundings { patience: Duration::ZERO, sync: Box::new(File::sync_data) };
            SledStore::open_with(around, &self.place(true), clock(), |why| panic!("{why}"))
        }

        /// Has sled alone open the store, once it is closed.
        fn tamper(&self, tamper: impl FnOnce(&Db)) {
            drop(lock(&self.path("store/db"), soon()).unwrap());
            tamper(&::sled::Config::new().path(self.path("store")).open().unwrap());
        }

        /// A store of `updates` updates of five users, closed.
        fn filled(updates: u64) -> Self {
            let home = Self::new();
            let store = home.open();
            (0..updates).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
            drop(store);
            home
        }

        fn refusal(&self) -> String {
            self.try_open(true).err().expect("it was opened").to_string()
        }

        fn remove(&self, name: &str) {
            let path = self.path(name);
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
    }

    fn copy(from: &Path, to: &Path) {
        if from.is_file() {
            std::fs::copy(from, to).unwrap();
            return;
        }
        std::fs::create_dir_all(to).unwrap();
        for entry in from.read_dir().unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A record that says which update wrote it, and is long enough to be hit.
    fn record(update: u64) -> Vec<u8> {
        update.to_be_bytes().repeat(20)
    }

    fn put(store: &SledStore, name: &str, update: u64) {
        let answer = match store.load(&user(name)).unwrap() {
            Some(stored) => store.replace(&user(name), stored.version, record(update), soon()),
            None => store.insert_new(&user(name), record(update), soon()),
        };
        assert!(matches!(answer, Ok(Outcome::Done(_))), "{answer:?}");
    }

    fn mark(home: &Home) -> Option<Mark> {
        Marker::read(&home.path("store")).unwrap().mark()
    }

    fn generation(store: &SledStore) -> u64 {
        store.health().unwrap().generation
    }

    #[test]
    fn updates_of_one_group_are_judged_one_after_the_other() {
        let home = Home::new();
        let store = home.open();
        let update = |expected: Option<u64>, record: Option<u8>| {
            let (expected, record) = (expected.map(Version), record.map(|byte| vec![byte]));
            vec![Change { user: user("alice"), expected, record }]
        };
        let group = vec![
            update(None, Some(1)),
            update(None, Some(2)),
            update(Some(1), Some(3)),
            update(Some(1), Some(4)),
            update(Some(2), None),
            update(Some(2), Some(5)),
            update(None, Some(6)),
        ];
        let (db, log) = (store.db.clone().unwrap(), File::open(home.path("store/db")).unwrap());
        let mut writer = Writer {
            path: home.path("store"),
            db,
            log,
            sync: Box::new(File::sync_data),
            marker: Marker::read(&home.path("store")).unwrap(),
            marker_due: None,
            mirror: Mirror::open(None).unwrap().0,
            clock: clock(),
            summary: Summary::default(),
            shared: Arc::clone(&store.summary),
        };
        let answers: Vec<_> = writer.apply(group).unwrap().into_iter().map(Result::unwrap).collect();
        let done = |version| Outcome::Done(Version(version));
        let conflict = Outcome::Conflict;
        assert_eq!(answers, [done(1), conflict, done(2), conflict, done(3), conflict, done(4)]);
        let stored = store.load(&user("alice")).unwrap().unwrap();
        assert_eq!((stored.bytes, stored.version), (vec![6], Version(4)));
        assert_eq!(store.health().unwrap(), Health { kind: "sled", users: 1, generation: 4 });
    }

    #[test]
    fn a_store_that_was_put_back_is_noticed_once_and_remembered() {
        for mirror_alone in [false, true] {
            let home = Home::filled(10);
            copy(&home.path("store"), &home.path("yesterday"));
            let store = home.open();
            put(&store, "user-1", 10);
            let before = generation(&store);
            drop(store);
            home.remove("store");
            copy(&home.path("yesterday"), &home.path("store"));
            home.remove(if mirror_alone { "store.marker" } else { "generation" });
            let store = home.open();
            assert_eq!(store.rolled_back_tick(), Some(0));
            assert!(generation(&store) > before);
            put(&store, "user-2", 11);
            let after = generation(&store);
            drop(store);
            let store = home.open();
            assert_eq!((store.rolled_back_tick(), generation(&store)), (Some(0), after), "noticed twice");
        }
    }

    #[test]
    fn a_store_that_nobody_touched_is_not_suspected() {
        let home = Home::filled(10);
        for mirror in [true, false, true] {
            let store = home.try_open(mirror).unwrap();
            assert_eq!(store.rolled_back_tick(), None);
            put(&store, "user-1", 11);
        }
        std::fs::write(home.path("generation"), "nonsense").unwrap();
        assert_eq!(home.open().rolled_back_tick(), None);
        assert_eq!(std::fs::read_to_string(home.path("generation")).unwrap().trim(), "00000000000000000013");
    }

    #[test]
    fn a_store_that_lost_everything_is_refused_until_its_marker_is_removed() {
        for loss in ["folder", "log", "emptied log", "another, empty store"] {
            let home = Home::filled(10);
            home.remove("generation");
            match loss {
                "folder" => home.remove("store"),
                "log" => home.remove("store/db"),
                "emptied log" => std::fs::write(home.path("store/db"), "").unwrap(),
                _ => {
                    let other = Home::filled(0);
                    home.remove("store");
                    copy(&other.path("store"), &home.path("store"));
                }
            }
            for _ in 0..2 {
                let refusal = home.refusal();
                assert!(refusal.contains("is empty") && refusal.contains("restore a backup"), "{loss}: {refusal}");
            }
            assert!(loss != "folder" || !home.path("store").exists(), "nothing is made before it is refused");
            home.remove("store.marker");
            if loss != "log" && loss != "emptied log" {
                assert_eq!(home.open().health().unwrap().users, 0);
            }
        }
    }

    #[test]
    fn the_last_user_can_be_removed() {
        for clean in [true, false] {
            let home = Home::filled(1);
            let store = home.open();
            let version = store.load(&user("user-0")).unwrap().unwrap().version;
            assert!(matches!(store.remove(&user("user-0"), version, soon()), Ok(Outcome::Done(_))));
            let before = mark(&home);
            drop(store);
            if !clean {
                // As if it had been killed, with the marker still saying that there is a user.
                Marker::read(&home.path("store")).unwrap().write(before.unwrap()).unwrap();
            }
            let store = home.open();
            assert_eq!((store.health().unwrap().users, store.rolled_back_tick()), (0, None));
        }
    }

    #[test]
    fn the_marker_speaks_of_the_first_user_at_once_and_of_the_others_in_time() {
        let home = Home::new();
        let store = home.open();
        assert_eq!(mark(&home), None);
        put(&store, "alice", 0);
        assert_eq!(mark(&home), Some(Mark { users: 1, generation: 1 }));
        put(&store, "bob", 1);
        assert_eq!(mark(&home), Some(Mark { users: 1, generation: 1 }));
        store.close();
        assert_eq!(mark(&home), Some(Mark { users: 2, generation: 2 }));
    }

    #[test]
    fn drafts_of_snapshots_are_removed_and_snapshots_are_kept() {
        let home = Home::filled(30);
        drop(home.open());
        let snapshots = || -> BTreeSet<_> {
            let entries = home.path("store").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
            entries.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("snap.")).collect()
        };
        let before = snapshots();
        assert_eq!(before.len(), 1);
        for draft in ["store/snap.00000000000FFFFF.generating", "store/snap..generating"] {
            std::fs::write(home.path(draft), "torn").unwrap();
        }
        std::fs::write(home.path("store/other.generating"), "not ours").unwrap();
        prepare_folder(&home.path("store")).unwrap();
        assert_eq!(snapshots(), before);
        assert!(home.path("store/other.generating").exists());
        std::fs::write(home.path("store/snap.00000000000FFFFF.generating"), "torn").unwrap();
        assert_eq!(home.open().health().unwrap().users, 5);
        assert!(snapshots().iter().all(|name| !name.ends_with(".generating")));
    }

    #[test]
    fn a_second_process_is_told_and_the_first_goes_on() {
        let home = Home::new();
        let store = home.open();
        let refusal = home.open_at_once().err().unwrap().to_string();
        assert!(refusal.contains("in use by another process"), "{refusal}");
        put(&store, "alice", 0);
        let waiting = std::thread::spawn({
            let place = home.place(true);
            move || SledStore::open(&place, clock(), |_| {}).map(|store| store.health().unwrap().users)
        });
        put(&store, "bob", 1);
        drop(store);
        assert_eq!(waiting.join().unwrap().unwrap(), 2);
    }

    #[test]
    fn a_lock_that_sled_still_holds_is_waited_for_as_well() {
        let home = Home::filled(1);
        home.tamper(|_| assert!(matches!(home.open_at_once().err(), Some(OpenError::InUse(_)))));
        assert_eq!(home.open().health().unwrap().users, 1);
    }

    #[test]
    fn every_file_is_private_whatever_was_before() {
        let home = Home::filled(10);
        for (name, mode) in [("store", 0o755), ("store/db", 0o644), ("store/blobs", 0o777)] {
            std::fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
        }
        put(&home.open(), "alice", 10);
        let mut folders = vec![home.0.path().to_owned()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let (path, found) = (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap());
                let expected = if found.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(found.permissions().mode() & 0o7777, expected, "{}", path.display());
                seen += 1;
                if found.is_dir() {
                    folders.push(path);
                }
            }
        }
        assert!(seen >= 8, "store, its db, conf, blobs and snapshot; lock, marker, mirror; not {seen}");
    }

    /// A store whose disk fails when the switch is thrown, the count of syncs, and what `fatal` heard.
    fn failing(home: &Home) -> (SledStore, Arc<AtomicBool>, Arc<AtomicUsize>, Receiver<String>) {
        let (fails, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (switch, counter) = (Arc::clone(&fails), Arc::clone(&syncs));
        let sync = move |log: &File| {
            counter.fetch_add(1, Ordering::SeqCst);
            if switch.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(5)) } else { log.sync_data() }
        };
        let (fatal, heard) = channel();
        let fatal = Mutex::new(fatal);
        let around = Surroundings { patience: Duration::ZERO, sync: Box::new(sync) };
        let tell = move |why: &str| fatal.lock().unwrap().send(why.to_owned()).unwrap();
        let store = SledStore::open_with(around, &home.place(true), clock(), tell).unwrap();
        (store, fails, syncs, heard)
    }

    #[test]
    fn an_update_is_synced_before_it_is_acknowledged_and_a_conflict_needs_none() {
        let home = Home::new();
        let (store, _, syncs, _heard) = failing(&home);
        for update in 0..3 {
            let before = syncs.load(Ordering::SeqCst);
            put(&store, "alice", update);
            assert_eq!(syncs.load(Ordering::SeqCst), before + 1);
        }
        let before = syncs.load(Ordering::SeqCst);
        assert_eq!(store.insert_new(&user("alice"), vec![], soon()), Ok(Outcome::Conflict));
        assert_eq!(syncs.load(Ordering::SeqCst), before);
    }

    #[test]
    fn a_failed_sync_ends_the_store_at_once_and_for_ever() {
        let home = Home::new();
        let (store, fails, syncs, heard) = failing(&home);
        put(&store, "alice", 0);
        let version = store.load(&user("alice")).unwrap().unwrap().version;
        fails.store(true, Ordering::SeqCst);
        assert_eq!(store.replace(&user("alice"), version, record(1), soon()), Err(Unavailable));
        let sentence = heard.recv().unwrap();
        assert!(sentence.contains("failed: Input/output error") && sentence.ends_with("check the disk"), "{sentence}");
        fails.store(false, Ordering::SeqCst);
        let before = syncs.load(Ordering::SeqCst);
        assert_eq!(store.replace(&user("alice"), version, record(2), soon()), Err(Unavailable));
        assert_eq!(store.insert_new(&user("bob"), record(2), soon()), Err(Unavailable));
        assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
        assert_eq!(store.list(None, 1).unwrap_err(), Unavailable);
        assert_eq!(store.health(), Err(Unavailable));
        drop(store);
        assert_eq!(syncs.load(Ordering::SeqCst), before, "no sync is tried again");
        assert_eq!(heard.iter().count(), 0, "it is said once");
    }

    #[test]
    fn a_panic_while_reading_ends_the_store() {
        let home = Home::new();
        let (store, _, _, heard) = failing(&home);
        put(&store, "alice", 0);
        assert_eq!(store.read(|_| -> ::sled::Result<()> { panic!("as ordered") }), Err(Unavailable));
        assert!(heard.recv().unwrap().contains("its library panicked"));
        assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    }

    #[test]
    fn a_marker_that_cannot_be_written_fails_the_first_enrolment() {
        let home = Home::new();
        let (store, _, _, heard) = failing(&home);
        std::fs::create_dir(home.path("store.marker.new")).unwrap();
        assert_eq!(store.insert_new(&user("alice"), vec![], soon()), Err(Unavailable));
        assert_eq!(heard.iter().take(1).count(), 1);
    }

    #[test]
    fn a_store_of_another_make_is_refused() {
        let tampered = |tamper: fn(&Db)| {
            let home = Home::filled(10);
            home.tamper(tamper);
            home.refusal()
        };
        let newer = tampered(|db| _ = db.insert(SUMMARY, &[FORMAT + 1]).unwrap());
        assert!(newer.contains("newer version"), "{newer}");
        for tamper in [
            (|db| _ = db.remove(SUMMARY).unwrap()) as fn(&Db),
            |db| _ = db.insert(SUMMARY, &[FORMAT, 0]).unwrap(),
            |db| (0..5).for_each(|n| _ = db.remove(format!("ruser-{n}")).unwrap()),
        ] {
            let refusal = tampered(tamper);
            assert!(refusal.contains("is damaged") && refusal.ends_with("restore a backup"), "{refusal}");
        }
    }

    #[test]
    fn one_damaged_record_is_one_users_trouble_and_no_version_is_given_twice() {
        let home = Home::filled(10);
        home.tamper(|db| {
            db.insert(key(&user("user-1")), b"short").unwrap();
            db.insert(key(&user("user-2")), &[9; 9]).unwrap();
        });
        let store = home.open();
        assert!(store.load(&user("user-1")).unwrap().unwrap().bytes.is_empty(), "damage is for the reader to notice");
        assert_eq!(store.insert_new(&user("user-1"), vec![], soon()), Ok(Outcome::Conflict));
        put(&store, "user-2", 11);
        let version = store.load(&user("user-2")).unwrap().unwrap().version;
        assert_ne!(version.0, u64::from_be_bytes([9; 8]));
        put(&store, "user-3", 12);
        assert!(store.load(&user("user-3")).unwrap().unwrap().version.0 > version.0);
    }

    #[test]
    fn a_store_in_which_one_user_is_older_than_the_others_is_noticed() {
        for loss in [|db: &Db| _ = db.insert("ruser-1", &[0; 9]).unwrap(), |db: &Db| _ = db.remove("ruser-1").unwrap()]
        {
            let home = Home::filled(10);
            home.tamper(loss);
            let store = home.open();
            assert_eq!(store.rolled_back_tick(), Some(0));
            let (users, before) = (store.list(None, 99).unwrap().len(), generation(&store));
            assert!(store.health().unwrap().users == users as u64 && before > LEAP);
            put(&store, "user-1", 11);
            drop(store);
            let store = home.open();
            assert_eq!(generation(&store), before + 1, "noticed twice");
        }
    }

    /// Opens a damaged store. Either it is refused, or what it holds is what it held after some earlier update, and it
    /// knows that it is older.
    fn survives(home: &Home, updates: u64, what: &str) {
        let store = match home.try_open(true) {
            Ok(store) => store,
            Err(OpenError::Damaged { .. } | OpenError::Lost { .. } | OpenError::Io { .. }) => return,
            Err(other) => panic!("{what}: {other}"),
        };
        let update_of = |number: u64| {
            let stored = store.load(&user(&format!("user-{number}"))).ok()?;
            stored.map(|stored| {
                let update = u64::from_be_bytes(*stored.bytes.first_chunk().unwrap());
                assert!(stored.bytes == record(update) && update % 5 == number, "{what}: never stored");
                update
            })
        };
        let found: Vec<_> = (0..5).filter_map(update_of).collect();
        let last = *found.iter().max().unwrap_or_else(|| panic!("{what}: empty"));
        let expected: Vec<_> = (0..5).filter_map(|user| (0..=last).rev().find(|update| update % 5 == user)).collect();
        assert_eq!(found, expected, "{what}: of different times");
        assert_eq!(store.rolled_back_tick().is_some(), last + 1 < updates, "{what}: {last} of {updates}");
    }

    fn damage_everywhere(snapshot: bool, mut damage: impl FnMut(&mut Vec<u8>, usize)) {
        const UPDATES: u64 = 60;
        let home = Home::filled(UPDATES);
        if snapshot {
            drop(home.open());
        }
        let whole = std::fs::read(home.path("store/db")).unwrap();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
        let stride = used / 80 + 1;
        for offset in (0..used).step_by(stride) {
            let copied = Home::new();
            copy(home.0.path(), copied.0.path());
            let mut bytes = whole.clone();
            damage(&mut bytes, offset);
            std::fs::write(copied.path("store/db"), bytes).unwrap();
            survives(&copied, UPDATES, &format!("offset {offset}"));
        }
    }

    #[test]
    fn a_truncated_store_is_refused_or_knows_that_it_is_older() {
        damage_everywhere(false, |bytes, offset| bytes.truncate(offset));
        damage_everywhere(true, |bytes, offset| bytes.truncate(offset));
    }

    #[test]
    fn a_store_with_a_flipped_bit_is_refused_or_knows_that_it_is_older() {
        damage_everywhere(false, |bytes, offset| bytes[offset] ^= 1 << (offset % 8));
        damage_everywhere(true, |bytes, offset| bytes[offset] ^= 1 << (offset % 8));
    }
}
