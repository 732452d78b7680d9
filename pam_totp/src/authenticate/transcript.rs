//! A login as a transcript, for tests: application and daemon are played from one list of lines,
//! which must be used up in order.

use std::cell::RefCell;
use std::collections::VecDeque;

use pamsm::LogLvl;

use super::*;

/// One event of a login, and the reply to it.
#[derive(Debug)]
pub(super) enum Line {
    User(Option<&'static [u8]>),
    Challenged(Result<ChallengeReply, ClientError>),
    Asked(&'static str, Option<&'static str>),
    UserNow(Option<&'static [u8]>),
    Judged(&'static str, Result<VerifyReply, ClientError>),
    /// An attempt without any code.
    NothingJudged(Result<VerifyReply, ClientError>),
    /// The password that an earlier module left.
    Password(Option<&'static str>),
    /// The password that this module leaves, and whether libpam takes it.
    Left(&'static str, bool),
    Told(&'static str),
    Logged(&'static str),
}
pub(super) use Line::*;

/// A transcript, played by application and daemon; every line must come, in order.
struct Transcript(RefCell<VecDeque<Line>>);

impl Transcript {
    fn next(&self, what: impl std::fmt::Debug) -> Line {
        self.0
            .borrow_mut()
            .pop_front()
            .unwrap_or_else(|| panic!("the transcript has ended: {what:?}"))
    }
}

fn origin() -> Origin {
    Origin {
        service: "sshd".into(),
        rhost: Some("192.0.2.1".into()),
        tty: Some("ssh".into()),
    }
}

impl Application for &Transcript {
    fn user(&mut self) -> Option<Vec<u8>> {
        let User(name) = self.next("user") else {
            panic!("the user's name was not wanted now")
        };
        name.map(<[u8]>::to_vec)
    }

    fn user_now(&self) -> Option<Vec<u8>> {
        let UserNow(name) = self.next("user now") else {
            panic!("the user's name was not wanted now")
        };
        name.map(<[u8]>::to_vec)
    }

    fn origin(&self) -> Origin {
        origin()
    }

    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText> {
        let Asked(expected, typed) = self.next(prompt) else {
            panic!("no prompt was due: {prompt:?}")
        };
        let shown = format!("{prompt}{}", if echo { "(seen)" } else { "" });
        assert_eq!(shown, expected);
        typed.map(|text| SecretText::typed(text.as_bytes()))
    }

    fn password(&self) -> Option<SecretText> {
        let Password(text) = self.next("password") else {
            panic!("the password was not wanted now")
        };
        text.map(|text| SecretText::typed(text.as_bytes()))
    }

    fn leave_password(&mut self, password: &SecretText) -> Option<()> {
        let Left(expected, taken) = self.next(password) else {
            panic!("no password was to be left now")
        };
        assert_eq!(password.expose(), expected);
        taken.then_some(())
    }

    fn tell(&mut self, sentence: &str) {
        let Told(expected) = self.next(sentence) else {
            panic!("no sentence was due: {sentence:?}")
        };
        assert_eq!(sentence, expected);
    }

    fn log(&self, _level: LogLvl, line: &str) {
        let Logged(expected) = self.next(line) else {
            panic!("not to be logged: {line:?}")
        };
        assert_eq!(line, expected);
    }
}

impl Daemon for &Transcript {
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError> {
        let Challenged(reply) = self.next(call) else {
            panic!("no challenge now")
        };
        let Challenge {
            user,
            service,
            rhost,
            tty,
            options: _,
        } = call;
        assert_eq!(
            (user.as_str(), service, rhost, tty),
            ("alice", &origin().service, &origin().rhost, &origin().tty)
        );
        reply
    }

    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError> {
        let (expected, reply) = match self.next(call) {
            Judged(code, reply) => (vec![code], reply),
            NothingJudged(reply) => (Vec::new(), reply),
            _ => panic!("no verify now"),
        };
        let Verify {
            user,
            codes,
            service,
            rhost,
            tty,
            options: _,
        } = call;
        assert_eq!(
            (user.as_str(), service, rhost, tty),
            ("alice", &origin().service, &origin().rhost, &origin().tty)
        );
        assert_eq!(
            codes.iter().map(SecretText::expose).collect::<Vec<_>>(),
            expected
        );
        reply
    }
}

pub(super) fn play(options: &Options, parts: impl IntoIterator<Item = Vec<Line>>) -> PamError {
    let transcript = Transcript(RefCell::new(parts.into_iter().flatten().collect()));
    let code = authenticate(&mut &transcript, &mut &transcript, options);
    let rest = transcript.0.into_inner();
    assert!(rest.is_empty(), "did not happen: {rest:?}");
    code
}

pub(super) fn begins(ask: Ask, enrolled: Option<bool>) -> Vec<Line> {
    vec![
        User(Some(b"alice")),
        Challenged(Ok(challenge(ask, enrolled))),
    ]
}

pub(super) fn challenge(ask: Ask, enrolled: Option<bool>) -> ChallengeReply {
    ChallengeReply {
        ask,
        enrolled,
        digits: enrolled.map(|_| vec![6]),
        quarantine: None,
    }
}

pub(super) fn begins_as_usual() -> Vec<Line> {
    begins(Ask::OneCode, Some(true))
}

pub(super) fn reply(verdict: Verdict, ask: Ask) -> Result<VerifyReply, ClientError> {
    Ok(VerifyReply {
        retry_after: Some(12),
        ..VerifyReply::bare(verdict, ask)
    })
}

pub(super) fn asks(prompt: &'static str, typed: &'static str) -> Vec<Line> {
    vec![Asked(prompt, Some(typed)), UserNow(Some(b"alice"))]
}

pub(super) fn round(prompt: &'static str, typed: &'static str, verdict: Verdict) -> Vec<Line> {
    let ask = if prompt == BOTH || verdict == Verdict::TwoCodesNeeded {
        Ask::TwoCodes
    } else {
        Ask::OneCode
    };
    [
        asks(prompt, typed),
        vec![Judged(typed, reply(verdict, ask))],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sentence after the last prompt, where one code was asked for.
pub(super) fn last_word(verdict: Verdict) -> Vec<Line> {
    vec![Told(match verdict {
        Verdict::AlreadyUsed => {
            "That code was already used. Your device shows the next one in 12 seconds."
        }
        Verdict::TwoCodesNeeded => {
            "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. This ends with time, or by an administrator's 'totpctl unlock'. Try again with the current code, directly followed by the next one."
        }
        _ => "The code was not accepted. Try again with the code that your device shows then.",
    })]
}

pub(super) fn retrying(retry: u32) -> Options {
    Options {
        retry,
        ..Options::default()
    }
}

pub(super) const PROMPT: &str = "Verification code: ";
pub(super) const BOTH: &str = "Verification code (the current one and the next): ";
pub(super) const AGAIN: &str =
    "The code was not accepted. Type the code that your device shows now.";
pub(super) const UNAVAILABLE: &str =
    "The code cannot be checked now. Try again later, or ask an administrator.";
pub(super) const LOOK_ALIKES: [Verdict; 5] = [
    Verdict::Rejected,
    Verdict::Malformed,
    Verdict::NotEnrolled,
    Verdict::Disabled,
    Verdict::Refused,
];
