//! Reads and changes users' records in the store, one attempt at a time for each user.
//!
//! The only way to change a record: wait for the turn in the user queue, load, decide,
//! compare-and-swap with `replace`, and start again if the record changed meanwhile. The caller
//! gets no answer before the change is durable.

mod by_tag;
mod by_uid;
mod canaries;
pub mod rotation;
mod sealing;
mod stand_in;
pub mod user_queue;
mod walk;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use common::names::user::UserName;
use common::secrets::Secrets;

use crate::clock::Clock;
use crate::record::seals::Seals;
use crate::record::{CannotMake, CannotWrite, Damaged, Record};
use crate::records::by_tag::ByTag;
use crate::records::by_uid::ByUid;
pub use crate::records::sealing::StillNeeded;
use crate::records::sealing::{Sealed, seals_of};
use crate::records::stand_in::StandIn;
use crate::records::user_queue::UserQueues;
pub use crate::records::walk::Listed;
use crate::store::{Health, Incomplete, Measures, Note, Outcome, Store, Stored, Unavailable};

/// The records of all users.
pub struct Records {
    store: Box<dyn Store>,
    clock: Arc<Clock>,
    queues: UserQueues,
    /// The tags whose application secret is another than before.
    wrong_tags: RwLock<Vec<String>>,
    by_uid: ByUid,
    by_tag: ByTag,
    /// The application secrets in force, once the daemon has put some in force.
    in_force: RwLock<Option<Arc<Secrets>>>,
    of_a_user: StandIn,
    of_a_decoy: StandIn,
}

/// One access to a record: the user, the caller's priority, the secrets and the deadline.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The user whose record it is.
    pub user: &'a UserName,
    /// The caller is a root process, which is served first.
    pub root: bool,
    /// The application secrets that records are sealed under.
    pub secrets: &'a Secrets,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// A user's record, as it was found.
pub struct Found {
    stored: Option<Stored>,
    record: Option<Record>,
}

impl Found {
    /// The record, if there is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The same, and nothing is left to be changed.
    #[must_use]
    pub fn into_record(self) -> Option<Record> {
        self.record
    }
}

/// The decision about a record.
#[derive(Debug)]
#[must_use]
pub struct Decision<T> {
    /// The record to store, if it changes.
    pub next: Option<Record>,
    /// The answer to the caller, once the record is durable.
    pub outcome: T,
}

