//! Tests of the flow where no code is needed.

use super::transcript::*;
use super::*;

const PROMPT: &str = "Verification code: ";
const JOINED: &str = "Password & verification code: ";
const PASSWORD: &str = "Password: ";

fn forward() -> Options {
    Options {
        forward_pass: true,
        ..Options::default()
    }
}

fn begins_with_nothing() -> Vec<Line> {
    begins(Ask::Nothing, Some(true))
}

fn without_a_code(verdict: Verdict) -> Vec<Line> {
    vec![NothingJudged(reply(verdict, Ask::Nothing))]
}

fn exempt() -> Vec<Line> {
    without_a_code(Verdict::Exempt)
}

#[test]
fn who_is_exempt_is_asked_nothing_and_the_module_stands_aside() {
    let with_debug = Options {
        debug: true,
        ..Options::default()
    };
    for options in [Options::default(), with_debug] {
        assert_eq!(
            play(&options, [begins_with_nothing(), exempt()]),
            PamError::IGNORE,
            "{options:?}"
        );
    }
    let first_pass = Options {
        use_first_pass: true,
        ..forward()
    };
    let rounds = [begins_with_nothing(), vec![Password(None)], exempt()];
    assert_eq!(play(&first_pass, rounds), PamError::IGNORE);
}

/// The daemon's word on the end of a text, where no code is needed.
fn end_of_text(code: &'static str, verdict: Verdict, device: Option<&str>) -> Vec<Line> {
    let reply = VerifyReply {
        device: device.map(str::to_owned),
        ..VerifyReply::bare(verdict, Ask::Nothing)
    };
    vec![Judged(code, Ok(reply))]
}

#[test]
fn a_code_that_was_not_needed_is_cut_off_if_it_is_one_and_else_is_the_passwords_end() {
    for (verdict, device, left, outcome) in [
        (Verdict::Exempt, Some("phone"), "horse", PamError::IGNORE),
        (Verdict::Accepted, Some("phone"), "horse", PamError::SUCCESS),
        (Verdict::Exempt, None, "horse123456", PamError::IGNORE),
    ] {
        let rounds = [
            begins_with_nothing(),
            asks(PASSWORD, "horse123456"),
            end_of_text("123456", verdict, device),
            vec![Left(left, true)],
        ];
        assert_eq!(play(&forward(), rounds), outcome, "{verdict:?} {device:?}");
        let there = Options {
            use_first_pass: true,
            ..forward()
        };
        let stays = left == "horse123456";
        let rounds = [
            begins_with_nothing(),
            vec![Password(Some("horse123456"))],
            end_of_text("123456", verdict, device),
            if stays {
                Vec::new()
            } else {
                vec![Left(left, true)]
            },
        ];
        assert_eq!(play(&there, rounds), outcome, "{verdict:?} {device:?}");
    }
    for verdict in LOOK_ALIKES.into_iter().chain([Verdict::AlreadyUsed]) {
        let rounds = [
            begins_with_nothing(),
            asks(PASSWORD, "horse123456"),
            end_of_text("123456", verdict, Some("phone")),
        ];
        assert_eq!(play(&forward(), rounds), PamError::AUTH_ERR, "{verdict:?}");
    }
}

/// The daemon's word on a text whose end it has accepted before.
fn known(codes: &'static str, is_code: Option<bool>) -> Vec<Line> {
    let reply = VerifyReply {
        is_code,
        ..VerifyReply::bare(Verdict::Exempt, Ask::Nothing)
    };
    vec![Judged(codes, Ok(reply))]
}

#[test]
fn two_codes_that_were_not_needed_are_cut_off_together_and_else_one() {
    let typed = || asks(PASSWORD, "horse123456 654321");
    let left = |password| vec![Left(password, true)];
    let (pair, one) = ("123456 654321", "654321");
    let rounds = [
        vec![known(pair, Some(true)), left("horse")],
        vec![
            known(pair, None),
            known(one, Some(true)),
            left("horse123456 "),
        ],
        vec![
            known(pair, None),
            known(one, None),
            left("horse123456 654321"),
        ],
    ];
    for rounds in rounds {
        let rounds = [begins_with_nothing(), typed()].into_iter().chain(rounds);
        assert_eq!(play(&forward(), rounds), PamError::IGNORE);
    }
    let refused = || vec![Judged(one, reply(Verdict::Rejected, Ask::OneCode))];
    let rounds = [begins_with_nothing(), typed(), known(pair, None), refused()];
    assert_eq!(play(&forward(), rounds), PamError::AUTH_ERR);
    let issued = [
        begins_with_nothing(),
        asks(PASSWORD, "once-blue-moon"),
        known("blue-moon", None),
        left("once-blue-moon"),
    ];
    assert_eq!(
        play(&forward(), issued),
        PamError::IGNORE,
        "asked about once"
    );
}

