//! Messages about the daemon itself: import and export, status, reload, and its clock.

use serde::{Deserialize, Serialize};

use crate::names::device::Kind;
use crate::secret::SecretText;

/// `Import`: import a device from passlib or from another system.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Account name.
    pub user: String,
    /// The new device's name; the next free one if absent.
    pub device: Option<String>,
    /// The record as passlib wrote it, or an `otpauth://` URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<SecretText>,
    /// In its place: a key of another system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignKey>,
    /// With `foreign`: scratch codes of eight digits, all that the other system still accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_codes: Option<Vec<SecretText>>,
    /// True: only a user that was never enrolled gets the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_only: Option<bool>,
    /// True: nothing is changed; the reply is what it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// True: a key of fewer than 128 bits is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_weak: Option<bool>,
    /// True: the account has another uid now and still belongs to the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_person: Option<bool>,
}

/// A device's key and what is spent of it, as another system knows them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// In base32.
    pub key: SecretText,
    /// Time-based or counter-based.
    pub kind: Kind,
    /// `sha1`, `sha256` or `sha512`; `sha1` if absent.
    pub alg: Option<String>,
    /// Digits in a code; 6 if absent.
    pub digits: Option<u8>,
    /// Seconds a code is shown; 30 if absent.
    pub period: Option<u32>,
    /// With `hotp`: the counter of the next code.
    pub counter: Option<u64>,
    /// The account's name, as the authenticator shows it.
    pub label: Option<String>,
    /// The place to log in to, as the authenticator shows it.
    pub issuer: Option<String>,
    /// Steps whose codes are spent.
    pub spent: Option<Vec<u64>>,
    /// Steps that the authenticator's clock is ahead.
    pub skew: Option<i64>,
    /// `spent` names every step from the present one on whose code the other system has accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_is_whole: Option<bool>,
}

/// Reply to [`Import`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportReply {
    /// Account name.
    pub user: String,
    /// The device's name.
    pub device: String,
    /// False if the user had a device with that key already.
    pub imported: bool,
    /// How many scratch codes are recovery codes now, if any were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_codes: Option<usize>,
}

/// `Export`: export a user's devices to passlib, or in plain.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Account name.
    pub user: String,
    /// True: the keys themselves, and not passlib's records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<bool>,
}

/// Reply to [`Export`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportReply {
    /// Account name.
    pub user: String,
    /// The devices that are not pending, in the order of their enrolment.
    pub records: Vec<ExportedRecord>,
    /// HOTP devices, which passlib does not know.
    pub left_out: Vec<String>,
    /// With `plain`, in place of `records`. An older daemon has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ExportedKey>,
}

/// A device with its key in plain.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedKey {
    /// The device's name.
    pub device: String,
    /// Its key, and what is spent of it.
    pub key: ForeignKey,
}

/// A device in passlib's form.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedRecord {
    /// The device's name.
    pub device: String,
    /// The record as passlib reads it.
    pub record: SecretText,
}

/// `Status`: the state of the daemon.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// Reply to [`Status`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// When it started, in Unix seconds.
    pub started: u64,
    /// Kind of store.
    pub store: String,
    /// Users with a record.
    pub users: u64,
    /// The generation of the store: the number of durable changes.
    pub generation: u64,
    /// Users may be missing: the store was damaged, or is older than it was.
    #[serde(default)]
    pub incomplete: bool,
    /// How many users the store is known to have held, while users may be missing.
    #[serde(default)]
    pub users_known: Option<u64>,
    /// The tag that new keys are sealed under.
    pub default_tag: String,
    /// The tags whose application secret has another value than before.
    #[serde(default)]
    pub wrong_secrets: Vec<String>,
    /// What is sealed under each tag. `None`: not counted, or an older daemon.
    #[serde(default)]
    pub sealed: Option<Vec<SealedUnder>>,
    /// Connections open now.
    pub connections: u64,
    /// Audit lines lost since the start because the log was stuck.
    pub audit_lost: u64,
    /// Events since the start that could not be kept.
    pub events_lost: u64,
    /// The state of the machine's clock.
    pub clock: ClockState,
    /// When a new device shows the first code that is accepted again, in Unix seconds.
    pub quarantine_until: Option<u64>,
    /// Whether `ClockAccept` would end or shorten the quarantine. An older daemon does not say.
    pub acceptable: Option<bool>,
    /// The store's second copy of every record. An older daemon does not say.
    #[serde(default)]
    pub copy: Option<CopyReply>,
    /// The verifiers of a relay, which has no store of its own. `None`: the daemon is no relay.
    #[serde(default)]
    pub upstream: Option<Vec<UpstreamServer>>,
    /// What a verifier knows of its fleet. `None`: the daemon is in none, is a relay, or is an older one.
    #[serde(default)]
    pub fleet: Option<FleetState>,
    /// Of a relay that keeps offline copies. `None`: it keeps none, or is an older one.
    #[serde(default)]
    pub offline: Option<OfflineState>,
}

