//! The permission table: which role (root, admin, helpdesk, verifier, self) may call which method,
//! and on which users' records. Checked before a handler sees a call.

use common::config::roles::{Roles, SelfService};
use common::names::user::UserName;
use common::wire::protocol::{Error, Method};
use serde::Deserialize;

use crate::identity::caller::{Caller, Peer, Role};
use crate::identity::names::Asking;
use crate::identity::resolved::Named;
use crate::identity::target;

/// A process that calls, and its role.
#[derive(Clone, Debug)]
pub struct Visitor<'a> {
    /// The process.
    pub peer: Peer,
    /// Its account and role, if it has one.
    pub caller: Option<Caller>,
    /// The questions that this call may put to the name service.
    pub names: Asking<'a>,
}

/// The records that a role may use a method on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// All records.
    Any,
    /// Those of ordinary accounts: see [`target::ordinary`].
    Ordinary,
    /// Those of the users it serves, and its own account's: see [`target::served`].
    Served,
    /// Those of the users that its rule names: see [`target::relayed`].
    Relayed,
    /// The same, if its rule also lets it keep offline copies: see [`target::kept`].
    Kept,
    /// Its own account's.
    Own,
    /// Its own account's, with a current code.
    OwnWithProof,
    /// No record: the role may not call the method.
    Never,
}

/// The table.
#[must_use]
pub fn permission(method: Method, role: Role) -> Permission {
    use Method::*;
    match (role, method) {
        (Role::Relay, OfflineCopy) => Permission::Kept,
        (_, OfflineCopy) => Permission::Never,
        (Role::Root, _) => Permission::Any,
        (Role::Admin, RenameUser | Forget | Import | Export | StoreAcceptLoss) => Permission::Never,
        (Role::Admin, _) | (Role::Helpdesk, Show | List | Events | RevokeGrace) => Permission::Any,
        (Role::Helpdesk, Bypass | Ticket | Unlock) => Permission::Ordinary,
        (Role::Relay, Challenge | Verify) => Permission::Relayed,
        (Role::Relay, _) => Permission::Never,
        (Role::Verifier, Challenge | Verify) => Permission::Served,
        (_, Challenge | Verify | Confirm | Show | Events | RevokeGrace) => Permission::Own,
        (_, Enroll | SetState | Revoke | RenameDevice | Resync | NewRecoveryCodes) => {
            Permission::OwnWithProof
        }
        (_, Restrict | Bypass | Ticket | Unlock | List) => Permission::Never,
        (_, RenameUser | Forget | Import | Export | Status | Metrics | Reload) => Permission::Never,
        (_, ClockAccept | StoreAcceptLoss | Rotate) => Permission::Never,
    }
}

/// The user and the PAM service that a call names, read before its other parameters.
#[derive(Default, Deserialize)]
pub(crate) struct Subject {
    pub(crate) user: Option<String>,
    pub(crate) service: Option<String>,
}

/// A call that the table permits.
pub(crate) struct Permitted {
    /// The caller, in the role that permits the call: a caller that acts on its own account has the
    /// role `Own`.
    pub(crate) caller: Caller,
    pub(crate) named: Named,
    /// Whether the caller must send a proof (a current code).
    pub(crate) proof: bool,
}

/// A call that the table does not permit.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The reason for the log.
    pub(crate) reason: Option<&'static str>,
}

impl Refusal {
    const DENIED: Self = Self {
        error: Error::PermissionDenied,
        reason: None,
    };
}

