//! Protected accounts: helpdesk and verifiers may act on ordinary accounts only, never on root,
//! administrators, the helpdesk or themselves (privilege escalation). The name service decides: an
//! account that it does not know, or while it does not answer, is not ordinary.

use common::config::roles::Roles;
use common::names::service::is_one_service;

use crate::identity::caller::{Caller, ROOT};
use crate::identity::names::{Account, Asking, NoAnswer};
use crate::identity::resolved::Named;

/// Permits an action on an account that is not root's, not an administrator's, not a helpdesk
/// member's, and not the caller's own uid.
///
/// # Errors
/// The reason for the log.
pub fn ordinary(
    named: &Named,
    own_uid: u32,
    roles: &Roles,
    names: Asking<'_>,
) -> Result<(), &'static str> {
    let account = named.account().ok_or(if named.is_unknown() {
        SILENT
    } else {
        "no_such_account"
    })?;
    let protected = account.uid == own_uid
        || is_privileged(account, roles, names).map_err(|NoAnswer| SILENT)?;
    if protected {
        Err("protected_account")
    } else {
        Ok(())
    }
}

/// Permits a verifier to verify its users (ordinary accounts in its `users-group`) for its
/// services.
///
/// # Errors
/// The reason for the log.
pub fn served(
    named: &Named,
    caller: &Caller,
    service: Option<&str>,
    roles: &Roles,
    names: Asking<'_>,
) -> Result<(), &'static str> {
    let verifier = caller.verifier.as_ref().ok_or("not_a_verifier")?;
    let is_own = |service| {
        let mut own = verifier.services.iter();
        own.any(|own| is_one_service(own, service))
    };
    if !service.is_some_and(is_own) {
        return Err("service_not_allowed");
    }
    ordinary(named, caller.peer.uid, roles, names)?;
    let account = named.account().ok_or(SILENT)?;
    match names.is_member(account, &verifier.users_group) {
        Ok(true) => Ok(()),
        Ok(false) => Err("not_in_users_group"),
        Err(NoAnswer) => Err(SILENT),
    }
}

/// Permits a host of the fleet to pass on the logins that its rule names: of members of its
/// `users-groups`, for its services. Those groups decide alone: administrators log in on hosts, too.
///
/// # Errors
/// The reason for the log.
pub fn relayed(
    named: &Named,
    caller: &Caller,
    service: Option<&str>,
    names: Asking<'_>,
) -> Result<(), &'static str> {
    let rule = &caller.host.as_ref().ok_or("not_a_verifier")?.rule;
    if !service.is_some_and(|service| rule.serves(service)) {
        return Err("service_not_allowed");
    }
    let account = named.account().ok_or(if named.is_unknown() {
        SILENT
    } else {
        "no_such_account"
    })?;
    for group in &rule.users_groups {
        if names.is_member(account, group).map_err(|NoAnswer| SILENT)? {
            return Ok(());
        }
    }
    Err("not_in_users_group")
}

/// Permits a host of the fleet to keep an offline copy of a user that it may ask for.
///
/// # Errors
/// The reason for the log.
pub fn kept(
    named: &Named,
    caller: &Caller,
    service: Option<&str>,
    names: Asking<'_>,
) -> Result<(), &'static str> {
    relayed(named, caller, service, names)?;
    let host = caller.host.as_ref();
    match host.is_some_and(|host| host.rule.offline_copy) {
        true => Ok(()),
        false => Err("no_offline_copy"),
    }
}

/// Whether the account is root's, an administrator's or a helpdesk member's. Accounts may share a
/// uid, and a process is known by its uid only: if one of them is privileged, all are.
fn is_privileged(account: &Account, roles: &Roles, names: Asking<'_>) -> Result<bool, NoAnswer> {
    if account.uid == ROOT {
        return Ok(true);
    }
    let by_uid = names.by_uid(account.uid)?.ok_or(NoAnswer)?;
    for group in [&roles.admin_group, &roles.helpdesk_group]
        .into_iter()
        .flatten()
    {
        if names.is_member(account, group)? || names.is_member(&by_uid, group)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name service did not answer.
pub const SILENT: &str = "no_answer_from_name_service";

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use common::config::roles::Verifier;
    use common::names::user::UserName;

    use super::*;
    use crate::identity::caller::{Peer, Role};
    use crate::identity::names::Names;

    fn act_on(user: &str, roles: &Roles) -> Result<(), &'static str> {
        let names = Names::start().unwrap();
        let named = Named::of(UserName::new(user).unwrap(), names.asking());
        ordinary(&named, 2, roles, names.asking())
    }

    #[test]
    fn nobody_acts_on_root_administrators_the_helpdesk_themselves_or_strangers() {
        let group = |name: &str| Some(name.to_owned());
        let roles = Roles {
            admin_group: group("sys"),
            helpdesk_group: group("games"),
            ..Roles::default()
        };
        assert_eq!(act_on("daemon", &roles), Ok(()));
        for (user, reason) in [
            ("root", "protected_account"),
            ("sys", "protected_account"),
            ("games", "protected_account"),
            ("bin", "protected_account"),
            ("no such account", "no_such_account"),
        ] {
            assert_eq!(act_on(user, &roles), Err(reason), "{user}");
        }
        assert_eq!(act_on("sys", &Roles::default()), Ok(()));
    }

    #[test]
    fn a_verifier_asks_for_its_services_and_their_sisters() {
        let names = Names::start().unwrap();
        let named = |user: &str| UserName::new(user).unwrap();
        let verifier = Verifier {
            name: "v".into(),
            user: named("games"),
            services: vec!["sudo".into()],
            users_group: "daemon".into(),
            trusted_rhost: false,
        };
        let daemon = Named::of(named("daemon"), names.asking());
        let account = Named::of(named("games"), names.asking());
        let caller = Caller {
            peer: Peer { uid: 5, pid: 1 },
            role: Role::Verifier,
            account: account.account().unwrap().clone(),
            verifier: Some(verifier),
            host: None,
        };
        let asked = |service| {
            let roles = Roles::default();
            served(&daemon, &caller, service, &roles, names.asking())
        };
        assert_eq!(
            (asked(Some("sudo")), asked(Some("sudo-i"))),
            (Ok(()), Ok(()))
        );
        for service in [Some("su"), Some("sudo-l"), None] {
            assert_eq!(asked(service), Err("service_not_allowed"), "{service:?}");
        }
    }

    #[test]
    fn what_the_name_service_does_not_say_permits_nothing() {
        let (names, silent) = (Names::start().unwrap(), Names::start().unwrap());
        let daemon = Named::of(UserName::new("daemon").unwrap(), names.asking());
        let late = silent.asking().until(Instant::now());
        let unknown = Named::of(UserName::new("sys").unwrap(), late);
        let roles = Roles::default();
        assert_eq!(ordinary(&daemon, 2, &roles, names.asking()), Ok(()));
        assert_eq!(ordinary(&daemon, 2, &roles, late), Err(SILENT));
        assert_eq!(ordinary(&unknown, 2, &roles, names.asking()), Err(SILENT));
    }
}
