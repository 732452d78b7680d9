//! Every sentence a person sees at the prompt.
//!
//! None of them says whether an account exists or has a device: what cannot be told apart is said in the same words.

#![forbid(unsafe_code)]

use common::protocol::{Ask, Verdict, VerifyReply};

use crate::options::Options;

/// What the person is asked.
#[must_use]
pub fn prompt(ask: Ask, options: &Options) -> &str {
    match ask {
        Ask::OneCode => options.prompt.as_deref().unwrap_or(ONE_CODE),
        Ask::TwoCodes => TWO_CODES,
        Ask::ThreeCodes => THREE_CODES,
    }
}

/// What is said between two prompts, of which the first was `asked`: why there is another one, and what to type now.
#[must_use]
pub fn try_again(asked: Ask, reply: &VerifyReply) -> String {
    match (reply.ask, reply.verdict) {
        // Whether or not anybody lives behind the name, the next prompt asks for more, so this says what.
        (Ask::TwoCodes, _) if asked != Ask::TwoCodes => TWO_CODES_NEEDED.to_owned(),
        (Ask::ThreeCodes, _) if asked != Ask::ThreeCodes => THREE_CODES_NEEDED.to_owned(),
        (_, Verdict::AlreadyUsed) => already_used(reply.retry_after),
        _ => NOT_ACCEPTED.to_owned(),
    }
}

/// The number comes from the daemon and is capped, so that whatever it is, the sentence stays one.
fn already_used(retry_after: Option<u64>) -> String {
    match retry_after.map(|seconds| seconds.min(LONGEST_WAIT)) {
        None | Some(0) => "That code was used already. Wait for the next one.".to_owned(),
        Some(1) => "That code was used already. The next one comes in 1 second.".to_owned(),
        Some(seconds) => format!("That code was used already. The next one comes in {seconds} seconds."),
    }
}

/// The last word when nothing can be judged.
pub const UNAVAILABLE: &str = "The code cannot be checked now. Try again later, or ask an administrator.";

const ONE_CODE: &str = "Verification code: ";
const TWO_CODES: &str = "Two verification codes, the current one and the next: ";
const THREE_CODES: &str = "Three verification codes, the current one and the next two: ";
const NOT_ACCEPTED: &str = "That was not accepted. Type what your device shows now.";
const TWO_CODES_NEEDED: &str =
    "Two codes in a row are needed now. Type the current one, wait for the next, and type that after it.";
const THREE_CODES_NEEDED: &str =
    "Three codes in a row are needed now. Type the current one, and each of the next two after it.";
/// An hour, in seconds: no authenticator shows a code for longer.
const LONGEST_WAIT: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdict: Verdict, retry_after: Option<u64>) -> String {
        said_next(verdict, retry_after, Ask::OneCode, Ask::OneCode)
    }

    fn said_next(verdict: Verdict, retry_after: Option<u64>, asked: Ask, ask: Ask) -> String {
        try_again(asked, &VerifyReply { verdict, ask, retry_after, device: Some("phone".into()) })
    }

    #[test]
    fn what_must_not_be_told_apart_is_said_in_the_same_words() {
        for verdict in [Verdict::Malformed, Verdict::NotEnrolled, Verdict::Disabled, Verdict::Refused] {
            assert_eq!(said(verdict, Some(12)), said(Verdict::Rejected, None), "{verdict:?}");
        }
    }

    #[test]
    fn that_more_codes_are_asked_for_is_said_once_whatever_the_verdict() {
        for verdict in [Verdict::Rejected, Verdict::NotEnrolled, Verdict::TwoCodesNeeded, Verdict::AlreadyUsed] {
            assert_eq!(said_next(verdict, None, Ask::OneCode, Ask::TwoCodes), TWO_CODES_NEEDED);
            assert_eq!(said_next(verdict, None, Ask::TwoCodes, Ask::ThreeCodes), THREE_CODES_NEEDED);
        }
        assert_eq!(said_next(Verdict::Rejected, None, Ask::TwoCodes, Ask::TwoCodes), NOT_ACCEPTED);
        assert_eq!(said_next(Verdict::Rejected, None, Ask::TwoCodes, Ask::OneCode), NOT_ACCEPTED);
    }

    #[test]
    fn a_used_code_comes_with_the_time_until_the_next() {
        assert!(said(Verdict::AlreadyUsed, Some(12)).ends_with("in 12 seconds."));
        assert!(said(Verdict::AlreadyUsed, Some(1)).ends_with("in 1 second."));
        for unknown in [None, Some(0)] {
            assert!(said(Verdict::AlreadyUsed, unknown).ends_with("Wait for the next one."));
        }
    }

    #[test]
    fn an_absurd_time_is_capped() {
        assert!(said(Verdict::AlreadyUsed, Some(u64::MAX)).ends_with("in 3600 seconds."));
    }

    #[test]
    fn the_prompt_is_the_option_or_ours() {
        let plain = Options::default();
        let own = Options { prompt: Some("Token? ".into()), ..Options::default() };
        assert_eq!(prompt(Ask::OneCode, &plain), "Verification code: ");
        assert_eq!(prompt(Ask::OneCode, &own), "Token? ");
        assert_eq!(prompt(Ask::TwoCodes, &own), TWO_CODES);
    }
}
