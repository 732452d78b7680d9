//! Whether the disk of the store takes changes: it may be full, over a quota, or mounted read-only.
//! Asked before the store is opened, because sled fails in the middle of a write.

use std::io::{self, ErrorKind};
use std::path::Path;

use nix::fcntl::posix_fallocate;

use super::marker::beside;
use super::private;

/// Why the disk of the store at `store` takes no changes now. `None`: it takes them, or opening the
/// store says what else is wrong.
#[must_use]
pub fn lack(store: &Path) -> Option<io::Error> {
    let draft = beside(store, ".room");
    let reserved = private::new_file(&draft)
        .and_then(|file| posix_fallocate(&file, 0, ROOM).map_err(io::Error::from));
    // One that stays is removed by the next look.
    let _ = std::fs::remove_file(&draft);
    reserved.err().filter(|error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
        )
    })
}

/// Bytes: the store can then be opened, with a new segment of its journal, and some logins go on from
/// there.
const ROOM: i64 = 3 << 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_room_lacks_nothing_and_no_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lack(&folder.path().join("store")).is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // Opening the store tells this one.
        assert!(lack(&folder.path().join("missing/store")).is_none());
    }
}
