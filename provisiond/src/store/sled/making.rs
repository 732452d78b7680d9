//! Makes a fresh sled beside the store, from the copy alone or from what is whole of two damaged parts,
//! in a thread of its own: on a failing disk sled can wait for ever, and then the thread stays behind.
//!
//! What sled reads back is counted, not what it was given.

use std::io;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use ::sled::{Batch, Db};

use super::erasing::{STUCK, wait_until_closed};
use super::opening::{OpenError, at, config, damaged, guarded, unusable};
use super::replay::Found;
use super::rows::{Merged, size};
use super::salvage::Parts;
use super::{Tell, Told};
use crate::store::journal::frame::{Point, Row};
use crate::store::journal::play;
use crate::store::marker::{prepare_folder, settle_folder};

/// The work of the thread.
pub(super) struct Making {
    /// The folder of the fresh sled.
    pub(super) draft: PathBuf,
    /// The folder of the copy.
    pub(super) folder: PathBuf,
    pub(super) cache_mib: u32,
    pub(super) source: Source,
}

/// What a fresh sled is made from.
pub(super) enum Source {
    /// The copy, which reaches this point.
    Copy(Point),
    /// What is whole of both parts. Whole together they have at least so many updates.
    Both { parts: Parts, needed: u64 },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Every record is there.
    Whole,
    /// Some may be missing.
    Doubtful,
    /// There is no record, or nothing says of which time they are.
    Nothing,
}

enum Step {
    GoesOn,
    Done(Result<Made, OpenError>),
}

impl Making {
    /// Runs the thread, and waits for it as long as it goes on.
    pub(super) fn run(self, tell: &Tell) -> Result<Made, String> {
        let (steps, heard) = channel();
        let thread = std::thread::Builder::new().name("heal".into());
        thread
            .spawn(move || {
                let done = guarded(&self.draft, || self.make(&steps));
                drop(self);
                let _ = steps.send(Step::Done(done));
            })
            .map_err(|error| error.to_string())?;
        loop {
            match heard.recv_timeout(STUCK) {
                Ok(Step::GoesOn) => tell(Told::GoesOn),
                Ok(Step::Done(made)) => return made.map_err(|error| error.to_string()),
                Err(_) => return Err("the disk does not answer".to_owned()),
            }
        }
    }

    fn make(&self, steps: &Sender<Step>) -> Result<Made, OpenError> {
        let draft = self.draft.as_path();
        let closed = || wait_until_closed(draft).map_err(|why| damaged(draft, &why));
        prepare_folder(draft).map_err(at(draft))?;
        let has_records = self.fill(&Steps(steps))?;
        closed()?;
        if !has_records {
            return Ok(Made::Nothing);
        }
        let made = self.judge(&Found::read(&self.open()?, draft)?);
        closed()?;
        settle_folder(draft).map_err(at(draft))?;
        Ok(made)
    }

    fn fill(&self, steps: &Steps<'_>) -> Result<bool, OpenError> {
        let fresh = self.open()?;
        let has_records = match &self.source {
            Source::Copy(_) => fill_from_the_copy(&fresh, &self.folder, steps).map(|()| true),
            Source::Both { parts, .. } => parts.pour(&self.folder, &fresh, &|| steps.go_on()),
        };
        let has_records = has_records.map_err(at(&self.draft))?;
        let flushed = fresh.flush();
        flushed.map_err(|error| unusable(&self.draft, error))?;
        Ok(has_records)
    }

    fn judge(&self, found: &Found) -> Made {
        let is_whole = match &self.source {
            Source::Copy(reached) => found.sound() == Some(*reached),
            Source::Both { needed, .. } => found
                .sound()
                .is_some_and(|point| point.generation >= *needed),
        };
        match is_whole {
            true => Made::Whole,
            false => Made::Doubtful,
        }
    }

    fn open(&self) -> Result<Db, OpenError> {
        let opened = config(&self.draft, self.cache_mib).open();
        opened.map_err(|error| unusable(&self.draft, error))
    }
}

/// Tells the waiting thread that the work goes on.
struct Steps<'a>(&'a Sender<Step>);

impl Steps<'_> {
    fn go_on(&self) {
        let _ = self.0.send(Step::GoesOn);
    }
}

fn fill_from_the_copy(fresh: &Db, folder: &Path, steps: &Steps<'_>) -> io::Result<()> {
    let mut filling = Filling {
        fresh,
        waiting: Merged::default(),
        batches: 0,
        steps,
    };
    play(folder, &mut |rows| filling.add(rows))?;
    filling.write()
}

/// Rows on their way into a fresh sled, in batches.
struct Filling<'a> {
    fresh: &'a Db,
    waiting: Merged,
    batches: usize,
    steps: &'a Steps<'a>,
}

impl Filling<'_> {
    fn add(&mut self, rows: Vec<Row>) -> io::Result<()> {
        for row in rows {
            if !self.waiting.has_room(size(std::slice::from_ref(&row))) {
                self.write()?;
            }
            self.waiting.add([row]);
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let mut batch = Batch::default();
        for (key, value) in take(&mut self.waiting).rows {
            match value {
                Some(value) => batch.insert(&*key, &*value),
                None => batch.remove(&*key),
            }
        }
        self.fresh.apply_batch(batch)?;
        self.batches = self.batches.saturating_add(1);
        if self.batches.is_multiple_of(BATCHES_OF_A_STEP) {
            self.fresh.flush()?;
            self.steps.go_on();
        }
        Ok(())
    }
}

const BATCHES_OF_A_STEP: usize = 64;
