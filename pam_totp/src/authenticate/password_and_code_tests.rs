//! Tests of the flow with a password and a code in one field.

use common::wire::protocol::{Quarantine, TimeOfDay};

use super::transcript::*;
use super::*;

const JOINED: &str = "Password & verification code: ";
const JOINED_BOTH: &str = "Password & verification code (the current one and the next): ";
const JOINED_AGAIN: &str = "The code was not accepted. Type your password, directly followed by the code that your device shows now.";
const JOINED_LAST: &str = "The code was not accepted. Try again with your password, directly followed by the code that your device shows then.";
const DUMMY: &str = "\u{8}\n\r\u{7f}INCORRECT\u{8}\n\r\u{7f}I";

fn forward() -> Options {
    Options {
        forward_pass: true,
        ..Options::default()
    }
}

fn try_first() -> Options {
    Options {
        try_first_pass: true,
        ..Options::default()
    }
}

fn use_first() -> Options {
    Options {
        use_first_pass: true,
        ..Options::default()
    }
}

/// The sentence after the last prompt, or after a password that came with a code.
fn last_word(verdict: Verdict) -> Line {
    Told(match verdict {
        Verdict::AlreadyUsed => {
            "That code was already used. Your device shows the next one in 12 seconds."
        }
        Verdict::TwoCodesNeeded => {
            "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. \
             Try again with your password, directly followed by the current code and the next one."
        }
        _ => JOINED_LAST,
    })
}

fn judged(codes: &'static str, verdict: Verdict) -> Line {
    let ask = if verdict == Verdict::TwoCodesNeeded {
        Ask::TwoCodes
    } else {
        Ask::OneCode
    };
    Judged(codes, reply(verdict, ask))
}

fn begins_with_lengths(ask: Ask, digits: &[u8]) -> Vec<Line> {
    let reply = ChallengeReply {
        digits: Some(digits.to_vec()),
        ..challenge(ask, Some(true))
    };
    vec![User(Some(b"alice")), Challenged(Ok(reply))]
}

#[test]
fn the_code_is_cut_off_and_the_rest_is_left_for_the_next_module() {
    let end = vec![
        judged("123456", Verdict::Accepted),
        Left("correct horse", true),
    ];
    let code = play(
        &forward(),
        [begins_as_usual(), asks(JOINED, "correct horse123456"), end],
    );
    assert_eq!(code, PamError::SUCCESS);
    let end = vec![judged("123456", Verdict::Accepted), Left("", true)];
    assert_eq!(
        play(&forward(), [begins_as_usual(), asks(JOINED, "123456"), end]),
        PamError::SUCCESS
    );
}

#[test]
fn a_password_is_left_only_after_an_accepted_code() {
    for verdict in LOOK_ALIKES
        .into_iter()
        .chain([Verdict::AlreadyUsed, Verdict::TwoCodesNeeded])
    {
        let options = Options {
            retry: 1,
            ..forward()
        };
        let end = vec![judged("123456", verdict), last_word(verdict)];
        let code = play(
            &options,
            [begins_as_usual(), asks(JOINED, "horse123456"), end],
        );
        assert_eq!(code, PamError::AUTH_ERR, "{verdict:?}");
    }
}

#[test]
fn a_password_that_cannot_be_left_lets_nobody_in() {
    let end = vec![judged("123456", Verdict::Accepted), Left("horse", false)];
    let code = play(
        &forward(),
        [begins_as_usual(), asks(JOINED, "horse123456"), end],
    );
    assert_eq!(code, PamError::CONV_ERR);
}

#[test]
fn the_prompt_for_both_is_never_echoed() {
    let options = Options {
        echo_verification_code: true,
        retry: 1,
        ..forward()
    };
    let end = vec![judged("123456", Verdict::Rejected), Told(JOINED_LAST)];
    assert_eq!(
        play(
            &options,
            [begins_as_usual(), asks(JOINED, "horse123456"), end]
        ),
        PamError::AUTH_ERR
    );
}

#[test]
fn where_no_code_stands_the_daemon_sees_nothing_of_the_password() {
    let options = Options {
        retry: 2,
        ..forward()
    };
    let first = vec![judged("", Verdict::Malformed), Told(JOINED_AGAIN)];
    let second = vec![judged("", Verdict::Malformed), Told(JOINED_LAST)];
    let code = play(
        &options,
        [
            begins_as_usual(),
            asks(JOINED, "horse12345"),
            first,
            asks(JOINED, "correct horse"),
            second,
        ],
    );
    assert_eq!(code, PamError::AUTH_ERR);
}

