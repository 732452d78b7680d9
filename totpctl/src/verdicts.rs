//! Texts of verdicts (accepted, rejected, busy …) for `verify`, `confirm`, `enroll` and `resync`.
//!
//! Each sentence begins with the verdict's word, the same as in the audit line, and ends with the
//! next step.

use common::wire::protocol::Verdict;
use common::wire::text::printable;

/// The verdict of `verify`.
pub(crate) fn attempt(
    user: &str,
    verdict: Verdict,
    device: Option<&str>,
    retry_after: Option<u64>,
) -> String {
    let name = printable(user);
    let meaning = match verdict {
        Verdict::Accepted => match device {
            Some(device) => format!(
                "the code of {name}'s device '{}' is right; it is spent now",
                printable(device)
            ),
            None => "the code is right; it is spent now".to_owned(),
        },
        Verdict::Rejected => {
            "the code is wrong; wait for the next one, and check the phone's clock".to_owned()
        }
        Verdict::NotEnrolled => {
            format!(
                "{name} never had an active device; to enrol one: totpctl enroll {}",
                argument(user)
            )
        }
        Verdict::Disabled => {
            format!(
                "{name} has no active device now; for the reason: totpctl why {}",
                argument(user)
            )
        }
        other => of_any_code(&name, other, retry_after),
    };
    format!("{}: {meaning}", verdict.word())
}

/// The verdict of `verify` if the settings exempt the user.
pub(crate) fn exempt(rule: &str) -> String {
    let word = Verdict::Exempt.word();
    format!(
        "{word}: the daemon's settings ask for no code here (rule '{}')",
        printable(rule)
    )
}

/// The verdict of `verify` under `roll-out.observe`. `judged`: the sentence for the typed code.
pub(crate) fn observed(rule: &str, judged: &str) -> String {
    let (word, rule) = (Verdict::Exempt.word(), printable(rule));
    format!(
        "{word}: the daemon's settings deny no login now (rule '{rule}'); the verdict would have been {judged}"
    )
}

/// The verdict on a pending device's first code.
pub(crate) fn confirmation(user: &str, device: &str, verdict: Verdict) -> String {
    let (name, device) = (printable(user), printable(device));
    let meaning = match verdict {
        Verdict::Accepted => format!("{name}'s device '{device}' is active: its codes open logins from now on"),
        Verdict::Rejected => {
            format!("device '{device}' does not show this code now; try the next one, and check the phone's clock")
        }
        Verdict::AlreadyUsed => {
            "this code was used already, or may have been used with this key elsewhere; type the next one".to_owned()
        }
        other => of_any_code(&name, other, None),
    };
    format!("{}: {meaning}", verdict.word())
}

/// The verdict of `resync`. `seconds`: how far the device's clock is fast.
pub(crate) fn resynced(user: &str, device: &str, verdict: Verdict, seconds: Option<i64>) -> String {
    let (name, device) = (printable(user), printable(device));
    let off = seconds.filter(|seconds| *seconds != 0).map(|seconds| {
        format!(
            "{} {}",
            span(seconds.unsigned_abs()),
            if seconds < 0 { "slow" } else { "fast" }
        )
    });
    let meaning = match (verdict, off) {
        (Verdict::Accepted, Some(off)) => {
            format!(
                "the clock of {name}'s device '{device}' is {off}; the daemon corrects for it: one code is enough"
            )
        }
        (Verdict::Accepted, None) => {
            format!("{name}'s device '{device}' is resynchronised: one code is enough")
        }
        (Verdict::Refused, Some(off)) => {
            format!(
                "the clock of {name}'s device '{device}' is {off}, too much to correct for: set it to automatic time"
            )
        }
        (Verdict::Rejected, _) => {
            "this device does not show these two consecutive codes about now; type the next two"
                .to_owned()
        }
        (Verdict::AlreadyUsed, _) => {
            "one of the codes, or a later one, was used already; type the next two".to_owned()
        }
        (Verdict::Malformed, _) => {
            "type two consecutive codes of the device on one line".to_owned()
        }
        (other, _) => of_any_code(&name, other, None),
    };
    format!("{}: {meaning}", verdict.word())
}

/// A number of seconds in words: `45 s`, `10 min 30 s`, `1 h 5 min`.
pub(crate) fn span(seconds: u64) -> String {
    let parts = match seconds {
        0..3600 => [(seconds / 60, "min"), (seconds % 60, "s")],
        _ => [(seconds / 3600, "h"), (seconds % 3600 / 60, "min")],
    };
    let told = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"));
    told.collect::<Vec<_>>().join(" ")
}

