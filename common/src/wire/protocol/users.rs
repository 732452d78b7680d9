//! Users: what is known of them, what happened to them, and how their records move and go.

use serde::{Deserialize, Serialize};

use super::devices::DeviceState;
use crate::names::device::Kind;
use crate::wire::event::Event;

/// `Show`: what is known of one user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Account name; the caller's own if absent.
    pub user: Option<String>,
}

/// `List`: every user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Those only who have no active device.
    pub not_enrolled: Option<bool>,
    /// Those only who are in this group, also if they have no record.
    pub group: Option<String>,
}

/// Reply to [`Show`], and each reply to [`List`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowReply {
    /// The user.
    pub user: User,
}

/// `Events`: what the log remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Only those about this account.
    pub user: Option<String>,
    /// Only those since then, in Unix seconds.
    pub since: Option<u64>,
    /// Only the latest, so many at most.
    pub limit: Option<u32>,
    /// After them, new ones as they happen.
    pub follow: Option<bool>,
}

/// Each reply to [`Events`].
#[derive(Debug, Serialize, Deserialize)]
pub struct EventsReply {
    /// An event; none in the last reply.
    pub event: Option<Event>,
}

/// A user and what is known of the user's devices.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    /// Account name.
    pub user: String,
    /// Whether any device was ever active.
    pub enrolled: bool,
    /// An administrator has shut the account: nothing opens a login.
    pub disabled: bool,
    /// The devices, in the order of their enrolment.
    pub devices: Vec<Device>,
    /// Single-code guesses left to those who come from where the user has logged in lately.
    pub known_budget: u32,
    /// The same for everybody else.
    pub budget: u32,
    /// Recovery codes that would be accepted now.
    pub recovery_codes_left: usize,
    /// Until when there is a bypass, in Unix seconds.
    pub bypass_until: Option<u64>,
    /// How many logins it still opens.
    pub bypass_uses: Option<u8>,
    /// Until when there is a ticket, in Unix seconds.
    pub ticket_until: Option<u64>,
    /// The stored record was altered or does not open: every login of this user is refused.
    pub damaged: bool,
}

/// One authenticator of a user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: DeviceState,
    /// What moves it from one code to the next.
    pub kind: Kind,
    /// `sha1`, `sha256` or `sha512`.
    pub alg: String,
    /// Digits in a code.
    pub digits: u8,
    /// Seconds a code is shown, with `totp`.
    pub period: Option<u32>,
    /// When it was enrolled, in Unix seconds.
    pub created: u64,
    /// When a pending device is forgotten, in Unix seconds.
    pub expires: Option<u64>,
    /// When a login with it was last accepted, in Unix seconds.
    pub last_used: Option<u64>,
    /// From when on its codes count, in Unix seconds.
    pub valid_from: Option<u64>,
    /// From when on they do not count any more.
    pub valid_until: Option<u64>,
    /// The PAM services that it is for; all, if there are none.
    pub services: Vec<String>,
}

/// `RenameUser`: the account has another name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameUser {
    /// The name that the record goes by.
    pub user: String,
    /// The name that it goes by from now on.
    pub new: String,
}

/// Reply to [`RenameUser`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RenameUserReply {
    /// The name that the record goes by now.
    pub user: String,
}

/// `Forget`: remove all that is known of a user.
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
