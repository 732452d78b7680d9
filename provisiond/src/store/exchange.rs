//! Exchanges the names of two folders in one step (RENAME_EXCHANGE): a store that is made anew takes the
//! place of the former one so that no kill and no power cut finds neither.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::marker::sync_folder_of;

/// Why two folders were not exchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotExchanged {
    /// Nothing has changed.
    #[error("the file system cannot exchange two folders (RENAME_EXCHANGE)")]
    Unsupported,
    /// They may have been exchanged, and not durably.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Exchanges the store, which is closed, with a fresh one. Durable on return: else a power cut could
/// undo the exchange, and find the former store removed.
pub(crate) fn exchange(store: &Path, fresh: &Path) -> Result<(), NotExchanged> {
    renameat2(
        AT_FDCWD,
        fresh,
        AT_FDCWD,
        store,
        RenameFlags::RENAME_EXCHANGE,
    )
    .map_err(|errno| match errno {
        Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP => NotExchanged::Unsupported,
        errno => NotExchanged::Io(errno.into()),
    })?;
    Ok(sync_folder_of(store)?)
}
