//! Whether the daemon can start again with its settings and secrets, and whether it has read them.

use common::config::{ConfigError, RelaySettings, Settings};
use common::wire::protocol::StatusReply;
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
    findings
}

/// The same at a login host of a fleet.
pub(crate) fn check_relay(settings: &RelaySettings) -> Vec<Finding> {
    let finding = check_certificate(&settings.upstream.tls.cert);
    finding.into_iter().collect()
}
