//! The summary of the store, and the detection of a roll-back and of a loss: compares the store's
//! age with its witnesses, and the records with the summary.

use std::path::Path;

use ::sled::Db;
use sha2::{Digest, Sha256};

use super::opening::{OpenError, damaged, unusable};
use super::rows::RECORDS;
use super::witnesses::Witnesses;
use crate::clock::mark::Mark;
use crate::store::journal::frame::Point;
use crate::store::marker::{Age, Marker};
use crate::store::{Incomplete, Version};

/// The summary of the store: one value that every group of updates changes in the same batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) generation: u64,
    pub(super) users: u64,
    /// When a roll-back was last found, in trusted seconds.
    pub(super) rolled_back_tick: Option<u64>,
    /// Users may be missing, and no administrator has accepted that yet.
    pub(super) incomplete: Option<Incomplete>,
    /// The sum of [`imprint`] over all records.
    imprint: u64,
}

impl Summary {
    pub(super) fn to_bytes(self, clock: Mark) -> Vec<u8> {
        let rolled_back = self
            .rolled_back_tick
            .map_or(0, |tick| tick.saturating_add(1));
        let Incomplete { users, whole } = self.incomplete.unwrap_or(COMPLETE);
        let numbers = [
            self.generation,
            self.users,
            rolled_back,
            self.imprint,
            users,
            whole,
        ];
        let numbers = numbers
            .into_iter()
            .chain(clock.to_numbers())
            .flat_map(u64::to_be_bytes);
        std::iter::once(FORMAT).chain(numbers).collect()
    }

    /// The summary after a backup was restored at that trusted second, where `newest` was the latest
    /// generation that was known, and `users` were.
    pub(super) fn restored(self, newest: u64, stamp: u64, users: u64) -> Self {
        Self {
            generation: newest.saturating_add(LEAP),
            rolled_back_tick: Some(stamp),
            incomplete: Some(Incomplete {
                users: self.users.max(users),
                whole: UNKNOWN,
            }),
            ..self
        }
    }

