//! The verdict on a login attempt: accepted, wrong, replayed, or two codes needed. Pure: the
//! record, the typed answer and the time go in; the verdict and the next record come out.
//!
//! Holds no clock, store, socket or log. The calling code makes the next record durable before the
//! user gets the answer. A *pair* is an answer of two consecutive codes.

pub mod attempt;
pub mod issued;
mod matching;
pub mod offline;
mod price;
pub mod quarantine;
pub mod resync;
mod scratch;

use common::answer::Answer;
use common::config::Policy;
use common::names::device::{DeviceName, Kind};
use common::secret::Key;
use common::wire::protocol::{Ask, Verdict};

pub use self::matching::{Compared, is_narrow, searched_until, shown};
use self::matching::{Match, Standing, compared_with, horizon, matches_of};
use self::price::{affordable, can_guess, price};
use self::quarantine::is_a_measure;
use crate::clock::moment::Moment;
use crate::record::budget::Units;
use crate::record::codes::Finding;
use crate::record::drift::Drift;
use crate::record::source::Source;
use crate::record::strict::{self, Failures};
use crate::record::{Device, Record};

/// What an attempt is judged by, besides the record and the typed answer.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// The time.
    pub moment: Moment,
    /// The source of the login.
    pub source: Source,
    /// The PAM service.
    pub service: &'a str,
    /// The source limit is reached: too many wrong codes came from this source, so a single code is
    /// not judged.
    pub suspect: bool,
}

/// What earlier attempts mean for this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Units that recent wrong codes of this user from this source have cost the known pool.
    pub refund: u32,
    /// The same answer was wrong before at the same positions. Comparing it again tells an attacker
    /// nothing, so it costs nothing.
    pub repeated: bool,
}

/// How many codes the user is asked for. An unknown user gets the same question as an enrolled one.
#[must_use]
pub fn ask(record: Option<&Record>, now: &Circumstances<'_>) -> Ask {
    match record {
        Some(record) if !can_guess(record, now) => Ask::TwoCodes,
        None if now.suspect => Ask::TwoCodes,
        _ => Ask::OneCode,
    }
}

/// The comparisons of an answer: one for each usable device whose codes have its length.
#[must_use]
pub fn compared(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> Vec<Compared> {
    let narrow = is_narrow(record, now);
    usable(record, now)
        .filter_map(|device| compared_with(device, answer, narrow, now))
        .collect()
}

/// Whether `answer` may be judged: it has the length of a usable device's codes, and the guess
/// budget pays for it. A `repeated` answer costs nothing.
///
/// # Errors
/// The verdict on an answer that is not judged. Nothing is spent or charged then.
pub fn admit<'a>(
    record: &Record,
    answer: Option<&'a Answer>,
    repeated: bool,
    now: &Circumstances<'_>,
) -> Result<&'a Answer, Verdict> {
    if !record.has_usable(now.moment.now, now.service) {
        return Err(unenrolled(Some(record)));
    }
    let answer = answer.ok_or(Verdict::Malformed)?;
    if !usable(record, now).any(|device| answer.codes(device.parameters.digits).is_some()) {
        return Err(Verdict::Malformed);
    }
    let price = if repeated {
        0
    } else {
        price(record, answer, now)
    };
    if answer.is_several() || affordable(price, record, now) {
        Ok(answer)
    } else {
        Err(Verdict::TwoCodesNeeded)
    }
}

/// The devices that are usable for this login.
fn usable<'a>(record: &'a Record, now: &'a Circumstances<'_>) -> impl Iterator<Item = &'a Device> {
    record.usable(now.moment.now, now.service)
}

/// The verdict on a user without a usable device.
pub fn unenrolled(record: Option<&Record>) -> Verdict {
    if record.is_some_and(Record::is_somebodys) {
        Verdict::Disabled
    } else {
        Verdict::NotEnrolled
    }
}

/// A judged answer.
#[derive(Debug)]
#[must_use]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The device that showed the code.
    pub device: Option<DeviceName>,
    /// With `already_used`, and with `refused` in a quarantine: seconds until the device shows a code
    /// that may open a login. `None` for an HOTP device, whose user presses a button.
    pub retry_after: Option<u64>,
    /// What an issued code turned out to be.
    pub finding: Option<Finding>,
    /// The devices that a wrong answer has disabled.
    pub disabled: Vec<DeviceName>,
    /// The cost of a wrong code.
    pub charged: Units,
    /// The same answer was wrong before; it was not counted again.
    pub repeated: bool,
    /// The record to store before answering, if it changed.
    pub next: Option<Record>,
}

impl Judged {
    /// A verdict on an answer that was not judged: nothing is spent, charged or reported.
    pub fn unlooked(verdict: Verdict) -> Self {
        Self {
            verdict,
            device: None,
            retry_after: None,
            finding: None,
            disabled: Vec::new(),
            charged: Units::default(),
            repeated: false,
            next: None,
        }
    }
}

