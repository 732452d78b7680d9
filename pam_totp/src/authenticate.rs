//! One authentication: provisiond says what to ask, the person answers, provisiond judges, PAM gets a code.
//!
//! Knows no C, no socket, no clock, no key. The application that runs the login and the daemon are traits, and nothing
//! that either of them does can lead to success but the verdict `accepted`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod exempt_tests;
#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcript;

use common::client::ClientError;
use common::protocol::{Ask, Challenge, ChallengeReply, Error, LoginOptions, Verdict, Verify, VerifyReply};
use common::secret::SecretText;
use common::text::printable;
use common::user::UserName;
use pamsm::{LogLvl, PamError};

use crate::joined::{self, Joined};
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
    /// The password that a module before us or the application left (`PAM_AUTHTOK`), if there is one.
    fn password(&self) -> Option<SecretText>;
    /// Leaves a password for the modules after us. `None`: it could not be left.
    fn leave_password(&mut self, password: &SecretText) -> Option<()>;
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
        Ok(Verdict::Exempt) | Err(Stop::NeedsNoCode) => PamError::IGNORE,
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy) | Stop::Unavailable(_)) => PamError::AUTHINFO_UNAVAIL,
        Err(Stop::ConversationFailed) => PamError::CONV_ERR,
        Ok(Verdict::NotEnrolled) | Err(Stop::NotExempt(Verdict::NotEnrolled) | Stop::BadName(_))
            if options.user_unknown =>
        {
            PamError::USER_UNKNOWN
        }
        Err(Stop::BadName(_) | Stop::UserChanged | Stop::NoCodeWithPassword | Stop::NotExempt(_)) => PamError::AUTH_ERR,
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
            _ if options.use_first_pass => PamError::AUTH_ERR,
            _ => PamError::MAXTRIES,
        },
    }
}

/// What ends a login before a last verdict.
#[derive(Debug)]
enum Stop {
    /// Never enrolled, and `nullok` stands in the service file.
    NeedsNoCode,
    /// No code was to be asked for, and without one they are not let by: any verdict but `exempt`, even a success.
    NotExempt(Verdict),
    /// No account can have this name; why.
    BadName(String),
    /// The application changed the name while the person was typing.
    UserChanged,
    /// `use_first_pass`, and there is no password with a code at its end.
    NoCodeWithPassword,
    /// Provisiond cannot be used; why.
    Unavailable(String),
    /// The person cannot be asked.
    ConversationFailed,
}

fn user_name(name: &[u8]) -> Result<UserName, Stop> {
    let text = std::str::from_utf8(name).map_err(|_| Stop::BadName("a user name is UTF-8".to_owned()))?;
    UserName::new(text).map_err(|bad| Stop::BadName(bad.to_string()))
}

