//! Why an attempt was refused, and what helps: from the log's words to sentences.

use common::wire::text::printable;

use super::Attempt;
use crate::sentences::{argument, span};

/// The reason as a sentence, with the next step. None for who got in by a code.
pub(super) fn meaning(attempt: &Attempt, user: &str) -> Option<String> {
    match (attempt.verdict.as_str(), &attempt.would) {
        ("exempt", Some(_)) => {
            let meaning = of_verdict(attempt, user).map(|meaning| format!("; {meaning}")).unwrap_or_default();
            Some(exempt(attempt) + &meaning)
        }
        ("exempt", None) => Some(exempt(attempt)),
        _ => of_verdict(attempt, user),
    }
}

fn of_verdict(attempt: &Attempt, user: &str) -> Option<String> {
    let told = |sentence: &str| Some(about(user, sentence));
    match (attempt.judged(), attempt.reason.as_deref(), attempt.skew) {
        ("accepted", ..) => None,
        ("rejected", Some("after_many_wrong_pairs"), skew) => {
            let what = skew.map_or_else(|| MISTYPED.to_owned(), another_time);
            told(&format!("{what}; {NO_FARTHER}"))
        }
        ("rejected", _, Some(skew)) => Some(another_time(skew) + until_then(skew)),
        (_, Some(reason), _) => Some(of_reason(reason, user)),
        ("rejected", ..) => told(&format!("{MISTYPED}; for a device that counts: totpctl resync USER")),
        ("already_used", ..) => told("the code has opened a login before; each opens one: wait for the next code"),
        ("malformed", ..) => told(
            "there was no code in what was typed, or not where it has to stand: nothing but the digits that the device shows, \
             or behind the password where both are asked for at once",
        ),
        ("two_codes_needed", ..) => told(
            "after many wrong codes a single one is not looked at; two codes that the device shows one after the other, \
             typed in one line, let in; so that one is enough again: totpctl unlock USER",
        ),
        ("not_enrolled", ..) => told(
            "the user never had an active device; to see whether one waits for its first code: totpctl show USER; to give \
             one: totpctl enroll USER",
        ),
        ("disabled", ..) => told("the user has no active device now; to see which there are: totpctl show USER"),
        ("busy", ..) => {
            told("too many attempts for this user were waiting; somebody may be guessing: totpctl log USER")
        }
        _ => None,
    }
}

/// Who got in without a code, or with a wrong one while nobody is denied.
fn exempt(attempt: &Attempt) -> String {
    let rule = printable(attempt.rule.as_deref().unwrap_or("?"));
    match &attempt.would {
        Some(would) => format!("it would have been {}, but 'roll-out.observe' denies nobody", printable(would)),
        None => format!("no code was asked for, because of '{rule}' in the daemon's settings"),
    }
}

/// A code that was right for another time. `skew` is how far the phone's clock is ahead.
fn another_time(skew: i64) -> String {
    let span = span(skew.unsigned_abs());
    let (when, wrong) = if skew < 0 { (format!("{span} ago"), "slow") } else { (format!("in {span}"), "fast") };
    let was = if skew < 0 { "was" } else { "will be" };
    let late = if (-LATE..0).contains(&skew) { "it was typed late, or " } else { "" };
    format!("the code {was} right {when}: {late}the clock of the phone is {wrong}; set it to automatic time")
}

/// What lets in while the clock is not set.
fn until_then(skew: i64) -> &'static str {
    match skew.unsigned_abs() {
        off if off <= REMEMBERED => {
            "; until then two codes in a row, typed in one line, let in, and the difference is remembered"
        }
        off if off <= PAIR_REACH => "; until then two codes in a row, typed in one line, let in each time",
        _ => "",
    }
}

/// What the log's word means.
fn of_reason(reason: &str, user: &str) -> String {
    let unfit = match reason {
        "not_yet_valid" => "the first day of the user's device has not come",
        "expired" => "the user's device is past its last day",
        "not_for_this_service" => "the user's device is for other services",
        reason => return of_known(reason).map_or_else(|| of_unknown(reason), |sentence| about(user, sentence)),
    };
    about(user, &format!("{unfit}, {OUT_OF_BOUNDS}"))
}

