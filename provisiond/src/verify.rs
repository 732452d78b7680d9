//! A login's two calls. They judge through [`crate::policy`].

use std::sync::Arc;

use common::answer::Answer;
use common::config::Settings;
use common::limits::Limits;
use common::protocol::{Ask, Challenge, ChallengeReply, Error, Verdict, Verify, VerifyReply};
use common::user::UserName;

use crate::audit::Line;
use crate::codes::Finding;
use crate::conversation::{Conversation, new_name};
use crate::decoy;
use crate::exemption::{Told, is_only_observed};
use crate::judging::Outcome;
use crate::policy::{self, Circumstances, Judged};
use crate::quota::Allowance;
use crate::record::{Damaged, Record};
use crate::records::Failure;
use crate::rules::Demand;
use crate::service::{Call, Service};
use crate::skew::{self, Missed};
use crate::source::Source;

impl Service {
    /// `Challenge`: what to ask for.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`]. A damaged record is asked for a code like any other.
    pub fn challenge(&self, call: &Call<'_>, about: &Challenge) -> Result<ChallengeReply, Error> {
        let settings = self.settings();
        let record = match self.records.look(call.user, &settings.secrets) {
            Ok(record) => record,
            Err(Failure::Damaged(_)) => return Ok(asked(call, Ask::OneCode, true, Vec::new(), &settings)),
            Err(failure) => return Err(self.failure(&failure, call)),
        };
        let now = self.circumstances(call, about.into(), &settings);
        let demand = self.demand(call, about.into(), record.as_ref(), &settings);
        // Nothing is let by on the word of a name service that did not answer: the record may be under another spelling.
        let enrolled = call.named.is_unknown() || record.as_ref().is_some_and(Record::is_somebodys);
        let usable = record.filter(|record| record.has_usable(now.moment.now, now.service));
        let judged_by = usable.or_else(|| self.decoy_of(call.user, &settings));
        let ask = if demand == Demand::Code { policy::ask(judged_by.as_ref(), &now) } else { Ask::Nothing };
        let digits = judged_by.map(|record| record.lengths_of_codes(now.moment.now, now.service)).unwrap_or_default();
        Ok(asked(call, ask, enrolled, digits, &settings))
    }

    /// The decoy that stands for a name, if it was ever guessed at.
    fn decoy_of(&self, user: &UserName, settings: &Settings) -> Option<Record> {
        let name = decoy::name_for(user, &settings.secrets)?;
        self.records.look(&name, &settings.secrets).ok().flatten()
    }

