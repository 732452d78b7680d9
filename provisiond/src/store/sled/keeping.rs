//! The keeper of the copy (backup thread): reads the snapshot and the journal back at the start and
//! every hour, and renews the snapshot while logins go on, when the copy is hurt, old, gone, or its
//! journal has grown long.
//!
//! A copy that cannot be renewed is no reason to end: the daemon serves with sled alone.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use ::sled::Db;

use super::erasing::has_room;
use super::overlay::Overlay;
use super::summary::Summary;
use super::upkeep::Upkeep;
use super::writer::Writer;
use super::{Part, Tell, Told};
use crate::store::journal::frame::Row;
use crate::store::journal::snapshot::{self, Start};
use crate::store::journal::{self, Notice};

/// Has the committer begin a new segment.
type Begin<'a> = &'a dyn Fn() -> Option<Start>;

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
    /// `begin` has the committer begin a new segment.
    pub(super) fn start(
        mut self,
        begin: impl Fn() -> Option<Start> + Send + 'static,
        notices: Receiver<Notice>,
    ) -> io::Result<Receiver<()>> {
        let (running, ended) = channel();
        let run = move || {
            let _running: Sender<()> = running;
            self.run(&begin, &notices);
        };
        let thread = std::thread::Builder::new().name("copy".into());
        thread.spawn(run)?;
        Ok(ended)
    }

    fn run(&mut self, begin: Begin<'_>, notices: &Receiver<Notice>) {
        self.check(begin);
        self.is_first = false;
        if self.has_grown() {
            self.renew(begin, false);
        }
        while !self.ends.load(Ordering::SeqCst) {
            match notices.recv_timeout(CHECK_INTERVAL) {
                Ok(Notice::Grown) if self.has_grown() => self.renew(begin, false),
                Ok(Notice::Grown) => {}
                Ok(Notice::Hurt) => self.renew(begin, true),
                Err(RecvTimeoutError::Timeout) => self.check(begin),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the copy back, and renews it if it lacks anything that was acknowledged before.
    fn check(&mut self, begin: Begin<'_>) {
        let stands = self.summary().point();
        let reached = journal::play(&self.folder, &mut |_| self.pause());
        let is_whole = reached
            .is_ok_and(|reached| reached == stands || reached.generation > stands.generation);
        if self.ends.load(Ordering::SeqCst) {
            return;
        }
        self.upkeep.looked(is_whole);
        if !is_whole {
            self.renew(begin, true);
        }
    }

    /// Whether a start would take long to read the journal.
    fn has_grown(&self) -> bool {
        let segments = journal::count(&self.folder).unwrap_or(0);
        let of_the_snapshot = snapshot::size(&self.folder) / journal::MAX_SIZE;
        segments as u64 > of_the_snapshot.clamp(4, 16)
    }

    fn renew(&mut self, begin: Begin<'_>, heals: bool) {
        if self.ends.load(Ordering::SeqCst) {
            return;
        }
        // A store in doubt is no source of a copy, and its files stay as they were found.
        if self.summary().incomplete.is_some() {
            return self.cut_short(begin);
        }
        let panicked = |_| Err("sled panicked".to_owned());
        let renewed = catch_unwind(AssertUnwindSafe(|| self.try_renew(begin)));
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
    fn cut_short(&self, begin: Begin<'_>) {
        let begun = begin().filter(|_| self.overlay.settle());
        if let Some(start) = begun {
            // What stays is in the way of nothing.
            let _ = journal::remove(&self.folder, self.first..start.segment);
        }
    }

    pub(super) fn try_renew(&self, begin: Begin<'_>) -> Result<(), String> {
        has_room(&self.store)?;
        let start = begin().ok_or("the store does not answer")?;
        if !self.overlay.settle() {
            return Err("the store does not answer".to_owned());
        }
        self.write(start).map_err(|error| error.to_string())
    }

    fn write(&self, start: Start) -> io::Result<()> {
        let mut bytes = 0usize;
        let rows = rows(&self.db).map(|row| {
            let row = row?;
            bytes = bytes.saturating_add(row.size());
            if bytes >= STEP {
                bytes = 0;
                self.pause()?;
            }
            Ok(row)
        });
        snapshot::write(&self.folder, start, rows)?;
        journal::remove(&self.folder, 0..start.segment)
    }

    /// Leaves disk and processor to logins for a moment. An error: the store is being closed.
    fn pause(&self) -> io::Result<()> {
        if self.ends.load(Ordering::SeqCst) {
            return Err(io::Error::other("the store is being closed"));
        }
        sleep(PAUSE);
        Ok(())
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

const CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// Bytes between two pauses.
const STEP: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(1);
