//! Texts of `why`: for each verdict and reason of the log, a sentence that explains it and the
//! command that helps.

use common::wire::text::printable;

use super::PastAttempt;
use crate::table::second;
use crate::verdicts::{argument, span};

/// The reason as a sentence with the next step. None if a code opened the login.
pub(super) fn meaning(attempt: &PastAttempt, user: &str) -> Option<String> {
    match (attempt.verdict.as_str(), &attempt.would) {
        ("exempt", Some(_)) => {
            let meaning = of_verdict(attempt, user)
                .map(|meaning| format!("; {meaning}"))
                .unwrap_or_default();
            Some(exempt(attempt) + &meaning)
        }
        ("exempt", None) => Some(exempt(attempt)),
        _ => of_verdict(attempt, user),
    }
}

fn of_verdict(attempt: &PastAttempt, user: &str) -> Option<String> {
    let told = |sentence: &str| Some(about(user, sentence));
    match (attempt.judged(), attempt.reason.as_deref(), attempt.skew) {
        ("accepted", ..) => None,
        ("rejected", Some("after_many_wrong_pairs"), skew) => {
            let what = skew.map_or_else(
                || mistyped(attempt),
                |skew| another_time(skew, attempt.is_on_a_doubtful_clock()),
            );
            told(&format!("{what}; {NO_FARTHER}"))
        }
        ("rejected", _, Some(skew)) => {
            Some(another_time(skew, attempt.is_on_a_doubtful_clock()) + until_then(skew))
        }
        // Where no code is right, it does not matter that the code was repeated.
        (verdict, Some(reason), _) if reason != "repeated" || verdict == "rejected" => {
            Some(of_reason(reason, user) + &counts_from(attempt.until))
        }
        ("rejected", ..) => told(&format!(
            "{}; for an HOTP token: totpctl resync USER",
            mistyped(attempt)
        )),
        ("already_used", ..) => {
            told("the code was used already; each code opens one login: wait for the next code")
        }
        ("malformed", ..) => told(
            "the user typed no code, too many codes, or other text: type one code, or two if the prompt asks for two; if it asks \
             for password and code together, type the code after the password",
        ),
        ("two_codes_needed", ..) => told(
            "after many wrong codes the daemon asks for two consecutive codes: type both on one line; to make one code enough \
             again: totpctl unlock USER",
        ),
        ("not_enrolled", ..) => told(
            "the user never had an active device; to see whether a device is pending: totpctl show USER; to enrol a device: \
             totpctl enroll USER",
        ),
        ("disabled", ..) => {
            told("the user has no active device now; to list the devices: totpctl show USER")
        }
        ("busy", ..) => told(
            "too many attempts for this user were waiting; an attacker may be guessing codes: totpctl log USER",
        ),
        _ => None,
    }
}

/// A login without a code, or with a wrong code under `roll-out.observe`.
fn exempt(attempt: &PastAttempt) -> String {
    let rule = printable(attempt.rule.as_deref().unwrap_or("?"));
    match &attempt.would {
        Some(would) => format!(
            "the verdict would have been {}, but with 'roll-out.observe' the daemon denies no login",
            printable(would)
        ),
        None => format!("the daemon's settings ask for no code here (rule '{rule}')"),
    }
}

/// The code was right for another time. `skew`: seconds by which the phone's clock is fast, unless
/// the machine's own clock is slow, which may be if the kernel does not hold it for synchronised.
fn another_time(skew: i64, is_doubtful: bool) -> String {
    let span = span(skew.unsigned_abs());
    let (when, phone, machine) = if skew < 0 {
        (format!("{span} ago"), "slow", "fast")
    } else {
        (format!("{span} later"), "fast", "slow")
    };
    let late = if (-LATE..0).contains(&skew) {
        "the user typed it late, or "
    } else {
        ""
    };
    let clocks = if is_doubtful {
        format!("the phone's clock is {phone} or this machine's is {machine}; {UNSYNCHRONISED}")
    } else {
        format!("the phone's clock is {phone}; set it to automatic time")
    };
    format!("the code was right {when}: {late}{clocks}")
}

