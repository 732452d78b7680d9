//! The summary of the store, and the detection of a roll-back: compares the store's age with its
//! witnesses, and the records with the summary.

use std::path::Path;

use ::sled::Db;
use sha2::{Digest, Sha256};

use super::opening::{OpenError, damaged, unusable};
use super::rows::RECORDS;
use crate::clock::mark::{Mark as ClockMark, NUMBERS};
use crate::store::Version;
use crate::store::marker::{Age, Marker};

/// The summary of the store: one value that every group of updates changes in the same batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) generation: u64,
    pub(super) users: u64,
    /// When a roll-back was last found, in trusted seconds.
    pub(super) rolled_back_tick: Option<u64>,
    /// The sum of [`imprint`] over all records.
    imprint: u64,
}

impl Summary {
    pub(super) fn to_bytes(self, clock: ClockMark) -> Vec<u8> {
        let rolled_back = self
            .rolled_back_tick
            .map_or(0, |tick| tick.saturating_add(1));
        let numbers = [self.generation, self.users, rolled_back, self.imprint];
        let numbers = numbers
            .into_iter()
            .chain(clock.to_numbers())
            .flat_map(u64::to_be_bytes);
        std::iter::once(FORMAT).chain(numbers).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Self, ClockMark)> {
        let (numbers, []) = bytes.as_chunks() else {
            return None;
        };
        let (own, clock) = numbers.split_first_chunk()?;
        let [generation, users, rolled_back, imprint] = own.map(u64::from_be_bytes);
        let clock = <[[u8; 8]; NUMBERS]>::try_from(clock)
            .ok()?
            .map(u64::from_be_bytes);
        let summary = Self {
            generation,
            users,
            rolled_back_tick: rolled_back.checked_sub(1),
            imprint,
        };
        Some((summary, ClockMark::from_numbers(clock)))
    }

    /// Updates the summary after a user's record has changed from one version, or none, to another,
    /// or none.
    pub(super) fn follow(&mut self, key: &[u8], from: Option<Version>, to: Option<Version>) {
        // Reserved records are not counted: losing their last updates does no harm.
        if !key.starts_with(RECORDS) {
            return;
        }
        if let Some(version) = from {
            self.users = self.users.saturating_sub(1);
            self.imprint = self.imprint.wrapping_sub(imprint(key, version));
        }
        if let Some(version) = to {
            self.users = self.users.saturating_add(1);
            self.imprint = self.imprint.wrapping_add(imprint(key, version));
        }
    }
}

pub(super) fn read_summary(
    db: &Db,
    store: &Path,
) -> Result<(Summary, Option<ClockMark>), OpenError> {
    let failed = |error| unusable(store, error);
    let records = db
        .scan_prefix(RECORDS)
        .next()
        .transpose()
        .map_err(failed)?
        .is_some();
    let (summary, clock) = match db.get(SUMMARY).map_err(failed)?.as_deref() {
        None => (Summary::default(), None),
        Some([FORMAT, rest @ ..]) => {
            let summary =
                Summary::from_bytes(rest).filter(|(summary, _)| summary.generation < ABSURD);
            let (summary, clock) =
                summary.ok_or_else(|| damaged(store, "its summary cannot be read"))?;
            (summary, Some(clock))
        }
        Some(_) => return Err(OpenError::Newer(store.to_owned())),
    };
    if records == (summary.users > 0) {
        Ok((summary, clock))
    } else {
        Err(damaged(store, "its records and its summary differ"))
    }
}

/// The summary as counted from all records. A damaged log can lose the last updates of some users
/// and keep all later ones, and the summary; the generation does not show that. `None`: too many
/// records to count while callers wait, or unreadable ones, which those users' `load` reports.
pub(super) fn count(db: &Db, found: &Summary) -> Option<Summary> {
    let mut counted = Summary {
        users: 0,
        imprint: 0,
        ..*found
    };
    if found.users > COUNTED {
        return None;
    }
    for row in db.scan_prefix(RECORDS) {
        let (key, value) = row.ok()?;
        let version = Version(u64::from_be_bytes(*value.first_chunk()?));
        counted.generation = counted.generation.max(believed(version.0));
        counted.follow(&key, None, Some(version));
    }
    Some(counted)
}

/// Compares the summary with the count and the witnesses. `None`: the store was lost. When the
/// store is older than its witnesses, it was rolled back: the generation leaps ahead of all updates
/// that may have been lost, so that the roll-back is reported once and no version repeats.
pub(super) fn judge_age(
    found: Summary,
    counted: Option<Summary>,
    marker: &Marker,
    mirrored: Option<Age>,
    tick: u64,
) -> Option<Summary> {
    let counted = counted.unwrap_or(found);
    let marked = marker
        .mark()
        .map_or(0, |mark| believed(mark.age.generation));
    if found.users == 0 && marker.says_users() && found.generation <= marked {
        return None;
    }
    let known = marked
        .max(mirrored.map_or(0, |age| believed(age.generation)))
        .max(counted.generation);
    if found.generation >= known && counted == found {
        return Some(found);
    }
    // Records that were made after an earlier roll-back in the same second have a stamp later than
    // that second.
    let rolled_back_tick = Some(
        found
            .rolled_back_tick
            .map_or(tick, |earlier| tick.max(earlier.saturating_add(1))),
    );
    Some(Summary {
        generation: known.saturating_add(LEAP),
        rolled_back_tick,
        ..counted
    })
}

/// The start of the latest spent step according to the witnesses. The marker is written at once
/// only for steps that are spent ahead of their time: if it is the only witness, every step up to
/// now may be spent.
pub(super) fn known_to_be_spent(marker: &Marker, mirrored: Option<Age>, now: u64) -> u64 {
    marker.spent().max(mirrored.map_or(now, |age| age.spent))
}

/// The generation, or 0 if it is too large to have been counted.
pub(super) fn believed(generation: u64) -> u64 {
    if generation < ABSURD { generation } else { 0 }
}

/// A fingerprint of one version of one user's record.
pub(super) fn imprint(key: &[u8], version: Version) -> u64 {
    let hash = Sha256::new()
        .chain_update(version.0.to_be_bytes())
        .chain_update(key)
        .finalize();
    hash.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The key of the [`Summary`].
pub(super) const SUMMARY: &[u8] = b"m";
/// The first byte of the summary: the format of this store.
pub(super) const FORMAT: u8 = 3;
/// More updates than can be written in the minute by which the marker may be behind.
pub(super) const LEAP: u64 = 1 << 32;
/// A generation that no store reaches by counting: a larger one is damage, and not trusted.
pub(super) const ABSURD: u64 = 1 << 62;
/// Up to this many users, all records are counted at open, which takes a fraction of a second.
pub(super) const COUNTED: u64 = 20_000;
