//! What the store's records need of each application secret: counted in memory, once at the start
//! and then with each change, so that no status reads a million records.
//!
//! It counts too much rather than too little: what an update needs is added before the update is
//! queued, and what it replaces is taken off when it is durable. So a tag without a count is needed
//! by no record, also not by an update that is under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::names::user::UserName;

use crate::record::seals::Seals;
use crate::store::{Outcome, Unavailable};

/// The counts.
#[derive(Default)]
pub(super) struct ByTag(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    seals: Seals,
    /// The records of which it is not known what they need.
    loose: BTreeMap<UserName, Loose>,
    is_whole: bool,
}

/// A record of which it is not known what it needs.
#[derive(Default)]
struct Loose {
    /// What is counted for it.
    seals: Seals,
    /// An update of it may be queued. Otherwise it could not be read.
    is_queued: bool,
}

/// An update that is under way: what the record needed before, and what it will need. A rename
/// leads from one user to another.
pub(super) struct UnderWay {
    from: UserName,
    to: UserName,
    before: Seals,
    after: Seals,
}

impl ByTag {
    /// Counts a record at the start. One that cannot be read may need more than its MAC tells.
    pub(super) fn note(&self, user: &UserName, seals: Seals, is_read: bool) {
        let mut counted = self.lock();
        counted.seals.add(&seals);
        if !is_read {
            counted.loose.insert(user.clone(), Loose::unread(seals));
        }
    }

    /// Says that every record of the store is counted.
    pub(super) fn is_whole_now(&self) {
        self.lock().is_whole = true;
    }

    /// What all records need. `None`: the store could not be read when the daemon started.
    pub(super) fn seals(&self) -> Option<Seals> {
        let counted = self.lock();
        counted.is_whole.then(|| counted.seals.clone())
    }

    /// Counts what an update needs, before it is queued. `None`: nothing changes.
    pub(super) fn begin(
        &self,
        (from, to): (&UserName, &UserName),
        before: &Seals,
        after: Seals,
    ) -> Option<UnderWay> {
        let mut counted = self.lock();
        if from == to && *before == after && !counted.loose.contains_key(from) {
            return None;
        }
        counted.seals.add(&after);
        Some(UnderWay {
            from: from.clone(),
            to: to.clone(),
            before: before.clone(),
            after,
        })
    }

    /// The update came to this.
    pub(super) fn end(&self, update: Option<UnderWay>, outcome: &Result<Outcome, Unavailable>) {
        let Some(update) = update else { return };
        let mut counted = self.lock();
        match outcome {
            // Every earlier update of the same user is durable as well, or never will be.
            Ok(Outcome::Done(_)) => {
                let loose = counted.loose.remove(&update.from);
                let before = loose.map_or(update.before, |loose| loose.seals);
                counted.seals.take_off(&before);
            }
            Ok(Outcome::Conflict) => counted.seals.take_off(&update.after),
            // It may be durable, or become so: both count.
            Ok(Outcome::Unknown) | Err(Unavailable) => {
                counted.queued(update.from, update.before, Seals::default());
                counted.queued(update.to, Seals::default(), update.after);
            }
        }
    }

    /// The update was given up before it was queued.
    pub(super) fn give_up(&self, update: Option<UnderWay>) {
        if let Some(update) = update {
            self.lock().seals.take_off(&update.after);
        }
    }

    /// The users of whose records it is not known what they need, and whether an update may be
    /// queued.
    pub(super) fn loose(&self) -> Vec<(UserName, bool)> {
        let counted = self.lock();
        let loose = counted.loose.iter();
        loose
            .map(|(user, loose)| (user.clone(), loose.is_queued))
            .collect()
    }

