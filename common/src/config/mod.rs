//! The settings of provisiond: loads the YAML file, and the application secrets that it holds or
//! points to.
//!
//! Each section has a file (`limits.rs`, `policy.rs`, …): its keys, their bounds and their
//! defaults. To add a setting, add it there. A new section also goes into `Settings` here and into
//! `sections.rs`.

use std::path::Path;
use std::sync::Arc;

use crate::config::audit::AuditSettings;
use crate::config::enroll_at_login::EnrollAtLogin;
use crate::config::exemptions::Exemptions;
use crate::config::fleet::{Fleet, UpstreamSettings};
use crate::config::limits::Limits;
use crate::config::recovery::Recovery;
use crate::config::roles::{Roles, SelfService};
use crate::secrets::{BadSecrets, Secrets};

pub use self::file::Trust;
use self::file::TrustedFile;
use self::fleet::RawFleet;
pub use self::policy::Policy;
use self::problem::At;
pub use self::problem::{ConfigError, Problem};
pub use self::secrets_file::DEFAULT_SECRETS;
use self::sections::RawSettings;
pub use self::store::etcd::EtcdSettings;
pub use self::store::{SledSettings, StoreSettings};
pub use self::totp::{DEFAULT_LABEL, NewDevice};

pub mod audit;
pub mod enroll_at_login;
pub mod exemptions;
mod file;
pub mod fleet;
mod import_at_login;
pub mod limits;
mod policy;
mod problem;
pub mod recovery;
pub mod roles;
mod secrets_file;
mod sections;
mod store;
pub mod tls_files;
mod totp;
pub mod values;

/// What the settings make of the daemon.
#[derive(Debug)]
pub enum Part {
    /// It keeps records and judges codes.
    Judge(Box<Settings>),
    /// It passes the calls of logins on to verifiers, and keeps nothing.
    Relay(Box<RelaySettings>),
}

impl Part {
    /// Reads the settings file at `path`, and, unless it is a relay's, the secrets.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        let file = TrustedFile::read(path, trust).at(path)?;
        let raw = RawSettings::parse(file.text()).at(path)?;
        if raw.upstream.is_some() {
            let settings = RelaySettings::check(raw).at(path)?;
            return Ok(Self::Relay(Box::new(settings)));
        }
        let settings = Settings::of(&file, raw, path, trust)?.able_to_seal(path)?;
        Ok(Self::Judge(Box::new(settings)))
    }
}

/// The settings of a relay. It has no application secret and no store.
#[derive(Debug)]
pub struct RelaySettings {
    /// The verifiers.
    pub upstream: UpstreamSettings,
    /// Administrators, helpdesk, and local daemons that verify codes.
    pub roles: Roles,
    /// The audit log.
    pub audit: AuditSettings,
    /// The sections of the file that provisiond ignores.
    pub left_alone: Vec<String>,
}

impl RelaySettings {
    /// Whether the file holds the settings of a relay.
    #[must_use]
    pub fn are_in(path: &Path, trust: &Trust) -> bool {
        let file = TrustedFile::read(path, trust);
        let raw = file.and_then(|file| RawSettings::parse(file.text()));
        raw.is_ok_and(|raw| raw.upstream.is_some())
    }

    fn check(raw: RawSettings) -> Result<Self, Problem> {
        if let Some(section) = raw.unused_by_a_relay {
            return Err(Problem::UnusedByARelay(section));
        }
        let upstream = raw.upstream.ok_or(Problem::OfARelay)?;
        Ok(Self {
            upstream: upstream.check(raw.policy.when_cut_off())?,
            roles: raw.roles.check()?,
            audit: raw.audit.0,
            left_alone: raw.left_alone,
        })
    }
}