/// What a relay does while no verifier can be reached, in [`StatusReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineState {
    /// Whether two codes open a login then.
    pub two_codes: bool,
    /// The users of whom it has an offline copy.
    pub copies: u64,
    /// Whether a verifier has refused to give this host copies.
    pub refused: bool,
}

/// A fleet as one of its verifiers knows it, in [`StatusReply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetState {
    /// The daemons that share the store, this one among them.
    pub verifiers: Vec<Verifier>,
    /// The login hosts that have asked this verifier since it started.
    pub hosts: Vec<LoginHost>,
}

/// A daemon that shares the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// The name of its machine.
    pub host: String,
    /// Whether it is the one that answers.
    pub own: bool,
    /// Its version.
    pub version: String,
    /// The tag that it seals new keys under.
    pub default_tag: String,
    /// The tags whose application secret it has.
    pub tags: Vec<String>,
    /// Whether it has left a new note within the last 45 seconds.
    pub works: bool,
    /// When it left its last note, by its own clock, in Unix seconds.
    pub seen: u64,
    /// Seconds by which its clock is ahead of the answering one's. `None`: not known yet.
    pub ahead: Option<i64>,
}

/// A login host that has asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginHost {
    /// The name in its certificate.
    pub host: String,
    /// When it asked last, in Unix seconds.
    pub asked: u64,
}

/// A verifier as a relay reaches it, in [`StatusReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamServer {
    /// Its address in the settings.
    pub server: String,
    /// Whether it answered when it was last connected to. `None`: not tried yet.
    pub reached: Option<bool>,
    /// When it was last connected to, or since when it is not reached, in Unix seconds.
    pub since: Option<u64>,
    /// Why it is not reached: a sentence with the next step.
    pub reason: Option<String>,
}

/// The state of the store's second copy of every record, in [`StatusReply`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReply {
    /// Whether it was whole when it was last read back. `None`: it was not looked at yet.
    pub whole: Option<bool>,
    /// When it was last known to be whole, in Unix seconds.
    pub seen_whole: Option<u64>,
    /// When its snapshot was made, in Unix seconds; `None` while the journal alone is the copy.
    pub snapshot: Option<u64>,
    /// How often a part of the store was made anew from the other one since the daemon started.
    pub healed: u64,
    /// How often that failed.
    pub not_healed: u64,
}

/// What is sealed under one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedUnder {
    /// The tag.
    pub tag: String,
    /// Whether it is the default tag: new keys are sealed under it.
    pub default: bool,
    /// Whether the daemon has the application secret.
    pub known: bool,
    /// Users' records in which anything is sealed under the tag.
    pub records: u64,
    /// Records whose MAC is under the tag.
    pub macs: u64,
    /// Devices' keys.
    pub device_keys: u64,
    /// Keys that recovery codes, bypasses and tickets are hashed under.
    pub code_keys: u64,
    /// Tombstones of revoked devices.
    pub tombstones: u64,
    /// Decoys, which judge the attempts on names without a device.
    pub decoys: u64,
}

/// The state of the machine's clock, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// The clock shows a time before the daemon was built: every login is refused.
    BeforeBuild,
    /// The clock was set, or the store was restored: earlier codes are refused.
    Quarantine,
    /// The kernel reports it as not synchronised: the daemon learns no drift of devices.
    Unsynchronised,
    /// The clock is trusted.
    Ok,
}

/// `Rotate`: seals every record under the default tag.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// The tag that must be the default one; any if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Reply to [`Rotate`], one of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateReply {
    /// The tag that records are sealed under.
    pub tag: String,
    /// Records and decoys in the store, as far as that is known.
    pub total: u64,
    /// Those that were looked at until now.
    pub looked: u64,
    /// Those that were sealed anew until now.
    pub resealed: u64,
    /// Those that stay under another tag, because they cannot be read, or a key of theirs does not
    /// open.
    pub failed: u64,
    /// In the last reply: what is sealed under each tag now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Vec<SealedUnder>>,
}

/// `ClockAccept`: the clock was set on purpose and is right.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockAccept {}

/// Reply to [`ClockAccept`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ClockAcceptReply {
    /// Whether a quarantine was ended or shortened.
    pub accepted: bool,
    /// The state of the machine's clock now, as [`StatusReply`] tells it. An older daemon does not
    /// say.
    pub clock: Option<ClockState>,
    /// The same as in [`StatusReply`].
    pub quarantine_until: Option<u64>,
}

/// `StoreAcceptLoss`: users that the store does not hold were never enrolled, or are given up.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreAcceptLoss {}

/// Reply to [`StoreAcceptLoss`].
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreAcceptLossReply {
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
