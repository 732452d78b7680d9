//! Whether the disk of the store takes changes: it may be full, over a quota, or mounted read-only.
//! Asked before the store is opened, because sled fails in the middle of a write; and before a part of
//! it is made anew.

use std::io::{self, ErrorKind};
use std::path::Path;

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

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

/// Why a damaged store at `store` cannot be made anew now from so many bytes. `None`: there is room.
#[must_use]
pub fn lack_for_a_copy(store: &Path, bytes: u64) -> Option<io::Error> {
    let folder = store.parent().unwrap_or(store);
    let lack = for_a_copy(folder, bytes).err();
    lack.map(|why| io::Error::new(ErrorKind::StorageFull, why))
}

/// Whether the disk of that folder has room for a copy that is made from so many bytes. A disk that
/// it filled would stop other programs, and this one's log of events.
pub(crate) fn for_a_copy(folder: &Path, bytes: u64) -> Result<(), String> {
    let disk = statvfs(folder).map_err(|errno| errno.to_string())?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free < bytes.saturating_mul(2).saturating_add(FOR_OTHERS) {
        return Err("the disk has no room for a copy of the store".to_owned());
    }
    Ok(())
}

/// Bytes that stay free for others.
const FOR_OTHERS: u64 = 4 << 20;
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
