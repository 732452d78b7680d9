//! Judges a login attempt: chooses the record (the user's or a decoy's), lets [`crate::policy`]
//! judge, and stores the next record durably before any reply.

use common::answer::Answer;
use common::config::Policy;
use common::wire::protocol::{Ask, Error, Verdict};

use super::decoy;
use super::first_login::{self, Offer};
use super::outcome::{AttemptOutcome, is_free};
use super::reported::Trusted;
use super::{Looked, LookedDecoy};
use crate::in_memory::free_attempts::Attempt;
use crate::in_memory::grace::Ends;
use crate::policy::attempt::{self, Case};
use crate::policy::{self, Circumstances, Judged, issued};
use crate::record::budget::Pool;
use crate::record::{Damaged, Record};
use crate::records::{Decision, Failure};
use crate::service::Service;
use crate::service::call::{Call, STORE_INCOMPLETE};
use crate::service::renamed;
use crate::service::uid_binding::{bind_unbound, why_not_its_own};

/// Judges the answer. When this returns, what it spent or charged is durable. An accepted code
/// refunds the recent wrong codes of the user from the same source. What a wrong code costs is
/// remembered for that.
///
/// # Errors
/// [`Error::StoreUnavailable`].
pub(super) fn durably<'s>(
    service: &'s Service,
    login: &Trusted<'_>,
    (answer, offer): (Option<&Answer>, &Offer),
    looked: Looked,
) -> Result<Judgement<'s>, Error> {
    let call = login.call;
    let before = Some(service.graces.ends(call.user));
    let free = answer.filter(|answer| is_free(answer));
    let Ok(attempt) = free.map(|_| service.may_try(call)).transpose() else {
        let mut outcome = AttemptOutcome::unjudged(Verdict::Busy, Some("caller_limited"));
        outcome.told.ask = Ask::TwoCodes;
        return Ok(Judgement {
            outcome,
            before,
            attempt: None,
        });
    };
    let (source, tick) = (login.source, call.moment.tick);
    let charges = service.refunds.take(call.user, source, tick);
    let now = login.circumstances(service);
    let case = Case {
        user: call.user,
        answer,
        refund: charges.units(),
        settings: &call.settings,
        now: &now,
    };
    let outcome = by_records(service, login, (&case, offer), looked)
        .or_else(|failure| unjudged(service, login, failure))?;
    if outcome.told.verdict != Verdict::Accepted {
        service.refunds.put_back(
            call.user,
            source,
            charges.and(outcome.counted.charged.known, tick),
        );
    }
    if let Some(fingerprint) = outcome.counted.fingerprint {
        service.repeats.remember(fingerprint);
    }
    Ok(Judgement {
        outcome,
        before,
        attempt,
    })
}

/// Judges a code that comes although none is demanded. A right one is spent; any other costs and
/// changes nothing. `None`: it is no code of a device, spent or not, or it is not judged: an issued
/// code would be used up for nothing, and a caller that is not root may guess only so often. A
/// `known` answer was accepted before, and is no guess.
pub(super) fn unneeded(
    service: &Service,
    login: &Trusted<'_>,
    answer: &Answer,
    known: bool,
) -> Option<Judgement<'static>> {
    let call = login.call;
    if answer.issued().is_some() {
        return None;
    }
    let guess = service.may_try(call).ok()?;
    let now = &Circumstances {
        suspect: false,
        ..login.circumstances(service)
    };
    let case = &Case {
        user: call.user,
        answer: Some(answer),
        refund: 0,
        settings: &call.settings,
        now,
    };
    let is_usable = |record: &&Record| {
        record.has_usable(now.moment.now, now.service)
            && barred(service, Some(record), call).is_none()
    };
    let decide = |record: Option<&Record>| {
        let Some(record) = record.filter(is_usable) else {
            return Decision {
                next: None,
                outcome: None,
            };
        };
        // It costs no guess, so it is judged while none is left, too.
        let judged = attempt::judge(&with_all_guesses(record, now), case, false);
        let Decision { next, outcome } = AttemptOutcome::judged(record, judged, case);
        let next = next.filter(|_| outcome.told.verdict == Verdict::Accepted);
        Decision {
            next: next.map(|next| spent_alone(record, next)),
            outcome: Some(outcome),
        }
    };
    let outcome = service.records.change(call.access(), decide).ok()??;
    let is_code = matches!(
        outcome.told.verdict,
        Verdict::Accepted | Verdict::AlreadyUsed
    );
    if !is_code && !known {
        guess.was_wrong();
    }
    is_code.then_some(Judgement {
        outcome,
        before: None,
        attempt: None,
    })
}