/// What holds for all tries of one login.
struct Terms {
    /// The daemon's name for them together.
    conversation: String,
    /// The lengths that a code at the end of a password may have, longest first.
    lengths: Vec<usize>,
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
        let challenge = self.challenge()?;
        let lengths = joined::lengths(self.options.digits, challenge.digits.as_deref().unwrap_or_default());
        let terms = Terms { conversation: challenge.conversation, lengths };
        if challenge.ask == Ask::Nothing {
            return self.try_nothing(&terms);
        }
        if self.options.nullok && challenge.enrolled == Some(false) {
            return self.without_code(challenge.ask);
        }
        let ask = match self.try_first_pass(challenge.ask, &terms)? {
            Some(reply) if self.options.use_first_pass || self.is_final(reply.verdict) => return Ok(reply.verdict),
            Some(reply) => self.next_ask(challenge.ask, &reply),
            None if self.options.use_first_pass => return Err(Stop::NoCodeWithPassword),
            None => challenge.ask,
        };
        self.ask_and_try(ask, &terms)
    }

    /// Ends the login of someone who needs no code, with or without a prompt. What is typed is password all through.
    fn without_code(&mut self, ask: Ask) -> Result<Verdict, Stop> {
        if self.options.always_prompt {
            let password = self.ask(ask)?;
            self.forward(&password)?;
        }
        Err(Stop::NeedsNoCode)
    }

    /// One attempt without a code, by which provisiond decides. Who would have typed a password together with the code is
    /// asked for the password, and all of it is left for the modules after us.
    fn try_nothing(&mut self, terms: &Terms) -> Result<Verdict, Stop> {
        let typed = self.password_alone()?;
        match self.verify(Vec::new(), terms)?.verdict {
            Verdict::Exempt => typed.map_or(Ok(()), |password| self.forward(&password)).map(|()| Verdict::Exempt),
            other => Err(Stop::NotExempt(other)),
        }
    }

    /// What the person types where no code is needed. `None`: nobody is asked.
    fn password_alone(&mut self) -> Result<Option<SecretText>, Stop> {
        let Options { forward_pass, always_prompt, try_first_pass, use_first_pass, .. } = self.options;
        let is_there = *try_first_pass && self.application.password().is_some();
        if *use_first_pass || is_there || !(*forward_pass || *always_prompt) {
            return Ok(None);
        }
        let prompt = if *forward_pass {
            messages::password_prompt(self.options)
        } else {
            messages::prompt(Ask::Nothing, self.options)
        };
        self.ask_for(prompt).map(Some)
    }

    /// One try with the password that is there already. `None`: not wanted, or no code stands at its end.
    fn try_first_pass(&mut self, ask: Ask, terms: &Terms) -> Result<Option<VerifyReply>, Stop> {
        let wanted = self.options.try_first_pass || self.options.use_first_pass;
        let password = if wanted { self.application.password() } else { None };
        match password.and_then(|password| joined::cut(&password, ask, &terms.lengths)) {
            Some(joined) => self.verify_joined(joined, terms).map(Some),
            None => Ok(None),
        }
    }

    /// As many tries as the options allow.
    fn ask_and_try(&mut self, mut ask: Ask, terms: &Terms) -> Result<Verdict, Stop> {
        let mut rounds = self.options.retry;
        loop {
            let typed = self.ask(ask)?;
            let reply = self.try_typed(typed, ask, terms)?;
            rounds = rounds.saturating_sub(1);
            if rounds == 0 || self.is_final(reply.verdict) {
                return Ok(reply.verdict);
            }
            ask = self.next_ask(ask, &reply);
        }
    }

    /// One try with what was typed at the prompt `ask`, which costs one attempt at the daemon wherever it is cut.
    fn try_typed(&mut self, typed: SecretText, ask: Ask, terms: &Terms) -> Result<VerifyReply, Stop> {
        let joined = match self.options.forward_pass {
            true => joined::cut(&typed, ask, &terms.lengths).unwrap_or_else(|| Joined::password_alone(typed)),
            false => Joined { password: SecretText::default(), codes: typed },
        };
        self.verify_joined(joined, terms)
    }

    /// Says why there is another prompt, and returns what it asks for.
    fn next_ask(&mut self, asked: Ask, reply: &VerifyReply) -> Ask {
        self.application.tell(&messages::try_again(asked, reply, self.options));
        reply.ask
    }

    fn challenge(&mut self) -> Result<ChallengeReply, Stop> {
        let Origin { service, rhost, tty } = self.origin.clone();
        let call =
            Challenge { user: self.user.as_str().to_owned(), service, rhost, tty, options: self.for_the_daemon() };
        let reply = self.daemon.challenge(&call).map_err(|error| Stop::Unavailable(printable(&error.to_string())))?;
        // It goes back with the code, in a buffer of a fixed size that must not grow.
        if reply.conversation.len() > MAX_CONVERSATION {
            return Err(Stop::Unavailable("provisiond's answer cannot be understood".to_owned()));
        }
        Ok(reply)
    }

    fn ask(&mut self, ask: Ask) -> Result<SecretText, Stop> {
        self.ask_for(messages::prompt(ask, self.options))
    }

    fn ask_for(&mut self, prompt: &str) -> Result<SecretText, Stop> {
        // A password is never shown.
        let echo = self.options.echo_verification_code && !self.options.forward_pass;
        let typed = self.application.ask(prompt, echo).ok_or(Stop::ConversationFailed)?;
        // A verdict on one account must never open another.
        let same = self.application.user_now().is_some_and(|now| now == self.user.as_str().as_bytes());
        same.then_some(typed).ok_or(Stop::UserChanged)
    }

    fn verify_joined(&mut self, Joined { password, codes }: Joined, terms: &Terms) -> Result<VerifyReply, Stop> {
        let reply = self.verify(vec![codes], terms)?;
        // Only now: whose code is wrong does not get as far as guessing passwords.
        if matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt) {
            self.forward(&password)?;
            let few = reply.recovery_codes_left.and_then(|left| messages::recovery_codes_left(left, self.options));
            few.iter().for_each(|sentence| self.application.tell(sentence));
        }
        Ok(reply)
    }

    fn verify(&mut self, codes: Vec<SecretText>, terms: &Terms) -> Result<VerifyReply, Stop> {
        let Origin { service, rhost, tty } = self.origin.clone();
        let user = self.user.as_str().to_owned();
        let (conversation, options) = (Some(terms.conversation.clone()), self.for_the_daemon());
        let call = Verify { user, conversation, codes, service, rhost, tty, options };
        self.daemon.verify(&call).map_err(|error| Stop::Unavailable(reason_after_a_code(&error)))
    }

    /// What of the options is provisiond's business.
    fn for_the_daemon(&self) -> Option<LoginOptions> {
        let &Options { grace_period, noskewadj, .. } = self.options;
        let told = LoginOptions { grace_period, noskewadj: noskewadj.then_some(true) };
        (told != LoginOptions::default()).then_some(told)
    }

    /// With `forward_pass`, leaves the password for the modules after us.
    fn forward(&mut self, password: &SecretText) -> Result<(), Stop> {
        match self.options.forward_pass {
            true => self.application.leave_password(password).ok_or(Stop::ConversationFailed),
            false => Ok(()),
        }
    }

    /// Whether another try is pointless. All other verdicts lead to the next prompt, so that from the prompt nobody
    /// can tell a wrong code from an account without a device.
    fn is_final(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Accepted | Verdict::Exempt | Verdict::Busy => true,
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
        Err(Stop::NoCodeWithPassword) => {
            (LogLvl::NOTICE, format!("user '{user}' refused: no code came with the password (use_first_pass)"))
        }
        Err(Stop::Unavailable(why)) => (LogLvl::ERR, format!("user '{user}' refused: {why}")),
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy)) => {
            (LogLvl::ERR, format!("user '{user}' refused: provisiond has too much to do"))
        }
        Ok(Verdict::Accepted | Verdict::Exempt) => return None,
        _ if !options.debug => return None,
        Err(Stop::ConversationFailed) => (LogLvl::DEBUG, format!("user '{user}' refused: the conversation failed")),
        Ok(verdict) | Err(Stop::NotExempt(verdict)) => {
            (LogLvl::DEBUG, format!("user '{user}' refused: {}", verdict.word()))
        }
    })
}

/// Many times what provisiond sends (32 characters), in bytes.
const MAX_CONVERSATION: usize = 256;