#[test]
fn without_a_code_nothing_but_exempt_lets_by() {
    let refused = |verdict| {
        play(
            &Options {
                retry: 3,
                ..Options::default()
            },
            [begins_with_nothing(), without_a_code(verdict)],
        )
    };
    for verdict in LOOK_ALIKES.into_iter().chain([
        Verdict::Accepted,
        Verdict::AlreadyUsed,
        Verdict::TwoCodesNeeded,
    ]) {
        assert_eq!(refused(verdict), PamError::AUTH_ERR, "{verdict:?}");
    }
    let busy = vec![
        Logged("user 'alice' refused: provisiond is too busy"),
        Told("The code cannot be checked now. Try again later, or ask an administrator."),
    ];
    let lines = [begins_with_nothing(), without_a_code(Verdict::Busy), busy];
    assert_eq!(play(&Options::default(), lines), PamError::AUTHINFO_UNAVAIL);
}

#[test]
fn who_is_refused_unasked_is_unknown_where_the_option_says_so() {
    let options = Options {
        user_unknown: true,
        nullok: true,
        ..Options::default()
    };
    let begins = || begins(Ask::Nothing, Some(false));
    assert_eq!(
        play(&options, [begins(), without_a_code(Verdict::NotEnrolled)]),
        PamError::USER_UNKNOWN
    );
    let nullok = Options {
        nullok: true,
        ..Options::default()
    };
    let code = play(&nullok, [begins(), without_a_code(Verdict::NotEnrolled)]);
    assert_eq!(
        code,
        PamError::AUTH_ERR,
        "what the daemon refuses no service file lets by"
    );
}

#[test]
fn with_forward_pass_the_password_is_asked_for_and_left_whole() {
    let rounds = [
        begins_with_nothing(),
        asks(PASSWORD, "horse12345"),
        exempt(),
        vec![Left("horse12345", true)],
    ];
    assert_eq!(play(&forward(), rounds), PamError::IGNORE);
    let rounds = [
        begins_with_nothing(),
        asks(PASSWORD, "horse"),
        without_a_code(Verdict::Malformed),
    ];
    assert_eq!(
        play(&forward(), rounds),
        PamError::AUTH_ERR,
        "and left only with the last word"
    );
    let rounds = [
        begins_with_nothing(),
        asks(PASSWORD, "horse"),
        exempt(),
        vec![Left("horse", false)],
    ];
    assert_eq!(play(&forward(), rounds), PamError::CONV_ERR);
}

#[test]
fn a_password_that_is_there_already_stays_as_it_is() {
    let options = Options {
        try_first_pass: true,
        ..forward()
    };
    let rounds = [
        begins_with_nothing(),
        vec![Password(Some("horse"))],
        exempt(),
    ];
    assert_eq!(play(&options, rounds), PamError::IGNORE);
    let left = vec![Left("horse", true)];
    let rounds = [
        begins_with_nothing(),
        vec![Password(None)],
        asks(PASSWORD, "horse"),
        exempt(),
        left,
    ];
    assert_eq!(play(&options, rounds), PamError::IGNORE);
    let options = Options {
        try_first_pass: true,
        ..Options::default()
    };
    let rounds = [begins_with_nothing(), vec![Password(None)], exempt()];
    assert_eq!(play(&options, rounds), PamError::IGNORE);
}

#[test]
fn with_always_prompt_who_is_exempt_is_asked_and_nothing_of_it_is_looked_at() {
    let options = Options {
        always_prompt: true,
        ..Options::default()
    };
    let rounds = [begins_with_nothing(), asks(PROMPT, "123456"), exempt()];
    assert_eq!(play(&options, rounds), PamError::IGNORE);
}

#[test]
fn a_name_that_changes_while_the_password_is_typed_is_not_let_by() {
    let end = vec![
        Asked(PASSWORD, Some("horse")),
        UserNow(Some(b"root")),
        Logged("user 'alice' refused: the application changed the user name during the prompt"),
    ];
    assert_eq!(
        play(&forward(), [begins_with_nothing(), end]),
        PamError::AUTH_ERR
    );
}

#[test]
fn while_nobody_is_denied_a_wrong_code_is_ignored_at_once() {
    let observed = |code| vec![Judged(code, reply(Verdict::Exempt, Ask::Nothing))];
    let rounds = [
        begins_as_usual(),
        asks(PROMPT, "111111"),
        observed("111111"),
    ];
    assert_eq!(play(&Options::default(), rounds), PamError::IGNORE);
    let left = |password| vec![Left(password, true)];
    let rounds = [
        begins_as_usual(),
        asks(JOINED, "horse111111"),
        observed("111111"),
        left("horse"),
    ];
    assert_eq!(play(&forward(), rounds), PamError::IGNORE);
    let rounds = [
        begins_as_usual(),
        asks(JOINED, "horse"),
        observed(""),
        left("horse"),
    ];
    assert_eq!(
        play(&forward(), rounds),
        PamError::IGNORE,
        "a text without a code is the password"
    );
}
