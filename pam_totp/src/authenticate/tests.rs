//! Tests of the flow with a prompt for the code alone.

use common::wire::protocol::Enrolment;

use super::transcript::*;
use super::*;

#[test]
fn an_accepted_code_lets_in_at_once() {
    let code = play(
        &Options::default(),
        [
            begins_as_usual(),
            round(PROMPT, "123456", Verdict::Accepted),
        ],
    );
    assert_eq!(code, PamError::SUCCESS);
}

#[test]
fn nobody_can_tell_a_wrong_code_from_an_account_without_a_device() {
    for verdict in LOOK_ALIKES {
        for enrolled in [None, Some(false), Some(true)] {
            let code = play(
                &retrying(3),
                [
                    begins(Ask::OneCode, enrolled),
                    round(PROMPT, "111111", verdict),
                    vec![Told(AGAIN)],
                    round(PROMPT, "", verdict),
                    vec![Told(AGAIN)],
                    round(PROMPT, "333333", verdict),
                    last_word(verdict),
                ],
            );
            assert_eq!(code, PamError::AUTH_ERR, "{verdict:?} {enrolled:?}");
        }
    }
}

#[test]
fn with_one_try_a_refusal_is_an_authentication_error_and_says_why() {
    for verdict in LOOK_ALIKES
        .into_iter()
        .chain([Verdict::AlreadyUsed, Verdict::TwoCodesNeeded])
    {
        let code = play(
            &retrying(1),
            [
                begins_as_usual(),
                round(PROMPT, "111111", verdict),
                last_word(verdict),
            ],
        );
        assert_eq!(code, PamError::AUTH_ERR, "{verdict:?}");
    }
}

#[test]
fn a_later_try_can_be_accepted() {
    for verdict in LOOK_ALIKES {
        let first = round(PROMPT, "111111", verdict);
        let second = round(PROMPT, "222222", Verdict::Accepted);
        let code = play(
            &retrying(2),
            [begins_as_usual(), first, vec![Told(AGAIN)], second],
        );
        assert_eq!(code, PamError::SUCCESS, "{verdict:?}");
    }
}

#[test]
fn who_types_a_used_code_is_told_when_the_next_one_comes() {
    let told = vec![Told(
        "That code was already used. Your device shows the next one in 12 seconds.",
    )];
    let rounds = [
        begins_as_usual(),
        round(PROMPT, "123456", Verdict::AlreadyUsed),
        told,
        round(PROMPT, "654321", Verdict::Accepted),
    ];
    assert_eq!(play(&Options::default(), rounds), PamError::SUCCESS);
}

#[test]
fn two_codes_are_asked_for_as_soon_as_the_daemon_wants_them_and_until_the_end() {
    let needed = "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. Type the current code, wait until your device shows the next one, and type that on the same line.";
    let again = "The codes were not accepted. Type the current code, wait until your device shows the next one, and type that on the same line.";
    let later = [
        begins_as_usual(),
        round(PROMPT, "111111", Verdict::TwoCodesNeeded),
        vec![Told(needed)],
        round(BOTH, "111111222222", Verdict::Rejected),
        vec![Told(again)],
        round(BOTH, "222222333333", Verdict::Accepted),
    ];
    assert_eq!(play(&Options::default(), later), PamError::SUCCESS);
    let at_once = [
        begins(Ask::TwoCodes, None),
        vec![Told(needed)],
        round(BOTH, "111111222222", Verdict::Accepted),
    ];
    assert_eq!(play(&Options::default(), at_once), PamError::SUCCESS);
}

#[test]
fn nullok_lets_through_only_who_was_never_enrolled() {
    let options = Options {
        nullok: true,
        ..retrying(1)
    };
    let logged = vec![Logged(
        "user 'alice' was never enrolled and needs no code (option 'nullok')",
    )];
    assert_eq!(
        play(&options, [begins(Ask::OneCode, Some(false)), logged]),
        PamError::IGNORE
    );
    for enrolled in [None, Some(true)] {
        for verdict in [Verdict::NotEnrolled, Verdict::Disabled] {
            let refused = round(PROMPT, "111111", verdict);
            let code = play(
                &options,
                [begins(Ask::OneCode, enrolled), refused, last_word(verdict)],
            );
            assert_eq!(code, PamError::AUTH_ERR, "{enrolled:?} {verdict:?}");
        }
    }
}

