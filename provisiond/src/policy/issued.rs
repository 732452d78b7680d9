//! The verdict on an issued code: recovery code, bypass or ticket. It is judged from every source,
//! even where two device codes are needed: eighty bits withstand brute force without a guess
//! budget, and the shorter bypass has its own limit of wrong tries. Pure.

use common::answer::Answer;
use common::issued::IssuedCode;
use common::secret::Key;
use common::wire::protocol::Verdict;

use super::attempt::{Case, Reasoned};
use super::{Circumstances, Judged, welcome};
use crate::clock::{self, CLOCK_BEFORE_BUILD};
use crate::record::Record;
use crate::record::codes::{Codes, Finding, Purpose};

/// Judges an issued code. For a record without issued codes this takes the same time, and every
/// code is wrong.
pub fn judge(
    record: &Record,
    (code, purpose): (&IssuedCode, Purpose),
    &Case {
        user,
        refund,
        settings,
        now,
        ..
    }: &Case<'_>,
) -> Reasoned {
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    let Ok(codes) = Codes::opened(record.codes.as_ref(), user, &settings.secrets) else {
        return (
            Judged::unlooked(Verdict::Refused),
            Some("key_does_not_open"),
        );
    };
    let purpose = if record.disabled {
        Purpose::Nothing
    } else {
        purpose
    };
    let judged = compare(record, codes, code, purpose, refund, now);
    let unknown = (judged.verdict == Verdict::Rejected).then_some("no_such_code");
    let reason = judged.finding.and_then(reason).or(unknown);
    (judged, reason)
}

/// Judges the attempt of a user without a usable device: only an issued code can open this login.
/// `None`: there is no issued code to compare, typed or stored; the decoy judges instead, in the
/// same time.
pub fn judge_alone(record: Option<&Record>, case: &Case<'_>) -> Option<Judged> {
    let record = record.filter(|record| record.codes.is_some());
    let (Some(record), Some(code)) = (record, case.answer.and_then(Answer::issued)) else {
        return None;
    };
    let purpose = if record.active().next().is_some() {
        Purpose::LoginOutOfBounds
    } else {
        Purpose::Login
    };
    let (mut judged, _) = judge(record, (code, purpose), case);
    // The decoy counts wrong codes, except those that a bypass has counted.
    let is_accepted = judged.verdict == Verdict::Accepted;
    judged.next = judged
        .next
        .filter(|next| is_accepted || next.codes != record.codes);
    Some(judged)
}

/// The purpose that an issued code can serve when a user proves their identity to change devices.
/// While none of the active devices is usable, the restriction holds for their issued codes, too:
/// these prove nothing.
pub fn of_a_proof(record: &Record, now: &Circumstances<'_>) -> Purpose {
    let out_of_bounds =
        record.active().next().is_some() && !record.has_usable(now.moment.now, now.service);
    match record.enrolled {
        false => Purpose::FirstDevice,
        true if out_of_bounds => Purpose::Nothing,
        true => Purpose::Proof,
    }
}

/// The reason for the log where the verdict does not give it.
pub fn reason(finding: Finding) -> Option<&'static str> {
    match finding {
        Finding::RecoveryCode(_) | Finding::Bypass(_) | Finding::Ticket => None,
        Finding::BypassGone => Some("bypass_revoked"),
        Finding::Expired => Some("code_expired"),
        Finding::Doubtful => Some("code_before_roll_back"),
    }
}

/// Judges the code against `codes`, which are the record's, or an empty set: either takes the same
/// time. `key` is their key.
fn compare(
    record: &Record,
    (mut codes, key): (Codes, Key),
    code: &IssuedCode,
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
            Judged {
                finding,
                next: Some(next),
                ..Judged::unlooked(verdict)
            }
        }
        Verdict::Rejected => Judged {
            finding,
            ..wrong(next, now)
        },
        _ => Judged {
            finding,
            ..Judged::unlooked(verdict)
        },
    }
}

