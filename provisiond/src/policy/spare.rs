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
        Verdict::Accepted => {
            welcome(&mut next, refund, now);
            Judged { finding, next: Some(next), ..Judged::unlooked(verdict) }
        }
        Verdict::Rejected => Judged { finding, ..wrong(next, now) },
        _ => Judged { finding, ..Judged::unlooked(verdict) },
    }
}

/// The verdict on a code that is wrong, whatever it was compared with. It was as hard to guess as a pair of codes and harder,
/// and is counted in the same way.
pub fn wrong(mut record: Record, now: &Circumstances<'_>) -> Judged {
    let pool = record.pool_mut(now.source, now.moment.now);
    pool.series = pool.series.one_more(&now.moment);
    Judged { next: Some(record), ..Judged::unlooked(Verdict::Rejected) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::config::Policy;
    use common::recovery::Recovery;

    use super::*;
    use crate::record::tests::{secrets, user};
    use crate::source::Source;
    use crate::throttle::{Moment, Units};

    const POLICY: Policy = Policy { window: 1, budget: 5, refill: Duration::from_secs(86400), strict: false };
    const NOW: u64 = 1_234_567_890;

    fn now() -> Circumstances<'static> {
        let (moment, source) = (Moment::ordinary(NOW), Source::told(Some("192.0.2.1"), None));
        Circumstances { policy: &POLICY, moment, source, service: "sshd", suspect: true }
    }

    /// A user who has used up every guess, and a recovery code of theirs.
    fn alice() -> (Record, SpareCode) {
        let (mut codes, key) = Codes::opened(None, &user("alice"), &secrets()).unwrap();
        let shown = codes.renew(&key, &Recovery { codes: 10, expire: None }, &Moment::ordinary(NOW)).unwrap();
        let record = Record { enrolled: true, codes: Some(codes), ..Record::new(&Moment::ordinary(NOW)) };
        let code = SpareCode::parse(shown[0].expose()).unwrap();
        (charged(record, 5), code)
    }

    fn charged(mut record: Record, units: u32) -> Record {
        record.known.budget = record.known.budget.charged(units, &POLICY, &Moment::ordinary(NOW));
        record
    }

    fn tried(record: &Record, code: &SpareCode, refund: u32, now: &Circumstances<'_>) -> Judged {
        let codes = Codes::opened(record.codes.as_ref(), &user("alice"), &secrets()).unwrap();
        judge(record, codes, code, Purpose::Login, refund, now)
    }

    #[test]
    fn a_recovery_code_lets_in_where_no_single_code_would_and_brings_what_every_login_brings() {
        let (mut record, code) = alice();
        record.sources.learn(now().source, NOW - 1);
        let judged = tried(&record, &code, 2, &now());
        assert_eq!((judged.verdict, judged.finding), (Verdict::Accepted, Some(Finding::RecoveryCode(9))));
        assert_eq!((judged.charged, judged.device), (Units::default(), None));
        let next = judged.next.unwrap();
        assert_eq!(next.known.budget.left(&POLICY, &now().moment), 2, "what wrong codes have cost comes back");
        assert!(next.sources.know(now().source, NOW - 1 + 30 * 86400));
        assert_eq!(tried(&next, &code, 0, &now()).verdict, Verdict::Rejected, "it is gone");
    }

    #[test]
    fn a_wrong_code_is_counted_like_a_wrong_pair_whether_or_not_there_are_any() {
        let ((with, _), wrong) = (alice(), SpareCode::parse("aaaa-bbbb-cccc-dddd").unwrap());
        let without = Record { codes: None, ..with.clone() };
        for record in [with, without] {
            let judged = tried(&record, &wrong, 2, &now());
            assert_eq!((judged.verdict, judged.finding, judged.charged), (Verdict::Rejected, None, Units::default()));
            let mut expected = record.clone();
            expected.unknown.series = expected.unknown.series.one_more(&now().moment);
            assert_eq!(judged.next.unwrap(), expected);
        }
    }

    #[test]
    fn a_code_of_which_nobody_can_tell_whether_it_was_used_changes_nothing() {
        let (record, code) = alice();
        let later = Circumstances { moment: Moment { rolled_back_tick: Some(NOW), ..now().moment }, ..now() };
        let judged = tried(&record, &code, 0, &later);
        assert_eq!((judged.verdict, judged.finding), (Verdict::Refused, Some(Finding::Doubtful)));
        assert!(judged.next.is_none());
    }
}