#[test]
fn with_always_prompt_who_was_never_enrolled_is_asked_once_and_nothing_is_judged() {
    let options = Options {
        nullok: true,
        always_prompt: true,
        ..Options::default()
    };
    let logged = vec![Logged(
        "user 'alice' was never enrolled and needs no code (option 'nullok')",
    )];
    let code = play(
        &options,
        [
            begins(Ask::OneCode, Some(false)),
            asks(PROMPT, "123456"),
            logged,
        ],
    );
    assert_eq!(code, PamError::IGNORE);
    let code = play(
        &options,
        [begins(Ask::OneCode, Some(false)), vec![Asked(PROMPT, None)]],
    );
    assert_eq!(code, PamError::CONV_ERR);
    let options = Options {
        nullok: false,
        ..retrying(1)
    };
    let judged = [
        begins(Ask::OneCode, Some(false)),
        round(PROMPT, "123456", Verdict::NotEnrolled),
    ];
    let told = last_word(Verdict::NotEnrolled);
    assert_eq!(
        play(&options, judged.into_iter().chain([told])),
        PamError::AUTH_ERR
    );
}

#[test]
fn with_user_unknown_who_was_never_enrolled_is_unknown_after_the_first_prompt() {
    let options = Options {
        user_unknown: true,
        ..Options::default()
    };
    let told = || last_word(Verdict::NotEnrolled);
    let unknown = [
        begins(Ask::OneCode, Some(false)),
        round(PROMPT, "111111", Verdict::NotEnrolled),
        told(),
    ];
    assert_eq!(play(&options, unknown), PamError::USER_UNKNOWN);
    let disabled = [
        begins_as_usual(),
        round(PROMPT, "111111", Verdict::Disabled),
        told(),
    ];
    assert_eq!(
        play(
            &Options {
                retry: 1,
                ..options
            },
            disabled
        ),
        PamError::AUTH_ERR
    );
}

#[test]
fn a_busy_daemon_is_no_verdict() {
    let end = vec![
        Logged("user 'alice' refused: provisiond is too busy"),
        Told(UNAVAILABLE),
    ];
    let code = play(
        &Options::default(),
        [
            begins_as_usual(),
            round(PROMPT, "111111", Verdict::Busy),
            end,
        ],
    );
    assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
}

#[test]
fn a_daemon_that_cannot_be_used_lets_nobody_in_with_any_options() {
    for error in [
        ClientError::Deadline,
        ClientError::WrongServer {
            found: 1000,
            expected: 0,
        },
        Error::busy("wait").into(),
    ] {
        let line = format!("user 'alice' refused: {error}").leak();
        let options = Options {
            nullok: true,
            user_unknown: true,
            ..Options::default()
        };
        let end = vec![Logged(line), Told(UNAVAILABLE)];
        let code = play(
            &options,
            [vec![User(Some(b"alice")), Challenged(Err(error))], end],
        );
        assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
    }
}

#[test]
fn what_comes_back_after_a_code_is_not_repeated_in_the_log() {
    for (error, line) in [
        (
            ClientError::Protocol("no verdict '123456'".into()),
            "provisiond sent an invalid reply: check that it and the module have the same version",
        ),
        (
            Error::bad("codes", "'123456' is odd").into(),
            "provisiond rejected the request: check that it and the module have the same version",
        ),
        (
            Error::Varlink("123456".into()).into(),
            "provisiond rejected the request: check that it and the module have the same version",
        ),
        (
            Error::busy("'123456' has to wait").into(),
            "provisiond is too busy",
        ),
        (
            Error::StoreUnavailable.into(),
            "the store is unavailable: the daemon's log says why",
        ),
        (
            ClientError::Deadline,
            "provisiond did not answer in time: 'systemctl status provisiond' shows its state",
        ),
    ] {
        let line = format!("user 'alice' refused: {line}").leak();
        let end = vec![
            Judged("123456", Err(error)),
            Logged(line),
            Told(UNAVAILABLE),
        ];
        let code = play(
            &Options::default(),
            [begins_as_usual(), asks(PROMPT, "123456"), end],
        );
        assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
    }
}

#[test]
fn a_failed_conversation_is_never_judged() {
    let options = Options::default();
    assert_eq!(play(&options, [vec![User(None)]]), PamError::CONV_ERR);
    assert_eq!(
        play(&options, [begins_as_usual(), vec![Asked(PROMPT, None)]]),
        PamError::CONV_ERR
    );
    let second = vec![Told(AGAIN), Asked(PROMPT, None)];
    let rounds = [
        begins_as_usual(),
        round(PROMPT, "111111", Verdict::Rejected),
        second,
    ];
    assert_eq!(play(&options, rounds), PamError::CONV_ERR);
}

