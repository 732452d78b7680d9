//! The file system that the store lies on (ext4, xfs, btrfs, tmpfs, overlay, NFS, FUSE): what speaks
//! against it, told at each start and not only when it has cost something.
//!
//! Refuses none: a daemon that stopped serving after an upgrade would lock its users out.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{
    FUSE_SUPER_MAGIC, FsType, MSDOS_SUPER_MAGIC, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC,
    SMB_SUPER_MAGIC, TMPFS_MAGIC, statfs,
};

use super::beside;
use super::exchange::{NotExchanged, exchange};

/// What speaks against a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Its name.
    pub kind: &'static str,
    /// A sentence, and what to do.
    pub why: &'static str,
}

/// What speaks against the file system of the store at `store`. `None`: nothing is known to, or it
/// cannot be asked, and opening the store says why.
#[must_use]
pub fn concern(store: &Path) -> Option<Concern> {
    let folder = store.parent().unwrap_or(store);
    let kind = statfs(folder).ok()?.filesystem_type();
    let known = KINDS.iter().find(|(magic, _)| *magic == kind);
    let known = known.map(|(_, concern)| *concern);
    known.or_else(|| cannot_exchange(store).then_some(WITHOUT_EXCHANGE))
}

/// Tries it, with two empty folders beside the store.
fn cannot_exchange(store: &Path) -> bool {
    let folders = [".try-a", ".try-b"].map(|ending| beside(store, ending));
    // Those that a killed process has left do as well.
    let _ = folders.each_ref().map(fs::create_dir);
    let [one, other] = &folders;
    let tried = exchange(one, other);
    let _ = folders.each_ref().map(fs::remove_dir);
    matches!(tried, Err(NotExchanged::Unsupported))
}

const fn of(kind: &'static str, why: &'static str) -> Concern {
    Concern { kind, why }
}

const KINDS: [(FsType, Concern); 11] = [
    (TMPFS_MAGIC, of("tmpfs", IN_MEMORY)),
    (FsType(RAMFS as _), of("ramfs", IN_MEMORY)),
    (OVERLAYFS_SUPER_MAGIC, of("overlay", OF_A_CONTAINER)),
    (NFS_SUPER_MAGIC, of("nfs", ELSEWHERE)),
    (SMB_SUPER_MAGIC, of("smb", ELSEWHERE)),
    (FsType(SMB2 as _), of("smb", ELSEWHERE)),
    (FsType(CIFS as _), of("cifs", ELSEWHERE)),
    (FsType(NINE_P as _), of("9p", ELSEWHERE)),
    (FsType(CEPH as _), of("ceph", ELSEWHERE)),
    (FUSE_SUPER_MAGIC, of("fuse", ELSEWHERE)),
    (MSDOS_SUPER_MAGIC, of("fat", WITHOUT_A_JOURNAL)),
];
/// linux/magic.h, and the sources of the kernel, for those that nix does not name.
const RAMFS: u32 = 0x8584_58f6;
const SMB2: u32 = 0xfe53_4d42;
const CIFS: u32 = 0xff53_4d42;
const NINE_P: u32 = 0x0102_1997;
const CEPH: u32 = 0x00c3_6400;
const WITHOUT_EXCHANGE: Concern = of("other", CANNOT_EXCHANGE);

const IN_MEMORY: &str = "the store lies in memory, and is gone when the machine stops: no user is enrolled then; \
     put it on a disk";
const OF_A_CONTAINER: &str = "the store lies in the changes of a container or a live system, and is gone with them: no user is \
     enrolled then; put it on a disk, or into a volume of the container";
const ELSEWHERE: &str = "the store lies behind a network or another program: logins wait for it, and its locks and syncs may \
     promise less than those of a disk; put it on a disk of this machine";
const WITHOUT_A_JOURNAL: &str = "the store lies on a file system without a journal of its own, and a power cut may damage more than \
     the store can heal; put it on ext4, xfs or btrfs";
const CANNOT_EXCHANGE: &str = "the file system of the store cannot exchange two folders (RENAME_EXCHANGE): deleted keys stay in its \
     files; put it on ext4, xfs or btrfs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        assert!(!cannot_exchange(&store));
        assert!(!cannot_exchange(&folder.path().join("missing/store")));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