/// Why a record could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user queue is full, or the deadline has passed.
    #[error("too many attempts for this user")]
    Busy,
    /// The store does not work now.
    #[error("the store does not work now")]
    Unavailable,
    /// It is not known whether the change became durable.
    #[error("the store did not say in time whether the change is durable")]
    Unknown,
    /// Users may be missing from the store, so no user is enrolled.
    #[error("users may be missing from the store, so no user is enrolled")]
    Incomplete,
    /// The default application secret is another than before, so nothing is sealed under it.
    #[error("the application secret of the default tag is another than before")]
    WrongSecret,
    /// The changed record cannot be serialized.
    #[error(transparent)]
    CannotWrite(#[from] CannotWrite),
    /// The record is damaged, or was tampered with.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Without a seal a record cannot be written.
impl From<CannotMake> for Failure {
    fn from(CannotMake: CannotMake) -> Self {
        Self::CannotWrite(CannotWrite)
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl Records {
    /// Takes ownership of the store. `clock` is the clock whose mark the store keeps.
    #[must_use]
    pub fn new(store: Box<dyn Store>, clock: Arc<Clock>) -> Self {
        Self {
            store,
            clock,
            queues: UserQueues::default(),
            wrong_tags: RwLock::default(),
            by_uid: ByUid::default(),
            by_tag: ByTag::default(),
            in_force: RwLock::default(),
            of_a_user: StandIn::of_a_user(),
            of_a_decoy: StandIn::of_a_decoy(),
        }
    }

    /// The names of the records, of users that were enrolled or shut, that are bound to this uid,
    /// but for the record of the name `own`, which is not looked at. A record that was bound to the
    /// uid and is damaged now counts as well.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn others_bound_to(
        &self,
        uid: u32,
        own: &UserName,
        secrets: &Secrets,
    ) -> Result<Vec<UserName>, Unavailable> {
        if !self.by_uid.is_whole() {
            self.note_uids(secrets)?;
        }
        let mut bound = Vec::new();
        for name in self.by_uid.of(uid).into_iter().filter(|name| name != own) {
            let counts = match self.look(&name, secrets) {
                Ok(record) => {
                    record.is_some_and(|record| record.uid == Some(uid) && record.is_somebodys())
                }
                Err(Failure::Damaged(_)) => true,
                Err(_) => return Err(Unavailable),
            };
            if counts {
                bound.push(name);
            }
        }
        Ok(bound)
    }

    /// The names of the records that could not be read when their uids were noted. Each may be bound
    /// to any uid, and may be readable or gone by now.
    #[must_use]
    pub fn unread(&self) -> Vec<UserName> {
        self.by_uid.unread()
    }

    /// The user's record as it is now. The look takes as long if there is none.
    ///
    /// # Errors
    /// [`Failure::Unavailable`], [`Failure::Damaged`].
    pub fn look(&self, user: &UserName, secrets: &Secrets) -> Result<Option<Record>, Failure> {
        self.find(user, secrets).map(Found::into_record)
    }

    /// The same, for a change that may follow at once ([`Self::change_found`]).
    ///
    /// # Errors
    /// [`Failure::Unavailable`], [`Failure::Damaged`].
    pub fn find(&self, user: &UserName, secrets: &Secrets) -> Result<Found, Failure> {
        self.opened(self.store.load(user)?, user, secrets)
    }

    /// The same of two names, of which one may be a decoy's.
    pub fn find_both(
        &self,
        names: [&UserName; 2],
        secrets: &Secrets,
    ) -> [Result<Found, Failure>; 2] {
        let mut rows = self.store.load_many(&names).unwrap_or_default().into_iter();
        names.map(|name| {
            let row = rows.next().ok_or(Failure::Unavailable)?;
            self.opened(row, name, secrets)
        })
    }

    /// A decoy that was not made yet: it has a full budget and one device, like one that was just
    /// made.
    #[must_use]
    pub fn decoys_stand_in(&self, secrets: &Secrets) -> Option<Record> {
        self.of_a_decoy.open(secrets)
    }

    fn opened(
        &self,
        stored: Option<Stored>,
        name: &UserName,
        secrets: &Secrets,
    ) -> Result<Found, Failure> {
        let record = match &stored {
            Some(stored) => Some(Record::from_bytes(&stored.bytes, name, secrets)?),
            None => {
                let _takes_as_long = match name.is_reserved() {
                    true => self.of_a_decoy.open(secrets),
                    false => self.of_a_user.open(secrets),
                };
                None
            }
        };
        Ok(Found { stored, record })
    }

    /// Calls `decide` with the user's record and makes its decision durable. `decide` is called
    /// again when the record was changed in the meantime, so it must have no side effects.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn change<T>(
        &self,
        access: Access<'_>,
        decide: impl FnMut(Option<&Record>) -> Decision<T>,
    ) -> Result<T, Failure> {
        self.change_found(access, None, decide)
    }

    /// The same, and the first decision is about the record as it was found before the user's turn. It
    /// counts only if it changes the record, and the record is still that one: so a store on the
    /// network is asked once less.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn change_found<T>(
        &self,
        access: Access<'_>,
        found: Option<Found>,
        mut decide: impl FnMut(Option<&Record>) -> Decision<T>,
    ) -> Result<T, Failure> {
        let turn = self
            .queues
            .take(access.user, access.root, access.deadline)
            .ok_or(Failure::Busy)?;
        // Another attempt has changed it since, most likely.
        let mut found = found.filter(|_| turn.came_at_once);
        while Instant::now() < access.deadline {
            let is_early = found.is_some();
            let Found { stored, record } = match found.take() {
                Some(found) => found,
                None => self.loaded(&access)?,
            };
            let decision = decide(record.as_ref());
            let Some(next) = decision.next else {
                if is_early {
                    continue;
                }
                return Ok(decision.outcome);
            };
            let enrols = self.enrols(record.as_ref(), &next, access.user)?;
            if record
                .as_ref()
                .is_some_and(|record| record.has_key_not_in(&next))
            {
                self.store.will_delete();
            }
            let before = (stored.as_ref(), record.as_ref());
            match self.write(next, before, enrols, &access)? {
                Outcome::Done(_) => return Ok(decision.outcome),
                Outcome::Conflict => {}
                Outcome::Unknown => return Err(Failure::Unknown),
            }
        }
        Err(Failure::Busy)
    }

    fn loaded(&self, access: &Access<'_>) -> Result<Found, Failure> {
        let stored = self.store.load(access.user)?;
        let record = read(stored.as_ref(), access)?;
        Ok(Found { stored, record })
    }

    /// Removes the user's record, even a damaged one. Returns whether there was one.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn remove(&self, access: Access<'_>) -> Result<bool, Failure> {
        let _turn = self
            .queues
            .take(access.user, access.root, access.deadline)
            .ok_or(Failure::Busy)?;
        while Instant::now() < access.deadline {
            let Some(stored) = self.store.load(access.user)? else {
                return Ok(false);
            };
            let before = Seals::read(&stored.bytes, access.user, access.secrets);
            let whose = (access.user, access.user);
            let update = self.by_tag.begin(whose, &before, Seals::default());
            let removed = self
                .store
                .remove(access.user, stored.version, access.deadline);
            self.by_tag.end(update, &removed);
            match removed? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict => {}
                Outcome::Unknown => return Err(Failure::Unknown),
            }
        }
        Err(Failure::Busy)
    }

    /// Moves the user's record to the name `to`, which must have none. `remake` makes the new
    /// record; it gets the present one, and whether `to` has a record already.
    ///
    /// # Errors
    /// [`Failure`]; inside, the error of `remake`.
    pub fn rename<E>(
        &self,
        access: Access<'_>,
        to: &UserName,
        mut remake: impl FnMut(Option<Record>, bool) -> Result<Record, E>,
    ) -> Result<Result<(), E>, Failure> {
        if self.incomplete().is_some() {
            return Err(Failure::Incomplete);
        }
        // Always in the order of the names, so that two renames cannot deadlock.
        let turn = |user| {
            self.queues
                .take(user, access.root, access.deadline)
                .ok_or(Failure::Busy)
        };
        let _first = turn(access.user.min(to))?;
        let _second = if access.user == to {
            None
        } else {
            Some(turn(access.user.max(to))?)
        };
        while Instant::now() < access.deadline {
            let (stored, taken) = (
                self.store.load(access.user)?,
                self.store.load(to)?.is_some(),
            );
            let record = read(stored.as_ref(), &access)?;
            let before = seals_of(stored.as_ref(), record.as_ref(), access.user);
            let next = match remake(record, taken) {
                Ok(next) => next,
                Err(error) => return Ok(Err(error)),
            };
            let next = Record {
                generation: next.generation.saturating_add(1),
                ..next
            };
            let Some(Stored { version, .. }) = stored else {
                return Err(Failure::Unavailable);
            };
            let Sealed { bytes, update } = self.sealed(&next, &before, to, &access)?;
            self.by_uid.note(next.uid, to);
            let renamed = self
                .store
                .rename(access.user, version, to, bytes, access.deadline);
            self.by_tag.end(update, &renamed);
            match renamed? {
                Outcome::Done(_) => return Ok(Ok(())),
                Outcome::Conflict => {}
                Outcome::Unknown => return Err(Failure::Unknown),
            }
        }
        Err(Failure::Busy)
    }

    /// The state of the store.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn health(&self) -> Result<Health, Unavailable> {
        self.store.health()
    }

    /// What the store has counted, and its files.
    #[must_use]
    pub fn measures(&self) -> Measures {
        self.store.measures()
    }

    /// When the last roll-back of the store was found, in trusted seconds.
    #[must_use]
    pub fn rolled_back_tick(&self) -> Option<u64> {
        self.store.rolled_back_tick()
    }

    /// Compares the secrets that are about to be in force with those of before. While the default
    /// one is wrong, no record is written. Returns the tags of the wrong ones.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn check_secrets(
        &self,
        secrets: &Secrets,
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let wrong = self.wrong_tags(secrets, deadline)?;
        let mut known = self
            .wrong_tags
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.clone_from(&wrong);
        Ok(wrong)
    }

    /// The tags whose application secret is another than before.
    #[must_use]
    pub fn wrong_secrets(&self) -> Vec<String> {
        let known = self.wrong_tags.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is sealed under a wrong secret is lost when the right one comes back.
    fn may_seal(&self, secrets: &Secrets) -> Result<(), Failure> {
        let known = self.wrong_tags.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        match known
            .iter()
            .any(|tag| tag == secrets.default_tag().as_str())
        {
            true => Err(Failure::WrongSecret),
            false => Ok(()),
        }
    }

    /// Whether users may be missing from the store.
    #[must_use]
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.store.incomplete()
    }

    /// From now on users that the store does not hold were never enrolled. Durable on return.
    ///
    /// # Errors
    /// [`Failure::Unavailable`], [`Failure::Unknown`].
    pub fn accept_loss(&self, deadline: Instant) -> Result<(), Failure> {
        durable(self.store.accept_loss(deadline)?)
    }

    /// Makes the mark of the clock durable, and the witnesses of the store's age with it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`], [`Failure::Unknown`].
    pub fn keep_mark(&self, deadline: Instant) -> Result<(), Failure> {
        durable(self.store.keep_mark(deadline)?)
    }

    /// Leaves a note for the other daemons of the store, removes the notes of `gone`, and returns all.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn exchange_notes(&self, note: &[u8], gone: &[String]) -> Result<Vec<Note>, Unavailable> {
        self.store.exchange_notes(note, gone)
    }

    /// Makes everything durable and accepts no more changes.
    pub fn close(&self) {
        self.store.close();
    }

    /// Whether the change makes the user one who was enrolled. The witnesses of the store hear of
    /// that before the caller does: a store without it must never look like one in which the user
    /// never was. While users may be missing, nothing leads to an enrolment: the record that the
    /// user has may be among them.
    fn enrols(
        &self,
        before: Option<&Record>,
        next: &Record,
        user: &UserName,
    ) -> Result<bool, Failure> {
        if user.is_reserved() || before.is_some_and(|before| before.enrolled) {
            return Ok(false);
        }
        let devices = before.map_or(0, |before| before.devices.len());
        let leads_to_it =
            before.is_none() && !next.disabled || next.enrolled || next.devices.len() > devices;
        if leads_to_it && self.incomplete().is_some() {
            return Err(Failure::Incomplete);
        }
        Ok(next.is_somebodys())
    }

    fn write(
        &self,
        next: Record,
        (stored, record): (Option<&Stored>, Option<&Record>),
        enrols: bool,
        access: &Access<'_>,
    ) -> Result<Outcome, Failure> {
        let next = Record {
            generation: next.generation.saturating_add(1),
            ..next
        };
        let before = seals_of(stored, record, access.user);
        let Sealed { bytes, update } = self.sealed(&next, &before, access.user, access)?;
        self.by_uid.note(next.uid, access.user);
        // Before the update: it writes the mark into the store, and to the store's witnesses.
        self.clock.will_spend(next.latest_spent());
        let (store, user, deadline) = (&self.store, access.user, access.deadline);
        let written = match stored.map(|stored| stored.version) {
            version if enrols => store.enrol(user, version, bytes, deadline),
            Some(version) => store.replace(user, version, bytes, deadline),
            None => store.insert_new(user, bytes, deadline),
        };
        self.by_tag.end(update, &written);
        Ok(written?)
    }
}

fn read(stored: Option<&Stored>, access: &Access<'_>) -> Result<Option<Record>, Damaged> {
    stored
        .map(|stored| Record::from_bytes(&stored.bytes, access.user, access.secrets))
        .transpose()
}

fn durable(outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Conflict | Outcome::Unknown => Err(Failure::Unknown),
    }
}

/// Decoys, under the first reserved names. A power of two.
pub(crate) const DECOYS: u16 = 1024;

#[cfg(test)]
mod tests;