    /// `Verify`: the attempt. When this returns, what it spent or charged is durable.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`].
    pub fn verify(&self, call: &Call<'_>, attempt: &Verify) -> Result<VerifyReply, Error> {
        let settings = self.settings();
        if attempt.codes.is_empty()
            && let Some(reply) = self.exempted(call, attempt, &settings)
        {
            return Ok(reply);
        }
        let now = self.circumstances(call, attempt.into(), &settings);
        let answer = Answer::parse(&attempt.codes);
        let conversation = conversation(call, attempt);
        let refund = self.typos.refund(&conversation);
        if answer.as_ref().is_some_and(is_free) && self.may_try(call).is_err() {
            self.log_refusal(
                call,
                attempt_line(call, attempt, Verdict::Busy.word(), None, Some("too_many_wrong_pairs")),
            );
            return Ok(VerifyReply::bare(Verdict::Busy, Ask::TwoCodes));
        }
        let ends = self.graces.ends(call.user);
        let outcome = self.judge_durably(call, answer.as_ref(), refund, &settings, &now);
        let Outcome { judged, reason, ask, missed, emptied } = match outcome {
            Ok(outcome) => outcome,
            Err(Failure::Unavailable) => {
                self.log_refusal(call, attempt_line(call, attempt, "unavailable", None, Some("store")));
                return Err(Error::StoreUnavailable);
            }
            Err(Failure::Busy) => Outcome::without_record(Verdict::Busy, None),
            Err(Failure::Unknown) => {
                // It may have disabled a device, where the settings are strict.
                self.graces.end(call.user);
                Outcome::without_record(Verdict::Refused, Some("store_too_slow"))
            }
            Err(Failure::Damaged(damaged)) => Outcome::without_record(Verdict::Refused, Some(damage(&damaged))),
        };
        self.keep_account(call, attempt, &conversation, &judged, &now, &settings.limits);
        let device = judged.device.map(|device| device.to_string());
        if is_only_observed(judged.verdict, reason, &settings) {
            let reply = self.observed(call, attempt, judged.verdict, reason);
            self.measure_skew(call, missed, answer, &settings, now.moment.now);
            return Ok(reply);
        }
        let line = attempt_line(call, attempt, judged.verdict.word(), device.as_deref(), reason);
        if judged.verdict != Verdict::Accepted {
            self.log_refusal(call, line);
            self.log_emptied(call, attempt, emptied);
        } else if self.log_before(call, line).is_err() {
            // The code is spent. Who gets in without a line is what the settings rule out.
            self.log(
                call,
                attempt_line(call, attempt, Verdict::Refused.word(), device.as_deref(), Some("log_is_stuck")),
            );
            return Ok(VerifyReply::bare(Verdict::Refused, ask));
        }
        // A bypass opens as many logins as it was given for, and lets nobody in after them.
        if judged.verdict == Verdict::Accepted && !matches!(judged.finding, Some(Finding::Bypass(_))) {
            self.begin_grace(call, attempt, ends);
        }
        self.measure_skew(call, missed, answer, &settings, now.moment.now);
        let recovery_codes_left = match judged.finding {
            Some(Finding::RecoveryCode(left)) if call.caller.peer.is_root() => Some(left),
            _ => None,
        };
        let bare = VerifyReply::bare(judged.verdict, ask);
        Ok(VerifyReply { retry_after: judged.retry_after, device, recovery_codes_left, ..bare })
    }

    /// What an attempt leaves behind besides its record: typos that may be given back, what its source is up to, patience.
    fn keep_account(
        &self,
        call: &Call<'_>,
        attempt: &Verify,
        conversation: &Conversation,
        judged: &Judged,
        now: &Circumstances<'_>,
        limits: &Limits,
    ) {
        if judged.verdict == Verdict::Accepted {
            self.log_left_out(call, self.refusals.settle(call.user));
        }
        match judged.verdict {
            Verdict::Accepted => self.typos.settle(conversation),
            _ if judged.charged > 0 => self.typos.add(conversation, judged.charged),
            Verdict::Rejected | Verdict::NotEnrolled | Verdict::Disabled => self.was_wrong_for_free(call),
            _ => {}
        }
        let (rhost, _) = call.caller.believed(attempt.rhost.as_deref(), attempt.tty.as_deref());
        self.count_for_the_source(now, rhost, judged.verdict, limits);
        self.log_finding(call, judged.finding, &attempt.service);
        self.log_disabled(call, &judged.disabled);
    }

    /// Writes the line of a refused attempt. Of somebody who is refused all the time only some are told, and how many there
    /// were.
    fn log_refusal(&self, call: &Call<'_>, line: Line) {
        let allowance = self.refusals.count(call.user.clone());
        if let Allowance::Write { left_out } = allowance {
            self.log_left_out(call, left_out);
            self.log(call, line);
        }
    }

    fn log_left_out(&self, call: &Call<'_>, lines: u32) {
        if lines > 0 {
            self.log(call, call.line("lines_left_out").with("lines", lines).warning());
        }
    }

    /// Tells once that a pool of guesses is used up.
    fn log_emptied(&self, call: &Call<'_>, attempt: &Verify, pool: Option<&'static str>) {
        if let Some(pool) = pool {
            let (source, _) = call.caller.believed(attempt.rhost.as_deref(), None);
            self.log(
                call,
                call.line("budget_empty")
                    .with("pool", pool)
                    .with_some("source", source.filter(|source| !source.is_empty()))
                    .warning(),
            );
        }
    }

    /// Lets it be found out whether the answer was right for another time, when everything else is done.
    fn measure_skew(
        &self,
        call: &Call<'_>,
        missed: Option<Missed>,
        answer: Option<Answer>,
        settings: &Arc<Settings>,
        now: u64,
    ) {
        if let (Some(missed), Some(answer)) = (missed, answer) {
            let (settings, line) = (Arc::clone(settings), self.signed(call, call.line("skew")));
            self.skews.measure(skew::Attempt { missed, answer, settings, now, line });
        }
    }

