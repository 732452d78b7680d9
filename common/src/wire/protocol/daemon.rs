//! The daemon itself: taking over and handing over, how it is, its settings and its clock.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// `Import`: take over a device from passlib.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Account name.
    pub user: String,
    /// The new device's name; the next free one if absent.
    pub device: Option<String>,
    /// The record as passlib wrote it, or an `otpauth://` URI.
    pub record: SecretText,
}

/// Reply to [`Import`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
    /// False if the user had a device with that key already; nothing was changed then.
    pub imported: bool,
}

/// `Export`: hand a user's devices over to passlib.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Account name.
    pub user: String,
}

/// Reply to [`Export`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportReply {
    /// Account name.
    pub user: String,
    /// The devices that are not pending, in the order of their enrolment.
    pub records: Vec<ExportedRecord>,
    /// Those of a kind that passlib does not know.
    pub left_out: Vec<String>,
}

/// A device in passlib's form.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedRecord {
    /// The device's name.
    pub device: String,
    /// The record as passlib reads it.
    pub record: SecretText,
}

/// `Status`: how the daemon is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// Reply to [`Status`].
#[derive(Debug, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// When it started, in Unix seconds.
    pub started: u64,
    /// Kind of store.
    pub store: String,
    /// Users with a record.
    pub users: u64,
    /// The store-wide generation: how many durable changes there have been.
    pub generation: u64,
    /// The tag that new keys are sealed under.
    pub default_tag: String,
    /// Connections open now.
    pub connections: u64,
    /// Audit lines lost since the start because nobody took them.
    pub audit_lost: u64,
    /// Events that are not remembered, since the start.
    pub events_lost: u64,
    /// How the machine's clock is.
    pub clock: ClockState,
    /// When a new device shows the first code that counts again, in Unix seconds.
    pub quarantine_until: Option<u64>,
}

/// How the machine's clock is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// It says a time before the daemon was built: nobody gets in.
    BeforeBuild,
    /// It was moved, or the store was put back: codes of before are refused.
    Quarantine,
    /// The kernel does not hold it for right: nothing is learned of devices' clocks.
    Unsynchronised,
    /// Nothing is known against it.
    Ok,
}

/// `ClockAccept`: the clock was moved for a good reason.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockAccept {}

/// Reply to [`ClockAccept`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ClockAcceptReply {
    /// Whether there was anything to accept.
    pub accepted: bool,
}

/// `Reload`: read the settings again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {}

/// A reply without parameters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Nothing {}