#[test]
fn one_try_is_one_attempt_whatever_the_lengths() {
    for (digits, typed, cut) in [
        (&[6][..], "horse12345678", "345678"),
        (&[8], "horse12345678", "12345678"),
        (&[6, 8], "horse12345678", "12345678"),
        (&[6, 8], "horse345678", "345678"),
        (&[6, 8], "2024345678", "24345678"),
    ] {
        let options = Options {
            retry: 1,
            ..forward()
        };
        let end = vec![judged(cut, Verdict::Rejected), Told(JOINED_LAST)];
        let code = play(
            &options,
            [
                begins_with_lengths(Ask::OneCode, digits),
                asks(JOINED, typed),
                end,
            ],
        );
        assert_eq!(code, PamError::AUTH_ERR, "{digits:?} {typed}");
    }
    let options = Options {
        digits: Some(7),
        retry: 1,
        ..forward()
    };
    let end = vec![judged("2345678", Verdict::Accepted), Left("horse1", true)];
    let code = play(
        &options,
        [
            begins_with_lengths(Ask::OneCode, &[6, 8]),
            asks(JOINED, "horse12345678"),
            end,
        ],
    );
    assert_eq!(code, PamError::SUCCESS);
}

#[test]
fn who_is_told_no_lengths_cuts_six() {
    let end = vec![judged("345678", Verdict::Accepted), Left("horse12", true)];
    let code = play(
        &forward(),
        [
            begins(Ask::OneCode, None),
            asks(JOINED, "horse12345678"),
            end,
        ],
    );
    assert_eq!(code, PamError::SUCCESS);
}

#[test]
fn two_codes_are_cut_where_they_are_asked_for() {
    let needed = "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. Type your password, directly followed by the current code; \
                  wait until your device shows the next one, and type that on the same line.";
    let rounds = [
        begins_as_usual(),
        asks(JOINED, "horse111111"),
        vec![judged("111111", Verdict::TwoCodesNeeded), Told(needed)],
        asks(JOINED_BOTH, "horse111111 222222"),
        vec![
            judged("111111 222222", Verdict::Accepted),
            Left("horse", true),
        ],
    ];
    assert_eq!(play(&forward(), rounds), PamError::SUCCESS);
    let end = vec![
        judged("111111222222", Verdict::Accepted),
        Left("horse", true),
    ];
    let mut begins = begins(Ask::TwoCodes, Some(true));
    begins.push(Told(needed));
    assert_eq!(
        play(
            &forward(),
            [begins, asks(JOINED_BOTH, "horse111111222222"), end]
        ),
        PamError::SUCCESS
    );
}

#[test]
fn what_sshd_sends_in_the_place_of_a_password_is_no_code_and_takes_as_long_as_any() {
    let plain = transcript::last_word(Verdict::Malformed).remove(0);
    for (options, prompt, sent, told) in [
        (forward(), JOINED, "", Told(JOINED_LAST)),
        (Options::default(), PROMPT, DUMMY, plain),
    ] {
        let once = Options {
            retry: 1,
            ..options
        };
        let round = [
            begins_as_usual(),
            asks(prompt, DUMMY),
            vec![judged(sent, Verdict::Malformed), told],
        ];
        assert_eq!(play(&once, round), PamError::AUTH_ERR);
    }
    let logged = Logged(
        "user 'alice' refused: there is no password with a code at its end (option 'use_first_pass')",
    );
    let end = vec![Password(Some(DUMMY)), Told(JOINED_LAST), logged];
    assert_eq!(
        play(&use_first(), [begins_as_usual(), end]),
        PamError::AUTH_ERR
    );
}

#[test]
fn in_a_quarantine_a_password_without_a_code_gets_the_sentence_of_a_wrong_code() {
    let quarantine = Some(Quarantine {
        until: TimeOfDay::try_from(0).ok(),
    });
    let told = "This machine was started, or its clock set, a moment ago: codes shown from 00:00:00 on are accepted.";
    let begins = || {
        let reply = ChallengeReply {
            quarantine,
            ..challenge(Ask::OneCode, Some(true))
        };
        vec![User(Some(b"alice")), Challenged(Ok(reply))]
    };
    let wrong = VerifyReply {
        quarantine,
        ..VerifyReply::bare(Verdict::Rejected, Ask::OneCode)
    };
    let round = [
        begins(),
        vec![
            Password(Some("horse123456")),
            Judged("123456", Ok(wrong)),
            Told(told),
        ],
    ];
    assert_eq!(play(&use_first(), round), PamError::AUTH_ERR);
    let logged = Logged(
        "user 'alice' refused: there is no password with a code at its end (option 'use_first_pass')",
    );
    let round = [begins(), vec![Password(Some("horse")), Told(told), logged]];
    assert_eq!(play(&use_first(), round), PamError::AUTH_ERR);
}

#[test]
fn a_name_that_changes_at_the_prompt_leaves_no_password_and_is_not_judged() {
    let end = vec![
        Asked(JOINED, Some("horse123456")),
        UserNow(Some(b"root")),
        Logged("user 'alice' refused: the application changed the user name during the prompt"),
    ];
    assert_eq!(
        play(&forward(), [begins_as_usual(), end]),
        PamError::AUTH_ERR
    );
}

