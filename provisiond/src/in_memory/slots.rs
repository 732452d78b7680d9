//! Who holds how many of something that there are few of.

use std::collections::HashMap;

use crate::identity::caller::Peer;

/// What is held now.
#[derive(Default)]
pub struct Places {
    root: usize,
    others: HashMap<u32, usize>,
}

impl Places {
    /// What this caller's uid holds.
    #[must_use]
    pub fn of(&self, peer: Peer) -> usize {
        if peer.is_root() { self.root } else { self.others.get(&peer.uid).copied().unwrap_or(0) }
    }

    /// What everybody but root holds.
    #[must_use]
    pub fn of_others(&self) -> usize {
        self.others.values().sum()
    }

    /// All that is held.
    #[must_use]
    pub fn all(&self) -> usize {
        self.root.saturating_add(self.of_others())
    }

    /// One more is the caller's.
    pub fn take(&mut self, peer: Peer) {
        self.set(peer, self.of(peer).saturating_add(1));
    }

    /// One less is.
    pub fn give_back(&mut self, peer: Peer) {
        self.set(peer, self.of(peer).saturating_sub(1));
    }

    fn set(&mut self, peer: Peer, held: usize) {
        if peer.is_root() {
            self.root = held;
        } else if held == 0 {
            self.others.remove(&peer.uid);
        } else {
            self.others.insert(peer.uid, held);
        }
    }
}
