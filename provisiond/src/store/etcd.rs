//! The store on a cluster of etcd, for a fleet: several daemons share the records, and of two that
//! spend one code exactly one succeeds. Each update is one transaction that compares revisions.
//!
//! Knows bytes and versions, never the meaning of a record. What is this machine's own, the mark of
//! its clock and how far the store had come, stays in a file of this machine.

mod fault;
mod keys;
pub mod moving;
mod nodes;
mod notes;
mod opening;
pub mod preparing;
mod reads;
mod state;
mod updates;
mod version;
mod wire;
mod witness;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::config::{EtcdSettings, Trust};
use common::names::user::UserName;
use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp};
use nix::fcntl::Flock;

use self::keys::{Keys, WriteId};
use self::nodes::Nodes;
pub use self::opening::OpenError;
use self::opening::{Age, Found, age_of, at, claim, found_or_begun};
use self::reads::{Reads, Rows};
use self::state::{FleetClock, State};
use self::updates::{Change, Judged, Update, range, reading, rows, rows_of_range};
use self::version::{EtcdVersion, LEAST};
use self::witness::{Remembered, Seen, Witness};
use super::marker::beside;
use super::moving::Fence;
use super::{Health, Incomplete, Measures, Note, Outcome, Store, Stored, Unavailable, Version};
use crate::clock::Clock;

/// What the store tells while it is opened and served.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// No member does what it is asked: what is wrong, and the next step.
    NotReached(String),
    /// A member does so again.
    Reached,
}

/// Hears what the store tells.
type Tell = Arc<dyn Fn(Told) + Send + Sync>;
/// Hears, once, why the daemon has to begin anew.
type Fatal = Box<dyn Fn(&str) + Send + Sync>;

/// The settings of the store, and what this machine has of it.
pub struct Place<'a> {
    /// The cluster.
    pub settings: &'a EtcdSettings,
    /// Whose files of TLS are trusted.
    pub trust: &'a Trust,
    /// A file on a tmpfs that mirrors the store's age.
    pub mirror: Option<PathBuf>,
}

/// The store.
pub struct EtcdStore {
    nodes: Nodes,
    keys: Keys,
    timeout: Duration,
    clock: Arc<Clock>,
    known: Mutex<Known>,
    witness: Mutex<Witness>,
    reads: Reads,
    /// The revision in which a record was last removed, as far as this daemon knows.
    removed: AtomicI64,
    users: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
    path: PathBuf,
    _lock: Flock<File>,
}

/// The state that every update requires.
#[derive(Clone, Copy)]
struct Known {
    state: State,
    /// The revision in which it was written.
    revision: i64,
}

