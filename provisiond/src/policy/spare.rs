//! The verdict on a code that no device shows. It is judged whatever else is asked for, from every source: eighty bits need
//! no budget, and the shorter bypass has its own few tries.

use common::protocol::Verdict;
use common::secret::Key;
use common::spare::SpareCode;

use super::{Circumstances, Judged, welcome};
use crate::codes::{Codes, Finding, Purpose};
use crate::record::Record;

/// Judges the code against `codes`, those of the record, or none: who has none takes the same time. `key` is theirs.
pub fn judge(
    record: &Record,
    (mut codes, key): (Codes, Key),
    code: &SpareCode,
    purpose: Purpose,
    refund: u32,
    now: &Circumstances<'_>,
) -> Judged {
    let finding = codes.try_code(&key, code, purpose, &now.moment);
    let mut next = record.clone();
    next.codes = next.codes.map(|_| codes);
    let verdict = match finding {
        Some(Finding::RecoveryCode(_) | Finding::Bypass(_) | Finding::Ticket) => Verdict::Accepted,
        Some(Finding::Doubtful) => Verdict::Refused,
        Some(Finding::Expired | Finding::BypassGone) | None => Verdict::Rejected,
    };
    match verdict {
        Verdict::Accepted => welcome(&mut next, refund, now),
        // As hard to guess as a pair of codes and harder; counted in the same way.
        Verdict::Rejected => {
            let pool = next.pool_mut(now.source, now.moment.now);
            pool.series = pool.series.one_more(&now.moment);
        }
        _ => return Judged { finding, ..Judged::unlooked(verdict) },
    }
    Judged { finding, next: Some(next), ..Judged::unlooked(verdict) }
}
