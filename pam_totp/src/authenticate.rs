//! The flow of one authentication: provisiond's challenge, the prompt, provisiond's verdict,
//! retries, and PAM's return code.
//!
//! Knows no C, no socket, no clock, no key. The application (PAM) and the daemon are traits
//! (`ports.rs`), and only the daemon's verdict `accepted` can lead to success.

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
use common::wire::protocol::{
    Ask, Challenge, ChallengeReply, Enrolment, Error, LoginOptions, Verdict, Verify, VerifyReply,
};
use common::wire::text::printable;
use pamsm::PamError;

use self::outcome::{Stop, log_line, pam_code};
pub use self::ports::{Application, Daemon, Origin};
use crate::messages::{self, Tried};
use crate::options::Options;
use crate::password_and_code::{self, PasswordAndCodes};

/// Authenticates the user of `application` and returns PAM's code for the outcome.
pub fn authenticate(
    application: &mut impl Application,
    daemon: &mut impl Daemon,
    options: &Options,
) -> PamError {
    let name = application.user();
    let outcome = name
        .as_deref()
        .ok_or(Stop::ConversationFailed)
        .and_then(|name| {
            let user = user_name(name)?;
            let origin = application.origin();
            Login {
                application: &mut *application,
                daemon,
                options,
                user,
                origin,
            }
            .run()
        });
    let user = printable(&String::from_utf8_lossy(
        name.as_deref().unwrap_or_default(),
    ));
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
    let text = std::str::from_utf8(name)
        .map_err(|_| Stop::BadName("a user name must be UTF-8".to_owned()))?;
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
        let challenge = self.challenge()?;
        let lengths = password_and_code::lengths(
            self.options.digits,
            challenge.digits.as_deref().unwrap_or_default(),
        );
        if challenge.ask == Ask::Nothing {
            return self.try_nothing(&lengths);
        }
        if self.options.nullok && challenge.enrolled == Some(false) {
            return self.without_code(challenge.ask);
        }
        if challenge.ask == Ask::FirstDevice {
            return self.enrol_without_ticket(&lengths);
        }
        let ask = match self.try_first_pass(challenge.ask, &lengths)? {
            Some(reply) if self.options.use_first_pass || self.is_final(&reply) => {
                self.last_word(challenge.ask.into(), &reply);
                return Ok(reply.verdict);
            }
            Some(reply) => self.next_ask(challenge.ask.into(), &reply),
            None if self.options.use_first_pass => {
                return Err(self.no_code_with_password(&challenge));
            }
            None => {
                if challenge.ask == Ask::TwoCodes {
                    self.application
                        .tell(&messages::two_codes_needed(self.options));
                }
                challenge.ask
            }
        };
        self.ask_and_try(ask, &lengths, false)
    }

    /// The login of a user that enrols with the first factor alone: provisiond makes the device, and
    /// the prompt asks for its first code. Without a device (the permission has just ended) the
    /// user is asked and refused like all others. No code was sent, so even `accepted` is an error.
    fn enrol_without_ticket(&mut self, lengths: &[usize]) -> Result<Verdict, Stop> {
        let reply = self.verify(Vec::new())?;
        if reply.verdict == Verdict::Accepted {
            return Err(Stop::NotExempt(reply.verdict));
        }
        if self.new_device(&reply).is_none() {
            return match self.is_final(&reply) {
                true => Ok(reply.verdict),
                false => self.ask_and_try(reply.ask, lengths, false),
            };
        }
        let ask = self.next_ask(Ask::FirstDevice.into(), &reply);
        self.ask_and_try(ask, lengths, true)
    }

    /// Ends the login of a user that needs no code, with or without a prompt. All of the typed text
    /// is the password.
    fn without_code(&mut self, ask: Ask) -> Result<Verdict, Stop> {
        if self.options.always_prompt {
            let password = self.ask(ask)?;
            self.forward(&password)?;
        }
        Err(Stop::NeedsNoCode)
    }

    /// The login where no code is needed: provisiond decides. With `forward_pass` the user is asked
    /// for the password, which is left for the modules after this one. Clients that know one field
    /// send codes with it all the same: provisiond tells whether the end of the text is two codes,
    /// or else one.
    fn try_nothing(&mut self, lengths: &[usize]) -> Result<Verdict, Stop> {
        let (typed, is_left) = self.password_alone()?;
        let forwarded = typed.as_ref().filter(|_| self.options.forward_pass);
        let cuts = forwarded
            .map(|typed| password_and_code::cuts(typed, lengths))
            .unwrap_or_default();
        // Without anything to ask about, the attempt holds no code.
        if cuts.is_empty() {
            self.try_unneeded(Vec::new())?;
        }
        for PasswordAndCodes { password, codes } in cuts {
            if let Some(verdict) = self.try_unneeded(vec![codes])? {
                self.forward(&password)?;
                return Ok(verdict);
            }
        }
        if let Some(password) = typed.filter(|_| !is_left) {
            self.forward(&password)?;
        }
        Ok(Verdict::Exempt)
    }

    /// One attempt where no code is needed. Returns the verdict if the codes are some, new or used;
    /// `None` if they are none, and the user is exempt. Everything else ends the login.
    fn try_unneeded(&mut self, codes: Vec<SecretText>) -> Result<Option<Verdict>, Stop> {
        let has_codes = !codes.is_empty();
        let reply = self.verify(codes)?;
        match reply.verdict {
            Verdict::Accepted if has_codes => Ok(Some(Verdict::Accepted)),
            Verdict::Exempt => {
                let is_code = reply.device.is_some() || reply.is_code == Some(true);
                Ok(is_code.then_some(Verdict::Exempt))
            }
            other => Err(Stop::NotExempt(other)),
        }
    }

    /// What the user types where no code is needed, or has typed for an earlier module; and whether
    /// it is left for the next module already. `None`: there is no prompt.
    fn password_alone(&mut self) -> Result<(Option<SecretText>, bool), Stop> {
        let Options {
            forward_pass,
            always_prompt,
            try_first_pass,
            use_first_pass,
            ..
        } = self.options;
        if (*try_first_pass || *use_first_pass)
            && let Some(password) = self.application.password()
        {
            return Ok((Some(password), true));
        }
        if *use_first_pass || !(*forward_pass || *always_prompt) {
            return Ok((None, false));
        }
        let prompt = if *forward_pass {
            messages::password_prompt(self.options).to_owned()
        } else {
            messages::prompt(Ask::Nothing, self.options)
        };
        Ok((Some(self.ask_for(&prompt)?), false))
    }

    /// One try with the password of an earlier module. `None`: the options do not want it, or it
    /// does not end in a code.
    fn try_first_pass(&mut self, ask: Ask, lengths: &[usize]) -> Result<Option<VerifyReply>, Stop> {
        let wanted =
            (self.options.try_first_pass || self.options.use_first_pass) && ask != Ask::Ticket;
        let password = if wanted {
            self.application.password()
        } else {
            None
        };
        match password.and_then(|password| password_and_code::cut(&password, ask, lengths)) {
            Some(typed) => self.verify_typed(typed).map(Some),
            None => Ok(None),
        }
    }

    /// As many tries as the options allow. `shown`: this login has shown a new device already.
    fn ask_and_try(
        &mut self,
        mut ask: Ask,
        lengths: &[usize],
        mut shown: bool,
    ) -> Result<Verdict, Stop> {
        let mut rounds = self.options.retry;
        loop {
            let typed = self.ask(ask)?;
            let tried = Tried::at_prompt(ask, &typed, self.options);
            let reply = self.try_typed(typed, ask, lengths)?;
            // The attempt that makes a device does not count as a try, once: the first code of the
            // device is still to be typed.
            let is_new = self.new_device(&reply).is_some();
            if shown || !is_new {
                rounds = rounds.saturating_sub(1);
            }
            shown |= is_new;
            if rounds == 0 || self.is_final(&reply) {
                self.last_word(tried, &reply);
                return Ok(reply.verdict);
            }
            ask = self.next_ask(tried, &reply);
        }
    }

    /// One try with the text typed at the prompt `ask`. It costs one attempt at the daemon,
    /// wherever the text is cut.
    fn try_typed(
        &mut self,
        typed: SecretText,
        ask: Ask,
        lengths: &[usize],
    ) -> Result<VerifyReply, Stop> {
        let split = match self.options.forward_pass {
            true => password_and_code::cut(&typed, ask, lengths)
                .unwrap_or_else(|| PasswordAndCodes::password_alone(typed)),
            false => PasswordAndCodes {
                password: SecretText::default(),
                codes: typed,
            },
        };
        self.verify_typed(split)
    }

    /// Tells the user why there is another prompt, or shows the device that a ticket has made, and
    /// returns what that prompt asks for.
    fn next_ask(&mut self, tried: Tried, reply: &VerifyReply) -> Ask {
        match self.new_device(reply) {
            Some(device) => {
                let shown = messages::enrolment(device, reply.ask, self.options);
                self.application.tell(shown.expose());
            }
            None => self
                .application
                .tell(&messages::try_again(tried, reply, self.options)),
        }
        reply.ask
    }

    /// The device that a ticket has just made, also a ticket behind a password.
    fn new_device<'r>(&self, reply: &'r VerifyReply) -> Option<&'r Enrolment> {
        let is_made = self.options.enroll && reply.verdict == Verdict::NotEnrolled;
        reply.enrolment.as_ref().filter(|_| is_made)
    }

    /// Tells the user why the login is refused, where no other prompt follows. Unknown users and
    /// users without a device get the same sentence as others, whatever code PAM gets.
    fn last_word(&mut self, tried: Tried, reply: &VerifyReply) {
        // A successful login needs no sentence, and a daemon that cannot judge has its own.
        if !matches!(
            reply.verdict,
            Verdict::Accepted | Verdict::Exempt | Verdict::Busy
        ) {
            self.application
                .tell(&messages::refused(tried, reply, self.options));
        }
    }

    /// The place of the cut depends on the user's devices, so a text without a code gets the same
    /// sentence as a wrong code, also in a quarantine.
    fn no_code_with_password(&mut self, challenge: &ChallengeReply) -> Stop {
        let asked = challenge.ask;
        let reply = VerifyReply {
            quarantine: challenge.quarantine,
            ..VerifyReply::bare(Verdict::Malformed, asked)
        };
        self.last_word(asked.into(), &reply);
        Stop::NoCodeWithPassword
    }

    fn challenge(&mut self) -> Result<ChallengeReply, Stop> {
        let Origin {
            service,
            rhost,
            tty,
        } = self.origin.clone();
        let call = Challenge {
            user: self.user.as_str().to_owned(),
            service,
            rhost,
            tty,
            options: self.for_the_daemon(),
        };
        self.daemon
            .challenge(&call)
            .map_err(|error| Stop::Unavailable(printable(&error.to_string())))
    }

    fn ask(&mut self, ask: Ask) -> Result<SecretText, Stop> {
        self.ask_for(&messages::prompt(ask, self.options))
    }

    fn ask_for(&mut self, prompt: &str) -> Result<SecretText, Stop> {
        // A password is never shown.
        let echo = self.options.echo_verification_code && !self.options.forward_pass;
        let typed = self
            .application
            .ask(prompt, echo)
            .ok_or(Stop::ConversationFailed)?;
        // A verdict on one account must never open another.
        let same = self
            .application
            .user_now()
            .is_some_and(|now| now == self.user.as_str().as_bytes());
        same.then_some(typed).ok_or(Stop::UserChanged)
    }

    fn verify_typed(
        &mut self,
        PasswordAndCodes { password, codes }: PasswordAndCodes,
    ) -> Result<VerifyReply, Stop> {
        let reply = self.verify(vec![codes])?;
        // Only after a right code: an attacker without one must not get as far as guessing
        // passwords.
        if matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt) {
            self.forward(&password)?;
            let left = reply.recovery_codes_left;
            let word = match reply.enrolled {
                Some(true) => Some(messages::enrolled(left.is_some(), self.options)),
                _ => left.and_then(|left| messages::recovery_codes_left(left, self.options)),
            };
            word.iter()
                .for_each(|sentence| self.application.tell(sentence));
        }
        Ok(reply)
    }

    fn verify(&mut self, codes: Vec<SecretText>) -> Result<VerifyReply, Stop> {
        let Origin {
            service,
            rhost,
            tty,
        } = self.origin.clone();
        let user = self.user.as_str().to_owned();
        let call = Verify {
            user,
            codes,
            service,
            rhost,
            tty,
            options: self.for_the_daemon(),
        };
        self.daemon
            .verify(&call)
            .map_err(|error| Stop::Unavailable(reason_after_a_code(&error)))
    }

    /// The options that provisiond has to know.
    fn for_the_daemon(&self) -> Option<LoginOptions> {
        let &Options {
            grace_period,
            noskewadj,
            enroll,
            first_factor,
            ..
        } = self.options;
        let told = LoginOptions {
            grace_period,
            noskewadj: noskewadj.then_some(true),
            enroll: enroll.then_some(true),
            first_factor: (enroll && first_factor).then_some(true),
        };
        (told != LoginOptions::default()).then_some(told)
    }

    /// With `forward_pass`, leaves the password for the modules after us.
    fn forward(&mut self, password: &SecretText) -> Result<(), Stop> {
        match self.options.forward_pass {
            true => self
                .application
                .leave_password(password)
                .ok_or(Stop::ConversationFailed),
            false => Ok(()),
        }
    }

    /// Whether another try is pointless. All other verdicts lead to the next prompt, so that an
    /// attacker at the prompt cannot tell a wrong code from an account without a device.
    fn is_final(&self, reply: &VerifyReply) -> bool {
        match reply.verdict {
            Verdict::Accepted | Verdict::Exempt | Verdict::Busy => true,
            Verdict::NotEnrolled => self.options.user_unknown && self.new_device(reply).is_none(),
            _ => false,
        }
    }
}

/// Why there was no reply to an attempt, for the log. Once a code was sent, no text from the other
/// side is logged: it may contain the code.
fn reason_after_a_code(error: &ClientError) -> String {
    match error {
        ClientError::Protocol(_) => INVALID_REPLY.to_owned(),
        ClientError::Refused(Error::BadParameter { .. } | Error::Varlink(_)) => {
            "provisiond rejected the request: check that it and the module have the same version"
                .to_owned()
        }
        ClientError::Refused(Error::Busy { .. }) => "provisiond is too busy".to_owned(),
        error => printable(&error.to_string()),
    }
}

const INVALID_REPLY: &str =
    "provisiond sent an invalid reply: check that it and the module have the same version";
