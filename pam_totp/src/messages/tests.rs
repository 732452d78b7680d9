//! Tests of the prompts and messages.

use common::wire::protocol::TimeOfDay;

use super::words::ENGLISH;
use super::*;
use crate::options::Language;

fn said(verdict: Verdict, retry_after: Option<u64>) -> String {
    said_next(verdict, retry_after, Ask::OneCode, Ask::OneCode)
}

fn said_next(verdict: Verdict, retry_after: Option<u64>, asked: Ask, ask: Ask) -> String {
    let reply = VerifyReply {
        retry_after,
        device: Some("phone".into()),
        ..VerifyReply::bare(verdict, ask)
    };
    try_again(asked, &reply, &Options::default())
}

#[test]
fn what_must_not_be_told_apart_is_said_in_the_same_words() {
    for verdict in [
        Verdict::Malformed,
        Verdict::NotEnrolled,
        Verdict::Disabled,
        Verdict::Refused,
    ] {
        assert_eq!(
            said(verdict, Some(12)),
            said(Verdict::Rejected, None),
            "{verdict:?}"
        );
    }
}

/// By the text's form alone, whatever the verdict, and not where a password is in the same text.
#[test]
fn letters_where_only_digits_can_be_have_a_sentence_of_their_own_whoever_the_user_is() {
    for (lang, own, ordinary) in [
        (
            Language::English,
            "only the digits 0 to 9",
            "The code was not accepted.",
        ),
        (
            Language::German,
            "nur die Ziffern 0 bis 9",
            "Der Code wurde nicht angenommen.",
        ),
    ] {
        let options = |forward_pass| Options {
            lang,
            forward_pass,
            ..Options::default()
        };
        for verdict in [
            Verdict::Malformed,
            Verdict::Rejected,
            Verdict::NotEnrolled,
            Verdict::Disabled,
            Verdict::Refused,
        ] {
            let reply = VerifyReply::bare(verdict, Ask::OneCode);
            let told = |typed: &str, options: &Options| {
                let typed = SecretText::new(typed.to_owned());
                let tried = Tried::at_prompt(Ask::OneCode, &typed, options);
                [
                    try_again(tried, &reply, options),
                    refused(tried, &reply, options),
                ]
            };
            for said in told("12345o", &options(false)) {
                assert!(said.contains(own) && !said.contains(ordinary), "{said}");
            }
            // Digits, a recovery code as it is written, sshd's stand-in, and a password with a code.
            for typed in ["12345", "abcd-efgh-ijkl-mnop", "\u{8}\n\r\u{7f}INCORR"] {
                for said in told(typed, &options(false)) {
                    assert!(said.starts_with(ordinary), "{typed:?}: {said}");
                }
            }
            for said in told("secret12345o", &options(true)) {
                assert!(said.starts_with(ordinary), "{said}");
            }
        }
    }
}

#[test]
fn letters_at_a_prompt_for_a_ticket_and_in_a_quarantine_are_told_like_others() {
    let options = Options::default();
    let typed = SecretText::new("hello".into());
    let tried = |asked| Tried::at_prompt(asked, &typed, &options);
    let reply = VerifyReply::bare(Verdict::Malformed, Ask::Ticket);
    let said = try_again(tried(Ask::Ticket), &reply, &options);
    assert_eq!(said, ENGLISH.ticket_not_accepted);
    let reply = VerifyReply {
        quarantine: Some(Quarantine { until: None }),
        ..VerifyReply::bare(Verdict::Malformed, Ask::OneCode)
    };
    let said = try_again(tried(Ask::OneCode), &reply, &options);
    assert_eq!(said, ENGLISH.quarantine);
}

#[test]
fn that_more_codes_are_asked_for_is_said_once_whatever_the_verdict() {
    for verdict in [
        Verdict::Rejected,
        Verdict::NotEnrolled,
        Verdict::TwoCodesNeeded,
        Verdict::AlreadyUsed,
    ] {
        let needed = "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. Type the current code, wait until your device shows the next one, and type that on the same line.";
        assert_eq!(
            said_next(verdict, None, Ask::OneCode, Ask::TwoCodes),
            needed
        );
    }
}

