//! The names of the records that may be bound to a uid: an index in memory, so that an account that
//! was renamed is found by its uid. Of a record that could not be read only the name is known: it
//! may be bound to any uid.
//!
//! It knows too many rather than too few: each write adds its name before it is durable, and nothing
//! is taken out. The reader looks at the records themselves.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::names::user::UserName;

/// Uids, each with a name of a record.
#[derive(Default)]
pub(super) struct ByUid(Mutex<Index>);

#[derive(Default)]
struct Index {
    names: Names,
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
        if index.names.of(uid).contains(name) || index.names.add(uid, name).is_some() {
            return;
        }
        index.unread.insert(name.clone());
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
        self.lock().names.of(uid)
    }

    /// The names of the records that could not be read.
    pub(super) fn unread(&self) -> Vec<UserName> {
        self.lock().unread.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names in one piece of memory, each uid's in a chain. With a piece for each name, a hundred thousand
/// users took 14 MiB more.
#[derive(Default)]
struct Names {
    /// Where the last name of each uid is.
    last: HashMap<u32, u32>,
    /// Of each name: where the one before it of the same uid is, its length, and its bytes.
    bytes: Vec<u8>,
}

impl Names {
    fn of(&self, uid: u32) -> Vec<UserName> {
        let last = self.last.get(&uid).copied();
        let chain = std::iter::successors(last.and_then(|place| self.at(place)), |(before, _)| {
            self.at(*before)
        });
        chain.map(|(_, name)| name).collect()
    }

    /// The name at this place, and the place of the one before it.
    fn at(&self, place: u32) -> Option<(u32, UserName)> {
        let rest = self.bytes.get(usize::try_from(place).ok()?..)?;
        let (before, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let name = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        let name = UserName::new(std::str::from_utf8(name).ok()?).ok()?;
        Some((u32::from_be_bytes(*before), name))
    }

    /// `None`: there are more names than the places count, four gigabytes of them.
    fn add(&mut self, uid: u32, name: &UserName) -> Option<()> {
        let place = u32::try_from(self.bytes.len()).ok()?;
        let length = u16::try_from(name.as_str().len()).ok()?;
        let before = self.last.insert(uid, place).unwrap_or(NONE);
        self.bytes.extend(before.to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(name.as_str().as_bytes());
        Some(())
    }
}

/// Stands for no place: nothing can be read there.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::user;

    #[test]
    fn every_name_of_a_uid_is_found_and_no_other_and_each_once() {
        let index = ByUid::default();
        for (uid, name) in [(1, "alice"), (2, "bob"), (1, "al"), (1, "alice"), (1, "a")] {
            index.note(Some(uid), &user(name));
        }
        index.note(None, &user("unbound"));
        index.note(Some(1), &UserName::reserved(3));
        assert_eq!(index.of(1), ["a", "al", "alice"].map(user));
        assert_eq!(index.of(2), [user("bob")]);
        assert!(index.of(3).is_empty() && index.unread().is_empty());
    }

    #[test]
    fn the_longest_name_is_found() {
        let (index, longest) = (ByUid::default(), user(&"a".repeat(256)));
        index.note(Some(u32::MAX), &longest);
        assert_eq!(index.of(u32::MAX), [longest]);
    }
}
