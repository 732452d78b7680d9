//! The keeper of the copy (backup thread): reads the snapshot and the journal back at the start and
//! every hour, compares sled with it, and renews the snapshot while logins go on, when the copy is hurt,
//! old, gone, or its journal has grown long.
//!
//! A copy that cannot be renewed is no reason to end: the daemon serves with sled alone. A sled that has
//! lost records is one: it is no source of a copy, and the next start heals it.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use ::sled::Db;

use super::comparing::{Comparison, Hurt};
use super::erasing::has_room;
use super::overlay::Overlay;
use super::summary::Summary;
use super::upkeep::Upkeep;
use super::writer::Writer;
use super::{Part, Tell, Told};
use crate::store::journal::frame::{Point, Row};
use crate::store::journal::snapshot::{self, Start};
use crate::store::journal::{self, Notice};

/// What the keeper has the committer do.
pub(super) struct Orders {
    /// Begin a new segment.
    pub(super) begin: Box<dyn Fn() -> Option<Start> + Send>,
    /// Finish the groups that are in the journal. False: it does not answer.
    pub(super) finish: Box<dyn Fn() -> bool + Send>,
    /// End the store, with a sentence.
    pub(super) fail: Box<dyn Fn(&str) + Send>,
}

/// The work of the thread.
pub(super) struct Keeper {
    pub(super) store: PathBuf,
    /// The folder of the copy.
    pub(super) folder: PathBuf,
    pub(super) db: Db,
    pub(super) overlay: Arc<Overlay>,
    pub(super) shared: Arc<Mutex<Summary>>,
    pub(super) tell: Tell,
    pub(super) upkeep: Arc<Upkeep>,
    /// The first segment of this process.
    pub(super) first: u64,
    /// There was no copy before, or the store was rolled back: it is made, not healed.
    pub(super) is_first: bool,
    pub(super) ends: Arc<AtomicBool>,
}

impl Keeper {
    /// The keeper of the store with that writer.
    pub(super) fn of(
        writer: &Writer,
        folder: PathBuf,
        tell: Tell,
        upkeep: Arc<Upkeep>,
        is_first: bool,
    ) -> Self {
        Self {
            store: writer.path.clone(),
            folder,
            db: writer.db.clone(),
            overlay: Arc::clone(&writer.overlay),
            shared: Arc::clone(&writer.shared),
            tell,
            upkeep,
            first: writer.journal.segment(),
            is_first,
            ends: Arc::default(),
        }
    }

    /// Starts the thread, which ends when `ends` is set and the notices end. The receiver then ends.
    pub(super) fn start(
        mut self,
        orders: Orders,
        notices: Receiver<Notice>,
    ) -> io::Result<Receiver<()>> {
        let (running, ended) = channel();
        let run = move || {
            let _running: Sender<()> = running;
            self.run(&orders, &notices);
        };
        let thread = std::thread::Builder::new().name("copy".into());
        thread.spawn(run)?;
        Ok(ended)
    }