#[test]
fn what_to_type_is_what_the_next_prompt_asks_for() {
    for (language, needles) in [
        (
            Language::English,
            [
                "the code that your device shows now.",
                "the current code, wait until",
            ],
        ),
        (
            Language::German,
            [
                "den Code ein, den Ihr Gerät jetzt zeigt.",
                "den aktuellen Code ein, warten Sie",
            ],
        ),
    ] {
        let options = Options {
            lang: language,
            ..Options::default()
        };
        for (ask, needle) in [Ask::OneCode, Ask::TwoCodes].into_iter().zip(needles) {
            let said = try_again(ask, &VerifyReply::bare(Verdict::Rejected, ask), &options);
            assert!(
                said.starts_with(of(ask, words(language).not_accepted)) && said.contains(needle),
                "{said}"
            );
        }
    }
    let sooner = said_next(Verdict::Rejected, None, Ask::TwoCodes, Ask::OneCode);
    assert_eq!(
        sooner,
        "The codes were not accepted. Type the code that your device shows now."
    );
}

#[test]
fn of_several_codes_of_which_one_was_used_the_next_is_the_first() {
    let said = said_next(Verdict::AlreadyUsed, Some(12), Ask::TwoCodes, Ask::TwoCodes);
    assert_eq!(
        said,
        "That code was already used. Your device shows the next one in 12 seconds. Start with that one."
    );
}

#[test]
fn after_the_last_prompt_nobody_is_told_to_type_something_now() {
    for language in [Language::English, Language::German] {
        for [forward_pass, use_first_pass] in [[false, false], [true, false], [false, true]] {
            let options = Options {
                lang: language,
                forward_pass,
                use_first_pass,
                ..Options::default()
            };
            for verdict in [
                Verdict::Rejected,
                Verdict::AlreadyUsed,
                Verdict::TwoCodesNeeded,
            ] {
                for ask in [Ask::OneCode, Ask::TwoCodes] {
                    let said = refused(Ask::OneCode, &VerifyReply::bare(verdict, ask), &options);
                    assert!(
                        !said.contains("Type") && !said.contains("Geben Sie"),
                        "{said}"
                    );
                    assert!(
                        !said.contains("shows now") && !said.contains("jetzt zeigt"),
                        "{said}"
                    );
                    let both = said.contains("password") || said.contains("Passwort");
                    let told_how = verdict != Verdict::AlreadyUsed || ask != Ask::OneCode;
                    assert_eq!(both, told_how && (forward_pass || use_first_pass), "{said}");
                }
            }
        }
    }
}

#[test]
fn after_the_last_prompt_what_must_not_be_told_apart_is_said_in_the_same_words() {
    let said = |verdict| {
        refused(
            Ask::OneCode,
            &VerifyReply::bare(verdict, Ask::OneCode),
            &Options::default(),
        )
    };
    assert_eq!(
        said(Verdict::Rejected),
        "The code was not accepted. Try again with the code that your device shows then."
    );
    for verdict in [
        Verdict::Malformed,
        Verdict::NotEnrolled,
        Verdict::Disabled,
        Verdict::Refused,
    ] {
        assert_eq!(said(verdict), said(Verdict::Rejected), "{verdict:?}");
    }
}

#[test]
fn a_used_code_comes_with_the_time_until_the_next() {
    assert!(said(Verdict::AlreadyUsed, Some(12)).ends_with("in 12 seconds."));
    assert!(said(Verdict::AlreadyUsed, Some(1)).ends_with("in 1 second."));
    for unknown in [None, Some(0)] {
        assert!(
            said(Verdict::AlreadyUsed, unknown)
                .ends_with("Wait until your device shows the next one.")
        );
    }
}

