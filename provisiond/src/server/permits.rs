//! Connection limits: how many connections each uid may have open. Capacity is kept for root, for
//! verifiers and for administrators. Uids are free (any local user may have thousands, subuid(5)),
//! so all uids without an account share a few places (denial of service).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::desk::Desk;
use crate::identity::caller::{Caller, Peer, Role};
use crate::identity::names::Found;
use crate::in_memory::slots::Slots;

/// The connections open now.
#[derive(Default)]
pub(super) struct Permits {
    held: Mutex<Held>,
    returned: Condvar,
}

/// The connections whose places are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pool {
    Root,
    Verifiers,
    /// Administrators and the helpdesk.
    Staff,
    /// Accounts without a role.
    Accounts,
    /// Uids without an account.
    Strangers,
    /// Uids about which the name service has not answered yet.
    Unidentified,
}

#[derive(Default)]
struct Held {
    pools: HashMap<Pool, Slots>,
    /// Uids whose calls have shown that they have a role. Administrators give roles, so these are
    /// few.
    verifiers: HashSet<u32>,
    staff: HashSet<u32>,
    /// Accepting threads that wait for a place of root's.
    waiting: usize,
}

/// One connection's place, given back when it is dropped.
pub(super) struct Permit {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    pool: Pool,
}

impl Permits {
    /// Root waits for a place, in the socket's backlog. Any other uid gets a place at once, or
    /// none: a caller that waited here would keep verifiers and users behind it waiting. The
    /// accepting thread asks no name service.
    pub(super) fn take(shared: &Arc<Shared>, peer: Peer) -> Option<Permit> {
        let permits = &shared.permits;
        let mut held = permits.lock();
        let pool = held.pool_of(peer, &*shared.desk);
        let is_full = |held: &mut Held| !held.has_room(pool, peer.uid, &*shared.desk);
        if is_full(&mut held) {
            if pool != Pool::Root {
                return None;
            }
            held.waiting = held.waiting.saturating_add(1);
            let waited = permits.returned.wait_while(held, is_full);
            held = waited.unwrap_or_else(PoisonError::into_inner);
            held.waiting = held.waiting.saturating_sub(1);
        }
        held.pool(pool).take(peer.uid);
        drop(held);
        shared.desk.connections().fetch_add(1, Ordering::Relaxed);
        Some(Permit {
            shared: Arc::clone(shared),
            peer,
            pool,
        })
    }

    /// Remembers the role of a uid, as its call has shown it.
    pub(super) fn note(&self, caller: &Caller) {
        let (uid, mut held) = (caller.peer.uid, self.lock());
        let pool = pool_of(caller.role);
        held.verifiers.remove(&uid);
        held.staff.remove(&uid);
        match pool {
            Pool::Verifiers => held.verifiers.insert(uid),
            Pool::Staff => held.staff.insert(uid),
            _ => false,
        };
    }

