//! Moves the records of all users to another store, so that no code can be used in both.
//!
//! The old store is fenced before its records are read: from then on no daemon opens it, or changes
//! a record in it. The new store has a fence, too, which falls only when it holds every record as the
//! old one did. So at every moment at most one of the two can be served. A run that was killed leaves
//! one fence or both, and the next run goes on from there.
//!
//! Knows bytes, not what they mean. Reserved records are no user's, and stay behind: the daemon makes
//! them anew.

use std::collections::BTreeMap;
use std::fmt;

use common::names::user::UserName;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Incomplete, Store, Unavailable};
use crate::clock::mark::Mark;

/// All records, as they are stored.
pub type Rows = BTreeMap<UserName, Vec<u8>>;

/// What goes with the records.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// When a roll-back was last found.
    pub rolled_back_tick: Option<u64>,
    /// Whether users may be missing.
    pub incomplete: Option<Incomplete>,
    /// The mark of the clock.
    pub mark: Mark,
    /// The trusted seconds of now.
    pub tick: u64,
}

/// Why no daemon opens a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Its records are in that other store.
    MovedTo(String),
    /// Records of that other store are on their way into it.
    MovesFrom(String),
}

/// The store that records leave.
pub trait Old {
    /// What it is called in the other store's fence.
    fn name(&self) -> &str;
    /// The store, opened whatever its fence says.
    fn store(&self) -> &dyn Store;
    /// The fence that it has.
    fn fence(&self) -> Option<&Fence>;
    /// Puts that fence up, or takes it down: durable on return, and known to every daemon before its
    /// next change.
    ///
    /// # Errors
    /// [`NotMoved`].
    fn set_fence(&mut self, fence: Option<Fence>) -> Result<(), NotMoved>;
}

/// The store that they come to.
pub trait New {
    /// What it is called in the other store's fence.
    fn name(&self) -> &str;
    /// The fence that it has.
    fn fence(&self) -> Option<&Fence>;
    /// Whether it has users.
    fn has_users(&self) -> bool;
    /// Puts the fence up. Whatever an earlier run has still under way comes to nothing.
    ///
    /// # Errors
    /// [`NotMoved`].
    fn begin(&mut self, fence: Fence) -> Result<(), NotMoved>;
    /// Has these records alone, in the place of all that were there.
    ///
    /// # Errors
    /// [`NotMoved`].
    fn fill(&mut self, rows: &Rows, carried: &Carried) -> Result<(), NotMoved>;
    /// The records that it has, read back.
    ///
    /// # Errors
    /// [`NotMoved`].
    fn rows(&mut self) -> Result<Rows, NotMoved>;
    /// Takes the fence down.
    ///
    /// # Errors
    /// [`NotMoved`]: it may be down, or up.
    fn finish(&mut self, carried: &Carried) -> Result<(), NotMoved>;
}

/// Why the records did not move.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    /// One of the two cannot be used.
    #[error("{0}")]
    Store(String),
    /// A read of the old one failed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Nothing to move.
    #[error("{0} has no users: there is nothing to move; is it the right one?")]
    NoUsers(String),
    /// The new one is in use.
    #[error("{0} has users of its own: records can move into an empty store alone")]
    HasUsers(String),
    /// The old one is fenced for another move.
    #[error("{0} cannot be moved from: {1}")]
    Elsewhere(String, Fence),
    /// The new one is fenced for another move.
    #[error("{0} cannot be moved to: {1}")]
    Taken(String, Fence),
    /// Records would not open.
    #[error("{0}")]
    DoesNotOpen(String),
    /// The two are one.
    #[error("both settings have the same store, {0}")]
    Same(String),
    /// The last step failed.
    #[error("{0}; both stores are shut meanwhile: run the same command again, to its end")]
    Unfinished(Box<NotMoved>),
    /// What was read back is something else.
    #[error(
        "{0} has other records than were written: nothing was moved; look at its disk or cluster, and try again"
    )]
    Differs(String),
}

/// What was moved.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    /// The users.
    pub users: u64,
    /// A digest of all records, the same in both stores.
    pub digest: String,
}

