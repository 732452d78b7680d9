//! The settings: one YAML file, and the application secrets that it holds or points to.
//!
//! Every key is optional; unknown ones inside our sections are errors that name the line; other sections are left
//! alone. Keys may be spelt with `_` or `-`. Files are read only if nobody else can have written them.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::audit::{AuditSettings, RawAudit};
use crate::exemptions::{Exemptions, RawExemptions};
use crate::grace::RawGrace;
use crate::limits::{Limits, RawLimits};
use crate::lineage::enckey::MAX_COST;
use crate::otpauth::Label;
use crate::recovery::{RawRecovery, Recovery};
use crate::roles::{RawRoles, RawVerifiers, Roles, SelfService};
use crate::roll_out::{RawRollOut, UnknownUsers};
use crate::rules::RawRule;
use crate::secrets::{BadSecrets, Secrets, TaggedSecrets};
use crate::span::Span;
use crate::totp::{Algorithm, Parameters};

/// All settings in force, checked.
#[derive(Debug)]
pub struct Settings {
    /// What a new device gets when nobody says otherwise.
    pub new_device: NewDevice,
    /// The application secrets.
    pub secrets: Secrets,
    /// The cost of a key that is sealed as passlib does it, for the way back: a power of two.
    pub encrypt_cost: u32,
    /// Where records are kept.
    pub store: SledSettings,
    /// Who may do more than others.
    pub roles: Roles,
    /// What people may do with their own devices.
    pub self_service: SelfService,
    /// Whether a record is good only for the uid that its account had when a device was confirmed.
    pub bind_uid: bool,
    /// How attempts are judged.
    pub policy: Policy,
    /// What a source may try.
    pub limits: Limits,
    /// Which recovery codes users get.
    pub recovery: Recovery,
    /// How the log is kept.
    pub audit: AuditSettings,
    /// Who needs no code.
    pub exemptions: Exemptions,
}

/// What a new device gets when nobody says otherwise.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Hash, digits, period.
    pub parameters: Parameters,
    /// `{user}` and `{host}` stand for the account and this host.
    pub label: String,
    /// What the authenticator shows of us; the host's name if unset.
    pub issuer: Option<Label>,
}

/// The embedded store's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledSettings {
    /// Its folder.
    pub path: PathBuf,
    /// Its cache, in MiB. Memory used is several times that.
    pub cache_mib: u32,
}

/// How attempts are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Steps accepted each side of now.
    pub window: u64,
    /// Single-code guesses a user has.
    pub budget: u32,
    /// How long until one comes back.
    pub refill: Duration,
    /// Whether a hundred wrong answers in a row disable a device.
    pub strict: bool,
}

/// Who may own the files, and where to look for secrets when the settings do not say.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The uid of the daemon. Files belong to it or to root.
    pub daemon_uid: u32,
    /// The service manager's credentials (`$CREDENTIALS_DIRECTORY`), if it gave any.
    pub credentials: Option<PathBuf>,
}

impl Settings {
    /// Reads the settings file at `path`, and the secrets that it holds or points to.
    ///
    /// # Errors
    /// [`ConfigError`]: the file, what is wrong with it, and the next step.
    pub fn load(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        let (text, mode) = read_trusted(path, trust).at(path)?;
        let mut raw = RawSettings::parse(&text).at(path)?;
        let (tagged, origin) = match raw.context.secrets_source(mode, trust).at(path)? {
            Source::Inline(tagged) => (tagged, path.to_owned()),
            Source::File(file) => (read_secrets(&file, trust).at(&file)?, file),
        };
        let check = if raw.allow_weak_secrets { Secrets::with_weak } else { Secrets::new };
        let secrets = check(tagged, raw.context.default_tag.as_deref()).at(&origin)?;
        Ok(Self {
            encrypt_cost: raw.context.encrypt_cost().at(path)?,
            new_device: raw.context.new_device().at(path)?,
            secrets,
            store: raw.store.check().at(path)?,
            bind_uid: raw.policy.bind_uid.unwrap_or(true),
            self_service: raw.policy.self_service,
            roles: raw.roles.check().map_err(|(key, why)| bad(key, why)).at(path)?,
            policy: raw.policy.check().at(path)?,
            limits: raw.limits.check().map_err(|why| bad("limits.trusted-sources", why)).at(path)?,
            recovery: raw.recovery.check().map_err(|(key, why)| bad(key, why)).at(path)?,
            audit: raw.audit.0,
            exemptions: raw.exemptions.check().map_err(|(section, why)| bad(section, why)).at(path)?,
        })
    }
}

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ConfigError {
    path: PathBuf,
    problem: Problem,
}

