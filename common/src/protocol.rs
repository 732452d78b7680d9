//! The messages of `org.pamtotp.Provision`, which [`INTERFACE`] describes and documents, and of
//! `org.varlink.service`. Nothing else defines a message.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::device::Kind;
use crate::event::Event;
use crate::secret::SecretText;

/// The interface as its clients read it: every method, type and error.
pub const INTERFACE: &str = include_str!("org.pamtotp.Provision.varlink");
/// The interface's name.
pub const NAME: &str = "org.pamtotp.Provision";
/// Where root's processes connect: the module's and the administrator's.
pub const LOGIN_SOCKET: &str = "/run/pam-totp/login.sock";
/// Where everybody else connects.
pub const OPEN_SOCKET: &str = "/run/pam-totp/provisiond.sock";

/// A method of the interface: what is sent, and what comes back.
pub trait Call: Serialize {
    /// The method's qualified name.
    const METHOD: &'static str;
    /// The parameters of its reply.
    type Reply: DeserializeOwned;
}

/// A call as it travels. `parameters` stays unread until the method is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Qualified method name.
    #[serde(borrow)]
    pub method: std::borrow::Cow<'a, str>,
    /// The method's parameters, still as text.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// The caller takes several replies.
    #[serde(default)]
    pub more: bool,
    /// The caller takes no reply at all.
    #[serde(default)]
    pub oneway: bool,
    /// The caller would leave the protocol after this call; nothing here does.
    #[serde(default)]
    pub upgrade: bool,
}

/// A call on its way out.
#[derive(Serialize)]
pub struct OutgoingRequest<'a, C> {
    /// Qualified method name.
    pub method: &'static str,
    /// The method's parameters.
    pub parameters: &'a C,
    /// Ask for several replies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A reply as it travels: `parameters`, or `error` with its own.
#[derive(Deserialize)]
pub struct Reply<'a> {
    /// The reply's or the error's parameters, still as text.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Qualified error name.
    #[serde(borrow, default)]
    pub error: Option<std::borrow::Cow<'a, str>>,
    /// Another reply to the same call follows.
    #[serde(default)]
    pub continues: bool,
}

/// A successful reply on its way out.
#[derive(Serialize)]
pub struct OutgoingReply<P> {
    /// The reply's parameters.
    pub parameters: P,
    /// Another reply to the same call follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// Reads a JSON object. The derived readers would also take an array of the fields' values in their order, which is no
/// message of anybody's.
///
/// # Errors
/// Whatever is not an object, or not that one.
pub fn from_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(serde::de::Error::custom("a message and its parameters are JSON objects")),
    }
}

macro_rules! calls {
    ($($call:ident => $reply:ty),* $(,)?) => {
        $(impl Call for $call {
            const METHOD: &'static str = concat!("org.pamtotp.Provision.", stringify!($call));
            type Reply = $reply;
        })*
    };
}

calls! {
    Challenge => ChallengeReply, Verify => VerifyReply, Enroll => EnrollReply, Confirm => ConfirmReply,
    Show => ShowReply, List => ShowReply, Events => EventsReply, SetState => SetStateReply, Revoke => DeviceReply,
    RenameDevice => DeviceReply, Resync => ResyncReply, Restrict => DeviceReply,
    RenameUser => RenameUserReply, Forget => ForgetReply,
    NewRecoveryCodes => RecoveryCodesReply, Bypass => TimedCodeReply, Ticket => TimedCodeReply, Unlock => UnlockReply,
    Import => ImportReply, Export => ExportReply, Status => StatusReply, Reload => Nothing,
    ClockAccept => ClockAcceptReply, RevokeGrace => RevokeGraceReply,
}

/// `Challenge`: what to ask the person for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Account name.
    pub user: String,
    /// PAM service.
    pub service: String,
    /// Where the login comes from, as PAM knows it.
    pub rhost: Option<String>,
    /// The terminal, as PAM knows it.
    pub tty: Option<String>,
    /// What the service file says.
    pub options: Option<LoginOptions>,
}

/// What the service file says of its service, besides what concerns the module alone. Taken from root's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginOptions {
    /// Seconds in which an accepted code of this service goes on to count, from the very same source.
    pub grace_period: Option<u32>,
    /// True: nothing is learned of the device's clock.
    pub noskewadj: Option<bool>,
}

/// Reply to [`Challenge`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// What to ask for.
    pub ask: Ask,
    /// Joins the tries of one login.
    pub conversation: String,
    /// Whether the user ever had an active device; told to root only.
    pub enrolled: Option<bool>,
    /// The lengths of the user's codes, each once; told to root only.
    pub digits: Option<Vec<u8>>,
}

