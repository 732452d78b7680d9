//! One authentication: provisiond says what to ask, the person answers, provisiond judges, PAM gets a code.
//!
//! Knows no C, no socket, no clock, no key. The application that runs the login and the daemon are traits, and nothing
//! that either of them does can lead to success but the verdict `accepted`.

#![forbid(unsafe_code)]

use common::client::ClientError;
use common::protocol::{Ask, Challenge, ChallengeReply, Error, Verdict, Verify, VerifyReply};
use common::secret::SecretText;
use common::text::printable;
use common::user::UserName;
use pamsm::{LogLvl, PamError};

use crate::messages;
use crate::options::Options;

/// The application that runs the login, as PAM shows it to a module.
pub trait Application {
    /// The name of the account, byte for byte; libpam asks for it if the application left it open. `None`: it could
    /// not be had.
    fn user(&mut self) -> Option<Vec<u8>>;
    /// The name as it stands now. Nobody is asked.
    fn user_now(&self) -> Option<Vec<u8>>;
    /// Where the login comes from. All of it is strangers' text, already cut to a decent length.
    fn origin(&self) -> Origin;
    /// Asks the person, and shows what is typed if `echo`. `None`: the conversation failed.
    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText>;
    /// Says something to the person, unless the application wants silence.
    fn tell(&mut self, sentence: &str);
    /// Writes a line to the system's log.
    fn log(&self, level: LogLvl, line: &str);
}

/// The daemon. Each call is a connection of its own with its own deadline.
pub trait Daemon {
    /// What to ask the person for.
    ///
    /// # Errors
    /// Why there is no reply.
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError>;
    /// The attempt.
    ///
    /// # Errors
    /// Why there is no reply.
    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError>;
}

/// Where a login comes from, as PAM's items tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`.
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
}

/// Authenticates the user of `application` and answers with PAM's code for what came of it.
pub fn authenticate(application: &mut impl Application, daemon: &mut impl Daemon, options: &Options) -> PamError {
    let name = application.user();
    let end = name.as_deref().ok_or(Stop::ConversationFailed).and_then(|name| {
        let user = user_name(name)?;
        let origin = application.origin();
        Login { application: &mut *application, daemon, options, user, origin }.run()
    });
    let user = printable(&String::from_utf8_lossy(name.as_deref().unwrap_or_default()));
    if let Some((level, line)) = log_line(&end, &user, options) {
        application.log(level, &line);
    }
    let code = pam_code(&end, options);
    if code == PamError::AUTHINFO_UNAVAIL {
        application.tell(messages::unavailable(options));
    }
    code
}

/// The one table from what happened to PAM's codes.
fn pam_code(end: &Result<Verdict, Stop>, options: &Options) -> PamError {
    match end {
        Ok(Verdict::Accepted) => PamError::SUCCESS,
        Err(Stop::NeedsNoCode) => PamError::IGNORE,
        Ok(Verdict::Busy) | Err(Stop::Unavailable(_)) => PamError::AUTHINFO_UNAVAIL,
        Err(Stop::ConversationFailed) => PamError::CONV_ERR,
        Ok(Verdict::NotEnrolled) | Err(Stop::BadName(_)) if options.user_unknown => PamError::USER_UNKNOWN,
        Err(Stop::BadName(_) | Stop::UserChanged) => PamError::AUTH_ERR,
        Ok(
            Verdict::Rejected
            | Verdict::AlreadyUsed
            | Verdict::Malformed
            | Verdict::TwoCodesNeeded
            | Verdict::NotEnrolled
            | Verdict::Disabled
            | Verdict::Refused,
        ) => match options.retry {
            1 => PamError::AUTH_ERR,
            _ => PamError::MAXTRIES,
        },
    }
}

/// What ends a login before a last verdict.
#[derive(Debug)]
enum Stop {
    /// Never enrolled, and `nullok` stands in the service file.
    NeedsNoCode,
    /// No account can have this name; why.
    BadName(String),
    /// The application changed the name while the person was typing.
    UserChanged,
    /// Provisiond cannot be used; why.
    Unavailable(String),
    /// The person cannot be asked.
    ConversationFailed,
}

