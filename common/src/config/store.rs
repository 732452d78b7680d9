//! The setting `provisiond.store`: where the records are, in the embedded database or on a cluster of
//! etcd.

pub(super) mod etcd;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::etcd::{EtcdSettings, RawEtcd};
use super::problem::{Problem, bad, within};
use crate::config::values::decimal::Decimal;
use crate::config::values::given::given;

/// Where the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In the embedded database (sled), on this machine's disk.
    Sled(SledSettings),
    /// On a cluster of etcd, which several daemons share.
    Etcd(EtcdSettings),
}

impl StoreSettings {
    /// The path that the store's files on this machine are named after: the database itself, or what
    /// a daemon on etcd keeps beside it.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Sled(sled) => &sled.path,
            Self::Etcd(etcd) => &etcd.path,
        }
    }

    /// Whether other daemons share the store. A user may have another uid on their machines.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Etcd(_))
    }
}

/// Settings of the embedded database (sled).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledSettings {
    /// Its folder.
    pub path: PathBuf,
    /// Its cache, in MiB. The process uses several times as much memory.
    pub cache_mib: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawStore {
    sled: Option<RawSled>,
    etcd: Option<RawEtcd>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawSled {
    #[serde(deserialize_with = "given")]
    path: Option<PathBuf>,
    #[serde(rename = "cache-mib", alias = "cache_mib", deserialize_with = "given")]
    cache_mib: Option<Decimal<u32>>,
}

impl RawStore {
    pub(super) fn check(self) -> Result<StoreSettings, Problem> {
        match (self.sled, self.etcd) {
            (Some(_), Some(_)) => Err(bad(
                "provisiond.store",
                "the records are in one store: keep 'sled' or 'etcd'",
            )),
            (None, Some(etcd)) => etcd.check().map(StoreSettings::Etcd),
            (sled, None) => sled.unwrap_or_default().check().map(StoreSettings::Sled),
        }
    }
}

impl RawSled {
    fn check(self) -> Result<SledSettings, Problem> {
        let path = absolute("provisiond.store.sled.path", self.path)?;
        let cache_mib = self.cache_mib.map_or(DEFAULT_CACHE_MIB, |Decimal(mib)| mib);
        let cache_mib = within("provisiond.store.sled.cache-mib", cache_mib, 1, 4096)?;
        Ok(SledSettings { path, cache_mib })
    }
}

/// The store's path on this machine, or the default.
fn absolute(key: &'static str, path: Option<PathBuf>) -> Result<PathBuf, Problem> {
    let path = path.unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
    match path.is_absolute() && path.file_name().is_some() {
        true => Ok(path),
        false => Err(bad(key, "give the store's folder by its absolute path")),
    }
}

const DEFAULT_STORE: &str = "/var/lib/pam-totp/store";
const DEFAULT_CACHE_MIB: u32 = 32;
