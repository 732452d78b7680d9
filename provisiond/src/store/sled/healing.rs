//! Heals a damaged, lost or older store at the start (self-repair): makes a fresh sled, counts it, and
//! puts it into the place of the damaged one, which is kept aside.
//!
//! It comes from the copy, if that is whole and as new as everything that is known of the store. Else
//! both parts are hurt, and it gets what is whole of either: a store that may still turn out to be
//! whole, or one in which users may be missing.
//!
//! At every instant the store's name stands for the damaged store or for the healed one. What a kill
//! leaves beside it is removed at the next start, which begins anew.

use std::fs::{remove_dir_all, rename};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::base::Base;
use super::erasing::{soon, wait_until_closed};
use super::making::{Made, Making, Source};
use super::opening::{OpenError, at, open};
use super::replay::Found;
use super::rescue;
use super::salvage::Parts;
use super::witnesses::Witnesses;
use super::{Part, Place, Tell, Told};
use crate::store::exchange::{NotExchanged, exchange};
use crate::store::journal::frame::Point;
use crate::store::journal::{Earlier, JOURNAL, SyncData, play, snapshot};
use crate::store::marker::{beside, sync_folder_of};
use crate::store::room;

/// The store's parts at a start.
pub(super) struct Start<'a> {
    pub(super) place: &'a Place,
    pub(super) sync: &'a SyncData,
    pub(super) earlier: &'a Earlier,
    pub(super) deadline: Instant,
    pub(super) tell: &'a Tell,
}

type Opened = Result<(Base, Found), OpenError>;

