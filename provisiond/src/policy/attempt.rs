//! One login attempt and its verdict: opens the keys of the user's usable devices, has the answer
//! judged, and adds the reason for the log where the verdict alone does not give it. Pure.

use std::hint::black_box;

use common::answer::Answer;
use common::config::Settings;
use common::enckey::CannotOpen;
use common::issued::IssuedCode;
use common::names::user::UserName;
use common::secret::Key;
use common::wire::protocol::{Ask, Verdict};

use super::{
    Circumstances, Earlier, Judged, admit, ask, is_narrow, is_used_ahead, issued, quarantine,
    scratch,
};
use crate::clock::{self, CLOCK_BEFORE_BUILD};
use crate::record::Record;
use crate::record::codes::{Codes, Purpose};

/// An attempt as it is judged: the user, the typed answer and the circumstances.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The user whose record decides.
    pub user: &'a UserName,
    /// The typed answer. `None`: the input cannot be a code.
    pub answer: Option<&'a Answer>,
    /// Units that a success refunds to the known pool.
    pub refund: u32,
    /// The settings, with the application secrets that the keys are sealed under.
    pub settings: &'a Settings,
    /// Source, time and service.
    pub now: &'a Circumstances<'a>,
}

/// A judged attempt, with the reason for the log where the verdict alone does not give it.
pub type Reasoned = (Judged, Option<&'static str>);

/// Judges the attempt by the record. A `repeated` answer was wrong before, when it was compared
/// with the same positions.
pub fn judge(record: &Record, case: &Case<'_>, repeated: bool) -> Reasoned {
    let &Case {
        answer,
        refund,
        now,
        ..
    } = case;
    if let Some(code) = answer.and_then(Answer::issued) {
        return issued::judge(record, (code, Purpose::Login), case);
    }
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    if let Some(code) = scratch::typed(record, answer, now) {
        return judge_scratch(record, &code, case);
    }
    let answer = match admit(record, answer, repeated, now) {
        Ok(answer) => answer,
        Err(Verdict::TwoCodesNeeded) => {
            return (unjudged(record, case), why_several(record, now));
        }
        Err(verdict) => return (Judged::unlooked(verdict), None),
    };
    let Ok(keys) = usable_keys(record, case) else {
        return (
            Judged::unlooked(Verdict::Refused),
            Some("key_does_not_open"),
        );
    };
    let mut judged = super::judge(record, &keys, answer, Earlier { refund, repeated }, now);
    reseal(&mut judged, record, &keys, case);
    let reason = reason_of(&judged, record, now);
    (judged, reason)
}

/// Judges a scratch code, if the budget pays for the guess.
fn judge_scratch(record: &Record, code: &IssuedCode, case: &Case<'_>) -> Reasoned {
    if !scratch::is_affordable(record, case.now) {
        return (unjudged(record, case), why_several(record, case.now));
    }
    let opened = Codes::opened(record.codes.as_ref(), case.user, &case.settings.secrets);
    let Ok(codes) = opened else {
        return (
            Judged::unlooked(Verdict::Refused),
            Some("key_does_not_open"),
        );
    };
    let judged = scratch::judge(record, codes, code, case.refund, case.now);
    let unknown = (judged.verdict == Verdict::Rejected).then_some("no_such_code");
    let reason = judged.finding.and_then(issued::reason).or(unknown);
    (judged, reason)
}

/// The reason for the log where the verdict alone does not give it.
fn reason_of(judged: &Judged, record: &Record, now: &Circumstances<'_>) -> Option<&'static str> {
    let device = judged.device.as_ref();
    let device = device.and_then(|name| record.device(name));
    match judged.verdict {
        Verdict::Refused => Some(quarantine::reason(device, now)),
        Verdict::AlreadyUsed => device
            .filter(|device| is_used_ahead(device, now))
            .map(|_| USED_AHEAD),
        _ if judged.repeated => Some(REPEATED),
        // After many wrong pairs the search is narrow: a right pair may lie outside it.
        Verdict::Rejected => is_narrow(record, now).then_some("after_many_wrong_pairs"),
        _ => None,
    }
}

/// The reason for the log, if the source limit alone demands two codes: the user's own guess budget
/// would allow one.
fn why_several(record: &Record, now: &Circumstances<'_>) -> Option<&'static str> {
    let from_elsewhere = Circumstances {
        suspect: false,
        ..*now
    };
    let by_source_alone = now.suspect && ask(Some(record), &from_elsewhere) == Ask::OneCode;
    by_source_alone.then_some("source_limited")
}

/// The verdict on a single code where two are needed. It takes as long as a judged code, so that
/// there is no timing side channel: the keys are opened, the code is compared, the result is
/// discarded, and the record is stored unchanged.
fn unjudged(record: &Record, case: &Case<'_>) -> Judged {
    if let (Ok(keys), Some(answer)) = (usable_keys(record, case), case.answer) {
        drop(black_box(super::judge(
            record,
            &keys,
            answer,
            Earlier::default(),
            case.now,
        )));
    }
    Judged {
        next: Some(record.clone()),
        ..Judged::unlooked(Verdict::TwoCodesNeeded)
    }
}

fn usable_keys(
    record: &Record,
    &Case {
        user,
        settings,
        now,
        ..
    }: &Case<'_>,
) -> Result<Vec<Key>, CannotOpen> {
    record
        .usable(now.moment.now, now.service)
        .map(|device| device.key(user, &settings.secrets))
        .collect()
}

/// Seals a key that was imported from passlib in our own format, in the commit of its first
/// accepted code.
fn reseal(
    judged: &mut Judged,
    record: &Record,
    keys: &[Key],
    &Case {
        user,
        settings,
        now,
        ..
    }: &Case<'_>,
) {
    if judged.verdict != Verdict::Accepted {
        return;
    }
    let (Some(name), Some(next)) = (&judged.device, &mut judged.next) else {
        return;
    };
    let mut usable = record.usable(now.moment.now, now.service).zip(keys);
    let Some((_, key)) = usable.find(|(device, _)| device.name == *name) else {
        return;
    };
    if let Some(device) = next.device_mut(name) {
        device.reseal(user, key, &settings.secrets);
    }
}

/// The reason for the log why every code that a device shows counts as used: its floor lies ahead,
/// because this machine's clock did when it was used.
const USED_AHEAD: &str = "used_ahead";
/// The reason for the log why a wrong answer was not counted.
pub const REPEATED: &str = "repeated";
