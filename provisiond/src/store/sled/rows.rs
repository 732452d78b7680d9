//! The rows in sled: the key of a user's record, and the version in front of its bytes. Also what
//! sled gets as one batch.

use std::collections::BTreeMap;

use common::names::user::UserName;

use crate::store::commit::{GROUP, GROUP_BYTES};
use crate::store::journal::frame::{Bytes, Row};
use crate::store::{Stored, Version};

/// Rows of several groups, merged: of two with one key the later one holds. It stays as small as the
/// largest group, because sled takes no more at once.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) rows: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

impl Merged {
    /// Whether a group of so many bytes may still join. The first one always may.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(bytes);
        self.rows.is_empty() || bytes <= GROUP_BYTES && self.rows.len() < GROUP
    }

    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.bytes = self.bytes.saturating_add(row.size());
            self.rows.insert(row.key, row.value);
        }
    }
}

/// The bytes of all rows.
pub(super) fn size(rows: &[Row]) -> usize {
    rows.iter().map(Row::size).fold(0, usize::saturating_add)
}

pub(super) fn key(user: &UserName) -> Vec<u8> {
    let prefix = if user.is_reserved() {
        RESERVED
    } else {
        RECORDS
    };
    [prefix, user.as_str().as_bytes()].concat()
}

pub(super) fn user_of(key: &[u8]) -> Option<UserName> {
    let name = key
        .strip_prefix(RECORDS)
        .and_then(|name| std::str::from_utf8(name).ok())?;
    UserName::new(name).ok()
}

/// A value too short for a version yields an empty record: damage, which the reader of the record
/// detects.
pub(super) fn stored(value: &[u8]) -> Stored {
    let (version, bytes) = value.split_first_chunk().unwrap_or((&[0; 8], &[]));
    Stored {
        bytes: bytes.to_vec(),
        version: Version(u64::from_be_bytes(*version)),
    }
}

/// The version of a row; `None`: it is too short for one.
pub(super) fn version_of(value: &[u8]) -> Option<u64> {
    value.first_chunk().copied().map(u64::from_be_bytes)
}

/// The prefix of a record's key; the user's name follows. The value is the version and the record.
pub(super) const RECORDS: &[u8] = b"r";
pub(super) const AFTER_RECORDS: &[u8] = b"s";
/// The same for reserved records, which belong to no user.
pub(super) const RESERVED: &[u8] = b"d";
