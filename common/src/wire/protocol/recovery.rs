//! What gets people in again who have no device at hand, and what ends it.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// `NewRecoveryCodes`: all recovery codes anew.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecoveryCodes {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// Reply to [`NewRecoveryCodes`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RecoveryCodesReply {
    /// Account name.
    pub user: String,
    /// The codes, each good for one login.
    pub recovery_codes: Vec<SecretText>,
}

/// `Bypass`: a code that lets in for a while.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// Account name.
    pub user: String,
    /// Seconds.
    pub valid_for: Option<u64>,
    /// How many logins it opens.
    pub uses: Option<u8>,
}

/// `Ticket`: the permission to enrol a first device oneself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Account name.
    pub user: String,
    /// Seconds.
    pub valid_for: Option<u64>,
}

/// Reply to [`Bypass`] and [`Ticket`].
#[derive(Debug, Serialize, Deserialize)]
pub struct TimedCodeReply {
    /// Account name.
    pub user: String,
    /// The code.
    pub code: SecretText,
    /// When it is over, in Unix seconds.
    pub until: u64,
}

/// `Unlock`: give back all guesses.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Account name.
    pub user: String,
}

/// Reply to [`Unlock`].
#[derive(Debug, Serialize, Deserialize)]
pub struct UnlockReply {
    /// Account name.
    pub user: String,
}

/// `RevokeGrace`: let no accepted code of before count any more.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrace {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
}

/// Reply to [`RevokeGrace`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RevokeGraceReply {
    /// Account name.
    pub user: String,
    /// Whether there was any code that could have counted.
    pub revoked: bool,
}