#[test]
fn in_a_quarantine_every_user_is_told_the_same_whatever_the_verdict() {
    let told = |verdict, until: Option<u32>, asked, ask, language| {
        let until = until.map(|time| TimeOfDay::try_from(time).unwrap());
        let reply = VerifyReply {
            quarantine: Some(Quarantine { until }),
            retry_after: Some(12),
            ..VerifyReply::bare(verdict, ask)
        };
        let options = Options {
            lang: language,
            ..Options::default()
        };
        let said = [try_again, refused].map(|say| say(asked, &reply, &options));
        assert_eq!(said[0], said[1]);
        said[0].clone()
    };
    let (one, two) = (Ask::OneCode, Ask::TwoCodes);
    let until = "This machine was started, or its clock set, a moment ago: codes shown from 09:05:30 on are accepted.";
    for verdict in [
        Verdict::Rejected,
        Verdict::AlreadyUsed,
        Verdict::Malformed,
        Verdict::TwoCodesNeeded,
        Verdict::NotEnrolled,
        Verdict::Disabled,
        Verdict::Refused,
    ] {
        let at = Some(9 * 3600 + 5 * 60 + 30);
        assert_eq!(told(verdict, at, one, one, Language::English), until);
        assert_eq!(told(verdict, at, two, two, Language::English), until);
        assert_eq!(
            told(verdict, at, one, two, Language::English),
            format!(
                "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. {until}"
            )
        );
        assert!(
            told(verdict, at, one, one, Language::German)
                .contains("Codes, die Ihr Gerät ab 09:05:30 Uhr zeigt, werden angenommen.")
        );
        for language in [Language::English, Language::German] {
            let said = told(verdict, None, one, one, language);
            assert_eq!(said, words(language).quarantine);
        }
    }
    let ticket = told(
        Verdict::Rejected,
        Some(0),
        Ask::Ticket,
        Ask::Ticket,
        Language::English,
    );
    assert_eq!(ticket, ENGLISH.ticket_not_accepted, "a ticket has no time");
}

#[test]
fn an_absurd_time_is_capped() {
    assert!(said(Verdict::AlreadyUsed, Some(u64::MAX)).ends_with("in 3600 seconds."));
}

#[test]
fn the_prompt_is_the_option_or_ours() {
    let plain = Options::default();
    let own = Options {
        prompt: Some("Token? ".into()),
        ..Options::default()
    };
    assert_eq!(prompt(Ask::OneCode, &plain), "Verification code: ");
    assert_eq!(prompt(Ask::OneCode, &own), "Token? ");
    assert_eq!(
        prompt(Ask::TwoCodes, &own),
        "Token? (the current one and the next): "
    );
    assert_eq!(prompt(Ask::Ticket, &own), "Token? (Enrolment ticket): ");
    assert_eq!(password_prompt(&own), "Token? ");
    assert_eq!(password_prompt(&plain), "Password: ");
}

#[test]
fn every_prompt_begins_with_the_words_of_the_first() {
    for language in [Language::English, Language::German] {
        for forward_pass in [false, true] {
            for own in [
                None,
                Some("Token: "),
                Some("Token? "),
                Some("Code"),
                Some(":"),
            ] {
                let options = Options {
                    lang: language,
                    forward_pass,
                    prompt: own.map(str::to_owned),
                    ..Options::default()
                };
                let first = prompt(Ask::OneCode, &options);
                let both = prompt(Ask::TwoCodes, &options);
                let words = first.trim_end().trim_end_matches(':');
                assert!(both.starts_with(words) && both != first, "{both}");
                if own.is_some() {
                    assert_eq!(password_prompt(&options), first);
                    let ticket = prompt(Ask::Ticket, &options);
                    assert!(ticket.starts_with(words) && ticket != first, "{ticket}");
                }
            }
        }
    }
}

#[test]
fn who_types_the_password_too_is_asked_for_both() {
    let joined = Options {
        forward_pass: true,
        ..Options::default()
    };
    assert_eq!(
        prompt(Ask::OneCode, &joined),
        "Password & verification code: "
    );
    assert_eq!(
        prompt(Ask::TwoCodes, &joined),
        "Password & verification code (the current one and the next): "
    );
    let own = Options {
        prompt: Some("Both: ".into()),
        ..joined
    };
    assert_eq!(prompt(Ask::OneCode, &own), "Both: ");
    let reply = VerifyReply::bare(Verdict::Rejected, Ask::OneCode);
    assert!(
        try_again(Ask::OneCode, &reply, &own).contains("Type your password, directly followed by")
    );
}