/// What is wrong with a file, and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The system does not let us read it.
    #[error("cannot be read: {0}; see that it is there, and that its mode lets the daemon's user read it")]
    Unreadable(#[from] std::io::Error),
    /// A link, which somebody could turn round.
    #[error("cannot be read: it is a symbolic link; give the path of the file itself")]
    Link,
    /// A folder, a device, a pipe.
    #[error("is not an ordinary file: give the path of one")]
    NotAFile,
    /// Somebody else's.
    #[error("belongs to uid {found}: give it to root ('chown root')")]
    Owner {
        /// Whose it is.
        found: u32,
    },
    /// Others could have written it.
    #[error("can be written by others than its owner: 'chmod go-w' it")]
    Writable,
    /// Others can read the secrets in it.
    #[error("holds secrets and can be read by everybody: 'chmod o=' it")]
    Readable,
    /// Larger than any settings.
    #[error("is larger than {MAX_BYTES} bytes: no settings are; see that it is the right file")]
    TooLarge,
    /// Not UTF-8.
    #[error("is not UTF-8 text: see that it is the right file")]
    NotText,
    /// Not the settings that it should be.
    #[error("{0}; the settings file as it was installed lists every setting")]
    Yaml(String),
    /// A value out of its bounds.
    #[error("'{key}': {why}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Why not, in a sentence.
        why: String,
    },
    /// The same section in two places.
    #[error("has the settings of 'totp' in more than one place ('totp', 'AUTHC_CONFIG', 'context'): keep one of them")]
    TotpTwice,
    /// Secrets in the settings and a path to others.
    #[error("has both 'secrets' and 'secrets-path': keep one of them")]
    SecretsTwice,
    /// The secrets themselves.
    #[error(transparent)]
    Secrets(#[from] BadSecrets),
}

/// Names the file in an error.
trait At<T> {
    fn at(self, path: &Path) -> Result<T, ConfigError>;
}

impl<T, E: Into<Problem>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, ConfigError> {
        self.map_err(|e| ConfigError { path: path.to_owned(), problem: e.into() })
    }
}

/// The file's text and mode, if nobody but root and the daemon can have written it.
fn read_trusted(path: &Path, trust: &Trust) -> Result<(Zeroizing<String>, u32), Problem> {
    // Not through a symbolic link, and not waiting for the other end of a pipe.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ELOOP as i32 => Problem::Link,
        _ => Problem::Unreadable(error),
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    if ![0, trust.daemon_uid].contains(&metadata.uid()) {
        return Err(Problem::Owner { found: metadata.uid() });
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(Problem::Writable);
    }
    Ok((read_text(file)?, metadata.mode()))
}

