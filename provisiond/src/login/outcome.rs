//! The outcome of a login attempt: what the caller is told (verdict, next prompt), and what is
//! counted and logged (reason, charge).

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

/// The outcome of an attempt, judged or not.
pub(super) struct AttemptOutcome {
    pub(super) told: Told,
    pub(super) counted: Counted,
}

/// What the caller is told.
pub(super) struct Told {
    pub(super) verdict: Verdict,
    /// The verdict for callers that must not learn which names are unenrolled: verifiers.
    pub(super) masked: Verdict,
    /// What the prompt asks for next.
    pub(super) ask: Ask,
    pub(super) device: Option<DeviceName>,
    pub(super) retry_after: Option<u64>,
    /// The first device that the attempt made or confirmed.
    pub(super) first_device: Option<FirstDevice>,
}

/// What is counted and logged.
pub(super) struct Counted {
    /// The reason in the log, where the verdict alone does not tell it.
    pub(super) reason: Option<&'static str>,
    /// What an issued code turned out to be.
    pub(super) finding: Option<Finding>,
    /// The units that a wrong code cost.
    pub(super) charged: Units,
    /// The devices that a wrong answer disabled (`policy.strict`).
    pub(super) disabled: Vec<DeviceName>,
    /// The devices that do not show the typed code, for the measurement of clock skew.
    pub(super) missed: Option<Missed>,
    /// The pool whose last guess the attempt took.
    pub(super) emptied: Option<&'static str>,
    /// The same, or that of a decoy: the metrics do not tell which names have a device.
    pub(super) exhausted: Option<&'static str>,
    /// The fingerprint of a rejected answer and of what it was compared with, to be remembered as a
    /// repeat.
    pub(super) fingerprint: Option<Fingerprint>,
    /// The same answer was wrong before, and is not counted again.
    pub(super) repeated: bool,
    /// How the answer was wrong. For an unenrolled user the decoy has said it, so that it counts as
    /// much as for others.
    pub(super) wrong: Option<Wrong>,
    /// Whether the attempt was judged; false if the store failed or too many others waited.
    pub(super) is_verdict: bool,
}

impl Counted {
    /// sshd refuses the user, and has hidden the answer. The log says so: no code would help.
    pub(super) fn was_hidden(&mut self) {
        if self.wrong == Some(Wrong::Malformed) {
            self.reason = Some(HIDDEN_BY_SSHD);
        }
    }
}

const HIDDEN_BY_SSHD: &str = "hidden_by_sshd";

/// How an answer was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The text is no code at all.
    Malformed,
    /// It cost the account a guess.
    Charged,
    /// It cost the account nothing.
    ForFree,
}

impl AttemptOutcome {
    /// Judges the attempt by a record that has a usable device. `repeats` are the recent wrong
    /// answers. `user` is the name of the call, also where a decoy judges.
    pub(super) fn of(
        record: &Record,
        case: &Case<'_>,
        (repeats, user): (&Repeats, &UserName),
    ) -> Decision<Self> {
        let compared = case
            .answer
            .map(|answer| policy::compared(record, answer, case.now));
        let fingerprint = compared.and_then(|compared| repeats.fingerprint(user, &compared));
        let repeated = fingerprint.is_some_and(|fingerprint| repeats.know(&fingerprint));
        let mut decision = Self::judged(record, attempt::judge(record, case, repeated), case);
        let is_new = decision.outcome.told.verdict == Verdict::Rejected && !repeated;
        decision.outcome.counted.fingerprint = fingerprint.filter(|_| is_new);
        decision
    }

    /// The outcome of an attempt that policy has judged by the record.
    pub(super) fn judged(
        record: &Record,
        (judged, reason): Reasoned,
        case: &Case<'_>,
    ) -> Decision<Self> {
        let &Case { user, now, .. } = case;
        let (mut outcome, next) = Self::plain(judged, reason);
        let Self { told, counted } = &mut outcome;
        told.ask = policy::ask(next.as_ref().or(Some(record)), now);
        counted.missed = match told.verdict {
            Verdict::Rejected => Some(Missed::of(record, user, now)),
            Verdict::TwoCodesNeeded => Some(Missed::of(record, user, now).untold()),
            _ => None,
        };
        let took_the_last =
            told.ask != Ask::OneCode && policy::ask(Some(record), now) == Ask::OneCode;
        let is_emptied = took_the_last && !counted.charged.are_none();
        counted.emptied = is_emptied.then(|| record.pool_word(now.source, now.moment.now));
        counted.exhausted = counted.emptied;
        Decision { next, outcome }
    }

    /// An attempt that could not be judged.
    pub(super) fn unjudged(verdict: Verdict, reason: Option<&'static str>) -> Self {
        let mut outcome = Self::without_record(verdict, reason);
        outcome.counted.is_verdict = false;
        outcome
    }

    /// A verdict without any record.
    pub(super) fn without_record(verdict: Verdict, reason: Option<&'static str>) -> Self {
        let (mut outcome, _) = Self::plain(Judged::unlooked(verdict), reason);
        outcome.told.masked = masked(verdict);
        outcome
    }

    /// The outcome of an issued code that opened the login of a user without a usable device.
    pub(super) fn accepted_alone(judged: Judged) -> Decision<Self> {
        let (outcome, next) = Self::plain(judged, None);
        Decision { next, outcome }
    }

    /// The outcome of a decoy, told as that of an unenrolled user. What the decoy was charged is
    /// never refunded.
    pub(super) fn of_unenrolled(mut self, verdict: Verdict, reason: Option<&'static str>) -> Self {
        let Self { told, counted } = &mut self;
        told.masked = masked(told.masked);
        told.verdict = verdict;
        told.device = None;
        told.retry_after = None;
        counted.charged = Units::default();
        counted.emptied = None;
        counted.reason = reason.or(counted.repeated.then_some(REPEATED));
        counted.missed = counted.missed.take().map(Missed::untold);
        self
    }

    /// The outcome without a mask, and the record to store.
    fn plain(judged: Judged, reason: Option<&'static str>) -> (Self, Option<Record>) {
        let wrong = Wrong::of(&judged);
        let Judged {
            verdict,
            device,
            retry_after,
            finding,
            disabled,
            charged,
            repeated,
            next,
        } = judged;
        let told = Told {
            verdict,
            masked: verdict,
            ask: Ask::OneCode,
            device,
            retry_after,
            first_device: None,
        };
        let counted = Counted {
            reason,
            finding,
            charged,
            disabled,
            missed: None,
            emptied: None,
            exhausted: None,
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

/// The masked verdict: an unenrolled user gets the verdict of an enrolled user with a wrong code.
fn masked(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Accepted | Verdict::AlreadyUsed | Verdict::NotEnrolled | Verdict::Disabled => {
            Verdict::Rejected
        }
        verdict => verdict,
    }
}

/// Whether a wrong answer costs the account nothing: pairs of codes, and issued codes.
pub(super) fn is_free(answer: &Answer) -> bool {
    answer.is_several() || answer.issued().is_some()
}
