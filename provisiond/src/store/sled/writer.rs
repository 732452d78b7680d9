//! The writer of the committer thread: checks a group of updates, makes it durable in the journal with
//! one fdatasync, and updates the overlay and the witnesses (marker and mirror).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::sled::Db;
use common::names::user::UserName;

use super::base::Base;
use super::counted::Counted;
use super::erasing::ERASED;
use super::overlay::Overlay;
use super::rows::{Merged, key, stored};
use super::summary::{ABSURD, SUMMARY, Summary};
use crate::clock::Clock;
use crate::store::commit::{Answer, Apply};
use crate::store::journal::Journal;
use crate::store::journal::frame::Row;
use crate::store::journal::snapshot::Start;
use crate::store::marker::{Marker, Mirror, StoreMark, settle_folder};
use crate::store::{Outcome, Unavailable, Version};

/// The update of one caller.
pub(super) enum Update {
    /// All of these changes, or none.
    Records(Vec<Change>),
    /// This change, and the marker becomes durable with it.
    Enrolment(Change),
    /// The mark of the clock and the marker become durable.
    KeepMark,
    /// The same, and the store counts as complete.
    AcceptLoss,
    /// A snapshot begins here: with a new segment of the journal.
    BeginCopy(Sender<Start>),
}

/// A change of one user's record: from version `expected`, or no record, to `record`, or no record.
pub(super) struct Change {
    pub(super) user: UserName,
    pub(super) expected: Option<Version>,
    pub(super) record: Option<Vec<u8>>,
}

impl Change {
    pub(super) fn of(user: &UserName, expected: Option<Version>, record: Option<Vec<u8>>) -> Self {
        Self {
            user: user.clone(),
            expected,
            record,
        }
    }
}

/// The only writer of the store. Runs on the committer thread.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) db: Db,
    pub(super) overlay: Arc<Overlay>,
    pub(super) journal: Journal,
    pub(super) marker: Marker,
    pub(super) marker_due: Option<Instant>,
    pub(super) mirror: Mirror,
    pub(super) clock: Arc<Clock>,
    pub(super) summary: Summary,
    pub(super) shared: Arc<Mutex<Summary>>,
    /// The next update deletes a key.
    pub(super) deletes: Arc<AtomicBool>,
    pub(super) counted: Arc<Counted>,
}

/// A group of updates before its commit.
pub(super) struct Plan {
    rows: Vec<Row>,
    summary: Summary,
    /// A caller waits for the marker.
    tells_marker: bool,
    /// The versions after the earlier updates of this group.
    versions: HashMap<UserName, Option<Version>>,
}

impl Plan {
    /// Adds a change whose expected version is the present one.
    fn add(&mut self, change: Change) {
        let generation = self.summary.generation.saturating_add(1);
        let made = change.record.as_ref().map(|_| Version(generation));
        let key = key(&change.user);
        self.summary.generation = generation;
        self.summary.follow(&key, change.expected, made);
        let value = change
            .record
            .map(|record| [&generation.to_be_bytes(), record.as_slice()].concat());
        self.rows.push(row(&key, value));
        self.versions.insert(change.user, made);
    }
}

impl Apply for Writer {
    type Update = Update;

    fn bytes(update: &Update) -> usize {
        let changes = match update {
            Update::Records(changes) => changes.as_slice(),
            Update::Enrolment(change) => std::slice::from_ref(change),
            Update::KeepMark | Update::AcceptLoss | Update::BeginCopy(_) => &[],
        };
        changes
            .iter()
            .filter_map(|change| change.record.as_ref())
            .map(Vec::len)
            .fold(0, usize::saturating_add)
    }

    fn apply(&mut self, group: Vec<Update>) -> Result<Vec<Answer>, String> {
        let mut plan = Plan {
            rows: Vec::new(),
            summary: self.summary,
            tells_marker: false,
            versions: HashMap::new(),
        };
        let answers = group
            .into_iter()
            .map(|update| self.judge(&mut plan, update))
            .collect();
        if plan.tells_marker || plan.summary != self.summary {
            let records = plan.rows.len();
            self.make_durable(plan.rows, plan.summary)
                .and_then(|()| self.bear_witness(plan.summary, plan.tells_marker))
                .map_err(|error| failed(&self.path, &error))?;
            self.counted.commit(records);
        }
        Ok(answers)
    }

    fn chore_due(&self) -> Option<Instant> {
        self.marker_due
    }