fn read_text(file: File) -> Result<Zeroizing<String>, Problem> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES.saturating_add(1)));
    let read = file.take(MAX_BYTES.saturating_add(1) as u64).read_to_end(&mut bytes)?;
    if read > MAX_BYTES {
        return Err(Problem::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_secrets(file: &Path, trust: &Trust) -> Result<TaggedSecrets, Problem> {
    let (text, mode) = read_trusted(file, trust)?;
    if mode & OTHERS_READ != 0 {
        return Err(Problem::Readable);
    }
    Ok(TaggedSecrets::from_whole_text(&text)?)
}

enum Source {
    Inline(TaggedSecrets),
    File(PathBuf),
}

/// The file as it is written. Absent sections and keys have their defaults here and nowhere else.
#[derive(Default)]
struct RawSettings {
    context: RawContext,
    allow_weak_secrets: bool,
    store: RawStore,
    roles: RawRoles,
    policy: RawPolicy,
    limits: RawLimits,
    recovery: RawRecovery,
    audit: RawAudit,
    exemptions: RawExemptions,
}

impl RawSettings {
    fn parse(text: &str) -> Result<Self, Problem> {
        let file: Option<RawFile> = serde_yaml::from_str(text).map_err(|e| Problem::Yaml(e.to_string()))?;
        let mut file = file.unwrap_or_default();
        let (totp, exemptions) = (file.totp()?, file.exemptions());
        let (store, roles) = file.provisiond.unwrap_or_default().parts();
        Ok(Self {
            context: totp.context.unwrap_or_default(),
            allow_weak_secrets: totp.allow_weak_secrets.unwrap_or(false),
            store,
            roles,
            policy: file.policy.unwrap_or_default(),
            limits: file.limits.unwrap_or_default(),
            recovery: file.recovery.unwrap_or_default(),
            audit: file.audit.unwrap_or_default(),
            exemptions,
        })
    }
}

/// Other top-level sections are other programs'.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "sections of settings")]
struct RawFile {
    totp: Option<RawTotp>,
    /// Where Yosai's settings have their `totp`.
    #[serde(rename = "AUTHC_CONFIG")]
    authc_config: Option<RawAuthcConfig>,
    /// What its manual shows of them.
    context: Option<RawContext>,
    provisiond: Option<RawProvisiond>,
    policy: Option<RawPolicy>,
    limits: Option<RawLimits>,
    recovery: Option<RawRecovery>,
    audit: Option<RawAudit>,
    rules: Option<Vec<RawRule>>,
    #[serde(rename = "roll-out", alias = "roll_out")]
    roll_out: Option<RawRollOut>,
    #[serde(rename = "unknown-users", alias = "unknown_users")]
    unknown_users: Option<UnknownUsers>,
    grace: Option<RawGrace>,
}

impl RawFile {
    fn exemptions(&mut self) -> RawExemptions {
        RawExemptions {
            rules: self.rules.take().unwrap_or_default(),
            roll_out: self.roll_out.take().unwrap_or_default(),
            unknown_users: self.unknown_users.take().unwrap_or_default(),
            grace: self.grace.take().unwrap_or_default(),
        }
    }

    fn totp(&mut self) -> Result<RawTotp, Problem> {
        let theirs = self.authc_config.take().and_then(|section| section.totp);
        let excerpt = self.context.take().map(|context| RawTotp { context: Some(context), ..RawTotp::default() });
        let mut found = [self.totp.take(), theirs, excerpt].into_iter().flatten();
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Problem::TotpTwice),
            (totp, None) => Ok(totp.unwrap_or_default()),
        }
    }
}

