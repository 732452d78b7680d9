//! Connection limits: how many connections each uid may have open. Capacity is kept for root; every
//! other uid has a few slots (denial of service).

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Shared;
use crate::identity::caller::Peer;
use crate::in_memory::slots::Slots;

/// The connections open now.
#[derive(Default)]
pub(super) struct Permits {
    held: Mutex<Held>,
    returned: Condvar,
}

#[derive(Default)]
struct Held {
    slots: Slots,
    /// Uids whose calls have shown that they are a verifier's.
    verifiers: HashSet<u32>,
}

/// One connection's slot, given back when it is dropped.
pub(super) struct Permit {
    pub(super) shared: Arc<Shared>,
    peer: Peer,
}

impl Permits {
    /// Root waits for a slot, in the socket's backlog. Any other uid gets one at once, or none.
    pub(super) fn take(shared: &Arc<Shared>, peer: Peer) -> Option<Permit> {
        let permits = &shared.permits;
        let mut held = permits.held.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.is_root() {
            while held.slots.all() >= MAX_CONNECTIONS {
                held = permits
                    .returned
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        } else {
            let most = if held.verifiers.contains(&peer.uid) {
                MAX_PER_VERIFIER
            } else {
                MAX_PER_UID
            };
            if held.slots.of(peer.uid) >= most || held.slots.of_others() >= MAX_OTHERS {
                return None;
            }
        }
        held.slots.take(peer.uid);
        shared.service.connections.fetch_add(1, Ordering::Relaxed);
        Some(Permit {
            shared: Arc::clone(shared),
            peer,
        })
    }

    /// Remembers whether a uid is a verifier's, as its first call has shown. The accepting thread
    /// must not wait for the name service.
    pub(super) fn note(&self, peer: Peer, is_verifier: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if is_verifier {
            held.verifiers.insert(peer.uid);
        } else {
            held.verifiers.remove(&peer.uid);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = &self.shared.permits;
        permits
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slots
            .give_back(self.peer.uid);
        self.shared
            .service
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        permits.returned.notify_one();
    }
}

/// Connections at once. Each is a thread and a buffer of a few kilobytes.
const MAX_CONNECTIONS: usize = 256;
/// Connections of all uids but root: the rest is kept for root's logins.
const MAX_OTHERS: usize = 128;
/// Connections of one uid: a user has a few terminals, not dozens.
const MAX_PER_UID: usize = 16;
/// Connections of a verifier's uid, which serves many users.
const MAX_PER_VERIFIER: usize = 64;
