//! Under which application secret records are written, and how many need each: the secrets in force,
//! which a reload replaces, and the counts that keep a needed secret from being taken away.
//!
//! A call seals with the secrets that it began with. What it writes after a reload has made another
//! secret the default is sealed anew before it is queued, so that nothing comes back under a tag that
//! a rotation has emptied. An update counts before it looks at the secrets in force; a reload looks
//! at the counts before it puts secrets in force. One of the two sees the other.

use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use common::names::user::UserName;
use common::secrets::Secrets;

use super::by_tag::UnderWay;
use super::rotation::BATCH_OF_DECOYS;
use super::{Access, DECOYS, Failure, Listed, Records};
use crate::record::Record;
use crate::record::seals::Seals;
use crate::store::{Stored, Unavailable};

/// A record as it is written.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) update: Option<UnderWay>,
}

/// Secrets that cannot be put in force, because records need one that they lack.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StillNeeded(String);

impl Records {
    /// Puts secrets in force. They may lack a secret of before only if nothing needs it.
    ///
    /// # Errors
    /// [`StillNeeded`]; then the former secrets stay in force.
    pub fn put_in_force(&self, secrets: &Arc<Secrets>) -> Result<(), StillNeeded> {
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = in_force.as_ref() {
            self.may_replace(before, secrets)?;
        }
        *in_force = Some(Arc::clone(secrets));
        Ok(())
    }

    fn may_replace(&self, before: &Secrets, next: &Secrets) -> Result<(), StillNeeded> {
        let lacks = |tag: &str| next.tags().all(|kept| kept.as_str() != tag);
        let lost: Vec<&str> = before
            .tags()
            .map(|tag| tag.as_str())
            .filter(|tag| lacks(tag))
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let Some(seals) = self.by_tag.seals() else {
            return Err(StillNeeded(NOT_COUNTED.to_owned()));
        };
        let needed = needed_of(&seals, &lost);
        match needed.is_empty() {
            true => Ok(()),
            false => Err(StillNeeded(format!("{needed}: {PUT_IT_BACK}"))),
        }
    }

    /// What the records need of each application secret. `None`: the store could not be read when the
    /// daemon started.
    #[must_use]
    pub fn seals(&self) -> Option<Seals> {
        self.by_tag.seals()
    }

    /// Counts a record that was read at the start.
    pub(super) fn count(&self, listed: &Listed) {
        let seals = Seals::of(&listed.bytes, &listed.user, listed.record.as_ref());
        self.by_tag.note(&listed.user, seals, listed.record.is_ok());
    }

    /// Counts the decoys, which no page lists. After that everything is counted.
    pub(super) fn count_decoys(&self, secrets: &Secrets) -> Result<(), Unavailable> {
        for first in (0..DECOYS).step_by(BATCH_OF_DECOYS.into()) {
            for (name, stored) in self.decoys_from(first)? {
                let record = Record::from_bytes(&stored.bytes, &name, secrets);
                let seals = Seals::of(&stored.bytes, &name, record.as_ref());
                self.by_tag.note(&name, seals, record.is_ok());
            }
        }
        self.by_tag.is_whole_now();
        Ok(())
    }

    /// Finds out what records need of which that is not known, as far as the secrets tell: those that
    /// could not be read, and those with an update of unknown outcome.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn settle_counts(&self, secrets: &Secrets, deadline: Instant) -> Result<(), Failure> {
        for (user, is_queued) in self.by_tag.loose() {
            let turn = self.queues.take(&user, true, deadline);
            let _turn = turn.ok_or(Failure::Busy)?;
            if is_queued {
                // Goes through the same queue, behind every update of the user.
                self.keep_mark(deadline)?;
            }
            let stored = self.store.load(&user)?;
            let (seals, is_read) = match &stored {
                Some(stored) => {
                    let record = Record::from_bytes(&stored.bytes, &user, secrets);
                    let seals = Seals::of(&stored.bytes, &user, record.as_ref());
                    (seals, record.is_ok())
                }
                None => (Seals::default(), true),
            };
            self.by_tag.settle(&user, seals, is_read);
        }
        Ok(())
    }

    /// The record's bytes for `to`, whose record was that of `access.user` before, under the secrets
    /// in force. What they need is counted.
    pub(super) fn sealed(
        &self,
        next: &Record,
        before: &Seals,
        to: &UserName,
        access: &Access<'_>,
    ) -> Result<Sealed, Failure> {
        loop {
            let in_force = self.in_force();
            let newer = in_force
                .as_deref()
                .filter(|in_force| !in_force.seal_as(access.secrets));
            let (bytes, after) = match newer {
                Some(newer) => {
                    let next = next.clone().resealed(to, access.secrets, newer)?;
                    self.written(&next, to, newer)?
                }
                None => self.written(next, to, access.secrets)?,
            };
            let update = self.by_tag.begin((access.user, to), before, after);
            let now = self.in_force();
            if now.as_ref().map(Arc::as_ptr) == in_force.as_ref().map(Arc::as_ptr) {
                return Ok(Sealed { bytes, update });
            }
            self.by_tag.give_up(update);
        }
    }

    fn written(
        &self,
        next: &Record,
        user: &UserName,
        secrets: &Secrets,
    ) -> Result<(Vec<u8>, Seals), Failure> {
        self.may_seal(secrets)?;
        let bytes = next.to_bytes(user, secrets)?;
        let seals = Seals::of(&bytes, user, Ok(next));
        Ok((bytes, seals))
    }

    fn in_force(&self) -> Option<Arc<Secrets>> {
        let in_force = self.in_force.read();
        in_force.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What stored bytes need, of a record that was read.
pub(super) fn seals_of(stored: Option<&Stored>, record: Option<&Record>, user: &UserName) -> Seals {
    match (stored, record) {
        (Some(stored), Some(record)) => Seals::of(&stored.bytes, user, Ok(record)),
        _ => Seals::default(),
    }
}

/// How many records need each of these tags: the beginning of a sentence. Empty: none does.
fn needed_of(seals: &Seals, tags: &[&str]) -> String {
    let mut needed = String::new();
    for tag in tags {
        let held = seals.held(tag);
        let separator = if needed.is_empty() { "" } else { ", and " };
        let _ = match (held.records, held.decoys) {
            (0, 0) => Ok(()),
            (0, decoys) => write!(
                needed,
                "{separator}{decoys} decoys need the application secret '{tag}'"
            ),
            (1, _) => write!(
                needed,
                "{separator}1 record needs the application secret '{tag}'"
            ),
            (records, _) => write!(
                needed,
                "{separator}{records} records need the application secret '{tag}'"
            ),
        };
    }
    needed
}

const NOT_COUNTED: &str = "no application secret can be taken away, because the store could not be read when the daemon \
                           started: restart the daemon, then try again";
const PUT_IT_BACK: &str = "put it back, run 'totpctl rotate', and take it away when 'totpctl status' shows no record under it";

#[cfg(test)]
mod tests;
