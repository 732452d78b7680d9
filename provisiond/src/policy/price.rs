//! The price of a wrong single code in units of the guess budget, and whether the user's pool can
//! pay it: the rate limit of a brute-force attack on one user.

use common::answer::Answer;

use super::{Circumstances, usable};
use crate::record::Record;

/// Whether the pool can pay for this user's most expensive single code. The daemon does not know
/// which device the user has at hand, and a user must not be asked for one code and hear afterwards
/// that two are needed.
pub(super) fn can_guess(record: &Record, now: &Circumstances<'_>) -> bool {
    let dearest = record
        .lengths_of_codes(now.moment.now, now.service)
        .into_iter()
        .map(|length| units(record, |digits| digits == length, now))
        .max()
        .unwrap_or(0);
    affordable(dearest, record, now)
}

/// Whether the pool can pay for a guess. A guess that costs more than a full pool (six devices, a
/// wide window) needs a full pool and leaves a debt that the refill pays off. Otherwise it would
/// never be possible.
pub(super) fn affordable(price: u32, record: &Record, now: &Circumstances<'_>) -> bool {
    if now.suspect {
        return false;
    }
    let left = record
        .pool(now.source, now.moment.now)
        .budget
        .left(now.policy, &now.moment);
    price == 0 || (left > 0 && left >= price.min(now.policy.budget))
}

/// One unit for each three compared positions, rounded up: one unit with one device and the default
/// window.
pub(super) fn price(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> u32 {
    units(record, |digits| answer.codes(digits).is_some(), now)
}

/// The cost of comparing a single code with every usable device whose codes have its length.
fn units(record: &Record, fits: impl Fn(u8) -> bool, now: &Circumstances<'_>) -> u32 {
    let devices = usable(record, now)
        .filter(|device| fits(device.parameters.digits))
        .count() as u64;
    let positions = now
        .policy
        .window
        .saturating_mul(2)
        .saturating_add(1)
        .saturating_mul(devices);
    u32::try_from(positions.div_ceil(POSITIONS_PER_UNIT)).unwrap_or(u32::MAX)
}

const POSITIONS_PER_UNIT: u64 = 3;
