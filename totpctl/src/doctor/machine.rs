//! What of the machine a login with a code relies on: the daemon's account, the time zone, SELinux,
//! AppArmor.

use std::path::Path;

use common::config::values::calendar;
use nix::unistd::User;
use pam_stack::{Finding, Severity};

use super::{about_file, finding};

/// The findings about this machine.
pub(crate) fn check() -> Vec<Finding> {
    [
        name_service(),
        time_zone(),
        selinux(Path::new(ENFORCE)),
        apparmor(Path::new("/")),
    ]
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
            "SELinux is enforcing: a confined login service, such as sshd, needs a permission to connect to the daemon's socket; \
             without it every login that needs a code is refused, and none is let in",
            "Install pam-totp-selinux. If logins are refused while the daemon runs, look at 'ausearch -m avc -ts recent', then run 'totpctl try'",
        )
    })
}

/// Where AppArmor is on and the daemon's profile is installed, it has to be in force.
fn apparmor(root: &Path) -> Option<Finding> {
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    let is_on = read(APPARMOR_ENABLED).is_ok_and(|text| text.trim() == "Y");
    if !is_on || !root.join(PROFILE).exists() || root.join(PROFILE_DISABLED).exists() {
        return None;
    }
    // Root alone can read it.
    let loaded = read(APPARMOR_PROFILES).ok()?;
    let mode = loaded.lines().find_map(|line| {
        let (name, mode) = line.rsplit_once(" (")?;
        (name == PROFILE_NAME).then(|| mode.trim_end_matches(')').to_owned())
    });
    let what = match mode.as_deref() {
        Some("enforce") => return None,
        Some(mode) => {
            format!("AppArmor does not enforce the daemon's profile: its mode is '{mode}'")
        }
        None => "AppArmor has not loaded the daemon's profile".to_owned(),
    };
    let load = "Run 'apparmor_parser --replace /etc/apparmor.d/usr.sbin.provisiond', then 'systemctl restart provisiond'";
    Some(about_file(
        &Path::new("/").join(PROFILE),
        finding(Severity::Warning, "apparmor", what, load),
    ))
}

const ACCOUNT: &str = "_pam-totp";
const ENFORCE: &str = "/sys/fs/selinux/enforce";
const APPARMOR_ENABLED: &str = "sys/module/apparmor/parameters/enabled";
const APPARMOR_PROFILES: &str = "sys/kernel/security/apparmor/profiles";
const PROFILE: &str = "etc/apparmor.d/usr.sbin.provisiond";
/// An administrator that disables a profile links it here.
const PROFILE_DISABLED: &str = "etc/apparmor.d/disable/usr.sbin.provisiond";
const PROFILE_NAME: &str = "provisiond";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_is_installed_and_not_in_force_is_a_warning() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let told = || apparmor(root.path()).map(|found| found.what);
        assert_eq!(told(), None, "no AppArmor");
        write(APPARMOR_ENABLED, "Y\n");
        write(APPARMOR_PROFILES, "/usr/sbin/other (enforce)\n");
        assert_eq!(told(), None, "no profile installed");
        write(PROFILE, "");
        assert!(told().unwrap().contains("not loaded"));
        write(
            APPARMOR_PROFILES,
            "other (enforce)\nprovisiond (complain)\n",
        );
        assert!(told().unwrap().contains("'complain'"));
        write(APPARMOR_PROFILES, "provisiond (enforce)\n");
        assert_eq!(told(), None);
        write(APPARMOR_PROFILES, "");
        write(PROFILE_DISABLED, "");
        assert_eq!(told(), None, "disabled by hand");
        write(APPARMOR_ENABLED, "N\n");
        assert_eq!(told(), None);
    }

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