impl Start<'_> {
    /// Opens the store, brought up to its journal, and healed where that is needed.
    pub(super) fn open(&self, witnesses: &mut Witnesses) -> Opened {
        let store = self.place.path.as_path();
        for leftover in [DRAFT, READABLE] {
            remove(&beside(store, leftover)).map_err(at(store))?;
        }
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
            self.let_go_of_the_damaged(&opened);
            return opened;
        }
        // A copy with an error in it is not whole.
        let reached = play(&self.folder(), &mut |_| Ok(())).unwrap_or_default();
        if is_new && stands == Some(reached) {
            if let Ok((_, found)) = &opened {
                // Two that fail apart agree, whatever became of the marker.
                witnesses.agree(&found.summary);
            }
            return opened;
        }
        self.healed(opened, witnesses, reached, needed)
    }

    /// Heals from the copy, which reaches that point, or else from what is whole of both parts.
    fn healed(
        &self,
        mut opened: Opened,
        witnesses: &mut Witnesses,
        reached: Point,
        needed: u64,
    ) -> Opened {
        let store = self.place.path.as_path();
        let stands = opened.as_ref().ok().and_then(|(_, found)| found.sound());
        let is_newer = stands.is_none_or(|stands| reached.generation > stands.generation);
        if is_newer && reached.generation >= needed.max(1) {
            drop(opened);
            if self.make(Source::Copy(reached))? == Made::Whole {
                return self.open_again(witnesses, Made::Whole);
            }
            // Its frames are whole, and a record is missing all the same.
            opened = self.attempt(witnesses, soon());
        }
        let readable = match &opened {
            Ok((base, _)) => Some(base.db.clone()),
            Err(OpenError::Damaged { .. }) => {
                rescue::open(store, &beside(store, READABLE), self.place.cache_mib)
            }
            Err(_) => None,
        };
        let copied = snapshot::begins(&self.folder()).max(witnesses.journal);
        let has_more = copied > stands.map_or(0, |stands| stands.generation);
        if !has_more && (opened.is_ok() || readable.is_none()) {
            return opened;
        }
        drop(opened);
        let parts = Parts {
            store: readable,
            stands,
        };
        let needed = needed.max(1);
        let made = self.make(Source::Both { parts, needed });
        // What cannot be removed now, the next start removes.
        let _ = remove(&beside(store, READABLE));
        self.open_again(witnesses, made?)
    }

    /// Opens what was made, and tells what it is.
    fn open_again(&self, witnesses: &mut Witnesses, made: Made) -> Opened {
        match made {
            Made::Whole => (self.tell)(Told::Healed(Part::Store)),
            Made::Doubtful => (self.tell)(Told::Salvaged),
            Made::Nothing => {}
        }
        let opened = self.attempt(witnesses, soon())?;
        if made == Made::Whole {
            witnesses.agree(&opened.1.summary);
        }
        Ok(opened)
    }

    fn attempt(&self, witnesses: &Witnesses, deadline: Instant) -> Opened {
        let mut base = open(self.place, &witnesses.marker, self.sync, deadline)?;
        let store = &self.place.path;
        let found = Found::after_replay(&mut base, self.earlier, witnesses.journal, store)?;
        Ok((base, found))
    }

    /// Makes a fresh store, and puts it into the place of this one, which is closed, unless nothing
    /// came of it. A copy that turns out to lack a record takes no place.
    fn make(&self, source: Source) -> Result<Made, OpenError> {
        let store = self.place.path.as_path();
        let not_healed = |why: String| {
            (self.tell)(Told::NotHealed(Part::Store, why.clone()));
            why
        };
        let is_of_both = matches!(source, Source::Both { .. });
        let bytes = self.size_of(is_of_both);
        room::for_a_copy(&self.folder(), bytes).map_err(|why| OpenError::NoRoom {
            store: store.to_owned(),
            bytes,
            why: not_healed(why),
        })?;
        let draft = beside(store, DRAFT);
        let making = Making {
            draft: draft.clone(),
            folder: self.folder(),
            cache_mib: self.place.cache_mib,
            source,
        };
        let done = remove(&draft).map_err(|error| error.to_string());
        let done = done.and_then(|()| making.run(self.tell));
        let done = done.and_then(|made| match made {
            Made::Whole => put_in_place(store, &draft, true, !is_of_both).map(|()| made),
            Made::Doubtful if is_of_both => {
                put_in_place(store, &draft, false, false).map(|()| made)
            }
            Made::Doubtful | Made::Nothing => Ok(made),
        });
        done.map_err(|why| OpenError::NotHealed {
            store: store.to_owned(),
            why: not_healed(why),
        })
    }

    /// Removes the damaged store of an earlier start. One in doubt is kept: it may be all that a good
    /// one can be made from.
    fn let_go_of_the_damaged(&self, opened: &Opened) {
        let is_complete =
            |(_, found): &(Base, Found)| -> bool { found.summary.incomplete.is_none() };
        if opened.as_ref().is_ok_and(is_complete) {
            // What cannot be removed now, a later start removes.
            let _ = remove(&beside(&self.place.path, DAMAGED));
        }
    }

    /// The bytes that a fresh store is made from.
    fn size_of(&self, is_of_both: bool) -> u64 {
        let copy = snapshot::size(&self.folder());
        let log = std::fs::metadata(self.place.path.join("db"));
        match is_of_both {
            true => copy.max(log.map_or(0, |log| log.len())),
            false => copy,
        }
    }

    fn folder(&self) -> PathBuf {
        beside(&self.place.path, JOURNAL)
    }
}

/// The store's name stands for the fresh one then, and the damaged one is kept aside. If the fresh one
/// is in doubt, too, the first damaged one stays: the later ones were made from it.
///
/// Where the file system cannot exchange two folders, a store that can be made again (`again`) takes
/// its place in two steps: a start that finds none makes it from the copy once more.
fn put_in_place(store: &Path, draft: &Path, is_whole: bool, again: bool) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    if !store.exists() {
        rename(draft, store).map_err(failed)?;
        return sync_folder_of(store).map_err(failed);
    }
    wait_until_closed(store)?;
    let aside = beside(store, DAMAGED);
    match exchange(store, draft) {
        Err(NotExchanged::Unsupported) if again => {
            let stepped = remove(&aside)
                .and_then(|()| rename(store, &aside))
                .and_then(|()| rename(draft, store))
                .and_then(|()| sync_folder_of(store));
            return stepped.map_err(failed);
        }
        exchanged => exchanged.map_err(|error| error.to_string())?,
    }
    // From here on the store is healed: what cannot be kept aside is removed at the next start.
    let kept = if !is_whole && aside.exists() {
        remove(draft)
    } else {
        remove(&aside).and_then(|()| rename(draft, &aside))
    };
    let _ = kept.and_then(|()| sync_folder_of(store));
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
const READABLE: &str = ".readable";
const DAMAGED: &str = ".damaged";