    fn circumstances<'a>(&self, call: &Call<'_>, told: Told<'a>, settings: &'a Settings) -> Circumstances<'a> {
        let service = told.service;
        let (rhost, tty) = call.caller.believed(told.rhost, told.tty);
        let source = Source::told(rhost, tty);
        let suspect = !trusted(rhost, &settings.limits) && self.sprays.are_from(source, settings.limits.per_source);
        let mut moment = self.moment();
        // A clock that is no measure of the device's teaches nothing of it.
        moment.synchronised &= !told.keeps_drift(call.caller);
        Circumstances { policy: &settings.policy, moment, source, service, suspect }
    }

    /// A wrong code counts for where it came from, also if there is no account that it could cost anything.
    fn count_for_the_source(&self, now: &Circumstances<'_>, rhost: Option<&str>, verdict: Verdict, limits: &Limits) {
        let wrong =
            matches!(verdict, Verdict::Rejected | Verdict::Malformed | Verdict::NotEnrolled | Verdict::Disabled);
        if wrong && !trusted(rhost, limits) && self.sprays.count(now.source, limits.per_source) {
            let line = Line::new("spray").with_some("source", rhost).with("wrong_codes", limits.per_source);
            self.audit.write(line.warning());
        }
    }
}

/// Root's processes are told what others could learn from: who is enrolled, and how long their codes are. Of who has no
/// device, as long as a new device's.
fn asked(call: &Call<'_>, ask: Ask, enrolled: bool, mut digits: Vec<u8>, settings: &Settings) -> ChallengeReply {
    let root = call.caller.peer.is_root();
    if digits.is_empty() {
        digits.push(settings.new_device.parameters.digits);
    }
    ChallengeReply { ask, conversation: new_name(), enrolled: root.then_some(enrolled), digits: root.then_some(digits) }
}

/// Whether being wrong costs the account nothing.
fn is_free(answer: &Answer) -> bool {
    answer.is_several() || answer.spare().is_some()
}

/// Whether the wrong codes from there are not counted.
fn trusted(rhost: Option<&str>, limits: &Limits) -> bool {
    rhost.and_then(|rhost| rhost.parse().ok()).is_some_and(|address| limits.trust(address))
}

fn damage(damaged: &Damaged) -> &'static str {
    match damaged {
        Damaged::Altered => "record_altered",
        Damaged::NoSecret(_) => "no_application_secret",
        Damaged::Version(_) => "unknown_record_version",
    }
}

fn conversation(call: &Call<'_>, attempt: &Verify) -> Conversation {
    let (name, peer) = (attempt.conversation.clone().unwrap_or_default(), call.caller.peer);
    Conversation { name, user: call.user.clone(), uid: peer.uid, pid: peer.pid }
}

/// The line about an attempt.
pub(crate) fn attempt_line(
    call: &Call<'_>,
    attempt: &Verify,
    verdict: &str,
    device: Option<&str>,
    reason: Option<&str>,
) -> Line {
    let (rhost, tty) = call.caller.believed(attempt.rhost.as_deref(), attempt.tty.as_deref());
    let line = call
        .line("verify")
        .with("service", &attempt.service)
        .with_some("source", rhost.filter(|rhost| !rhost.is_empty()))
        .with_some("tty", tty.filter(|tty| !tty.is_empty()))
        .with("verdict", verdict)
        .with_some("device", device)
        .with_some("reason", reason);
    let as_it_should_be = [Verdict::Accepted, Verdict::Exempt].map(Verdict::word).contains(&verdict);
    if as_it_should_be { line } else { line.warning() }
}

/// A line about who was refused before anything was looked at.
pub(crate) fn not_permitted(method: &str, user: Option<&str>, caller: &crate::caller::Peer) -> Line {
    Line::new("not_permitted")
        .with("method", method)
        .with_some("user", user)
        .with("uid", caller.uid)
        .with("pid", caller.pid)
        .warning()
}