/// The code was right at no time near that of the login.
fn mistyped(attempt: &PastAttempt) -> String {
    if attempt.is_on_a_doubtful_clock() {
        format!("{MISTYPED}; {UNSYNCHRONISED}")
    } else {
        MISTYPED.to_owned()
    }
}

/// How the user can log in before setting the clock.
fn until_then(skew: i64) -> &'static str {
    match skew.unsigned_abs() {
        off if off <= REMEMBERED => {
            "; until then, two consecutive codes on one line open a login, and the daemon remembers the difference"
        }
        off if off <= PAIR_REACH => {
            "; until then, each login needs two consecutive codes on one line"
        }
        _ => "",
    }
}

/// When the device shows the first code that counts.
fn counts_from(until: Option<u64>) -> String {
    until.map_or_else(String::new, |until| {
        format!(
            "; the device shows the first code that counts at {}",
            second(until)
        )
    })
}

/// The sentence for the log's `reason`.
fn of_reason(reason: &str, user: &str) -> String {
    let unfit = match reason {
        "not_yet_valid" => "the first day of the user's device is still to come",
        "expired" => "the user's device is past its last day",
        "not_for_this_service" => "the user's device is for other services",
        reason => {
            return of_known(reason)
                .map_or_else(|| of_unknown(reason), |sentence| about(user, sentence));
        }
    };
    about(user, &format!("{unfit}; {OUT_OF_BOUNDS}"))
}

/// Puts the user's name in the place of `USER`, so that the commands can be pasted.
fn about(user: &str, sentence: &str) -> String {
    sentence.replace("USER", &argument(user))
}

/// The sentence for a reason that this version of totpctl knows. Each reason stands in one of the
/// three tables.
fn of_known(reason: &str) -> Option<&'static str> {
    of_the_machine(reason)
        .or_else(|| of_issued_code(reason))
        .or_else(|| of_the_account(reason))
}

/// Reasons that lie in the daemon's machine: its clock, its store, its secrets, its log, its name
/// service.
fn of_the_machine(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "clock_before_build" => {
            "this machine's clock shows a time before provisiond was built: set the clock"
        }
        "clock_event" => {
            "this machine was started, or its clock set, a moment before: for two periods of the device (a minute, as a rule) \
             the daemon refuses codes from before; wait for the next codes; if the wait is longer, and the clock is right: \
             totpctl clock-accept"
        }
        "store_rolled_back" => {
            "the store was put back to an older state: the daemon refuses codes that may have been used since: for two periods \
             of the device (a minute, as a rule), and for fifteen (eight minutes) where codes were used ahead of their time; \
             wait for the next codes; for an HOTP token: totpctl resync USER"
        }
        "wrong_secret" => {
            "the application secret is another than before: put the former one back, and a new one beside it under a tag of its \
             own; to see the tag: totpctl status"
        }
        "store_incomplete" => {
            "the store was damaged or put back, and the user's record may be missing from it: put a good copy of the store \
             back, or, if there is none: totpctl store accept-loss, then totpctl enroll USER"
        }
        "store_unavailable" | "store_too_slow" => {
            "the store failed or was too slow: check the disk and the daemon's log, then try again"
        }
        "record_not_written" => {
            "the user's record has become too long to be stored: revoke devices that are no longer used; to list the devices: \
             totpctl show USER"
        }
        "log_is_stuck" => {
            "the code was right, but the daemon could not write its log, and the settings ('audit: required') then refuse \
             every login: check the system log"
        }
        "key_does_not_open" | "record_altered" => {
            "the user's stored record was altered or is damaged: restore a backup, or enrol the user again"
        }
        "no_application_secret" => {
            "the application secret of the user's record is missing: put it back into the secrets file"
        }
        "unknown_record_version" => {
            "a newer provisiond wrote the user's record: install that version again"
        }
        "no_answer_from_name_service" => {
            "the name service did not answer, and the name may be another spelling of an enrolled user's name: repair the name \
             service, then try again"
        }
        _ => return None,
    })
}