    /// The summary, and the mark of the clock beside it. `None`: it is none, or of another version.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, Mark)> {
        match bytes {
            [format @ WITHOUT_LOSS..=FORMAT, rest @ ..] => Self::from_bytes(*format, rest),
            _ => None,
        }
        .filter(|(summary, _)| summary.generation < ABSURD)
    }

    fn from_bytes(format: u8, bytes: &[u8]) -> Option<(Self, Mark)> {
        let (numbers, []) = bytes.as_chunks() else {
            return None;
        };
        let numbers: Vec<u64> = numbers.iter().copied().map(u64::from_be_bytes).collect();
        let (own, rest) = numbers.split_first_chunk()?;
        let [generation, users, rolled_back, imprint] = *own;
        let (missing, clock) = match format {
            WITHOUT_LOSS => (COMPLETE, rest),
            _ => {
                let ([users, whole], clock) = rest.split_first_chunk()?;
                let (users, whole) = (*users, *whole);
                (Incomplete { users, whole }, clock)
            }
        };
        let summary = Self {
            generation,
            users,
            rolled_back_tick: rolled_back.checked_sub(1),
            incomplete: Some(missing).filter(|missing| *missing != COMPLETE),
            imprint,
        };
        Some((summary, Mark::from_numbers(clock)?))
    }

    /// Where the store stands, by its records.
    pub(super) fn point(&self) -> Point {
        Point {
            generation: self.generation,
            imprint: self.imprint,
        }
    }

    /// The age of the store for its witnesses; `spent` is the start of the latest spent step.
    pub(super) fn age(&self, spent: u64) -> Age {
        let generation = self.generation;
        let whole = self.incomplete.map_or(generation, |missing| missing.whole);
        Age {
            generation,
            spent,
            whole,
        }
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

pub(super) fn read_summary(db: &Db, store: &Path) -> Result<(Summary, Option<Mark>), OpenError> {
    let failed = |error| unusable(store, error);
    let records = db
        .scan_prefix(RECORDS)
        .next()
        .transpose()
        .map_err(failed)?
        .is_some();
    let (summary, clock) = match db.get(SUMMARY).map_err(failed)?.as_deref() {
        None => (Summary::default(), None),
        Some(bytes @ [WITHOUT_LOSS..=FORMAT, ..]) => {
            let summary = Summary::parse(bytes);
            let (summary, clock) =
                summary.ok_or_else(|| damaged(store, "its summary cannot be read"))?;
            (summary, Some(clock))
        }
        Some([format, ..]) if *format > FORMAT => return Err(OpenError::Newer(store.to_owned())),
        Some([_, ..]) => return Err(OpenError::Older(store.to_owned())),
        Some([]) => return Err(damaged(store, "its summary is empty")),
    };
    if records == (summary.users > 0) {
        Ok((summary, clock))
    } else {
        Err(damaged(store, "its records and its summary differ"))
    }
}

/// The summary as counted from all records. A damaged log can lose the last updates of some users
/// and keep all later ones, and the summary; the generation does not show that. `None`: a record
/// cannot be read, so that it is not known how many there are.
pub(super) fn count(db: &Db, found: &Summary) -> Option<Summary> {
    let mut counted = Summary {
        users: 0,
        imprint: 0,
        ..*found
    };
    let mut is_torn = false;
    for row in db.scan_prefix(RECORDS) {
        let (key, value) = row.ok()?;
        let version = value.first_chunk().copied().map(u64::from_be_bytes);
        // A record too short for its version is its user's trouble alone, and is counted all the
        // same.
        is_torn |= version.is_none();
        let version = Version(version.unwrap_or(0));
        counted.generation = counted.generation.max(believed(version.0));
        counted.follow(&key, None, Some(version));
    }
    if is_torn {
        counted.imprint = found.imprint;
    }
    Some(counted)
}

/// Compares the summary with the count and the witnesses. `None`: the store was lost. When the
/// store is older than its witnesses, it was rolled back: the generation leaps ahead of all updates
/// that may have been lost, so that the roll-back is reported once and no version repeats. Then
/// users may be missing, too.
pub(super) fn judge_age(
    found: Summary,
    counted: Option<Summary>,
    witnesses: &Witnesses,
    stamp: u64,
) -> Option<Summary> {
    let Witnesses {
        marker,
        mirrored,
        journal,
        ..
    } = witnesses;
    let mirrored = *mirrored;
    let is_sound = counted == Some(found);
    let counted = counted.unwrap_or(found);
    let marked = marker
        .mark()
        .map_or(0, |mark| believed(mark.age.generation));
    if found.users == 0 && marker.says_users() && found.generation <= marked {
        return None;
    }
    let mirror = mirrored.map_or(0, |age| believed(age.generation));
    let known = marked.max(mirror).max(counted.generation).max(*journal);
    let is_witnessed = found.users == 0 || marker.age().or(mirrored).is_some();
    if found.generation >= known && is_sound && is_witnessed {
        return Some(found);
    }
    // What was made after an earlier roll-back, or a boot, in the same second has no later stamp.
    let rolled_back_tick = Some(stamp);
    // A store in which users are missing counts on, but no further towards a whole one.
    let own = match found.incomplete {
        None => counted.generation,
        Some(missing) => missing.whole,
    };
    let ages = marker.age().into_iter().chain(mirrored);
    let whole = ages.map(|age| age.whole).fold(own.max(*journal), u64::max);
    let whole = if is_witnessed { whole } else { UNKNOWN };
    let is_whole = is_sound && found.incomplete.is_none() && found.generation >= whole;
    let known_before = found.incomplete.map_or(0, |missing| missing.users);
    let users = found.users.max(marker.users()).max(known_before);
    Some(Summary {
        generation: known.saturating_add(LEAP),
        rolled_back_tick,
        incomplete: (!is_whole).then_some(Incomplete { users, whole }),
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
pub(super) const FORMAT: u8 = 5;
/// The format that does not say whether users are missing. It and format 4, whose mark of the clock
/// knows fewer doubts, are read, and written anew.
const WITHOUT_LOSS: u8 = 3;
/// Stands for a store in which no user is missing.
const COMPLETE: Incomplete = Incomplete { users: 0, whole: 0 };
/// The generation of a whole store, where no witness is left to tell it: no copy is known to be.
const UNKNOWN: u64 = u64::MAX;
/// More updates than can be written in the minute by which the marker may be behind.
pub(super) const LEAP: u64 = 1 << 32;
/// A generation that no store reaches by counting: a larger one is damage, and not trusted.
pub(super) const ABSURD: u64 = 1 << 62;