/// Checks the table, and resolves the user that the call names: the caller's own account if it
/// names none.
pub(crate) fn permitted(
    visitor: &Visitor<'_>,
    method: Method,
    subject: &Subject,
    roles: &Roles,
) -> Result<Permitted, Refusal> {
    let caller = visitor.caller.as_ref().ok_or(Refusal::DENIED)?;
    let permission = permission(method, caller.role);
    if permission == Permission::Never {
        return Err(Refusal::DENIED);
    }
    let user = subject.user.as_deref().map(UserName::new).transpose();
    let user = user.map_err(|why| Refusal {
        error: Error::bad("user", why),
        reason: None,
    })?;
    // A host may be called like a user, and has no account of its own.
    let is_relayed = matches!(permission, Permission::Relayed | Permission::Kept);
    let other = user.filter(|user| is_relayed || *user != caller.account.name);
    let for_own_sake = match permission {
        Permission::Served => other.is_none(),
        permission => matches!(permission, Permission::Own | Permission::OwnWithProof),
    };
    let named = match other {
        None if is_relayed => return Err(Refusal::DENIED),
        None => Named::own(&caller.account),
        // Byte for byte: a caller limited to its own account must not make the daemon ask the name
        // service about other names.
        Some(_) if for_own_sake => return Err(Refusal::DENIED),
        Some(user) if matches!(method, Method::Challenge | Method::Verify) => {
            Named::at_login(user, visitor.names)
        }
        Some(user) => Named::of(user, visitor.names),
    };
    let allowed = match permission {
        Permission::Ordinary => target::ordinary(&named, caller.peer.uid, roles, visitor.names),
        Permission::Served if !for_own_sake => target::served(
            &named,
            caller,
            subject.service.as_deref(),
            roles,
            visitor.names,
        ),
        Permission::Relayed => {
            target::relayed(&named, caller, subject.service.as_deref(), visitor.names)
        }
        Permission::Kept => target::kept(&named, caller, subject.service.as_deref(), visitor.names),
        _ => Ok(()),
    };
    allowed.map_err(|reason| Refusal {
        reason: Some(reason),
        ..Refusal::DENIED
    })?;
    let caller = Caller {
        role: if for_own_sake { Role::Own } else { caller.role },
        ..caller.clone()
    };
    Ok(Permitted {
        caller,
        named,
        proof: permission == Permission::OwnWithProof,
    })
}

/// Restricts what users may do to their own account to what `policy.self-service` allows. Logins,
/// `Show`, `Events` and giving up a grace are always allowed.
pub(crate) fn within_self_service(
    permitted: Permitted,
    method: Method,
    settings: SelfService,
) -> Result<Permitted, Refusal> {
    let always = matches!(
        method,
        Method::Challenge | Method::Verify | Method::Show | Method::Events | Method::RevokeGrace
    );
    if permitted.caller.role == Role::Own && settings == SelfService::Off && !always {
        return Err(Refusal {
            reason: Some("self_service_off"),
            ..Refusal::DENIED
        });
    }
    Ok(permitted)
}

#[cfg(test)]
mod tests {
    use common::config::fleet::HostRule;
    use common::config::roles::Verifier;

    use super::*;
    use crate::identity::caller::RemoteHost;
    use crate::identity::names::{Account, Names};

