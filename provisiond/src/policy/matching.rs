//! The search for a code: the time steps, or HOTP counters, within a device's window at which an
//! answer matches, and whether it is fresh, quarantined or spent there. Every position of every
//! usable device is compared, whatever the first match is, so that there is no timing side channel.

use std::ops::RangeInclusive;

use common::answer::{Answer, Code};
use common::names::device::{DeviceName, Kind};
use common::secret::Key;

use super::Circumstances;
use super::quarantine::of_device;
use crate::record::counter;
use crate::record::drift::MAX_DRIFT;
use crate::record::{Device, Record};

/// A position at which the answer matches: the steps, or counters, that it would spend, and whether
/// it may.
pub(super) struct Match {
    pub(super) device: DeviceName,
    pub(super) steps: Vec<u64>,
    pub(super) standing: Standing,
}

impl Match {
    /// The device, if it is a TOTP device.
    pub(super) fn totp_device<'a>(&self, record: &'a Record) -> Option<&'a Device> {
        record
            .device(&self.device)
            .filter(|device| device.kind == Kind::Totp)
    }
}

/// The comparison of an answer with one device: together with the device's key it determines
/// whether the answer is right.
#[derive(Debug)]
pub struct Compared {
    /// The device's id.
    pub device: [u8; 16],
    /// The typed answer, split into codes of this device's length.
    pub codes: Vec<Code>,
    /// The steps, or counters, that the first code is compared with.
    pub positions: RangeInclusive<u64>,
}

/// Whether a match may open a login. The best comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Fresh,
    Quarantined,
    Spent,
}

/// Whether pairs are searched for in the window only, as single codes are: an attacker has tried a
/// thousand wrong pairs.
pub fn is_narrow(record: &Record, now: &Circumstances<'_>) -> bool {
    record
        .pool(now.source, now.moment.now)
        .wrong_pairs
        .are_too_many(&now.moment)
}

/// All matches of the answer. An answer of another length has none, in the same time.
pub(super) fn matches_of(
    device: &Device,
    key: &Key,
    answer: &Answer,
    narrow: bool,
    now: &Circumstances<'_>,
) -> Vec<Match> {
    let codes = answer.codes(device.parameters.digits).unwrap_or_default();
    let later = (codes.len() as u64).saturating_sub(1);
    let far = answer.is_several() && !narrow;
    let found = device
        .parameters
        .find(key, &codes, searched(device, far, later, now))
        .into_iter();
    found
        .map(|first| {
            let steps: Vec<u64> = (first..=first.saturating_add(later)).collect();
            Match {
                standing: standing(device, &steps, now),
                device: device.name.clone(),
                steps,
            }
        })
        .collect()
}

/// The comparison of the answer with a device. `None`: the device's codes have another length.
pub(super) fn compared_with(
    device: &Device,
    answer: &Answer,
    narrow: bool,
    now: &Circumstances<'_>,
) -> Option<Compared> {
    let codes = answer.codes(device.parameters.digits)?;
    let later = (codes.len() as u64).saturating_sub(1);
    let far = answer.is_several() && !narrow;
    Some(Compared {
        device: device.id,
        positions: searched(device, far, later, now),
        codes,
    })
}

/// The positions of the first code, when `later` codes follow it. A `far` search reaches ten steps
/// to either side; any other one ends where the last code lies in the window, as a single code
/// must.
fn searched(
    device: &Device,
    far: bool,
    later: u64,
    now: &Circumstances<'_>,
) -> RangeInclusive<u64> {
    let window = now.policy.window;
    match device.kind {
        Kind::Totp => {
            let (before, after) = if far {
                (PAIR_REACH, PAIR_REACH)
            } else {
                (window.saturating_add(later).min(PAIR_REACH), window)
            };
            let step = shown(device, now.moment.now);
            step.saturating_sub(before)..=step.saturating_add(after).saturating_sub(later)
        }
        // As many positions as for a TOTP device, so that a guess has the same odds and the same
        // price.
        Kind::Hotp => {
            let positions = window.saturating_mul(2).saturating_add(1);
            let ahead = if far {
                counter::LOOK_AHEAD
            } else {
                positions.saturating_add(later)
            };
            counter::searched(&device.spent, later.saturating_add(1), ahead)
        }
    }
}

pub(super) fn standing(device: &Device, steps: &[u64], now: &Circumstances<'_>) -> Standing {
    if device.kind == Kind::Hotp {
        return standing_of_counters(device, steps, now);
    }
    let horizon = horizon(device, now);
    if !steps
        .iter()
        .all(|step| device.spent.accepts(*step, horizon))
    {
        return Standing::Spent;
    }
    match of_device(device, now.policy.window, &now.moment) {
        Some(doubtful) if steps.iter().any(|step| *step <= doubtful.last) => Standing::Quarantined,
        _ => Standing::Fresh,
    }
}

/// A rolled-back store has lost the counters that the device has used since, so none is trusted
/// until it is known again.
fn standing_of_counters(device: &Device, counters: &[u64], now: &Circumstances<'_>) -> Standing {
    if !counters
        .iter()
        .all(|counter| counter::accepts(&device.spent, *counter))
    {
        Standing::Spent
    } else if now.moment.has_lost(device.known_since) {
        Standing::Quarantined
    } else {
        Standing::Fresh
    }
}

/// The latest step that is acceptable now.
pub(super) fn horizon(device: &Device, now: &Circumstances<'_>) -> u64 {
    shown(device, now.moment.now).saturating_add(now.policy.window)
}

/// The step that the device shows at `time`, corrected by its learned drift: the middle of the
/// window.
#[must_use]
pub fn shown(device: &Device, time: u64) -> u64 {
    device.drift.shown_at(device.parameters.step_at(time))
}

/// The last of our steps at which a login is compared with `step`, alone or as half of a pair:
/// whatever drift the daemon may have learned by then, and with any window.
#[must_use]
pub fn searched_until(step: u64) -> u64 {
    step.saturating_add(PAIR_REACH)
        .saturating_add(u64::from(MAX_DRIFT.unsigned_abs()))
}

/// Steps to either side in which a pair is searched for. This also finds a device whose clock has
/// drifted. No window is wider.
pub(super) const PAIR_REACH: u64 = 10;
