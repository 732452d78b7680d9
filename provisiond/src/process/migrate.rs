//! `--migrate-to`: moves all records from the store of the settings to the store of other settings, as
//! the daemon's account, and ends. The daemon of this machine does not run meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::config::{Settings, SledSettings, StoreSettings, Trust};
use nix::unistd::gethostname;
use serde::Serialize;

use super::etcd;
use crate::clock::Clock;
use crate::record::Record;
use crate::store::Store;
use crate::store::moving::{self, Carried, New, NotMoved, Old, Rows};
use crate::store::sled::Place;
use crate::store::sled::moving::{Arriving, Leaving};

/// One of the two settings.
pub(super) struct Side {
    pub(super) file: PathBuf,
    pub(super) settings: Settings,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    from: String,
    to: String,
    /// `None`: an earlier run has moved them.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Report {
    /// Prints it as one JSON object.
    pub(super) fn print(&self) {
        if let Ok(json) = serde_json::to_string(self) {
            println!("{json}");
        }
    }
}

/// Moves the records.
pub(super) fn run(
    from: &Side,
    to: &Side,
    trust: &Trust,
    mirror: Option<&Path>,
) -> Result<Report, NotMoved> {
    let clock = Clock::of_this_machine(|_| ());
    let (old_place, new_place) = (&from.settings.store, &to.settings.store);
    let is_claimed = old_place.path() == new_place.path();
    let old = leaving(old_place, trust, mirror, &clock)?;
    let mut new = arriving(new_place, (trust, mirror), &clock, is_claimed)?;
    let (from_name, to_name) = (old.name().to_owned(), new.name().to_owned());
    let carried = |store: &dyn Store| Carried {
        rolled_back_tick: store.rolled_back_tick(),
        incomplete: store.incomplete(),
        mark: clock.mark(),
        tick: clock.moment_of_question(None).tick,
    };
    let moved = moving::run(old, new.as_mut(), carried, |rows| opens(rows, from, to))?;
    drop(new);
    if let StoreSettings::Etcd(shared) = new_place {
        etcd::remember(shared, trust, mirror, &clock).map_err(closed)?;
    }
    let (users, digest) = moved.map(|moved| (moved.users, moved.digest)).unzip();
    Ok(Report {
        from: from_name,
        to: to_name,
        users,
        digest,
    })
}

fn leaving(
    settings: &StoreSettings,
    trust: &Trust,
    mirror: Option<&Path>,
    clock: &Arc<Clock>,
) -> Result<Box<dyn Old>, NotMoved> {
    match settings {
        StoreSettings::Sled(sled) => {
            let (place, clock) = (place(sled, mirror), Arc::clone(clock));
            let old = Leaving::open(&place, name_of(sled), clock, failed).map_err(closed)?;
            Ok(Box::new(old))
        }
        StoreSettings::Etcd(shared) => etcd::leaving(shared, trust, mirror, clock).map_err(closed),
    }
}

fn arriving(
    settings: &StoreSettings,
    (trust, mirror): (&Trust, Option<&Path>),
    clock: &Arc<Clock>,
    is_claimed: bool,
) -> Result<Box<dyn New>, NotMoved> {
    match settings {
        StoreSettings::Sled(sled) => {
            let (place, clock) = (place(sled, mirror), Arc::clone(clock));
            let new = Arriving::open(place, name_of(sled), clock, is_claimed).map_err(closed)?;
            Ok(Box::new(new))
        }
        StoreSettings::Etcd(shared) => etcd::arriving(shared, trust).map_err(closed),
    }
}

fn place(settings: &SledSettings, mirror: Option<&Path>) -> Place {
    Place {
        path: settings.path.clone(),
        cache_mib: settings.cache_mib,
        mirror: mirror.map(Path::to_owned),
    }
}

/// What a store on this machine is called in the fence of another one.
fn name_of(settings: &SledSettings) -> String {
    let host = gethostname().unwrap_or_default();
    let (path, host) = (settings.path.display(), host.to_string_lossy());
    format!("the store at {path} on {host}")
}

/// Refuses to move records that open under the secrets of the old settings, and not under those of the
/// new ones. A record that opens under neither goes over as it is.
fn opens(rows: &Rows, from: &Side, to: &Side) -> Result<(), NotMoved> {
    let mut closed: BTreeMap<String, u64> = BTreeMap::new();
    for (user, record) in rows {
        let Err(why) = Record::from_bytes(record, user, &to.settings.secrets) else {
            continue;
        };
        if Record::from_bytes(record, user, &from.settings.secrets).is_ok() {
            let number = closed.entry(why.to_string()).or_default();
            *number = number.saturating_add(1);
        }
    }
    if closed.is_empty() {
        return Ok(());
    }
    let closed: Vec<String> = closed
        .iter()
        .map(|(why, number)| format!("{number}: {why}"))
        .collect();
    Err(NotMoved::DoesNotOpen(format!(
        "records would not open with {}, as they do now ({}): put the application secrets of both into its secrets file",
        to.file.display(),
        closed.join("; ")
    )))
}

fn closed(why: impl ToString) -> NotMoved {
    NotMoved::Store(why.to_string())
}

/// Ends the process: what a store that has failed holds is found out by a new one.
pub(super) fn failed(why: &str) {
    eprintln!("provisiond: {why}");
    std::process::exit(1);
}
