//! The name of a PAM service, in settings and in restrictions of a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A service's name: 1 to 32 letters, digits, `.`, `_`, `-` of ASCII, beginning with a letter or a
/// digit. It is kept in lower case, as in libpam.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// Checks a name from the socket or the command line.
    ///
    /// # Errors
    /// [`BadServiceName`]: its sentence says what a name is.
    pub fn new(name: &str) -> Result<Self, BadServiceName> {
        let ordinary = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let taken = ordinary && begins_well && name.len() <= MAX_BYTES;
        if taken {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(BadServiceName)
        }
    }

    /// Whether `service`, as a process names itself, is this service or its sister.
    #[must_use]
    pub fn is(&self, service: &str) -> bool {
        is_one_service(&self.0, &service.to_ascii_lowercase())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceName {
    type Error = BadServiceName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two names mean one service to the settings, to a grace and to a device's restriction:
/// they are equal, or sisters.
#[must_use]
pub fn is_one_service(name: &str, other: &str) -> bool {
    family(name) == family(other)
}

/// The name under which a service and its sister are remembered.
#[must_use]
pub fn family(service: &str) -> &str {
    let is_sister = |(sister, _): &&(&str, &str)| *sister == service;
    SISTERS
        .iter()
        .find(is_sister)
        .map_or(service, |(_, family)| family)
}

/// Sisters: a program that starts a login shell names another service than otherwise, and libpam
/// then reads another file. Both give the same power to the same user. Programs that
/// authenticate in another way, or for another place, are no sisters (`login` and `remote`, `sshd`
/// and `cockpit`): an exemption of one must not open the other.
pub const SISTERS: [(&str, &str); 3] =
    [("sudo-i", "sudo"), ("su-l", "su"), ("runuser-l", "runuser")];

/// The text is not a service name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a service name has 1 to {MAX_BYTES} letters, digits, '.', '_' or '-': it is the name of a file in /etc/pam.d"
)]
pub struct BadServiceName;

/// The longest name, in bytes.
pub const MAX_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_like_their_files() {
        for name in ["sshd", "sudo-i", "gdm-password", "cockpit", "su.1", "SU"] {
            assert!(
                ServiceName::new(name).unwrap().is(&name.to_lowercase()),
                "{name}"
            );
        }
        for name in [
            "",
            "-x",
            "a b",
            "a/b",
            "../etc",
            "ssh,sudo",
            "é",
            &"s".repeat(33),
        ] {
            assert_eq!(ServiceName::new(name), Err(BadServiceName), "{name:?}");
        }
    }

    #[test]
    fn a_program_is_one_service_whether_it_starts_a_login_shell_or_not() {
        for (name, other) in [
            ("sudo", "sudo-i"),
            ("su-l", "su"),
            ("runuser", "runuser-l"),
            ("sudo-i", "sudo-i"),
        ] {
            assert!(is_one_service(name, other), "{name} {other}");
            let spelt = other.to_uppercase();
            assert!(ServiceName::new(name).unwrap().is(&spelt), "{name} {other}");
        }
        for (name, other) in [
            ("sudo", "su"),
            ("sudo-i", "su-l"),
            ("login", "remote"),
            ("sshd", "cockpit"),
            ("gdm-password", "gdm-autologin"),
            ("vpn", "vpn-l"),
            ("SUDO", "sudo"),
            ("sudo", ""),
        ] {
            assert!(!is_one_service(name, other), "{name} {other}");
            assert!(!is_one_service(other, name), "{name} {other}");
        }
    }
}