#[test]
fn a_code_at_the_end_of_the_first_password_is_tried_and_nobody_is_asked() {
    for options in [try_first(), use_first()] {
        let end = vec![
            Password(Some("horse123456")),
            judged("123456", Verdict::Accepted),
        ];
        assert_eq!(play(&options, [begins_as_usual(), end]), PamError::SUCCESS);
        let options = Options {
            forward_pass: true,
            ..options
        };
        let end = vec![
            Password(Some("horse123456")),
            judged("123456", Verdict::Accepted),
            Left("horse", true),
        ];
        assert_eq!(play(&options, [begins_as_usual(), end]), PamError::SUCCESS);
    }
}

#[test]
fn with_try_first_pass_who_left_no_code_or_a_wrong_one_is_asked() {
    for first in [
        None,
        Some(""),
        Some("horse"),
        Some("horse12345"),
        Some(DUMMY),
    ] {
        let round = round(PROMPT, "123456", Verdict::Accepted);
        let code = play(
            &try_first(),
            [begins_as_usual(), vec![Password(first)], round],
        );
        assert_eq!(code, PamError::SUCCESS, "{first:?}");
    }
    let first = || {
        vec![
            Password(Some("horse111111")),
            judged("111111", Verdict::Rejected),
            Told(AGAIN),
        ]
    };
    let rounds = [
        begins_as_usual(),
        first(),
        round(PROMPT, "123456", Verdict::Accepted),
    ];
    assert_eq!(play(&try_first(), rounds), PamError::SUCCESS);
    let once = Options {
        retry: 1,
        ..try_first()
    };
    let last = transcript::last_word(Verdict::Rejected);
    let rounds = [
        begins_as_usual(),
        first(),
        round(PROMPT, "222222", Verdict::Rejected),
        last,
    ];
    assert_eq!(
        play(&once, rounds),
        PamError::AUTH_ERR,
        "retry= counts the prompts"
    );
}

#[test]
fn with_try_first_pass_and_forward_pass_both_are_asked_for_again() {
    let options = Options {
        try_first_pass: true,
        ..forward()
    };
    let rounds = [
        begins_as_usual(),
        vec![
            Password(Some("horse111111")),
            judged("111111", Verdict::Rejected),
            Told(JOINED_AGAIN),
        ],
        asks(JOINED, "horse123456"),
        vec![judged("123456", Verdict::Accepted), Left("horse", true)],
    ];
    assert_eq!(play(&options, rounds), PamError::SUCCESS);
}

#[test]
fn the_first_password_is_cut_for_as_many_codes_as_are_asked_for() {
    let begin = || begins(Ask::TwoCodes, Some(true));
    let end = vec![
        Password(Some("horse111111 222222")),
        judged("111111 222222", Verdict::Accepted),
    ];
    assert_eq!(play(&use_first(), [begin(), end]), PamError::SUCCESS);
    let needed = "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. Type the current code, wait until your device shows the next one, and type that on the same line.";
    let end = vec![
        Password(Some("horse111111")),
        Told(needed),
        Asked(BOTH, None),
    ];
    assert_eq!(play(&try_first(), [begin(), end]), PamError::CONV_ERR);
}

#[test]
fn with_use_first_pass_nobody_is_ever_asked() {
    for first in [None, Some(""), Some("horse"), Some("horse12345")] {
        let logged = Logged(
            "user 'alice' refused: there is no password with a code at its end (option 'use_first_pass')",
        );
        let code = play(
            &use_first(),
            [
                begins_as_usual(),
                vec![Password(first), Told(JOINED_LAST), logged],
            ],
        );
        assert_eq!(code, PamError::AUTH_ERR, "{first:?}");
    }
    for verdict in LOOK_ALIKES
        .into_iter()
        .chain([Verdict::AlreadyUsed, Verdict::TwoCodesNeeded])
    {
        let end = vec![
            Password(Some("horse111111")),
            judged("111111", verdict),
            last_word(verdict),
        ];
        assert_eq!(
            play(&use_first(), [begins_as_usual(), end]),
            PamError::AUTH_ERR,
            "{verdict:?}"
        );
    }
}

#[test]
fn a_busy_daemon_is_no_verdict_on_the_first_password_either() {
    for options in [try_first(), use_first()] {
        let end = vec![
            Password(Some("horse111111")),
            judged("111111", Verdict::Busy),
            Logged("user 'alice' refused: provisiond is too busy"),
            Told(UNAVAILABLE),
        ];
        assert_eq!(
            play(&options, [begins_as_usual(), end]),
            PamError::AUTHINFO_UNAVAIL
        );
    }
}

#[test]
fn who_needs_no_code_is_asked_for_a_password_only_with_always_prompt() {
    let logged = || {
        vec![Logged(
            "user 'alice' was never enrolled and needs no code (option 'nullok')",
        )]
    };
    let begin = || begins(Ask::OneCode, Some(false));
    let options = Options {
        nullok: true,
        try_first_pass: true,
        ..forward()
    };
    assert_eq!(play(&options, [begin(), logged()]), PamError::IGNORE);
    let options = Options {
        always_prompt: true,
        ..options
    };
    let left = vec![Left("horse123456", true)];
    let code = play(
        &options,
        [begin(), asks(JOINED, "horse123456"), left, logged()],
    );
    assert_eq!(code, PamError::IGNORE, "all of it is the password");
}
