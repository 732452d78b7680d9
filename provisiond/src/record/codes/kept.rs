//! The stored form of each kind of issued code, and when it is valid: uses, wrong tries, expiry.

use std::time::Duration;

use common::config::recovery::MAX_CODES;
use serde::{Deserialize, Serialize};

use super::Finding;
use super::hashed::{Hash, is_hash};
use crate::clock::moment::Moment;
use crate::record::CannotMake;

/// The recovery codes that are left of one printed sheet. `known_since` is the trusted second since
/// when the store knows every use, here and in the other kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecoveryCodes {
    pub(super) hashes: Vec<Hash>,
    pub(super) known_since: u64,
    pub(super) until: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bypass {
    pub(super) code: Timed,
    pub(super) uses: u8,
    /// Wrong codes that it still tolerates.
    pub(super) tries: u8,
}

/// A code that is valid from one Unix second until before another, and not beyond its lifetime in
/// trusted seconds either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timed {
    hash: Hash,
    known_since: u64,
    from: u64,
    pub(super) until: u64,
    until_tick: u64,
}

impl RecoveryCodes {
    /// The index of the code. Always compares with the maximum number of hashes.
    pub(super) fn find(&self, wanted: &Hash) -> Option<usize> {
        let look = |found, slot| {
            if is_hash(self.hashes.get(slot), wanted) {
                Some(slot)
            } else {
                found
            }
        };
        (0..usize::from(MAX_CODES)).fold(None, look)
    }

    pub(super) fn take(&mut self, at: usize, moment: &Moment) -> Option<Finding> {
        if let Some(why_not) = self.why_not(moment) {
            return Some(why_not);
        }
        self.hashes.remove(at);
        Some(Finding::RecoveryCode(self.hashes.len()))
    }

    /// Recovery codes are valid while the clock is before their end, whatever time it showed when
    /// they were issued.
    pub(super) fn why_not(&self, moment: &Moment) -> Option<Finding> {
        why_not(
            self.known_since,
            self.until.is_none_or(|until| moment.now < until),
            moment,
        )
    }
}

impl Timed {
    pub(super) fn new(
        hash: Option<Hash>,
        valid_for: Duration,
        moment: &Moment,
    ) -> Result<Self, CannotMake> {
        let (until, until_tick) = (after(moment.now, valid_for), after(moment.tick, valid_for));
        let (hash, known_since, from) = (hash.ok_or(CannotMake)?, moment.stamp(), moment.now);
        Ok(Self {
            hash,
            known_since,
            from,
            until,
            until_tick,
        })
    }

    /// A clock that is set back makes no expired code valid: trusted seconds count on, and a code
    /// has a beginning, too.
    pub(super) fn why_not(&self, moment: &Moment) -> Option<Finding> {
        let in_time =
            (self.from..self.until).contains(&moment.now) && moment.tick < self.until_tick;
        why_not(self.known_since, in_time, moment)
    }

    /// Whether there is a code and it has the wanted hash.
    pub(super) fn is(timed: Option<&Self>, wanted: &Hash) -> bool {
        is_hash(timed.map(|timed| &timed.hash), wanted)
    }

    pub(super) fn good_until(&self, moment: &Moment) -> Option<u64> {
        self.why_not(moment).is_none().then_some(self.until)
    }
}

/// A code that was issued before a roll-back of the store may have been spent in the time that the
/// store has lost.
fn why_not(known_since: u64, in_time: bool, moment: &Moment) -> Option<Finding> {
    if moment.has_lost(known_since) {
        Some(Finding::Doubtful)
    } else {
        (!in_time).then_some(Finding::Expired)
    }
}

pub(super) fn after(now: u64, span: Duration) -> u64 {
    now.saturating_add(span.as_secs())
}
