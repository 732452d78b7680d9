//! What the store counts of itself for the metrics: commits and their records, and what its files
//! take on the disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Measures;

/// The counters of an open store. To count is one atomic addition.
#[derive(Debug, Default)]
pub(super) struct Counted {
    commits: AtomicU64,
    records: AtomicU64,
}

impl Counted {
    /// Counts a commit of so many records.
    pub(super) fn commit(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    /// The counts, without the files.
    pub(super) fn measures(&self) -> Measures {
        Measures {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            ..Measures::default()
        }
    }
}

/// What the files in a folder take on the disk. A file that goes away meanwhile takes nothing.
pub(super) fn bytes_on_disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let sizes = entries.map(|entry| {
        let entry = entry?;
        let metadata = entry.metadata()?;
        Ok(if metadata.is_dir() {
            bytes_on_disk(&entry.path())
        } else {
            metadata.blocks().saturating_mul(BLOCK)
        })
    });
    sizes
        .map(|size: io::Result<u64>| size.unwrap_or(0))
        .fold(0, u64::saturating_add)
}

/// The unit of `st_blocks`, whatever the file system's own blocks are (stat(2)).
const BLOCK: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_counts_once_and_each_of_its_records() {
        let counted = Counted::default();
        counted.commit(1);
        counted.commit(63);
        let told = counted.measures();
        assert_eq!((told.commits, told.records), (2, 64));
    }

    #[test]
    fn files_in_folders_of_a_folder_take_their_room_and_what_is_not_there_takes_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("db"), vec![1; 8192]).unwrap();
        let before = bytes_on_disk(folder.path());
        fs::write(folder.path().join("blobs/1"), vec![1; 8192]).unwrap();
        assert!(before >= 8192);
        assert!(bytes_on_disk(folder.path()) >= before + 8192);
        assert_eq!(bytes_on_disk(&folder.path().join("nothing")), 0);
    }
}
