//! Names in the settings that the name service does not know. They give nobody a role, which is no error: the account may
//! come later. But who mistyped one wants to hear of it.

use common::roles::Roles;
use common::user::UserName;

use crate::audit::Line;
use crate::names::{Asking, Found};
use crate::service::Service;

impl Service {
    /// Warns of them in the log.
    pub fn warn_of_unknown_names(&self) {
        let settings = self.settings();
        for (setting, name) in unknown(&settings.roles, self.names.asking()) {
            let line = Line::new("unknown_name").with("setting", format!("provisiond.{setting}")).with("name", name);
            self.audit.write(line.warning());
        }
    }
}

/// The settings and what they name. What the name service does not answer is not said to be unknown.
fn unknown(roles: &Roles, names: Asking<'_>) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    let mut look = |setting: String, name: &str, found: Found<()>| {
        if found == Ok(None) {
            unknown.push((setting, name.to_owned()));
        }
    };
    let group = |name: &str| names.has_group(name).map(|known| known.then_some(()));
    let user = |name: &UserName| names.by_name(name).map(|account| account.map(drop));
    for (setting, name) in [("admin-group", &roles.admin_group), ("helpdesk-group", &roles.helpdesk_group)] {
        if let Some(name) = name {
            look(setting.to_owned(), name, group(name));
        }
    }
    for verifier in &roles.verifiers {
        let setting = |key: &str| format!("verifiers.{}.{key}", verifier.name);
        look(setting("user"), verifier.user.as_str(), user(&verifier.user));
        look(setting("users-group"), &verifier.users_group, group(&verifier.users_group));
    }
    unknown
}

#[cfg(test)]
mod tests {
    use common::roles::Verifier;

    use super::*;
    use crate::names::Names;

    #[test]
    fn what_is_unknown_is_told_with_the_setting_that_names_it() {
        let names = Names::start().unwrap();
        let group = |name: &str| Some(name.to_owned());
        let verifier = |user: &str, users_group: &str| Verifier {
            name: user.into(),
            user: UserName::new(user).unwrap(),
            services: Vec::new(),
            users_group: users_group.into(),
            trusted_rhost: false,
        };
        let roles = Roles {
            admin_group: group("root"),
            helpdesk_group: group("no-such-group"),
            verifiers: vec![verifier("daemon", "daemon"), verifier("nemo", "nobodies")],
        };
        let told: Vec<String> = unknown(&roles, names.asking()).into_iter().map(|(setting, _)| setting).collect();
        assert_eq!(told, ["helpdesk-group", "verifiers.nemo.user", "verifiers.nemo.users-group"]);
    }
}
