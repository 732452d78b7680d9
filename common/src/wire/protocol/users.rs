//! Messages about users: show, list, events, rename, forget.

use serde::{Deserialize, Serialize};

use super::devices::DeviceState;
use crate::names::device::Kind;
use crate::wire::event::Event;

/// `Show`: one user and the user's devices.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
}

/// `List`: users.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// True: only users without an active device.
    pub not_enrolled: Option<bool>,
    /// Only members of this group, also those without a record.
    pub group: Option<String>,
}

/// Reply to [`Show`], and each reply to [`List`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowReply {
    /// The user.
    pub user: User,
}

/// `Events`: events of the log.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Only those about this account.
    pub user: Option<String>,
    /// Only those since then, in Unix seconds.
    pub since: Option<u64>,
    /// At most so many, the latest.
    pub limit: Option<u32>,
    /// True: then new events as they happen.
    pub follow: Option<bool>,
}

/// Each reply to [`Events`].
#[derive(Debug, Serialize, Deserialize)]
pub struct EventsReply {
    /// An event; none in the last reply.
    pub event: Option<Event>,
}

/// A user and the user's devices.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    /// Account name.
    pub user: String,
    /// Whether any device was ever active.
    pub enrolled: bool,
    /// An administrator has disabled the account: nothing opens a login.
    pub disabled: bool,
    /// The devices, in the order of their enrolment.
    pub devices: Vec<Device>,
    /// Single-code guesses left for logins from sources where the user has logged in lately.
    pub known_budget: u32,
    /// The same for all other logins.
    pub budget: u32,
    /// Recovery codes that would be accepted now.
    pub recovery_codes_left: usize,
    /// When the bypass expires, in Unix seconds.
    pub bypass_until: Option<u64>,
    /// How many logins it still opens.
    pub bypass_uses: Option<u8>,
    /// When the ticket expires, in Unix seconds.
    pub ticket_until: Option<u64>,
    /// The stored record was altered or cannot be opened: every login of this user is refused.
    pub damaged: bool,
    /// The uid that the record belongs to, if the account has another one: every login of this user
    /// is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_uid: Option<u32>,
}

/// One authenticator of a user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: DeviceState,
    /// Time-based or counter-based.
    pub kind: Kind,
    /// `sha1`, `sha256` or `sha512`.
    pub alg: String,
    /// Digits in a code.
    pub digits: u8,
    /// Seconds a code is shown, with `totp`.
    pub period: Option<u32>,
    /// When it was enrolled, in Unix seconds.
    pub created: u64,
    /// When a pending device is deleted, in Unix seconds.
    pub expires: Option<u64>,
    /// When a login with it was last accepted, in Unix seconds.
    pub last_used: Option<u64>,
    /// When its codes begin to be accepted, in Unix seconds.
    pub valid_from: Option<u64>,
    /// When they stop being accepted.
    pub valid_until: Option<u64>,
    /// The PAM services that accept its codes; empty: all.
    pub services: Vec<String>,
    /// The length of its key, if it has fewer than 128 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_key_bits: Option<u32>,
}

/// `RenameUser`: move a record to the account's new name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameUser {
    /// The old name.
    pub user: String,
    /// The new name.
    pub new: String,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
}

/// Reply to [`RenameUser`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RenameUserReply {
    /// The new name.
    pub user: String,
}

/// `Forget`: delete the record of a user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Account name.
    pub user: String,
}

/// Reply to [`Forget`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ForgetReply {
    /// Account name.
    pub user: String,
}
