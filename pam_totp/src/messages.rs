//! Every sentence a person sees at the prompt.
//!
//! None of them says whether an account exists or has a device: what cannot be told apart is said in the same words.

#![forbid(unsafe_code)]

use common::protocol::{Ask, Verdict, VerifyReply};

use crate::options::{Language, Options};

/// What the person is asked.
#[must_use]
pub fn prompt(ask: Ask, options: &Options) -> &str {
    let words = words(options.lang);
    let [one, two, three] = if options.forward_pass { words.password_and_codes } else { words.codes };
    match ask {
        Ask::OneCode | Ask::Nothing => options.prompt.as_deref().unwrap_or(one),
        Ask::TwoCodes => two,
        Ask::ThreeCodes => three,
    }
}

/// What asks for the password alone, where no code is needed. `prompt=` is about a code.
#[must_use]
pub fn password_prompt(options: &Options) -> &'static str {
    words(options.lang).password
}

/// What is said between two prompts, of which the first was `asked`: why there is another one, and what to type now.
#[must_use]
pub fn try_again(asked: Ask, reply: &VerifyReply, options: &Options) -> String {
    let words = words(options.lang);
    match (reply.ask, reply.verdict) {
        // Whether or not anybody lives behind the name, the next prompt asks for more, so this says what.
        (Ask::TwoCodes, _) if asked != Ask::TwoCodes => words.two_codes_needed.to_owned(),
        (Ask::ThreeCodes, _) if asked != Ask::ThreeCodes => words.three_codes_needed.to_owned(),
        (_, Verdict::AlreadyUsed) => already_used(reply.retry_after, words),
        _ if options.forward_pass => words.password_and_code_not_accepted.to_owned(),
        _ => words.not_accepted.to_owned(),
    }
}

/// What is said when a recovery code let in and few are left. `None`: there are enough.
#[must_use]
pub fn recovery_codes_left(left: usize, options: &Options) -> Option<String> {
    let words = words(options.lang);
    match left {
        0 => Some(words.no_recovery_code_left.to_owned()),
        1 => Some(words.one_recovery_code_left.to_owned()),
        2..=FEW => Some(words.few_recovery_codes_left.replace("{}", &left.to_string())),
        _ => None,
    }
}

/// The last word when nothing can be judged.
#[must_use]
pub fn unavailable(options: &Options) -> &'static str {
    words(options.lang).unavailable
}

/// The number comes from the daemon and is capped, so that whatever it is, the sentence stays one.
fn already_used(retry_after: Option<u64>, words: &Words) -> String {
    match retry_after.map(|seconds| seconds.min(LONGEST_WAIT)) {
        None | Some(0) => words.used.to_owned(),
        Some(1) => words.used_one_second.to_owned(),
        Some(seconds) => words.used_some_seconds.replace("{}", &seconds.to_string()),
    }
}

fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

/// One language: the prompts, and what is said between them.
struct Words {
    /// What asks for one, for two and for three.
    codes: [&'static str; 3],
    password_and_codes: [&'static str; 3],
    password: &'static str,
    not_accepted: &'static str,
    password_and_code_not_accepted: &'static str,
    two_codes_needed: &'static str,
    three_codes_needed: &'static str,
    used: &'static str,
    used_one_second: &'static str,
    /// `{}` is the number of seconds.
    used_some_seconds: &'static str,
    no_recovery_code_left: &'static str,
    one_recovery_code_left: &'static str,
    /// `{}` is the number of codes.
    few_recovery_codes_left: &'static str,
    unavailable: &'static str,
}

const ENGLISH: Words = Words {
    codes: [
        "Verification code: ",
        "Two verification codes, the current one and the next: ",
        "Three verification codes, the current one and the next two: ",
    ],
    password_and_codes: [
        "Password & verification code: ",
        "Password & two verification codes, the current one and the next: ",
        "Password & three verification codes, the current one and the next two: ",
    ],
    password: "Password: ",
    not_accepted: "That was not accepted. Type what your device shows now.",
    password_and_code_not_accepted: "That was not accepted. \
                                     Type your password, and right after it what your device shows now.",
    two_codes_needed: "Two codes in a row are needed now. \
                       Type the current one, wait for the next, and type that after it.",
    three_codes_needed: "Three codes in a row are needed now. \
                         Type the current one, and each of the next two after it.",
    used: "That code was used already. Wait for the next one.",
    used_one_second: "That code was used already. The next one comes in 1 second.",
    used_some_seconds: "That code was used already. The next one comes in {} seconds.",
    no_recovery_code_left: "That was your last recovery code. Get new ones with 'totpctl recovery-codes'.",
    one_recovery_code_left: "1 recovery code left. Get new ones with 'totpctl recovery-codes'.",
    few_recovery_codes_left: "{} recovery codes left. Get new ones with 'totpctl recovery-codes'.",
    unavailable: "The code cannot be checked now. Try again later, or ask an administrator.",
};

const GERMAN: Words = Words {
    codes: [
        "Bestätigungscode: ",
        "Zwei Bestätigungscodes, den aktuellen und den nächsten: ",
        "Drei Bestätigungscodes, den aktuellen und die beiden nächsten: ",
    ],
    password_and_codes: [
        "Passwort und Bestätigungscode: ",
        "Passwort und zwei Bestätigungscodes, den aktuellen und den nächsten: ",
        "Passwort und drei Bestätigungscodes, den aktuellen und die beiden nächsten: ",
    ],
    password: "Passwort: ",
    not_accepted: "Das wurde nicht angenommen. Geben Sie ein, was Ihr Gerät jetzt zeigt.",
    password_and_code_not_accepted: "Das wurde nicht angenommen. \
                                     Geben Sie Ihr Passwort ein und direkt dahinter, was Ihr Gerät jetzt zeigt.",
    two_codes_needed: "Jetzt sind zwei Codes hintereinander nötig. \
                       Geben Sie den aktuellen ein, warten Sie auf den nächsten, und hängen Sie ihn an.",
    three_codes_needed: "Jetzt sind drei Codes hintereinander nötig. \
                         Geben Sie den aktuellen ein, und hängen Sie die beiden nächsten an.",
    used: "Dieser Code wurde schon benutzt. Warten Sie auf den nächsten.",
    used_one_second: "Dieser Code wurde schon benutzt. Der nächste kommt in 1 Sekunde.",
    used_some_seconds: "Dieser Code wurde schon benutzt. Der nächste kommt in {} Sekunden.",
    no_recovery_code_left: "Das war Ihr letzter Wiederherstellungscode. Neue gibt es mit 'totpctl recovery-codes'.",
    one_recovery_code_left: "Noch 1 Wiederherstellungscode. Neue gibt es mit 'totpctl recovery-codes'.",
    few_recovery_codes_left: "Noch {} Wiederherstellungscodes. Neue gibt es mit 'totpctl recovery-codes'.",
    unavailable: "Der Code lässt sich gerade nicht prüfen. \
                  Versuchen Sie es später noch einmal, oder fragen Sie in der Administration nach.",
};

/// An hour, in seconds: no authenticator shows a code for longer.
const LONGEST_WAIT: u64 = 3600;
/// Recovery codes of which it is time to get new ones.
const FEW: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdict: Verdict, retry_after: Option<u64>) -> String {
        said_next(verdict, retry_after, Ask::OneCode, Ask::OneCode)
    }

