//! From an attempt to its outcome: which record judges, the user's or a decoy's, what that takes besides the policy (keys,
//! the clock), and the record that has to be durable first.

use std::hint::black_box;

use common::answer::Answer;
use common::config::{Policy, Settings};
use common::enckey::CannotOpen;
use common::protocol::{Ask, Verdict};
use common::secret::Key;
use common::user::UserName;

use crate::bound::{UID_CHANGED, is_anothers};
use crate::clock;
use crate::clock::mark::Doubted;
use crate::codes::Purpose;
use crate::decoy;
use crate::first_login::{self, FirstDevice};
use crate::policy::{self, Circumstances, Earlier, Judged};
use crate::record::Record;
use crate::records::{Access, Decision, Failure};
use crate::repeats::{Fingerprint, Repeats};
use crate::service::{Call, Service};
use crate::skew::Missed;
use crate::spare;
use crate::spellings::OTHER_SPELLING;
use crate::throttle::Units;

/// An attempt as it is judged: whose it is, what was typed, and under which circumstances.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    /// The name of the record that judges.
    pub(crate) user: &'a UserName,
    /// The wrong answers of late, and the name that is asked about. `None`: no answer counts as repeated.
    pub(crate) repeats: Option<(&'a Repeats, &'a UserName)>,
    /// `None`: nothing that could be a code.
    pub(crate) answer: Option<&'a Answer>,
    /// Units of the known pool that come back with a success.
    pub(crate) refund: u32,
    pub(crate) settings: &'a Settings,
    pub(crate) now: &'a Circumstances<'a>,
}

impl Service {
    /// Judges by the user's record, or, where there is no device for this login, by a decoy: the same work, the same charge, and
    /// never a success. Where this login `enrols`, a ticket or a pending device of who was never enrolled comes first.
    pub(crate) fn judge_durably(&self, call: &Call<'_>, case: &Case<'_>, enrols: bool) -> Result<Outcome, Failure> {
        let &Case { settings, now, .. } = case;
        let access = call.access(settings);
        let usable = |record: &&Record| record.has_usable(now.moment.now, now.service);
        let first = |record: Option<&Record>| first_login::judge(record.filter(|_| enrols)?, call, case);
        let first_ask = |record: Option<&Record>| first_login::ask(record.filter(|_| enrols)?, now);
        let by_record = self.records.change(access, |record| match record.filter(usable) {
            // Nothing of the record counts, spare codes neither.
            _ if record.is_some_and(|record| is_anothers(record, call, settings)) => {
                Decision { next: None, outcome: Err(((Verdict::Refused, Some(UID_CHANGED)), None, None)) }
            }
            Some(record) => {
                let decision = Outcome::of(record, case);
                Decision { next: decision.next, outcome: Ok(decision.outcome) }
            }
            None => {
                if let Some(Decision { next, outcome }) = first(record) {
                    return Decision { next, outcome: Ok(outcome) };
                }
                let Decision { next, outcome } = spare::judge_alone(record, case);
                let outcome = match outcome {
                    Some(judged) if judged.verdict == Verdict::Accepted => Ok(Outcome {
                        plain: judged.verdict,
                        judged,
                        ..Outcome::without_record(Verdict::Accepted, None)
                    }),
                    refused => Err((nobody(record, call, now), refused, first_ask(record))),
                };
                Decision { next, outcome }
            }
        })?;
        let (nobody, alone, first_ask) = match by_record {
            Ok(outcome) => return Ok(outcome),
            Err(refused) => refused,
        };
        let nobody = self.known_elsewhere(call, nobody, settings);
        let outcome = self.judge_by_decoy(call, nobody, case, alone.is_some())?;
        let finding = alone.and_then(|judged| judged.finding);
        let reason = finding.and_then(spare::reason).or(outcome.reason);
        let ask = first_ask.unwrap_or(outcome.ask);
        Ok(Outcome { judged: Judged { finding, ..outcome.judged }, reason, ask, ..outcome })
    }

    /// Nobody is called not enrolled who was enrolled by another spelling: stacks let by who is not.
    fn known_elsewhere(&self, call: &Call<'_>, nobody: Nobody, settings: &Settings) -> Nobody {
        let known = nobody.0 == Verdict::NotEnrolled && self.elsewhere(call, None, settings).somebodys;
        if known { (Verdict::Refused, Some(OTHER_SPELLING)) } else { nobody }
    }

