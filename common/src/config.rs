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
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::audit::{Delivery, Format};

    const SECRETS: &str = "1: 0123456789abcdef\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write("secrets", SECRETS, 0o640);
            folder
        }

        fn write(&self, name: &str, text: &str, mode: u32) {
            std::fs::write(self.path(name), text).unwrap();
            std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn trust(&self) -> Trust {
            let daemon_uid = nix::unistd::geteuid().as_raw();
            Trust { daemon_uid, credentials: Some(self.0.path().to_owned()) }
        }

        fn load(&self, text: &str) -> Result<Settings, ConfigError> {
            self.write("settings.yaml", text, 0o640);
            Settings::load(&self.path("settings.yaml"), &self.trust())
        }

        fn refusal(&self, text: &str) -> String {
            self.load(text).map(|settings| panic!("taken: {settings:?}")).unwrap_err().to_string()
        }
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        for text in ["", "# nothing\n", "totp:\n", "totp: {context: }\npolicy:\n", "other: {a: 1}\n"] {
            let settings = Folder::new().load(text).unwrap();
            assert_eq!(settings.new_device.parameters, Parameters::default());
            assert_eq!(settings.new_device.label, "{user}@{host}");
            assert_eq!(settings.policy, Policy { window: 1, budget: 5, refill: DEFAULT_REFILL, strict: false });
            assert_eq!(settings.store, SledSettings { path: DEFAULT_STORE.into(), cache_mib: 32 });
            assert_eq!((settings.self_service, settings.bind_uid), (SelfService::WithProof, true));
            assert_eq!((settings.roles, settings.new_device.issuer), (Roles::default(), None));
            assert_eq!(settings.encrypt_cost, 14);
            assert_eq!(settings.limits, Limits { per_source: 60, trusted_sources: Vec::new() });
            assert_eq!(settings.audit, AuditSettings::default());
            assert_eq!(settings.exemptions, Exemptions::default());
            assert_eq!(settings.recovery, Recovery { codes: 10, expire: None });
        }
    }

    #[test]
    fn everything_can_be_set() {
        let folder = Folder::new();
        let text = format!(
            "totp:\n  context: {{digits: 8, alg: SHA256, period: 60, label: '{{user}}', issuer: x y, secrets_path: {}, default-tag: 1}}\n\
             provisiond:\n  store: {{sled: {{path: /srv/store, cache_mib: 8}}}}\n  admin_group: wheel\n  helpdesk_group: help\n\
             \x20 verifiers: {{vpn: {{user: openvpn, services: [openvpn], users_group: vpn}}}}\n\
             policy: {{window: 0, budget: 0, refill: 2h, strict: true, self_service: off, bind-uid: false}}\n\
             limits: {{per_source: 9, trusted-sources: [192.0.2.0/24, '::1']}}\n\
             audit: {{delivery: required, format: json}}\nrecovery: {{codes: 3, expire: 365d}}\n\
             rules: [{{name: lan, from: [192.0.2.0/24]}}]\nroll_out: {{observe: true}}\nunknown_users: deny\n\
             grace: {{same_host: {{for: 5m, services: [sudo]}}}}\n",
            folder.path("secrets").display()
        );
        let settings = folder.load(&text).unwrap();
        assert_eq!(settings.new_device.parameters, Parameters { alg: Algorithm::Sha256, digits: 8, period: 60 });
        assert_eq!(settings.new_device.issuer.unwrap().as_str(), "x y");
        assert_eq!(settings.store, SledSettings { path: "/srv/store".into(), cache_mib: 8 });
        assert_eq!((settings.self_service, settings.bind_uid), (SelfService::Off, false));
        assert_eq!(settings.roles.admin_group.as_deref(), Some("wheel"));
        assert_eq!(settings.roles.helpdesk_group.as_deref(), Some("help"));
        assert_eq!(settings.roles.verifiers.len(), 1);
        assert_eq!(settings.policy, Policy { window: 0, budget: 0, refill: Duration::from_secs(7200), strict: true });
        assert_eq!((settings.limits.per_source, settings.limits.trusted_sources.len()), (9, 2));
        assert_eq!(settings.audit, AuditSettings { delivery: Delivery::Required, format: Format::Json });
        let Exemptions { rules, roll_out, unknown_users, grace } = settings.exemptions;
        assert!(grace.same_host.is_some() && grace.same_source.is_none());
        assert_eq!((rules[0].name.as_str(), roll_out.observe, unknown_users), ("lan", true, UnknownUsers::Deny));
        assert_eq!(settings.recovery, Recovery { codes: 3, expire: Some(Duration::from_secs(365 * 86400)) });
    }

    #[test]
    fn one_word_says_what_becomes_of_a_login_whose_line_is_lost() {
        for (word, delivery) in [("best-effort", Delivery::BestEffort), ("required", Delivery::Required)] {
            let settings = Folder::new().load(&format!("audit: {word}\n")).unwrap();
            assert_eq!(settings.audit, AuditSettings { delivery, format: Format::Text });
        }
    }

    #[test]
    fn secrets_may_stand_in_the_settings_with_integer_tags_and_all_digit_values() {
        let text = "totp:\n  context:\n    secrets: {1: 1234567890123456, 2016: abcdefghijklmnop}\n";
        assert_eq!(Folder::new().load(text).unwrap().secrets.default_tag().as_str(), "2016");
        let text = "totp:\n  context:\n    secrets: |\n      1: 1234567890123456\n";
        assert_eq!(Folder::new().load(text).unwrap().secrets.default_tag().as_str(), "1");
    }

    #[test]
    fn a_settings_file_of_the_lineage_loads_as_it_stands() {
        let context = "context:\n  digits: 8\n  alg: sha256\n  period: 60\n  label: token_label_123\n  \
             issuer: my_application_name\n  default_tag: 1479568656\n  encrypt_cost: 12\n  secrets:\n    \
             1479568656:  9xEF7DRojqkJLUENWmOoF3ZCWz3kFHylDCES92dSvYV\n    7: 12345678901234567890\n";
        let indented = |by: &str| context.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
        for text in [
            context.to_owned(),
            format!("totp:\n{}", indented("    ")),
            format!(
                "AUTHC_CONFIG:\n    account_lock_threshold: 3\n    totp:\n        \
                 mfa_dispatcher: yosai_totp_sms.SMSDispatcher\n{}SESSION_CONFIG: {{a: 1}}\n",
                indented("        ")
            ),
        ] {
            let settings = Folder::new().load(&text).unwrap();
            assert_eq!(settings.new_device.parameters, Parameters { alg: Algorithm::Sha256, digits: 8, period: 60 });
            assert_eq!(settings.new_device.label, "token_label_123");
            assert_eq!(settings.new_device.issuer.unwrap().as_str(), "my_application_name");
            assert_eq!((settings.secrets.default_tag().as_str(), settings.encrypt_cost), ("1479568656", 12));
            assert_eq!(settings.secrets.secret("7"), Some(&b"12345678901234567890"[..]));
        }
    }

    #[test]
    fn weak_secrets_are_taken_where_the_settings_say_so() {
        let secrets = "context: {secrets: {1: 0123456789abcdef, 2: weak}, default-tag: 1}";
        let folder = Folder::new();
        assert!(folder.refusal(&format!("totp: {{{secrets}}}")).contains("'2' has fewer than 16"));
        for key in ["allow-weak-secrets", "allow_weak_secrets"] {
            let settings = folder.load(&format!("totp: {{{key}: true, {secrets}}}")).unwrap();
            assert_eq!(settings.secrets.secret("2"), Some(&b"weak"[..]));
        }
        assert!(folder.refusal(&format!("totp: {{allow-weak-secrets: false, {secrets}}}")).contains("'2'"));
        for nothing in ["", "null", "~", "''"] {
            let text = format!("totp: {{allow-weak-secrets: true, context: {{secrets: {{1: {nothing}}}}}}}");
            assert!(folder.refusal(&text).contains("'1'"), "{nothing:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_sentence() {
        let folder = Folder::new();
        for (text, part) in [
            ("totp:\n  context:\n    digts: 6\n", "line 3"),
            ("totp: {contxt: {}}\n", "contxt"),
            ("policy:\n  window: wide\n", "line 2"),
            ("policy: {window: -1}\n", "line 1"),
            ("policy: {window: 11}\n", "policy.window"),
            ("policy: {budget: 1001}\n", "policy.budget"),
            ("policy: {refill: soon}\n", "24h"),
            ("policy: {self-service: free}\n", "with-proof"),
            ("policy: {bind-uid: 1000}\n", "line 1"),
            ("policy: {strict: 100}\n", "line 1"),
            ("policy: {refill: 1s}\n", "policy.refill"),
            ("policy: {refill: 99999999999999999999d}\n", "24h"),
            ("policy: {budget: 1, budget: 2}\n", "duplicate"),
            ("limits: {per-source: -1}\n", "line 1"),
            ("limits: {per-user: 1}\n", "per-user"),
            ("limits: {trusted-sources: [192.0.2.1/24]}\n", "limits.trusted-sources"),
            ("limits: {trusted-sources: all}\n", "line 1"),
            ("recovery: {codes: 11}\n", "recovery.codes"),
            ("recovery: {codes: -1}\n", "line 1"),
            ("recovery: {expire: 1h}\n", "recovery.expire"),
            ("recovery: {expire: nie}\n", "'never'"),
            ("recovery: {uses: 1}\n", "uses"),
            ("\naudit: always\n", "line 2"),
            ("audit: {delivery: sometimes}\n", "`best-effort`"),
            ("audit: {queue: 5}\n", "queue"),
            ("audit: [required]\n", "'best-effort', 'required', or"),
            ("rules:\n- name: lan\n  form: [192.0.2.0/24]\n", "line 3"),
            ("rules: [{name: lan}]\n", "'rules': rule 'lan': it has no condition"),
            ("rules: {lan: {}}\n", "line 1"),
            ("roll-out: {enforce-after: {staff: soon}}\n", "'roll-out': 'staff'"),
            ("unknown-users: allow\n", "line 1"),
            ("grace: {same-host: {for: 5m, services: []}}\n", "'grace': 'same-host'"),
            ("provisiond: {store: {etcd: {}}}\n", "etcd"),
            ("provisiond: {admin-group: ''}\n", "provisiond.admin-group"),
            ("provisiond: {helpdesk-group: [a]}\n", "line 1"),
            ("provisiond: {verifiers: {a: {user: root, services: [s], users-group: g}}}\n", "provisiond.verifiers"),
            ("provisiond: {verifiers: {a: {}}}\n", "line 1"),
            ("provisiond: {store: sled}\n", "line 1"),
            ("provisiond: {store: {sled: {path: store}}}\n", "whole path"),
            ("totp: {context: {digits: 5}}\n", "6 to 10"),
            ("totp: {context: {digits: 256}}\n", "line 1"),
            ("totp: {context: {alg: md5}}\n", "sha1"),
            ("totp: {context: {period: 1}}\n", "15 to 120"),
            ("totp: {context: {issuer: 'a:b'}}\n", "without ':'"),
            ("totp: {context: {label: '{foo}'}}\n", "only {user} and {host}"),
            ("totp: {context: {label: '{user}@{Host}'}}\n", "only {user} and {host}"),
            ("totp: {context: {label: '{user'}}\n", "only {user} and {host}"),
            ("totp: {context: {label: '{{user}}'}}\n", "only {user} and {host}"),
            (
                "totp: {context: {secrets-path: 5}}\n",
                "'totp.context.secrets-path': the secrets file is given by its whole path",
            ),
            ("AUTHC_CONFIG: {totp: {context: {secrets_path: secrets}}}\n", "whole path"),
            ("totp: {context: {secrets: {1: short}}}\n", "fewer than 16"),
            ("totp: {context: {secrets: {}}}\n", "--new-secret"),
            ("totp: {context: {default-tag: 9}}\n", "default tag"),
            ("totp: {context: {secrets: {1: 0123456789abcdef, 1: 0123456789abcdeg}}}\n", "repeated"),
            ("totp: {context: {secrets: {1: 0123456789abcdef}, secrets-path: /x}}\n", "keep one"),
            ("totp: {context: {secrets: '1: 0123456789abcdef'}}\n", "no line end"),
            ("totp: {context: {secrets: [1, 2]}}\n", "line 1"),
            ("totp: {context: {encrypt-cost: 23}}\n", "between 0 and 22"),
            ("totp: {context: {encrypt-cost: -1}}\n", "line 1"),
            ("totp: {allow-weak-secrets: sometimes}\n", "line 1"),
            ("totp: {}\nAUTHC_CONFIG: {totp: {}}\n", "more than one place"),
            ("totp: {}\ncontext: {}\n", "more than one place"),
            ("AUTHC_CONFIG: {totp: {contxt: {}}}\n", "contxt"),
            ("- a list\n", "expected sections"),
            ("a: [\n", "line"),
            ("&a [*a]\n", "expected sections"),
        ] {
            let sentence = folder.refusal(text);
            assert!(sentence.contains(part), "{text:?}: {sentence}");
            assert!(!sentence.contains("0123456789"), "a secret is shown: {sentence}");
        }
    }

    #[test]
    fn too_much_is_not_even_parsed() {
        let folder = Folder::new();
        assert!(folder.refusal(&format!("# {}\n", "x".repeat(100 * 1024))).contains("larger than 65536"));
        assert!(folder.load(&format!("# {}\n", "x".repeat(MAX_BYTES - 3))).is_ok());
        assert!(folder.refusal(&"{a: ".repeat(16_000)).contains("settings.yaml"));
    }

    #[test]
    fn files_that_others_could_have_written_are_refused() {
        let folder = Folder::new();
        let load = |name: &str| Settings::load(&folder.path(name), &folder.trust()).map(drop).unwrap_err().to_string();
        for mode in [0o660, 0o602, 0o666] {
            folder.write("settings.yaml", "", mode);
            assert!(load("settings.yaml").contains("chmod go-w"), "{mode:o}");
        }
        folder.write("settings.yaml", "totp: {context: {secrets: {1: 0123456789abcdef}}}", 0o644);
        assert!(load("settings.yaml").contains("chmod o="));
        folder.write("settings.yaml", "", 0o644);
        assert!(Settings::load(&folder.path("settings.yaml"), &folder.trust()).is_ok());
        folder.write("secrets", SECRETS, 0o644);
        assert!(load("settings.yaml").contains("secrets: holds secrets"));
        std::fs::remove_file(folder.path("secrets")).unwrap();
        assert!(load("settings.yaml").contains("secrets: cannot be read"));
        symlink(folder.path("settings.yaml"), folder.path("link")).unwrap();
        assert!(load("link").contains("symbolic link"));
        assert!(load(".").contains("not an ordinary file"));
        nix::unistd::mkfifo(&folder.path("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(load("pipe").contains("not an ordinary file"));
        std::fs::write(folder.path("binary"), b"\xff\xfe").unwrap();
        assert!(load("binary").contains("UTF-8"));
        assert!(load("missing").contains("cannot be read"));
    }

    #[test]
    fn files_of_strangers_are_refused() {
        let folder = Folder::new();
        folder.write("settings.yaml", "", 0o640);
        let ours = nix::unistd::geteuid();
        if ours.is_root() {
            std::os::unix::fs::chown(folder.path("settings.yaml"), Some(12345), None).unwrap();
        }
        let trust = Trust { daemon_uid: 4_000_000_000, credentials: None };
        let sentence = Settings::load(&folder.path("settings.yaml"), &trust).unwrap_err().to_string();
        let owner = if ours.is_root() { 12345 } else { ours.as_raw() };
        assert!(sentence.contains(&format!("belongs to uid {owner}")), "{sentence}");
    }
}
