//! One authentication: provisiond says what to ask, the person answers, provisiond judges, PAM gets a code.
//!
//! Knows no C, no socket, no clock, no key. The application that runs the login and the daemon are traits, and nothing
//! that either of them does can lead to success but the verdict `accepted`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod exempt_tests;
mod outcome;
#[cfg(test)]
mod password_and_code_tests;
mod ports;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcript;

use common::names::user::UserName;
use common::secret::SecretText;
use common::wire::client::ClientError;
use common::wire::protocol::{Ask, Challenge, ChallengeReply, Error, LoginOptions, Verdict, Verify, VerifyReply};
use common::wire::text::printable;
use pamsm::PamError;

use self::outcome::{Stop, log_line, pam_code};
pub use self::ports::{Application, Daemon, Origin};
use crate::messages;
use crate::options::Options;
use crate::password_and_code::{self, PasswordAndCodes};

/// Authenticates the user of `application` and answers with PAM's code for what came of it.
pub fn authenticate(application: &mut impl Application, daemon: &mut impl Daemon, options: &Options) -> PamError {
    let name = application.user();
    let outcome = name.as_deref().ok_or(Stop::ConversationFailed).and_then(|name| {
        let user = user_name(name)?;
        let origin = application.origin();
        Login { application: &mut *application, daemon, options, user, origin }.run()
    });
    let user = printable(&String::from_utf8_lossy(name.as_deref().unwrap_or_default()));
    if let Some((level, line)) = log_line(&outcome, &user, options) {
        application.log(level, &line);
    }
    let code = pam_code(&outcome, options);
    if code == PamError::AUTHINFO_UNAVAIL {
        application.tell(messages::unavailable(options));
    }
    code
}

fn user_name(name: &[u8]) -> Result<UserName, Stop> {
    let text = std::str::from_utf8(name).map_err(|_| Stop::BadName("a user name must be UTF-8".to_owned()))?;
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
        let lengths = password_and_code::lengths(self.options.digits, challenge.digits.as_deref().unwrap_or_default());
        let terms = Terms { conversation: challenge.conversation, lengths };
        if challenge.ask == Ask::Nothing {
            return self.try_nothing(&terms);
        }
        if self.options.nullok && challenge.enrolled == Some(false) {
            return self.without_code(challenge.ask);
        }
        let ask = match self.try_first_pass(challenge.ask, &terms)? {
            Some(reply) if self.options.use_first_pass || self.is_final(reply.verdict) => {
                self.last_word(challenge.ask, &reply);
                return Ok(reply.verdict);
            }
            Some(reply) => self.next_ask(challenge.ask, &reply),
            None if self.options.use_first_pass => return Err(self.no_code_with_password(challenge.ask)),
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
        let wanted = (self.options.try_first_pass || self.options.use_first_pass) && ask != Ask::Ticket;
        let password = if wanted { self.application.password() } else { None };
        match password.and_then(|password| password_and_code::cut(&password, ask, &terms.lengths)) {
            Some(typed) => self.verify_typed(typed, terms).map(Some),
            None => Ok(None),
        }
    }

    /// As many tries as the options allow.
    fn ask_and_try(&mut self, mut ask: Ask, terms: &Terms) -> Result<Verdict, Stop> {
        let mut rounds = self.options.retry;
        loop {
            let typed = self.ask(ask)?;
            let reply = self.try_typed(typed, ask, terms)?;
            // A ticket is no try: what it brings is still to be tried.
            if let (true, Verdict::NotEnrolled, Some(enrolment)) =
                (self.options.enroll, reply.verdict, &reply.enrolment)
            {
                self.application.tell(messages::enrolment(enrolment, self.options).expose());
                ask = reply.ask;
                continue;
            }
            rounds = rounds.saturating_sub(1);
            if rounds == 0 || self.is_final(reply.verdict) {
                self.last_word(ask, &reply);
                return Ok(reply.verdict);
            }
            ask = self.next_ask(ask, &reply);
        }
    }

    /// One try with what was typed at the prompt `ask`, which costs one attempt at the daemon wherever it is cut.
    fn try_typed(&mut self, typed: SecretText, ask: Ask, terms: &Terms) -> Result<VerifyReply, Stop> {
        let split = match self.options.forward_pass {
            true => password_and_code::cut(&typed, ask, &terms.lengths)
                .unwrap_or_else(|| PasswordAndCodes::password_alone(typed)),
            false => PasswordAndCodes { password: SecretText::default(), codes: typed },
        };
        self.verify_typed(split, terms)
    }

    /// Says why there is another prompt, and returns what it asks for.
    fn next_ask(&mut self, asked: Ask, reply: &VerifyReply) -> Ask {
        self.application.tell(&messages::try_again(asked, reply, self.options));
        reply.ask
    }

    /// Says why nobody is let in, where no other prompt follows. Nobody is told less than others, whatever PAM is told of
    /// them.
    fn last_word(&mut self, asked: Ask, reply: &VerifyReply) {
        // Who is let in needs no word, and that nothing can be judged has one of its own.
        if !matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt | Verdict::Busy) {
            self.application.tell(&messages::refused(asked, reply, self.options));
        }
    }

    /// Where a password was cut depends on the devices that the user has, so a text without a code is told like a wrong one.
    fn no_code_with_password(&mut self, asked: Ask) -> Stop {
        self.last_word(asked, &VerifyReply::bare(Verdict::Malformed, asked));
        Stop::NoCodeWithPassword
    }

    fn challenge(&mut self) -> Result<ChallengeReply, Stop> {
        let Origin { service, rhost, tty } = self.origin.clone();
        let call =
            Challenge { user: self.user.as_str().to_owned(), service, rhost, tty, options: self.for_the_daemon() };
        let reply = self.daemon.challenge(&call).map_err(|error| Stop::Unavailable(printable(&error.to_string())))?;
        // It goes back with the code, in a buffer of a fixed size that must not grow.
        if reply.conversation.len() > MAX_CONVERSATION {
            return Err(Stop::Unavailable(INVALID_REPLY.to_owned()));
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

    fn verify_typed(
        &mut self,
        PasswordAndCodes { password, codes }: PasswordAndCodes,
        terms: &Terms,
    ) -> Result<VerifyReply, Stop> {
        let reply = self.verify(vec![codes], terms)?;
        // Only now: whose code is wrong does not get as far as guessing passwords.
        if matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt) {
            self.forward(&password)?;
            let left = reply.recovery_codes_left;
            let word = match reply.enrolled {
                Some(true) => Some(messages::enrolled(left.is_some(), self.options)),
                _ => left.and_then(|left| messages::recovery_codes_left(left, self.options)),
            };
            word.iter().for_each(|sentence| self.application.tell(sentence));
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
        let &Options { grace_period, noskewadj, enroll, .. } = self.options;
        let (noskewadj, enroll) = (noskewadj.then_some(true), enroll.then_some(true));
        let told = LoginOptions { grace_period, noskewadj, enroll };
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
        ClientError::Protocol(_) => INVALID_REPLY.to_owned(),
        ClientError::Refused(Error::BadParameter { .. } | Error::Varlink(_)) => {
            "provisiond rejected the request: check that it and the module have the same version".to_owned()
        }
        ClientError::Refused(Error::Busy { .. }) => "provisiond is too busy".to_owned(),
        error => printable(&error.to_string()),
    }
}

const INVALID_REPLY: &str = "provisiond sent an invalid reply: check that it and the module have the same version";
/// Many times what provisiond sends (32 characters), in bytes.
const MAX_CONVERSATION: usize = 256;