/// Moves all records. `None`: an earlier run has done so. `carried` reads what goes with them, after
/// the old store is fenced; `opens` judges them.
///
/// # Errors
/// [`NotMoved`]. Unless the last step failed, the old store has no fence then.
pub fn run(
    mut old: Box<dyn Old>,
    new: &mut dyn New,
    carried: impl FnOnce(&dyn Store) -> Carried,
    opens: impl FnOnce(&Rows) -> Result<(), NotMoved>,
) -> Result<Option<Moved>, NotMoved> {
    let (from, to) = (old.name().to_owned(), new.name().to_owned());
    let (away, arrival) = (Fence::MovedTo(to.clone()), Fence::MovesFrom(from.clone()));
    if from == to {
        return Err(NotMoved::Same(from));
    }
    if let Some(fence) = old.fence().filter(|fence| **fence != away) {
        return Err(NotMoved::Elsewhere(from, fence.clone()));
    }
    match new.fence() {
        None if new.has_users() && old.fence().is_some() => return Ok(None),
        None if new.has_users() => return Err(NotMoved::HasUsers(to)),
        Some(fence @ Fence::MovesFrom(_)) if *fence != arrival => {
            return Err(NotMoved::Taken(to, fence.clone()));
        }
        _ => {}
    }
    if old.store().health()?.users == 0 {
        return Err(NotMoved::NoUsers(from));
    }
    new.begin(arrival)?;
    old.set_fence(Some(away))?;
    let copied = copy(old.store(), new, carried, opens);
    let (moved, carried) = match copied {
        Ok(copied) => copied,
        Err(why) => {
            // The new store has its fence still. One that cannot be lifted is lifted, or goes on, at the
            // next run.
            _ = old.set_fence(None);
            return Err(why);
        }
    };
    old.store().close();
    drop(old);
    let finished = new.finish(&carried);
    finished.map_err(|why| NotMoved::Unfinished(Box::new(why)))?;
    Ok(Some(moved))
}

fn copy(
    old: &dyn Store,
    new: &mut dyn New,
    carried: impl FnOnce(&dyn Store) -> Carried,
    opens: impl FnOnce(&Rows) -> Result<(), NotMoved>,
) -> Result<(Moved, Carried), NotMoved> {
    let rows = rows_of(old)?;
    opens(&rows)?;
    let carried = carried(old);
    new.fill(&rows, &carried)?;
    let moved = counted(&rows);
    match counted(&new.rows()?) == moved {
        true => Ok((moved, carried)),
        false => Err(NotMoved::Differs(new.name().to_owned())),
    }
}

/// All records of a store.
pub(super) fn rows_of(store: &dyn Store) -> Result<Rows, Unavailable> {
    let mut rows = Rows::new();
    loop {
        let after = rows.last_key_value().map(|(user, _)| user);
        let page = store.list(after, PAGE)?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page.into_iter().map(|(user, stored)| (user, stored.bytes)));
    }
}

/// How many they are, and their digest.
pub(super) fn counted(rows: &Rows) -> Moved {
    let mut hash = Sha256::new();
    for part in rows
        .iter()
        .flat_map(|(user, record)| [user.as_str().as_bytes(), record])
    {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    Moved {
        users: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        digest: HEXLOWER.encode(&hash.finalize()),
    }
}

impl Fence {
    /// The fence as a text.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::MovedTo(name) => format!("{MOVED_TO}{name}"),
            Self::MovesFrom(name) => format!("{MOVES_FROM}{name}"),
        }
    }

    /// Reads such a text. One that cannot be read is a fence all the same.
    pub(super) fn parse(text: &str) -> Self {
        match (text.strip_prefix(MOVED_TO), text.strip_prefix(MOVES_FROM)) {
            (Some(name), _) => Self::MovedTo(name.to_owned()),
            (_, Some(name)) => Self::MovesFrom(name.to_owned()),
            _ => Self::MovedTo("an unknown store".to_owned()),
        }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MovedTo(name) => write!(
                f,
                "its records have moved to {name}: put settings with that store in the place of these"
            ),
            Self::MovesFrom(name) => write!(
                f,
                "records are on their way into it from {name}: run the same 'totpctl migrate' again, to its end"
            ),
        }
    }
}

const PAGE: usize = 1024;
const MOVED_TO: &str = "moved to ";
const MOVES_FROM: &str = "moves from ";

#[cfg(test)]
pub(super) mod tests;