#[test]
fn a_name_that_changes_at_the_prompt_is_refused_before_the_code_is_sent() {
    for now in [Some(&b"root"[..]), Some(b"alice "), Some(b""), None] {
        let end = vec![
            Asked(PROMPT, Some("123456")),
            UserNow(now),
            Logged("user 'alice' refused: the application changed the user name during the prompt"),
        ];
        assert_eq!(
            play(&Options::default(), [begins_as_usual(), end]),
            PamError::AUTH_ERR,
            "{now:?}"
        );
    }
}

#[test]
fn a_name_that_no_account_has_is_refused_without_asking_anybody() {
    for (name, line) in [
        (&b""[..], "user '' refused: a user name cannot be empty"),
        (
            b"../x\n",
            "user '../x\\n' refused: a user name cannot contain control characters, '/' or ':'",
        ),
        (
            b"root ",
            "user 'root ' refused: a user name cannot begin or end with a space",
        ),
        (
            b"al\xffice",
            "user 'al\u{fffd}ice' refused: a user name must be UTF-8",
        ),
    ] {
        let lines = || [vec![User(Some(name)), Logged(line)]];
        assert_eq!(
            play(&Options::default(), lines()),
            PamError::AUTH_ERR,
            "{name:?}"
        );
        let options = Options {
            user_unknown: true,
            nullok: true,
            ..Options::default()
        };
        assert_eq!(play(&options, lines()), PamError::USER_UNKNOWN, "{name:?}");
    }
    let long = "a".repeat(65_536).leak();
    let line = format!(
        "user '{}…' refused: a user name has at most 256 bytes",
        "a".repeat(256)
    )
    .leak();
    let lines = vec![User(Some(long.as_bytes())), Logged(line)];
    assert_eq!(play(&Options::default(), [lines]), PamError::AUTH_ERR);
}

#[test]
fn the_prompt_and_its_echo_are_the_administrators_choice() {
    let options = Options {
        prompt: Some("Token? ".into()),
        echo_verification_code: true,
        ..Options::default()
    };
    let rounds = [
        begins_as_usual(),
        round("Token? (seen)", "123456", Verdict::Accepted),
    ];
    assert_eq!(play(&options, rounds), PamError::SUCCESS);
}

#[test]
fn with_debug_a_refusal_is_logged_with_its_verdict_and_without_the_code() {
    let options = Options {
        debug: true,
        ..retrying(1)
    };
    let end = vec![Logged("user 'alice' refused: not_enrolled")];
    let refused = round(PROMPT, "111111", Verdict::NotEnrolled);
    let code = play(
        &options,
        [
            begins_as_usual(),
            refused,
            last_word(Verdict::NotEnrolled),
            end,
        ],
    );
    assert_eq!(code, PamError::AUTH_ERR);
    let end = vec![
        User(None),
        Logged("user '' refused: the PAM conversation failed"),
    ];
    assert_eq!(play(&options, [end]), PamError::CONV_ERR);
    let code = play(
        &options,
        [
            begins_as_usual(),
            round(PROMPT, "123456", Verdict::Accepted),
        ],
    );
    assert_eq!(code, PamError::SUCCESS);
}

#[test]
fn nothing_but_accepted_is_success_and_nothing_but_exempt_and_nullok_is_ignore() {
    let verdicts = LOOK_ALIKES.into_iter().chain([
        Verdict::AlreadyUsed,
        Verdict::TwoCodesNeeded,
        Verdict::Busy,
    ]);
    let stops = [
        Stop::BadName(String::new()),
        Stop::UserChanged,
        Stop::NoCodeWithPassword,
        Stop::NotExempt(Verdict::Accepted),
        Stop::NotExempt(Verdict::Exempt),
        Stop::NotExempt(Verdict::NotEnrolled),
        Stop::Unavailable(String::new()),
        Stop::ConversationFailed,
    ];
    for end in verdicts.map(Ok).chain(stops.map(Err)) {
        for options in [
            retrying(1),
            Options {
                nullok: true,
                user_unknown: true,
                debug: true,
                ..retrying(3)
            },
        ] {
            let code = pam_code(&end, &options);
            assert!(
                !matches!(code, PamError::SUCCESS | PamError::IGNORE),
                "{end:?}"
            );
        }
    }
    assert_eq!(
        pam_code(&Ok(Verdict::Accepted), &retrying(1)),
        PamError::SUCCESS
    );
    for ignored in [Ok(Verdict::Exempt), Err(Stop::NeedsNoCode)] {
        assert_eq!(pam_code(&ignored, &retrying(1)), PamError::IGNORE);
    }
}

