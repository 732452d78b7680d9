//! Looks up the users and groups of the settings: warns of those that the name service does not
//! know, and of sections that the daemon does not know (probable spelling mistakes), and learns the
//! uids of verifiers.
//!
//! An unknown name is no error, because the account may be created later. It gives no role, exempts
//! no user and sets no day. But the administrator must hear of a misspelt group: its members have
//! the roll-out day of all accounts meanwhile.

use std::collections::HashSet;
use std::sync::PoisonError;

use common::config::Settings;
use common::config::exemptions::Exemptions;
use common::config::fleet::{Fleet, HostRule};
use common::config::roles::Roles;
use common::config::values::group_days::GroupDays;
use common::names::user::UserName;

use crate::audit::Line;
use crate::identity::names::{Asking, Found};
use crate::service::Service;

impl Service {
    /// Asks about all names: after a start, and when other settings are in force.
    pub fn look_up_names(&self) {
        let settings = self.settings();
        self.learn_verifiers(&settings.roles);
        self.warn_of_unknown_names(&settings);
    }

    /// Whether a verifier runs under that uid, as far as the name service has said.
    #[must_use]
    pub fn is_a_verifiers(&self, uid: u32) -> bool {
        let uids = self.verifier_uids.read();
        uids.unwrap_or_else(PoisonError::into_inner).contains(&uid)
    }

    /// How many verifiers the settings name.
    #[must_use]
    pub fn count_verifiers(&self) -> usize {
        self.settings().roles.verifiers.len()
    }

    fn learn_verifiers(&self, roles: &Roles) {
        let uids = uids_of_verifiers(roles, self.names.asking());
        *self
            .verifier_uids
            .write()
            .unwrap_or_else(PoisonError::into_inner) = uids;
    }

    fn warn_of_unknown_names(&self, settings: &Settings) {
        for section in &settings.left_alone {
            let line = Line::new("unknown_section").with("setting", section);
            self.audit.write(line.warning());
        }
        let named = (
            &settings.roles,
            &settings.exemptions,
            &settings.enroll_at_login.without_ticket_until,
        );
        let of_hosts = settings.fleet.as_ref();
        let of_hosts = of_hosts.map(|fleet| unknown_of_hosts(fleet, self.names.asking()));
        let unknown = unknown(named, self.names.asking());
        for (setting, name) in unknown.into_iter().chain(of_hosts.unwrap_or_default()) {
            self.audit.write(
                Line::new("unknown_name")
                    .with("setting", setting)
                    .with("name", name)
                    .warning(),
            );
        }
    }
}

/// The uids of the verifiers, as far as the name service answers. They are known from then on, so
/// that a verifier's first call waits behind no flood of uids that the daemon never saw.
pub(crate) fn uids_of_verifiers(roles: &Roles, names: Asking<'_>) -> HashSet<u32> {
    let named = roles
        .verifiers
        .iter()
        .map(|verifier| names.by_name(&verifier.user));
    named
        .filter_map(|found| found.ok().flatten())
        .map(|account| account.uid)
        .collect()
}

/// The same of the rules for hosts of a fleet.
fn unknown_of_hosts(fleet: &Fleet, names: Asking<'_>) -> Vec<(String, String)> {
    let of_rule = |rule: &HostRule| {
        let setting = format!("provisiond.fleet.hosts.{}.users-groups", rule.name);
        let is_unknown = |group: &&String| names.has_group(group) == Ok(false);
        let groups = rule.users_groups.iter().filter(is_unknown);
        groups
            .map(|group| (setting.clone(), group.clone()))
            .collect::<Vec<_>>()
    };
    fleet.hosts.iter().flat_map(of_rule).collect()
}

/// Each setting with an unknown name, and the name. A name that the name service does not answer
/// about is left out.
fn unknown(
    (roles, exemptions, without_ticket): (&Roles, &Exemptions, &GroupDays),
    names: Asking<'_>,
) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    let mut look = |setting: String, name: &str, found: Found<()>| {
        if found == Ok(None) {
            unknown.push((setting, name.to_owned()));
        }
    };
    let group = |name: &str| names.has_group(name).map(|known| known.then_some(()));
    let user = |name: &UserName| names.by_name(name).map(|account| account.map(drop));
    for (setting, name) in [
        ("admin-group", &roles.admin_group),
        ("helpdesk-group", &roles.helpdesk_group),
    ] {
        if let Some(name) = name {
            look(format!("provisiond.{setting}"), name, group(name));
        }
    }
    for verifier in &roles.verifiers {
        let setting = |key: &str| format!("provisiond.verifiers.{}.{key}", verifier.name);
        look(
            setting("user"),
            verifier.user.as_str(),
            user(&verifier.user),
        );
        look(
            setting("users-group"),
            &verifier.users_group,
            group(&verifier.users_group),
        );
    }
    for (setting, days) in [
        ("roll-out.enforce-after", &exemptions.roll_out.enforce_after),
        ("enroll-at-login.without-ticket-until", without_ticket),
    ] {
        for name in days.groups() {
            look(setting.to_owned(), name, group(name));
        }
    }
    for rule in &exemptions.rules {
        let setting = |key: &str| format!("rules.{}.{key}", rule.name);
        rule.users
            .iter()
            .for_each(|name| look(setting("users"), name.as_str(), user(name)));
        rule.groups
            .iter()
            .for_each(|name| look(setting("groups"), name, group(name)));
    }
    unknown
}

