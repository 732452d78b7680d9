//! Whether the daemon can be reached, and what it says of its store, its secrets and the clock.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use common::wire::client::ClientError;
use common::wire::protocol::{
    ClockState, Error, LOGIN_SOCKET, OPEN_SOCKET, StatusReply, UpstreamServer,
};
use common::wire::text::printable;
use pam_stack::{Finding, Severity};

use super::{about_file, finding};

/// What the daemon's answer to `Status` tells.
pub(crate) fn check(answer: &Result<StatusReply, ClientError>) -> Vec<Finding> {
    match answer {
        Ok(status) => of_status(status),
        Err(ClientError::Refused(Error::PermissionDenied)) => vec![finding(
            Severity::Note,
            "not-permitted",
            "the daemon tells its state to administrators only, so that it was not checked",
            "Run this command as root",
        )],
        Err(error) => vec![finding(
            Severity::LockOut,
            "daemon-unreachable",
            format!("every login that needs a code is refused: {error}"),
            "Run 'systemctl enable --now provisiond', then 'systemctl status provisiond'",
        )],
    }
}

/// What is wrong with a relay that reaches no verifier.
fn of_verifiers(upstream: &[UpstreamServer]) -> Option<Finding> {
    if upstream.iter().any(|server| server.reached == Some(true)) {
        return None;
    }
    let told = |server: &UpstreamServer| {
        let reason = server.reason.as_deref().unwrap_or("not tried yet");
        format!("{}: {}", printable(&server.server), printable(reason))
    };
    let reasons: Vec<_> = upstream.iter().map(told).collect();
    let reasons = reasons.join("; ");
    Some(finding(
        Severity::LockOut,
        "no-verifier",
        format!(
            "this daemon is a relay and reaches no verifier, so that every login that needs a code is refused ({reasons})"
        ),
        "Follow the reason, then look at 'totpctl status'",
    ))
}

fn of_status(status: &StatusReply) -> Vec<Finding> {
    let mut findings = of_clock(status.clock);
    findings.extend(status.upstream.as_deref().and_then(of_verifiers));
    if status.incomplete {
        findings.push(finding(
            Severity::LockOut,
            "store-incomplete",
            "users may be missing from the store, so that they are refused and no user is enrolled",
            "Put a good copy of the store back, or run 'totpctl store accept-loss'",
        ));
    }
    if status.copy.is_some_and(|copy| copy.whole == Some(false)) && !status.incomplete {
        findings.push(finding(
            Severity::Warning,
            "copy-damaged",
            "the store's second copy is damaged and could not be made anew: damage to the database could not be healed now",
            "Run 'journalctl -t provisiond', and look at the line store_not_healed; usually the disk has no room",
        ));
    }
    if !status.wrong_secrets.is_empty() {
        findings.push(finding(
            Severity::LockOut,
            "wrong-secret",
            format!(
                "the application secret under {} is another than before: keys that were sealed cannot be opened",
                status.wrong_secrets.join(", ")
            ),
            "Put the former one back, and a new one beside it under a tag of its own",
        ));
    }
    let missing = missing_secrets(status);
    if !missing.is_empty() {
        findings.push(finding(
            Severity::LockOut,
            "missing-secret",
            format!(
                "the settings lack the application secret of {}, so that users whose records need it are refused",
                missing.join(", ")
            ),
            "Put it back into the secrets file, and run 'totpctl reload'",
        ));
    }
    if status.audit_lost > 0 || status.events_lost > 0 {
        findings.push(finding(
            Severity::Warning,
            "log-lost",
            format!(
                "{} lines of the log and {} events were lost since the daemon started",
                status.audit_lost, status.events_lost
            ),
            "Check that the system's log takes lines, and that the disk has space",
        ));
    }
    findings
}

fn missing_secrets(status: &StatusReply) -> Vec<&str> {
    let sealed = status.sealed.iter().flatten();
    let missing = sealed.filter(|under| !under.known && under.records > 0);
    missing.map(|under| under.tag.as_str()).collect()
}

fn of_clock(clock: ClockState) -> Vec<Finding> {
    let (severity, kind, what, next_step) = match clock {
        ClockState::Ok => return Vec::new(),
        ClockState::BeforeBuild => (
            Severity::LockOut,
            "clock-before-build",
            "the clock shows a time before the daemon was built: every login is refused",
            "Set the clock",
        ),
        ClockState::Quarantine => (
            Severity::Note,
            "clock-quarantine",
            "after a boot or a change of the clock, codes from before are refused for a short time",
            "Nothing; 'totpctl status' says until when",
        ),
        ClockState::Unsynchronised => (
            Severity::Warning,
            "clock-unsynchronised",
            "the kernel reports the clock as not synchronised: it can drift away from the users' phones",
            "Run 'timedatectl set-ntp true', or install chrony",
        ),
    };
    vec![finding(severity, kind, what, next_step)]
}