/// The record with the step of a right code spent, and nothing else that an accepted login brings:
/// wrong codes cost nothing here, so that a right one may be a guess.
fn spent_alone(record: &Record, next: Record) -> Record {
    let mut spent = Record {
        known: record.known,
        unknown: record.unknown,
        sources: record.sources.clone(),
        ..next
    };
    for (device, before) in spent.devices.iter_mut().zip(&record.devices) {
        device.failures = before.failures;
    }
    spent
}

/// The record as if no code had been guessed at. Wrong pairs still count.
fn with_all_guesses(record: &Record, now: &Circumstances<'_>) -> Record {
    let refilled = |pool: Pool| Pool {
        budget: Pool::full(&now.moment).budget,
        ..pool
    };
    Record {
        known: refilled(record.known),
        unknown: refilled(record.unknown),
        ..record.clone()
    }
}

/// An outcome, how often graces had ended before the attempt was judged, and the free attempt that
/// it took.
pub(super) struct Judgement<'s> {
    pub(super) outcome: AttemptOutcome,
    /// `None`: the attempt begins no grace.
    pub(super) before: Option<Ends>,
    pub(super) attempt: Option<Attempt<'s>>,
}

/// Judges by the user's record. A user without a usable device for this login is judged by a decoy:
/// the same work, the same charge, and never a success. Where users enrol at this prompt, what a
/// never enrolled user can enrol by comes first.
fn by_records(
    service: &Service,
    login: &Trusted<'_>,
    (case, offer): (&Case<'_>, &Offer),
    Looked { own, decoy }: Looked,
) -> Result<AttemptOutcome, Failure> {
    let judged = |record: Option<&Record>| by_record(service, record, login, case, offer);
    let records = &service.records;
    let outcome = records.change_found(login.call.access(), own.ok(), judged)?;
    match outcome {
        ByRecord::Judged(outcome) => Ok(*outcome),
        ByRecord::NoDevice(no_device) => by_decoy((service, login.call), *no_device, case, decoy),
    }
}

/// What the user's record says.
enum ByRecord {
    Judged(Box<AttemptOutcome>),
    NoDevice(Box<NoDevice>),
}

/// A user without a usable device for this login.
struct NoDevice {
    verdict: Verdict,
    reason: Option<&'static str>,
    /// The issued code that the record has judged already, and not accepted.
    issued: Option<Judged>,
    /// What the user is asked for next, if users enrol at this prompt.
    ask: Option<Ask>,
}

impl NoDevice {
    /// The user is refused, whatever the user typed.
    fn refused(reason: &'static str) -> Self {
        Self {
            verdict: Verdict::Refused,
            reason: Some(reason),
            issued: None,
            ask: None,
        }
    }

    /// `nullok` stacks let in a `not_enrolled` user. A user who may be enrolled all the same is
    /// `refused` instead.
    fn of(record: Option<&Record>, call: &Call<'_>, now: &Circumstances<'_>) -> Self {
        let verdict = policy::unenrolled(record);
        if let Some(reason) = call.may_be_enrolled(record) {
            return Self::refused(reason);
        }
        let reason = record.and_then(|record| record.why_unusable(now.moment.now, now.service));
        Self {
            verdict,
            reason,
            issued: None,
            ask: None,
        }
    }
}

fn by_record(
    service: &Service,
    record: Option<&Record>,
    login: &Trusted<'_>,
    case: &Case<'_>,
    offer: &Offer,
) -> Decision<ByRecord> {
    let (call, now, repeats) = (login.call, case.now, &service.repeats);
    if let Some(reason) = barred(service, record, call) {
        return Decision {
            next: None,
            outcome: ByRecord::NoDevice(Box::new(NoDevice::refused(reason))),
        };
    }
    if let Some(record) = record.filter(|record| record.has_usable(now.moment.now, now.service)) {
        let Decision { mut next, outcome } = AttemptOutcome::of(record, case, (repeats, call.user));
        if outcome.told.verdict == Verdict::Accepted
            && let Some(next) = &mut next
        {
            bind_unbound(next, call);
        }
        return judged(Decision { next, outcome });
    }
    let may_enrol = call.may_be_enrolled(record).is_none();
    if may_enrol && let Some(decision) = first_login::judge(record, login, case, (repeats, offer)) {
        return judged(decision);
    }
    let mut alone = issued::judge_alone(record, case);
    if let Some(accepted) = alone.take_if(|judged| judged.verdict == Verdict::Accepted) {
        return judged(AttemptOutcome::accepted_alone(accepted));
    }
    let next = alone.as_mut().and_then(|judged| judged.next.take());
    let ask = record
        .filter(|_| may_enrol && offer.is_open())
        .and_then(|record| first_login::ask(record, now));
    let no_device = NoDevice {
        issued: alone,
        ask,
        ..NoDevice::of(record, call, now)
    };
    Decision {
        next,
        outcome: ByRecord::NoDevice(Box::new(no_device)),
    }
}

/// The reason why neither devices nor issued codes are looked at: the record belongs to another
/// account, or the account's record stands under its former name.
pub(super) fn barred(
    service: &Service,
    record: Option<&Record>,
    call: &Call<'_>,
) -> Option<&'static str> {
    record
        .and_then(|record| why_not_its_own(record, call))
        .or_else(|| renamed::reason(&service.former_name(record, call)))
}

