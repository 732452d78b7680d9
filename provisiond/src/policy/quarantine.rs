//! Which steps are in doubt: those that a clock which was moved may hide, and those that a store which was put back may have
//! forgotten. Pure.
//!
//! What is forgotten includes how far a device was known to be off, and that two codes in a row were found even farther ahead.
//! So a store's witnesses know the latest step that was spent in it: everything up to there may have been spent. There is a
//! bound to that, or a clock that once ran a year ahead would shut everybody out for as long.

use common::totp::Parameters;

use super::Circumstances;
use super::matching::shown;
use crate::clock::mark::{Doubt, Doubted};
use crate::clock::moment::Moment;
use crate::record::Device;

/// The last step of the device that is in doubt; `None`: nothing is.
pub fn last_doubtful(device: &Device, window: u64, moment: &Moment) -> Option<u64> {
    let doubt = moment.doubt?;
    let shown = shown(device, doubt.at).saturating_add(window);
    Some(if moment.has_lost(device.known_since) { shown.max(last_lost(device.parameters, doubt)) } else { shown })
}

/// The last step that a key which is taken over may have used where it comes from, or here, in what the store has lost.
pub fn last_used_elsewhere(parameters: Parameters, moment: &Moment) -> u64 {
    parameters.step_at(moment.now).max(moment.doubt.map_or(0, |doubt| last_lost(parameters, doubt)))
}

/// The last step that anyone may have spent in what the store has lost.
pub fn last_lost(parameters: Parameters, doubt: Doubt) -> u64 {
    parameters.step_at(doubt.lost).min(parameters.step_at(doubt.at).saturating_add(FURTHEST))
}

/// Where our clock may be wrong, it is no measure of the device's.
pub fn is_a_measure(device: &Device, now: &Circumstances<'_>) -> bool {
    let ours = device.parameters.step_at(now.moment.now);
    let sure = |event: Doubt| ours > device.parameters.step_at(event.at).saturating_add(UNSURE);
    now.moment.synchronised && now.moment.doubt.is_none_or(sure)
}

/// What makes codes doubtful now.
pub fn doubted(now: &Circumstances<'_>) -> Option<Doubted> {
    now.moment.doubt.map(|doubt| doubt.of)
}

/// As many steps ahead as a clock that is right lets anyone spend: ten for the last of two codes in a row, of a device that is
/// known to be four ahead.
const FURTHEST: u64 = 14;
/// Steps after a clock or store event in which nothing is learned of a device's clock.
const UNSURE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::drift::Drift;
    use crate::record::tests::{device, user};

    const NOW: u64 = 1_800_000_000;

    fn at(now: u64, of: Doubted, lost: u64) -> Moment {
        let doubt = Some(Doubt { at: NOW, of, lost });
        Moment { doubt, rolled_back_tick: Some(NOW), ..Moment::ordinary(now) }
    }

    #[test]
    fn the_last_step_in_doubt_is_the_later_of_what_the_device_has_shown_and_what_was_spent() {
        let phone = device(&user("alice"), "phone", Parameters::default());
        let ahead = Device { drift: Drift::default().after_a_pair(104, 100, 1), ..phone.clone() };
        let slow = device(&user("alice"), "slow", Parameters { period: 60, ..Parameters::default() });
        let since = Device { known_since: NOW + 1, ..phone.clone() };
        let step = NOW / 30;
        for (device, lost, last) in [
            (&phone, 0, step + 1),
            (&phone, NOW + 29, step + 1),
            (&phone, NOW + 60, step + 2),
            (&phone, NOW + 14 * 30, step + 14),
            (&phone, NOW + 15 * 30, step + 14),
            (&phone, u64::MAX, step + 14),
            (&ahead, NOW + 60, step + 5),
            (&ahead, NOW + 180, step + 6),
            (&slow, NOW + 90, NOW / 60 + 1),
            (&slow, NOW + 120, NOW / 60 + 2),
            (&since, u64::MAX, step + 1),
        ] {
            for of in [Doubted::Store, Doubted::Clock] {
                assert_eq!(last_doubtful(device, 1, &at(NOW, of, lost)), Some(last), "{} {lost}", device.name);
            }
        }
        assert_eq!(last_doubtful(&phone, 1, &Moment::ordinary(NOW)), None);
    }

    #[test]
    fn a_key_that_is_taken_over_may_have_been_used_here_before_the_store_was_put_back() {
        let last = |now, lost| last_used_elsewhere(Parameters::default(), &at(now, Doubted::Store, lost)) - NOW / 30;
        assert_eq!((last(NOW, 0), last(NOW, NOW + 90), last(NOW + 120, NOW + 90)), (0, 3, 4));
        assert_eq!(last(NOW, u64::MAX), 14);
    }
}