/// The verdict on a wrong issued code. It is counted as a wrong pair, because it is at least as
/// hard to guess as one.
pub fn wrong(mut record: Record, now: &Circumstances<'_>) -> Judged {
    let pool = record.pool_mut(now.source, now.moment.now);
    pool.wrong_pairs = pool.wrong_pairs.one_more(&now.moment);
    Judged {
        next: Some(record),
        ..Judged::unlooked(Verdict::Rejected)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::config::Policy;
    use common::config::recovery::Recovery;

    use super::*;
    use crate::clock::moment::Moment;
    use crate::record::budget::Units;
    use crate::record::source::Source;
    use crate::record::tests::{secrets, user};

    const POLICY: Policy = Policy {
        window: 1,
        budget: 5,
        refill: Duration::from_secs(86400),
        strict: false,
    };
    const NOW: u64 = 1_234_567_890;

    fn now() -> Circumstances<'static> {
        let (moment, source) = (Moment::ordinary(NOW), Source::told(Some("192.0.2.1"), None));
        Circumstances {
            policy: &POLICY,
            moment,
            source,
            service: "sshd",
            suspect: true,
        }
    }

    /// A user without guesses left, and one of the user's recovery codes.
    fn alice() -> (Record, IssuedCode) {
        let (mut codes, key) = Codes::opened(None, &user("alice"), &secrets()).unwrap();
        let shown = codes
            .renew(
                &key,
                &Recovery {
                    codes: 10,
                    expire: None,
                },
                &Moment::ordinary(NOW),
            )
            .unwrap();
        let record = Record {
            enrolled: true,
            codes: Some(codes),
            ..Record::new(&Moment::ordinary(NOW))
        };
        let code = IssuedCode::parse(shown[0].expose()).unwrap();
        (charged(record, 5), code)
    }

    fn charged(mut record: Record, units: u32) -> Record {
        record.known.budget = record
            .known
            .budget
            .charged(units, &POLICY, &Moment::ordinary(NOW));
        record
    }

    fn tried(record: &Record, code: &IssuedCode, refund: u32, now: &Circumstances<'_>) -> Judged {
        let codes = Codes::opened(record.codes.as_ref(), &user("alice"), &secrets()).unwrap();
        compare(record, codes, code, Purpose::Login, refund, now)
    }

    #[test]
    fn a_recovery_code_lets_in_where_no_single_code_would_and_brings_what_every_login_brings() {
        let (mut record, code) = alice();
        record.sources.learn(now().source, NOW - 1);
        let judged = tried(&record, &code, 2, &now());
        assert_eq!(
            (judged.verdict, judged.finding),
            (Verdict::Accepted, Some(Finding::RecoveryCode(9)))
        );
        assert_eq!((judged.charged, judged.device), (Units::default(), None));
        let next = judged.next.unwrap();
        assert_eq!(
            next.known.budget.left(&POLICY, &now().moment),
            2,
            "the cost of the wrong codes is refunded"
        );
        assert!(next.sources.know(now().source, NOW - 1 + 30 * 86400));
        assert_eq!(
            tried(&next, &code, 0, &now()).verdict,
            Verdict::Rejected,
            "it is spent"
        );
    }

    #[test]
    fn a_wrong_code_is_counted_like_a_wrong_pair_whether_or_not_there_are_any() {
        let ((with, _), wrong) = (alice(), IssuedCode::parse("aaaa-bbbb-cccc-dddd").unwrap());
        let without = Record {
            codes: None,
            ..with.clone()
        };
        for record in [with, without] {
            let judged = tried(&record, &wrong, 2, &now());
            assert_eq!(
                (judged.verdict, judged.finding, judged.charged),
                (Verdict::Rejected, None, Units::default())
            );
            let mut expected = record.clone();
            expected.unknown.wrong_pairs = expected.unknown.wrong_pairs.one_more(&now().moment);
            assert_eq!(judged.next.unwrap(), expected);
        }
    }

    #[test]
    fn a_code_of_which_nobody_can_tell_whether_it_was_used_changes_nothing() {
        let (record, code) = alice();
        let later = Circumstances {
            moment: Moment {
                rolled_back_tick: Some(NOW),
                ..now().moment
            },
            ..now()
        };
        let judged = tried(&record, &code, 0, &later);
        assert_eq!(
            (judged.verdict, judged.finding),
            (Verdict::Refused, Some(Finding::Doubtful))
        );
        assert!(judged.next.is_none());
    }
}