#[test]
fn it_is_said_when_few_recovery_codes_are_left() {
    let said = [0, 1, 3, 4, usize::MAX].map(|left| recovery_codes_left(left, &Options::default()));
    assert_eq!(said[0].as_deref(), Some(ENGLISH.no_recovery_code_left));
    assert_eq!(said[1].as_deref(), Some(ENGLISH.one_recovery_code_left));
    let three = "You have 3 recovery codes left. Run 'totpctl recovery-codes' to get new ones.";
    assert_eq!(said[2].as_deref(), Some(three));
    assert_eq!(said[3..], [None, None]);
}

fn new_device(qr: Vec<SecretText>) -> Enrolment {
    Enrolment {
        device: "phone".into(),
        key: SecretText::new("GEZD-GNBV".into()),
        qr,
    }
}

#[test]
fn a_new_device_is_shown_as_picture_and_key_or_as_key_alone() {
    let line = || SecretText::new("█▀".into());
    let drawn = new_device(vec![line(), line()]);
    let told = enrolment(&drawn, Ask::OneCode, &Options::default());
    assert_eq!(
        told.expose(),
        "Scan this QR code with your authenticator app:\n█▀\n█▀\nOr type this key into the app: GEZD-GNBV\nThen type the code that the app shows."
    );
    let told = enrolment(&new_device(Vec::new()), Ask::OneCode, &Options::default());
    assert_eq!(
        told.expose(),
        "Type this key into your authenticator app: GEZD-GNBV
Then type the code that the app shows."
    );
}

#[test]
fn in_german_everything_is_german() {
    let german = |forward_pass| Options {
        lang: Language::German,
        forward_pass,
        ..Options::default()
    };
    let (german, joined) = (german(false), german(true));
    let asks = [Ask::OneCode, Ask::TwoCodes];
    let mut said: Vec<String> = asks
        .iter()
        .flat_map(|ask| [&german, &joined].map(|options| prompt(*ask, options)))
        .collect();
    for verdict in [Verdict::Rejected, Verdict::AlreadyUsed] {
        for (ask, retry_after) in asks
            .into_iter()
            .flat_map(|ask| [None, Some(1), Some(12)].map(|s| (ask, s)))
        {
            let reply = VerifyReply {
                retry_after,
                ..VerifyReply::bare(verdict, ask)
            };
            for asked in asks {
                said.extend([&german, &joined].map(|options| try_again(asked, &reply, options)));
                said.extend([&german, &joined].map(|options| refused(asked, &reply, options)));
            }
        }
    }
    said.extend([unavailable(&german), password_prompt(&german)].map(str::to_owned));
    said.extend([enrolled(true, &german), two_codes_needed(&german)]);
    for until in [None, TimeOfDay::try_from(0).ok()] {
        let quarantine = Some(Quarantine { until });
        let reply = VerifyReply {
            quarantine,
            ..VerifyReply::bare(Verdict::Refused, Ask::OneCode)
        };
        said.push(refused(Ask::OneCode, &reply, &german));
    }
    said.push(prompt(Ask::Ticket, &german));
    said.push(words(Language::German).not_digits.to_owned());
    for ask in asks {
        let shown = enrolment(&new_device(Vec::new()), ask, &german);
        said.push(shown.expose().to_owned());
    }
    said.extend((0..=3).filter_map(|left| recovery_codes_left(left, &german)));
    for sentence in said {
        assert!(
            !sentence.contains(" code ") && !sentence.contains(" one"),
            "{sentence}"
        );
        assert!(
            !sentence.contains("{}") && !sentence.contains("  "),
            "{sentence}"
        );
    }
    assert_eq!(prompt(Ask::OneCode, &german), "Bestätigungscode: ");
    let own = Options {
        prompt: Some("Token? ".into()),
        ..german
    };
    assert_eq!(prompt(Ask::OneCode, &own), "Token? ");
}
