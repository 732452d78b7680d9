//! The quarantine: which time steps are refused after a clock jump, a boot or a roll-back of the
//! store, because their codes may have been spent already and an attacker could replay them. Pure.
//!
//! Which clock jumps are events is decided in `clock::mark`; what they leave in doubt is in
//! `clock::doubt`.
//!
//! A rolled-back store has also lost the learned drift of devices, and pairs that were accepted
//! even farther ahead. Therefore the store's witnesses keep the latest step that was ever spent:
//! every step up to it may have been. This has an upper bound: otherwise a clock that once ran a
//! year ahead would lock every user out for a year.

use common::names::device::Kind;
use common::totp::Parameters;

use super::Circumstances;
use super::matching::shown;
use crate::clock::doubt::Doubted;
use crate::clock::moment::Moment;
use crate::record::Device;
use crate::record::drift::Drift;

/// A quarantine of one device's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The last step that is refused.
    pub last: u64,
    /// The cause that lasts longest. If two last equally long, it is the store: that an
    /// administrator vouches for the clock does not end it.
    pub of: Doubted,
}

/// The quarantine of a TOTP device's codes. `None`: nothing is in doubt.
pub fn of_device(device: &Device, window: u64, moment: &Moment) -> Option<Quarantine> {
    let doubts = &moment.doubts;
    let last_shown = |at| shown(device, at).saturating_add(window);
    let of_the_clock = doubts
        .of_the_clock_since(device.known_since)
        .map(last_shown);
    let of_the_store = doubts.rolled_back.map(|at| {
        if moment.has_lost(device.known_since) {
            last_shown(at).max(last_lost(device.parameters, moment))
        } else {
            last_shown(at)
        }
    });
    let causes = [
        (of_the_clock, Doubted::Clock),
        (of_the_store, Doubted::Store),
    ];
    causes
        .into_iter()
        .filter_map(|(last, of)| last.map(|last| Quarantine { last, of }))
        .max_by_key(|quarantine| quarantine.last)
}

/// The moment as it concerns devices that have opened nothing, according to the record: their first
/// codes are held up by what the record may not know of, and not by a clock that was set.
pub fn of_first_codes<'a>(
    mut devices: impl Iterator<Item = &'a Device>,
    moment: &Moment,
) -> Moment {
    let doubts = if devices.any(|device| moment.has_lost(device.known_since)) {
        moment.doubts
    } else {
        moment.doubts.of_an_unused_device()
    };
    Moment { doubts, ..*moment }
}

