//! Canaries: notice an application secret whose value is another than before. Without them a wrong
//! secret under the right tag looks like a store of altered records, and new users are sealed under
//! it.
//!
//! ```text
//! canary   HMAC-SHA256(HKDF-SHA256(application secret, info = "pam-totp canary v1"), tag)
//! ```
//! One reserved row of the store has the canary of each tag that was ever used. Weak secrets have
//! none, because it would make them easy to guess.

use std::time::Instant;

use common::names::user::UserName;
use common::secrets::Secrets;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{DECOYS, Failure, Records, durable};
use crate::store::{Outcome, Stored};

/// A tag and its canary.
type Canary = (String, [u8; 32]);

impl Records {
    /// Compares the secrets with their canaries, and stores canaries of new tags. Returns the tags
    /// whose secret is another than before: all of them, if no record opens and the store knows none
    /// of the tags. In a store without users any secret is right.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn wrong_tags(
        &self,
        secrets: &Secrets,
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let present = canaries_of(secrets);
        while Instant::now() < deadline {
            let stored = self.store.load(&row())?;
            let known = match &stored {
                Some(stored) if self.store.health()?.users > 0 => read(stored),
                _ => Vec::new(),
            };
            let of = |tag: &str| known.iter().find(|(known, _)| known == tag);
            let all_are_new = present.iter().all(|(tag, _)| of(tag).is_none());
            if all_are_new && self.opens_no_record(secrets)? {
                return Ok(present.into_iter().map(|(tag, _)| tag).collect());
            }
            let (new, old): (Vec<Canary>, Vec<Canary>) = present
                .iter()
                .cloned()
                .partition(|(tag, _)| of(tag).is_none());
            let is_wrong = |(tag, canary): &Canary| of(tag).is_some_and(|(_, was)| was != canary);
            let wrong = old
                .into_iter()
                .filter(is_wrong)
                .map(|(tag, _)| tag)
                .collect();
            if new.is_empty() {
                return Ok(wrong);
            }
            match self.learn(&[known, new].concat(), stored.as_ref(), deadline)? {
                Outcome::Conflict => {}
                outcome => return durable(outcome).map(|()| wrong),
            }
        }
        Err(Failure::Busy)
    }

    /// Whether there are records and none of the first opens: the settings have lost the secret of
    /// this store, also of one that has no canaries yet.
    fn opens_no_record(&self, secrets: &Secrets) -> Result<bool, Failure> {
        let page = self.page(None, secrets)?;
        Ok(!page.is_empty() && page.iter().all(|listed| listed.record.is_err()))
    }

    fn learn(
        &self,
        canaries: &[Canary],
        stored: Option<&Stored>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let bytes = postcard::to_stdvec(canaries).map_err(|_| Failure::Unavailable)?;
        Ok(match stored {
            Some(stored) => self
                .store
                .replace(&row(), stored.version, bytes, deadline)?,
            None => self.store.insert_new(&row(), bytes, deadline)?,
        })
    }
}

fn canaries_of(secrets: &Secrets) -> Vec<Canary> {
    let canary = |tag: &str| {
        let key = secrets.derive::<32>(tag, None, b"pam-totp canary v1")?;
        let mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).ok()?;
        let bytes = mac.chain_update(tag.as_bytes()).finalize().into_bytes();
        Some((tag.to_owned(), bytes.into()))
    };
    secrets
        .tags()
        .filter_map(|tag| canary(tag.as_str()))
        .collect()
}

/// Damaged canaries count as none.
fn read(stored: &Stored) -> Vec<Canary> {
    postcard::from_bytes(&stored.bytes).unwrap_or_default()
}

/// The reserved name of the row. Decoys have the names below it.
fn row() -> UserName {
    UserName::reserved(DECOYS)
}