/// All settings in force, checked.
#[derive(Debug)]
pub struct Settings {
    /// The defaults of a new device.
    pub new_device: NewDevice,
    /// The application secrets.
    pub secrets: Arc<Secrets>,
    /// The cost of a key that is exported to passlib: a power of two.
    pub encrypt_cost: u32,
    /// Where records are kept.
    pub store: StoreSettings,
    /// Administrators, helpdesk and verifiers.
    pub roles: Roles,
    /// How relays of other hosts are served, if they are.
    pub fleet: Option<Fleet>,
    /// What users may do with their own devices.
    pub self_service: SelfService,
    /// Whether a record is valid only for the uid that its account had when a device was confirmed.
    pub bind_uid: bool,
    /// How attempts are judged.
    pub policy: Policy,
    /// Rate limits of source addresses.
    pub limits: Limits,
    /// Number and expiry of recovery codes.
    pub recovery: Recovery,
    /// The audit log.
    pub audit: AuditSettings,
    /// Exemptions: logins that need no code.
    pub exemptions: Exemptions,
    /// The users that can enrol at the prompt, in services whose file has `enroll`.
    pub enroll_at_login: EnrollAtLogin,
    /// Whether a login imports the google-authenticator's file of a user without a record.
    pub import_at_login: bool,
    /// The sections of the file that provisiond ignores. They belong to other programs, or are
    /// misspelt.
    pub left_alone: Vec<String>,
}

impl Settings {
    /// Reads the settings file at `path`, and the secrets that it holds or points to.
    ///
    /// # Errors
    /// [`ConfigError`]: the file, what is wrong with it, and the next step.
    pub fn load(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        let file = TrustedFile::read(path, trust).at(path)?;
        let raw = RawSettings::parse(file.text()).at(path)?;
        Self::of(&file, raw, path, trust)
    }

    fn of(
        file: &TrustedFile,
        mut raw: RawSettings,
        path: &Path,
        trust: &Trust,
    ) -> Result<Self, ConfigError> {
        if raw.upstream.is_some() {
            return Err(Problem::OfARelay).at(path);
        }
        let (tagged, origin) = secrets_file::find(&mut raw.context, file, path, trust)?;
        let check = if raw.allow_weak_secrets {
            Secrets::with_weak
        } else {
            Secrets::new
        };
        let secrets = check(tagged, raw.context.default_tag()).at(&origin)?;
        Self::check(raw, secrets).at(path)
    }

    /// The same for a daemon, which has to seal keys.
    ///
    /// # Errors
    /// [`ConfigError`], also if the default secret is a weak one.
    pub fn load_to_seal(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        Self::load(path, trust)?.able_to_seal(path)
    }

    fn able_to_seal(self, path: &Path) -> Result<Self, ConfigError> {
        let weak = || BadSecrets::WeakDefault(self.secrets.default_tag().clone());
        self.secrets.sealing_tag().ok_or_else(weak).at(path)?;
        Ok(self)
    }

    fn check(raw: RawSettings, secrets: Secrets) -> Result<Self, Problem> {
        let store = raw.store.check()?;
        Ok(Self {
            encrypt_cost: raw.context.encrypt_cost()?,
            new_device: raw.context.new_device()?,
            secrets: Arc::new(secrets),
            bind_uid: raw.policy.bind_uid(store.is_shared())?,
            store,
            self_service: raw.policy.self_service(),
            roles: raw.roles.check()?,
            fleet: raw.fleet.map(RawFleet::check).transpose()?,
            policy: raw.policy.check()?,
            limits: raw.limits.check()?,
            recovery: raw.recovery.check()?,
            audit: raw.audit.0,
            exemptions: raw.exemptions.check()?,
            enroll_at_login: raw
                .enroll_at_login
                .check()
                .map_err(|why| ("enroll-at-login", why))?,
            import_at_login: raw.import.homes(),
            left_alone: raw.left_alone,
        })
    }
}

/// The default settings file, if neither the command line nor the environment names another.
pub const DEFAULT_SETTINGS: &str = "/etc/pam-totp/settings.yaml";

#[cfg(test)]
mod tests;
