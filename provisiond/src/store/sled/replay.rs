//! The replay at a start (crash recovery): brings sled up to what the journal of earlier processes
//! holds.
//!
//! A frame is taken only at the very point where the one before it, or sled, has left the store.
//! After a gap nothing fits, so an update is never applied to a store that it was not made for.

use std::io;
use std::mem::take;
use std::path::Path;

use ::sled::Db;

use super::base::Base;
use super::opening::{OpenError, at, guarded};
use super::rows::{Merged, size};
use super::summary::{Summary, count, read_summary};
use crate::clock::mark::Mark;
use crate::store::journal::Earlier;
use crate::store::journal::frame::{Frame, Point};

/// What was found in sled.
pub(super) struct Found {
    /// Its summary as it was written.
    pub(super) summary: Summary,
    /// The summary as counted from all records; see [`count`].
    pub(super) counted: Option<Summary>,
    /// The last mark of the clock.
    pub(super) seen: Option<Mark>,
    /// sled held nothing, and all of it came from the journal.
    pub(super) is_all_replayed: bool,
}

impl Found {
    /// What is in sled once it was brought up to the journal. Only a sound one is: rows that are
    /// missing from it would be missing from the journal's points, too. `newest` is the latest
    /// generation of the journal: it is not read again where it has nothing new.
    pub(super) fn after_replay(
        base: &mut Base,
        earlier: &Earlier,
        newest: u64,
        store: &Path,
    ) -> Result<Self, OpenError> {
        let found = guarded(store, || Self::read(&base.db, store))?;
        let behind = |reached: &Point| reached.generation < newest;
        let Some(reached) = found.sound().filter(behind) else {
            return Ok(found);
        };
        let has_moved = guarded(store, || replay(base, earlier, reached).map_err(at(store)))?;
        if !has_moved {
            return Ok(found);
        }
        let replayed = guarded(store, || Self::read(&base.db, store))?;
        Ok(Self {
            is_all_replayed: reached == Point::default(),
            ..replayed
        })
    }

    /// sled may panic.
    pub(super) fn read(db: &Db, store: &Path) -> Result<Self, OpenError> {
        let (summary, seen) = read_summary(db, store)?;
        Ok(Self {
            counted: count(db, &summary),
            summary,
            seen,
            is_all_replayed: false,
        })
    }

    /// Where the store stands, if its records are those that its summary tells of.
    pub(super) fn sound(&self) -> Option<Point> {
        let is_sound = self.counted == Some(self.summary);
        is_sound.then(|| self.summary.point())
    }

    /// The latest generation that sled itself knows.
    pub(super) fn newest(&self) -> u64 {
        let counted = self.counted.map_or(0, |counted| counted.generation);
        self.summary.generation.max(counted)
    }
}

/// Brings sled, which is sound and stands at `reached`, as far as the journal goes. Returns whether
/// anything was missing. Durable on return.
fn replay(base: &mut Base, earlier: &Earlier, reached: Point) -> io::Result<bool> {
    let mut replay = Replay {
        reached,
        has_moved: false,
        waiting: Merged::default(),
    };
    earlier.each_frame(&mut |frame| replay.take(base, frame))?;
    if replay.has_moved {
        base.write(&replay.waiting)?;
    }
    Ok(replay.has_moved)
}

struct Replay {
    reached: Point,
    has_moved: bool,
    waiting: Merged,
}

impl Replay {
    fn take(&mut self, base: &mut Base, frame: Frame) -> io::Result<()> {
        // A frame that changes no record holds a mark of the clock. It is no news to a store that
        // lacks none of the frames before it, and may be older than what that store has.
        let moves = frame.after != frame.before;
        if frame.before != self.reached || !moves && !self.has_moved {
            return Ok(());
        }
        if !self.waiting.has_room(size(&frame.rows)) {
            base.write(&take(&mut self.waiting))?;
        }
        self.waiting.add(frame.rows);
        self.reached = frame.after;
        self.has_moved = true;
        Ok(())
    }
}