/// Owner and mode of the sockets that the daemon has by default.
pub(crate) fn check_sockets() -> Vec<Finding> {
    [(LOGIN_SOCKET, 0o600), (OPEN_SOCKET, 0o666)]
        .into_iter()
        .filter_map(|(path, mode)| socket(Path::new(path), mode))
        .collect()
}

fn socket(path: &Path, mode: u32) -> Option<Finding> {
    // A missing socket is found by calling the daemon.
    let metadata = path.symlink_metadata().ok()?;
    let found = metadata.mode() & 0o777;
    let is_good = metadata.file_type().is_socket() && metadata.uid() == 0 && found == mode;
    (!is_good).then(|| {
        about_file(
            path,
            finding(
                Severity::Warning,
                "socket-mode",
                format!(
                    "the socket has mode {found:o} and owner uid {}, and not {mode:o} and 0",
                    metadata.uid()
                ),
                "Run 'systemctl restart provisiond-login.socket provisiond.socket', and keep their units as they were installed",
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use common::wire::protocol::{CopyReply, SealedUnder};

    use super::*;

    fn status() -> StatusReply {
        StatusReply {
            upstream: None,
            fleet: None,
            offline: None,
            version: "1".into(),
            started: 0,
            store: "sled".into(),
            users: 1,
            generation: 1,
            incomplete: false,
            users_known: None,
            default_tag: "1".into(),
            wrong_secrets: Vec::new(),
            sealed: None,
            connections: 1,
            audit_lost: 0,
            events_lost: 0,
            clock: ClockState::Ok,
            quarantine_until: None,
            acceptable: None,
            copy: None,
        }
    }

    #[test]
    fn a_relay_that_reaches_no_verifier_locks_out() {
        let server = |reached| UpstreamServer {
            server: "v:6238".into(),
            reached,
            since: None,
            reason: None,
        };
        let relay = |servers: &[Option<bool>]| {
            let upstream = Some(servers.iter().map(|reached| server(*reached)).collect());
            kinds(Ok(StatusReply {
                upstream,
                ..status()
            }))
        };
        let locked_out = [("no-verifier", Severity::LockOut)];
        assert_eq!(relay(&[Some(false), None]), locked_out);
        assert_eq!(relay(&[Some(false), Some(true)]), []);
    }

    #[test]
    fn a_second_copy_that_is_damaged_is_told() {
        let copy = Some(CopyReply {
            whole: Some(false),
            ..CopyReply::default()
        });
        let hurt = StatusReply { copy, ..status() };
        assert_eq!(kinds(Ok(hurt)), [("copy-damaged", Severity::Warning)]);
    }

    fn missing() -> SealedUnder {
        SealedUnder {
            tag: "0".into(),
            default: false,
            known: false,
            records: 1,
            macs: 1,
            device_keys: 1,
            code_keys: 0,
            tombstones: 0,
            decoys: 0,
        }
    }

    fn kinds(answer: Result<StatusReply, ClientError>) -> Vec<(&'static str, Severity)> {
        check(&answer)
            .into_iter()
            .map(|found| (found.kind, found.severity))
            .collect()
    }

    #[test]
    fn a_daemon_that_is_well_is_not_mentioned() {
        assert_eq!(kinds(Ok(status())), []);
    }

    #[test]
    fn a_daemon_that_cannot_be_reached_locks_out() {
        assert_eq!(
            kinds(Err(ClientError::Deadline)),
            [("daemon-unreachable", Severity::LockOut)]
        );
        assert_eq!(
            kinds(Err(ClientError::Refused(Error::PermissionDenied))),
            [("not-permitted", Severity::Note)]
        );
    }

    #[test]
    fn what_is_wrong_with_store_secrets_log_and_clock_is_told() {
        let ill = StatusReply {
            incomplete: true,
            wrong_secrets: vec!["1".into()],
            sealed: Some(vec![missing()]),
            events_lost: 2,
            clock: ClockState::BeforeBuild,
            ..status()
        };
        assert_eq!(
            kinds(Ok(ill)),
            [
                ("clock-before-build", Severity::LockOut),
                ("store-incomplete", Severity::LockOut),
                ("wrong-secret", Severity::LockOut),
                ("missing-secret", Severity::LockOut),
                ("log-lost", Severity::Warning),
            ]
        );
        for (clock, kind) in [
            (ClockState::Quarantine, ("clock-quarantine", Severity::Note)),
            (
                ClockState::Unsynchronised,
                ("clock-unsynchronised", Severity::Warning),
            ),
        ] {
            assert_eq!(kinds(Ok(StatusReply { clock, ..status() })), [kind]);
        }
    }
}
