//! The one who writes: judges a group of updates, makes it durable in one go, and tells the witnesses.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::sled::{Batch, Db};
use common::names::user::UserName;

use super::rows::{key, stored};
use super::summary::{ABSURD, SUMMARY, Summary};
use crate::clock::Clock;
use crate::store::commit::{Answer, Apply};
use crate::store::marker::{Age, Mark, Marker, Mirror, settle_folder};
use crate::store::{Outcome, Unavailable, Version};

/// What one caller wants: all of it, or nothing. None at all makes the mark of the clock durable.
pub(super) type Update = Vec<Change>;

/// A change of one user's record: from `expected`, or nothing, to `record`, or nothing.
pub(super) struct Change {
    pub(super) user: UserName,
    pub(super) expected: Option<Version>,
    pub(super) record: Option<Vec<u8>>,
}

pub(super) type SyncData = Box<dyn Fn(&File) -> io::Result<()> + Send>;

/// The only one who writes: the committer's thread.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) db: Db,
    /// sled's `db` file, opened by us before its first write, so that no error of writing it back can escape this
    /// descriptor.
    pub(super) log: File,
    pub(super) sync: SyncData,
    pub(super) marker: Marker,
    pub(super) marker_due: Option<Instant>,
    pub(super) mirror: Mirror,
    pub(super) clock: Arc<Clock>,
    pub(super) summary: Summary,
    pub(super) shared: Arc<Mutex<Summary>>,
}

/// A group of updates on its way.
pub(super) struct Plan {
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
    pub(super) fn settle(&mut self) -> io::Result<()> {
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

/// How far marks may be behind while something is written, and while nothing is.
const MARKER_INTERVAL: Duration = Duration::from_secs(60);
const IDLE_INTERVAL: Duration = Duration::from_secs(600);
