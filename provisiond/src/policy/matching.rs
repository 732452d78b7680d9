//! Where an answer is right, and whether it still counts there. Every position of every device is always looked at.

use std::ops::RangeInclusive;

use common::answer::{Answer, Code};
use common::device::{DeviceName, Kind};
use common::secret::Key;

use super::Circumstances;
use super::quarantine::last_doubtful;
use crate::counter;
use crate::record::Device;

/// A place where the answer is right: the steps, or counters, that it would spend, and whether it may.
pub(super) struct Match {
    pub(super) device: DeviceName,
    pub(super) steps: Vec<u64>,
    pub(super) standing: Standing,
}

/// What an answer is compared with of one device: together with the device's key this decides whether it is right.
#[derive(Debug)]
pub struct Compared {
    /// The device's id.
    pub device: [u8; 16],
    /// What was typed, as this device's codes.
    pub codes: Vec<Code>,
    /// Where the first of them may stand.
    pub positions: RangeInclusive<u64>,
}

/// The best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Fresh,
    Quarantined,
    Spent,
}

/// Codes that the device cannot have shown, or that are too few, are found nowhere, in the same time.
pub(super) fn matches_of(
    device: &Device,
    key: &Key,
    answer: &Answer,
    needed: usize,
    now: &Circumstances<'_>,
) -> Vec<Match> {
    let codes = comparable(device, answer, needed).unwrap_or_default();
    let later = (codes.len() as u64).saturating_sub(1);
    let found = device.parameters.find(key, &codes, searched(device, answer.is_several(), later, now)).into_iter();
    found
        .map(|first| {
            let steps: Vec<u64> = (first..=first.saturating_add(later)).collect();
            Match { standing: standing(device, &steps, now), device: device.name.clone(), steps }
        })
        .collect()
}

/// The codes of the answer, if the device can have shown them and they are enough.
pub(super) fn comparable(device: &Device, answer: &Answer, needed: usize) -> Option<Vec<Code>> {
    answer.codes(device.parameters.digits).filter(|codes| codes.len() >= needed)
}

/// What is compared with a device, however many codes are needed. `None`: the device cannot have shown it.
pub(super) fn compared_with(device: &Device, answer: &Answer, now: &Circumstances<'_>) -> Option<Compared> {
    let codes = answer.codes(device.parameters.digits)?;
    let later = (codes.len() as u64).saturating_sub(1);
    Some(Compared { device: device.id, positions: searched(device, answer.is_several(), later, now), codes })
}

/// Where the first code may stand, when `later` ones follow it.
fn searched(device: &Device, several: bool, later: u64, now: &Circumstances<'_>) -> RangeInclusive<u64> {
    let reach = if several { SERIES_REACH } else { now.policy.window };
    match device.kind {
        Kind::Totp => {
            let step = shown(device, now.moment.now);
            step.saturating_sub(reach)..=step.saturating_add(reach).saturating_sub(later)
        }
        // As many positions as of a clock's: a guess has the same odds, and the same price.
        Kind::Hotp => {
            counter::searched(&device.spent, later.saturating_add(1), reach.saturating_mul(2).saturating_add(1))
        }
    }
}

pub(super) fn standing(device: &Device, steps: &[u64], now: &Circumstances<'_>) -> Standing {
    if device.kind == Kind::Hotp {
        return standing_of_counters(device, steps, now);
    }
    let horizon = horizon(device, now);
    if !steps.iter().all(|step| device.spent.accepts(*step, horizon)) {
        return Standing::Spent;
    }
    match last_doubtful(device, now.policy.window, &now.moment) {
        Some(doubtful) if steps.iter().any(|step| *step <= doubtful) => Standing::Quarantined,
        _ => Standing::Fresh,
    }
}

/// Nobody knows how far a device had counted in the part of the past that the store has lost.
fn standing_of_counters(device: &Device, counters: &[u64], now: &Circumstances<'_>) -> Standing {
    if !counters.iter().all(|counter| counter::accepts(&device.spent, *counter)) {
        Standing::Spent
    } else if now.moment.has_lost(device.known_since) {
        Standing::Quarantined
    } else {
        Standing::Fresh
    }
}

/// The latest step that anyone may use now.
pub(super) fn horizon(device: &Device, now: &Circumstances<'_>) -> u64 {
    shown(device, now.moment.now).saturating_add(now.policy.window)
}

/// The step that the device shows at `time`, as far as its clock is known: the middle of the window.
pub(super) fn shown(device: &Device, time: u64) -> u64 {
    device.drift.shown_at(device.parameters.step_at(time))
}

/// Consecutive codes are searched for this many steps to either side, which also finds a device whose clock is off.
const SERIES_REACH: u64 = 10;
