//! Heals a damaged, lost or older store at the start (self-repair): if the copy is whole and as new as
//! everything that is known of the store, a fresh sled is made from it, counted, and put into the
//! place of the damaged one, which is kept aside once.
//!
//! At every instant the store's name stands for the damaged store or for the healed one. What a kill
//! leaves beside it is removed at the next start, which begins anew.

use std::fs::{remove_dir_all, rename};
use std::io::{self, ErrorKind};
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use ::sled::{Batch, Db};

use super::base::Base;
use super::erasing::{STUCK, exchange, has_room_for, soon, wait_until_closed};
use super::opening::{OpenError, at, config, damaged, guarded, open, unusable};
use super::replay::Found;
use super::rows::{Merged, size};
use super::witnesses::Witnesses;
use super::{JOURNAL, Part, Place, Tell, Told};
use crate::store::journal::frame::{Point, Row};
use crate::store::journal::{Earlier, SyncData, play, snapshot};
use crate::store::marker::{beside, prepare_folder, settle_folder, sync_folder_of};

/// The store's parts at a start.
pub(super) struct Start<'a> {
    pub(super) place: &'a Place,
    pub(super) sync: &'a SyncData,
    pub(super) earlier: &'a Earlier,
    pub(super) deadline: Instant,
    pub(super) tell: &'a Tell,
}

impl Start<'_> {
    /// Opens the store, brought up to its journal, and healed from the copy where that is needed.
    pub(super) fn open(&self, witnesses: &mut Witnesses) -> Result<(Base, Found), OpenError> {
        let store = self.place.path.as_path();
        remove(&beside(store, DRAFT)).map_err(at(store))?;
        let opened = self.attempt(witnesses, self.deadline);
        let (stands, needed) = match &opened {
            Ok((_, found)) => (found.sound(), found.newest().max(witnesses.newest())),
            Err(OpenError::Damaged { .. } | OpenError::Lost { .. }) => (None, witnesses.newest()),
            Err(_) => return opened,
        };
        if let Ok((_, found)) = &opened
            && found.is_all_replayed
            && witnesses.marker.says_users()
        {
            // A sled that cannot read its file at all begins anew. The journal has made it whole.
            (self.tell)(Told::Healed(Part::Store));
        }
        // A sled that holds nothing may be one that was made anew.
        let is_new = stands.is_some_and(|stands| stands.generation >= needed);
        if is_new && needed > 0 && witnesses.are_there() {
            // What cannot be removed now, a later start removes.
            let _ = remove(&beside(store, DAMAGED));
            return opened;
        }
        let folder = beside(store, JOURNAL);
        // A copy with an error in it is not whole.
        let reached = play(&folder, &mut |_| Ok(())).unwrap_or_default();
        let is_newer = stands.is_none_or(|stands| reached.generation > stands.generation);
        if is_newer && reached.generation >= needed.max(1) {
            drop(opened);
            let healed = self.heal(&folder, reached);
            if let Err(why) = healed {
                (self.tell)(Told::NotHealed(Part::Store, why));
                return self.attempt(witnesses, soon());
            }
            (self.tell)(Told::Healed(Part::Store));
            let opened = self.attempt(witnesses, soon())?;
            witnesses.agree(&opened.1.summary);
            return Ok(opened);
        }
        if let Ok((_, found)) = &opened
            && is_new
            && stands == Some(reached)
        {
            // Two that fail apart agree, whatever became of the marker.
            witnesses.agree(&found.summary);
        }
        opened
    }

    fn attempt(
        &self,
        witnesses: &Witnesses,
        deadline: Instant,
    ) -> Result<(Base, Found), OpenError> {
        let mut base = open(self.place, &witnesses.marker, self.sync, deadline)?;
        let found = Found::after_replay(&mut base, self.earlier, &self.place.path)?;
        Ok((base, found))
    }

    /// Puts a fresh store, made from the copy, into the place of this one, which is closed.
    fn heal(&self, folder: &Path, reached: Point) -> Result<(), String> {
        let store = self.place.path.as_path();
        has_room_for(folder, snapshot::size(folder))?;
        let (steps, heard) = channel();
        let draft = beside(store, DRAFT);
        let making = Making {
            draft: draft.clone(),
            folder: folder.to_owned(),
            cache_mib: self.place.cache_mib,
            reached,
            steps,
        };
        // On a failing disk sled can wait for ever. Then the thread stays behind.
        let thread = std::thread::Builder::new().name("heal".into());
        thread
            .spawn(move || making.run())
            .map_err(|error| error.to_string())?;
        loop {
            match heard.recv_timeout(STUCK) {
                Ok(Step::GoesOn) => (self.tell)(Told::GoesOn),
                Ok(Step::Done(Ok(()))) => return put_in_place(store, &draft),
                Ok(Step::Done(Err(error))) => return Err(error.to_string()),
                Err(_) => return Err("the disk does not answer".to_owned()),
            }
        }
    }
}

