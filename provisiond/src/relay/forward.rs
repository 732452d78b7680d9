//! The two calls of a login on their way to a verifier. Of what a local caller reports, only what it
//! may be trusted with is passed on; of the reply, only what a relay may know.
//!
//! A question (`Challenge`) changes nothing: it goes to one verifier after the other until one
//! answers. An attempt (`Verify`) that may have reached a verifier is sent to no other one: its
//! code may be spent and its wrong guess charged, and a second verifier would tell the user that
//! the code was used before. The user is told that the code could not be checked, and types the
//! next one.

use std::time::Instant;

use common::answer::Answer;
use common::secret::SecretText;
use common::wire::protocol::{
    Ask, Challenge, ChallengeReply, Error, MethodCall, Verdict, Verify, VerifyReply,
};
use serde::Serialize;

use super::Relay;
use super::alone::Alone;
use super::upstream::{Unanswered, Upstream};
use crate::identity::permission::Permitted;

/// A login of a permitted caller.
pub(super) struct Login<'a> {
    pub(super) relay: &'a Relay,
    pub(super) upstream: &'a Upstream,
    pub(super) permitted: &'a Permitted,
    pub(super) deadline: Instant,
}

impl Login<'_> {
    pub(super) fn challenge(&self, wish: &Challenge) -> Result<ChallengeReply, Error> {
        let question = Question(self.passed_on(&wish.service, (&wish.rhost, &wish.tty), None));
        let asked = self.upstream.ask(&question, self.deadline);
        let alone = self.alone(&asked);
        match asked {
            Ok((reply, _)) => Ok(reply),
            // A name that this host may not ask for gets the prompt that every other one gets.
            Err(Unanswered::Refused(Error::PermissionDenied)) => Ok(told_nothing(Ask::OneCode)),
            Err(_) if alone.is_some() => Ok(told_nothing(Ask::TwoCodes)),
            Err(unanswered) => Err(unanswered.told()),
        }
    }

    pub(super) fn verify(&self, wish: &Verify) -> Result<VerifyReply, Error> {
        let source = (&wish.rhost, &wish.tty);
        let attempt = Attempt(self.passed_on(&wish.service, source, Some(&wish.codes)));
        let user = self.permitted.named.said();
        let asked = match &self.relay.alone {
            Some(alone) => alone.reports_before(user, self.deadline),
            None => Ok(()),
        }
        .and_then(|()| self.upstream.attempt(&attempt, self.deadline));
        let answer = Answer::parse(&wish.codes);
        if let Some(alone) = self.alone(&asked) {
            return self.verify_alone(alone, (&attempt.0, wish), answer.as_ref());
        }
        if let Some(alone) = &self.relay.alone {
            match &asked {
                Ok((reply, _)) if reply.verdict == Verdict::Accepted => {
                    alone.has_used(user, answer.as_ref());
                    alone.wants_copy(user, &wish.service);
                }
                _ => alone.doubts(user),
            }
        }
        let outcome = match &asked {
            Ok((reply, server)) => (reply.verdict.word(), None, Some(server.as_str())),
            Err(unanswered) => (unanswered.verdict(), Some(unanswered.reason()), None),
        };
        let is_written = self.relay.log_attempt(self.permitted, &attempt.0, outcome);
        match asked {
            Ok((reply, _)) => Ok(self.told(reply, is_written)),
            Err(Unanswered::Refused(Error::PermissionDenied)) => {
                Ok(VerifyReply::bare(Verdict::Rejected, Ask::OneCode))
            }
            // The attempt may have been judged: no other try would be one of the same code.
            Err(Unanswered::NoReply) => Ok(VerifyReply::bare(Verdict::Busy, Ask::OneCode)),
            Err(unanswered) => Err(unanswered.told()),
        }
    }

    /// What judges while no verifier can be reached, if that is so and the settings want it. The log
    /// is told when such a time begins and ends.
    fn alone<R>(&self, asked: &Result<R, Unanswered>) -> Option<&Alone> {
        let alone = self.relay.alone.as_deref()?;
        match asked {
            Err(Unanswered::CutOff) if alone.takes_two_codes() => {
                alone.begins();
                Some(alone)
            }
            Ok(_) | Err(Unanswered::Refused(_)) => {
                alone.ends();
                None
            }
            Err(_) => None,
        }
    }

    /// Judges an attempt that no verifier can have seen.
    fn verify_alone(
        &self,
        alone: &Alone,
        (attempt, wish): (&PassedOn<'_>, &Verify),
        answer: Option<&Answer>,
    ) -> Result<VerifyReply, Error> {
        let judged = alone.verify(self.permitted.named.said(), answer, &wish.service);
        let (verdict, reason) = match &judged {
            Ok((verdict, reason)) => (verdict.word(), *reason),
            Err(_) => ("unavailable", Some("record_not_written")),
        };
        let is_written = self
            .relay
            .log_alone(self.permitted, attempt, (verdict, reason));
        let (verdict, _) = judged?;
        Ok(self.told(VerifyReply::bare(verdict, Ask::TwoCodes), is_written))
    }

    /// The reply as the local caller gets it: never with a key, and no login without its line in the
    /// log where the settings require one.
    fn told(&self, reply: VerifyReply, is_written: bool) -> VerifyReply {
        let lets_in = matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt);
        if lets_in && !is_written {
            return VerifyReply::bare(Verdict::Refused, reply.ask);
        }
        VerifyReply {
            enrolment: None,
            ..reply
        }
    }

    fn passed_on<'a>(
        &'a self,
        service: &'a str,
        (rhost, tty): (&'a Option<String>, &'a Option<String>),
        codes: Option<&'a [SecretText]>,
    ) -> PassedOn<'a> {
        let caller = &self.permitted.caller;
        let (rhost, tty) = caller.trusted_origin(rhost.as_deref(), tty.as_deref());
        PassedOn {
            user: self.permitted.named.said().as_str(),
            codes,
            service,
            rhost,
            tty,
        }
    }
}

/// What to ask for, and nothing of the user.
fn told_nothing(ask: Ask) -> ChallengeReply {
    ChallengeReply {
        ask,
        enrolled: None,
        digits: None,
        quarantine: None,
    }
}

/// What a verifier is told of a login: parameters of `Challenge`, and of `Verify`. The options of the
/// service file stay here, because a verifier takes them from processes of its own machine only.
#[derive(Serialize)]
pub(super) struct PassedOn<'a> {
    pub(super) user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<&'a [SecretText]>,
    pub(super) service: &'a str,
    pub(super) rhost: Option<&'a str>,
    pub(super) tty: Option<&'a str>,
}

/// A `Challenge` that is passed on.
#[derive(Serialize)]
struct Question<'a>(PassedOn<'a>);

impl MethodCall for Question<'_> {
    const METHOD: &'static str = Challenge::METHOD;
    type Reply = ChallengeReply;
}

/// A `Verify` that is passed on.
#[derive(Serialize)]
struct Attempt<'a>(PassedOn<'a>);

impl MethodCall for Attempt<'_> {
    const METHOD: &'static str = Verify::METHOD;
    type Reply = VerifyReply;
}
