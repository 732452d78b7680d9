//! A login's two calls. They judge through [`crate::policy`].

use std::hint::black_box;
use std::sync::Arc;

use common::config::{Policy, Settings};
use common::enckey::CannotOpen;
use common::limits::Limits;
use common::protocol::{Ask, Challenge, ChallengeReply, Error, Verdict, Verify, VerifyReply};
use common::secret::{Answer, Key};
use common::user::UserName;

use crate::audit::Line;
use crate::bound::{UID_CHANGED, is_anothers};
use crate::clock;
use crate::clock::mark::Doubted;
use crate::codes::{Finding, Purpose};
use crate::conversation::{Conversation, new_name};
use crate::decoy;
use crate::exemption::{Told, is_only_observed};
use crate::policy::{self, Circumstances, Judged};
use crate::quota::Allowance;
use crate::record::{Damaged, Record};
use crate::records::{Access, Decision, Failure};
use crate::rules::Demand;
use crate::service::{Call, Service};
use crate::skew::{self, Missed};
use crate::source::Source;
use crate::spare;

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
        let outcome = self.judge_durably(call, answer.as_ref(), refund, &settings, &now);
        let Outcome { judged, reason, ask, missed, emptied } = match outcome {
            Ok(outcome) => outcome,
            Err(Failure::Unavailable) => {
                self.log_refusal(call, attempt_line(call, attempt, "unavailable", None, Some("store")));
                return Err(Error::StoreUnavailable);
            }
            Err(Failure::Busy) => Outcome::without_record(Verdict::Busy, None),
            Err(Failure::Unknown) => Outcome::without_record(Verdict::Refused, Some("store_too_slow")),
            Err(Failure::Damaged(damaged)) => Outcome::without_record(Verdict::Refused, Some(damage(&damaged))),
        };
        if judged.verdict == Verdict::Accepted {
            self.log_left_out(call, self.refusals.settle(call.user));
        }
        match judged.verdict {
            Verdict::Accepted => self.typos.settle(&conversation),
            _ if judged.charged > 0 => self.typos.add(&conversation, judged.charged),
            Verdict::Rejected | Verdict::NotEnrolled | Verdict::Disabled => self.was_wrong_for_free(call),
            _ => {}
        }
        let (rhost, _) = call.caller.believed(attempt.rhost.as_deref(), attempt.tty.as_deref());
        self.count_for_the_source(&now, rhost, judged.verdict, &settings.limits);
        self.log_finding(call, judged.finding, &attempt.service);
        self.log_disabled(call, &judged.disabled);
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
            self.begin_grace(call, attempt);
        }
        self.measure_skew(call, missed, answer, &settings, now.moment.now);
        let recovery_codes_left = match judged.finding {
            Some(Finding::RecoveryCode(left)) if call.caller.peer.is_root() => Some(left),
            _ => None,
        };
        let bare = VerifyReply::bare(judged.verdict, ask);
        Ok(VerifyReply { retry_after: judged.retry_after, device, recovery_codes_left, ..bare })
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

    /// Judges by the user's record, or, where there is no device for this login, by a decoy: the same work, the same charge, and
    /// never a success.
    fn judge_durably(
        &self,
        call: &Call<'_>,
        answer: Option<&Answer>,
        refund: u32,
        settings: &Settings,
        now: &Circumstances<'_>,
    ) -> Result<Outcome, Failure> {
        let access = call.access(settings);
        let usable = |record: &&Record| record.has_usable(now.moment.now, now.service);
        let by_record = self.records.change(access, |record| match record.filter(usable) {
            // Nothing of the record counts, spare codes neither.
            _ if record.is_some_and(|record| is_anothers(record, call, settings)) => {
                Decision { next: None, outcome: Err(((Verdict::Refused, Some(UID_CHANGED)), None)) }
            }
            Some(record) => {
                let decision = Outcome::of(record, call.user, answer, refund, settings, now);
                Decision { next: decision.next, outcome: Ok(decision.outcome) }
            }
            None => {
                let Decision { next, outcome } = spare::judge_alone(record, call.user, answer, refund, settings, now);
                let outcome = match outcome {
                    Some(judged) if judged.verdict == Verdict::Accepted => {
                        Ok(Outcome { judged, reason: None, ask: Ask::OneCode, missed: None, emptied: None })
                    }
                    refused => Err((nobody(record, call, now), refused)),
                };
                Decision { next, outcome }
            }
        })?;
        let (nobody, alone) = match by_record {
            Ok(outcome) => return Ok(outcome),
            Err(refused) => refused,
        };
        let outcome = self.judge_by_decoy(call, nobody, answer, alone.is_some(), settings, now)?;
        let finding = alone.and_then(|judged| judged.finding);
        let reason = finding.and_then(spare::reason).or(outcome.reason);
        Ok(Outcome { judged: Judged { finding, ..outcome.judged }, reason, ..outcome })
    }

    /// `wrong`: the answer has been judged already, so it has only to be counted.
    fn judge_by_decoy(
        &self,
        call: &Call<'_>,
        (verdict, reason): Nobody,
        answer: Option<&Answer>,
        wrong: bool,
        settings: &Settings,
        now: &Circumstances<'_>,
    ) -> Result<Outcome, Failure> {
        let Some(name) = decoy::name_for(call.user, &settings.secrets) else {
            return Ok(Outcome::without_record(verdict, reason));
        };
        let access = Access { user: &name, ..call.access(settings) };
        // Behind a decoy that is disabled nobody would be judged any more.
        let policy = Policy { strict: false, ..*now.policy };
        let now = &Circumstances { policy: &policy, ..*now };
        let by_decoy = self.records.change(access, |record| {
            let Ok(decoy) = record.cloned().map_or_else(|| decoy::make(&name, settings, &now.moment), Ok) else {
                return Decision { next: None, outcome: Outcome::without_record(verdict, None) };
            };
            let Decision { next, outcome } = match wrong {
                true => Outcome::judged(&decoy, &name, (policy::spare::wrong(decoy.clone(), now), None), now),
                false => Outcome::of(&decoy, &name, answer, 0, settings, now),
            };
            Decision { next, outcome: outcome.of_nobody(verdict, reason) }
        });
        match by_decoy {
            // It was sealed under a secret that is gone: nobody loses anything.
            Err(Failure::Damaged(_)) => Ok(Outcome::without_record(verdict, reason)),
            outcome => outcome,
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

/// The verdict on who has no device for this login, and the reason for the log. Stacks let by who is not enrolled, so nobody
/// is called that whose record may be under another spelling, while the name service does not answer.
fn nobody(record: Option<&Record>, call: &Call<'_>, now: &Circumstances<'_>) -> Nobody {
    match policy::nobody(record) {
        Verdict::NotEnrolled if call.named.is_unknown() => (Verdict::Refused, Some("no_answer_from_name_service")),
        verdict => (verdict, record.and_then(|record| record.why_unusable(now.moment.now, now.service))),
    }
}

/// What is said of who has no device for this login, and the reason for the log.
type Nobody = (Verdict, Option<&'static str>);

/// What became of an attempt.
struct Outcome {
    judged: Judged,
    /// For the log, where the verdict alone does not say it.
    reason: Option<&'static str>,
    /// What to ask for next.
    ask: Ask,
    /// The devices that do not show what was typed.
    missed: Option<Missed>,
    /// The pool whose last guess it took.
    emptied: Option<&'static str>,
}

impl Outcome {
    fn of(
        record: &Record,
        user: &UserName,
        answer: Option<&Answer>,
        refund: u32,
        settings: &Settings,
        now: &Circumstances<'_>,
    ) -> Decision<Self> {
        Self::judged(record, user, judge(record, user, answer, refund, settings, now), now)
    }

    fn judged(
        record: &Record,
        user: &UserName,
        (mut judged, reason): Reasoned,
        now: &Circumstances<'_>,
    ) -> Decision<Self> {
        let next = judged.next.take();
        let ask = policy::ask(next.as_ref().or(Some(record)), now);
        let missed = match judged.verdict {
            Verdict::Rejected => Some(Missed::of(record, user, now)),
            Verdict::TwoCodesNeeded => Some(Missed::of(record, user, now).untold()),
            _ => None,
        };
        let emptied = (judged.charged > 0 && ask != Ask::OneCode).then(|| record.pool_word(now.source, now.moment.now));
        Decision { next, outcome: Self { judged, reason, ask, missed, emptied } }
    }

    fn without_record(verdict: Verdict, reason: Option<&'static str>) -> Self {
        Self { judged: Judged::unlooked(verdict), reason, ask: Ask::OneCode, missed: None, emptied: None }
    }

    /// A decoy's outcome, told as that of a name behind which there is nobody.
    fn of_nobody(self, verdict: Verdict, reason: Option<&'static str>) -> Self {
        let judged = Judged { verdict, device: None, retry_after: None, ..self.judged };
        let missed = self.missed.map(Missed::untold);
        Self { judged, reason, ask: self.ask, missed, emptied: None }
    }
}

/// An attempt, judged, with the reason for the log where the verdict alone does not say it.
pub(crate) type Reasoned = (Judged, Option<&'static str>);

pub(crate) fn judge(
    record: &Record,
    user: &UserName,
    answer: Option<&Answer>,
    refund: u32,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Reasoned {
    if let Some(code) = answer.and_then(Answer::spare) {
        return spare::judge(record, user, (code, Purpose::Login), refund, settings, now);
    }
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    let answer = match policy::admit(record, answer, now) {
        Ok(answer) => answer,
        Err(Verdict::TwoCodesNeeded) => return (unjudged(record, user, answer, settings, now), None),
        Err(verdict) => return (Judged::unlooked(verdict), None),
    };
    let Ok(keys) = usable_keys(record, user, settings, now) else {
        return (Judged::unlooked(Verdict::Refused), Some("key_does_not_open"));
    };
    let mut judged = policy::judge(record, &keys, answer, refund, now);
    reseal(&mut judged, record, &keys, user, settings, now);
    let reason = || policy::doubted(now).unwrap_or(Doubted::Store).word();
    let reason = (judged.verdict == Verdict::Refused).then(reason);
    (judged, reason)
}

/// A single code that is not judged takes as long as one that is: the keys are opened and the code is compared, and what
/// comes of it is thrown away; the record is written as it was.
fn unjudged(
    record: &Record,
    user: &UserName,
    answer: Option<&Answer>,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Judged {
    if let (Ok(keys), Some(answer)) = (usable_keys(record, user, settings, now), answer) {
        drop(black_box(policy::judge(record, &keys, answer, 0, now)));
    }
    Judged { next: Some(record.clone()), ..Judged::unlooked(Verdict::TwoCodesNeeded) }
}

fn usable_keys(
    record: &Record,
    user: &UserName,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Result<Vec<Key>, CannotOpen> {
    record.usable(now.moment.now, now.service).map(|device| device.key(user, &settings.secrets)).collect()
}

/// A key that came from passlib gets our own seal with its first accepted code, in the same commit.
fn reseal(
    judged: &mut Judged,
    record: &Record,
    keys: &[Key],
    user: &UserName,
    settings: &Settings,
    now: &Circumstances<'_>,
) {
    let (Verdict::Accepted, Some(name), Some(next)) = (judged.verdict, &judged.device, &mut judged.next) else {
        return;
    };
    let usable = record.usable(now.moment.now, now.service);
    let key = usable.zip(keys).find(|(device, _)| device.name == *name).map(|(_, key)| key);
    if let (Some(device), Some(key)) = (next.device_mut(name), key) {
        device.reseal(user, key, &settings.secrets);
    }
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

/// Why nothing is judged on a machine that has lost its clock.
pub(crate) const CLOCK_BEFORE_BUILD: &str = "clock_before_build";

/// A line about who was refused before anything was looked at.
pub(crate) fn not_permitted(method: &str, user: Option<&str>, caller: &crate::caller::Peer) -> Line {
    Line::new("not_permitted")
        .with("method", method)
        .with_some("user", user)
        .with("uid", caller.uid)
        .with("pid", caller.pid)
        .warning()
}
