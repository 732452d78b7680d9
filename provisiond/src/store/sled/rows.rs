//! A row of sled's: which key a user's record has, and how its version stands before it.

use common::names::user::UserName;

use crate::store::{Stored, Version};

pub(super) fn key(user: &UserName) -> Vec<u8> {
    let prefix = if user.is_reserved() { RESERVED } else { RECORDS };
    [prefix, user.as_str().as_bytes()].concat()
}

pub(super) fn user_of(key: &[u8]) -> Option<UserName> {
    let name = key.strip_prefix(RECORDS).and_then(|name| std::str::from_utf8(name).ok())?;
    UserName::new(name).ok()
}

/// A value too short for a version is a record with nothing in it: damage, which whoever reads the record will notice.
pub(super) fn stored(value: &[u8]) -> Stored {
    let (version, bytes) = value.split_first_chunk().unwrap_or((&[0; 8], &[]));
    Stored { bytes: bytes.to_vec(), version: Version(u64::from_be_bytes(*version)) }
}

/// A record's key is this and the user's name; its value is the version and the record.
pub(super) const RECORDS: &[u8] = b"r";
pub(super) const AFTER_RECORDS: &[u8] = b"s";
/// The same for records that are no user's.
pub(super) const RESERVED: &[u8] = b"d";