/// The rest of it is Yosai's.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "a section of settings")]
struct RawAuthcConfig {
    totp: Option<RawTotp>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawTotp {
    context: Option<RawContext>,
    #[serde(rename = "allow-weak-secrets", alias = "allow_weak_secrets")]
    allow_weak_secrets: Option<bool>,
    /// Yosai's: what sends codes to people. Here they come from an authenticator.
    #[serde(rename = "mfa-dispatcher", alias = "mfa_dispatcher")]
    _mfa_dispatcher: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawContext {
    digits: Option<u8>,
    alg: Option<String>,
    period: Option<u32>,
    label: Option<String>,
    issuer: Option<String>,
    secrets: Option<TaggedSecrets>,
    #[serde(rename = "secrets-path", alias = "secrets_path")]
    secrets_path: Option<PathBuf>,
    #[serde(rename = "default-tag", alias = "default_tag")]
    default_tag: Option<String>,
    #[serde(rename = "encrypt-cost", alias = "encrypt_cost")]
    encrypt_cost: Option<u32>,
}

impl RawContext {
    fn secrets_source(&mut self, mode: u32, trust: &Trust) -> Result<Source, Problem> {
        match (self.secrets.take(), self.secrets_path.take()) {
            (Some(_), Some(_)) => Err(Problem::SecretsTwice),
            (Some(_), None) if mode & OTHERS_READ != 0 => Err(Problem::Readable),
            (Some(inline), None) => Ok(Source::Inline(inline)),
            (None, Some(file)) if !file.is_absolute() => {
                Err(bad("totp.context.secrets-path", "the secrets file is given by its whole path"))
            }
            (None, Some(file)) => Ok(Source::File(file)),
            (None, None) => Ok(Source::File(match &trust.credentials {
                Some(credentials) => credentials.join("secrets"),
                None => PathBuf::from(DEFAULT_SECRETS),
            })),
        }
    }

    fn encrypt_cost(&self) -> Result<u32, Problem> {
        let cost = self.encrypt_cost.unwrap_or(DEFAULT_COST);
        within("totp.context.encrypt-cost", cost, 0, MAX_COST)?;
        Ok(cost)
    }

    fn new_device(self) -> Result<NewDevice, Problem> {
        let defaults = Parameters::default();
        let alg = self.alg.map_or(Ok(defaults.alg), |word| word.parse::<Algorithm>());
        let alg = alg.map_err(|why| bad("totp.context.alg", why))?;
        let (digits, period) = (self.digits.unwrap_or(defaults.digits), self.period.unwrap_or(defaults.period));
        let parameters = Parameters::for_new_device(alg, digits, period).map_err(|why| bad("totp.context", why))?;
        let label = self.label.unwrap_or_else(|| DEFAULT_LABEL.to_owned());
        Label::new(&label).map_err(|why| bad("totp.context.label", why))?;
        // What is left of braces would be shown on every phone as it stands.
        if label.replace("{user}", "").replace("{host}", "").contains(['{', '}']) {
            return Err(bad("totp.context.label", "only {user} and {host} are filled in: a label has no other braces"));
        }
        let issuer = self.issuer.map(|text| Label::new(&text)).transpose();
        Ok(NewDevice { parameters, label, issuer: issuer.map_err(|why| bad("totp.context.issuer", why))? })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawProvisiond {
    store: RawStore,
    #[serde(rename = "admin-group", alias = "admin_group")]
    admin_group: Option<String>,
    #[serde(rename = "helpdesk-group", alias = "helpdesk_group")]
    helpdesk_group: Option<String>,
    verifiers: RawVerifiers,
}

impl RawProvisiond {
    fn parts(self) -> (RawStore, RawRoles) {
        let Self { store, admin_group, helpdesk_group, verifiers } = self;
        (store, RawRoles { admin_group, helpdesk_group, verifiers })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawStore {
    sled: RawSled,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawSled {
    path: Option<PathBuf>,
    #[serde(rename = "cache-mib", alias = "cache_mib")]
    cache_mib: Option<u32>,
}

impl RawStore {
    fn check(self) -> Result<SledSettings, Problem> {
        let path = self.sled.path.unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
        if !path.is_absolute() || path.file_name().is_none() {
            return Err(bad("provisiond.store.sled.path", "the store's folder is given by its whole path"));
        }
        let cache_mib = self.sled.cache_mib.unwrap_or(DEFAULT_CACHE_MIB);
        within("provisiond.store.sled.cache-mib", cache_mib, 1, 4096)?;
        Ok(SledSettings { path, cache_mib })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawPolicy {
    window: Option<u64>,
    budget: Option<u32>,
    refill: Option<Span>,
    strict: Option<bool>,
    #[serde(rename = "self-service", alias = "self_service")]
    self_service: SelfService,
    #[serde(rename = "bind-uid", alias = "bind_uid")]
    bind_uid: Option<bool>,
}

impl RawPolicy {
    fn check(self) -> Result<Policy, Problem> {
        let (window, budget) = (self.window.unwrap_or(1), self.budget.unwrap_or(5));
        let refill = self.refill.map_or(DEFAULT_REFILL, |span| span.0);
        within("policy.window", window, 0, MAX_WINDOW)?;
        within("policy.budget", budget, 0, MAX_BUDGET)?;
        if !(MIN_REFILL..=MAX_REFILL).contains(&refill) {
            return Err(bad("policy.refill", "a guess comes back after one minute to 366 days"));
        }
        Ok(Policy { window, budget, refill, strict: self.strict.unwrap_or(false) })
    }
}

fn within<N: PartialOrd + std::fmt::Display>(key: &'static str, value: N, low: N, high: N) -> Result<(), Problem> {
    if value < low || value > high {
        return Err(bad(key, format!("{value} is not between {low} and {high}")));
    }
    Ok(())
}

fn bad(key: &'static str, why: impl ToString) -> Problem {
    Problem::Value { key, why: why.to_string() }
}

/// The settings file, where neither the command line nor the environment names another.
pub const DEFAULT_SETTINGS: &str = "/etc/pam-totp/settings.yaml";
const DEFAULT_SECRETS: &str = "/etc/pam-totp/secrets";
const DEFAULT_STORE: &str = "/var/lib/pam-totp/store";
const DEFAULT_LABEL: &str = "{user}@{host}";
/// passlib's own.
const DEFAULT_COST: u32 = 14;
const DEFAULT_CACHE_MIB: u32 = 32;
const DEFAULT_REFILL: Duration = Duration::from_secs(86400);
const MIN_REFILL: Duration = Duration::from_secs(60);
const MAX_REFILL: Duration = Duration::from_secs(366 * 86400);
/// A pair of codes is searched for within ten steps; a single one never further.
const MAX_WINDOW: u64 = 10;
/// At six digits, a thousand guesses of three positions are 0.3 %: more is no protection.
const MAX_BUDGET: u32 = 1000;
/// Nested flow maps parse in quadratic time: this size takes a second at worst.
const MAX_BYTES: usize = 64 * 1024;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o007;

#[cfg(test)]
mod tests;
