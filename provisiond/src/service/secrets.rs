//! Watches the application secrets: tells of those that have another value than before, and of those
//! that records need and the settings lack.

use std::time::{Duration, Instant};

use common::config::Settings;
use common::secrets::Secrets;
use common::wire::protocol::SealedUnder;

use super::Service;
use crate::audit::Line;
use crate::record::seals::Held;

impl Service {
    /// Notices application secrets that have another value than before. Called before settings are
    /// in force. If the store does not answer, what was known before stays.
    pub fn check_secrets(&self, settings: &Settings) {
        match self.records.check_secrets(&settings.secrets, soon()) {
            Ok(wrong) => wrong.iter().for_each(|tag| {
                let line = Line::new("wrong_secret").with("tag", tag);
                self.audit.write(line.error());
            }),
            Err(why) => self
                .audit
                .write(Line::new("secrets_not_checked").with("reason", why).error()),
        }
    }

    /// Logs each application secret that records need and the settings lack. The users of those
    /// records are refused until it is back.
    pub fn tell_missing_secrets(&self) {
        let Some(seals) = self.records.seals() else {
            return;
        };
        let settings = self.settings();
        for (tag, held) in seals.by_tag() {
            if held.records > 0 && !has(&settings.secrets, tag) {
                let line = Line::new("missing_secret").with("tag", tag);
                self.audit.write(line.with("records", held.records).error());
            }
        }
    }

    /// Finds out what records need of which that was not known. What stays unknown counts for too
    /// much, which only keeps a secret in the settings.
    pub(crate) fn settle_counts(&self) {
        let _ = self.records.settle_counts(&self.settings().secrets, soon());
    }

    /// Whether no reload has made another secret the default.
    pub(crate) fn still_seals_as(&self, secrets: &Secrets) -> bool {
        self.settings().secrets.seal_as(secrets)
    }

    /// What needs which application secret: one row for each tag in the settings, and for each that
    /// records need. `None`: the store could not be read when the daemon started.
    pub(crate) fn sealed(&self, secrets: &Secrets) -> Option<Vec<SealedUnder>> {
        let seals = self.records.seals()?;
        let known = secrets.tags().map(|tag| tag.as_str());
        let mut tags: Vec<&str> = known.chain(seals.by_tag().map(|(tag, _)| tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let rows = tags
            .into_iter()
            .map(|tag| row(tag, seals.held(tag), secrets));
        Some(rows.collect())
    }
}

fn row(tag: &str, held: Held, secrets: &Secrets) -> SealedUnder {
    SealedUnder {
        tag: tag.to_owned(),
        default: secrets.default_tag().as_str() == tag,
        known: has(secrets, tag),
        records: held.records,
        macs: held.macs,
        device_keys: held.device_keys,
        code_keys: held.code_keys,
        tombstones: held.tombstones,
        decoys: held.decoys,
    }
}

fn has(secrets: &Secrets, tag: &str) -> bool {
    secrets.tags().any(|known| known.as_str() == tag)
}

fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(CHECK_TIME).unwrap_or(now)
}

const CHECK_TIME: Duration = Duration::from_secs(10);