/// Reasons that lie in the recovery code, bypass or ticket that the user typed.
fn of_issued_code(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "no_such_code" => {
            "the user has no such recovery code or bypass: the code was mistyped, was used already, or was replaced by newer \
             codes; to make new recovery codes: totpctl recovery-codes USER; to issue a bypass: totpctl bypass USER"
        }
        "code_expired" => {
            "the recovery code or bypass has expired; to make new recovery codes: totpctl recovery-codes USER; to issue a \
             bypass: totpctl bypass USER"
        }
        "code_before_roll_back" => {
            "the store was put back to an older state, so the daemon cannot tell whether the code was used already; to make \
             new recovery codes: totpctl recovery-codes USER"
        }
        "bypass_revoked" => {
            "after five wrong tries the bypass is invalid; to issue another: totpctl bypass USER"
        }
        "ticket_expired" => "the ticket has expired; to issue another: totpctl ticket USER",
        "ticket_before_roll_back" => {
            "the store was put back to an older state, so the daemon cannot tell whether the ticket was used; to issue \
             another: totpctl ticket USER"
        }
        "device_not_made" => {
            "the user may enrol, but the daemon could not make a device: check label and issuer with 'provisiond --check', \
             then try again"
        }
        _ => return None,
    })
}

/// Reasons that lie in the account, or in the wrong codes sent to it.
fn of_the_account(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "used_ahead" => {
            "every code that the user's device shows counts as used, because this machine's clock was far ahead when the \
             device was used or its key taken over; a recovery code, a bypass or another device opens a login; to end the \
             wait, give the user a device with a new key: totpctl enroll USER"
        }
        "repeated" => {
            "it was the same wrong answer as just before, which cost no further guess: the user typed it again, or a program \
             repeated it by itself; wait for the next code"
        }
        "hidden_by_sshd" => {
            "sshd refuses this user whatever is typed, and sent its own text in place of the answer; usual causes: for root, \
             'PermitRootLogin' is not 'yes' (Debian's default refuses all but keys); 'AllowUsers', 'DenyUsers' or groups of \
             sshd_config; a shell that does not exist; for the cause: journalctl -t sshd"
        }
        "source_limited" => {
            "too many wrong codes came from that address, for all users together: for an hour the daemon asks it for two \
             consecutive codes; type both on one line; if the address is your own, add it to 'limits.trusted-sources'"
        }
        "caller_limited" => {
            "the calling process sent too many wrong codes: twenty within an hour, or, as a verifier, ten within a second; it \
             must wait for that time"
        }
        "strict_disabled" => {
            "a hundred wrong answers in a row disabled the user's device ('policy.strict'); an attacker may be guessing codes \
             (totpctl log USER); a recovery code still opens a login; to enable the device again: totpctl enable USER"
        }
        "account_disabled" => {
            "an administrator disabled the account; to enable it again: totpctl enable USER --all"
        }
        "uid_of_another_name" => {
            "the account has no record of its own, and its uid is the one of another name's record: the account was renamed, \
             or got the uid of a deleted one; the name, and the command that helps: totpctl show USER"
        }
        "former_record_unreadable" => {
            "the account has no record of its own, and a record of a name without an account cannot be read: it may be this \
             user's from before a renaming; the name, and the command that helps: totpctl show USER"
        }
        "uid_changed" => {
            "the account has another uid than its record is bound to; if the account now belongs to another person: \
             totpctl forget USER; if it belongs to the same person: totpctl enable USER --all --same-person"
        }
        _ => return None,
    })
}

fn of_unknown(reason: &str) -> String {
    format!("the daemon gave this reason: {}", printable(reason))
}

