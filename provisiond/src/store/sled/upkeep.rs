//! What is known of the copy (backup health), for `totpctl status` and the metrics: whether it was
//! whole when it was last read back, how old its snapshot is, and what was healed since the start.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Told;
use crate::store::CopyHealth;
use crate::store::journal::snapshot;

/// Shared by the keeper, who finds it out, and by those who ask.
pub(super) struct Upkeep {
    /// The folder of the copy.
    folder: PathBuf,
    found: Mutex<CopyHealth>,
}

impl Upkeep {
    pub(super) fn of(folder: PathBuf) -> Self {
        Self {
            folder,
            found: Mutex::default(),
        }
    }

    /// Counts what was healed, and what could not be.
    pub(super) fn hear(&self, told: &Told) {
        let mut found = self.lock();
        match told {
            Told::Healed(_) => found.healed = found.healed.saturating_add(1),
            Told::NotHealed(..) => found.not_healed = found.not_healed.saturating_add(1),
            Told::GoesOn | Told::Erased | Told::NotErased(_) | Told::Salvaged => {}
        }
    }

    /// The copy was read back, or made anew.
    pub(super) fn looked(&self, is_whole: bool) {
        let mut found = self.lock();
        found.is_whole = Some(is_whole);
        if is_whole {
            found.seen_whole = Some(unix_seconds(SystemTime::now()));
        }
    }

    pub(super) fn health(&self) -> CopyHealth {
        CopyHealth {
            snapshot: snapshot::made(&self.folder).map(unix_seconds),
            ..*self.lock()
        }
    }

    fn lock(&self) -> MutexGuard<'_, CopyHealth> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
