//! The settings in force: one YAML file, and the application secrets that it holds or points to.
//!
//! Knows which settings there are, and neither how they are written (`sections`) nor what each of them may be.

use std::path::{Path, PathBuf};

use crate::config::audit::AuditSettings;
use crate::config::exemptions::Exemptions;
use crate::config::limits::Limits;
use crate::config::recovery::Recovery;
use crate::config::roles::{Roles, SelfService};
use crate::secrets::{BadSecrets, Secrets, TaggedSecrets};

pub use self::file::Trust;
use self::file::TrustedFile;
pub use self::policy::Policy;
use self::problem::At;
pub use self::problem::{ConfigError, Problem};
use self::sections::RawSettings;
pub use self::store::SledSettings;
pub use self::totp::NewDevice;
use self::totp::Source;

pub mod audit;
pub mod exemptions;
mod file;
pub mod limits;
mod policy;
mod problem;
pub mod recovery;
pub mod roles;
mod sections;
mod store;
mod totp;
pub mod values;

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
    /// Whether who has a ticket enrols at the prompt of a login whose service wants it.
    pub enroll_at_login: bool,
}

impl Settings {
    /// Reads the settings file at `path`, and the secrets that it holds or points to.
    ///
    /// # Errors
    /// [`ConfigError`]: the file, what is wrong with it, and the next step.
    pub fn load(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        let file = TrustedFile::read(path, trust).at(path)?;
        let mut raw = RawSettings::parse(file.text()).at(path)?;
        let (tagged, origin) = tagged_secrets(&mut raw, path, &file, trust)?;
        let check = if raw.allow_weak_secrets { Secrets::with_weak } else { Secrets::new };
        let secrets = check(tagged, raw.context.default_tag()).at(&origin)?;
        Self::check(raw, secrets).at(path)
    }

    /// The same for a daemon, which seals.
    ///
    /// # Errors
    /// [`ConfigError`], also for a default secret that is a weak one.
    pub fn load_to_seal(path: &Path, trust: &Trust) -> Result<Self, ConfigError> {
        let settings = Self::load(path, trust)?;
        let weak = || BadSecrets::WeakDefault(settings.secrets.default_tag().clone());
        settings.secrets.sealing_tag().ok_or_else(weak).at(path)?;
        Ok(settings)
    }

    /// The names of the sections of the file at `path` that are none of these settings. Other programs may have put them there,
    /// or somebody has misspelt one of ours.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn left_alone(path: &Path, trust: &Trust) -> Result<Vec<String>, ConfigError> {
        let file = TrustedFile::read(path, trust).at(path)?;
        sections::left_alone(file.text()).at(path)
    }

    fn check(raw: RawSettings, secrets: Secrets) -> Result<Self, Problem> {
        Ok(Self {
            encrypt_cost: raw.context.encrypt_cost()?,
            new_device: raw.context.new_device()?,
            secrets,
            store: raw.store.check()?,
            bind_uid: raw.policy.bind_uid(),
            self_service: raw.policy.self_service(),
            roles: raw.roles.check()?,
            policy: raw.policy.check()?,
            limits: raw.limits.check()?,
            recovery: raw.recovery.check()?,
            audit: raw.audit.0,
            exemptions: raw.exemptions.check()?,
            enroll_at_login: raw.enroll_at_login,
        })
    }
}

/// The secrets, and the file that they stand in: that of the settings, or one of their own.
fn tagged_secrets(
    raw: &mut RawSettings,
    path: &Path,
    file: &TrustedFile,
    trust: &Trust,
) -> Result<(TaggedSecrets, PathBuf), ConfigError> {
    match raw.context.secrets_source(trust).at(path)? {
        Source::Inline(tagged) => {
            file.is_for_few().at(path)?;
            Ok((tagged, path.to_owned()))
        }
        Source::File(origin) => {
            let tagged = secrets_in(&origin, trust).at(&origin)?;
            Ok((tagged, origin))
        }
    }
}

fn secrets_in(path: &Path, trust: &Trust) -> Result<TaggedSecrets, Problem> {
    let file = TrustedFile::read(path, trust)?;
    file.is_for_few()?;
    Ok(TaggedSecrets::from_whole_text(file.text())?)
}

/// The settings file, where neither the command line nor the environment names another.
pub const DEFAULT_SETTINGS: &str = "/etc/pam-totp/settings.yaml";

#[cfg(test)]
mod tests;
