//! Compares sled with its copy while the store is open (scrubbing): a record that the copy has and sled
//! does not find any more was lost by sled. Nothing but the next start can heal it.
//!
//! Updates go on meanwhile. What seems to be missing is looked for again after the committer has
//! finished the groups before: a record may have been removed, or be on its way from the journal.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ::sled::Db;

use super::overlay::Overlay;
use super::rows::{RECORDS, size, version_of};
use crate::store::journal::frame::{Bytes, Point, Row};
use crate::store::journal::play;

/// The store that is open.
pub(super) struct Comparison<'a> {
    pub(super) db: &'a Db,
    pub(super) overlay: &'a Overlay,
    /// The folder of the copy.
    pub(super) folder: &'a Path,
    /// Is told how many bytes were read, and leaves disk and processor to logins now and then. An
    /// error: the store is being closed.
    pub(super) pace: &'a dyn Fn(usize) -> io::Result<()>,
}

/// Records that sled did not find, and the version that the copy has.
#[derive(Default)]
pub(super) struct Missing(BTreeMap<Bytes, u64>);

impl Comparison<'_> {
    /// Reads the whole copy. Returns how far it reaches, and what sled seems to lack.
    ///
    /// # Errors
    /// One of the two cannot be read.
    pub(super) fn look(&self) -> Result<(Point, Missing), Hurt> {
        let (mut missing, mut hurt) = (Missing::default(), None);
        let reached = play(self.folder, &mut |rows| {
            (self.pace)(size(&rows))?;
            let mut rows = rows.into_iter();
            let looked = rows.try_for_each(|row| self.look_for(row, &mut missing));
            looked.inspect_err(|error| hurt = Some(error.to_string()))
        });
        match (reached, hurt) {
            (_, Some(why)) => Err(Hurt::Store(why)),
            (Err(_), None) => Err(Hurt::Copy),
            (Ok(reached), None) => Ok((reached, missing)),
        }
    }

    /// Why sled cannot be used any more, if it has lost any of them. `finishes` has the committer
    /// finish every group that is in the journal, and says whether it did.
    pub(super) fn judge(
        &self,
        mut missing: Missing,
        finishes: impl Fn() -> bool,
    ) -> Option<String> {
        // Most are only on their way from the journal.
        for _ in 0..LOOKS {
            if missing.0.is_empty() {
                return None;
            }
            sleep(BETWEEN_LOOKS);
            missing = match self.still_missing(missing) {
                Ok(missing) => missing,
                Err(error) => return Some(error.to_string()),
            };
        }
        let missing = finishes().then_some(missing)?;
        match self
            .still_missing(missing)
            .map(|lost| self.not_removed(lost))
        {
            Ok(0) => None,
            Ok(lost) => Some(format!("its database has lost {lost} records")),
            Err(error) => Some(error.to_string()),
        }
    }

    fn still_missing(&self, missing: Missing) -> io::Result<Missing> {
        let mut still = Missing::default();
        for (key, version) in missing.0 {
            if self.version(&key)? < Some(version) {
                still.0.insert(key, version);
            }
        }
        Ok(still)
    }

    /// How many of these are not removed in the journal, which is why they were not found.
    fn not_removed(&self, missing: Missing) -> usize {
        let keys = missing.0.into_keys().map(|key| (key, true));
        let mut keys: BTreeMap<Bytes, bool> = keys.collect();
        if keys.is_empty() {
            return 0;
        }
        let played = play(self.folder, &mut |rows| {
            (self.pace)(size(&rows))?;
            for row in rows {
                keys.entry(row.key)
                    .and_modify(|is_there| *is_there = row.value.is_some());
            }
            Ok(())
        });
        // Without a whole copy nothing is known to be lost.
        played.map_or(0, |_| keys.values().filter(|is_there| **is_there).count())
    }

    fn look_for(&self, row: Row, missing: &mut Missing) -> io::Result<()> {
        if !row.key.starts_with(RECORDS) {
            return Ok(());
        }
        let version = row.value.as_deref().and_then(version_of);
        if self.version(&row.key)? >= version {
            missing.0.remove(&row.key);
        } else if missing.0.len() < ENOUGH {
            missing.0.insert(row.key, version.unwrap_or(0));
        }
        Ok(())
    }

    /// The version that a reader finds; `None`: no record.
    fn version(&self, key: &[u8]) -> io::Result<Option<u64>> {
        match self.overlay.get(key) {
            Some(value) => Ok(value.as_deref().and_then(version_of)),
            None => Ok(self.db.get(key)?.and_then(|value| version_of(&value))),
        }
    }
}

/// What cannot be read.
pub(super) enum Hurt {
    /// The copy; or the store is being closed.
    Copy,
    /// sled, and why.
    Store(String),
}

/// How often, and at which distance, what is missing is looked for before the committer is bothered.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// One lost record is enough to end the daemon. More are counted for the sentence only.
const ENOUGH: usize = 1000;