/// The sentence with the user's name where its commands have `USER`, so that they can be pasted.
fn about(user: &str, sentence: &str) -> String {
    sentence.replace("USER", &argument(user))
}

fn of_known(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "clock_before_build" => "this machine's clock says a time before the program was built: set the clock",
        "clock_event" => {
            "this machine's clock was set, or may be wrong after a boot: codes from before are refused, for a minute or \
             two; wait for the next codes"
        }
        "store_rolled_back" => {
            "the store is older than it was: codes that may have been used before that was noticed are refused, usually for \
             a minute or two; wait for the next codes; for a device that counts: totpctl resync USER"
        }
        "code_before_roll_back" => {
            "the store is older than it was, so nobody can tell which of the codes from before have been used; to get new \
             ones: totpctl recovery-codes USER"
        }
        "code_expired" => {
            "it was a recovery code or a bypass whose time is over; to make new codes: totpctl recovery-codes USER, to let in \
             for a while: totpctl bypass USER"
        }
        "ticket_expired" => "it was a ticket whose time is over; to give another: totpctl ticket USER",
        "ticket_before_roll_back" => {
            "the store is older than it was, so nobody can tell whether the ticket was used; to give another: totpctl ticket \
             USER"
        }
        "device_not_made" => {
            "the ticket was right, and no device could be made: see what 'provisiond --check' says of label and issuer, then \
             try again"
        }
        "no_such_code" => {
            "no recovery code and no bypass of this user is like that: it was mistyped, has been used, or newer ones have taken \
             its place; to make new codes: totpctl recovery-codes USER, to let in for a while: totpctl bypass USER"
        }
        "source_limited" => {
            "many wrong codes came from that address, whosever they were for, so a single one is not looked at for an hour; two \
             codes that the device shows one after the other, typed in one line, let in; an address of one's own belongs in \
             'limits.trusted-sources'"
        }
        "bypass_revoked" => {
            "it was the fifth wrong try at the bypass, which has ended; to give another: totpctl bypass USER"
        }
        "store_unavailable" | "store_too_slow" => {
            "the store did not work, or not in time: look at the disk and at the daemon's log, then try again"
        }
        "record_not_written" => {
            "the user's record has become too long to be stored: revoke devices that nobody uses any more; to see which there \
             are: totpctl show"
        }
        "log_is_stuck" => {
            "the code was right, but the log took no line, and the settings ('audit: required') let nobody in without: \
             look at the system's log"
        }
        "key_does_not_open" | "record_altered" => {
            "what is stored about this user was altered or is damaged: restore a backup, or enrol the user anew"
        }
        "no_application_secret" => {
            "the application secret that this user's record needs is missing: put it back into the secrets file"
        }
        "unknown_record_version" => "a newer provisiond has written this user's record: install that version again",
        "no_answer_from_name_service" => {
            "the name service did not answer, so the name may be another spelling of a user's: see to it, then try again"
        }
        "strict_disabled" => {
            "a hundred wrong answers in a row have disabled the user's device ('policy.strict'): somebody may be guessing \
             (totpctl log USER); a recovery code lets in; to make the device active again: totpctl enable USER"
        }
        "account_disabled" => "the account was shut as a whole; to open it again: totpctl enable USER --all",
        "uid_changed" => {
            "the account has another uid than its record is bound to. If it is another person's now: totpctl \
             forget USER; if it is the same person's: enrol a device as an administrator"
        }
        "caller_limited" => {
            "what asked was wrong too often: twenty times within an hour, or, if it is a verifier, ten times within a second; \
             it has to wait as long"
        }
        _ => return None,
    })
}

fn of_unknown(reason: &str) -> String {
    format!("the daemon's word for the reason: {}", printable(reason))
}

/// Seconds that somebody may take to type a code.
const LATE: i64 = 120;
/// Seconds that the daemon remembers a device's clock to be off by, at most: four steps of thirty.
const REMEMBERED: u64 = 120;
/// Seconds to either side in which a pair of codes is searched for: ten steps of thirty seconds.
const PAIR_REACH: u64 = 300;

/// The reason where a code is right at no time near now.
const MISTYPED: &str = "no device of this user shows that code at about this time: it was mistyped, belongs to another account, \
                        or the clock of the phone is hours off";
