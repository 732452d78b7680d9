//! Opens a store on etcd, and waits until etcd serves.

use std::path::PathBuf;
use std::sync::Arc;

use common::config::{ConfigError, EtcdSettings, Trust};
use nix::sys::signal::SigSet;

use crate::audit::{Audit, Line};
use crate::clock::Clock;
use crate::process::{full_disk, run};
use crate::store::Store;
use crate::store::etcd::{EtcdStore, OpenError, Place, Told};

/// Why the store on etcd is not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotOpen {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A file of TLS.
    #[error(transparent)]
    Files(#[from] ConfigError),
    /// Signals cannot be waited for.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl CannotOpen {
    /// Whether another start fails in the same way until the administrator has done something.
    pub(super) fn needs_the_administrator(&self) -> bool {
        match self {
            Self::Store(error) => error.needs_the_administrator(),
            Self::Files(_) => true,
            Self::System(_) => false,
        }
    }
}

/// Judges the files of TLS. Etcd is not asked.
pub(super) fn check(settings: &EtcdSettings, trust: &Trust) -> Result<(), CannotOpen> {
    let files = settings.tls.as_ref();
    files.map_or(Ok(()), |files| Ok(files.read(trust).map(drop)?))
}

/// Opens the store. `None`: the daemon was asked to stop while etcd did not serve.
pub(super) fn open(
    settings: &EtcdSettings,
    trust: &Trust,
    mirror: Option<PathBuf>,
    (clock, audit, signals): (&Arc<Clock>, &Audit, &SigSet),
) -> Result<Option<Box<dyn Store>>, CannotOpen> {
    let place = Place {
        settings,
        trust,
        mirror,
    };
    let mut opened = None;
    let lack = || {
        let lines = audit.clone();
        let tell = move |told| tell_trouble(&lines, told);
        match EtcdStore::open(&place, Arc::clone(clock), tell, run::ending(audit)) {
            Err(error) if error.may_pass() => Some(waits(&error)),
            done => {
                opened = Some(done);
                None
            }
        }
    };
    let goes_on = full_disk::wait_while(lack, STATUS, audit, signals)?;
    match opened.filter(|_| goes_on) {
        Some(opened) => Ok(Some(Box::new(opened?))),
        None => Ok(None),
    }
}

fn waits(error: &OpenError) -> String {
    format!("the daemon waits, and no login with a code succeeds: {error}")
}

fn tell_trouble(audit: &Audit, told: Told) {
    audit.write(match told {
        Told::NotReached(why) => Line::new("etcd_not_reached").with("reason", why).error(),
        Told::Reached => Line::new("etcd_reached"),
    });
}

const STATUS: &str = "waits until etcd serves: no login with a code succeeds";
