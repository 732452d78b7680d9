//! The settings of roles: `admin-group`, `helpdesk-group` and `verifiers` of the section
//! `provisiond`, and `self-service`.

use serde::{Deserialize, Deserializer};

use crate::config::exemptions::rules::{group, service};
use crate::config::values::given::Text;
use crate::config::values::in_order::{Entries, entry_name, in_order};
use crate::names::user::UserName;
use crate::wire::text::printable;

/// Administrators, helpdesk and verifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The group of the administrators. `None`: only root is one.
    pub admin_group: Option<String>,
    /// The group of the helpdesk. `None`: there is no helpdesk.
    pub helpdesk_group: Option<String>,
    /// Daemons that verify codes of other users.
    pub verifiers: Vec<Verifier>,
}

impl Roles {
    /// The verifier that runs as the account `user`, if there is one.
    #[must_use]
    pub fn verifier(&self, user: &UserName) -> Option<&Verifier> {
        self.verifiers
            .iter()
            .find(|verifier| verifier.user == *user)
    }
}

/// What users may do with their own devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfService {
    /// Enrol, confirm, rename, disable and revoke, with a current code.
    #[default]
    WithProof,
    /// Show them and log in.
    Off,
}

/// An unprivileged daemon that verifies codes of other users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// Its name in the settings.
    pub name: String,
    /// The account that the daemon runs as.
    pub user: UserName,
    /// The services that it may ask for.
    pub services: Vec<String>,
    /// The group of the users it may ask for.
    pub users_group: String,
    /// Whether provisiond trusts the remote host that the daemon reports.
    pub trusted_rhost: bool,
}

/// The keys of the section `provisiond` that this file owns, as they are written.
#[derive(Default)]
pub(crate) struct RawRoles {
    pub(crate) admin_group: Option<Text>,
    pub(crate) helpdesk_group: Option<Text>,
    pub(crate) verifiers: RawVerifiers,
}

impl RawRoles {
    /// The checked roles, or the key that is not valid and the reason.
    pub(crate) fn check(self) -> Result<Roles, (&'static str, String)> {
        let group = |key, text: Option<Text>| {
            text.map(|Text(text)| named_group(&text))
                .transpose()
                .map_err(|why| (key, why))
        };
        Ok(Roles {
            admin_group: group("provisiond.admin-group", self.admin_group)?,
            helpdesk_group: group("provisiond.helpdesk-group", self.helpdesk_group)?,
            verifiers: self
                .verifiers
                .check()
                .map_err(|why| ("provisiond.verifiers", why))?,
        })
    }
}

/// Names and their entries, in the order of the file.
#[derive(Default)]
pub(crate) struct RawVerifiers(Vec<(String, RawVerifier)>);

impl RawVerifiers {
    fn check(self) -> Result<Vec<Verifier>, String> {
        let mut verifiers: Vec<Verifier> = Vec::new();
        for (name, raw) in self.0 {
            let shown = printable(&name);
            let verifier = raw.check(name).map_err(|why| format!("'{shown}': {why}"))?;
            if let Some(other) = verifiers.iter().find(|other| other.user == verifier.user) {
                return Err(format!(
                    "'{}' and '{shown}' both run as '{}': merge them into one",
                    other.name, other.user
                ));
            }
            verifiers.push(verifier);
        }
        Ok(verifiers)
    }
}

impl<'de> Deserialize<'de> for RawVerifiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        in_order(deserializer, &VERIFIERS).map(Self)
    }
}

const VERIFIERS: Entries = Entries {
    what: "names of verifiers, each with 'user', 'services' and 'users-group'",
    plural: "verifiers",
    most: 16,
};

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a verifier's 'user', 'services' and 'users-group'"
)]
struct RawVerifier {
    user: Text,
    services: Vec<Text>,
    #[serde(rename = "users-group", alias = "users_group")]
    users_group: Text,
    #[serde(rename = "trusted-rhost", alias = "trusted_rhost", default)]
    trusted_rhost: bool,
}