    fn run(&mut self, orders: &Orders, notices: &Receiver<Notice>) {
        self.check(orders);
        self.is_first = false;
        if self.has_grown() {
            self.renew(orders, false);
        }
        while !self.ends.load(Ordering::SeqCst) {
            match notices.recv_timeout(CHECK_INTERVAL) {
                Ok(Notice::Grown) if self.has_grown() => {
                    // Else a record that sled has lost would be lost in its copy, too.
                    self.check(orders);
                    if self.has_grown() {
                        self.renew(orders, false);
                    }
                }
                Ok(Notice::Grown) => {}
                Ok(Notice::Hurt) => self.renew(orders, true),
                Err(RecvTimeoutError::Timeout) => self.check(orders),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the copy back, and renews it if it lacks anything that was acknowledged before. If it is
    /// whole, sled must have what it has.
    pub(super) fn check(&self, orders: &Orders) {
        let stands = self.summary().point();
        let comparison = Comparison {
            db: &self.db,
            overlay: &self.overlay,
            folder: &self.folder,
            pace: &self.pace(),
        };
        let looked = catch_unwind(AssertUnwindSafe(|| comparison.look()));
        let looked = looked.unwrap_or_else(|_| Err(Hurt::Store("its library panicked".into())));
        if self.ends.load(Ordering::SeqCst) {
            return;
        }
        let is_whole = |reached: Point| reached == stands || reached.generation > stands.generation;
        match looked {
            Ok((reached, missing)) if is_whole(reached) => {
                self.upkeep.looked(true);
                if let Some(why) = comparison.judge(missing, &orders.finish) {
                    (orders.fail)(&cannot_go_on(&self.store, &why));
                }
            }
            Err(Hurt::Store(why)) => (orders.fail)(&cannot_go_on(&self.store, &why)),
            Ok(_) | Err(Hurt::Copy) => {
                self.upkeep.looked(false);
                self.renew(orders, true);
            }
        }
    }

    /// Whether a start would take long to read the journal.
    fn has_grown(&self) -> bool {
        let segments = journal::count(&self.folder).unwrap_or(0);
        let of_the_snapshot = snapshot::size(&self.folder) / journal::MAX_SIZE;
        segments as u64 > of_the_snapshot.clamp(4, 16)
    }

    fn renew(&self, orders: &Orders, heals: bool) {
        if self.ends.load(Ordering::SeqCst) {
            return;
        }
        // A store in doubt is no source of a copy, and its files stay as they were found.
        if self.summary().incomplete.is_some() {
            return self.cut_short(orders);
        }
        let panicked = |_| Err("sled panicked".to_owned());
        let renewed = catch_unwind(AssertUnwindSafe(|| self.try_renew(&orders.begin)));
        let renewed = renewed.unwrap_or_else(panicked);
        if self.ends.load(Ordering::SeqCst) {
            return;
        }
        if renewed.is_ok() {
            self.upkeep.looked(true);
        }
        match renewed {
            Ok(()) if heals && !self.is_first => (self.tell)(Told::Healed(Part::Copy)),
            Ok(()) => {}
            Err(why) => (self.tell)(Told::NotHealed(Part::Copy, why)),
        }
    }

    /// Removes the segments of this process that sled holds, where they belong to no copy.
    fn cut_short(&self, orders: &Orders) {
        let begun = (orders.begin)().filter(|_| self.overlay.settle());
        if let Some(start) = begun {
            // What stays is in the way of nothing.
            let _ = journal::remove(&self.folder, self.first..start.segment);
        }
    }

    pub(super) fn try_renew(&self, begin: &dyn Fn() -> Option<Start>) -> Result<(), String> {
        has_room(&self.store)?;
        let start = begin().ok_or("the store does not answer")?;
        if !self.overlay.settle() {
            return Err("the store does not answer".to_owned());
        }
        self.write(start).map_err(|error| error.to_string())
    }

    fn write(&self, start: Start) -> io::Result<()> {
        let pace = self.pace();
        let rows = rows(&self.db).map(|row| {
            let row = row?;
            pace(row.size())?;
            Ok(row)
        });
        snapshot::write(&self.folder, start, rows)?;
        journal::remove(&self.folder, 0..start.segment)
    }

    /// Leaves disk and processor to logins for a moment, after so many bytes. An error: the store is
    /// being closed.
    fn pace(&self) -> impl Fn(usize) -> io::Result<()> {
        let bytes = Cell::new(0usize);
        move |more| {
            if self.ends.load(Ordering::SeqCst) {
                return Err(io::Error::other("the store is being closed"));
            }
            bytes.set(bytes.get().saturating_add(more));
            if bytes.get() >= STEP {
                bytes.set(0);
                sleep(PAUSE);
            }
            Ok(())
        }
    }

    fn summary(&self) -> Summary {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All rows, for a snapshot.
pub(super) fn rows(db: &Db) -> impl Iterator<Item = io::Result<Row>> {
    db.iter().map(|row| {
        let (key, value) = row?;
        Ok(Row {
            key: (*key).into(),
            value: Some((*value).into()),
        })
    })
}

fn cannot_go_on(store: &Path, why: &str) -> String {
    let store = store.display();
    format!(
        "the store at {store} failed while it was open: {why}; the next start heals it; check the disk"
    )
}

const CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// Bytes between two pauses.
const STEP: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(1);
