//! Authentication of callers: kernel credentials (SO_PEERCRED) of a connection become a role, here
//! and nowhere else.

use std::os::fd::AsFd;
use std::sync::Arc;

use common::config::fleet::HostRule;
use common::config::roles::{Roles, Verifier};
use common::names::user::UserName;
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use crate::identity::names::{Account, Asking, Found, NoAnswer};

/// The process that connected, as the kernel saw it then (unix(7), SO_PEERCRED). Its gid proves
/// nothing: under sudo and su it is that of the invoking user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective uid.
    pub uid: u32,
    /// Its process id, for the log and to tell logins apart; never to permit anything.
    pub pid: i32,
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The kernel's error. The connection cannot be served then.
    pub fn of(socket: &impl AsFd) -> Result<Self, Errno> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        Ok(Self {
            uid: credentials.uid(),
            pid: credentials.pid(),
        })
    }

    /// Whether the process runs as root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.uid == ROOT
    }
}

/// The roles, in rising order of privilege. Every role may also do what `Own` may do to its own
/// account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An account that acts on itself (self-service).
    Own,
    /// The daemon of another host of the fleet, which passes its logins on (`provisiond.fleet`).
    Relay,
    /// An unprivileged daemon that the settings let verify other users (`provisiond.verifiers`).
    Verifier,
    /// A member of the helpdesk group.
    Helpdesk,
    /// A member of the admin group.
    Admin,
    /// Uid 0.
    Root,
}

impl Role {
    /// The word of the audit lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Relay => "relay",
            Self::Verifier => "verifier",
            Self::Helpdesk => "helpdesk",
            Self::Admin => "admin",
            Self::Root => "root",
        }
    }
}

/// A caller with a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The process.
    pub peer: Peer,
    /// Its role.
    pub role: Role,
    /// The account of its uid.
    pub account: Account,
    /// The verifier of the settings that runs under this uid.
    pub verifier: Option<Verifier>,
    /// The host that the call came from, if it is another one than this.
    pub host: Option<RemoteHost>,
}

/// A host of the fleet, known by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteHost {
    /// The name in its certificate.
    pub name: Arc<str>,
    /// What it may ask for.
    pub rule: HostRule,
}

impl Caller {
    /// The relay of a host. It has no account: its uid is a number that no local process can have.
    #[must_use]
    pub fn of_host(host: RemoteHost, number: u32) -> Option<Self> {
        let uid = HOST_UIDS.checked_add(number)?;
        Some(Self {
            peer: Peer { uid, pid: 0 },
            role: Role::Relay,
            account: Account {
                name: UserName::new(&host.name).ok()?,
                uid,
                gid: uid,
            },
            verifier: None,
            host: Some(host),
        })
    }

    /// The role of `peer`, if it has one. Root is known without the name service, which may be down
    /// when root is needed most. The overflow uids, and uids without an account, have no role.
    ///
    /// # Errors
    /// [`NoAnswer`]: a caller that the name service does not identify is permitted nothing.
    pub fn identify(peer: Peer, roles: &Roles, names: Asking<'_>) -> Found<Self> {
        if peer.is_root() {
            let root = UserName::new("root").ok().map(|name| Account {
                name,
                uid: ROOT,
                gid: ROOT,
            });
            return Ok(root.map(|account| Self {
                peer,
                role: Role::Root,
                account,
                verifier: None,
                host: None,
            }));
        }
        if OVERFLOW_UIDS.contains(&peer.uid) || peer.uid >= HOST_UIDS {
            return Ok(None);
        }
        let Some(account) = names.by_uid(peer.uid)? else {
            return Ok(None);
        };
        let verifier = roles.verifier(&account.name).cloned();
        let role = match role_of(&account, roles, names)? {
            Role::Own if verifier.is_some() => Role::Verifier,
            role => role,
        };
        Ok(Some(Self {
            peer,
            role,
            account,
            verifier,
            host: None,
        }))
    }

    /// The trusted part of the reported source of a login. Root's processes are trusted with both,
    /// and so is a host of the fleet unless its rule says otherwise; a verifier with the address if the
    /// settings say so (`trusted-rhost`), and no other caller with anything.
    #[must_use]
    pub fn trusted_origin<'a>(
        &self,
        rhost: Option<&'a str>,
        tty: Option<&'a str>,
    ) -> (Option<&'a str>, Option<&'a str>) {
        match (self.role, &self.verifier, &self.host) {
            (Role::Root, ..) => (rhost, tty),
            (Role::Relay, _, Some(host)) if host.rule.trusted_rhost => (rhost, tty),
            (Role::Verifier, Some(verifier), _) if verifier.trusted_rhost => (rhost, None),
            _ => (None, None),
        }
    }
}

fn role_of(account: &Account, roles: &Roles, names: Asking<'_>) -> Result<Role, NoAnswer> {
    let is_in = |group: &Option<String>| {
        group
            .as_deref()
            .map_or(Ok(false), |group| names.is_member(account, group))
    };
    Ok(if is_in(&roles.admin_group)? {
        Role::Admin
    } else if is_in(&roles.helpdesk_group)? {
        Role::Helpdesk
    } else {
        Role::Own
    })
}

/// Hosts of the fleet have numbers from this uid on, so that limits and quotas count them like
/// processes. A local process with such a uid has no role.
pub const HOST_UIDS: u32 = 0xfff0_0000;
/// Root's uid, whatever its account is called.
pub const ROOT: u32 = 0;
/// The overflow uids, which the kernel shows in place of a uid outside the user namespace
/// (user_namespaces(7)), and the value for "no uid".
const OVERFLOW_UIDS: [u32; 3] = [65534, 65535, u32::MAX];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::names::Names;

    fn identify(uid: u32, admins: Option<&str>, helpdesk: Option<&str>) -> Option<(Role, String)> {
        let names = Names::start().unwrap();
        let [admin_group, helpdesk_group] =
            [admins, helpdesk].map(|group| group.map(str::to_owned));
        let roles = Roles {
            admin_group,
            helpdesk_group,
            ..Roles::default()
        };
        let caller = Caller::identify(Peer { uid, pid: 1 }, &roles, names.asking()).unwrap()?;
        Some((caller.role, caller.account.name.to_string()))
    }

    #[test]
    fn roles_follow_from_the_uid() {
        assert_eq!(identify(0, None, None), Some((Role::Root, "root".into())));
        let daemon = |role| Some((role, "daemon".into()));
        assert_eq!(identify(1, None, None), daemon(Role::Own));
        assert_eq!(identify(1, Some("daemon"), None), daemon(Role::Admin));
        assert_eq!(
            identify(1, Some("root"), Some("daemon")),
            daemon(Role::Helpdesk)
        );
        assert_eq!(
            identify(1, Some("daemon"), Some("daemon")),
            daemon(Role::Admin)
        );
        assert_eq!(identify(1, Some("root"), Some("root")), daemon(Role::Own));
        for uid in [65534, 65535, HOST_UIDS, u32::MAX, 3_999_999_999] {
            assert_eq!(identify(uid, None, None), None, "{uid}");
        }
    }
}
