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

use super::marker::{Age, Mark, Marker, Mirror, beside, lock, prepare_folder, settle_folder};
use super::{Health, Outcome, Store, Stored, Unavailable, Version};
use crate::clock::mark::{Mark as ClockMark, NUMBERS};
use crate::clock::{Clock, Look};
use crate::commit::{Answer, Apply, Committer};

/// Where the store lies, and what it may use.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder. Its lock and its marker lie beside it: the same path with `.lock` and `.marker`.
    pub path: PathBuf,
    /// What sled may keep in memory, in MiB. It takes several times as much.
    pub cache_mib: u32,
    /// A file on a tmpfs that mirrors the store's age.
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
        let Look { now, tick, .. } = clock.look();
        let summary = judge_age(found, counted, &marker, mirrored, tick).ok_or_else(|| lost(path, &marker))?;
        if summary.rolled_back_tick != found.rolled_back_tick || summary.generation != found.generation {
            clock.doubt_the_store(known_to_be_spent(&marker, mirrored, now));
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

    fn keep_mark(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        self.committer.submit(Vec::new(), deadline)
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

/// What one caller wants: all of it, or nothing. None at all makes the mark of the clock durable.
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
        let keeps_mark = group.iter().any(Vec::is_empty);
        let answers = group.into_iter().map(|update| self.judge(&mut plan, update)).collect();
        if keeps_mark || plan.summary != self.summary {
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
        let mark = self.mark();
        self.mirror.write(mark.age);
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

    /// What has become durable is told to the readers, the mirror and, the first user at once, the marker. It hears at once, too,
    /// of a step that was spent ahead of its time: nothing else will know of it after a boot.
    fn bear_witness(&mut self, summary: Summary) -> io::Result<()> {
        self.summary = summary;
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = summary;
        let mark = self.mark();
        self.mirror.write(mark.age);
        let ahead = self.clock.mark().spent_ahead() && self.marker.spent() < mark.age.spent;
        if ahead || summary.users > 0 && !self.marker.says_users() {
            return self.write_marker();
        }
        let soon = Instant::now().checked_add(MARKER_INTERVAL);
        self.marker_due = self.marker_due.min(soon).or(soon);
        Ok(())
    }

    fn write_marker(&mut self) -> io::Result<()> {
        self.marker_due = Instant::now().checked_add(IDLE_INTERVAL);
        self.marker.write(self.mark())
    }

    /// What the witnesses are to know.
    fn mark(&self) -> Mark {
        let Summary { users, generation, .. } = self.summary;
        Mark { users, age: Age { generation, spent: self.clock.mark().spent() } }
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
    mirrored: Option<Age>,
    tick: u64,
) -> Option<Summary> {
    let counted = counted.unwrap_or(found);
    let marked = marker.mark().map_or(0, |mark| believed(mark.age.generation));
    if found.users == 0 && marker.says_users() && found.generation <= marked {
        return None;
    }
    let known = marked.max(mirrored.map_or(0, |age| believed(age.generation))).max(counted.generation);
    if found.generation >= known && counted == found {
        return Some(found);
    }
    // What was made after an earlier one within the same second bears a later stamp than the second has.
    let rolled_back_tick = Some(found.rolled_back_tick.map_or(tick, |earlier| tick.max(earlier.saturating_add(1))));
    Some(Summary { generation: known.saturating_add(LEAP), rolled_back_tick, ..counted })
}

/// When the latest step begins that the witnesses know to be spent. The marker hears at once only of steps that are spent ahead
/// of their time: where it is alone, every step up to now may be.
fn known_to_be_spent(marker: &Marker, mirrored: Option<Age>, now: u64) -> u64 {
    marker.spent().max(mirrored.map_or(now, |age| age.spent))
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
const FORMAT: u8 = 3;
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
mod tests;
