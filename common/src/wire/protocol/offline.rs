//! `OfflineCopy`: what a relay keeps of a user for the time in which it is cut off from all verifiers,
//! and what it reports of that time.

use serde::{Deserialize, Serialize};

/// `OfflineCopy`: reports the codes that a user has used at a host that was cut off, and asks what the
/// host may keep of the user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineCopy {
    /// Account name.
    pub user: String,
    /// A PAM service of the host's rule.
    pub service: String,
    /// The codes that were used.
    pub spent: Option<Vec<SpentOffline>>,
    /// Whether hashes of pairs are wanted. Without them the reply says which devices still count.
    pub pairs: Option<bool>,
}

/// The latest code of a device that was used at a host that was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpentOffline {
    /// The device's id.
    pub device: String,
    /// The time step of the code.
    pub step: u64,
}

/// Reply to [`OfflineCopy`]: without a device the host keeps nothing of the user.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineCopyReply {
    /// The salt of all hashes, in hexadecimal digits. Empty without hashes.
    pub salt: String,
    /// Iterations of each hash.
    pub iterations: u32,
    /// The PAM services for which the copy holds.
    pub services: Vec<String>,
    /// The devices whose pairs the host may take.
    pub devices: Vec<OfflineDevice>,
}

/// One device of an offline copy.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineDevice {
    /// The device's id: random, and good for nothing else.
    pub device: String,
    /// Digits in a code.
    pub digits: u8,
    /// Seconds in a time step.
    pub period: u32,
    /// Steps that its clock is ahead.
    pub drift: i64,
    /// The latest step that is spent: no code of this step or an earlier one counts.
    pub floor: u64,
    /// The step at which the first pair begins; each pair begins two steps after the one before.
    pub first: u64,
    /// The hashes of the pairs, of 16 bytes each, in base64.
    pub pairs: String,
}
