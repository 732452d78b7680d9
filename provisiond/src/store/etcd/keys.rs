//! The rows on etcd: which key holds what, and the bytes of a record's row.
//!
//! A record's row is a format byte, the write id of the update that made it, and the record. By the
//! write id an update whose answer was lost is found again.

use common::names::user::UserName;

use crate::store::{Stored, Version};

/// The random number of one update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WriteId([u8; ID]);

impl WriteId {
    /// `None`: the system gives no random bytes.
    pub(super) fn random() -> Option<Self> {
        let mut id = [0; ID];
        getrandom::fill(&mut id).ok()?;
        Some(Self(id))
    }

    /// The id as the value of the row [`Keys::last`].
    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// The keys, all of which begin with the prefix of the settings.
#[derive(Clone, Debug)]
pub(super) struct Keys(Vec<u8>);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.as_bytes().to_vec())
    }

    /// The record of a user, or a reserved one.
    pub(super) fn record(&self, user: &UserName) -> Vec<u8> {
        let kind = if user.is_reserved() { RESERVED } else { USERS };
        self.key(kind, user.as_str().as_bytes())
    }

    /// The first key of a user's record, and the first one after all of them.
    pub(super) fn users(&self) -> (Vec<u8>, Vec<u8>) {
        (self.key(USERS, b""), self.key(AFTER_USERS, b""))
    }

    /// All keys of the store.
    pub(super) fn all(&self) -> (Vec<u8>, Vec<u8>) {
        (self.0.clone(), self.key(AFTER_ALL, b""))
    }

    /// The first key after this user's.
    pub(super) fn after(&self, user: &UserName) -> Vec<u8> {
        [self.record(user).as_slice(), b"\0"].concat()
    }

    /// The user of a key. `None`: it is no user's record.
    pub(super) fn user_of(&self, key: &[u8]) -> Option<UserName> {
        let name = key.strip_prefix(self.0.as_slice())?.strip_prefix(USERS)?;
        UserName::new(std::str::from_utf8(name).ok()?).ok()
    }

    /// The state of the store: its identity, roll-backs and losses.
    pub(super) fn state(&self) -> Vec<u8> {
        self.key(STATE, b"")
    }

    /// The clock of the fleet.
    pub(super) fn clock(&self) -> Vec<u8> {
        self.key(CLOCK, b"")
    }

    /// The write id of the last update of any record. Its revision is the store's generation.
    pub(super) fn last(&self) -> Vec<u8> {
        self.key(LAST, b"")
    }

    /// The write id of the last update that removed a record. A first record requires its revision.
    pub(super) fn removed(&self) -> Vec<u8> {
        self.key(REMOVED, b"")
    }

    /// The note of a daemon.
    pub(super) fn note(&self, name: &str) -> Vec<u8> {
        self.key(NOTES, name.as_bytes())
    }

    /// The first key of a note, and the first one after all of them.
    pub(super) fn notes(&self) -> (Vec<u8>, Vec<u8>) {
        (self.key(NOTES, b""), self.key(AFTER_NOTES, b""))
    }

    /// The daemon whose note has that key. `None`: it is no note.
    pub(super) fn note_of(&self, key: &[u8]) -> Option<String> {
        let name = key.strip_prefix(self.0.as_slice())?.strip_prefix(NOTES)?;
        String::from_utf8(name.to_vec()).ok()
    }

    fn key(&self, kind: &[u8], rest: &[u8]) -> Vec<u8> {
        [self.0.as_slice(), kind, rest].concat()
    }
}

/// The row of a record.
pub(super) fn row(id: WriteId, record: &[u8]) -> Vec<u8> {
    [&[FORMAT], id.0.as_slice(), record].concat()
}

/// A row without a write id, or of another format, yields an empty record: damage, which the reader
/// of the record detects.
pub(super) fn stored(row: &[u8], revision: i64) -> Stored {
    let record = match row {
        [FORMAT, rest @ ..] => rest.get(ID..).unwrap_or_default(),
        _ => &[],
    };
    Stored {
        bytes: record.to_vec(),
        version: version(revision),
    }
}

/// Whether this update has made the row.
pub(super) fn is_made_by(row: &[u8], id: WriteId) -> bool {
    row.first() == Some(&FORMAT) && row.get(1..).is_some_and(|rest| rest.starts_with(&id.0))
}

/// The version of what was changed in that revision of the cluster.
pub(super) fn version(revision: i64) -> Version {
    Version(u64::try_from(revision).unwrap_or(0))
}

/// The revision in which that version was made.
pub(super) fn revision(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

const ID: usize = 16;
const FORMAT: u8 = 1;
const USERS: &[u8] = b"users/";
/// `0` follows `/`.
const AFTER_USERS: &[u8] = b"users0";
const NOTES: &[u8] = b"daemons/";
const AFTER_NOTES: &[u8] = b"daemons0";
const RESERVED: &[u8] = b"reserved/";
const STATE: &[u8] = b"state";
const CLOCK: &[u8] = b"clock";
const LAST: &[u8] = b"last";
const REMOVED: &[u8] = b"removed";
/// After every name of a row, which are ASCII.
const AFTER_ALL: &[u8] = b"\x7f";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_back_to_its_user_and_to_no_other() {
        let keys = Keys::new("/p/");
        for name in ["alice", "users0", "a b", "ä", "\u{10fffd}"] {
            let user = UserName::new(name).unwrap();
            assert_eq!(keys.user_of(&keys.record(&user)), Some(user.clone()));
            let (from, to) = keys.users();
            assert!((from..to).contains(&keys.record(&user)));
        }
        let reserved = keys.record(&UserName::reserved(3));
        for other in [
            reserved,
            keys.state(),
            keys.clock(),
            keys.last(),
            b"/q/users/alice".to_vec(),
        ] {
            assert_eq!(keys.user_of(&other), None);
            let (from, to) = keys.users();
            assert!(!(from..to).contains(&other));
        }
    }

    #[test]
    fn a_row_tells_its_record_and_the_update_that_made_it() {
        let (mine, other) = (WriteId([7; ID]), WriteId([8; ID]));
        let row = row(mine, b"record");
        assert_eq!(stored(&row, 5).bytes, b"record");
        assert_eq!(stored(&row, 5).version, Version(5));
        assert!(is_made_by(&row, mine) && !is_made_by(&row, other));
        for damaged in [&[][..], &[FORMAT], &[FORMAT, 7, 7], &[2; 40]] {
            assert!(stored(damaged, 5).bytes.is_empty());
            assert!(!is_made_by(damaged, mine));
        }
    }
}
