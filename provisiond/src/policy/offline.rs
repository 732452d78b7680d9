//! Two codes at a login host that reaches no verifier: which pairs it may keep of a device, and the
//! verdict on two typed codes by the hashes that it keeps. Pure.
//!
//! It does the same work for every user, also for one of whom nothing is kept: neither the time that
//! an answer takes nor its words tell an attacker whose codes the host could judge.

use std::iter::repeat_with;
use std::ops::RangeInclusive;

use common::answer::Answer;
use common::names::device::Kind;
use common::names::service::is_one_service;
use common::pairs::{ITERATIONS, Place, hash};
use common::wire::protocol::Verdict;
use subtle::ConstantTimeEq;

use super::matching::{PAIR_REACH, shown};
use super::quarantine::of_device;
use crate::clock::moment::Moment;
use crate::record::offline::{Kept, KeptDevice, MOST_DEVICES, MOST_WRONG};
use crate::record::restriction::Restriction;
use crate::record::{Device, Record};

/// The devices of which a host may keep pairs: active TOTP devices without a restriction, which the
/// host could not judge.
pub fn fit(record: &Record) -> impl Iterator<Item = &Device> {
    let unrestricted = |device: &&Device| {
        device.kind == Kind::Totp && device.restriction == Restriction::default()
    };
    let active = record.active().filter(move |_| !record.disabled);
    active.filter(unrestricted).take(MOST_DEVICES)
}

/// The steps at which the pairs of a device may begin that a host keeps from now on. None of them is
/// spent or in doubt, and none can be accepted by a verifier yet: of these no code was typed at any
/// host.
#[must_use]
pub fn steps(device: &Device, window: u64, moment: &Moment) -> RangeInclusive<u64> {
    let shown = shown(device, moment.now);
    let doubtful = of_device(device, window, moment).map_or(0, |quarantine| quarantine.last);
    let spent = device.spent.last().unwrap_or(0).max(device.spent.floor());
    let before = shown.saturating_add(window).max(doubtful).max(spent);
    let long = HOURS.checked_div(u64::from(device.parameters.period));
    before.saturating_add(1)..=shown.saturating_add(long.unwrap_or(0))
}

/// The verdict on an answer, by what is kept of the user.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for the log.
    pub reason: Option<&'static str>,
    /// What has to be durable before the user gets the answer.
    pub next: Option<Kept>,
}

/// Judges the answer at `now`, in Unix seconds.
pub fn judge(kept: &Kept, answer: Option<&Answer>, service: &str, now: u64) -> Judged {
    let Some(answer) = answer else {
        return unlooked(Verdict::Malformed, None);
    };
    if answer.issued().is_some() {
        return unlooked(Verdict::Rejected, Some("not_offline"));
    }
    if !answer.is_several() {
        return unlooked(Verdict::TwoCodesNeeded, None);
    }
    let found = found(kept, answer, now);
    let mut next = Kept {
        latest: kept.latest.max(now),
        wrong: recent(&kept.wrong, now),
        ..kept.clone()
    };
    let is_service = |own: &String| is_one_service(own, service);
    let refusal = if now.saturating_add(SLACK) < kept.latest {
        Some("clock_set_back")
    } else if next.wrong.len() >= MOST_WRONG {
        Some("too_many_pairs")
    } else if !kept.services.iter().any(is_service) {
        Some("no_offline_copy")
    } else {
        None
    };
    let verdict = match refusal {
        Some(_) => Verdict::Rejected,
        None => spend(&mut next, &found),
    };
    if verdict == Verdict::Rejected && next.wrong.len() < MOST_WRONG {
        next.wrong.push(now);
    }
    Judged {
        verdict,
        reason: refusal,
        next: Some(next),
    }
}

/// After a login that a verifier has accepted at `now`: no pair with a code that it may have taken, nor
/// an earlier one, opens a login at this host.
#[must_use]
pub fn used(kept: &Kept, answer: Option<&Answer>, now: u64) -> Kept {
    let reach = match answer.is_some_and(Answer::is_several) {
        true => PAIR_REACH,
        false => 1,
    };
    let mut next = kept.clone();
    for device in &mut next.devices {
        let latest = device.shown_at(now).saturating_add(reach);
        device.floor = device.floor.max(latest);
    }
    next
}

fn unlooked(verdict: Verdict, reason: Option<&'static str>) -> Judged {
    Judged {
        verdict,
        reason,
        next: None,
    }
}

/// The wrong pairs of the last hour. Those of the future are kept: the clock was set back since.
fn recent(wrong: &[u64], now: u64) -> Vec<u64> {
    let is_recent = |at: &&u64| at.saturating_add(HOUR) > now;
    wrong.iter().filter(is_recent).copied().collect()
}

/// The devices and steps whose hash is that of the answer. As many hashes are made for every user.
fn found(kept: &Kept, answer: &Answer, now: u64) -> Vec<(usize, u64)> {
    let nothing = KeptDevice::default();
    let devices = kept.devices.iter().chain(repeat_with(|| &nothing));
    let mut found = Vec::new();
    for (number, device) in devices.take(MOST_DEVICES).enumerate() {
        for step in candidates(device, now) {
            if is_pair(kept, device, step, answer) {
                found.push((number, step));
            }
        }
    }
    found
}

/// The steps at which a pair can begin whose second code is shown now, was shown a step ago, or will
/// be in a step: two in every case, of which one has no place where the device shows an odd step.
fn candidates(device: &KeptDevice, now: u64) -> [u64; 2] {
    let shown = device.shown_at(now);
    match shown.is_multiple_of(2) {
        true => [shown.saturating_sub(2), shown],
        false => [shown.saturating_sub(1), NEVER],
    }
}

fn is_pair(kept: &Kept, device: &KeptDevice, step: u64, answer: &Answer) -> bool {
    let codes = answer.codes(device.digits).unwrap_or_default();
    let typed = match codes.as_slice() {
        [first, second] => Some([first.expose(), second.expose()]),
        _ => None,
    };
    let place = Place {
        salt: &kept.salt,
        device: &device.id,
        step,
    };
    let iterations = match kept.devices.is_empty() {
        true => ITERATIONS,
        false => kept.iterations,
    };
    let made = hash(typed.unwrap_or(["000000"; 2]), &place, iterations);
    let wanted = device.hash_at(step).filter(|_| typed.is_some());
    let same: bool = wanted.unwrap_or_default().ct_eq(&made).into();
    same & wanted.is_some()
}

/// Uses the pair up at every place where it was found. It is accepted if it was not used up at one.
fn spend(next: &mut Kept, found: &[(usize, u64)]) -> Verdict {
    let mut verdict = match found.is_empty() {
        true => Verdict::Rejected,
        false => Verdict::AlreadyUsed,
    };
    for (number, first) in found {
        let Some(device) = next.devices.get_mut(*number) else {
            continue;
        };
        if *first > device.floor {
            let last = first.saturating_add(1);
            (device.floor, device.unreported) = (last, Some(last));
            verdict = Verdict::Accepted;
        }
    }
    verdict
}

/// Seconds of which a host keeps pairs: a working day.
const HOURS: u64 = 8 * HOUR;
const HOUR: u64 = 3600;
/// Seconds that a clock may go back while it is kept right.
const SLACK: u64 = 5;
/// A step that never comes.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
