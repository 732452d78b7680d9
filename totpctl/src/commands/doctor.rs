//! `doctor`: checks the machine, and prints what it finds. Changes nothing.

use std::path::Path;

use common::config::exemptions::Exemptions;
use common::config::exemptions::roll_out::UnknownUsers;
use common::names::service::ServiceName;
use common::wire::protocol::Status;
use pam_stack::{Circumstances, Severity};

use super::Context;
use super::key::SettingsFile;
use crate::cli::{DoctorArgs, NO_SECRETS_HERE};
use crate::doctor::{
    Services, can_be_asked_about, check_daemon, check_machine, check_relay, check_settings,
    check_sockets, check_sshd,
};
use crate::exit::{Exit, Failure};
use crate::render::Examined;

/// Checks everything. Exit code 1: something has to be done.
pub(super) fn run(context: &Context<'_>, wanted: &DoctorArgs) -> Result<Exit, Failure> {
    for service in &wanted.services {
        expect_service(service)?;
    }
    if let Some(user) = &wanted.user {
        can_be_asked_about(user).map_err(Failure::BadParameter)?;
    }
    let services = Services::below(Path::new("/"));
    let checked = services.wanted(&wanted.services);
    let file = SettingsFile::of(None);
    let (settings, relay) = (file.load_checked(), file.load_relay());
    let status = context.daemon.call(&Status {});
    let circumstances = Circumstances {
        has_exemptions: settings
            .as_ref()
            .is_ok_and(|settings| let_in_without_a_code(&settings.exemptions)),
    };
    let is_root = nix::unistd::geteuid().is_root();
    let mut findings = services.check(&checked, !wanted.services.is_empty(), circumstances);
    findings.extend(check_daemon(&status));
    findings.extend(check_sockets());
    findings.extend(match &relay {
        Some(relay) => check_relay(relay),
        None => check_settings(&settings, is_root, status.as_ref().ok()),
    });
    if checked.iter().any(|service| service == "sshd") {
        findings.extend(check_sshd(wanted.user.as_deref()));
    }
    findings.extend(check_machine());
    let examined = Examined::new(checked, findings);
    context.output.result(&examined)?;
    Ok(match examined.worst() {
        None | Some(Severity::Note) => Exit::Done,
        Some(_) => Exit::Refused,
    })
}

/// A name of digits only is a code that was typed in the wrong place.
pub(super) fn expect_service(name: &str) -> Result<(), Failure> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Usage(NO_SECRETS_HERE));
    }
    ServiceName::new(name).map_err(|bad| Failure::BadParameter(bad.to_string()))?;
    Ok(())
}

/// Whether the settings let some users in without a code.
fn let_in_without_a_code(exemptions: &Exemptions) -> bool {
    !exemptions.rules.is_empty()
        || exemptions.roll_out.observe
        || !exemptions.roll_out.enforce_after.is_empty()
        || exemptions.unknown_users == UnknownUsers::Skip
        || exemptions.grace.same_source.is_some()
        || exemptions.grace.same_host.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_in_place_of_a_service_is_refused_and_not_repeated() {
        let failure = expect_service("123456").unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        assert!(!failure.to_string().contains("123456"));
        assert!(expect_service("../sshd").is_err());
        assert!(expect_service("sudo-i").is_ok());
    }
}
