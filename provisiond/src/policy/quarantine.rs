//! The quarantine: which time steps are refused after a clock jump, a boot or a roll-back of the
//! store, because their codes may have been spent already and an attacker could replay them. Pure.
//!
//! Which clock jumps and boots are events, and how soon a boot must follow to be one, is decided in
//! `clock::mark`.
//!
//! A rolled-back store has also lost the learned drift of devices, and pairs that were accepted
//! even farther ahead. Therefore the store's witnesses keep the latest step that was ever spent:
//! every step up to it may have been. This has an upper bound: otherwise a clock that once ran a
//! year ahead would lock every user out for a year.

use common::totp::Parameters;

use super::Circumstances;
use super::matching::shown;
use crate::clock::mark::{Doubt, Doubted};
use crate::clock::moment::Moment;
use crate::record::Device;

/// The last quarantined step of the device; `None` without a quarantine.
pub fn last_doubtful(device: &Device, window: u64, moment: &Moment) -> Option<u64> {
    let doubt = moment.doubt?;
    let shown = shown(device, doubt.at).saturating_add(window);
    Some(if moment.has_lost(device.known_since) {
        shown.max(last_lost(device.parameters, doubt))
    } else {
        shown
    })
}

/// The last step that an imported key may have spent: in the system that it comes from, or here
/// before a roll-back.
pub fn last_used_elsewhere(parameters: Parameters, moment: &Moment) -> u64 {
    parameters
        .step_at(moment.now)
        .max(moment.doubt.map_or(0, |doubt| last_lost(parameters, doubt)))
}

/// The last step that may have been spent in the part of the past that a rolled-back store has
/// lost.
pub fn last_lost(parameters: Parameters, doubt: Doubt) -> u64 {
    parameters
        .step_at(doubt.lost)
        .min(parameters.step_at(doubt.at).saturating_add(FURTHEST))
}

/// Whether our clock is fit to measure the device's drift: it is synchronised, and the last clock
/// or store event is past.
pub fn is_a_measure(device: &Device, now: &Circumstances<'_>) -> bool {
    let ours = device.parameters.step_at(now.moment.now);
    let sure = |event: Doubt| ours > device.parameters.step_at(event.at).saturating_add(UNSURE);
    now.moment.synchronised && now.moment.doubt.is_none_or(sure)
}

/// The cause of the quarantine now, if there is one.
pub fn doubted(now: &Circumstances<'_>) -> Option<Doubted> {
    now.moment.doubt.map(|doubt| doubt.of)
}

/// The farthest step ahead of a correct clock that can be spent: ten for the last code of a pair,
/// on a device with a learned drift of four.
const FURTHEST: u64 = 14;
/// Steps after a clock or store event in which no drift is learned.
const UNSURE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::drift::Drift;
    use crate::record::tests::{device, user};

    const NOW: u64 = 1_800_000_000;

    fn at(now: u64, of: Doubted, lost: u64) -> Moment {
        let doubt = Some(Doubt { at: NOW, of, lost });
        Moment {
            doubt,
            rolled_back_tick: Some(NOW),
            ..Moment::ordinary(now)
        }
    }

    #[test]
    fn the_last_step_in_doubt_is_the_later_of_what_the_device_has_shown_and_what_was_spent() {
        let phone = device(&user("alice"), "phone", Parameters::default());
        let ahead = Device {
            drift: Drift::default().after_a_pair(104, 100, 1),
            ..phone.clone()
        };
        let slow = device(
            &user("alice"),
            "slow",
            Parameters {
                period: 60,
                ..Parameters::default()
            },
        );
        let since = Device {
            known_since: NOW + 1,
            ..phone.clone()
        };
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
                assert_eq!(
                    last_doubtful(device, 1, &at(NOW, of, lost)),
                    Some(last),
                    "{} {lost}",
                    device.name
                );
            }
        }
        assert_eq!(last_doubtful(&phone, 1, &Moment::ordinary(NOW)), None);
    }

    #[test]
    fn a_key_that_is_taken_over_may_have_been_used_here_before_the_store_was_put_back() {
        let last = |now, lost| {
            last_used_elsewhere(Parameters::default(), &at(now, Doubted::Store, lost)) - NOW / 30
        };
        assert_eq!(
            (last(NOW, 0), last(NOW, NOW + 90), last(NOW + 120, NOW + 90)),
            (0, 3, 4)
        );
        assert_eq!(last(NOW, u64::MAX), 14);
    }
}
