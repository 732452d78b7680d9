//! Input of the `key` commands: reads a record or URI from standard input, and the settings with
//! the secrets for it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::config::{ConfigError, DEFAULT_SETTINGS, Part, RelaySettings, Settings, Trust};
use common::enckey::CannotOpen;
use common::lineage::record::{KeyRecord, MAX_TEXT, StoredKey};
use common::otpauth::Label;
use common::secret::Key;
use nix::unistd::{User, getuid};

use crate::commands::Context;
use crate::exit::Failure;

/// An opened record: its key and parameters.
pub(super) struct Opened {
    pub(super) key: Key,
    pub(super) record: KeyRecord,
    settings: Option<Settings>,
}

impl Opened {
    /// Reads a record or a URI and opens its key. It reads settings only if the key is sealed, or
    /// if the user names them.
    pub(super) fn read(context: &Context<'_>, file: &SettingsFile) -> Result<Self, Failure> {
        let record = read_record(context)?;
        let is_sealed = !matches!(record.key, StoredKey::Plain(_));
        if is_sealed || file.named {
            Self::with_settings(record, file.load()?)
        } else {
            Self::without_settings(record)
        }
    }

    /// Opens the key with the secrets of `settings`.
    pub(super) fn with_settings(record: KeyRecord, settings: Settings) -> Result<Self, Failure> {
        Ok(Self {
            key: record.open(&settings.secrets)?,
            record,
            settings: Some(settings),
        })
    }

    /// Takes a key that is not sealed.
    pub(super) fn without_settings(record: KeyRecord) -> Result<Self, Failure> {
        let StoredKey::Plain(key) = &record.key else {
            return Err(CannotOpen.into());
        };
        Ok(Self {
            key: Key::new(key.expose().to_vec())?,
            record,
            settings: None,
        })
    }

    /// The record's issuer, else that of the settings: passlib leaves the latter out of its
    /// records.
    pub(super) fn issuer(&self) -> Option<&Label> {
        let usual = self
            .settings
            .as_ref()
            .and_then(|settings| settings.new_device.issuer.as_ref());
        self.record.issuer.as_ref().or(usual)
    }

    /// Whether the key should be sealed again.
    pub(super) fn changed(&self) -> bool {
        let sealed_well = |settings: &Settings| {
            !self
                .record
                .changed(&settings.secrets, settings.encrypt_cost)
        };
        !self.settings.as_ref().is_some_and(sealed_well)
    }
}

/// Reads one record or one URI from standard input.
pub(super) fn read_record(context: &Context<'_>) -> Result<KeyRecord, Failure> {
    let bytes = context.prompt.all(PROMPT, MAX_TEXT)?;
    if bytes.is_empty() {
        return Err(Failure::NoInput("a record or an otpauth:// URI"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::BadRecord(NOT_TEXT.to_owned()))?;
    Ok(KeyRecord::parse(text)?)
}

/// The settings file, and whether the user named it.
#[derive(Debug)]
pub(in crate::commands) struct SettingsFile {
    path: PathBuf,
    named: bool,
}

impl SettingsFile {
    /// The file of --settings, else of $PAM_TOTP_SETTINGS, else the default one.
    pub(in crate::commands) fn of(given: Option<PathBuf>) -> Self {
        let named = given.or_else(|| std::env::var_os("PAM_TOTP_SETTINGS").map(PathBuf::from));
        match named {
            Some(path) => Self { path, named: true },
            None => Self {
                path: PathBuf::from(DEFAULT_SETTINGS),
                named: false,
            },
        }
    }

    /// Reads the settings and their secrets.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        Ok(self.load_checked()?)
    }

    /// The same, with the error of the settings alone.
    pub(in crate::commands) fn load_checked(&self) -> Result<Settings, ConfigError> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let trust = Trust::new(trusted_uid(&self.path), credentials);
        Settings::load(&self.path, &trust)
    }

    /// The settings of a relay, if they are a relay's.
    pub(in crate::commands) fn load_relay(&self) -> Option<RelaySettings> {
        match Part::load(&self.path, &Trust::new(trusted_uid(&self.path), None)) {
            Ok(Part::Relay(settings)) => Some(*settings),
            _ => None,
        }
    }
}

/// The owner, besides root, whose files are trusted: the caller, if the settings are the caller's;
/// else the daemon.
fn trusted_uid(path: &Path) -> u32 {
    let own = getuid().as_raw();
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.uid() == own)
    {
        return own;
    }
    let daemon = User::from_name(DAEMON_ACCOUNT).ok().flatten();
    daemon.map_or(own, |user| user.uid.as_raw())
}

const PROMPT: &str = "Record or otpauth:// URI, on one line (typing is not shown): ";
const NOT_TEXT: &str =
    "standard input is not UTF-8 text: give a record in JSON, or an otpauth:// URI";
const DAEMON_ACCOUNT: &str = "_pam-totp";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings with a secret of tag 1 and the cheapest cost.
    pub(in super::super) fn settings(context: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.yaml");
        let secrets = "secrets: {1: 0123456789abcdef}, encrypt-cost: 0";
        std::fs::write(
            &path,
            format!("totp: {{context: {{{secrets}{context}}}}}\n"),
        )
        .unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
        SettingsFile::of(Some(path)).load().unwrap()
    }

    #[test]
    fn ones_own_files_are_trusted_and_others_only_if_they_are_the_daemons() {
        let own = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(trusted_uid(own.path()), getuid().as_raw());
        let daemon = User::from_name(DAEMON_ACCOUNT)
            .unwrap()
            .map_or(getuid(), |user| user.uid);
        assert_eq!(trusted_uid(Path::new("/nowhere/at/all")), daemon.as_raw());
    }

    #[test]
    fn settings_that_are_named_must_be_there() {
        let file = SettingsFile::of(Some("/nowhere/at/all".into()));
        assert!(file.named);
        assert_eq!(
            file.load().unwrap_err().code(),
            ("bad_settings", crate::exit::Exit::BadSettings)
        );
    }
}