#[test]
fn whoever_is_let_in_by_one_of_the_last_recovery_codes_is_told_to_get_new_ones() {
    for (left, told) in [
        (
            Some(3),
            Some("You have 3 recovery codes left. Run 'totpctl recovery-codes' to get new ones."),
        ),
        (
            Some(0),
            Some("That was your last recovery code. Run 'totpctl recovery-codes' to get new ones."),
        ),
        (Some(4), None),
        (None, None),
    ] {
        let reply = VerifyReply {
            recovery_codes_left: left,
            ..VerifyReply::bare(Verdict::Accepted, Ask::OneCode)
        };
        let mut lines = asks(PROMPT, "abcd-efgh-ijkl-mnop");
        lines.push(Judged("abcd-efgh-ijkl-mnop", Ok(reply)));
        lines.extend(told.map(Told));
        assert_eq!(
            play(&Options::default(), [begins_as_usual(), lines]),
            PamError::SUCCESS,
            "{left:?}"
        );
    }
}

const TOO_BUSY: &str = "user 'alice' refused: provisiond is too busy";
const SHOWN: &str = "Scan this QR code with your authenticator app:\n##\n# \nOr type this key into the app: GEZD-GNBV\nThen type the code that the app shows.";
const TICKET: &str = "Enrolment ticket: ";

fn made() -> Result<VerifyReply, ClientError> {
    let qr = ["##", "# "]
        .map(|line| SecretText::new(line.to_owned()))
        .into();
    let enrolment = Enrolment {
        device: "default".into(),
        key: SecretText::new("GEZD-GNBV".into()),
        qr,
    };
    Ok(VerifyReply {
        enrolment: Some(enrolment),
        ..VerifyReply::bare(Verdict::NotEnrolled, Ask::OneCode)
    })
}

#[test]
fn a_ticket_shows_a_device_and_its_first_code_lets_in_with_the_only_try() {
    for user_unknown in [false, true] {
        let options = Options {
            enroll: true,
            user_unknown,
            ..retrying(1)
        };
        let ticket = [
            begins(Ask::Ticket, Some(false)),
            asks(TICKET, "aaaa-bbbb"),
            vec![Judged("aaaa-bbbb", made())],
        ];
        let first = VerifyReply {
            enrolled: Some(true),
            ..VerifyReply::bare(Verdict::Accepted, Ask::OneCode)
        };
        let first = [
            vec![Told(SHOWN)],
            asks(PROMPT, "123456"),
            vec![Judged("123456", Ok(first))],
        ];
        let told = vec![Told("Your device is enrolled.")];
        assert_eq!(
            play(&options, ticket.into_iter().chain(first).chain([told])),
            PamError::SUCCESS
        );
    }
}

/// The ticket was issued while the user was at the prompt of the first factor.
#[test]
fn a_ticket_behind_the_password_of_an_earlier_module_shows_its_device_too() {
    for user_unknown in [false, true] {
        let options = Options {
            enroll: true,
            try_first_pass: true,
            user_unknown,
            ..retrying(1)
        };
        let lines = [
            begins(Ask::OneCode, Some(false)),
            vec![Password(Some("pwaaaa-bbbb-cccc-dddd"))],
            vec![Judged("aaaa-bbbb-cccc-dddd", made())],
            vec![Told(SHOWN)],
            round(PROMPT, "123456", Verdict::Accepted),
        ];
        assert_eq!(play(&options, lines), PamError::SUCCESS);
    }
}

#[test]
fn with_no_guess_left_the_new_device_is_asked_for_two_codes_and_the_text_says_so() {
    let options = Options {
        enroll: true,
        ..retrying(1)
    };
    let two = made().map(|made| VerifyReply {
        ask: Ask::TwoCodes,
        ..made
    });
    let shown = SHOWN.replace(
        "the app shows.",
        "the app shows, wait until it shows the next one, and type that on the same line.",
    );
    let lines = [
        begins(Ask::Ticket, Some(false)),
        asks(TICKET, "aaaa-bbbb"),
        vec![Judged("aaaa-bbbb", two)],
        vec![Told(shown.leak())],
        round(BOTH, "123456 234567", Verdict::Accepted),
    ];
    assert_eq!(play(&options, lines), PamError::SUCCESS);
}

#[test]
fn a_ticket_alone_lets_nobody_in() {
    let options = Options {
        enroll: true,
        ..retrying(1)
    };
    let ticket = || {
        [
            begins(Ask::Ticket, Some(false)),
            asks(TICKET, "aaaa-bbbb"),
            vec![Judged("aaaa-bbbb", made())],
        ]
    };
    let wrong = [
        vec![Told(SHOWN)],
        round(PROMPT, "123456", Verdict::Rejected),
        last_word(Verdict::Rejected),
    ];
    assert_eq!(
        play(&options, ticket().into_iter().chain(wrong)),
        PamError::AUTH_ERR
    );
    let gone = [vec![Told(SHOWN)], vec![Asked(PROMPT, None)]];
    assert_eq!(
        play(&options, ticket().into_iter().chain(gone)),
        PamError::CONV_ERR
    );
}