/// Seconds that a user may take to type a code.
const LATE: i64 = 120;
/// Seconds that the daemon corrects a device's clock by, at most: four steps of thirty.
const REMEMBERED: u64 = 120;
/// Seconds before and after now in which the daemon searches for a pair of codes: ten steps of
/// thirty.
const PAIR_REACH: u64 = 300;

/// For a code that is right at no time near now.
const MISTYPED: &str = "no device of the user showed this code in the two hours before: the code was mistyped, belongs to another \
                        account, or the phone's clock is hours off or fast; of a fast one this command tells some minutes \
                        after the code's own time, when the code is useless";
/// For an attempt at which the kernel did not hold the machine's clock for synchronised. All codes
/// are wrong then, whatever the phones show.
const UNSYNCHRONISED: &str = "the kernel does not hold this machine's clock for synchronised: compare it with another clock, and \
                              start a time service (timedatectl shows both)";
/// For an account where the daemon searches for pairs of codes in the window only.
const NO_FARTHER: &str = "after a thousand wrong pairs of codes the daemon accepts two consecutive codes only in the window of a \
                          single code; a recovery code opens a login; for a device whose clock or counter is off: totpctl \
                          resync USER";

/// For a user without a usable device.
const OUT_OF_BOUNDS: &str = "while no device is usable, the daemon refuses recovery codes too; to remove the restrictions: \
                             totpctl restrict USER --lift; for one login: totpctl bypass USER";

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(verdict: &str, reason: Option<&str>, skew: Option<i64>) -> PastAttempt {
        let (verdict, reason) = (verdict.to_owned(), reason.map(str::to_owned));
        PastAttempt {
            verdict,
            reason,
            skew,
            ..PastAttempt::default()
        }
    }

    #[test]
    fn who_got_in_without_a_code_is_told_by_what() {
        let lan = PastAttempt {
            rule: Some("lan".into()),
            ..attempt("exempt", None, None)
        };
        let told = meaning(&lan, "alice").unwrap();
        assert_eq!(
            told,
            "the daemon's settings ask for no code here (rule 'lan')"
        );
        let observed = PastAttempt {
            would: Some("malformed".into()),
            ..attempt("exempt", None, None)
        };
        let told = meaning(&observed, "alice").unwrap();
        assert!(
            told.starts_with(
                "the verdict would have been malformed, but with 'roll-out.observe' the daemon denies no login; the user \
                 typed no code"
            ),
            "{told}"
        );
    }

    #[test]
    fn an_attempt_that_has_to_wait_is_told_until_when() {
        let until = Some(1_800_000_000);
        for (verdict, reason, what) in [
            ("refused", "clock_event", "this machine was started"),
            ("refused", "store_rolled_back", "the store was put back"),
            ("already_used", "used_ahead", "every code that the user's"),
        ] {
            let attempt = PastAttempt {
                until,
                ..attempt(verdict, Some(reason), None)
            };
            let told = meaning(&attempt, "alice").unwrap();
            assert!(told.starts_with(what), "{told}");
            let end = format!(
                "; the device shows the first code that counts at {}",
                second(1_800_000_000)
            );
            assert!(told.ends_with(&end), "{told}");
        }
    }

    #[test]
    fn every_verdict_that_lets_nobody_in_is_explained() {
        use common::wire::protocol::Verdict;
        for verdict in [
            Verdict::Rejected,
            Verdict::AlreadyUsed,
            Verdict::Malformed,
            Verdict::TwoCodesNeeded,
            Verdict::NotEnrolled,
            Verdict::Disabled,
            Verdict::Busy,
        ] {
            assert!(
                meaning(&attempt(verdict.word(), None, None), "alice").is_some(),
                "{verdict:?}"
            );
        }
        let refused = meaning(
            &attempt("refused", Some("clock_before_build"), None),
            "alice",
        )
        .unwrap();
        assert!(refused.ends_with("set the clock"));
        let strict = meaning(&attempt("disabled", Some("strict_disabled"), None), "alice").unwrap();
        assert!(strict.starts_with("a hundred wrong answers"), "{strict}");
        assert!(
            meaning(&attempt("refused", Some("of\u{1b}new"), None), "a")
                .unwrap()
                .ends_with("of\\u{1b}new")
        );
        assert_eq!(meaning(&attempt("accepted", None, None), "alice"), None);
        let repeated =
            |verdict| meaning(&attempt(verdict, Some("repeated"), None), "alice").unwrap();
        assert!(repeated("rejected").starts_with("it was the same wrong answer"));
        assert!(repeated("not_enrolled").starts_with("the user never had an active device"));
    }

    #[test]
    fn whose_device_does_not_count_is_told_what_helps() {
        for (reason, what) in [
            ("expired", "the user's device is past its last day"),
            (
                "not_yet_valid",
                "the first day of the user's device is still to come",
            ),
            (
                "not_for_this_service",
                "the user's device is for other services",
            ),
        ] {
            let told = meaning(&attempt("disabled", Some(reason), None), "alice").unwrap();
            assert_eq!(
                told,
                format!("{what}; {}", OUT_OF_BOUNDS.replace("USER", "alice"))
            );
        }
        let told = meaning(&attempt("rejected", Some("code_expired"), None), "o'neil").unwrap();
        assert!(
            told.ends_with(r"to issue a bypass: totpctl bypass 'o'\''neil'"),
            "{told}"
        );
    }

    #[test]
    fn how_far_the_clock_is_off_is_said() {
        let told = |skew| meaning(&attempt("rejected", None, Some(skew)), "alice").unwrap();
        assert_eq!(
            told(-630),
            "the code was right 10 min 30 s ago: the phone's clock is slow; set it to automatic time"
        );
        assert_eq!(
            told(3900),
            "the code was right 1 h 5 min later: the phone's clock is fast; set it to automatic time"
        );
        assert!(told(-60).starts_with(
            "the code was right 1 min ago: the user typed it late, or the phone's clock"
        ));
        assert!(
            told(120).contains("2 min later: the phone's clock")
                && told(120).ends_with("remembers the difference")
        );
        assert!(told(240).ends_with(
            "automatic time; until then, each login needs two consecutive codes on one line"
        ));
    }

    #[test]
    fn a_machine_whose_clock_is_not_synchronised_is_suspected_too() {
        let told = |skew| {
            let attempt = PastAttempt {
                machine_clock: Some("unsynchronised".into()),
                ..attempt("rejected", None, skew)
            };
            meaning(&attempt, "alice").unwrap()
        };
        for (skew, what) in [
            (
                Some(600),
                "the phone's clock is fast or this machine's is slow; ",
            ),
            (
                Some(-600),
                "the phone's clock is slow or this machine's is fast; ",
            ),
            (None, "the code was mistyped"),
        ] {
            let told = told(skew);
            assert!(
                told.contains(what) && told.contains(UNSYNCHRONISED),
                "{told}"
            );
        }
    }

    #[test]
    fn after_many_wrong_pairs_no_pair_is_promised_to_a_clock_that_is_off() {
        let told = |skew| {
            meaning(
                &attempt("rejected", Some("after_many_wrong_pairs"), skew),
                "alice",
            )
            .unwrap()
        };
        for (skew, what) in [
            (None, MISTYPED),
            (
                Some(240),
                "the code was right 4 min later: the phone's clock is",
            ),
        ] {
            let told = told(skew);
            assert!(
                told.starts_with(what) && !told.contains("until then"),
                "{told}"
            );
            assert!(told.ends_with("totpctl resync alice"), "{told}");
        }
    }

    #[test]
    fn spans_are_told_as_people_say_them() {
        for (seconds, text) in [
            (45, "45 s"),
            (60, "1 min"),
            (630, "10 min 30 s"),
            (3600, "1 h"),
            (7199, "1 h 59 min"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
