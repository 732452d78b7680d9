//! What every user is told in a quarantine: from when on codes are accepted. It depends on this
//! machine alone, never on the user, so that it tells no one user from another.

use common::config::values::calendar;
use common::wire::protocol::{Quarantine, TimeOfDay};

use crate::clock;
use crate::policy::quarantine::over_at;
use crate::service::call::Call;

/// The quarantine of this machine at the time of the call. `None`: there is none.
pub(super) fn of_this_machine(call: &Call<'_>) -> Option<Quarantine> {
    let (settings, moment) = (&call.settings, &call.moment);
    if !clock::can_be(moment.now) {
        return Some(Quarantine { until: None });
    }
    let over = over_at(
        settings.new_device.parameters,
        settings.policy.window,
        moment,
    )?;
    let is_soon = over.saturating_sub(moment.now) < SOON;
    let until = is_soon.then(|| time_of_day(over)).flatten();
    Some(Quarantine { until })
}

/// The local time of day. `None`: the time zone is unknown.
fn time_of_day(time: u64) -> Option<TimeOfDay> {
    let local = calendar::local(time)?.time();
    let seconds = [
        (local.hour(), 3600),
        (local.minute(), 60),
        (local.second(), 1),
    ]
    .map(|(count, seconds)| u32::from(count.unsigned_abs()).saturating_mul(seconds));
    TimeOfDay::try_from(seconds.into_iter().fold(0, u32::saturating_add)).ok()
}

/// Seconds: within half a day a time of day says which day is meant.
const SOON: u64 = 12 * 3600;