#[cfg(test)]
mod tests {
    use common::config::exemptions::roll_out::RollOut;
    use common::config::exemptions::rules::Rule;
    use common::config::roles::Verifier;
    use common::config::tls_files::TlsFiles;
    use common::config::values::calendar;
    use common::config::values::group_days::Scope;

    use super::*;
    use crate::identity::names::Names;

    #[test]
    fn a_verifiers_uid_is_known_before_its_first_call() {
        let names = Names::start().unwrap();
        let roles = Roles {
            verifiers: vec![verifier("daemon", "daemon"), verifier("nemo", "nobodies")],
            ..Roles::default()
        };
        assert_eq!(names.has_account(1), None);
        assert_eq!(uids_of_verifiers(&roles, names.asking()), [1].into());
        assert_eq!(names.has_account(1), Some(true));
    }

    fn verifier(user: &str, users_group: &str) -> Verifier {
        Verifier {
            name: user.into(),
            user: UserName::new(user).unwrap(),
            services: Vec::new(),
            users_group: users_group.into(),
            trusted_rhost: false,
        }
    }

    #[test]
    fn a_group_of_a_rule_for_hosts_that_is_unknown_is_told() {
        let names = Names::start().unwrap();
        let file = || "/f".into();
        let rule = HostRule {
            name: "web".into(),
            names: vec!["*.web.test".into()],
            services: vec!["sshd".into()],
            users_groups: vec!["daemon".into(), "staf".into()],
            trusted_rhost: true,
            offline_copy: false,
        };
        let fleet = Fleet {
            listen: "[::]:6238".parse().unwrap(),
            tls: TlsFiles {
                ca: file(),
                cert: file(),
                key: file(),
            },
            hosts: vec![rule],
            revoked: Vec::new(),
        };
        let setting = "provisiond.fleet.hosts.web.users-groups";
        assert_eq!(
            unknown_of_hosts(&fleet, names.asking()),
            [(setting.into(), "staf".into())]
        );
    }

    #[test]
    fn what_is_unknown_is_told_with_the_setting_that_names_it() {
        let names = Names::start().unwrap();
        let group = |name: &str| Some(name.to_owned());
        let roles = Roles {
            admin_group: group("root"),
            helpdesk_group: group("no-such-group"),
            verifiers: vec![verifier("daemon", "daemon"), verifier("nemo", "nobodies")],
        };
        let day = calendar::date("2026-12-01").unwrap();
        let days = |names: [&str; 2]| {
            GroupDays(names.map(|name| (Scope::Group(name.into()), day)).to_vec())
        };
        let enforce_after = days(["staf", "daemon"]);
        let without_ticket = days(["daemon", "studens"]);
        let rule = Rule {
            name: "robots".into(),
            users: ["daemon", "nemo"]
                .map(|name| UserName::new(name).unwrap())
                .to_vec(),
            groups: ["daemon", "no-such-group"].map(str::to_owned).to_vec(),
            from: Vec::new(),
            services: Vec::new(),
            hours: Vec::new(),
        };
        let roll_out = RollOut {
            observe: false,
            enforce_after,
        };
        let exemptions = Exemptions {
            rules: vec![rule],
            roll_out,
            ..Exemptions::default()
        };
        let told: Vec<(String, String)> =
            unknown((&roles, &exemptions, &without_ticket), names.asking());
        let told: Vec<String> = told
            .into_iter()
            .map(|(setting, name)| format!("{setting} {name}"))
            .collect();
        assert_eq!(
            told,
            [
                "provisiond.helpdesk-group no-such-group",
                "provisiond.verifiers.nemo.user nemo",
                "provisiond.verifiers.nemo.users-group nobodies",
                "roll-out.enforce-after staf",
                "enroll-at-login.without-ticket-until studens",
                "rules.robots.users nemo",
                "rules.robots.groups no-such-group",
            ]
        );
    }
}
