//! The start of the store (opening, recovery): takes the lock, opens sled and the journal, judges the
//! store's age by its witnesses, and starts the threads.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::sled::Db;
use nix::fcntl::Flock;

use super::base::Base;
use super::erasing;
use super::fence;
use super::healing;
use super::keeping::{Keeper, Orders, rows};
use super::opening::{OpenError, at, lost};
use super::overlay::Overlay;
use super::replay::Found;
use super::settling::Settler;
use super::summary::{Summary, judge_age, known_to_be_spent};
use super::upkeep::Upkeep;
use super::witnesses::Witnesses;
use super::writer::{Update, Writer, failed};
use super::{Keeping, LOCK_WAIT, Place, SETTLE_AFTER, SledStore, Tell};
use crate::clock::Clock;
use crate::store::Outcome;
use crate::store::commit::Committer;
use crate::store::journal::snapshot;
use crate::store::journal::{self, Earlier, JOURNAL, Notice, SyncData};
use crate::store::marker::{beside, lock};
use crate::store::private;

impl SledStore {
    pub(super) fn open_with(
        around: Surroundings,
        place: &Place,
        clock: Arc<Clock>,
        tell: Tell,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let path = place.path.as_path();
        let deadline = Instant::now()
            .checked_add(around.lock_wait)
            .unwrap_or_else(Instant::now);
        let lock = claim(path, deadline)?;
        if !around.is_behind_the_fence {
            keep_out(path)?;
        }
        let folder = beside(path, JOURNAL);
        let upkeep = Arc::new(Upkeep::of(folder.clone()));
        let tell = counted(&upkeep, tell);
        let earlier = Earlier::in_folder(&folder).map_err(at(&folder))?;
        let mut witnesses = Witnesses::read(place, &earlier)?;
        let opening = healing::Start {
            place,
            sync: &around.sync,
            earlier: &earlier,
            deadline,
            tell: &tell,
        };
        let (mut base, found) = opening.open(&mut witnesses)?;
        let summary = judge(&found, &witnesses, &clock, path)?;
        let (notices, heard) = channel();
        let journal = earlier.begin(around.sync, notices).map_err(at(&folder))?;
        // A store in doubt stays as it was found: a good copy may have to be made from it.
        if summary == found.summary && summary.incomplete.is_none() {
            let copy = snapshot::Start {
                point: summary.point(),
                segment: journal.segment(),
            };
            let renew = |db: &Db| {
                snapshot::write(&folder, copy, rows(db))?;
                journal::remove(&folder, 0..copy.segment)
            };
            base = erasing::without_deleted_keys(base, place, &witnesses.marker, renew, &tell)?;
        }
        let writer = Writer {
            path: path.to_owned(),
            db: base.db.clone(),
            overlay: Arc::new(Overlay::new(around.settle_after)),
            journal,
            marker: witnesses.marker,
            marker_due: None,
            mirror: witnesses.mirror,
            clock,
            summary,
            shared: Arc::new(Mutex::new(summary)),
            deletes: Arc::default(),
            counted: Arc::default(),
        };
        let is_first = earlier.is_empty() || summary != found.summary;
        let keeper = Keeper::of(&writer, folder, tell, upkeep, is_first);
        Self::start(writer, base, keeper, heard, lock, fatal).map_err(at(path))
    }

    /// Makes the state after opening durable, then starts the threads: the committer, and behind it
    /// the settler and the keeper of the copy.
    fn start(
        mut writer: Writer,
        mut base: Base,
        keeper: Keeper,
        notices: Receiver<Notice>,
        lock: Flock<File>,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        writer.settle(&mut base)?;
        let (db, path) = (base.db.clone(), writer.path.clone());
        let overlay = Arc::clone(&writer.overlay);
        let (summary, deletes) = (Arc::clone(&writer.shared), Arc::clone(&writer.deletes));
        let (counted, place) = (Arc::clone(&writer.counted), path.clone());
        let watched = db.clone();
        // sled's I/O threads leave an error here, and can forget to wake the thread that waits for
        // the write.
        let broken = move || watched.context.global_error().is_err();
        let committer = Arc::new(Committer::start(writer, broken, fatal)?);
        let settler = Settler {
            overlay: Arc::clone(&overlay),
            base,
        };
        let fail = committer.failing();
        settler.start(move |error| fail(&failed(&path, error)))?;
        let (ends, upkeep) = (Arc::clone(&keeper.ends), Arc::clone(&keeper.upkeep));
        let ended = keeper.start(orders_for(&committer), notices)?;
        Ok(Self {
            db: Some(db),
            overlay,
            committer,
            keeper: Keeping {
                ends,
                ended: Mutex::new(ended),
            },
            summary,
            upkeep,
            deletes,
            counted,
            path: place,
            _lock: lock,
        })
    }
}

