//! Rescue of a sled whose files the disk cannot read in full (as ddrescue does): a copy of them, with
//! zeros for what is lost, from which sled may still read most records.
//!
//! Needed only where the journal and its snapshot are hurt as well. sled writes to what it opens, so it
//! never opens the files themselves: they are set aside as they are.

use std::fs::{DirBuilder, OpenOptions, remove_dir_all};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ::sled::Db;

use super::opening::{at, config, guarded, unusable};
use crate::store::private::{self, PRIVATE_FOLDER};
use crate::store::unreadable::Patched;

/// sled on a readable copy in `copy`, a folder that is made. `None`: sled makes nothing of what is left,
/// or the copy has no room; then there is no such folder.
pub(super) fn open(store: &Path, copy: &Path, cache_mib: u32) -> Option<Db> {
    let opened = copy_files(store, copy).map_err(at(copy)).and_then(|()| {
        guarded(copy, || {
            let opened = config(copy, cache_mib).open();
            opened.map_err(|error| unusable(copy, error))
        })
    });
    if opened.is_err() {
        // What cannot be removed now, the next start removes.
        let _ = remove_dir_all(copy);
    }
    opened.ok()
}

fn copy_files(store: &Path, copy: &Path) -> io::Result<()> {
    DirBuilder::new().mode(PRIVATE_FOLDER).create(copy)?;
    for entry in store.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let from = private::file(OpenOptions::new().read(true), &entry.path())?;
            let mut to = private::new_file(&copy.join(entry.file_name()))?;
            io::copy(&mut Patched::from_the_start(from)?, &mut to)?;
        }
    }
    Ok(())
}