    /// A place was given back: wakes root's connections that wait for one. Without any it saves a
    /// system call for each connection.
    fn tell(&self, held: MutexGuard<'_, Held>) {
        let is_awaited = held.waiting > 0;
        drop(held);
        if is_awaited {
            self.returned.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn pool(&mut self, pool: Pool) -> &mut Slots {
        self.pools.entry(pool).or_default()
    }

    /// The pool of a new connection, by what is known of its uid. Where the accounts' places are
    /// taken, the connection is identified first: it may be an administrator's.
    fn pool_of(&mut self, peer: Peer, desk: &dyn Desk) -> Pool {
        let uid = peer.uid;
        if peer.is_root() {
            return Pool::Root;
        }
        if self.verifiers.contains(&uid) || desk.is_a_verifiers(uid) {
            return Pool::Verifiers;
        }
        if self.staff.contains(&uid) {
            return Pool::Staff;
        }
        match desk.names().has_account(uid) {
            Some(true) if self.has_room(Pool::Accounts, uid, desk) => Pool::Accounts,
            Some(false) => Pool::Strangers,
            Some(true) | None => Pool::Unidentified,
        }
    }

    fn has_room(&mut self, pool: Pool, uid: u32, desk: &dyn Desk) -> bool {
        if pool == Pool::Root {
            let all = self.pools.values().map(Slots::all);
            return all.fold(0, usize::saturating_add) < MAX_CONNECTIONS;
        }
        let most = pool.most();
        let each = match pool {
            Pool::Verifiers => {
                let share = most.checked_div(desk.count_verifiers());
                share.unwrap_or(most).max(1)
            }
            _ => MAX_PER_UID,
        };
        let held = self.pool(pool);
        held.of(uid) < each && held.all() < most
    }
}

impl Pool {
    /// The places of the pool. What the others leave is root's.
    const fn most(self) -> usize {
        match self {
            Self::Root => MAX_CONNECTIONS,
            Self::Verifiers | Self::Accounts => 64,
            Self::Staff => 32,
            Self::Strangers => 8,
            Self::Unidentified => 24,
        }
    }
}

fn pool_of(role: Role) -> Pool {
    match role {
        Role::Root => Pool::Root,
        Role::Verifier | Role::Relay => Pool::Verifiers,
        Role::Admin | Role::Helpdesk => Pool::Staff,
        Role::Own => Pool::Accounts,
    }
}

impl Permit {
    /// Whether the uid is known well enough to have a place of its own.
    pub(super) fn is_identified(&self) -> bool {
        self.pool != Pool::Unidentified
    }

    /// Whether the connection may be open for as long as its caller likes: places of its pool are
    /// for its caller alone.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self.pool, Pool::Root | Pool::Verifiers)
    }

    /// Moves the connection to the pool of its caller. Returns whether there was room. While the
    /// name service does not answer, it stays where it is.
    pub(super) fn settle(&mut self, found: &Found<Caller>) -> bool {
        let pool = match found {
            Ok(Some(caller)) => pool_of(caller.role),
            Ok(None) => Pool::Strangers,
            Err(_) => return true,
        };
        let uid = self.peer.uid;
        let mut held = self.shared.permits.lock();
        let has_room = held.has_room(pool, uid, &*self.shared.desk);
        if has_room {
            held.pool(self.pool).give_back(uid);
            held.pool(pool).take(uid);
            self.pool = pool;
        }
        self.shared.permits.tell(held);
        has_room
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = &self.shared.permits;
        let mut held = permits.lock();
        held.pool(self.pool).give_back(self.peer.uid);
        let connections = self.shared.desk.connections();
        connections.fetch_sub(1, Ordering::Relaxed);
        permits.tell(held);
    }
}

/// Connections at once. Each is a thread and a buffer of a few kilobytes.
const MAX_CONNECTIONS: usize = 256;
/// Connections of one uid: a user has a few terminals, not dozens. Verifiers, which serve many
/// users, share their places equally.
const MAX_PER_UID: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threat_model_has_these_places_and_root_keeps_what_the_others_leave() {
        let [strangers, unidentified, accounts, staff, verifiers] = [
            Pool::Strangers,
            Pool::Unidentified,
            Pool::Accounts,
            Pool::Staff,
            Pool::Verifiers,
        ]
        .map(Pool::most);
        let roots = MAX_CONNECTIONS - strangers - unidentified - accounts - staff - verifiers;
        let seconds = super::super::LIFE.as_secs();
        assert_eq!((roots, seconds), (64, 10));
        for row in [
            format!(
                "| connections, of {MAX_CONNECTIONS} | {strangers} together, one answer each | \
                 {MAX_PER_UID} each, {accounts} together, ten seconds each | verifiers {verifiers} together, \
                 in equal shares; administrators and the helpdesk {MAX_PER_UID} each, {staff} together | \
                 at least {roots} |"
            ),
            format!("| connections that are not identified | {unidentified} together |"),
        ] {
            assert!(THREAT_MODEL.contains(&row), "{row}");
        }
    }

    const THREAT_MODEL: &str = include_str!("../../../docs/threat-model.md");
}