fn judged(Decision { next, outcome }: Decision<AttemptOutcome>) -> Decision<ByRecord> {
    Decision {
        next,
        outcome: ByRecord::Judged(Box::new(outcome)),
    }
}

/// Judges by the decoy of the name. An issued code has been judged already: the decoy only charges
/// it.
fn by_decoy(
    (service, call): (&Service, &Call<'_>),
    no_device: NoDevice,
    case: &Case<'_>,
    looked: Option<LookedDecoy>,
) -> Result<AttemptOutcome, Failure> {
    let NoDevice {
        verdict,
        reason,
        issued,
        ask,
    } = no_device;
    let without_record = || AttemptOutcome::without_record(verdict, reason);
    let Some((name, found)) = looked else {
        return Ok(without_record());
    };
    // Under `strict` the decoy would be disabled after many wrong codes, and then judge no more.
    let policy = Policy {
        strict: false,
        ..*case.now.policy
    };
    let now = &Circumstances {
        policy: &policy,
        ..*case.now
    };
    // A decoy gets no refund: none of its codes is ever accepted.
    let case = &Case {
        user: &name,
        refund: 0,
        now,
        ..*case
    };
    let access = call.access_to(&name);
    let outcome = service.records.change_found(access, found.ok(), |record| {
        let decoy = match record {
            Some(decoy) => Ok(decoy.clone()),
            None => decoy::make(&name, case.settings, &now.moment),
        };
        let Ok(decoy) = decoy else {
            return Decision {
                next: None,
                outcome: without_record(),
            };
        };
        let Decision { next, outcome } = match issued {
            Some(_) => {
                AttemptOutcome::judged(&decoy, (issued::wrong(decoy.clone(), now), None), case)
            }
            None => AttemptOutcome::of(&decoy, case, (&service.repeats, call.user)),
        };
        Decision {
            next,
            outcome: outcome.of_unenrolled(verdict, reason),
        }
    });
    let mut outcome = match outcome {
        // The decoy was sealed under a secret that is gone. No user is affected.
        Err(Failure::Damaged(_)) => without_record(),
        outcome => outcome?,
    };
    let finding = issued.and_then(|judged| judged.finding);
    outcome.counted.finding = finding;
    outcome.counted.reason = finding.and_then(issued::reason).or(outcome.counted.reason);
    outcome.told.ask = ask.unwrap_or(outcome.told.ask);
    Ok(outcome)
}

/// The outcome of an attempt that could not be judged, because of the store or because too many
/// others wait.
fn unjudged(
    service: &Service,
    login: &Trusted<'_>,
    failure: Failure,
) -> Result<AttemptOutcome, Error> {
    Ok(match failure {
        Failure::Busy => AttemptOutcome::unjudged(Verdict::Busy, None),
        Failure::Damaged(damaged) => {
            AttemptOutcome::unjudged(Verdict::Refused, Some(damage(&damaged)))
        }
        Failure::WrongSecret => AttemptOutcome::unjudged(Verdict::Refused, Some("wrong_secret")),
        Failure::Incomplete => AttemptOutcome::unjudged(Verdict::Refused, Some(STORE_INCOMPLETE)),
        Failure::Unknown => {
            // The commit may be durable: it may have disabled a device.
            service.graces.end(login.call.user);
            AttemptOutcome::unjudged(Verdict::Busy, Some("store_too_slow"))
        }
        Failure::Unavailable => return Err(unavailable(service, login, "store_unavailable")),
        Failure::CannotWrite(_) => return Err(unavailable(service, login, "record_not_written")),
    })
}

fn unavailable(service: &Service, login: &Trusted<'_>, reason: &'static str) -> Error {
    super::effects::unavailable(service, login, reason);
    Error::StoreUnavailable
}

fn damage(damaged: &Damaged) -> &'static str {
    match damaged {
        Damaged::Altered => "record_altered",
        Damaged::NoSecret(_) => "no_application_secret",
        Damaged::Version(_) => "unknown_record_version",
    }
}
