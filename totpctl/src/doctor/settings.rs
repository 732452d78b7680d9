//! Whether the daemon can start again with its settings and secrets, and whether it has read them.

use std::path::Path;

use common::config::{ConfigError, RelaySettings, Settings};
use common::wire::protocol::{IMPORTER_SOCKET, StatusReply};
use common::wire::text::printable;
use pam_stack::{Finding, Severity};

use super::{check_certificate, finding};

/// What the settings tell; `status` is the running daemon's.
pub(crate) fn check(
    settings: &Result<Settings, ConfigError>,
    is_root: bool,
    status: Option<&StatusReply>,
) -> Vec<Finding> {
    match settings {
        Ok(settings) => of_settings(settings, status),
        Err(_) if !is_root => vec![finding(
            Severity::Note,
            "settings-unread",
            "the settings were not checked, because root alone can read them",
            "Run this command as root",
        )],
        Err(error) => vec![finding(
            Severity::LockOut,
            "bad-settings",
            format!("the daemon will not start again with its settings: {error}"),
            "Correct them, then run 'provisiond --check'",
        )],
    }
}

fn of_settings(settings: &Settings, status: Option<&StatusReply>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tag = settings.secrets.default_tag().to_string();
    if settings.secrets.sealing_tag().is_none() {
        findings.push(finding(
            Severity::LockOut,
            "weak-secret",
            format!(
                "the default application secret '{}' is too weak to seal keys",
                printable(&tag)
            ),
            "Add a line of 'provisiond --new-secret' to the secrets file, then restart the daemon",
        ));
    }
    if status.is_some_and(|status| status.default_tag != tag) {
        findings.push(finding(
            Severity::Warning,
            "settings-not-loaded",
            "the daemon runs with other settings than those of the file",
            "Run 'totpctl reload'; for a change of secrets that systemd hands over, 'systemctl restart provisiond'",
        ));
    }
    if !settings.left_alone.is_empty() {
        let names: Vec<String> = settings
            .left_alone
            .iter()
            .map(|name| printable(name))
            .collect();
        findings.push(finding(
            Severity::Note,
            "ignored-sections",
            format!(
                "the settings have sections that the daemon ignores: {}",
                names.join(", ")
            ),
            "Check the spelling; sections of other programs are fine",
        ));
    }
    if let Some(fleet) = &settings.fleet {
        findings.extend(check_certificate(&fleet.tls.cert));
    }
    if settings.import_at_login {
        findings.push(of_import(Path::new(IMPORTER_SOCKET)));
    }
    findings
}

/// Logins that import files from homes: for a time only, and not without the importer.
fn of_import(importer: &Path) -> Finding {
    match importer.exists() {
        true => finding(
            Severity::Note,
            "import-at-login",
            "a login imports the google-authenticator's file of a user without a record: whatever can write into such a user's \
             home can give that user a key",
            "When the roll-out ends, switch 'import' off and run 'systemctl disable --now pam-totp-importer.socket'",
        ),
        false => finding(
            Severity::Warning,
            "no-importer",
            "the settings have a login import the google-authenticator's file of a user without a record, and no importer listens",
            "Run 'systemctl enable --now pam-totp-importer.socket', or switch 'import' off",
        ),
    }
}

/// The same at a login host of a fleet.
pub(crate) fn check_relay(settings: &RelaySettings) -> Vec<Finding> {
    let finding = check_certificate(&settings.upstream.tls.cert);
    finding.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_imports_files_is_told_and_a_missing_importer_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            let found = of_import(path);
            (found.kind, found.severity)
        };
        assert_eq!(told(folder.path()), ("import-at-login", Severity::Note));
        let missing = folder.path().join("importer.sock");
        assert_eq!(told(&missing), ("no-importer", Severity::Warning));
    }
}
