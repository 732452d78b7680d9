//! The verdict on a scratch code that came with an import: eight digits, which open one login. They
//! are fewer bits than a recovery code has, so each guess is charged to the budget, like a wrong
//! code of a device, and none is judged while the budget is empty. Pure.

use common::answer::Answer;
use common::issued::IssuedCode;
use common::secret::Key;
use common::wire::protocol::Verdict;

use super::{Circumstances, Judged, affordable, welcome};
use crate::record::Record;
use crate::record::codes::{Codes, Finding};

/// The scratch code that was typed, if the user has any. While a usable device shows as many
/// digits, the text is that device's code.
pub(super) fn typed(
    record: &Record,
    answer: Option<&Answer>,
    now: &Circumstances<'_>,
) -> Option<IssuedCode> {
    let lengths = record.lengths_of_codes(now.moment.now, now.service);
    if !record.scratch_codes || lengths.is_empty() || lengths.contains(&DIGITS) {
        return None;
    }
    answer?.scratch()
}

/// Whether a guess can be paid for.
pub(super) fn is_affordable(record: &Record, now: &Circumstances<'_>) -> bool {
    affordable(PRICE, record, now)
}

/// Judges the code against `codes`, which are the record's. `key` is their key.
pub(super) fn judge(
    record: &Record,
    (mut codes, key): (Codes, Key),
    code: &IssuedCode,
    refund: u32,
    now: &Circumstances<'_>,
) -> Judged {
    let finding = codes.try_scratch(&key, code, &now.moment);
    let mut next = record.clone();
    let (verdict, charged) = match finding {
        Some(Finding::RecoveryCode(_)) => {
            next.codes = Some(codes);
            welcome(&mut next, refund, now);
            (Verdict::Accepted, 0)
        }
        Some(Finding::Doubtful) => (Verdict::Refused, 0),
        _ => {
            let pool = next.pool_mut(now.source, now.moment.now);
            pool.budget = pool.budget.charged(PRICE, now.policy, &now.moment);
            (Verdict::Rejected, PRICE)
        }
    };
    Judged {
        finding,
        charged: record.units(charged, now.source, now.moment.now),
        next: (verdict != Verdict::Refused).then_some(next),
        ..Judged::unlooked(verdict)
    }
}

/// Digits of a scratch code.
const DIGITS: u8 = 8;
/// Units of the guess budget. Ten codes among a hundred million are harder to guess than the three
/// positions among a million that a unit pays for elsewhere.
const PRICE: u32 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::config::Policy;
    use common::config::recovery::Recovery;
    use common::secret::SecretText;
    use common::totp::Parameters;

    use super::*;
    use crate::clock::moment::Moment;
    use crate::record::source::Source;
    use crate::record::tests::{device, secrets, user};

    const POLICY: Policy = Policy {
        window: 1,
        budget: 5,
        refill: Duration::from_secs(86400),
        strict: false,
    };
    const NOW: u64 = 1_234_567_890;

    fn now() -> Circumstances<'static> {
        Circumstances {
            policy: &POLICY,
            moment: Moment::ordinary(NOW),
            source: Source::told(Some("192.0.2.1"), None),
            service: "sshd",
            suspect: false,
        }
    }

    /// A user with a phone and two scratch codes.
    fn alice(parameters: Parameters) -> Record {
        let (mut codes, key) = Codes::opened(None, &user("alice"), &secrets()).unwrap();
        let scratch = ["12345678", "87654321"].map(|code| IssuedCode::scratch(code).unwrap());
        let settings = Recovery {
            codes: 10,
            expire: None,
        };
        codes
            .take_over(&key, &scratch, &settings, &Moment::ordinary(NOW))
            .unwrap();
        Record {
            enrolled: true,
            devices: vec![device(&user("alice"), "phone", parameters)],
            codes: Some(codes),
            scratch_codes: true,
            ..Record::new(&Moment::ordinary(NOW))
        }
    }

    fn answer(text: &str) -> Answer {
        Answer::parse(&[SecretText::new(text.to_owned())]).unwrap()
    }

    fn tried(record: &Record, text: &str) -> Judged {
        let code = typed(record, Some(&answer(text)), &now()).unwrap();
        let codes = Codes::opened(record.codes.as_ref(), &user("alice"), &secrets()).unwrap();
        judge(record, codes, &code, 0, &now())
    }

    #[test]
    fn a_scratch_code_opens_one_login() {
        let judged = tried(&alice(Parameters::default()), "1234-5678");
        assert_eq!(judged.verdict, Verdict::Accepted);
        assert_eq!(judged.finding, Some(Finding::RecoveryCode(1)));
        let next = judged.next.unwrap();
        let again = tried(&next, "12345678");
        assert_eq!(again.verdict, Verdict::Rejected, "it is spent");
        assert_eq!(tried(&next, "87654321").verdict, Verdict::Accepted);
    }

    #[test]
    fn five_wrong_scratch_codes_empty_the_budget_and_then_none_is_judged() {
        let mut record = alice(Parameters::default());
        for guess in 0..5 {
            assert!(is_affordable(&record, &now()), "{guess}");
            let judged = tried(&record, &format!("0000000{guess}"));
            assert_eq!(judged.verdict, Verdict::Rejected);
            assert_eq!(judged.charged, record.units(1, now().source, NOW));
            record = judged.next.unwrap();
        }
        assert!(!is_affordable(&record, &now()));
        let suspect = Circumstances {
            suspect: true,
            ..now()
        };
        assert!(!is_affordable(&alice(Parameters::default()), &suspect));
    }

    #[test]
    fn eight_digits_are_a_scratch_code_only_for_users_that_have_some_and_no_device_of_eight_digits()
    {
        let is_one =
            |record: &Record, text: &str| typed(record, Some(&answer(text)), &now()).is_some();
        let record = alice(Parameters::default());
        assert!(is_one(&record, "12345678"));
        for text in ["123456", "123456789", "123456 123456", "abcd-efgh"] {
            assert!(!is_one(&record, text), "{text}");
        }
        let none = Record {
            scratch_codes: false,
            ..record.clone()
        };
        let disabled = Record {
            disabled: true,
            ..record
        };
        let eight = alice(Parameters {
            digits: 8,
            ..Parameters::default()
        });
        for record in [none, disabled, eight] {
            assert!(!is_one(&record, "12345678"));
        }
    }

    #[test]
    fn codes_that_another_system_has_seen_used_are_forgotten_and_none_comes_back() {
        let record = alice(Parameters::default());
        let mut next = tried(&record, "12345678").next.unwrap();
        let codes = Codes::opened(next.codes.as_ref(), &user("alice"), &secrets()).unwrap();
        let (mut codes, key) = codes;
        codes.keep_only(&key, &[IssuedCode::scratch("12345678").unwrap()]);
        next.codes = Some(codes);
        for text in ["12345678", "87654321"] {
            assert_eq!(tried(&next, text).verdict, Verdict::Rejected, "{text}");
        }
    }
}