#[test]
fn a_wrong_ticket_is_asked_for_again_and_a_password_is_not_taken_for_one() {
    let options = Options {
        enroll: true,
        try_first_pass: true,
        ..retrying(2)
    };
    let wrong = || {
        [
            asks(TICKET, "aaaa-bbbb"),
            vec![Judged(
                "aaaa-bbbb",
                reply(Verdict::NotEnrolled, Ask::Ticket),
            )],
        ]
    };
    let told = || vec![vec![Told("The ticket was not accepted.")]];
    let lines = [
        vec![begins(Ask::Ticket, Some(false))],
        wrong().into(),
        told(),
        wrong().into(),
        told(),
    ];
    assert_eq!(
        play(&options, lines.into_iter().flatten()),
        PamError::AUTH_ERR
    );
}

fn without_ticket() -> Options {
    Options {
        enroll: true,
        first_factor: true,
        ..retrying(1)
    }
}

#[test]
fn with_the_first_factor_alone_the_device_is_shown_first_and_its_code_lets_in_with_the_only_try() {
    for try_first_pass in [false, true] {
        let options = Options {
            try_first_pass,
            ..without_ticket()
        };
        let lines = [
            begins(Ask::FirstDevice, Some(false)),
            vec![NothingJudged(made()), Told(SHOWN)],
            round(PROMPT, "123456", Verdict::Accepted),
        ];
        assert_eq!(play(&options, lines), PamError::SUCCESS);
    }
}

#[test]
fn a_further_device_in_the_same_login_costs_a_try() {
    let options = Options {
        retry: 2,
        ..without_ticket()
    };
    let another = || [asks(PROMPT, ""), vec![Judged("", made())]];
    let begun = [
        begins(Ask::FirstDevice, Some(false)),
        vec![NothingJudged(made()), Told(SHOWN)],
    ];
    let lines = begun
        .into_iter()
        .chain(another())
        .chain([vec![Told(SHOWN)]])
        .chain(another())
        .chain([last_word(Verdict::NotEnrolled)]);
    assert_eq!(play(&options, lines), PamError::AUTH_ERR);
}

#[test]
fn who_finds_the_permission_gone_is_asked_like_all_others_and_no_answer_without_a_code_lets_in() {
    let refused = reply(Verdict::NotEnrolled, Ask::OneCode);
    let lines = [
        begins(Ask::FirstDevice, Some(false)),
        vec![NothingJudged(refused)],
        round(PROMPT, "123456", Verdict::NotEnrolled),
        last_word(Verdict::NotEnrolled),
    ];
    assert_eq!(play(&without_ticket(), lines), PamError::AUTH_ERR);
    let busy = || vec![Logged(TOO_BUSY), Told(UNAVAILABLE)];
    for (verdict, end, code) in [
        (Verdict::Accepted, Vec::new(), PamError::AUTH_ERR),
        (Verdict::Exempt, Vec::new(), PamError::IGNORE),
        (Verdict::Busy, busy(), PamError::AUTHINFO_UNAVAIL),
    ] {
        let lines = [
            begins(Ask::FirstDevice, Some(false)),
            vec![NothingJudged(reply(verdict, Ask::OneCode))],
            end,
        ];
        assert_eq!(play(&without_ticket(), lines), code, "{verdict:?}");
    }
}

#[test]
fn a_device_that_nobody_asked_for_is_not_shown() {
    let unasked = [
        begins_as_usual(),
        asks(PROMPT, "123456"),
        vec![Judged("123456", made())],
    ];
    let code = play(
        &retrying(1),
        unasked.into_iter().chain([last_word(Verdict::NotEnrolled)]),
    );
    assert_eq!(code, PamError::AUTH_ERR);
}

#[test]
fn who_has_enrolled_is_told_where_recovery_codes_are() {
    let accepted = VerifyReply::bare(Verdict::Accepted, Ask::OneCode);
    let reply = VerifyReply {
        enrolled: Some(true),
        recovery_codes_left: Some(0),
        ..accepted
    };
    let told = vec![Told(
        "Your device is enrolled. Run 'totpctl recovery-codes' to get recovery codes.",
    )];
    let lines = [
        begins_as_usual(),
        asks(PROMPT, "123456"),
        vec![Judged("123456", Ok(reply))],
        told,
    ];
    assert_eq!(play(&Options::default(), lines), PamError::SUCCESS);
}