/// What helps while pairs are searched for within the window only.
const NO_FARTHER: &str = "after a thousand wrong pairs of codes, two codes in a row are searched for no farther than one; a \
                          recovery code lets in; for a device whose clock or counter is off: totpctl resync USER";

/// What helps whose devices do not count.
const OUT_OF_BOUNDS: &str = "and while none counts, recovery codes do not either; to let it count: totpctl restrict USER \
                             --lift; to let in once: totpctl bypass USER";

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(verdict: &str, reason: Option<&str>, skew: Option<i64>) -> Attempt {
        let (verdict, reason) = (verdict.to_owned(), reason.map(str::to_owned));
        Attempt { verdict, reason, skew, ..Attempt::default() }
    }

    #[test]
    fn who_got_in_without_a_code_is_told_by_what() {
        let lan = Attempt { rule: Some("lan".into()), ..attempt("exempt", None, None) };
        let told = meaning(&lan, "alice").unwrap();
        assert_eq!(told, "no code was asked for, because of 'lan' in the daemon's settings");
        let observed = Attempt { would: Some("malformed".into()), ..attempt("exempt", None, None) };
        let told = meaning(&observed, "alice").unwrap();
        assert!(
            told.starts_with("it would have been malformed, but 'roll-out.observe' denies nobody; there was no code"),
            "{told}"
        );
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
            assert!(meaning(&attempt(verdict.word(), None, None), "alice").is_some(), "{verdict:?}");
        }
        let refused = meaning(&attempt("refused", Some("clock_before_build"), None), "alice").unwrap();
        assert!(refused.ends_with("set the clock"));
        let strict = meaning(&attempt("disabled", Some("strict_disabled"), None), "alice").unwrap();
        assert!(strict.starts_with("a hundred wrong answers"), "{strict}");
        assert!(meaning(&attempt("refused", Some("of\u{1b}new"), None), "a").unwrap().ends_with("of\\u{1b}new"));
        assert_eq!(meaning(&attempt("accepted", None, None), "alice"), None);
    }

    #[test]
    fn whose_device_does_not_count_is_told_what_helps() {
        for (reason, what) in [
            ("expired", "the user's device is past its last day"),
            ("not_yet_valid", "the first day of the user's device has not come"),
            ("not_for_this_service", "the user's device is for other services"),
        ] {
            let told = meaning(&attempt("disabled", Some(reason), None), "alice").unwrap();
            assert_eq!(told, format!("{what}, {}", OUT_OF_BOUNDS.replace("USER", "alice")));
        }
        let told = meaning(&attempt("rejected", Some("code_expired"), None), "o'neil").unwrap();
        assert!(told.ends_with(r"to let in for a while: totpctl bypass 'o'\''neil'"), "{told}");
    }

    #[test]
    fn how_far_the_clock_is_off_is_said() {
        let told = |skew| meaning(&attempt("rejected", None, Some(skew)), "alice").unwrap();
        assert_eq!(
            told(-630),
            "the code was right 10 min 30 s ago: the clock of the phone is slow; set it to automatic time"
        );
        assert_eq!(
            told(3900),
            "the code will be right in 1 h 5 min: the clock of the phone is fast; set it to automatic time"
        );
        assert!(told(-60).starts_with("the code was right 1 min ago: it was typed late, or the clock"));
        assert!(told(120).contains("in 2 min: the clock") && told(120).ends_with("and the difference is remembered"));
        assert!(
            told(240).ends_with("automatic time; until then two codes in a row, typed in one line, let in each time")
        );
    }

    #[test]
    fn after_many_wrong_pairs_no_pair_is_promised_to_a_clock_that_is_off() {
        let told = |skew| meaning(&attempt("rejected", Some("after_many_wrong_pairs"), skew), "alice").unwrap();
        for (skew, what) in
            [(None, MISTYPED), (Some(240), "the code will be right in 4 min: the clock of the phone is")]
        {
            let told = told(skew);
            assert!(told.starts_with(what) && !told.contains("until then"), "{told}");
            assert!(told.ends_with("totpctl resync alice"), "{told}");
        }
    }

    #[test]
    fn spans_are_told_as_people_say_them() {
        for (seconds, text) in [(45, "45 s"), (60, "1 min"), (630, "10 min 30 s"), (3600, "1 h"), (7199, "1 h 59 min")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
