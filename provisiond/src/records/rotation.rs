//! The rotation, record by record: finds the records of which anything is sealed under another tag
//! than the default one, and seals them anew.
//!
//! Each record is one durable change, made in the user's turn and only if no other change came first.
//! A daemon that is killed in between leaves each record whole, under the old secret or the new one.

use std::time::Instant;

use common::names::user::UserName;
use common::secrets::Secrets;

use super::{Access, DECOYS, Decision, Failure, Records};
use crate::record::seals::Seals;
use crate::record::{CannotMake, Record};
use crate::store::{Stored, Unavailable};

/// Records that were looked at together.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many were looked at.
    pub looked: u64,
    /// Those of which anything is under another tag than the default one, or which cannot be read.
    pub due: Vec<UserName>,
}

/// Where a walk over all records is: users in the order of their names, then the decoys.
#[derive(Debug, Default)]
pub struct Walk {
    after: Option<UserName>,
    decoys: Option<u16>,
}

impl Records {
    /// The next batch of the walk; `None` at its end.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn next_due(
        &self,
        walk: &mut Walk,
        secrets: &Secrets,
    ) -> Result<Option<Batch>, Unavailable> {
        let records = match walk.decoys {
            None => self.store.list(walk.after.as_ref(), BATCH)?,
            Some(first) => self.decoys_from(first)?,
        };
        match (records.last(), walk.decoys) {
            (Some((last, _)), None) => walk.after = Some(last.clone()),
            (None, None) => walk.decoys = Some(0),
            (_, Some(DECOYS..)) => return Ok(None),
            (_, Some(first)) => walk.decoys = Some(first.saturating_add(BATCH_OF_DECOYS)),
        }
        let mut batch = Batch::default();
        for (user, stored) in records {
            batch.looked = batch.looked.saturating_add(1);
            if !Seals::read(&stored.bytes, &user, secrets).are_all_under(secrets.default_tag()) {
                batch.due.push(user);
            }
        }
        Ok(Some(batch))
    }

    /// Those that were made.
    pub(super) fn decoys_from(&self, first: u16) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        let end = first.saturating_add(BATCH_OF_DECOYS).min(DECOYS);
        let names: Vec<UserName> = (first..end).map(UserName::reserved).collect();
        let found = self.store.load_many(&names.iter().collect::<Vec<_>>())?;
        let named = names.into_iter().zip(found);
        Ok(named
            .filter_map(|(name, stored)| Some((name, stored?)))
            .collect())
    }

    /// Seals everything in the user's record under the default tag, durably. Returns whether
    /// everything is: a key that does not open stays under its own.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn reseal(
        &self,
        user: &UserName,
        secrets: &Secrets,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let access = Access {
            user,
            root: false,
            secrets,
            deadline,
        };
        let resealed = self.change(access, |record| {
            let next = record.map(|record| record.clone().resealed(user, secrets, secrets));
            match next.transpose() {
                Ok(next) => {
                    let is_whole = next.as_ref().is_none_or(|next| is_under(next, secrets));
                    Decision {
                        next,
                        outcome: Ok(is_whole),
                    }
                }
                Err(CannotMake) => Decision {
                    next: None,
                    outcome: Err(CannotMake),
                },
            }
        })?;
        Ok(resealed?)
    }
}

fn is_under(record: &Record, secrets: &Secrets) -> bool {
    Seals::of_keys(record).are_all_under(secrets.default_tag())
}

/// Records that are looked at before others get a turn at the disk.
const BATCH: usize = 64;
pub(super) const BATCH_OF_DECOYS: u16 = 64;