/// The parts that tests replace.
pub(super) struct Surroundings {
    pub(super) lock_wait: Duration,
    pub(super) settle_after: Duration,
    pub(super) sync: SyncData,
    /// Whether it opens a store whose records move.
    pub(super) is_behind_the_fence: bool,
}

impl Surroundings {
    pub(super) fn of_a_daemon() -> Self {
        Self {
            lock_wait: LOCK_WAIT,
            settle_after: SETTLE_AFTER,
            sync: Arc::new(File::sync_data),
            is_behind_the_fence: false,
        }
    }

    /// Those of the process that moves the records.
    pub(super) fn behind_the_fence() -> Self {
        Self {
            is_behind_the_fence: true,
            ..Self::of_a_daemon()
        }
    }
}

/// What the keeper may have the committer do.
pub(super) fn orders_for(committer: &Arc<Committer<Update>>) -> Orders {
    let (begins, finishes) = (Arc::clone(committer), Arc::clone(committer));
    let fail = committer.failing();
    Orders {
        begin: Box::new(move || begin_copy(&begins)),
        finish: Box::new(move || {
            let deadline = Instant::now().checked_add(LOCK_WAIT);
            let kept = deadline.and_then(|at| finishes.submit(Update::KeepMark, at).ok());
            matches!(kept, Some(Outcome::Done(_)))
        }),
        fail: Box::new(fail),
    }
}

pub(super) fn begin_copy(committer: &Committer<Update>) -> Option<snapshot::Start> {
    let (begun, heard) = channel();
    let deadline = Instant::now().checked_add(LOCK_WAIT)?;
    let _ = committer.submit(Update::BeginCopy(begun), deadline).ok()?;
    heard.try_recv().ok()
}

/// Tells, and counts what was told.
fn counted(upkeep: &Arc<Upkeep>, tell: Tell) -> Tell {
    let upkeep = Arc::clone(upkeep);
    Arc::new(move |told| {
        upkeep.hear(&told);
        tell(told);
    })
}

/// Locks the store for this process.
pub(super) fn claim(path: &Path, deadline: Instant) -> Result<Flock<File>, OpenError> {
    let state = path.parent().unwrap_or(path);
    private::folder(state).map_err(at(state))?;
    let lock_path = beside(path, ".lock");
    lock(&lock_path, deadline)
        .map_err(at(&lock_path))?
        .ok_or_else(|| OpenError::InUse(path.to_owned()))
}

/// Refuses a store whose records move, or have moved.
pub(super) fn keep_out(path: &Path) -> Result<(), OpenError> {
    match fence::read(path).map_err(at(path))? {
        None => Ok(()),
        Some(fence) => Err(OpenError::Fenced(path.to_owned(), fence)),
    }
}

/// The summary to go on with, by what the witnesses say. The clock resumes, and hears of a roll-back.
fn judge(
    found: &Found,
    witnesses: &Witnesses,
    clock: &Clock,
    path: &Path,
) -> Result<Summary, OpenError> {
    let (marker, before) = (&witnesses.marker, found.summary);
    clock.resume(found.seen, before.rolled_back_tick);
    let moment = clock.moment(before.rolled_back_tick);
    let summary = judge_age(before, found.counted, witnesses, moment.stamp())
        .ok_or_else(|| lost(path, marker))?;
    if summary.rolled_back_tick != before.rolled_back_tick
        || summary.generation != before.generation
    {
        clock.doubt_the_store(known_to_be_spent(marker, witnesses.mirrored, moment.now));
    }
    Ok(summary)
}
