//! Messages about the daemon's metrics: what it has counted since it started, for a monitoring
//! system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `Metrics`: what the daemon has counted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {}

/// Reply to [`Metrics`]. Counts are since the start of the daemon. What an older daemon does not
/// tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsReply {
    /// Attempts to log in, by the verdict as a verifier hears it, and `unavailable`. An attacker may
    /// read the metrics: they do not tell which names are enrolled.
    pub verdicts: ByWord,
    /// How long the same attempts took, from the arrival of the call to the reply.
    pub verdict_times: Times,
    /// Pools of guesses that an attempt has emptied: `known` and `unknown` sources. Those of names
    /// without a device count, too.
    pub pools_exhausted: ByWord,
    /// Calls that the caller's role does not permit, by that role; `none` is a caller without one.
    pub not_permitted: ByWord,
    /// Connections that were closed because there was no place for them.
    pub connections_refused: u64,
    /// Measurements of devices' clocks that are off, `ahead` and `behind`.
    pub skews: BTreeMap<String, Skews>,
    /// The store.
    pub store: StoreMetrics,
}

/// Counts by a word.
pub type ByWord = BTreeMap<String, u64>;

/// How many durations lie between bounds, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// The bounds, rising. A duration that equals a bound lies below it.
    pub bounds: Vec<u64>,
    /// The durations up to each bound and above the one before; the last are above all bounds.
    pub counts: Vec<u64>,
    /// The sum of all durations.
    pub sum: u64,
}

/// Measurements of devices' clocks, as the log has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skews {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub seconds: u64,
}

/// What the store has counted, and its files. Its parts are `store` and `copy`, as in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreMetrics {
    /// Groups of updates that became durable together.
    pub commits: u64,
    /// The records in them.
    pub commit_records: u64,
    /// What each part takes on the disk.
    pub bytes: ByWord,
}
