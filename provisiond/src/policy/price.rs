//! What a guess costs, and whether there is enough for it.

use common::answer::Answer;

use super::{Circumstances, usable};
use crate::record::Record;

/// Whether the pool pays for a guess. One that costs more than a full pool holds (six devices, a wide window) takes a full
/// pool and is paid off with time, rather than never be possible.
pub(super) fn affordable(price: u32, record: &Record, now: &Circumstances<'_>) -> bool {
    if now.suspect {
        return false;
    }
    let left = record.pool(now.source, now.moment.now).budget.left(now.policy, &now.moment);
    price == 0 || (left > 0 && left >= price.min(now.policy.budget))
}

/// One unit for each three positions compared, begun or whole: with one device and the usual window, one.
pub(super) fn price(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> u32 {
    units(record, |digits| answer.codes(digits).is_some(), now)
}

/// What the dearest single code of this user would cost. Nobody knows which device the person has at hand: whoever is asked
/// for one code must not be told afterwards that it takes two.
pub(super) fn dearest_guess(record: &Record, now: &Circumstances<'_>) -> u32 {
    record
        .lengths_of_codes(now.moment.now, now.service)
        .into_iter()
        .map(|length| units(record, |digits| digits == length, now))
        .max()
        .unwrap_or(0)
}

/// What it costs to compare a single code with every usable device whose codes are as long.
fn units(record: &Record, fits: impl Fn(u8) -> bool, now: &Circumstances<'_>) -> u32 {
    let devices = usable(record, now).filter(|device| fits(device.parameters.digits)).count() as u64;
    let positions = now.policy.window.saturating_mul(2).saturating_add(1).saturating_mul(devices);
    u32::try_from(positions.div_ceil(POSITIONS_PER_UNIT)).unwrap_or(u32::MAX)
}

const POSITIONS_PER_UNIT: u64 = 3;
