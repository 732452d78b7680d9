//! What became of an attempt: what its caller is told, and what it counts for.

use common::answer::Answer;
use common::names::device::DeviceName;
use common::names::user::UserName;
use common::wire::protocol::{Ask, Verdict};

use super::first_login::FirstDevice;
use crate::audit::skew::Missed;
use crate::in_memory::repeats::{Fingerprint, Repeats};
use crate::policy::attempt::{self, Case, REPEATED, Reasoned};
use crate::policy::{self, Judged};
use crate::record::Record;
use crate::record::budget::Units;
use crate::record::codes::Finding;
use crate::records::Decision;

/// An attempt that has been judged, or could not be.
pub(super) struct Outcome {
    pub(super) told: Told,
    pub(super) counted: Counted,
}

/// What the caller is told.
pub(super) struct Told {
    pub(super) verdict: Verdict,
    /// The verdict for callers who are not told which names are unenrolled.
    pub(super) masked: Verdict,
    /// What to ask for next.
    pub(super) ask: Ask,
    pub(super) device: Option<DeviceName>,
    pub(super) retry_after: Option<u64>,
    /// What became of a first device.
    pub(super) first_device: Option<FirstDevice>,
}

/// What it counts for, and what the log says of it.
pub(super) struct Counted {
    /// For the log, where the verdict alone does not say it.
    pub(super) reason: Option<&'static str>,
    /// What an issued code turned out to be.
    pub(super) finding: Option<Finding>,
    /// What a wrong code cost.
    pub(super) charged: Units,
    /// The devices that a wrong answer has disabled.
    pub(super) disabled: Vec<DeviceName>,
    /// The devices that do not show what was typed.
    pub(super) missed: Option<Missed>,
    /// The pool whose last guess it took.
    pub(super) emptied: Option<&'static str>,
    /// What a rejected answer was compared with, to be remembered.
    pub(super) fingerprint: Option<Fingerprint>,
    /// It was wrong before, and is not counted again.
    pub(super) repeated: bool,
    /// How the answer was wrong, as its judge has said: for an unenrolled user a decoy, so that it counts for as much.
    pub(super) wrong: Option<Wrong>,
    /// Whether it was judged; false if the store or a crowd kept it from that.
    pub(super) is_verdict: bool,
}

/// How an answer was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It could not have been right.
    Malformed,
    /// It has cost a guess.
    Charged,
    /// It has cost nothing.
    ForFree,
}

impl Outcome {
    /// Judges the attempt by a record that has a usable device. `repeats` are the wrong answers of late, and `user` is the name
    /// that is asked about, also where a decoy judges.
    pub(super) fn of(record: &Record, case: &Case<'_>, (repeats, user): (&Repeats, &UserName)) -> Decision<Self> {
        let compared = case.answer.map(|answer| policy::compared(record, answer, case.now));
        let fingerprint = compared.and_then(|compared| repeats.fingerprint(user, &compared));
        let repeated = fingerprint.is_some_and(|fingerprint| repeats.know(&fingerprint));
        let mut decision = Self::judged(record, attempt::judge(record, case, repeated), case);
        let is_new = decision.outcome.told.verdict == Verdict::Rejected && !repeated;
        decision.outcome.counted.fingerprint = fingerprint.filter(|_| is_new);
        decision
    }

    /// The outcome of an attempt that the record has judged.
    pub(super) fn judged(record: &Record, (judged, reason): Reasoned, case: &Case<'_>) -> Decision<Self> {
        let &Case { user, now, .. } = case;
        let (mut outcome, next) = Self::plain(judged, reason);
        let Self { told, counted } = &mut outcome;
        told.ask = policy::ask(next.as_ref().or(Some(record)), now);
        counted.missed = match told.verdict {
            Verdict::Rejected => Some(Missed::of(record, user, now)),
            Verdict::TwoCodesNeeded => Some(Missed::of(record, user, now).untold()),
            _ => None,
        };
        let took_the_last = told.ask != Ask::OneCode && policy::ask(Some(record), now) == Ask::OneCode;
        let is_emptied = took_the_last && !counted.charged.are_none();
        counted.emptied = is_emptied.then(|| record.pool_word(now.source, now.moment.now));
        Decision { next, outcome }
    }

    /// An attempt that could not be judged.
    pub(super) fn unjudged(verdict: Verdict, reason: Option<&'static str>) -> Self {
        let mut outcome = Self::without_record(verdict, reason);
        outcome.counted.is_verdict = false;
        outcome
    }

    /// A verdict that no record has given.
    pub(super) fn without_record(verdict: Verdict, reason: Option<&'static str>) -> Self {
        let (mut outcome, _) = Self::plain(Judged::unlooked(verdict), reason);
        outcome.told.masked = masked(verdict);
        outcome
    }

    /// An issued code that has opened a login although no device is usable for it.
    pub(super) fn accepted_alone(judged: Judged) -> Decision<Self> {
        let (outcome, next) = Self::plain(judged, None);
        Decision { next, outcome }
    }

    /// A decoy's outcome, told as that of an unenrolled user. What the decoy has paid is not given back to anybody.
    pub(super) fn of_unenrolled(mut self, verdict: Verdict, reason: Option<&'static str>) -> Self {
        let Self { told, counted } = &mut self;
        (told.masked, told.verdict) = (masked(told.masked), verdict);
        (told.device, told.retry_after) = (None, None);
        (counted.charged, counted.emptied) = (Units::default(), None);
        counted.reason = reason.or(counted.repeated.then_some(REPEATED));
        counted.missed = counted.missed.take().map(Missed::untold);
        self
    }

    /// The verdict as it is, and the record to store.
    fn plain(judged: Judged, reason: Option<&'static str>) -> (Self, Option<Record>) {
        let wrong = Wrong::of(&judged);
        let Judged { verdict, device, retry_after, finding, disabled, charged, repeated, next } = judged;
        let told = Told { verdict, masked: verdict, ask: Ask::OneCode, device, retry_after, first_device: None };
        let counted = Counted {
            reason,
            finding,
            charged,
            disabled,
            missed: None,
            emptied: None,
            fingerprint: None,
            repeated,
            wrong,
            is_verdict: true,
        };
        (Self { told, counted }, next)
    }
}

impl Wrong {
    fn of(judged: &Judged) -> Option<Self> {
        match judged.verdict {
            Verdict::Malformed => Some(Self::Malformed),
            _ if judged.repeated => None,
            Verdict::Rejected if !judged.charged.are_none() => Some(Self::Charged),
            Verdict::Rejected | Verdict::NotEnrolled | Verdict::Disabled => Some(Self::ForFree),
            _ => None,
        }
    }
}

/// The verdict on an unenrolled user, told as that on an enrolled one: that of a decoy, of which no code is right.
fn masked(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Accepted | Verdict::AlreadyUsed | Verdict::NotEnrolled | Verdict::Disabled => Verdict::Rejected,
        verdict => verdict,
    }
}

/// Whether being wrong costs the account nothing.
pub(super) fn is_free(answer: &Answer) -> bool {
    answer.is_several() || answer.issued().is_some()
}