/// The sentence for a verdict that reads the same after every command.
fn of_any_code(name: &str, verdict: Verdict, retry_after: Option<u64>) -> String {
    match verdict {
        Verdict::Accepted => "the code is right".to_owned(),
        Verdict::Exempt => "no code is needed here".to_owned(),
        Verdict::Rejected => "the code is wrong".to_owned(),
        Verdict::AlreadyUsed => match retry_after {
            Some(seconds) => format!("this code was used already; the next one comes in {}", span(seconds)),
            None => "this code was used already; wait for the next one".to_owned(),
        },
        Verdict::Malformed => "this is not a code; type only the digits that the device shows".to_owned(),
        Verdict::TwoCodesNeeded => {
            "after many wrong codes, one code is not enough; type two consecutive codes on one line".to_owned()
        }
        Verdict::NotEnrolled | Verdict::Disabled => format!("{name} has no active device"),
        Verdict::Refused if let Some(seconds) = retry_after => format!(
            "codes from before the clock was set, the machine started or the store put back are refused; the first one \
             that counts comes in {}",
            span(seconds)
        ),
        Verdict::Refused => {
            "the daemon cannot trust the record or the machine's clock now; see 'totpctl status' and the daemon's log"
                .to_owned()
        }
        Verdict::Busy => {
            format!(
                "too many attempts for {name}: try again in a moment; after twenty wrong ones of your own, in an hour"
            )
        }
    }
}

/// The user's name as a shell argument, quoted if needed. For a name with control characters, or
/// one that looks like an option: `USER`.
pub(crate) fn argument(user: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let shown_as_it_is = printable(&user.replace('\\', "")) == user.replace('\\', "");
    if user.starts_with('-') || user.is_empty() || !shown_as_it_is {
        "USER".to_owned()
    } else if user.chars().all(plain) {
        user.to_owned()
    } else {
        format!("'{}'", user.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_begins_with_its_word_and_fits_a_line_or_two() {
        for &verdict in Verdict::ALL {
            for sentence in [
                attempt("alice", verdict, None, None),
                confirmation("alice", "default", verdict),
                resynced("alice", "default", verdict, None),
                resynced("alice", "default", verdict, Some(-570)),
            ] {
                assert!(
                    sentence.starts_with(&format!("{}: ", verdict.word())),
                    "{sentence}"
                );
                assert!(sentence.chars().count() <= 120, "{sentence}");
            }
        }
    }

    #[test]
    fn what_helps_is_said() {
        assert_eq!(
            attempt("alice", Verdict::Accepted, Some("phone"), None),
            "accepted: the code of alice's device 'phone' is right; it is spent now"
        );
        assert_eq!(
            attempt("alice", Verdict::AlreadyUsed, Some("phone"), Some(12)),
            "already_used: this code was used already; the next one comes in 12 s"
        );
        assert_eq!(
            attempt("DOM\\al ice", Verdict::NotEnrolled, None, None),
            "not_enrolled: DOM\\\\al ice never had an active device; to enrol one: totpctl enroll 'DOM\\al ice'"
        );
    }

    #[test]
    fn how_far_a_clock_is_off_is_said() {
        let told = |verdict, seconds| resynced("alice", "phone", verdict, seconds);
        assert_eq!(
            told(Verdict::Refused, Some(-570)),
            "refused: the clock of alice's device 'phone' is 9 min 30 s slow, too much to correct for: set it to automatic time"
        );
        assert_eq!(
            told(Verdict::Accepted, Some(60)),
            "accepted: the clock of alice's device 'phone' is 1 min fast; the daemon corrects for it: one code is enough"
        );
        assert_eq!(
            told(Verdict::Accepted, Some(0)),
            "accepted: alice's device 'phone' is resynchronised: one code is enough"
        );
        assert_eq!(
            told(Verdict::Accepted, None),
            told(Verdict::Accepted, Some(0))
        );
        assert!(told(Verdict::Refused, None).ends_with("and the daemon's log"));
    }

    #[test]
    fn a_name_in_a_command_can_be_pasted() {
        assert_eq!(argument("alice@example.org"), "alice@example.org");
        assert_eq!(argument("DOMAIN\\alice smith"), "'DOMAIN\\alice smith'");
        assert_eq!(argument("o'neil"), r"'o'\''neil'");
        assert_eq!(argument("$(reboot)"), "'$(reboot)'");
        for name in ["-rf", "ali\u{202e}ce", ""] {
            assert_eq!(argument(name), "USER");
        }
    }
}
