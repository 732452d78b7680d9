//! The store of records on disk: the trait of a durable compare-and-swap store, with one record of
//! bytes for each user.
//!
//! Knows names, bytes and versions, never the meaning of a record, and no clock but the deadlines
//! of its callers.

pub mod backup;
pub mod commit;
#[cfg(feature = "etcd")]
pub mod etcd;
mod exchange;
pub mod file_system;
pub mod journal;
pub mod marker;
pub mod moving;
pub(crate) mod private;
pub mod room;
pub mod sled;
mod unreadable;

pub(crate) use marker::beside;

use std::time::Instant;

use common::names::user::UserName;

/// A store of one record per user, shared by all threads. An update returns when it is durable, not
/// before.
///
/// `load` and `list` may return an update a moment before it is durable. A later update that builds
/// on it becomes durable after it, or not at all.
pub trait Store: Send + Sync {
    /// The user's record, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable>;

    /// The records of these users, in their order, as `load` finds them. A store on the network is
    /// asked once.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn load_many(&self, users: &[&UserName]) -> Result<Vec<Option<Stored>>, Unavailable> {
        users.iter().map(|user| self.load(user)).collect()
    }

    /// Stores the first record of a user: [`Outcome::Conflict`] if there is one already.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn insert_new(
        &self,
        user: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable>;

    /// Replaces the record of version `expected`: [`Outcome::Conflict`] if the present version is
    /// another one.
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

    /// Stores the first record of a user (`expected` is `None`) or replaces that of version `expected`;
    /// by it the user is enrolled. The witnesses of the store's age know of the update before the
    /// caller does.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn enrol(
        &self,
        user: &UserName,
        expected: Option<Version>,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        let outcome = match expected {
            Some(expected) => self.replace(user, expected, record, deadline)?,
            None => self.insert_new(user, record, deadline)?,
        };
        match outcome {
            Outcome::Done(_) => match self.keep_mark(deadline)? {
                Outcome::Done(_) => Ok(outcome),
                Outcome::Conflict | Outcome::Unknown => Ok(Outcome::Unknown),
            },
            not_done => Ok(not_done),
        }
    }

    /// Removes the record of version `expected`: [`Outcome::Conflict`] if the present version is
    /// another one.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn remove(
        &self,
        user: &UserName,
        expected: Version,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable>;

    /// Moves a user's record of version `expected` to a user without one, as `record`, atomically:
    /// at every moment exactly one of the two has it. [`Outcome::Conflict`] if either is not as
    /// expected.
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

    /// At most `limit` records of the users whose names come after `after`, in the order of the
    /// names' bytes.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn list(
        &self,
        after: Option<&UserName>,
        limit: usize,
    ) -> Result<Vec<(UserName, Stored)>, Unavailable>;

    /// The state of the store.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn health(&self) -> Result<Health, Unavailable>;

    /// What the store has counted since it was opened, and its files. Looks at each file.
    fn measures(&self) -> Measures;

    /// When a roll-back of this store was last found, in trusted seconds ([`crate::clock`]). The
    /// store itself keeps this number, and, with every update, the mark of the clock.
    fn rolled_back_tick(&self) -> Option<u64>;

    /// Whether users may be missing: the store was damaged, or is older than it was. `None`: it
    /// holds every user that it ever held and that was not removed.
    fn incomplete(&self) -> Option<Incomplete>;

    /// Makes the mark of the clock durable, as every update does, too, and the witnesses of the
    /// store's age with it. Nothing else changes.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn keep_mark(&self, deadline: Instant) -> Result<Outcome, Unavailable>;

    /// From now on the store counts as complete: users that it does not hold were never enrolled.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn accept_loss(&self, deadline: Instant) -> Result<Outcome, Unavailable>;

    /// The next update deletes a key, or replaces one. What the files keep of it is erased when the
    /// store is opened again. An update that removes or renames a record needs no such word.
    fn will_delete(&self);

    /// Leaves a note for the other daemons of the store, removes the notes of `gone`, and returns all. A
    /// store that no other daemon uses has none.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn exchange_notes(&self, note: &[u8], gone: &[String]) -> Result<Vec<Note>, Unavailable> {
        let _ = (note, gone);
        Ok(Vec::new())
    }

    /// Makes all queued updates durable and stops. Every later call returns [`Unavailable`].
    fn close(&self);
}

/// The version of a stored record. It never repeats, not even after the user was removed and
/// inserted again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(u64);

#[cfg(test)]
impl Version {
    /// One, for tests of rooms that only hand versions on.
    pub(crate) const FIRST: Self = Self(1);
}

/// A record as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// The record.
    pub bytes: Vec<u8>,
    /// The version that `replace` and `remove` compare.
    pub version: Version,
}

/// The result of an update.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The update is durable and has this version.
    Done(Version),
    /// Another update came first; nothing was changed.
    Conflict,
    /// The deadline passed. The change may still become durable.
    Unknown,
}

/// The store does not work now. An update that was under way may or may not be found in it at the
/// next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be used now; the daemon's log says why")]
pub struct Unavailable;

/// A store in which users may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete {
    /// The most users that the store, or a witness of it, knew. Some may have been unknown to all.
    pub users: u64,
    /// The generation that a store must have reached to hold them all.
    whole: u64,
}

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The kind of store.
    pub kind: &'static str,
    /// The number of users with a record.
    pub users: u64,
    /// The number of updates, plus a leap for each roll-back: it only grows.
    pub generation: u64,
    /// The state of the store's second copy of every record. `None`: the store keeps none of its own.
    pub copy: Option<CopyHealth>,
}

/// The state of the second copy of every record, from which a damaged store is healed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyHealth {
    /// Whether it was whole when it was last read back, or was made anew since. `None`: it was not
    /// looked at yet.
    pub is_whole: Option<bool>,
    /// When it was last known to be whole, in Unix seconds.
    pub seen_whole: Option<u64>,
    /// When its snapshot was made, in Unix seconds. `None`: there is none, and the journal reaches
    /// back to the first update.
    pub snapshot: Option<u64>,
    /// How often, since the store was opened, a part of it was made anew from the other one.
    pub healed: u64,
    /// How often that failed.
    pub not_healed: u64,
}

/// A note of a daemon for the others that share its store.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    /// The daemon.
    pub name: String,
    /// Whether it is this one.
    pub is_own: bool,
    /// Another one for each note.
    pub revision: u64,
    /// The note.
    pub text: Vec<u8>,
}

/// What a store has counted since it was opened, and its files now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Groups of updates that became durable together.
    pub commits: u64,
    /// The records in them.
    pub records: u64,
    /// What each part takes on the disk.
    pub bytes: Vec<ByPart>,
}

/// The word of a part, and its number.
pub type ByPart = (&'static str, u64);

#[cfg(test)]
mod tests;
