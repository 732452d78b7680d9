//! sled itself, and a batch of rows made durable in it, with our own fdatasync.

use std::io;

use ::sled::{Batch, Db};

use super::log_file::LogFile;
use super::rows::Merged;
use crate::store::journal::SyncData;

/// sled, its log file, and how that is synced. The only writer of sled.
pub(super) struct Base {
    pub(super) db: Db,
    pub(super) log: LogFile,
    pub(super) sync: SyncData,
}

impl Base {
    /// Writes the rows as one batch, durable on return.
    pub(super) fn write(&mut self, merged: &Merged) -> io::Result<()> {
        let mut batch = Batch::default();
        for (key, value) in &merged.rows {
            match value {
                Some(value) => batch.insert(&**key, &**value),
                None => batch.remove(&**key),
            }
        }
        self.log.check()?;
        self.db.apply_batch(batch)?;
        self.sync_log()?;
        self.log.check()
    }

    /// Flushes, then syncs the log: sled's flush writes all data, but without an fsync that
    /// survives a power cut.
    fn sync_log(&mut self) -> io::Result<()> {
        let synced = self
            .db
            .flush()
            .map_err(io::Error::from)
            .and_then(|_| (self.sync)(self.log.file()));
        if synced.is_err() {
            // Keeps a handle for ever: sled syncs again when its last handle is dropped, and that
            // sync would succeed.
            std::mem::forget(self.db.clone());
        }
        synced
    }
}