impl EtcdStore {
    /// Opens the store, or begins it. This machine's clock resumes from its own mark, and learns of a
    /// roll-back of the store. `tell` hears of a cluster that does not answer; `fatal` is called at
    /// most once, with a sentence, when the store was put back from a snapshot while it was served:
    /// no call works after that, and a new process judges what is lost.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place<'_>,
        clock: Arc<Clock>,
        tell: impl Fn(Told) + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let hearers: (Tell, Fatal) = (Arc::new(tell), Box::new(fatal));
        let (store, fence) = Self::open_with(LEAST, place, clock, hearers)?;
        match fence {
            None => Ok(store),
            Some(fence) => Err(OpenError::Fenced(place.settings.prefix.clone(), fence)),
        }
    }

    /// Opens the store, and returns the fence that it may have. Behind a fence no daemon serves it.
    fn open_with(
        least: EtcdVersion,
        place: &Place<'_>,
        clock: Arc<Clock>,
        hearers: (Tell, Fatal),
    ) -> Result<(Self, Option<Fence>), OpenError> {
        let settings = place.settings;
        let path = settings.path.as_path();
        let lock = claim(path, after(LOCK_WAIT))?;
        let (witness, remembered) =
            Witness::read(path, place.mirror.as_deref()).map_err(at(&beside(path, ".etcd")))?;
        let nodes =
            Nodes::new((settings, place.trust), least, hearers).map_err(OpenError::Files)?;
        let (keys, prefix) = (Keys::new(&settings.prefix), settings.prefix.as_str());
        let file = beside(path, ".etcd");
        let deadline = after(settings.timeout);
        let before = remembered.as_ref().map(|told| (told, file.as_path()));
        let found = found_or_begun(&nodes, &keys, &clock, (prefix, before), deadline)?;
        resume(&clock, &found, remembered.as_ref());
        let known = Known {
            state: found.state,
            revision: found.state_revision,
        };
        let store = Self {
            nodes,
            keys,
            timeout: settings.timeout,
            clock,
            known: Mutex::new(known),
            witness: Mutex::new(witness),
            reads: Reads::default(),
            removed: AtomicI64::default(),
            users: AtomicU64::new(found.users),
            commits: AtomicU64::default(),
            records: AtomicU64::default(),
            path: path.to_owned(),
            _lock: lock,
        };
        if found.fence.is_none() {
            store.judge_age(remembered.as_ref(), (prefix, &file), deadline)?;
            store.remember().map_err(at(&file))?;
            store.nodes.serve();
        }
        Ok((store, found.fence))
    }

    /// Finds out whether the store went back, and makes that known to all daemons.
    fn judge_age(
        &self,
        remembered: Option<&Remembered>,
        (prefix, witness): (&str, &std::path::Path),
        deadline: Instant,
    ) -> Result<(), OpenError> {
        let before = remembered.map(|told| &told.seen);
        let known = *self.known();
        match age_of(
            &known.state,
            self.nodes.cluster(),
            self.nodes.revision(),
            before,
        ) {
            Age::Grown => return Ok(()),
            Age::Other => {
                return Err(OpenError::Other {
                    prefix: prefix.to_owned(),
                    witness: witness.to_owned(),
                });
            }
            Age::RolledBackBefore => {}
            Age::RolledBack => {
                let seen = before.map_or((0, 0), |seen| (seen.epoch, seen.users));
                let epoch = known.state.epoch.max(seen.0);
                let users = self.users.load(Ordering::SeqCst).max(seen.1);
                let stamp = self.clock.moment(known.state.rolled_back_tick).stamp();
                let next = known.state.rolled_back(epoch, stamp, users);
                // If another daemon was faster, it has found the same.
                let _ = self.write_state(next, deadline)?;
            }
        }
        // Every step up to now may have been used on any machine of the fleet.
        let spent = before.map_or(0, |seen| seen.spent);
        let now = self.clock.moment(None).now;
        self.clock.doubt_the_store(now.max(spent));
        Ok(())
    }

    /// Writes the state, if it still is as this daemon knows it. Another daemon that was faster has
    /// found the same: then its state holds.
    fn write_state(&self, next: State, deadline: Instant) -> Result<Outcome, nodes::Failure> {
        let mut known = self.known();
        let key = self.keys.state();
        let txn = Txn::new()
            .when([Compare::mod_revision(
                key.clone(),
                CompareOp::Equal,
                known.revision,
            )])
            .and_then([TxnOp::put(key.clone(), next.to_bytes(), None)])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.nodes.ask(&txn, deadline)?;
        if answer.response.succeeded() {
            *known = Known {
                state: next,
                revision: answer.revision,
            };
            return Ok(Outcome::Done(keys::version(answer.revision)));
        }
        let row = rows(&answer.response).into_iter().next().flatten();
        let found = row.and_then(|row| Some((State::parse(row.value()).ok()?, row.mod_revision())));
        match found {
            Some((state, revision)) if state.id == known.state.id => {
                *known = Known { state, revision };
                // Sent twice, the second one finds what the first one wrote.
                Ok(match state == next {
                    true => Outcome::Done(keys::version(revision)),
                    false => Outcome::Conflict,
                })
            }
            _ => {
                self.nodes.fail(STATE_IS_GONE);
                Ok(Outcome::Unknown)
            }
        }
    }

    /// Takes over the state that another daemon has written.
    fn follow_state(&self, deadline: Instant) {
        let Ok(answer) = self.nodes.ask(&reading([self.keys.state()]), deadline) else {
            return;
        };
        let row = rows(&answer.response).into_iter().next().flatten();
        let found = row.and_then(|row| Some((State::parse(row.value()).ok()?, row.mod_revision())));
        let mut known = self.known();
        match found {
            Some((state, revision)) if state.id == known.state.id => {
                let is_rolled_back = state.epoch > known.state.epoch;
                *known = Known { state, revision };
                drop(known);
                if is_rolled_back {
                    self.clock.doubt_the_store(self.clock.moment(None).now);
                }
            }
            _ => {
                drop(known);
                self.nodes.fail(STATE_IS_GONE);
            }
        }
    }

    fn update(
        &self,
        changes: Vec<Change>,
        (id, trace): (WriteId, Option<Vec<u8>>),
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let mut update = self.planned(changes, (id, trace));
        loop {
            match self.attempt(&update, deadline)? {
                Judged::Outcome(outcome) => return Ok(outcome),
                Judged::StateChanged => return Err(Unavailable),
                Judged::RemovedSince(revision) => {
                    self.removed.store(revision, Ordering::SeqCst);
                    update.removed = revision;
                }
            }
        }
    }

    fn planned(&self, changes: Vec<Change>, (id, trace): (WriteId, Option<Vec<u8>>)) -> Update<'_> {
        let clock = FleetClock {
            tick: self.clock.moment_of_question(None).tick,
            mark: self.clock.mark(),
        };
        Update {
            keys: &self.keys,
            id,
            state: self.known().revision,
            removed: self.removed.load(Ordering::SeqCst),
            changes,
            trace,
            clock,
        }
    }

    fn attempt(&self, update: &Update<'_>, deadline: Instant) -> Result<Judged, Unavailable> {
        if self.nodes.is_over() || Instant::now() >= deadline {
            return Err(Unavailable);
        }
        let answer = match self.nodes.ask(&update.txn(), deadline) {
            Ok(answer) => answer,
            Err(failure) if failure.is_doubtful => return Ok(Judged::Outcome(Outcome::Unknown)),
            Err(_) => return Err(Unavailable),
        };
        let judged = update.judge(&answer.response, answer.revision, answer.was_doubtful);
        match judged {
            Judged::StateChanged => {
                // The verdict was made without knowing of the roll-back, so it does not count.
                self.follow_state(deadline);
                if answer.was_doubtful {
                    return Ok(Judged::Outcome(Outcome::Unknown));
                }
            }
            Judged::Outcome(Outcome::Done(version)) => self.is_made(update, version),
            Judged::Outcome(_) | Judged::RemovedSince(_) => {}
        }
        Ok(judged)
    }

    fn is_made(&self, update: &Update<'_>, version: Version) {
        let records = u64::try_from(update.changes.len()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        if update.removes() {
            self.removed
                .store(keys::revision(version), Ordering::SeqCst);
        }
        self.note();
    }

    fn put(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: &[u8],
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let id = WriteId::random().ok_or(Unavailable)?;
        let (key, row) = (self.keys.record(user), keys::row(id, record));
        let change = match expected {
            None => Change::Insert(key.clone(), row),
            Some(version) => Change::Replace(key.clone(), keys::revision(version), row),
        };
        self.update(vec![change], (id, Some(key)), deadline)
    }

    /// The answer to a question that changes nothing.
    fn read(&self, txn: &Txn) -> Result<nodes::Answer, Unavailable> {
        self.read_until(txn, after(self.timeout))
    }

    fn read_until(&self, txn: &Txn, deadline: Instant) -> Result<nodes::Answer, Unavailable> {
        match self.nodes.is_over() {
            true => Err(Unavailable),
            false => self.nodes.ask(txn, deadline).map_err(|_| Unavailable),
        }
    }

    /// The records of these users, in one question with those that other threads want.
    fn rows(&self, users: &[&UserName]) -> Result<Rows, Unavailable> {
        let deadline = after(self.timeout);
        let ask = |keys| -> Result<Rows, Unavailable> {
            let answer = self.read_until(&reading(keys), deadline)?;
            Ok(rows(&answer.response).into_iter().map(stored).collect())
        };
        let keys = users.iter().map(|user| self.keys.record(user)).collect();
        self.reads.rows(keys, deadline, ask)
    }

    /// Tells the witness how far the store has come. One that cannot be written detects less later;
    /// the update stands.
    fn note(&self) {
        let (seen, mark) = (self.seen(), self.clock.mark());
        // Another thread that writes it at this moment knows as much.
        if let Ok(mut witness) = self.witness.try_lock() {
            _ = witness.note(seen, mark);
        }
    }

    /// Makes the witness durable, and the mark of the clock with it.
    fn remember(&self) -> std::io::Result<()> {
        let (seen, mark) = (self.seen(), self.clock.mark());
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        witness.write(seen, mark)
    }

    fn seen(&self) -> Seen {
        let state = self.known().state;
        Seen {
            store: state.id,
            cluster: self.nodes.cluster(),
            epoch: state.epoch,
            revision: self.nodes.revision(),
            users: self.users.load(Ordering::SeqCst),
            spent: self.clock.mark().spent(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This machine's clock goes on from its own mark, or, on a machine that is new in the fleet, from the
/// fleet's: a clock that is behind it is noticed. Its trusted time is never behind the fleet's.
fn resume(clock: &Clock, found: &Found, remembered: Option<&Remembered>) {
    let fleet = found.clock.map(|fleet| fleet.mark);
    let mark = remembered.map(|told| told.mark).or(fleet);
    clock.resume(mark, found.state.rolled_back_tick);
    let tick = found.clock.map_or(0, |fleet| fleet.tick);
    let least = tick.max(
        found
            .state
            .rolled_back_tick
            .map_or(0, |tick| tick.saturating_add(1)),
    );
    clock.resume(Some(clock.mark()), least.checked_sub(1));
}

impl Store for EtcdStore {
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable> {
        Ok(self.rows(&[user])?.pop().flatten())
    }

    fn load_many(&self, users: &[&UserName]) -> Result<Vec<Option<Stored>>, Unavailable> {
        let parts = users.chunks(reads::MOST_KEYS).map(|part| self.rows(part));
        Ok(parts
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    fn insert_new(
        &self,
        user: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.put(user, None, &record, deadline)
    }

    fn replace(
        &self,
        user: &UserName,
        expected: Version,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.put(user, Some(expected), &record, deadline)
    }

    fn remove(
        &self,
        user: &UserName,
        expected: Version,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let id = WriteId::random().ok_or(Unavailable)?;
        let change = Change::Remove(self.keys.record(user), keys::revision(expected));
        self.update(vec![change], (id, None), deadline)
    }

    fn rename(
        &self,
        user: &UserName,
        expected: Version,
        to: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let id = WriteId::random().ok_or(Unavailable)?;
        let (from, key) = (self.keys.record(user), self.keys.record(to));
        if from == key {
            return Ok(Outcome::Conflict);
        }
        let changes = vec![
            Change::Remove(from, keys::revision(expected)),
            Change::Insert(key.clone(), keys::row(id, &record)),
        ];
        self.update(changes, (id, Some(key)), deadline)
    }

    fn list(
        &self,
        after: Option<&UserName>,
        limit: usize,
    ) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        let (mut from, to) = self.keys.users();
        if let Some(user) = after {
            from = self.keys.after(user);
        }
        let mut listed = Vec::new();
        while listed.len() < limit {
            let page = Txn::new().and_then([range((from.clone(), to.clone()), PAGE)]);
            let answer = self.read(&page)?;
            let (rows, _) = rows_of_range(&answer.response, 0);
            let Some(last) = rows.last() else {
                break;
            };
            from = [last.key(), b"\0"].concat();
            // A key without a valid user name is a trace of damage. It hides no other user.
            listed.extend(rows.iter().filter_map(|row| {
                let user = self.keys.user_of(row.key())?;
                Some((user, keys::stored(row.value(), row.mod_revision())))
            }));
        }
        listed.truncate(limit);
        Ok(listed)
    }

    fn health(&self) -> Result<Health, Unavailable> {
        let look = [
            range(self.keys.users(), 0),
            TxnOp::get(self.keys.last(), None),
        ];
        let answer = self.read(&Txn::new().and_then(look))?;
        let (_, users) = rows_of_range(&answer.response, 0);
        self.users.store(users, Ordering::SeqCst);
        let (last, _) = rows_of_range(&answer.response, 1);
        let generation = last.first().map_or(0, KeyValue::mod_revision);
        Ok(Health {
            kind: "etcd",
            users,
            generation: u64::try_from(generation).unwrap_or(0),
            copy: None,
        })
    }

    fn measures(&self) -> Measures {
        let bytes = self.nodes.database_bytes(after(self.timeout));
        Measures {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            bytes: bytes.map(|bytes| ("store", bytes)).into_iter().collect(),
        }
    }

    fn rolled_back_tick(&self) -> Option<u64> {
        self.known().state.rolled_back_tick
    }

    fn incomplete(&self) -> Option<Incomplete> {
        self.known().state.incomplete
    }

    fn keep_mark(&self, _: Instant) -> Result<Outcome, Unavailable> {
        if self.nodes.is_over() || self.remember().is_err() {
            return Err(Unavailable);
        }
        Ok(Outcome::Done(Version(self.nodes.revision())))
    }

    fn accept_loss(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        if self.nodes.is_over() {
            return Err(Unavailable);
        }
        let complete = State {
            incomplete: None,
            ..self.known().state
        };
        match self.write_state(complete, deadline) {
            Ok(outcome) => Ok(outcome),
            Err(failure) if failure.is_doubtful => Ok(Outcome::Unknown),
            Err(_) => Err(Unavailable),
        }
    }

    /// Etcd keeps a deleted key in its history until it is compacted; the guide has that done hourly.
    fn will_delete(&self) {}

    fn exchange_notes(&self, note: &[u8], gone: &[String]) -> Result<Vec<Note>, Unavailable> {
        self.exchange(note, gone)
    }

    fn close(&self) {
        if !self.nodes.is_over() {
            _ = self.remember();
        }
        self.nodes.close();
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.close();
    }
}

fn stored(row: Option<KeyValue>) -> Option<Stored> {
    row.map(|row| keys::stored(row.value(), row.mod_revision()))
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Rows of one answer. gRPC takes 4 MiB, and a record has 4 KiB.
const PAGE: i64 = 256;
const STATE_IS_GONE: &str = "the records have moved to another store, or the state of this one was removed from etcd, or \
                             belongs to another store: the daemon begins anew, and says what it finds";

#[cfg(test)]
pub(super) mod tests;