    /// `wrong`: the answer has been judged already, so it has only to be counted.
    fn judge_by_decoy(
        &self,
        call: &Call<'_>,
        (verdict, reason): Nobody,
        &Case { repeats, answer, settings, now, .. }: &Case<'_>,
        wrong: bool,
    ) -> Result<Outcome, Failure> {
        let Some(name) = decoy::name_for(call.user, &settings.secrets) else {
            return Ok(Outcome::without_record(verdict, reason));
        };
        let access = Access { user: &name, ..call.access(settings) };
        // Behind a decoy that is disabled nobody would be judged any more.
        let policy = Policy { strict: false, ..*now.policy };
        let now = &Circumstances { policy: &policy, ..*now };
        // A decoy is given nothing back: no code of its own is ever accepted.
        let case = &Case { user: &name, repeats, answer, refund: 0, settings, now };
        let by_decoy = self.records.change(access, |record| {
            let Ok(decoy) = record.cloned().map_or_else(|| decoy::make(&name, settings, &now.moment), Ok) else {
                return Decision { next: None, outcome: Outcome::without_record(verdict, reason) };
            };
            let Decision { next, outcome } = match wrong {
                true => Outcome::judged(&decoy, (policy::spare::wrong(decoy.clone(), now), None), case),
                false => Outcome::of(&decoy, case),
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

/// The verdict on who has no device for this login, and the reason for the log. Stacks let by who is not enrolled, so nobody
/// is called that whose record may be under another spelling, while the name service does not answer.
fn nobody(record: Option<&Record>, call: &Call<'_>, now: &Circumstances<'_>) -> Nobody {
    match policy::nobody(record) {
        Verdict::NotEnrolled if call.named.is_unknown() => (Verdict::Refused, Some("no_answer_from_name_service")),
        verdict => (verdict, record.and_then(|record| record.why_unusable(now.moment.now, now.service))),
    }
}

/// What is said of who has no device for this login, and the reason for the log.
pub(crate) type Nobody = (Verdict, Option<&'static str>);

/// What became of an attempt.
pub(crate) struct Outcome {
    pub(crate) judged: Judged,
    /// For the log, where the verdict alone does not say it.
    pub(crate) reason: Option<&'static str>,
    /// What to ask for next.
    pub(crate) ask: Ask,
    /// The devices that do not show what was typed.
    pub(crate) missed: Option<Missed>,
    /// The pool whose last guess it took.
    pub(crate) emptied: Option<&'static str>,
    /// What a rejected answer was compared with, to be remembered.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What it counts for besides, as its judge has said: of a name behind which there is nobody, a decoy, so that it counts
    /// for as much.
    pub(crate) wrong: Option<Wrong>,
    /// The verdict for those who are not told behind which name there is nobody.
    pub(crate) plain: Verdict,
    /// Whether it was judged, or kept from that by a crowd or the store.
    pub(crate) is_verdict: bool,
    /// What became of a first device.
    pub(crate) first_device: Option<FirstDevice>,
}

/// How an answer was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It could not have been right.
    Malformed,
    /// It has cost a guess.
    Charged,
    /// It has cost nothing.
    ForFree,
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

impl Outcome {
    pub(crate) fn of(record: &Record, case: &Case<'_>) -> Decision<Self> {
        let fingerprint = case.fingerprint(record);
        let repeated = case.repeats.zip(fingerprint).is_some_and(|((repeats, _), print)| repeats.know(&print));
        let Decision { next, outcome } = Self::judged(record, judge(record, case, repeated), case);
        let fingerprint = fingerprint.filter(|_| outcome.judged.verdict == Verdict::Rejected && !repeated);
        Decision { next, outcome: Self { fingerprint, ..outcome } }
    }

    fn judged(record: &Record, (mut judged, reason): Reasoned, &Case { user, now, .. }: &Case<'_>) -> Decision<Self> {
        let next = judged.next.take();
        let ask = policy::ask(next.as_ref().or(Some(record)), now);
        let missed = match judged.verdict {
            Verdict::Rejected => Some(Missed::of(record, user, now)),
            Verdict::TwoCodesNeeded => Some(Missed::of(record, user, now).untold()),
            _ => None,
        };
        let took_the_last = ask != Ask::OneCode && policy::ask(Some(record), now) == Ask::OneCode;
        let emptied = took_the_last && !judged.charged.are_none();
        let emptied = emptied.then(|| record.pool_word(now.source, now.moment.now));
        let (wrong, plain) = (Wrong::of(&judged), judged.verdict);
        let (is_verdict, first_device, fingerprint) = (true, None, None);
        let outcome =
            Self { judged, reason, ask, missed, emptied, fingerprint, wrong, plain, is_verdict, first_device };
        Decision { next, outcome }
    }

    /// An attempt that could not be judged.
    pub(crate) fn unjudged(verdict: Verdict, reason: Option<&'static str>) -> Self {
        Self { is_verdict: false, ..Self::without_record(verdict, reason) }
    }

    pub(crate) fn without_record(verdict: Verdict, reason: Option<&'static str>) -> Self {
        let judged = Judged::unlooked(verdict);
        let (wrong, plain) = (Wrong::of(&judged), nobodys(verdict));
        let (ask, missed, emptied, first_device, fingerprint) = (Ask::OneCode, None, None, None, None);
        Self { judged, reason, ask, missed, emptied, fingerprint, wrong, plain, is_verdict: true, first_device }
    }

    /// A decoy's outcome, told as that of a name behind which there is nobody. What the decoy has paid is not theirs to get
    /// back.
    fn of_nobody(self, verdict: Verdict, reason: Option<&'static str>) -> Self {
        let charged = Units::default();
        let reason = reason.or(self.judged.repeated.then_some(REPEATED));
        let judged = Judged { verdict, device: None, retry_after: None, charged, ..self.judged };
        let missed = self.missed.map(Missed::untold);
        Self { judged, reason, missed, emptied: None, plain: nobodys(self.plain), ..self }
    }
}

/// The verdict on who has no device, told as that on somebody who has: a decoy's, of which no code is right.
fn nobodys(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Accepted | Verdict::AlreadyUsed | Verdict::NotEnrolled | Verdict::Disabled => Verdict::Rejected,
        verdict => verdict,
    }
}

/// An attempt, judged, with the reason for the log where the verdict alone does not say it.
pub(crate) type Reasoned = (Judged, Option<&'static str>);

impl Case<'_> {
    fn fingerprint(&self, record: &Record) -> Option<Fingerprint> {
        let ((repeats, user), answer) = self.repeats.zip(self.answer)?;
        repeats.fingerprint(user, &policy::compared(record, answer, self.now))
    }
}

pub(crate) fn judge(record: &Record, case: &Case<'_>, repeated: bool) -> Reasoned {
    let &Case { answer, refund, now, .. } = case;
    if let Some(code) = answer.and_then(Answer::spare) {
        return spare::judge(record, (code, Purpose::Login), case);
    }
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    let answer = match policy::admit(record, answer, repeated, now) {
        Ok(answer) => answer,
        Err(Verdict::TwoCodesNeeded) => {
            return (unjudged(record, case), why_several(record, now));
        }
        Err(verdict) => return (Judged::unlooked(verdict), None),
    };
    let Ok(keys) = usable_keys(record, case) else {
        return (Judged::unlooked(Verdict::Refused), Some("key_does_not_open"));
    };
    let mut judged = policy::judge(record, &keys, answer, Earlier { refund, repeated }, now);
    reseal(&mut judged, record, &keys, case);
    let reason = match judged.verdict {
        Verdict::Refused => Some(policy::quarantine::doubted(now).unwrap_or(Doubted::Store).word()),
        _ => judged.repeated.then_some(REPEATED),
    };
    (judged, reason)
}

/// For the log: where the network alone is why one code is not enough, and the user's guesses are not.
fn why_several(record: &Record, now: &Circumstances<'_>) -> Option<&'static str> {
    let from_elsewhere = Circumstances { suspect: false, ..*now };
    (now.suspect && policy::ask(Some(record), &from_elsewhere) == Ask::OneCode).then_some("many_wrong_from_there")
}

/// A single code that is not judged takes as long as one that is: the keys are opened and the code is compared, and what
/// comes of it is thrown away; the record is written as it was.
fn unjudged(record: &Record, case: &Case<'_>) -> Judged {
    if let (Ok(keys), Some(answer)) = (usable_keys(record, case), case.answer) {
        drop(black_box(policy::judge(record, &keys, answer, Earlier::default(), case.now)));
    }
    Judged { next: Some(record.clone()), ..Judged::unlooked(Verdict::TwoCodesNeeded) }
}

fn usable_keys(record: &Record, &Case { user, settings, now, .. }: &Case<'_>) -> Result<Vec<Key>, CannotOpen> {
    record.usable(now.moment.now, now.service).map(|device| device.key(user, &settings.secrets)).collect()
}

/// A key that came from passlib gets our own seal with its first accepted code, in the same commit.
fn reseal(judged: &mut Judged, record: &Record, keys: &[Key], &Case { user, settings, now, .. }: &Case<'_>) {
    let (Verdict::Accepted, Some(name), Some(next)) = (judged.verdict, &judged.device, &mut judged.next) else {
        return;
    };
    let usable = record.usable(now.moment.now, now.service);
    let key = usable.zip(keys).find(|(device, _)| device.name == *name).map(|(_, key)| key);
    if let (Some(device), Some(key)) = (next.device_mut(name), key) {
        device.reseal(user, key, &settings.secrets);
    }
}

/// Why a wrong answer was not counted.
const REPEATED: &str = "repeated";
/// Why nothing is judged on a machine that has lost its clock.
pub(crate) const CLOCK_BEFORE_BUILD: &str = "clock_before_build";
