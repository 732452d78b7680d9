//! An attempt and its verdict: opens the keys that the answer is compared with, and says where the verdict alone does not
//! say why. Pure.

use std::hint::black_box;

use common::answer::Answer;
use common::config::Settings;
use common::enckey::CannotOpen;
use common::names::user::UserName;
use common::secret::Key;
use common::wire::protocol::{Ask, Verdict};

use super::{Circumstances, Earlier, Judged, admit, ask, is_narrow, issued, quarantine};
use crate::clock::mark::Doubted;
use crate::clock::{self, CLOCK_BEFORE_BUILD};
use crate::record::Record;
use crate::record::codes::Purpose;

/// An attempt as it is judged: whose it is, what was typed, and under which circumstances.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The name of the record that judges.
    pub user: &'a UserName,
    /// `None`: nothing that could be a code.
    pub answer: Option<&'a Answer>,
    /// Units of the known pool that come back with a success.
    pub refund: u32,
    /// What the keys are sealed under.
    pub settings: &'a Settings,
    /// Where, when and for what.
    pub now: &'a Circumstances<'a>,
}

/// An attempt, judged, with the reason for the log where the verdict alone does not say it.
pub type Reasoned = (Judged, Option<&'static str>);

/// Judges the attempt by the record. A `repeated` answer was wrong before, compared with the same positions.
pub fn judge(record: &Record, case: &Case<'_>, repeated: bool) -> Reasoned {
    let &Case { answer, refund, now, .. } = case;
    if let Some(code) = answer.and_then(Answer::issued) {
        return issued::judge(record, (code, Purpose::Login), case);
    }
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    let answer = match admit(record, answer, repeated, now) {
        Ok(answer) => answer,
        Err(Verdict::TwoCodesNeeded) => {
            return (unjudged(record, case), why_several(record, now));
        }
        Err(verdict) => return (Judged::unlooked(verdict), None),
    };
    let Ok(keys) = usable_keys(record, case) else {
        return (Judged::unlooked(Verdict::Refused), Some("key_does_not_open"));
    };
    let mut judged = super::judge(record, &keys, answer, Earlier { refund, repeated }, now);
    reseal(&mut judged, record, &keys, case);
    let reason = match judged.verdict {
        Verdict::Refused => Some(quarantine::doubted(now).unwrap_or(Doubted::Store).word()),
        _ if judged.repeated => Some(REPEATED),
        // A pair that would have been found before may lie too far off now.
        Verdict::Rejected => is_narrow(record, now).then_some("after_many_wrong_pairs"),
        _ => None,
    };
    (judged, reason)
}

/// For the log: the network alone is why one code is not enough, and the user's guesses are not.
fn why_several(record: &Record, now: &Circumstances<'_>) -> Option<&'static str> {
    let from_elsewhere = Circumstances { suspect: false, ..*now };
    (now.suspect && ask(Some(record), &from_elsewhere) == Ask::OneCode).then_some("source_limited")
}

/// A single code that is not judged takes as long as one that is: the keys are opened, the code is compared, the result is
/// thrown away, and the record is written as it was.
fn unjudged(record: &Record, case: &Case<'_>) -> Judged {
    if let (Ok(keys), Some(answer)) = (usable_keys(record, case), case.answer) {
        drop(black_box(super::judge(record, &keys, answer, Earlier::default(), case.now)));
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

/// Why a wrong answer was not counted, in a word for the log.
pub const REPEATED: &str = "repeated";
