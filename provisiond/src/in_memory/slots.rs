//! Slots: counts the connections or streams that each uid holds now. There are few, so each uid has
//! its own limit.

use std::collections::HashMap;

/// The slots held now.
#[derive(Default)]
pub(crate) struct Slots {
    root: usize,
    others: HashMap<u32, usize>,
}

impl Slots {
    /// The slots of that uid.
    #[must_use]
    pub(crate) fn of(&self, uid: u32) -> usize {
        if uid == ROOT {
            self.root
        } else {
            self.others.get(&uid).copied().unwrap_or(0)
        }
    }

    /// The slots of all uids but root.
    #[must_use]
    pub(crate) fn of_others(&self) -> usize {
        self.others.values().sum()
    }

    /// All slots that are held.
    #[must_use]
    pub(crate) fn all(&self) -> usize {
        self.root.saturating_add(self.of_others())
    }

    /// Takes one more slot.
    pub(crate) fn take(&mut self, uid: u32) {
        self.set(uid, self.of(uid).saturating_add(1));
    }

    /// Releases one slot.
    pub(crate) fn give_back(&mut self, uid: u32) {
        self.set(uid, self.of(uid).saturating_sub(1));
    }

    fn set(&mut self, uid: u32, held: usize) {
        if uid == ROOT {
            self.root = held;
        } else if held == 0 {
            self.others.remove(&uid);
        } else {
            self.others.insert(uid, held);
        }
    }
}

/// Root is counted separately: its slots are not taken from others, nor theirs from it.
const ROOT: u32 = 0;
