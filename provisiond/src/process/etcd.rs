//! Opens a store on etcd, and waits until etcd serves.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::config::{ConfigError, EtcdSettings, StoreSettings, Trust};
use nix::sys::signal::SigSet;
use zeroize::Zeroizing;

use crate::audit::{Audit, Line};
use crate::clock::Clock;
use crate::process::full_disk;
use crate::process::migrate::failed;
use crate::process::opening::ending;
use crate::store::Store;
use crate::store::etcd::moving::{Arriving, Leaving};
use crate::store::etcd::preparing::{self, NotPrepared, Preparing};
use crate::store::etcd::{EtcdStore, OpenError, Place, Told};
use crate::store::moving::{New, Old};

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
    System(#[from] io::Error),
}

/// Why etcd is not prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotPrepare {
    /// The settings name no etcd.
    #[error("provisiond.store has no etcd: write the section 'etcd' first")]
    OnThisMachine,
    /// Etcd, or the certificates.
    #[error(transparent)]
    Etcd(#[from] NotPrepared),
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

/// Prepares etcd for this store, with the certificate of etcd's root from standard input.
pub(super) fn prepare(
    settings: &StoreSettings,
    trust: &Trust,
    enable_auth: bool,
) -> Result<(), CannotPrepare> {
    let StoreSettings::Etcd(settings) = settings else {
        return Err(CannotPrepare::OnThisMachine);
    };
    // One that grows would leave an unwiped copy behind.
    let mut root = Zeroizing::new(String::with_capacity(ROOM_FOR_ROOT));
    let mut input = io::stdin().lock().take(MOST_OF_ROOT);
    let is_text = input.read_to_string(&mut root);
    is_text.map_err(|_| NotPrepared::NoRoot)?;
    let preparing = Preparing {
        settings,
        trust,
        root,
        enable_auth,
    };
    for line in preparing::prepare(&preparing)? {
        println!("{line}");
    }
    Ok(())
}

/// Opens the store. `None`: the daemon was asked to stop while etcd did not serve.
pub(super) fn open(
    settings: &EtcdSettings,
    trust: &Trust,
    mirror: Option<PathBuf>,
    (clock, audit, signals): (&Arc<Clock>, &Audit, &SigSet),
) -> Result<Option<Box<dyn Store>>, CannotOpen> {
    let place = place(settings, trust, mirror.as_deref());
    let mut opened = None;
    let lack = || {
        let lines = audit.clone();
        let tell = move |told| tell_trouble(&lines, told);
        match EtcdStore::open(&place, Arc::clone(clock), tell, ending(audit)) {
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

/// The store as one that records leave.
pub(super) fn leaving(
    settings: &EtcdSettings,
    trust: &Trust,
    mirror: Option<&Path>,
    clock: &Arc<Clock>,
) -> Result<Box<dyn Old>, CannotOpen> {
    let place = place(settings, trust, mirror);
    let old = Leaving::open(&place, Arc::clone(clock), trouble, failed)?;
    Ok(Box::new(old))
}

fn trouble(told: Told) {
    if let Told::NotReached(why) = told {
        eprintln!("provisiond: {why}");
    }
}

/// The store as one that records come to.
pub(super) fn arriving(settings: &EtcdSettings, trust: &Trust) -> Result<Box<dyn New>, CannotOpen> {
    Ok(Box::new(Arriving::open(settings, trust)?))
}

/// Opens the store as a daemon does, so that this machine remembers how far it had come.
pub(super) fn remember(
    settings: &EtcdSettings,
    trust: &Trust,
    mirror: Option<&Path>,
    clock: &Arc<Clock>,
) -> Result<(), CannotOpen> {
    let place = place(settings, trust, mirror);
    EtcdStore::open(&place, Arc::clone(clock), |_| (), failed)?.close();
    Ok(())
}

fn place<'a>(settings: &'a EtcdSettings, trust: &'a Trust, mirror: Option<&Path>) -> Place<'a> {
    Place {
        settings,
        trust,
        mirror: mirror.map(Path::to_owned),
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

/// Bytes of a certificate with those above it, and its key.
const MOST_OF_ROOT: u64 = 65_536;
const ROOM_FOR_ROOT: usize = 66_000;
const STATUS: &str = "waits until etcd serves: no login with a code succeeds";
