//! Devices: how they come, change and go.

use serde::{Deserialize, Serialize};

use super::login::Verdict;
use crate::names::device::Kind;
use crate::secret::SecretText;
use crate::words::words;

/// `Enroll`: make or take a key.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The new device's name; the next free one if absent.
    pub device: Option<String>,
    /// `totp` or `hotp`.
    pub kind: Option<String>,
    /// `sha1`, `sha256` or `sha512`.
    pub alg: Option<String>,
    /// Digits in a code.
    pub digits: Option<u8>,
    /// Seconds a code is shown.
    pub period: Option<u32>,
    /// With `hotp`: the counter of the next code.
    pub counter: Option<u64>,
    /// What the authenticator shows of the account.
    pub label: Option<String>,
    /// What the authenticator shows of us.
    pub issuer: Option<String>,
    /// A key to take over, in base32.
    pub key: Option<SecretText>,
    /// Active at once, without a first code.
    pub active: Option<bool>,
    /// From when on its codes count, in Unix seconds.
    pub valid_from: Option<u64>,
    /// From when on they do not count any more.
    pub valid_until: Option<u64>,
    /// The PAM services that it is for; all, if there are none.
    pub services: Option<Vec<String>>,
    /// A current code of an active device, a recovery code, or for the first device a ticket.
    pub proof: Option<SecretText>,
}

/// Reply to [`Enroll`].
#[derive(Debug, Serialize, Deserialize)]
pub struct EnrollReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
    /// `pending` or `active`.
    pub state: DeviceState,
    /// The key, in base32 without padding.
    pub key: SecretText,
    /// The key as an `otpauth://` URI.
    pub uri: SecretText,
    /// What moves it from one code to the next.
    pub kind: Kind,
    /// `sha1`, `sha256` or `sha512`.
    pub alg: String,
    /// Digits in a code.
    pub digits: u8,
    /// Seconds a code is shown, with `totp`.
    pub period: Option<u32>,
    /// The counter of its first code, with `hotp`.
    pub counter: Option<u64>,
    /// New recovery codes, if the device is active at once and the user had none.
    pub recovery_codes: Vec<SecretText>,
}

words! {
    /// Where a device is in its life. The words are those of the audit lines, too.
    pub enum DeviceState {
        /// Waits for its first code, and opens nothing else.
        Pending = "pending",
        /// Its codes open logins.
        Active = "active",
        /// Kept, but its codes open nothing.
        Disabled = "disabled",
    }
}

/// `Confirm`: a pending device's first code.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The pending device; the only one if absent.
    pub device: Option<String>,
    /// What the person typed.
    pub code: SecretText,
}

/// Reply to [`Confirm`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfirmReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
    /// `accepted`: it is active now.
    pub verdict: Verdict,
    /// New recovery codes, if it is active now and the user had none.
    pub recovery_codes: Vec<SecretText>,
}

/// `SetState`: disable a device, or make a disabled one active again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// The whole account, in the place of one device.
    pub all: Option<bool>,
    /// `active` or `disabled`.
    pub state: DeviceState,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// `Revoke`: forget a device for good.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// `RenameDevice`: call a device something else.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameDevice {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// What it is called from now on.
    pub name: String,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// `Resync`: two codes in a row, to learn where a device is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resync {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The active device; the only one if absent.
    pub device: Option<String>,
    /// What the person typed: both codes in one field, or one in each of two.
    pub codes: Vec<SecretText>,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// Reply to [`Resync`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ResyncReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
    /// `accepted`: from now on one code will do.
    pub verdict: Verdict,
    /// With a right pair: how far the device's clock is ahead of the daemon's, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

/// `Restrict`: say when, and for which services, a device's codes count.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// From when on, in Unix seconds.
    pub valid_from: Option<u64>,
    /// Until when.
    pub valid_until: Option<u64>,
    /// The PAM services; all, if there are none.
    pub services: Vec<String>,
}

/// Reply to [`SetState`].
#[derive(Debug, Serialize, Deserialize)]
pub struct SetStateReply {
    /// Account name.
    pub user: String,
    /// The device's name, unless it was the account.
    pub device: Option<String>,
}

/// Reply to [`Revoke`], [`RenameDevice`] and [`Restrict`].
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
}
