//! Where records are kept: one per user, bytes with a version.
//!
//! Knows names, bytes and versions, never what a record means, and no clock but the deadlines it is given.

pub mod commit;
pub mod marker;
pub mod sled;

pub(crate) use marker::beside;

use std::time::Instant;

use common::names::user::UserName;

/// A store of one record per user, shared by all threads. An update returns when it is durable, not before.
///
/// `load` and `list` may show an update a moment before it is durable; what is then built on it becomes durable after
/// it, or not at all.
pub trait Store: Send + Sync {
    /// The user's record, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable>;

    /// Stores the first record of a user: [`Outcome::Conflict`] if there is one already.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn insert_new(&self, user: &UserName, record: Vec<u8>, deadline: Instant) -> Result<Outcome, Unavailable>;

    /// Stores the record in the place of the one of version `expected`: [`Outcome::Conflict`] if that is not there now.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn replace(
        &self,
        user: &UserName,
        expected: Version,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable>;

    /// Removes the record of version `expected`: [`Outcome::Conflict`] if that is not there now.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn remove(&self, user: &UserName, expected: Version, deadline: Instant) -> Result<Outcome, Unavailable>;

    /// Moves a user's record of version `expected` to a user who has none, as `record`, in one step: whatever happens, one of
    /// the two has it. [`Outcome::Conflict`] if either is not as expected.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn rename(
        &self,
        user: &UserName,
        expected: Version,
        to: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable>;

    /// At most `limit` records of the users whose names come after `after`, in the order of the names' bytes.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn list(&self, after: Option<&UserName>, limit: usize) -> Result<Vec<(UserName, Stored)>, Unavailable>;

    /// What the store says of itself.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn health(&self) -> Result<Health, Unavailable>;

    /// When this store was last found to be older than it had been, in trusted seconds ([`crate::clock`]). The store itself
    /// remembers it, and, with every update, the mark of the clock.
    fn rolled_back_tick(&self) -> Option<u64>;

    /// Makes durable what was seen of the clock, which every update does besides. Nothing else changes.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn keep_mark(&self, deadline: Instant) -> Result<Outcome, Unavailable>;

    /// Makes what is queued durable and stops. Every later call is [`Unavailable`].
    fn close(&self);
}

/// Which writing of a record this is. It never repeats, not even after the user was removed and inserted again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(u64);

/// A record as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// The record.
    pub bytes: Vec<u8>,
    /// What `replace` and `remove` compare.
    pub version: Version,
}

/// What became of an update.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is durable; this is the version it made.
    Done(Version),
    /// Somebody else was first; nothing was changed.
    Conflict,
    /// The deadline passed. The change may still become durable.
    Unknown,
}

/// The store does not work now. An update that was under way may or may not be found in it at the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be used now; the daemon's log says why")]
pub struct Unavailable;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Which kind of store this is.
    pub kind: &'static str,
    /// How many users have a record.
    pub users: u64,
    /// How many updates it has seen, and a leap for each roll-back: it only grows.
    pub generation: u64,
}

#[cfg(test)]
mod tests;
