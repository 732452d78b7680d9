//! In the place of `etcd.rs` in a daemon that was built without etcd: says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::config::{EtcdSettings, StoreSettings, Trust};
use nix::sys::signal::SigSet;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::store::Store;
use crate::store::moving::{New, Old};

/// Why the store on etcd is not opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "provisiond.store.etcd: this provisiond was built without etcd: build it with '--features etcd', or keep the records in \
     provisiond.store.sled"
)]
pub(super) struct CannotOpen;

impl CannotOpen {
    /// Whether another start fails in the same way until the administrator has done something.
    pub(super) fn needs_the_administrator(&self) -> bool {
        true
    }
}

pub(super) type CannotPrepare = CannotOpen;

pub(super) fn prepare(_: &StoreSettings, _: &Trust, _: bool) -> Result<(), CannotPrepare> {
    Err(CannotOpen)
}

pub(super) fn check(_: &EtcdSettings, _: &Trust) -> Result<(), CannotOpen> {
    Err(CannotOpen)
}

pub(super) fn leaving(
    _: &EtcdSettings,
    _: &Trust,
    _: Option<&Path>,
    _: &Arc<Clock>,
) -> Result<Box<dyn Old>, CannotOpen> {
    Err(CannotOpen)
}

pub(super) fn arriving(_: &EtcdSettings, _: &Trust) -> Result<Box<dyn New>, CannotOpen> {
    Err(CannotOpen)
}

pub(super) fn remember(
    _: &EtcdSettings,
    _: &Trust,
    _: Option<&Path>,
    _: &Arc<Clock>,
) -> Result<(), CannotOpen> {
    Err(CannotOpen)
}

pub(super) fn open(
    _: &EtcdSettings,
    _: &Trust,
    _: Option<PathBuf>,
    _: (&Arc<Clock>, &Audit, &SigSet),
) -> Result<Option<Box<dyn Store>>, CannotOpen> {
    Err(CannotOpen)
}
