//! The checks of `totpctl doctor`: PAM files, the daemon, settings, sshd and the machine. Each file
//! returns findings and prints nothing.

#[cfg(feature = "fleet")]
mod certificate;
mod daemon;
mod machine;
mod services;
mod settings;
mod sshd;

use pam_stack::{Finding, Place, Severity};

#[cfg(feature = "fleet")]
use self::certificate::check as check_certificate;
pub(crate) use self::daemon::{check as check_daemon, check_sockets};
pub(crate) use self::machine::check as check_machine;
pub(crate) use self::services::{Services, names_the_module};
pub(crate) use self::settings::{check as check_settings, check_relay};
pub(crate) use self::sshd::{can_be_asked_about, check as check_sshd, connection_of};

/// The folder of PAM's service files.
pub(crate) const FOLDER: &str = "/etc/pam.d";

/// A build for machines that are in no fleet reads no certificate.
#[cfg(not(feature = "fleet"))]
fn check_certificate(_: &std::path::Path) -> Option<Finding> {
    None
}

/// A finding without a line of a file.
fn finding(
    severity: Severity,
    kind: &'static str,
    what: impl Into<String>,
    next_step: impl Into<String>,
) -> Finding {
    Finding {
        severity,
        kind,
        place: None,
        what: what.into(),
        next_step: next_step.into(),
    }
}

/// A finding about a whole file.
fn about_file(file: &std::path::Path, finding: Finding) -> Finding {
    Finding {
        place: Some(Place {
            file: file.to_owned(),
            line: 1,
        }),
        ..finding
    }
}
