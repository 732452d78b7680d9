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
use crate::config::limits::Limits;
use crate::config::recovery::Recovery;
use crate::config::roles::{Roles, SelfService};
use crate::secrets::{BadSecrets, Secrets};

pub use self::file::Trust;
use self::file::TrustedFile;
pub use self::policy::Policy;
use self::problem::At;
pub use self::problem::{ConfigError, Problem};
pub use self::secrets_file::DEFAULT_SECRETS;
use self::sections::RawSettings;
pub use self::store::SledSettings;
pub use self::totp::{DEFAULT_LABEL, NewDevice};

pub mod audit;
pub mod enroll_at_login;
pub mod exemptions;
mod file;
pub mod limits;
mod policy;
mod problem;
pub mod recovery;
pub mod roles;
mod secrets_file;
mod sections;
mod store;
mod totp;
pub mod values;

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
    pub store: SledSettings,
    /// Administrators, helpdesk and verifiers.
    pub roles: Roles,
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
        let mut raw = RawSettings::parse(file.text()).at(path)?;
        let (tagged, origin) = secrets_file::find(&mut raw.context, &file, path, trust)?;
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
        let settings = Self::load(path, trust)?;
        let weak = || BadSecrets::WeakDefault(settings.secrets.default_tag().clone());
        settings.secrets.sealing_tag().ok_or_else(weak).at(path)?;
        Ok(settings)
    }

    fn check(raw: RawSettings, secrets: Secrets) -> Result<Self, Problem> {
        Ok(Self {
            encrypt_cost: raw.context.encrypt_cost()?,
            new_device: raw.context.new_device()?,
            secrets: Arc::new(secrets),
            store: raw.store.check()?,
            bind_uid: raw.policy.bind_uid(),
            self_service: raw.policy.self_service(),
            roles: raw.roles.check()?,
            policy: raw.policy.check()?,
            limits: raw.limits.check()?,
            recovery: raw.recovery.check()?,
            audit: raw.audit.0,
            exemptions: raw.exemptions.check()?,
            enroll_at_login: raw
                .enroll_at_login
                .check()
                .map_err(|why| ("enroll-at-login", why))?,
            left_alone: raw.left_alone,
        })
    }
}

/// The default settings file, if neither the command line nor the environment names another.
pub const DEFAULT_SETTINGS: &str = "/etc/pam-totp/settings.yaml";

#[cfg(test)]
mod tests;
