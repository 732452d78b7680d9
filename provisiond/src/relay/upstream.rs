//! The verifiers of a relay, in the order of the settings, and fail-over between them: the first one
//! that answers is asked.

use std::time::{Duration, Instant};

use common::config::Trust;
use common::config::fleet::UpstreamSettings;
use common::wire::protocol::{Error, MethodCall, UpstreamServer};

use super::CannotRelay;
use super::verifier::{Asked, Patience, Verifier};
use crate::audit::Audit;

/// The verifiers.
pub(super) struct Upstream(Vec<Verifier>);

/// Why a call has no reply of a verifier's.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No verifier answered, so that none has judged anything.
    Unreached,
    /// The same, and the network leads to none of them: no connection was made, none was refused by a
    /// verifier, and none is being waited for.
    CutOff,
    /// The call was sent, and no reply came: it may have been judged.
    NoReply,
    /// A verifier has answered with an error.
    Refused(Error),
}

impl Unanswered {
    /// The error for the caller.
    pub(super) fn told(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Unreached | Self::CutOff | Self::NoReply => Error::StoreUnavailable,
        }
    }

    /// The word of the log in the place of a verdict.
    pub(super) fn verdict(&self) -> &'static str {
        match self {
            Self::Refused(Error::PermissionDenied) => "refused",
            _ => "unavailable",
        }
    }

    /// The reason in the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreached | Self::CutOff => "no_verifier",
            Self::NoReply => "no_reply",
            Self::Refused(_) => "refused_by_verifier",
        }
    }
}

impl Upstream {
    /// Begins to connect. Each verifier has a thread that connects, because a login must not wait
    /// for a resolver longer than its deadline.
    pub(super) fn start(
        settings: &UpstreamSettings,
        trust: &Trust,
        audit: &Audit,
    ) -> Result<Self, CannotRelay> {
        let verifiers = settings.servers.iter().map(|server| {
            let tls = (settings.tls.clone(), trust.clone());
            Verifier::start(server.clone(), tls, audit.clone())
        });
        verifiers.collect::<Result<_, _>>().map(Self)
    }

    /// Puts a question to one verifier after the other, until one answers. Returns the reply, and
    /// the verifier's address.
    pub(super) fn ask<C: MethodCall>(
        &self,
        question: &C,
        deadline: Instant,
    ) -> Result<(C::Reply, String), Unanswered> {
        self.until_answered(deadline, |verifier, patience| {
            let patience = Patience {
                reply_until: patience.try_until,
                ..patience
            };
            match verifier.call(question, patience) {
                // Nothing has changed by it: the next verifier may be asked the same.
                Asked::Lost | Asked::Replied(Err(Error::StoreUnavailable)) => {
                    Asked::Replied(Err(Error::busy("ask the next one")))
                }
                asked => asked,
            }
        })
    }

    /// Sends an attempt to the first verifier that can be reached, and to no other one after that.
    pub(super) fn attempt<C: MethodCall>(
        &self,
        attempt: &C,
        deadline: Instant,
    ) -> Result<(C::Reply, String), Unanswered> {
        self.until_answered(deadline, |verifier, patience| {
            verifier.call_once(attempt, patience)
        })
    }

    /// Two rounds: first the verifiers that are thought to be up, then those that were found down are
    /// tried anew.
    fn until_answered<R>(
        &self,
        deadline: Instant,
        call: impl Fn(&Verifier, Patience) -> Asked<R>,
    ) -> Result<(R, String), Unanswered> {
        let end = deadline.checked_sub(FOR_THE_REPLY).unwrap_or(deadline);
        let mut is_any_there = false;
        for tries_anew in [false, true] {
            for (number, verifier) in self.0.iter().enumerate() {
                let is_last = tries_anew || number.saturating_add(1) == self.0.len();
                let patience = Patience {
                    try_until: if is_last { end } else { end.min(soon()) },
                    reply_until: end,
                    tries_anew,
                };
                match call(verifier, patience) {
                    Asked::Unreached => {}
                    // One that is busy has judged nothing: it stops, or has too many connections.
                    Asked::Replied(Err(Error::Busy { .. })) => is_any_there = true,
                    Asked::Lost => return Err(Unanswered::NoReply),
                    Asked::Replied(reply) => {
                        let reply = reply.map_err(Unanswered::Refused)?;
                        return Ok((reply, verifier.address()));
                    }
                }
            }
        }
        match !is_any_there && self.0.iter().all(Verifier::is_out_of_reach) {
            true => Err(Unanswered::CutOff),
            false => Err(Unanswered::Unreached),
        }
    }

    /// Whether a verifier has answered when it was last connected to.
    pub(super) fn is_reached(&self) -> bool {
        self.0.iter().any(Verifier::is_up)
    }

    /// The state of each verifier.
    pub(super) fn told(&self) -> Vec<UpstreamServer> {
        self.0.iter().map(Verifier::told).collect()
    }
}

fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(TRY).unwrap_or(now)
}

/// How long one verifier is waited for while there are others.
const TRY: Duration = Duration::from_millis(700);
/// What is left of a call's time for the reply to the local caller.
const FOR_THE_REPLY: Duration = Duration::from_millis(200);
