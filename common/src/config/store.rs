//! The setting `provisiond.store`: folder and cache of the database.

use std::path::PathBuf;

use serde::Deserialize;

use super::problem::{Problem, bad, within};
use crate::config::values::decimal::Decimal;
use crate::config::values::given::given;

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
    sled: RawSled,
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
    pub(super) fn check(self) -> Result<SledSettings, Problem> {
        let path = self
            .sled
            .path
            .unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
        if !path.is_absolute() || path.file_name().is_none() {
            return Err(bad(
                "provisiond.store.sled.path",
                "give the store's folder by its absolute path",
            ));
        }
        let cache_mib = self
            .sled
            .cache_mib
            .map_or(DEFAULT_CACHE_MIB, |Decimal(mib)| mib);
        let cache_mib = within("provisiond.store.sled.cache-mib", cache_mib, 1, 4096)?;
        Ok(SledSettings { path, cache_mib })
    }
}

const DEFAULT_STORE: &str = "/var/lib/pam-totp/store";
const DEFAULT_CACHE_MIB: u32 = 32;