/// Judges an admitted answer. `keys` are the keys of the usable devices, in their order. All of
/// them are searched, whatever the first one yields.
pub fn judge(
    record: &Record,
    keys: &[Key],
    answer: &Answer,
    earlier: Earlier,
    now: &Circumstances<'_>,
) -> Judged {
    let narrow = is_narrow(record, now);
    let found: Vec<Match> = usable(record, now)
        .zip(keys)
        .flat_map(|(device, key)| matches_of(device, key, answer, narrow, now))
        .collect();
    // A repeated answer was wrong at these positions. It costs nothing, so it must not open a login
    // either.
    match found
        .iter()
        .min_by_key(|found| found.standing)
        .filter(|_| !earlier.repeated)
    {
        Some(best) if best.standing == Standing::Fresh => {
            accept(record, best, &found, earlier.refund, now)
        }
        Some(best) if best.standing == Standing::Quarantined => quarantined(record, best, now),
        Some(best) => already_used(record, best, now),
        None => reject(record, answer, earlier.repeated, now),
    }
}

/// Opens a login with `best`, and spends the answer at every other match, too. Otherwise a replay
/// would open a second login where two devices have the same key, or a device shows the same code
/// in two consecutive steps.
fn accept(
    record: &Record,
    best: &Match,
    found: &[Match],
    refund: u32,
    now: &Circumstances<'_>,
) -> Judged {
    let mut next = record.clone();
    if let Some(device) = next.device_mut(&best.device) {
        device.drift = learned(device, &best.steps, now);
        device.last_used = Some(now.moment.now);
        device.failures = Failures::default();
    }
    for found in found {
        if let Some(device) = next.device_mut(&found.device) {
            device.spend(&found.steps);
        }
    }
    welcome(&mut next, refund, now);
    Judged {
        device: Some(best.device.clone()),
        next: Some(next),
        ..Judged::unlooked(Verdict::Accepted)
    }
}

/// Updates the record after any accepted login: if the source was known before, refunds as much as
/// today's limit allows; then makes the source a known one.
fn welcome(next: &mut Record, refund: u32, now: &Circumstances<'_>) {
    if next.sources.know(now.source, now.moment.now) {
        let units = next.refunded.left(&now.moment).min(refund);
        next.known.budget = next.known.budget.refunded(units, now.policy, &now.moment);
        next.refunded = next.refunded.and(units, &now.moment);
    }
    next.sources.learn(now.source, now.moment.now);
}

fn learned(device: &Device, found: &[u64], now: &Circumstances<'_>) -> Drift {
    let ours = device.parameters.step_at(now.moment.now);
    match found {
        _ if device.kind == Kind::Hotp || !is_a_measure(device, now) => device.drift,
        [only] => device.drift.after_a_code(*only, ours),
        [.., last] => device.drift.after_a_pair(*last, ours, now.policy.window),
        [] => device.drift,
    }
}

fn already_used(record: &Record, found: &Match, now: &Circumstances<'_>) -> Judged {
    let device = found.totp_device(record);
    Judged {
        device: Some(found.device.clone()),
        retry_after: device.map(|device| {
            let last = device.spent.latest(horizon(device, now));
            seconds_until_after(last, device, now)
        }),
        ..Judged::unlooked(Verdict::AlreadyUsed)
    }
}

/// Whether every code that the device shows now counts as used: so many codes were used while the
/// clock was ahead that its floor lies ahead.
fn is_used_ahead(device: &Device, now: &Circumstances<'_>) -> bool {
    device.kind == Kind::Totp && device.spent.floor() > horizon(device, now)
}

fn quarantined(record: &Record, found: &Match, now: &Circumstances<'_>) -> Judged {
    let quarantine = found.totp_device(record).and_then(|device| {
        let quarantine = quarantine::of_device(device, now.policy.window, &now.moment)?;
        Some(seconds_until_after(quarantine.last, device, now))
    });
    Judged {
        device: Some(found.device.clone()),
        retry_after: quarantine,
        ..Judged::unlooked(Verdict::Refused)
    }
}

/// Seconds until the device shows the step after `last`.
fn seconds_until_after(last: u64, device: &Device, now: &Circumstances<'_>) -> u64 {
    let start = device
        .parameters
        .start_of(device.drift.ours_at(last.saturating_add(1)));
    start.saturating_sub(now.moment.now).max(1)
}

/// A wrong single code costs its price. A wrong pair costs nothing, because its odds are a
/// millionth of a single code's, but pairs are counted. A repeated answer is neither charged nor
/// counted so, but it is a failure (SP 800-63B counts each one).
pub fn reject(record: &Record, answer: &Answer, repeated: bool, now: &Circumstances<'_>) -> Judged {
    let charged = if repeated || answer.is_several() {
        0
    } else {
        price(record, answer, now)
    };
    let mut next = record.clone();
    let pool = next.pool_mut(now.source, now.moment.now);
    match answer.is_several() {
        _ if repeated => {}
        true => pool.wrong_pairs = pool.wrong_pairs.one_more(&now.moment),
        false => pool.budget = pool.budget.charged(charged, now.policy, &now.moment),
    }
    let compared =
        usable(record, now).filter(|device| answer.codes(device.parameters.digits).is_some());
    let compared: Vec<DeviceName> = compared.map(|device| device.name.clone()).collect();
    let disabled = strict::count(&mut next, &compared, now.policy);
    let charged = record.units(charged, now.source, now.moment.now);
    Judged {
        charged,
        repeated,
        disabled,
        next: Some(next),
        ..Judged::unlooked(Verdict::Rejected)
    }
}

#[cfg(test)]
mod tests;
