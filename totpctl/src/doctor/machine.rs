//! What of the machine a login with a code relies on: the daemon's account, the time zone, SELinux.

use std::path::Path;

use common::config::values::calendar;
use nix::unistd::User;
use pam_stack::{Finding, Severity};

use super::{about_file, finding};

/// The findings about this machine.
pub(crate) fn check() -> Vec<Finding> {
    [name_service(), time_zone(), selinux(Path::new(ENFORCE))]
        .into_iter()
        .flatten()
        .collect()
}

/// The daemon's account is in the files; another source that hangs or fails would keep it away.
fn name_service() -> Option<Finding> {
    match User::from_name(ACCOUNT) {
        Ok(Some(_)) => None,
        Ok(None) => Some(finding(
            Severity::LockOut,
            "no-account",
            format!("this machine has no account '{ACCOUNT}', so that the daemon cannot start"),
            "Run 'systemd-sysusers', or install the package of the daemon again",
        )),
        Err(errno) => Some(about_file(
            Path::new("/etc/nsswitch.conf"),
            finding(
                Severity::LockOut,
                "name-service",
                format!(
                    "the name service does not answer ({errno}), and the daemon refuses what it cannot look up"
                ),
                "Try 'getent passwd root', and check the line 'passwd:'",
            ),
        )),
    }
}

fn time_zone() -> Option<Finding> {
    calendar::local(0).is_none().then(|| {
        about_file(
            Path::new("/etc/localtime"),
            finding(
                Severity::Warning,
                "time-zone",
                "the machine's time zone cannot be read: rules with hours exempt no login, and restrictions to days cannot be judged",
                "Run 'timedatectl set-timezone ZONE'",
            ),
        )
    })
}

/// An enforcing SELinux refuses sshd's connection to the daemon unless a policy module allows it.
fn selinux(enforce: &Path) -> Option<Finding> {
    let is_enforcing = std::fs::read_to_string(enforce).is_ok_and(|text| text.trim() == "1");
    is_enforcing.then(|| {
        finding(
            Severity::Note,
            "selinux",
            "SELinux is enforcing: a login service needs its permission to connect to the daemon's socket",
            "If logins are refused while the daemon runs, look at 'ausearch -m avc -ts recent'",
        )
    })
}

const ACCOUNT: &str = "_pam-totp";
const ENFORCE: &str = "/sys/fs/selinux/enforce";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enforcing_selinux_is_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let enforce = folder.path().join("enforce");
        assert_eq!(selinux(&enforce), None);
        std::fs::write(&enforce, "0").unwrap();
        assert_eq!(selinux(&enforce), None);
        std::fs::write(&enforce, "1").unwrap();
        assert_eq!(
            selinux(&enforce).map(|found| found.severity),
            Some(Severity::Note)
        );
    }
}