    fn visitor<'a>(role: Role, name: &str, names: &'a Names) -> Visitor<'a> {
        let peer = Peer {
            uid: if role == Role::Root { 0 } else { 1000 },
            pid: 1,
        };
        let account = Account {
            name: UserName::new(name).unwrap(),
            uid: peer.uid,
            gid: peer.uid,
        };
        let verifier = (role == Role::Verifier).then(verifier);
        let host = (role == Role::Relay).then(host);
        Visitor {
            peer,
            caller: Some(Caller {
                peer,
                role,
                account,
                verifier,
                host,
            }),
            names: names.asking(),
        }
    }

    /// A host whose rule has the group `daemon` and the service `door`.
    fn host() -> RemoteHost {
        RemoteHost {
            name: "daemon".into(),
            rule: HostRule {
                name: "h".into(),
                names: vec!["daemon".into()],
                services: vec!["door".into()],
                users_groups: vec!["daemon".into()],
                trusted_rhost: true,
                offline_copy: true,
            },
        }
    }

    /// A verifier for the account `daemon` and the service `door`.
    fn verifier() -> Verifier {
        let (user, group) = (UserName::new("veronica").unwrap(), "daemon".into());
        let services = vec!["door".into()];
        Verifier {
            name: "v".into(),
            user,
            services,
            users_group: group,
            trusted_rhost: false,
        }
    }

    fn outcome(visitor: &Visitor<'_>, method: Method, user: Option<&str>) -> &'static str {
        let subject = Subject {
            user: user.map(str::to_owned),
            service: Some("door".into()),
        };
        match permitted(visitor, method, &subject, &Roles::default())
            .map_err(|refusal| refusal.error)
        {
            Ok(Permitted { proof: false, .. }) => "yes",
            Ok(Permitted { proof: true, .. }) => "with proof",
            Err(Error::PermissionDenied) => "no",
            Err(error) => panic!("{error}"),
        }
    }

    /// A method: for root, admins and the helpdesk on other accounts (`others`: on ordinary
    /// accounts but its own), for an account on its own record and on another account's.
    type Row = (
        Method,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    );

    const TABLE: &[Row] = &[
        (Method::Challenge, "yes", "yes", "no", "yes", "no"),
        (Method::Verify, "yes", "yes", "no", "yes", "no"),
        (Method::Enroll, "yes", "yes", "no", "with proof", "no"),
        (Method::Confirm, "yes", "yes", "no", "yes", "no"),
        (Method::Show, "yes", "yes", "yes", "yes", "no"),
        (Method::List, "yes", "yes", "yes", "no", "no"),
        (Method::Events, "yes", "yes", "yes", "yes", "no"),
        (Method::SetState, "yes", "yes", "no", "with proof", "no"),
        (Method::Revoke, "yes", "yes", "no", "with proof", "no"),
        (Method::RenameDevice, "yes", "yes", "no", "with proof", "no"),
        (Method::Resync, "yes", "yes", "no", "with proof", "no"),
        (Method::Restrict, "yes", "yes", "no", "no", "no"),
        (Method::RenameUser, "yes", "no", "no", "no", "no"),
        (Method::Forget, "yes", "no", "no", "no", "no"),
        (
            Method::NewRecoveryCodes,
            "yes",
            "yes",
            "no",
            "with proof",
            "no",
        ),
        (Method::Bypass, "yes", "yes", "others", "no", "no"),
        (Method::Ticket, "yes", "yes", "others", "no", "no"),
        (Method::Unlock, "yes", "yes", "others", "no", "no"),
        (Method::Import, "yes", "no", "no", "no", "no"),
        (Method::Export, "yes", "no", "no", "no", "no"),
        (Method::Status, "yes", "yes", "no", "no", "no"),
        (Method::Rotate, "yes", "yes", "no", "no", "no"),
        (Method::Reload, "yes", "yes", "no", "no", "no"),
        (Method::ClockAccept, "yes", "yes", "no", "no", "no"),
        (Method::StoreAcceptLoss, "yes", "no", "no", "no", "no"),
        (Method::RevokeGrace, "yes", "yes", "yes", "yes", "no"),
        (Method::Metrics, "yes", "yes", "no", "no", "no"),
        (Method::OfflineCopy, "no", "no", "no", "no", "no"),
    ];

    #[test]
    fn every_cell_of_the_table_of_permissions_is_as_documented() {
        assert!(
            TABLE
                .iter()
                .map(|row| row.0)
                .eq(Method::ALL.iter().copied())
        );
        let names = Names::start().unwrap();
        for row in TABLE {
            check_root_and_admins(row, &names);
            check_the_helpdesk(row, &names);
            check_verifiers(row, &names);
            check_hosts(row, &names);
            check_own_account(row, &names);
        }
    }

    fn check_root_and_admins(&(method, root, admin, ..): &Row, names: &Names) {
        let by_root = outcome(&visitor(Role::Root, "root", names), method, Some("bob"));
        assert_eq!(by_root, root, "{method:?}");
        let by_admin = outcome(&visitor(Role::Admin, "adam", names), method, Some("bob"));
        assert_eq!(by_admin, admin, "{method:?}");
    }

    fn check_the_helpdesk(&(method, _, _, helpdesk, own, _): &Row, names: &Names) {
        let helga = visitor(Role::Helpdesk, "helga", names);
        let (on_ordinary, on_special) = if helpdesk == "others" {
            ("yes", "no")
        } else {
            (helpdesk, helpdesk)
        };
        // An ordinary account that there is on every machine.
        assert_eq!(
            outcome(&helga, method, Some("daemon")),
            on_ordinary,
            "{method:?}"
        );
        // Root's account is not ordinary, and neither is an unknown name.
        assert_eq!(
            outcome(&helga, method, Some("root")),
            on_special,
            "{method:?}"
        );
        assert_eq!(
            outcome(&helga, method, Some("bob")),
            on_special,
            "{method:?}"
        );
        let on_itself = if helpdesk == "yes" { "yes" } else { own };
        assert_eq!(outcome(&helga, method, None), on_itself, "{method:?}");
    }

    fn check_verifiers(&(method, _, _, _, own, other): &Row, names: &Names) {
        let veronica = visitor(Role::Verifier, "veronica", names);
        let is_login = matches!(method, Method::Challenge | Method::Verify);
        let on_served = if is_login { "yes" } else { other };
        assert_eq!(
            outcome(&veronica, method, Some("daemon")),
            on_served,
            "{method:?}"
        );
        assert_eq!(outcome(&veronica, method, Some("bin")), other, "{method:?}");
        assert_eq!(outcome(&veronica, method, None), own, "{method:?}");
    }

    /// A host that is called like the account that it asks for, and may ask for members of `daemon`.
    fn check_hosts(&(method, ..): &Row, names: &Names) {
        let relay = visitor(Role::Relay, "daemon", names);
        let is_login = matches!(
            method,
            Method::Challenge | Method::Verify | Method::OfflineCopy
        );
        let on_served = if is_login { "yes" } else { "no" };
        assert_eq!(
            outcome(&relay, method, Some("daemon")),
            on_served,
            "{method:?}"
        );
        for other in [Some("bin"), Some("root"), Some("no such account"), None] {
            assert_eq!(outcome(&relay, method, other), "no", "{method:?} {other:?}");
        }
    }

    fn check_own_account(&(method, _, _, _, own, other): &Row, names: &Names) {
        let alice = visitor(Role::Own, "alice", names);
        assert_eq!(outcome(&alice, method, Some("alice")), own, "{method:?}");
        assert_eq!(outcome(&alice, method, None), own, "{method:?}");
        assert_eq!(outcome(&alice, method, Some("bob")), other, "{method:?}");
        assert_eq!(outcome(&alice, method, Some("root")), other, "{method:?}");
        let without_role = Visitor {
            caller: None,
            ..alice
        };
        assert_eq!(
            outcome(&without_role, method, Some("alice")),
            "no",
            "{method:?}"
        );
    }

    #[test]
    fn without_self_service_people_log_in_look_on_and_end_their_grace() {
        let names = Names::start().unwrap();
        let alice = visitor(Role::Own, "alice", &names);
        for &method in Method::ALL {
            let subject = Subject {
                user: None,
                service: None,
            };
            let own = permitted(&alice, method, &subject, &Roles::default());
            let Ok(own) = own else { continue };
            let left = within_self_service(own, method, SelfService::Off).is_ok();
            assert_eq!(
                left,
                ["Challenge", "Verify", "Show", "Events", "RevokeGrace"].contains(&method.name()),
                "{method:?}"
            );
            for role in [Role::Admin, Role::Root] {
                let others = permitted(
                    &visitor(role, "adam", &names),
                    method,
                    &subject,
                    &Roles::default(),
                );
                let left =
                    others.and_then(|others| within_self_service(others, method, SelfService::Off));
                assert_eq!(
                    left.is_ok(),
                    permission(method, role) != Permission::Never,
                    "{method:?}"
                );
            }
        }
    }
}
