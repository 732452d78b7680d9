//! Messages about devices: enrol, confirm, disable, revoke, rename, resynchronise, restrict.

use serde::{Deserialize, Serialize};

use super::login::Verdict;
use crate::names::device::Kind;
use crate::secret::SecretText;
use crate::words::words;

/// `Enroll`: create a device with a new key or a given one.
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
    /// The account's name, as the authenticator shows it.
    pub label: Option<String>,
    /// The place to log in to, as the authenticator shows it.
    pub issuer: Option<String>,
    /// A key to take over, in base32.
    pub key: Option<SecretText>,
    /// Active at once, without a first code.
    pub active: Option<bool>,
    /// When its codes begin to be accepted, in Unix seconds.
    pub valid_from: Option<u64>,
    /// When they stop being accepted.
    pub valid_until: Option<u64>,
    /// The PAM services that accept its codes; empty: all.
    pub services: Option<Vec<String>>,
    /// A current code of an active device, a recovery code, or for the first device a ticket.
    pub proof: Option<SecretText>,
    /// How long the caller's program has been running, in milliseconds: of programs that run at
    /// once and name no device, one makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// True: a key of fewer than 128 bits is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_weak: Option<bool>,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
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
    /// Time-based or counter-based.
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
    /// The state of a device. The audit lines use the same words.
    pub enum DeviceState {
        /// It waits for its first code; until then it opens no login.
        Pending = "pending",
        /// Its codes open logins.
        Active = "active",
        /// It is kept, but its codes are refused.
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
    /// The typed code.
    pub code: SecretText,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
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
    /// True: the whole account instead of one device.
    pub all: Option<bool>,
    /// `active` or `disabled`.
    pub state: DeviceState,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
}

/// `Revoke`: delete a device for good.
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

/// `RenameDevice`: give a device another name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameDevice {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// The new name.
    pub name: String,
    /// A current code of an active device, or a recovery code.
    pub proof: Option<SecretText>,
}

/// `Resync`: resynchronise a device with two consecutive codes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resync {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The active device; the only one if absent.
    pub device: Option<String>,
    /// The typed codes: both in one field, or each in its own.
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
    /// `accepted`: from now on one code is enough.
    pub verdict: Verdict,
    /// With a right pair: how far the device's clock is ahead of the daemon's, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

/// `Restrict`: restrict when, and for which services, a device's codes are accepted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
    /// The device; the only one if absent.
    pub device: Option<String>,
    /// The first second, in Unix seconds.
    pub valid_from: Option<u64>,
    /// The first second after the time.
    pub valid_until: Option<u64>,
    /// The PAM services; empty: all.
    pub services: Vec<String>,
}

/// Reply to [`SetState`].
#[derive(Debug, Serialize, Deserialize)]
pub struct SetStateReply {
    /// Account name.
    pub user: String,
    /// The device's name; none for a whole account.
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