fn user_name(name: &[u8]) -> Result<UserName, Stop> {
    let text = std::str::from_utf8(name).map_err(|_| Stop::BadName("a user name is UTF-8".to_owned()))?;
    UserName::new(text).map_err(|bad| Stop::BadName(bad.to_string()))
}

struct Login<'a, A, D> {
    application: &'a mut A,
    daemon: &'a mut D,
    options: &'a Options,
    user: UserName,
    origin: Origin,
}

impl<A: Application, D: Daemon> Login<'_, A, D> {
    fn run(&mut self) -> Result<Verdict, Stop> {
        let ChallengeReply { mut ask, conversation, enrolled, digits: _ } = self.challenge()?;
        if self.options.nullok && enrolled == Some(false) {
            if self.options.always_prompt {
                self.ask(ask)?;
            }
            return Err(Stop::NeedsNoCode);
        }
        let mut rounds = self.options.retry;
        loop {
            let typed = self.ask(ask)?;
            let reply = self.verify(typed, &conversation)?;
            rounds = rounds.saturating_sub(1);
            if rounds == 0 || self.is_final(reply.verdict) {
                return Ok(reply.verdict);
            }
            self.application.tell(&messages::try_again(ask, &reply, self.options));
            ask = reply.ask;
        }
    }

    fn challenge(&mut self) -> Result<ChallengeReply, Stop> {
        let Origin { service, rhost, tty } = self.origin.clone();
        let call = Challenge { user: self.user.as_str().to_owned(), service, rhost, tty };
        let reply = self.daemon.challenge(&call).map_err(|error| Stop::Unavailable(printable(&error.to_string())))?;
        // It goes back with the code, in a buffer of a fixed size that must not grow.
        if reply.conversation.len() > MAX_CONVERSATION {
            return Err(Stop::Unavailable("provisiond's answer cannot be understood".to_owned()));
        }
        Ok(reply)
    }

    fn ask(&mut self, ask: Ask) -> Result<SecretText, Stop> {
        let prompt = messages::prompt(ask, self.options);
        let typed = self.application.ask(prompt, self.options.echo_verification_code);
        let typed = typed.ok_or(Stop::ConversationFailed)?;
        // A verdict on one account must never open another.
        let same = self.application.user_now().is_some_and(|now| now == self.user.as_str().as_bytes());
        same.then_some(typed).ok_or(Stop::UserChanged)
    }

    fn verify(&mut self, typed: SecretText, conversation: &str) -> Result<VerifyReply, Stop> {
        let Origin { service, rhost, tty } = self.origin.clone();
        let user = self.user.as_str().to_owned();
        let codes = vec![typed];
        let call = Verify { user, conversation: Some(conversation.to_owned()), codes, service, rhost, tty };
        self.daemon.verify(&call).map_err(|error| Stop::Unavailable(reason_after_a_code(&error)))
    }

    /// Whether another try is pointless. All other verdicts lead to the next prompt, so that from the prompt nobody
    /// can tell a wrong code from an account without a device.
    fn is_final(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Accepted | Verdict::Busy => true,
            Verdict::NotEnrolled => self.options.user_unknown,
            _ => false,
        }
    }
}

/// Once a code has gone to the other side, nothing that comes from there is repeated in the log: it may be the code.
fn reason_after_a_code(error: &ClientError) -> String {
    match error {
        ClientError::Protocol(_) => "provisiond's answer cannot be understood".to_owned(),
        ClientError::Refused(Error::BadParameter { .. } | Error::Varlink(_)) => {
            "provisiond refused the call".to_owned()
        }
        error => printable(&error.to_string()),
    }
}

/// Provisiond keeps the account of verdicts. Here stands what it cannot know, and with `debug` why PAM got its code.
fn log_line(end: &Result<Verdict, Stop>, user: &str, options: &Options) -> Option<(LogLvl, String)> {
    Some(match end {
        Err(Stop::NeedsNoCode) => {
            (LogLvl::NOTICE, format!("user '{user}' was never enrolled: no code needed (nullok)"))
        }
        Err(Stop::BadName(why)) => (LogLvl::NOTICE, format!("user '{user}' refused: {why}")),
        Err(Stop::UserChanged) => (LogLvl::WARNING, format!("user '{user}' refused: the name changed at the prompt")),
        Err(Stop::Unavailable(why)) => (LogLvl::ERR, format!("user '{user}' refused: {why}")),
        Ok(Verdict::Busy) => (LogLvl::ERR, format!("user '{user}' refused: provisiond has too much to do")),
        Ok(Verdict::Accepted) => return None,
        _ if !options.debug => return None,
        Err(Stop::ConversationFailed) => (LogLvl::DEBUG, format!("user '{user}' refused: the conversation failed")),
        Ok(verdict) => (LogLvl::DEBUG, format!("user '{user}' refused: {}", verdict.word())),
    })
}

