//! What the store says of itself, and whether it is as old as its witnesses know it to be.

use std::path::Path;

use ::sled::Db;
use sha2::{Digest, Sha256};

use super::opening::{OpenError, damaged, unusable};
use super::rows::RECORDS;
use crate::clock::mark::{Mark as ClockMark, NUMBERS};
use crate::store::Version;
use crate::store::marker::{Age, Marker};

/// What the store says of itself, in the one value that every group of updates changes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) generation: u64,
    pub(super) users: u64,
    /// In trusted seconds.
    pub(super) rolled_back_tick: Option<u64>,
    /// The sum of [`imprint`] over all records.
    imprint: u64,
}

impl Summary {
    pub(super) fn to_bytes(self, clock: ClockMark) -> Vec<u8> {
        let rolled_back = self.rolled_back_tick.map_or(0, |tick| tick.saturating_add(1));
        let numbers = [self.generation, self.users, rolled_back, self.imprint];
        let numbers = numbers.into_iter().chain(clock.to_numbers()).flat_map(u64::to_be_bytes);
        std::iter::once(FORMAT).chain(numbers).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Self, ClockMark)> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let (own, clock) = numbers.split_first_chunk()?;
        let [generation, users, rolled_back, imprint] = own.map(u64::from_be_bytes);
        let clock = <[[u8; 8]; NUMBERS]>::try_from(clock).ok()?.map(u64::from_be_bytes);
        let summary = Self { generation, users, rolled_back_tick: rolled_back.checked_sub(1), imprint };
        Some((summary, ClockMark::from_numbers(clock)))
    }

    /// Makes it what it is after a user's record has gone from one version, or none, to another, or none.
    pub(super) fn follow(&mut self, key: &[u8], from: Option<Version>, to: Option<Version>) {
        // What is no user's is not counted: losing its last updates does no harm.
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

pub(super) fn read_summary(db: &Db, store: &Path) -> Result<(Summary, Option<ClockMark>), OpenError> {
    let failed = |error| unusable(store, error);
    let records = db.scan_prefix(RECORDS).next().transpose().map_err(failed)?.is_some();
    let (summary, clock) = match db.get(SUMMARY).map_err(failed)?.as_deref() {
        None => (Summary::default(), None),
        Some([FORMAT, rest @ ..]) => {
            let summary = Summary::from_bytes(rest).filter(|(summary, _)| summary.generation < ABSURD);
            let (summary, clock) = summary.ok_or_else(|| damaged(store, "its summary cannot be read"))?;
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

/// What the summary should say of the records that are there. A damaged log can lose the last updates of some users
/// and keep everything later, the summary too; no generation tells that. `None`: too many to look at while others wait,
/// or not readable, which those users' `load` will say.
pub(super) fn count(db: &Db, found: &Summary) -> Option<Summary> {
    let mut counted = Summary { users: 0, imprint: 0, ..*found };
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

/// Holds what was found against what was counted and what the witnesses say. `None`: the store was lost. When it is
/// older than they know, the generation leaps ahead of everything that may have been written since, so that this is
/// noticed once and no version is given twice.
pub(super) fn judge_age(
    found: Summary,
    counted: Option<Summary>,
    marker: &Marker,
    mirrored: Option<Age>,
    tick: u64,
) -> Option<Summary> {
    let counted = counted.unwrap_or(found);
    let marked = marker.mark().map_or(0, |mark| believed(mark.age.generation));
    if found.users == 0 && marker.says_users() && found.generation <= marked {
        return None;
    }
    let known = marked.max(mirrored.map_or(0, |age| believed(age.generation))).max(counted.generation);
    if found.generation >= known && counted == found {
        return Some(found);
    }
    // What was made after an earlier one within the same second bears a later stamp than the second has.
    let rolled_back_tick = Some(found.rolled_back_tick.map_or(tick, |earlier| tick.max(earlier.saturating_add(1))));
    Some(Summary { generation: known.saturating_add(LEAP), rolled_back_tick, ..counted })
}

/// When the latest step begins that the witnesses know to be spent. The marker hears at once only of steps that are spent ahead
/// of their time: where it is alone, every step up to now may be.
pub(super) fn known_to_be_spent(marker: &Marker, mirrored: Option<Age>, now: u64) -> u64 {
    marker.spent().max(mirrored.map_or(now, |age| age.spent))
}

/// A generation as it is told, unless nobody can have counted that far.
pub(super) fn believed(generation: u64) -> u64 {
    if generation < ABSURD { generation } else { 0 }
}

/// A number that one version of one user's record has and hardly any other.
pub(super) fn imprint(key: &[u8], version: Version) -> u64 {
    let hash = Sha256::new().chain_update(version.0.to_be_bytes()).chain_update(key).finalize();
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The key of the [`Summary`].
pub(super) const SUMMARY: &[u8] = b"m";
/// The first byte of the summary: how this store is laid out.
pub(super) const FORMAT: u8 = 3;
/// More than can be written in the minute that the marker may be behind.
pub(super) const LEAP: u64 = 1 << 32;
/// A generation that no store reaches by counting: who says so is damaged, and not believed.
pub(super) const ABSURD: u64 = 1 << 62;
/// Up to this many users, all records are counted at open; it takes a fraction of a second.
pub(super) const COUNTED: u64 = 20_000;