/// The reason for the log why the device's codes are refused. Those of an HOTP device are only if
/// the store may have lost its counter.
pub fn reason(device: Option<&Device>, now: &Circumstances<'_>) -> &'static str {
    device
        .filter(|device| device.kind == Kind::Totp)
        .and_then(|device| of_device(device, now.policy.window, &now.moment))
        .map_or(Doubted::Store, |quarantine| quarantine.of)
        .word()
}

/// The time at which a device like a new one, with a right clock, shows the first code that is
/// accepted. `None`: that time has come.
pub fn over_at(parameters: Parameters, window: u64, moment: &Moment) -> Option<u64> {
    let last = parameters
        .step_at(moment.doubts.latest()?)
        .saturating_add(window)
        .max(last_lost(parameters, moment));
    Some(parameters.start_of(last.saturating_add(1))).filter(|over| moment.now < *over)
}

/// The last step that an imported key may have spent: in the system that it comes from, also while
/// our clock is behind, or here before a roll-back. `drift` is that of its device, if known.
pub fn last_used_elsewhere(parameters: Parameters, drift: Drift, moment: &Moment) -> u64 {
    let present = parameters.step_at(moment.now.max(moment.doubts.behind.unwrap_or(0)));
    drift.shown_at(present).max(last_lost(parameters, moment))
}

/// The same of a system that names every step from the present one on that it has spent. In the time
/// after the machine's clock was set, its list may be of other steps than ours.
pub fn last_unnamed_elsewhere(parameters: Parameters, drift: Drift, moment: &Moment) -> u64 {
    let last = last_used_elsewhere(parameters, drift, moment);
    let present = parameters.step_at(moment.now);
    let is_past = |doubted| present > parameters.step_at(doubted).saturating_add(FURTHEST);
    let is_named = last == drift.shown_at(present) && moment.doubts.latest().is_none_or(is_past);
    last.saturating_sub(u64::from(is_named))
}

/// The last step that may have been spent in the part of the past that a rolled-back store has
/// lost. 0: it has lost nothing.
fn last_lost(parameters: Parameters, moment: &Moment) -> u64 {
    let latest = moment.doubts.latest().unwrap_or(0);
    parameters
        .step_at(moment.doubts.lost)
        .min(parameters.step_at(latest).saturating_add(FURTHEST))
}

/// Whether our clock is fit to measure the device's drift.
pub fn is_a_measure(device: &Device, now: &Circumstances<'_>) -> bool {
    why_no_measure(device, now).is_none()
}

/// The reason for the log why our clock is not fit to measure the device's drift: the last clock or
/// store event is not past, or the clock is not synchronised.
pub fn why_no_measure(device: &Device, now: &Circumstances<'_>) -> Option<&'static str> {
    let ours = device.parameters.step_at(now.moment.now);
    let sure = |event| ours > device.parameters.step_at(event).saturating_add(UNSURE);
    if !now.moment.doubts.latest().is_none_or(sure) {
        Some(reason(Some(device), now))
    } else if now.moment.synchronised {
        None
    } else {
        Some("clock_unsynchronised")
    }
}

/// The farthest step ahead of a correct clock that can be spent: ten for the last code of a pair,
/// on a device with a learned drift of four.
const FURTHEST: u64 = 14;
/// Steps after a clock or store event in which no drift is learned.
const UNSURE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::doubt::Doubts;
    use crate::record::tests::{device, user};

    const NOW: u64 = 1_800_000_000;

    /// After a roll-back of the store.
    fn at(now: u64, lost: u64) -> Moment {
        let doubts = Doubts {
            rolled_back: Some(NOW),
            lost,
            ..Doubts::default()
        };
        Moment {
            doubts,
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
            assert_eq!(
                of_device(device, 1, &at(NOW, lost)),
                Some(Quarantine {
                    last,
                    of: Doubted::Store
                }),
                "{} {lost}",
                device.name
            );
        }
        assert_eq!(of_device(&phone, 1, &Moment::ordinary(NOW)), None);
    }

    #[test]
    fn a_key_that_is_taken_over_may_have_been_used_here_before_the_store_was_put_back() {
        let last = |now, lost| {
            last_used_elsewhere(Parameters::default(), Drift::default(), &at(now, lost)) - NOW / 30
        };
        assert_eq!(
            (last(NOW, 0), last(NOW, NOW + 90), last(NOW + 120, NOW + 90)),
            (0, 3, 4)
        );
        assert_eq!(last(NOW, u64::MAX), 14);
    }

    #[test]
    fn a_list_of_used_codes_frees_the_present_step_once_the_clock_and_the_store_are_beyond_doubt() {
        let last = |moment: &Moment| {
            let (parameters, drift) = (Parameters::default(), Drift::default());
            let named = last_unnamed_elsewhere(parameters, drift, moment);
            last_used_elsewhere(parameters, drift, moment) - named
        };
        assert_eq!(last(&Moment::ordinary(NOW)), 1);
        assert_eq!(last(&at(NOW + 14 * 30, 0)), 0);
        assert_eq!(last(&at(NOW + 15 * 30, 0)), 1);
        assert_eq!(last(&at(NOW + 15 * 30, u64::MAX)), 1);
        let booted = Doubts {
            booted: Some(NOW - 3600),
            behind: Some(NOW + 60),
            ..Doubts::default()
        };
        let behind = Moment {
            doubts: booted,
            ..Moment::ordinary(NOW)
        };
        assert_eq!(last(&behind), 0, "it may have been used before that boot");
    }

    #[test]
    fn a_store_that_was_put_back_stays_in_doubt_when_the_clock_is_set_afterwards() {
        let phone = device(&user("alice"), "phone", Parameters::default());
        let (moment, set) = (at(NOW + 30, NOW + 90), Some(NOW + 30));
        let with = |doubts| Moment { doubts, ..moment };
        let both = with(Doubts {
            moved: set,
            ..moment.doubts
        });
        let of = |moment: &Moment| of_device(&phone, 1, moment).map(|q| (q.last - NOW / 30, q.of));
        assert_eq!(of(&both), Some((3, Doubted::Store)));
        let later = with(Doubts {
            moved: Some(NOW + 90),
            ..moment.doubts
        });
        assert_eq!(of(&later), Some((4, Doubted::Clock)));
        let lost = of_first_codes([&phone].into_iter(), &both);
        assert_eq!(
            lost, both,
            "it may have been used in what the store has lost"
        );
        let new = Device {
            known_since: NOW + 1,
            ..phone.clone()
        };
        let booted = with(Doubts {
            booted: set,
            behind: Some(NOW + 600),
            ..both.doubts
        });
        let doubts = of_first_codes([&new].into_iter(), &booted).doubts;
        let expected = Doubts {
            booted: set,
            behind: Some(NOW + 600),
            ..Doubts::default()
        };
        assert_eq!(doubts, expected, "a disk may have been put back");
        assert_eq!(
            of_first_codes([&new, &phone].into_iter(), &booted),
            booted,
            "of several devices one may have been used"
        );
    }

    #[test]
    fn a_quarantine_is_over_when_a_device_shows_a_code_that_it_had_not_shown() {
        let over = |now, doubts| {
            over_at(
                Parameters::default(),
                1,
                &Moment {
                    doubts,
                    ..Moment::ordinary(now)
                },
            )
        };
        let set = Doubts {
            moved: Some(NOW + 10),
            ..Doubts::default()
        };
        assert_eq!(
            [NOW + 10, NOW + 59, NOW + 60].map(|now| over(now, set)),
            [Some(NOW + 60), Some(NOW + 60), None]
        );
        let lost = Doubts {
            rolled_back: Some(NOW),
            lost: NOW + 120,
            ..set
        };
        assert_eq!(
            over(NOW, lost),
            Some(NOW + 150),
            "a code was used ahead of its time, and the store has forgotten it"
        );
        let behind = Doubts {
            behind: Some(NOW + 3600),
            ..set
        };
        assert_eq!(over(NOW + 60, behind), Some(NOW + 3660));
        assert_eq!(over(NOW, Doubts::default()), None);
    }
}
