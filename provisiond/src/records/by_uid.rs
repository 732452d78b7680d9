//! The names of the records that may be bound to a uid: an index in memory, so that an account that
//! was renamed is found by its uid. Of a record that could not be read only the name is known: it
//! may be bound to any uid.
//!
//! It knows too many rather than too few: each write adds its name before it is durable, and nothing
//! is taken out. The reader looks at the records themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::names::user::UserName;

/// Uids, each with a name of a record.
#[derive(Default)]
pub(super) struct ByUid(Mutex<Index>);

#[derive(Default)]
struct Index {
    names: BTreeMap<u32, Vec<UserName>>,
    unread: BTreeSet<UserName>,
    is_whole: bool,
}

impl ByUid {
    /// Adds a record that is bound to this uid.
    pub(super) fn note(&self, uid: Option<u32>, name: &UserName) {
        let Some(uid) = uid.filter(|_| !name.is_reserved()) else {
            return;
        };
        let mut index = self.lock();
        let names = index.names.entry(uid).or_default();
        if !names.contains(name) {
            names.push(name.clone());
        }
    }

    /// Adds a record that cannot be read.
    pub(super) fn note_unread(&self, name: &UserName) {
        if !name.is_reserved() {
            self.lock().unread.insert(name.clone());
        }
    }

    /// Says that every record of the store has been noted.
    pub(super) fn is_whole_now(&self) {
        self.lock().is_whole = true;
    }

    /// Whether every record of the store has been noted.
    pub(super) fn is_whole(&self) -> bool {
        self.lock().is_whole
    }

    /// The names whose records may be bound to this uid.
    pub(super) fn of(&self, uid: u32) -> Vec<UserName> {
        self.lock().names.get(&uid).cloned().unwrap_or_default()
    }

    /// The names of the records that could not be read.
    pub(super) fn unread(&self) -> Vec<UserName> {
        self.lock().unread.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