    fn said_next(verdict: Verdict, retry_after: Option<u64>, asked: Ask, ask: Ask) -> String {
        let reply = VerifyReply { retry_after, device: Some("phone".into()), ..VerifyReply::bare(verdict, ask) };
        try_again(asked, &reply, &Options::default())
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
            assert_eq!(said_next(verdict, None, Ask::OneCode, Ask::TwoCodes), ENGLISH.two_codes_needed);
            assert_eq!(said_next(verdict, None, Ask::TwoCodes, Ask::ThreeCodes), ENGLISH.three_codes_needed);
        }
        assert_eq!(said_next(Verdict::Rejected, None, Ask::TwoCodes, Ask::TwoCodes), ENGLISH.not_accepted);
        assert_eq!(said_next(Verdict::Rejected, None, Ask::TwoCodes, Ask::OneCode), ENGLISH.not_accepted);
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
        assert_eq!(prompt(Ask::TwoCodes, &own), ENGLISH.codes[1]);
    }
    #[test]
    fn who_types_the_password_too_is_asked_for_both() {
        let joined = Options { forward_pass: true, ..Options::default() };
        assert_eq!(prompt(Ask::OneCode, &joined), "Password & verification code: ");
        assert_eq!(prompt(Ask::ThreeCodes, &joined), ENGLISH.password_and_codes[2]);
        let own = Options { prompt: Some("Both: ".into()), ..joined };
        assert_eq!(prompt(Ask::OneCode, &own), "Both: ");
        let reply = VerifyReply::bare(Verdict::Rejected, Ask::OneCode);
        assert!(try_again(Ask::OneCode, &reply, &own).contains("Type your password, and right after it"));
    }

    #[test]
    fn it_is_said_when_few_recovery_codes_are_left() {
        let said = [0, 1, 3, 4, usize::MAX].map(|left| recovery_codes_left(left, &Options::default()));
        assert_eq!(said[0].as_deref(), Some(ENGLISH.no_recovery_code_left));
        assert_eq!(said[1].as_deref(), Some(ENGLISH.one_recovery_code_left));
        let three = "3 recovery codes left. Get new ones with 'totpctl recovery-codes'.";
        assert_eq!(said[2].as_deref(), Some(three));
        assert_eq!(said[3..], [None, None]);
    }

    #[test]
    fn in_german_everything_is_german() {
        let german = |forward_pass| Options { lang: Language::German, forward_pass, ..Options::default() };
        let (german, joined) = (german(false), german(true));
        let asks = [Ask::OneCode, Ask::TwoCodes, Ask::ThreeCodes];
        let mut said: Vec<String> =
            asks.iter().flat_map(|ask| [&german, &joined].map(|options| prompt(*ask, options).to_owned())).collect();
        for verdict in [Verdict::Rejected, Verdict::AlreadyUsed] {
            for (ask, retry_after) in asks.into_iter().flat_map(|ask| [None, Some(1), Some(12)].map(|s| (ask, s))) {
                let reply = VerifyReply { retry_after, ..VerifyReply::bare(verdict, ask) };
                said.extend([&german, &joined].map(|options| try_again(Ask::OneCode, &reply, options)));
            }
        }
        said.extend([unavailable(&german), password_prompt(&german)].map(str::to_owned));
        said.extend((0..=3).filter_map(|left| recovery_codes_left(left, &german)));
        for sentence in said {
            assert!(!sentence.contains(" code ") && !sentence.contains(" one"), "{sentence}");
            assert!(!sentence.contains("{}") && !sentence.contains("  "), "{sentence}");
        }
        assert_eq!(prompt(Ask::OneCode, &german), "Bestätigungscode: ");
        let own = Options { prompt: Some("Token? ".into()), ..german };
        assert_eq!(prompt(Ask::OneCode, &own), "Token? ");
    }
}
