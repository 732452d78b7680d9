//! Messages about recovery codes, bypasses, tickets, unlocking, and grace periods.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// `NewRecoveryCodes`: replace all recovery codes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecoveryCodes {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
}

/// Reply to [`NewRecoveryCodes`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RecoveryCodesReply {
    /// Account name.
    pub user: String,
    /// The codes, each valid for one login.
    pub recovery_codes: Vec<SecretText>,
}

/// `Bypass`: create a code that opens logins for a while.
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

/// `Ticket`: create a permission for a user to enrol a first device.
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
    /// When it expires, in Unix seconds.
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

/// `RevokeGrace`: end the grace period of a user.
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
    /// Whether there was a grace period to end.
    pub revoked: bool,
}
