//! Opens the store of the settings, waits for its disk where need be, and writes into the log what was
//! found and done to it meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::config::{SledSettings, StoreSettings, Trust};
use nix::sys::signal::SigSet;
use sd_notify::NotifyState;

use super::run::End;
use super::{etcd, full_disk, notify};
use crate::audit::{Audit, Line};
use crate::clock::Clock;
use crate::store::sled::{OpenError, Place, SledStore, Told};
use crate::store::{Store, file_system, room};

/// Names a file system that promises less than a store on it needs.
pub(super) fn tell_concern(store: &StoreSettings, audit: &Audit) {
    let StoreSettings::Sled(sled) = store else {
        return;
    };
    if let Some(concern) = file_system::concern(&sled.path) {
        let line = Line::new("file_system").with("kind", concern.kind);
        audit.write(line.with("reason", concern.why).warning());
    }
}

/// Opens the store of the settings. `None`: the daemon was asked to stop while it waited.
pub(super) fn open(
    settings: &StoreSettings,
    trust: &Trust,
    mirror: Option<PathBuf>,
    around: (&Arc<Clock>, &Audit, &SigSet),
) -> Result<Option<Box<dyn Store>>, End> {
    match settings {
        StoreSettings::Sled(sled) => {
            let store = open_when_there_is_room(sled, mirror, around)?;
            Ok(store.map(|store| -> Box<dyn Store> { Box::new(store) }))
        }
        StoreSettings::Etcd(shared) => {
            let opened = etcd::open(shared, trust, mirror, around);
            // The lines that say why come before the end.
            Ok(opened.inspect_err(|_| around.1.flush())?)
        }
    }
}

/// Opens the store, and waits for its disk before that, and for room to heal it. `None`: the daemon was
/// asked to stop meanwhile.
fn open_when_there_is_room(
    settings: &SledSettings,
    mirror: Option<PathBuf>,
    (clock, audit, signals): (&Arc<Clock>, &Audit, &SigSet),
) -> Result<Option<SledStore>, End> {
    let path = settings.path.as_path();
    let mut goes_on = full_disk::wait(path, room::lack, audit, signals)?;
    while goes_on {
        goes_on = match open_store(settings, mirror.clone(), clock, audit) {
            Err(OpenError::NoRoom { bytes, .. }) => {
                let lack = |store: &Path| room::lack_for_a_copy(store, bytes);
                full_disk::wait(path, lack, audit, signals)?
            }
            // The lines that say why come before the end.
            opened => return Ok(Some(opened.inspect_err(|_| audit.flush())?)),
        };
    }
    Ok(None)
}

fn open_store(
    settings: &SledSettings,
    mirror: Option<PathBuf>,
    clock: &Arc<Clock>,
    audit: &Audit,
) -> Result<SledStore, OpenError> {
    let place = Place {
        path: settings.path.clone(),
        cache_mib: settings.cache_mib,
        mirror,
    };
    let lines = audit.clone();
    let tell = move |told| tell_upkeep(&lines, told);
    // After a failed write or fsync the state of the disk is unknown. A restart reads what is
    // there.
    SledStore::open(&place, Arc::clone(clock), tell, ending(audit))
}

/// Ends the process with the sentence that a store has failed with.
pub(super) fn ending(audit: &Audit) -> impl Fn(&str) + Send + Sync + use<> {
    let log = audit.clone();
    move |why| {
        log.write(Line::new("store_failed").with("reason", why).error());
        log.flush();
        eprintln!("provisiond: {why}");
        std::process::exit(STORE_FAILED.into());
    }
}

/// Tells the service manager that the start goes on, however long it takes: it waits.
pub(super) fn goes_on() {
    notify(&[
        NotifyState::ExtendTimeoutUsec(ERASING_STEP_USEC),
        NotifyState::Watchdog,
    ]);
}

/// What became of deleted keys, and of damage.
fn tell_upkeep(audit: &Audit, told: Told) {
    match told {
        Told::GoesOn => goes_on(),
        Told::Erased => audit.write(Line::new("keys_erased")),
        Told::NotErased(why) => {
            let reason = format!(
                "keys that were deleted stay in the store's files until a later start: {why}"
            );
            audit.write(
                Line::new("keys_not_erased")
                    .with("reason", reason)
                    .warning(),
            );
        }
        Told::Healed(part) => {
            let line = Line::new("store_healed").with("what", part.word());
            audit.write(line.with("reason", HEALED).warning());
        }
        Told::Salvaged => {
            audit.write(Line::new("store_salvaged").with("reason", SALVAGED).error());
        }
        Told::NotHealed(part, why) => {
            let line = Line::new("store_not_healed").with("what", part.word());
            audit.write(line.with("reason", why).error());
        }
    }
}

const SALVAGED: &str = "both parts of the store are damaged or old: what is whole of either is served; look for missing users \
     (totpctl status), and put a good copy back, or accept the loss";
const HEALED: &str = "it was damaged, lost or old, and was made anew: no record is lost; find out what damaged it, and check the disk";
/// The exit code of a store that failed.
pub(super) const STORE_FAILED: u8 = 70;
/// Longer than a step of erasing takes before it is given up.
const ERASING_STEP_USEC: u32 = 60_000_000;