/// What the person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The current code.
    OneCode,
    /// The current code and the one after it.
    TwoCodes,
    /// The current code and the two after it.
    ThreeCodes,
    /// No code. The attempt is made all the same, without any.
    Nothing,
}

/// `Verify`: the attempt.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Account name.
    pub user: String,
    /// From [`ChallengeReply`], if there was one.
    pub conversation: Option<String>,
    /// What the person typed.
    pub codes: Vec<SecretText>,
    /// PAM service.
    pub service: String,
    /// Where the login comes from, as PAM knows it.
    pub rhost: Option<String>,
    /// The terminal, as PAM knows it.
    pub tty: Option<String>,
    /// What the service file says.
    pub options: Option<LoginOptions>,
}

/// Reply to [`Verify`].
#[derive(Debug, Serialize, Deserialize)]
pub struct VerifyReply {
    /// The verdict.
    pub verdict: Verdict,
    /// What the person has to be asked for next.
    pub ask: Ask,
    /// With `already_used`: seconds until the device shows the next code.
    pub retry_after: Option<u64>,
    /// The device whose code it was.
    pub device: Option<String>,
    /// With `exempt`: the name of the rule.
    pub rule: Option<String>,
    /// After a recovery code was used: how many are left; told to root only.
    pub recovery_codes_left: Option<usize>,
}

impl VerifyReply {
    /// A verdict, and nothing more to say.
    #[must_use]
    pub fn bare(verdict: Verdict, ask: Ask) -> Self {
        Self { verdict, ask, retry_after: None, device: None, rule: None, recovery_codes_left: None }
    }
}

/// What became of an attempt. The interface file says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[must_use]
#[expect(missing_docs, reason = "documented where clients read it, in the interface file")]
pub enum Verdict {
    Accepted,
    Exempt,
    Rejected,
    AlreadyUsed,
    Malformed,
    TwoCodesNeeded,
    NotEnrolled,
    Disabled,
    Refused,
    Busy,
}

impl Verdict {
    /// The word of the wire and of the audit lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Exempt => "exempt",
            Self::Rejected => "rejected",
            Self::AlreadyUsed => "already_used",
            Self::Malformed => "malformed",
            Self::TwoCodesNeeded => "two_codes_needed",
            Self::NotEnrolled => "not_enrolled",
            Self::Disabled => "disabled",
            Self::Refused => "refused",
            Self::Busy => "busy",
        }
    }
}

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

/// Where a device is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Waits for its first code; opens nothing.
    Pending,
    /// Its codes open logins.
    Active,
    /// Kept, but its codes open nothing.
    Disabled,
}

impl DeviceState {
    /// The word of the wire and of the audit lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
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

/// `Reload`: read the settings again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {}

/// A reply without parameters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// An error reply: the caller's fault, not allowed, or ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's role does not allow this.
    #[error("not permitted: run this as root or as a member of the administrators' group")]
    PermissionDenied,
    /// Nobody of that name has a record.
    #[error("nobody of that name is enrolled: 'totpctl enroll' does it")]
    NoSuchUser,
    /// Somebody of that name has a record already.
    #[error("somebody of that name has a record already: 'totpctl show' tells of it, 'totpctl forget' removes it")]
    UserExists,
    /// No such device, or several and none was named.
    #[error("no such device, or several and none was named: 'totpctl show' lists them, --device names one")]
    NoSuchDevice,
    /// A device of that name or with that key exists.
    #[error("the user has a device of that name or with that key: choose another name, or revoke it first")]
    DeviceExists,
    /// The device is not waiting for its first code.
    #[error("the device is not waiting to be confirmed: 'totpctl show' tells its state")]
    NotPending,
    /// A current code of an active device is needed.
    #[error(
        "a current, unused code of an active device is needed, or a recovery code: type the next one, or ask an \
         administrator"
    )]
    ProofRequired,
    /// A parameter cannot be taken.
    #[error("{why} (parameter '{field}')")]
    BadParameter {
        /// Which one.
        field: String,
        /// Why, in a sentence.
        why: String,
    },
    /// The user's record cannot be trusted.
    #[error("the user's stored record was altered, or its application secret is missing: restore one or the other")]
    RecordDamaged,
    /// The store does not work now.
    #[error("the store does not work now: the daemon's log says why")]
    StoreUnavailable,
    /// Too many callers.
    #[error("the daemon has too much to do: try again")]
    Busy,
    /// The message was too long.
    #[error("the message was longer than 65,536 bytes")]
    TooLarge,
    /// One of `org.varlink.service`'s own errors: an unknown interface or method.
    #[error("the daemon does not know this call ({0}): are totpctl and provisiond of one version?")]
    Varlink(String),
}

