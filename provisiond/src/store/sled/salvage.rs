//! Salvage (merge of two damaged parts): where neither sled nor its copy is whole, a fresh sled gets,
//! of every user, the newest record that is whole in either of them.
//!
//! Checksums tell what is whole: each frame of the copy has one, and sled checks what it reads. This
//! file does not judge whether the result is all that there was: the count of the records does.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::sled::{Db, IVec};

use super::rows::{Merged, RECORDS, RESERVED, version_of};
use super::summary::{SUMMARY, Summary};
use crate::clock::mark::Mark;
use crate::store::journal::frame::{Bytes, Point, Row};
use crate::store::journal::{each_frame, snapshot};

/// The damaged database beside its damaged copy.
pub(super) struct Parts {
    /// sled, if it can be opened.
    pub(super) store: Option<Db>,
    /// Where it stands, if its records are those that its summary tells of.
    pub(super) stands: Option<Point>,
}

impl Parts {
    /// Pours what is whole of both into the fresh sled, with the newest summary. False: there is no
    /// record, or no summary. Without one, budgets could not be told to be those of before, and
    /// guesses would come back.
    pub(super) fn pour(&self, folder: &Path, fresh: &Db, go_on: &dyn Fn()) -> io::Result<bool> {
        let Some((mut summary, mark)) = self.newest_summary(folder)? else {
            return Ok(false);
        };
        let mut pouring = Pouring {
            fresh,
            floors: self.floors(folder),
            newest: summary.generation,
            removed: BTreeMap::new(),
            rows: 0,
            go_on,
        };
        self.each_row(folder, &mut |source, row, at| pouring.take(source, row, at))?;
        let users = fresh.scan_prefix(RECORDS).count() as u64;
        if summary.users == 0 {
            summary.users = users;
        }
        fresh.insert(SUMMARY, summary.to_bytes(mark))?;
        Ok(users > 0)
    }

    /// The newest summary. Of those with one generation the last one holds: it has the latest mark of
    /// the clock.
    fn newest_summary(&self, folder: &Path) -> io::Result<Option<(Summary, Mark)>> {
        let mut newest: Option<(Summary, Mark)> = None;
        self.each_row(folder, &mut |_, row, _| {
            let value = row.value.filter(|_| *row.key == *SUMMARY);
            let told = value.and_then(|value| Summary::parse(&value));
            let is_newer = |told: &(Summary, Mark)| {
                newest.is_none_or(|(newest, _)| told.0.generation >= newest.generation)
            };
            newest = told.filter(is_newer).or(newest);
            Ok(())
        })?;
        Ok(newest)
    }

    /// A part that is whole by itself tells of removals: what it lacks had been removed by then. So
    /// of the other parts only what is newer than the newest of them counts.
    fn floors(&self, folder: &Path) -> Floors {
        let store = self.stands.map_or(0, |point| point.generation);
        let snapshot = snapshot::play(folder, &mut |_| Ok(()));
        let snapshot = snapshot.map_or(0, |start| start.point.generation);
        let newest = store.max(snapshot);
        let of = |own: u64| if own == newest { 0 } else { newest };
        Floors {
            store: of(store),
            snapshot: of(snapshot),
            journal: newest,
        }
    }

    /// Calls `each` with all rows that are whole, and the generation by which a removal had happened.
    fn each_row(&self, folder: &Path, each: Each<'_>) -> io::Result<()> {
        if let Some(store) = &self.store {
            each_of_sled(store, &mut |row| each(Origin::Store, row, 0))?;
        }
        snapshot::each_whole_part(folder, &mut |rows| {
            rows.into_iter()
                .try_for_each(|row| each(Origin::Snapshot, row, 0))
        })?;
        each_frame(folder, &mut |frame| {
            // Of two rows with one key in a frame the later one holds.
            let mut merged = Merged::default();
            merged.add(frame.rows);
            let mut rows = merged.rows.into_iter();
            rows.try_for_each(|(key, value)| {
                let row = Row { key, value };
                each(Origin::Journal, row, frame.after.generation)
            })
        })
    }
}

/// Hears of a row, its part, and the generation of its frame.
type Each<'a> = &'a mut dyn FnMut(Origin, Row, u64) -> io::Result<()>;

#[derive(Clone, Copy)]
enum Origin {
    Store,
    Snapshot,
    Journal,
}

/// Only what is newer than this counts of a part.
struct Floors {
    store: u64,
    snapshot: u64,
    journal: u64,
}

struct Pouring<'a> {
    fresh: &'a Db,
    floors: Floors,
    /// A record that is newer than the newest summary is left out: nothing tells of which time its
    /// budgets are.
    newest: u64,
    /// Who was removed, and by which generation.
    removed: BTreeMap<Bytes, u64>,
    rows: usize,
    go_on: &'a dyn Fn(),
}

impl Pouring<'_> {
    fn take(&mut self, from: Origin, row: Row, at: u64) -> io::Result<()> {
        if !row.key.starts_with(RECORDS) && !row.key.starts_with(RESERVED) {
            return Ok(());
        }
        let version = match &row.value {
            Some(value) => version_of(value),
            None => Some(at),
        };
        let floor = match from {
            Origin::Store => self.floors.store,
            Origin::Snapshot => self.floors.snapshot,
            Origin::Journal => self.floors.journal,
        };
        let Some(version) = version.filter(|version| floor < *version && *version <= self.newest)
        else {
            return Ok(());
        };
        let present = self.fresh.get(&row.key)?;
        let present = present.and_then(|value| version_of(&value));
        if present.max(self.removed.get(&row.key).copied()) >= Some(version) {
            return Ok(());
        }
        self.put(row, version)
    }

    fn put(&mut self, Row { key, value }: Row, version: u64) -> io::Result<()> {
        match value {
            Some(value) => self.fresh.insert(&*key, &*value)?,
            None => {
                let removed = self.fresh.remove(&*key)?;
                self.removed.insert(key, version);
                removed
            }
        };
        self.rows = self.rows.saturating_add(1);
        if self.rows.is_multiple_of(ROWS_OF_A_STEP) {
            self.fresh.flush()?;
            (self.go_on)();
        }
        Ok(())
    }
}

/// All rows that a damaged sled still reads: from the front up to the damage, then from the back.
fn each_of_sled(store: &Db, each: &mut dyn FnMut(Row) -> io::Result<()>) -> io::Result<()> {
    for is_backwards in [false, true] {
        // It reacts to damage with a panic as often as with an error.
        let read = catch_unwind(AssertUnwindSafe(|| match is_backwards {
            false => rows_up_to_damage(store.iter(), each),
            true => rows_up_to_damage(store.iter().rev(), each),
        }));
        match read {
            Ok(Ok(true)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(false)) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether it came to the end.
fn rows_up_to_damage(
    rows: impl Iterator<Item = ::sled::Result<(IVec, IVec)>>,
    each: &mut dyn FnMut(Row) -> io::Result<()>,
) -> io::Result<bool> {
    for read in rows {
        let Ok((key, value)) = read else {
            return Ok(false);
        };
        each(Row {
            key: (*key).into(),
            value: Some((*value).into()),
        })?;
    }
    Ok(true)
}

const ROWS_OF_A_STEP: usize = 1024;