impl RawVerifier {
    fn check(self, name: String) -> Result<Verifier, String> {
        let name = entry_name(name, "a verifier's name")?;
        let user = UserName::new(&self.user.0).map_err(|why| why.to_string())?;
        if user.as_str() == "root" {
            return Err("root may ask for every user without this: name the account that the daemon runs as".to_owned());
        }
        if self.services.is_empty() || self.services.len() > MAX_SERVICES {
            return Err(format!("a verifier has 1 to {MAX_SERVICES} services"));
        }
        Ok(Verifier {
            name,
            user,
            services: named_services(&self.services)?,
            users_group: named_group(&self.users_group.0)?,
            trusted_rhost: self.trusted_rhost,
        })
    }
}

/// The name of a group.
pub(super) fn named_group(text: &str) -> Result<String, String> {
    group(text).map_err(|why| format!("'{}': {why}", printable(text)))
}

/// The names of PAM services.
pub(super) fn named_services(texts: &[Text]) -> Result<Vec<String>, String> {
    let wrong = |text: &str, why| format!("'{}': {why}", printable(text));
    let services = texts.iter();
    services
        .map(|Text(text)| service(text).map_err(|why| wrong(text, why)))
        .collect()
}

const MAX_SERVICES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn verifiers(text: &str) -> Result<Vec<Verifier>, String> {
        let raw: RawVerifiers = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        raw.check()
    }

    #[test]
    fn a_verifier_has_an_account_services_and_a_group_of_users() {
        let text = "openvpn: {user: _openvpn, services: [openvpn, vpn-admin], users_group: vpn}\n\
                    lock: {user: kiosk, services: [lock], users-group: staff, trusted-rhost: true}\n";
        let roles = Roles {
            verifiers: verifiers(text).unwrap(),
            ..Roles::default()
        };
        let of = |user| roles.verifier(&UserName::new(user).unwrap());
        let openvpn = of("_openvpn").unwrap();
        assert_eq!(
            (openvpn.name.as_str(), openvpn.users_group.as_str()),
            ("openvpn", "vpn")
        );
        assert_eq!((openvpn.services.len(), openvpn.trusted_rhost), (2, false));
        assert!(of("kiosk").unwrap().trusted_rhost);
        assert_eq!(
            of("openvpn"),
            None,
            "it is the account that counts, not the name"
        );
    }

    #[test]
    fn a_verifier_that_cannot_be_meant_is_refused_with_a_sentence() {
        let one = |name: &str, user: &str, services: &str, group: &str| {
            verifiers(&format!(
                "{name}: {{user: {user}, services: {services}, users-group: {group}}}"
            ))
        };
        let many: String = (0..17)
            .map(|n| format!("v{n}: {{user: u{n}, services: [s], users-group: g}}\n"))
            .collect();
        for (refused, part) in [
            (one("a b", "u", "[s]", "g"), "letters, digits"),
            (one(&"a".repeat(33), "u", "[s]", "g"), "1 to 32"),
            (one("a", "u:v", "[s]", "g"), "a user name cannot contain"),
            (one("a", "root", "[s]", "g"), "root may ask for every user"),
            (one("a", "u", "[]", "g"), "1 to 16 services"),
            (
                one("a", "u", "[a/b]", "g"),
                "the name of a file in /etc/pam.d",
            ),
            (one("a", "u", "[Login]", "g"), "in lower case"),
            (one("a", "u", "[s]", "''"), "no group can have that name"),
            (verifiers("a: {user: u, services: [s]}"), "users-group"),
            (
                verifiers("a: {user: u, services: [s], users-group: g, service: x}"),
                "service",
            ),
            (
                verifiers("a: {user: u, services: [s], users-group: g, trusted-rhost: maybe}"),
                "trusted-rhost",
            ),
            (verifiers("[a]"), "names of verifiers"),
            (
                verifiers(&format!("a: {ONE}\nb: {ONE}\n")),
                "'a' and 'b' both run as 'u'",
            ),
            (verifiers(&many), "at most 16 verifiers"),
        ] {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    const ONE: &str = "{user: u, services: [s], users-group: g}";
}