    fn chore(&mut self) -> Result<(), String> {
        self.make_durable(Vec::new(), self.summary)
            .and_then(|()| self.write_marker())
            .map_err(|error| failed(&self.path, &error))
    }
}

impl Writer {
    /// Makes the state after opening durable, and writes the witnesses.
    pub(super) fn settle(&mut self, base: &mut Base) -> io::Result<()> {
        let summary = self.summary;
        let mut merged = Merged::default();
        merged.add([row(SUMMARY, Some(summary.to_bytes(self.clock.mark())))]);
        if base.db.is_empty() {
            merged.add([row(ERASED, Some(Vec::new()))]);
        }
        base.write(&merged)?;
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

    fn judge(&mut self, plan: &mut Plan, update: Update) -> Answer {
        match update {
            Update::Records(changes) => return self.judge_changes(plan, changes),
            Update::Enrolment(change) => {
                let answer = self.judge_changes(plan, vec![change]);
                plan.tells_marker |= matches!(answer, Ok(Outcome::Done(_)));
                return answer;
            }
            Update::BeginCopy(begun) => {
                // Its group follows in the new segment.
                self.journal.rotate().map_err(|_| Unavailable)?;
                let _ = begun.send(Start {
                    point: self.summary.point(),
                    segment: self.journal.segment(),
                });
                return Ok(Outcome::Done(Version(plan.summary.generation)));
            }
            Update::KeepMark => {}
            Update::AcceptLoss => plan.summary.incomplete = None,
        }
        plan.tells_marker = true;
        Ok(Outcome::Done(Version(plan.summary.generation)))
    }

    fn judge_changes(&self, plan: &mut Plan, changes: Vec<Change>) -> Answer {
        for change in &changes {
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
        changes.into_iter().for_each(|change| plan.add(change));
        Ok(Outcome::Done(Version(plan.summary.generation)))
    }

    fn version_of(&self, user: &UserName) -> Result<Option<Version>, Unavailable> {
        let key = key(user);
        if let Some(value) = self.overlay.get(&key) {
            return Ok(value.map(|value| stored(&value).version));
        }
        let value = self.db.get(key).map_err(|_| Unavailable)?;
        Ok(value.map(|value| stored(&value).version))
    }

    fn make_durable(&mut self, mut rows: Vec<Row>, summary: Summary) -> io::Result<()> {
        rows.push(row(SUMMARY, Some(summary.to_bytes(self.clock.mark()))));
        if self.deletes.swap(false, Ordering::SeqCst) {
            rows.push(row(ERASED, None));
        }
        // sled's I/O threads leave an error here, and can forget to wake the settler.
        self.db.context.global_error()?;
        if !self.overlay.wait_for_room() {
            return Err(not_settled());
        }
        let settle = || self.overlay.settle().then_some(()).ok_or_else(not_settled);
        let (before, after) = (self.summary.point(), summary.point());
        let rows = self.journal.append(before, after, rows, settle)?;
        self.overlay.push(rows);
        Ok(())
    }

    /// Reports a durable summary to the readers and the mirror. The marker is written later, but at
    /// once for a caller that waits for it, for the first user, and for a step that was spent ahead
    /// of its time, of which only the marker knows after a boot.
    fn bear_witness(&mut self, summary: Summary, at_once: bool) -> io::Result<()> {
        self.summary = summary;
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = summary;
        let mark = self.mark();
        self.mirror.write(mark.age);
        let ahead = self.clock.mark().spent_ahead() && self.marker.spent() < mark.age.spent;
        // What a caller waits for is rare, and stands in both files before it is answered.
        if at_once && !self.overlay.settle() {
            return Err(not_settled());
        }
        if at_once || ahead || summary.users > 0 && !self.marker.says_users() {
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

    /// The numbers for the witnesses.
    fn mark(&self) -> StoreMark {
        StoreMark {
            users: self.summary.users,
            age: self.summary.age(self.clock.mark().spent()),
        }
    }
}

pub(super) fn failed(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    format!("the store at {path} failed: {error}; check the disk")
}

fn row(key: &[u8], value: Option<Vec<u8>>) -> Row {
    Row {
        key: key.into(),
        value: value.map(Into::into),
    }
}

fn not_settled() -> io::Error {
    io::Error::other("its database does not take what its journal holds")
}

/// How far the marker may be behind while updates are written, and while none are.
const MARKER_INTERVAL: Duration = Duration::from_secs(60);
const IDLE_INTERVAL: Duration = Duration::from_secs(600);
