//! Which PAM services are checked, and what their stacks let in.
//!
//! Without names on the command line these are the services whose files name the module, and their
//! sisters: other programs by which the same users come in.

use std::collections::BTreeSet;
use std::path::Path;

use common::names::service::is_one_service;
use pam_stack::{Circumstances, Disk, Finding, Folders, Handler, Severity, check, read, sisters};

use super::finding;

/// The services of this machine.
#[derive(Debug)]
pub(crate) struct Services {
    folders: Folders,
}

impl Services {
    /// Those whose files are below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            folders: Folders::of_machine(root),
        }
    }

    /// The services that have to ask for codes: those that the user names, else those that name the
    /// module.
    pub(crate) fn wanted(&self, named: &[String]) -> Vec<String> {
        if named.is_empty() {
            self.all().into_iter().filter(|it| self.asks(it)).collect()
        } else {
            named.iter().map(|name| name.to_ascii_lowercase()).collect()
        }
    }

    /// The findings about these services and about the sisters of those that ask: of services that
    /// the command line names only about the other name of the same program.
    pub(crate) fn check(
        &self,
        services: &[String],
        are_named: bool,
        circumstances: Circumstances,
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> = services
            .iter()
            .flat_map(|service| self.one(service, circumstances))
            .collect();
        if services.is_empty() {
            findings.push(no_service());
        }
        findings.extend(self.forgotten_sisters(services, are_named));
        findings
    }

    fn one(&self, service: &str, circumstances: Circumstances) -> Vec<Finding> {
        check(&read(service, &Disk, &self.folders), circumstances)
    }

    /// Sisters that exist here and never ask.
    fn forgotten_sisters(&self, services: &[String], are_named: bool) -> Vec<Finding> {
        let sisters: BTreeSet<(&str, &String)> = services
            .iter()
            .filter(|service| self.asks(service))
            .flat_map(|service| {
                sisters(service)
                    .iter()
                    .map(move |sister| (*sister, service))
            })
            .filter(|(sister, service)| !are_named || is_one_service(sister, service))
            .filter(|(sister, _)| !services.iter().any(|service| service == sister))
            .collect();
        sisters
            .into_iter()
            .filter(|(sister, _)| self.exists(sister))
            .flat_map(|(sister, service)| self.sister(sister, service))
            .collect()
    }

    fn sister(&self, sister: &str, service: &str) -> Vec<Finding> {
        let is_same_door = is_one_service(sister, service);
        let mut findings = self.one(sister, Circumstances::default());
        for finding in &mut findings {
            finding.what = format!("{}; {service} does ask", finding.what);
            if !is_same_door && finding.kind == "not-named" {
                finding.severity = Severity::Warning;
            }
        }
        findings
    }

    /// Whether the service's stack names the module.
    fn asks(&self, service: &str) -> bool {
        let stack = read(service, &Disk, &self.folders);
        !stack.is_other && stack.handlers.iter().any(Handler::is_ours)
    }

    fn exists(&self, service: &str) -> bool {
        self.folders
            .services
            .iter()
            .any(|folder| folder.join(service).exists())
    }

    /// Every file that a program may name as its service.
    fn all(&self) -> BTreeSet<String> {
        let entries = self
            .folders
            .services
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| is_service(name))
            .collect()
    }
}

/// Whether the stack of a service names the module. `None`: that is not certain.
pub(crate) fn names_the_module(service: &str) -> Option<bool> {
    if service.contains('/') {
        return None;
    }
    let stack = read(service, &Disk, &Folders::of_machine(Path::new("/")));
    stack
        .refused
        .is_none()
        .then(|| stack.handlers.iter().any(Handler::is_ours))
}

/// Files that are included by services, and copies that editors and package managers leave, are no
/// services.
fn is_service(name: &str) -> bool {
    let is_shared = name.starts_with("common-")
        // Those of `totpctl setup`.
        || name.starts_with("pam-totp-")
        || name.starts_with("system-")
        || name.starts_with("postlogin")
        || name.ends_with("-auth");
    let is_copy = name.starts_with('.')
        || name.ends_with('~')
        || name.contains(".dpkg-")
        || [".bak", ".orig", ".rpmsave", ".rpmnew", ".pam-new"]
            .iter()
            .any(|ending| name.ends_with(ending));
    !is_shared && !is_copy
}

fn no_service() -> Finding {
    finding(
        Severity::Warning,
        "no-service",
        "no PAM service asks for a code: no file in /etc/pam.d names pam_totp.so",
        "Follow 'Install and enrol for real' in the README",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/pam.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(root.path().join("etc/debian_version"), "12\n").unwrap();
        for (name, lines) in files {
            fs::write(folder.join(name), lines).unwrap();
        }
        root
    }

    fn kinds(root: &TempDir, named: &[&str]) -> Vec<(&'static str, Severity)> {
        let services = Services::below(root.path());
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let wanted = services.wanted(&named);
        services
            .check(&wanted, !named.is_empty(), Circumstances::default())
            .into_iter()
            .map(|found| (found.kind, found.severity))
            .collect()
    }

    const ASKS: &str = "auth requisite pam_unix.so\nauth required pam_totp.so\n";
    const NEVER_ASKS: &str = "auth required pam_unix.so\n";

    #[test]
    fn a_sister_that_was_forgotten_is_found_if_it_exists() {
        let root = machine(&[("sudo", ASKS), ("sudo-i", NEVER_ASKS), ("sshd", ASKS)]);
        assert_eq!(kinds(&root, &[]), [("not-named", Severity::Hole)]);
        let root = machine(&[("sudo", ASKS), ("sudo-i", ASKS), ("sshd", ASKS)]);
        assert_eq!(kinds(&root, &[]), []);
    }

    #[test]
    fn another_door_that_does_not_ask_is_a_warning() {
        let root = machine(&[("sshd", ASKS), ("cockpit", NEVER_ASKS)]);
        assert_eq!(kinds(&root, &[]), [("not-named", Severity::Warning)]);
    }

    #[test]
    fn copies_and_shared_files_are_no_services() {
        let root = machine(&[
            ("sshd", ASKS),
            (
                "sshd.dpkg-old",
                "auth sufficient pam_unix.so\nauth required pam_totp.so\n",
            ),
            (
                "common-auth",
                "auth sufficient pam_unix.so\nauth required pam_totp.so\n",
            ),
        ]);
        assert_eq!(kinds(&root, &[]), []);
    }

    #[test]
    fn a_service_that_is_named_is_checked_whether_it_asks_or_not() {
        let root = machine(&[("sshd", ASKS), ("login", NEVER_ASKS)]);
        assert_eq!(kinds(&root, &["login"]), [("not-named", Severity::Hole)]);
        assert_eq!(kinds(&root, &["SSHD"]), []);
        let root = machine(&[("sudo", ASKS), ("sudo-i", NEVER_ASKS), ("sshd", ASKS)]);
        assert_eq!(
            kinds(&root, &["sudo"]),
            [("not-named", Severity::Hole)],
            "sudo -i is the same program"
        );
        let root = machine(&[("sshd", ASKS), ("cockpit", NEVER_ASKS)]);
        assert_eq!(kinds(&root, &["sshd"]), []);
        assert_eq!(
            kinds(&machine(&[]), &[]),
            [("no-service", Severity::Warning)]
        );
    }
}