impl Error {
    /// The qualified name and the parameters, as they travel.
    #[must_use]
    pub fn to_wire(&self) -> (String, serde_json::Value) {
        let own = |name: &str| (format!("{NAME}.{name}"), serde_json::json!({}));
        match self {
            Self::PermissionDenied => own("PermissionDenied"),
            Self::NoSuchUser => own("NoSuchUser"),
            Self::UserExists => own("UserExists"),
            Self::NoSuchDevice => own("NoSuchDevice"),
            Self::DeviceExists => own("DeviceExists"),
            Self::NotPending => own("NotPending"),
            Self::ProofRequired => own("ProofRequired"),
            Self::BadParameter { field, why } => {
                (format!("{NAME}.BadParameter"), serde_json::json!({ "field": field, "why": why }))
            }
            Self::RecordDamaged => own("RecordDamaged"),
            Self::StoreUnavailable => own("StoreUnavailable"),
            Self::Busy => own("Busy"),
            Self::TooLarge => own("TooLarge"),
            Self::Varlink(name) => (name.clone(), serde_json::json!({})),
        }
    }

    /// Reads an error reply; an unknown name is kept as [`Error::Varlink`].
    #[must_use]
    pub fn from_wire(name: &str, parameters: Option<&RawValue>) -> Self {
        let known = [
            Self::PermissionDenied,
            Self::NoSuchUser,
            Self::UserExists,
            Self::NoSuchDevice,
            Self::DeviceExists,
            Self::NotPending,
            Self::ProofRequired,
            Self::RecordDamaged,
            Self::StoreUnavailable,
            Self::Busy,
            Self::TooLarge,
        ];
        if let Some(error) = known.into_iter().find(|e| e.to_wire().0 == name) {
            return error;
        }
        if name.strip_prefix(NAME) == Some(".BadParameter") {
            let told =
                parameters.and_then(|p| from_object::<BadParameter>(p.get().as_bytes()).ok()).unwrap_or_default();
            return Self::BadParameter { field: told.field, why: told.why };
        }
        Self::Varlink(name.to_owned())
    }

    /// A parameter that cannot be taken, and why.
    #[must_use]
    pub fn bad(field: &str, why: impl std::fmt::Display) -> Self {
        Self::BadParameter { field: field.to_owned(), why: why.to_string() }
    }
}

#[derive(Default, Deserialize)]
struct BadParameter {
    field: String,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_wire() {
        for error in
            [Error::Busy, Error::ProofRequired, Error::bad("digits", "6 to 10"), Error::Varlink("a.b.C".into())]
        {
            let (name, parameters) = error.to_wire();
            let raw = serde_json::value::to_raw_value(&parameters).unwrap();
            assert_eq!(Error::from_wire(&name, Some(&raw)), error);
        }
    }

    #[test]
    fn the_interface_file_names_every_method_and_error() {
        for method in [
            "Challenge",
            "Verify",
            "Enroll",
            "Confirm",
            "Show",
            "List",
            "Events",
            "SetState",
            "Revoke",
            "RenameDevice",
            "Resync",
            "Restrict",
            "RenameUser",
            "Forget",
            "NewRecoveryCodes",
            "Bypass",
            "Ticket",
            "Unlock",
            "Import",
            "Export",
            "Status",
            "Reload",
            "RevokeGrace",
            "ClockAccept",
        ] {
            assert!(INTERFACE.contains(&format!("\nmethod {method}(")), "{method}");
        }
        for error in [
            "PermissionDenied",
            "NoSuchUser",
            "UserExists",
            "NoSuchDevice",
            "DeviceExists",
            "NotPending",
            "ProofRequired",
            "BadParameter",
            "RecordDamaged",
            "StoreUnavailable",
            "Busy",
            "TooLarge",
        ] {
            assert!(INTERFACE.contains(&format!("\nerror {error} (")), "{error}");
        }
    }

    #[test]
    fn a_request_with_unknown_or_repeated_fields_is_refused() {
        assert!(serde_json::from_str::<Request<'_>>(r#"{"method":"a.B","parameters":{}}"#).is_ok());
        for text in [
            r#"{"method":"a.B","extra":1}"#,
            r#"{"method":"a.B","method":"a.C"}"#,
            r#"{"parameters":{}}"#,
            r#"["a.B",{}]"#,
            "{",
            "",
        ] {
            assert!(from_object::<Request<'_>>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Verify>(r#"{"user":"a","codes":[],"service":"x","extra":1}"#).is_err());
    }
}