/// Many times what provisiond sends (32 characters), in bytes.
const MAX_CONVERSATION: usize = 256;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// One thing that happens in a login, and what is answered.
    #[derive(Debug)]
    enum Line {
        User(Option<&'static [u8]>),
        Challenged(Result<ChallengeReply, ClientError>),
        Asked(&'static str, Option<&'static str>),
        UserNow(Option<&'static [u8]>),
        Judged(&'static str, Result<VerifyReply, ClientError>),
        Told(&'static str),
        Logged(&'static str),
    }
    use Line::*;

    /// A transcript, played by both sides of the flow; every line must come, in its turn.
    struct Transcript(RefCell<VecDeque<Line>>);

    impl Transcript {
        fn next(&self, what: impl std::fmt::Debug) -> Line {
            self.0.borrow_mut().pop_front().unwrap_or_else(|| panic!("the transcript has ended: {what:?}"))
        }
    }

    fn origin() -> Origin {
        Origin { service: "sshd".into(), rhost: Some("192.0.2.1".into()), tty: Some("ssh".into()) }
    }

    impl Application for &Transcript {
        fn user(&mut self) -> Option<Vec<u8>> {
            let User(name) = self.next("user") else { panic!("the user's name was not wanted now") };
            name.map(<[u8]>::to_vec)
        }

        fn user_now(&self) -> Option<Vec<u8>> {
            let UserNow(name) = self.next("user now") else { panic!("the user's name was not wanted now") };
            name.map(<[u8]>::to_vec)
        }

        fn origin(&self) -> Origin {
            origin()
        }

        fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText> {
            let Asked(expected, typed) = self.next(prompt) else { panic!("nobody was to be asked {prompt:?}") };
            let shown = format!("{prompt}{}", if echo { "(seen)" } else { "" });
            assert_eq!(shown, expected);
            typed.map(|text| SecretText::typed(text.as_bytes()))
        }

        fn tell(&mut self, sentence: &str) {
            let Told(expected) = self.next(sentence) else { panic!("nobody was to be told {sentence:?}") };
            assert_eq!(sentence, expected);
        }

        fn log(&self, _level: LogLvl, line: &str) {
            let Logged(expected) = self.next(line) else { panic!("not to be logged: {line:?}") };
            assert_eq!(line, expected);
        }
    }

    impl Daemon for &Transcript {
        fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError> {
            let Challenged(reply) = self.next(call) else { panic!("no challenge now") };
            let Challenge { user, service, rhost, tty } = call;
            assert_eq!(
                (user.as_str(), service, rhost, tty),
                ("alice", &origin().service, &origin().rhost, &origin().tty)
            );
            reply
        }

        fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError> {
            let Judged(code, reply) = self.next(call) else { panic!("no verify now") };
            let Verify { user, conversation, codes, service, rhost, tty } = call;
            assert_eq!(
                (user.as_str(), service, rhost, tty),
                ("alice", &origin().service, &origin().rhost, &origin().tty)
            );
            assert_eq!(conversation.as_deref(), Some("c0ffee"));
            assert_eq!(codes.iter().map(SecretText::expose).collect::<Vec<_>>(), [code]);
            reply
        }
    }

    fn play(options: &Options, parts: impl IntoIterator<Item = Vec<Line>>) -> PamError {
        let transcript = Transcript(RefCell::new(parts.into_iter().flatten().collect()));
        let code = authenticate(&mut &transcript, &mut &transcript, options);
        let rest = transcript.0.into_inner();
        assert!(rest.is_empty(), "did not happen: {rest:?}");
        code
    }

    fn begins(ask: Ask, enrolled: Option<bool>) -> Vec<Line> {
        vec![User(Some(b"alice")), Challenged(Ok(challenge(ask, "c0ffee".into(), enrolled)))]
    }

    fn challenge(ask: Ask, conversation: String, enrolled: Option<bool>) -> ChallengeReply {
        ChallengeReply { ask, conversation, enrolled, digits: enrolled.map(|_| vec![6]) }
    }

    fn begins_as_usual() -> Vec<Line> {
        begins(Ask::OneCode, Some(true))
    }

    fn reply(verdict: Verdict, ask: Ask) -> Result<VerifyReply, ClientError> {
        Ok(VerifyReply { verdict, ask, retry_after: Some(12), device: None })
    }

    fn asks(prompt: &'static str, typed: &'static str) -> Vec<Line> {
        vec![Asked(prompt, Some(typed)), UserNow(Some(b"alice"))]
    }

    fn round(prompt: &'static str, typed: &'static str, verdict: Verdict) -> Vec<Line> {
        let ask = if prompt == BOTH || verdict == Verdict::TwoCodesNeeded { Ask::TwoCodes } else { Ask::OneCode };
        [asks(prompt, typed), vec![Judged(typed, reply(verdict, ask))]].into_iter().flatten().collect()
    }

    fn retrying(retry: u32) -> Options {
        Options { retry, ..Options::default() }
    }

    const PROMPT: &str = "Verification code: ";
    const BOTH: &str = "Two verification codes, the current one and the next: ";
    const AGAIN: &str = "That was not accepted. Type what your device shows now.";
    const UNAVAILABLE: &str = "The code cannot be checked now. Try again later, or ask an administrator.";
    const LOOK_ALIKES: [Verdict; 5] =
        [Verdict::Rejected, Verdict::Malformed, Verdict::NotEnrolled, Verdict::Disabled, Verdict::Refused];

    #[test]
    fn an_accepted_code_lets_in_at_once() {
        let code = play(&Options::default(), [begins_as_usual(), round(PROMPT, "123456", Verdict::Accepted)]);
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
                    ],
                );
                assert_eq!(code, PamError::MAXTRIES, "{verdict:?} {enrolled:?}");
            }
        }
    }

    #[test]
    fn with_one_try_a_refusal_is_an_authentication_error() {
        for verdict in LOOK_ALIKES.into_iter().chain([Verdict::AlreadyUsed, Verdict::TwoCodesNeeded]) {
            let code = play(&retrying(1), [begins_as_usual(), round(PROMPT, "111111", verdict)]);
            assert_eq!(code, PamError::AUTH_ERR, "{verdict:?}");
        }
    }

    #[test]
    fn a_later_try_can_be_accepted() {
        for verdict in LOOK_ALIKES {
            let first = round(PROMPT, "111111", verdict);
            let second = round(PROMPT, "222222", Verdict::Accepted);
            let code = play(&retrying(2), [begins_as_usual(), first, vec![Told(AGAIN)], second]);
            assert_eq!(code, PamError::SUCCESS, "{verdict:?}");
        }
    }

    #[test]
    fn who_types_a_used_code_is_told_when_the_next_one_comes() {
        let told = vec![Told("That code was used already. The next one comes in 12 seconds.")];
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
        let needed =
            "Two codes in a row are needed now. Type the current one, wait for the next, and type that after it.";
        let later = [
            begins_as_usual(),
            round(PROMPT, "111111", Verdict::TwoCodesNeeded),
            vec![Told(needed)],
            round(BOTH, "111111222222", Verdict::Rejected),
            vec![Told(AGAIN)],
            round(BOTH, "222222333333", Verdict::Accepted),
        ];
        assert_eq!(play(&Options::default(), later), PamError::SUCCESS);
        let at_once = [begins(Ask::TwoCodes, None), round(BOTH, "111111222222", Verdict::Accepted)];
        assert_eq!(play(&Options::default(), at_once), PamError::SUCCESS);
    }

    #[test]
    fn nullok_lets_through_only_who_was_never_enrolled() {
        let options = Options { nullok: true, ..retrying(1) };
        let logged = vec![Logged("user 'alice' was never enrolled: no code needed (nullok)")];
        assert_eq!(play(&options, [begins(Ask::OneCode, Some(false)), logged]), PamError::IGNORE);
        for enrolled in [None, Some(true)] {
            for verdict in [Verdict::NotEnrolled, Verdict::Disabled] {
                let code = play(&options, [begins(Ask::OneCode, enrolled), round(PROMPT, "111111", verdict)]);
                assert_eq!(code, PamError::AUTH_ERR, "{enrolled:?} {verdict:?}");
            }
        }
    }

    #[test]
    fn with_always_prompt_who_was_never_enrolled_is_asked_once_and_nothing_is_judged() {
        let options = Options { nullok: true, always_prompt: true, ..Options::default() };
        let logged = vec![Logged("user 'alice' was never enrolled: no code needed (nullok)")];
        let code = play(&options, [begins(Ask::OneCode, Some(false)), asks(PROMPT, "123456"), logged]);
        assert_eq!(code, PamError::IGNORE);
        let code = play(&options, [begins(Ask::OneCode, Some(false)), vec![Asked(PROMPT, None)]]);
        assert_eq!(code, PamError::CONV_ERR);
        let options = Options { nullok: false, ..retrying(1) };
        let judged = round(PROMPT, "123456", Verdict::NotEnrolled);
        assert_eq!(play(&options, [begins(Ask::OneCode, Some(false)), judged]), PamError::AUTH_ERR);
    }

    #[test]
    fn with_user_unknown_who_was_never_enrolled_is_unknown_after_the_first_prompt() {
        let options = Options { user_unknown: true, ..Options::default() };
        let unknown = [begins(Ask::OneCode, Some(false)), round(PROMPT, "111111", Verdict::NotEnrolled)];
        assert_eq!(play(&options, unknown), PamError::USER_UNKNOWN);
        let disabled = [begins_as_usual(), round(PROMPT, "111111", Verdict::Disabled)];
        assert_eq!(play(&Options { retry: 1, ..options }, disabled), PamError::AUTH_ERR);
    }

    #[test]
    fn a_busy_daemon_is_no_verdict() {
        let end = vec![Logged("user 'alice' refused: provisiond has too much to do"), Told(UNAVAILABLE)];
        let code = play(&Options::default(), [begins_as_usual(), round(PROMPT, "111111", Verdict::Busy), end]);
        assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
    }

    #[test]
    fn a_daemon_that_cannot_be_used_lets_nobody_in_with_any_options() {
        for error in [ClientError::Deadline, ClientError::WrongServer { found: 1000, expected: 0 }, Error::Busy.into()]
        {
            let line = format!("user 'alice' refused: {error}").leak();
            let options = Options { nullok: true, user_unknown: true, ..Options::default() };
            let end = vec![Logged(line), Told(UNAVAILABLE)];
            let code = play(&options, [vec![User(Some(b"alice")), Challenged(Err(error))], end]);
            assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
        }
    }

    #[test]
    fn what_comes_back_after_a_code_is_not_repeated_in_the_log() {
        for (error, line) in [
            (ClientError::Protocol("no verdict '123456'".into()), "provisiond's answer cannot be understood"),
            (Error::bad("codes", "'123456' is odd").into(), "provisiond refused the call"),
            (Error::Varlink("123456".into()).into(), "provisiond refused the call"),
            (Error::StoreUnavailable.into(), "the store does not work now: the daemon's log says why"),
            (ClientError::Deadline, "provisiond did not answer in time"),
        ] {
            let line = format!("user 'alice' refused: {line}").leak();
            let end = vec![Judged("123456", Err(error)), Logged(line), Told(UNAVAILABLE)];
            let code = play(&Options::default(), [begins_as_usual(), asks(PROMPT, "123456"), end]);
            assert_eq!(code, PamError::AUTHINFO_UNAVAIL);
        }
    }

    #[test]
    fn an_absurdly_long_conversation_name_is_not_sent_back() {
        let conversation = "c".repeat(MAX_CONVERSATION + 1);
        let reply = challenge(Ask::OneCode, conversation, None);
        let line = "user 'alice' refused: provisiond's answer cannot be understood";
        let lines = vec![User(Some(b"alice")), Challenged(Ok(reply)), Logged(line), Told(UNAVAILABLE)];
        assert_eq!(play(&Options::default(), [lines]), PamError::AUTHINFO_UNAVAIL);
    }

    #[test]
    fn a_failed_conversation_is_never_judged() {
        let options = Options::default();
        assert_eq!(play(&options, [vec![User(None)]]), PamError::CONV_ERR);
        assert_eq!(play(&options, [begins_as_usual(), vec![Asked(PROMPT, None)]]), PamError::CONV_ERR);
        let second = vec![Told(AGAIN), Asked(PROMPT, None)];
        let rounds = [begins_as_usual(), round(PROMPT, "111111", Verdict::Rejected), second];
        assert_eq!(play(&options, rounds), PamError::CONV_ERR);
    }

    #[test]
    fn a_name_that_changes_at_the_prompt_is_refused_before_the_code_is_sent() {
        for now in [Some(&b"root"[..]), Some(b"alice "), Some(b""), None] {
            let end = vec![
                Asked(PROMPT, Some("123456")),
                UserNow(now),
                Logged("user 'alice' refused: the name changed at the prompt"),
            ];
            assert_eq!(play(&Options::default(), [begins_as_usual(), end]), PamError::AUTH_ERR, "{now:?}");
        }
    }

    #[test]
    fn a_name_that_no_account_has_is_refused_without_asking_anybody() {
        for (name, line) in [
            (&b""[..], "user '' refused: a user name cannot be empty"),
            (b"../x\n", "user '../x\\n' refused: a user name cannot contain control characters, '/' or ':'"),
            (b"root ", "user 'root ' refused: a user name cannot begin or end with a space"),
            (b"al\xffice", "user 'al\u{fffd}ice' refused: a user name is UTF-8"),
        ] {
            let lines = || [vec![User(Some(name)), Logged(line)]];
            assert_eq!(play(&Options::default(), lines()), PamError::AUTH_ERR, "{name:?}");
            let options = Options { user_unknown: true, nullok: true, ..Options::default() };
            assert_eq!(play(&options, lines()), PamError::USER_UNKNOWN, "{name:?}");
        }
        let long = "a".repeat(65_536).leak();
        let line = format!("user '{}…' refused: a user name has at most 256 bytes", "a".repeat(256)).leak();
        let lines = vec![User(Some(long.as_bytes())), Logged(line)];
        assert_eq!(play(&Options::default(), [lines]), PamError::AUTH_ERR);
    }

    #[test]
    fn the_prompt_and_its_echo_are_the_administrators_choice() {
        let options = Options { prompt: Some("Token? ".into()), echo_verification_code: true, ..Options::default() };
        let rounds = [begins_as_usual(), round("Token? (seen)", "123456", Verdict::Accepted)];
        assert_eq!(play(&options, rounds), PamError::SUCCESS);
    }

    #[test]
    fn with_debug_a_refusal_is_logged_with_its_verdict_and_without_the_code() {
        let options = Options { debug: true, ..retrying(1) };
        let end = vec![Logged("user 'alice' refused: not_enrolled")];
        let code = play(&options, [begins_as_usual(), round(PROMPT, "111111", Verdict::NotEnrolled), end]);
        assert_eq!(code, PamError::AUTH_ERR);
        let end = vec![User(None), Logged("user '' refused: the conversation failed")];
        assert_eq!(play(&options, [end]), PamError::CONV_ERR);
        let code = play(&options, [begins_as_usual(), round(PROMPT, "123456", Verdict::Accepted)]);
        assert_eq!(code, PamError::SUCCESS);
    }

    #[test]
    fn nothing_but_accepted_is_success_and_nothing_but_nullok_is_ignore() {
        let verdicts = LOOK_ALIKES.into_iter().chain([Verdict::AlreadyUsed, Verdict::TwoCodesNeeded, Verdict::Busy]);
        let stops = [
            Stop::BadName(String::new()),
            Stop::UserChanged,
            Stop::Unavailable(String::new()),
            Stop::ConversationFailed,
        ];
        for end in verdicts.map(Ok).chain(stops.map(Err)) {
            for options in [retrying(1), Options { nullok: true, user_unknown: true, debug: true, ..retrying(3) }] {
                let code = pam_code(&end, &options);
                assert!(!matches!(code, PamError::SUCCESS | PamError::IGNORE), "{end:?}");
            }
        }
        assert_eq!(pam_code(&Ok(Verdict::Accepted), &retrying(1)), PamError::SUCCESS);
        assert_eq!(pam_code(&Err(Stop::NeedsNoCode), &retrying(1)), PamError::IGNORE);
    }
}