/// The work of the thread that makes a fresh store from the copy.
struct Making {
    draft: PathBuf,
    folder: PathBuf,
    cache_mib: u32,
    reached: Point,
    steps: Sender<Step>,
}

enum Step {
    GoesOn,
    Done(Result<(), OpenError>),
}

impl Making {
    fn run(&self) {
        let done = guarded(&self.draft, || self.make());
        let _ = self.steps.send(Step::Done(done));
    }

    fn make(&self) -> Result<(), OpenError> {
        let draft = self.draft.as_path();
        let closed = || wait_until_closed(draft).map_err(|why| damaged(draft, &why));
        prepare_folder(draft).map_err(at(draft))?;
        self.fill()?;
        closed()?;
        // What sled reads back is counted.
        let found = Found::read(&self.open()?, draft)?;
        if found.sound() != Some(self.reached) {
            return Err(damaged(draft, "its records and its summary differ"));
        }
        closed()?;
        settle_folder(draft).map_err(at(draft))
    }

    fn fill(&self) -> Result<(), OpenError> {
        let db = self.open()?;
        let mut filling = Filling {
            db: &db,
            waiting: Merged::default(),
            batches: 0,
            steps: &self.steps,
        };
        play(&self.folder, &mut |rows| filling.add(rows)).map_err(at(&self.folder))?;
        filling.write().map_err(at(&self.draft))?;
        let flushed = db.flush();
        flushed.map_err(|error| unusable(&self.draft, error))?;
        Ok(())
    }

    fn open(&self) -> Result<Db, OpenError> {
        let opened = config(&self.draft, self.cache_mib).open();
        opened.map_err(|error| unusable(&self.draft, error))
    }
}

/// Rows on their way into a fresh sled.
struct Filling<'a> {
    db: &'a Db,
    waiting: Merged,
    batches: usize,
    steps: &'a Sender<Step>,
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
        self.db.apply_batch(batch)?;
        self.batches = self.batches.saturating_add(1);
        if self.batches.is_multiple_of(BATCHES_OF_A_STEP) {
            self.db.flush()?;
            let _ = self.steps.send(Step::GoesOn);
        }
        Ok(())
    }
}

/// The store's name stands for the fresh one then, and the damaged one is kept aside.
fn put_in_place(store: &Path, draft: &Path) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    if !store.exists() {
        rename(draft, store).map_err(failed)?;
        return sync_folder_of(store).map_err(failed);
    }
    wait_until_closed(store)?;
    exchange(store, draft)?;
    let aside = beside(store, DAMAGED);
    // From here on the store is healed: what cannot be kept aside is removed at the next start.
    let _ = remove(&aside)
        .and_then(|()| rename(draft, &aside))
        .and_then(|()| sync_folder_of(store));
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The endings of the folders beside the store.
const DRAFT: &str = ".healing";
const DAMAGED: &str = ".damaged";
const BATCHES_OF_A_STEP: usize = 64;