    /// Counts such a record anew, as it is in the store. No update of it is queued.
    pub(super) fn settle(&self, user: &UserName, seals: Seals, is_read: bool) {
        let mut counted = self.lock();
        let Some(before) = counted.loose.remove(user) else {
            return;
        };
        counted.seals.add(&seals);
        counted.seals.take_off(&before.seals);
        if !is_read {
            counted.loose.insert(user.clone(), Loose::unread(seals));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// `before` is counted for the user unless more is already; `after` is, besides.
    fn queued(&mut self, user: UserName, before: Seals, after: Seals) {
        let loose = self.loose.entry(user).or_insert(Loose {
            seals: before,
            is_queued: true,
        });
        loose.seals.add(&after);
        loose.is_queued = true;
    }
}

impl Loose {
    fn unread(seals: Seals) -> Self {
        Self {
            seals,
            is_queued: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, secrets, user};
    use crate::store::Version;

    /// What a record of this user with one device needs.
    fn needed() -> Seals {
        let (alice, record) = record();
        let bytes = record.to_bytes(&alice, &secrets()).unwrap();
        Seals::read(&bytes, &alice, &secrets())
    }

    fn records(by_tag: &ByTag) -> u64 {
        by_tag.seals().unwrap().held("2").records
    }

    fn counting() -> ByTag {
        let by_tag = ByTag::default();
        assert!(by_tag.seals().is_none(), "not yet");
        by_tag.is_whole_now();
        by_tag
    }

    const DONE: Result<Outcome, Unavailable> = Ok(Outcome::Done(Version::FIRST));

    #[test]
    fn an_update_counts_before_it_is_durable_and_what_it_replaces_until_then() {
        let (by_tag, alice) = (counting(), user("alice"));
        let whose = (&alice, &alice);
        let first = by_tag.begin(whose, &Seals::default(), needed());
        assert_eq!(records(&by_tag), 1);
        by_tag.end(first, &DONE);
        assert_eq!(records(&by_tag), 1);
        assert!(by_tag.begin(whose, &needed(), needed()).is_none());
        let gone = by_tag.begin(whose, &needed(), Seals::default());
        assert_eq!(records(&by_tag), 1);
        by_tag.end(gone, &DONE);
        assert_eq!(by_tag.seals(), Some(Seals::default()));
    }

    #[test]
    fn an_update_that_lost_a_race_or_was_given_up_counts_no_more() {
        let (by_tag, alice) = (counting(), user("alice"));
        let begin = || by_tag.begin((&alice, &alice), &Seals::default(), needed());
        by_tag.end(begin(), &Ok(Outcome::Conflict));
        by_tag.give_up(begin());
        assert_eq!(records(&by_tag), 0);
    }

    #[test]
    fn an_update_whose_outcome_is_unknown_counts_until_the_next_or_until_it_is_settled() {
        for settled in [false, true] {
            let (by_tag, alice) = (counting(), user("alice"));
            let begin = |before: &Seals, after| by_tag.begin((&alice, &alice), before, after);
            by_tag.end(begin(&Seals::default(), needed()), &DONE);
            let unknown = begin(&needed(), Seals::default());
            by_tag.end(unknown, &Ok(Outcome::Unknown));
            assert_eq!(records(&by_tag), 1, "it may still be there");
            assert_eq!(by_tag.loose(), [(alice.clone(), true)]);
            if settled {
                by_tag.settle(&alice, Seals::default(), true);
            } else {
                let next = begin(&needed(), Seals::default());
                by_tag.end(next, &DONE);
            }
            assert_eq!((records(&by_tag), by_tag.loose()), (0, Vec::new()));
        }
    }

    #[test]
    fn a_rename_of_unknown_outcome_counts_for_both_names() {
        let (by_tag, alice, bob) = (counting(), user("alice"), user("bob"));
        by_tag.note(&alice, needed(), true);
        let unknown = by_tag.begin((&alice, &bob), &needed(), needed());
        by_tag.end(unknown, &Err(Unavailable));
        assert_eq!(records(&by_tag), 2);
        by_tag.settle(&alice, Seals::default(), true);
        by_tag.settle(&bob, needed(), true);
        assert_eq!((records(&by_tag), by_tag.loose()), (1, Vec::new()));
    }
}
