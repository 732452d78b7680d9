//! `totpctl resync`: learns a TOTP device's clock drift, or an HOTP device's counter, from two
//! consecutive codes. Pure, like the verdict on a login.
//!
//! The search reaches farther than a login's, and the codes open nothing. A right pair is spent
//! even if it teaches nothing, so that codes that a user has read out to an administrator open no
//! login afterwards.

use std::ops::RangeInclusive;

use common::answer::Answer;
use common::names::device::{DeviceName, Kind};
use common::secret::Key;
use common::wire::protocol::Verdict;

use super::Circumstances;
use super::matching::{Standing, standing};
use super::quarantine::{self, why_no_measure};
use crate::record::counter;
use crate::record::{Device, Record};

/// What the daemon learned from the two codes.
#[derive(Debug)]
#[must_use]
pub struct Resynced {
    /// The verdict on them.
    pub verdict: Verdict,
    /// The reason for the log where the verdict alone does not give it.
    pub reason: Option<&'static str>,
    /// Seconds that the device's clock is ahead of ours.
    pub seconds: Option<i64>,
    /// Codes that an HOTP device has shown and the user has not typed.
    pub left_out: Option<u64>,
}

impl Resynced {
    /// A verdict on codes from which nothing was learned.
    pub fn unlearned(verdict: Verdict, reason: Option<&'static str>) -> Self {
        Self {
            verdict,
            reason,
            seconds: None,
            left_out: None,
        }
    }
}

/// Judges two codes of the active device `name`, and stores in the record what was learned.
/// `by_admin`: an administrator vouches that the codes are new, which a rolled-back store cannot
/// know of an HOTP device.
pub fn judge(
    record: &mut Record,
    name: &DeviceName,
    key: &Key,
    answer: Option<&Answer>,
    by_admin: bool,
    now: &Circumstances<'_>,
) -> Resynced {
    let Some(device) = record.device_mut(name) else {
        return Resynced::unlearned(Verdict::Rejected, None);
    };
    let codes = answer
        .and_then(|answer| answer.codes(device.parameters.digits))
        .filter(|codes| codes.len() == 2);
    let Some(codes) = codes else {
        return Resynced::unlearned(Verdict::Malformed, None);
    };
    if device.kind == Kind::Totp
        && let Some(reason) = why_no_measure(device, now)
    {
        return Resynced::unlearned(Verdict::Refused, Some(reason));
    }
    let found = device
        .parameters
        .find(key, &codes, searched(device, now))
        .into_iter();
    let pairs = found
        .map(|first| [first, first.saturating_add(1)])
        .map(|pair| (standing(device, &pair, now), pair));
    match pairs.min_by_key(|(standing, _)| *standing) {
        Some((Standing::Fresh, pair)) => learn(device, pair, now),
        Some((Standing::Quarantined, pair)) if device.kind == Kind::Hotp && by_admin => {
            learn(device, pair, now)
        }
        Some((Standing::Quarantined, _)) => Resynced::unlearned(
            Verdict::Refused,
            Some(quarantine::reason(Some(device), now)),
        ),
        Some((Standing::Spent, _)) => Resynced::unlearned(Verdict::AlreadyUsed, None),
        None => {
            let pool = record.pool_mut(now.source, now.moment.now);
            pool.wrong_pairs = pool.wrong_pairs.one_more(&now.moment);
            Resynced::unlearned(Verdict::Rejected, None)
        }
    }
}

/// The positions of the first code. A TOTP device is searched for around our own step, whatever
/// drift was learned before.
fn searched(device: &Device, now: &Circumstances<'_>) -> RangeInclusive<u64> {
    match device.kind {
        Kind::Totp => {
            let ours = device.parameters.step_at(now.moment.now);
            ours.saturating_sub(REACH)..=ours.saturating_add(REACH).saturating_sub(1)
        }
        Kind::Hotp => counter::searched_far(&device.spent, 2),
    }
}

/// Spends the pair, and learns the drift or the counter from it.
fn learn(device: &mut Device, pair: [u64; 2], now: &Circumstances<'_>) -> Resynced {
    let [first, last] = pair;
    let next = device.spent.floor();
    device.spend(&pair);
    if device.kind == Kind::Hotp {
        // From now on all counters that the device has used are known again.
        device.known_since = now.moment.stamp();
        return Resynced {
            left_out: Some(first.saturating_sub(next)),
            ..Resynced::unlearned(Verdict::Accepted, None)
        };
    }
    let ours = device.parameters.step_at(now.moment.now);
    let drift = device.drift.after_a_pair(last, ours, now.policy.window);
    let seconds = seconds_between(ours, last, device.parameters.period);
    // A single code would still lie outside the window: the drift is more than can be learned.
    if drift.shown_at(ours).abs_diff(last) > now.policy.window {
        return Resynced {
            seconds,
            ..Resynced::unlearned(Verdict::Refused, Some("device_clock_too_far"))
        };
    }
    device.drift = drift;
    Resynced {
        seconds,
        ..Resynced::unlearned(Verdict::Accepted, None)
    }
}

fn seconds_between(ours: u64, theirs: u64, period: u32) -> Option<i64> {
    let seconds = i128::from(theirs)
        .saturating_sub(i128::from(ours))
        .saturating_mul(period.into());
    i64::try_from(seconds).ok()
}

/// Steps to either side of ours: ten minutes with steps of thirty seconds.
const REACH: u64 = 20;

#[cfg(test)]
mod tests {
    use common::config::Policy;
    use common::secret::SecretText;
    use common::totp::Parameters;

    use super::*;
    use crate::clock::doubt::Doubts;
    use crate::clock::moment::Moment;
    use crate::record::source::Source;
    use crate::record::tests::{device_of, secrets, user};

    const NOW: u64 = 1_234_567_890;
    const POLICY: Policy = Policy {
        window: 1,
        budget: 5,
        refill: std::time::Duration::from_secs(86400),
        strict: false,
    };

    struct Life {
        record: Record,
        moment: Moment,
        by_admin: bool,
    }

    impl Life {
        fn new(kind: Kind) -> Self {
            let mut record = Record::new(&Moment::ordinary(NOW));
            record.devices.push(device_of(
                kind,
                &user("alice"),
                "default",
                Parameters::default(),
            ));
            Self {
                record,
                moment: Moment::ordinary(NOW),
                by_admin: true,
            }
        }

        fn device(&self) -> &Device {
            &self.record.devices[0]
        }

        fn ours(&self) -> u64 {
            self.device().parameters.step_at(self.moment.now)
        }

        fn key(&self) -> Key {
            self.device().key(&user("alice"), &secrets()).unwrap()
        }

        fn code(&self, place: u64) -> String {
            self.device()
                .parameters
                .code_at(&self.key(), place)
                .to_string()
        }

        fn told(&mut self, typed: &[&str]) -> Resynced {
            let typed: Vec<_> = typed
                .iter()
                .map(|text| SecretText::typed(text.as_bytes()))
                .collect();
            let now = Circumstances {
                policy: &POLICY,
                moment: self.moment,
                source: Source::Untold,
                service: "",
                suspect: false,
            };
            let (key, name) = (self.key(), self.device().name.clone());
            judge(
                &mut self.record,
                &name,
                &key,
                Answer::parse(&typed).as_ref(),
                self.by_admin,
                &now,
            )
        }

        /// Judges the codes of a position and the next one.
        fn pair(&mut self, place: u64) -> Resynced {
            let (one, other) = (self.code(place), self.code(place + 1));
            self.told(&[&one, &other])
        }

        fn pair_at(&mut self, steps: i64) -> Resynced {
            self.pair(self.ours().saturating_add_signed(steps))
        }
    }

    #[test]
    fn a_clock_is_learned_as_far_as_one_code_will_do_from_then_on() {
        for (first, verdict, seconds, learned) in [
            (-20, Verdict::Refused, Some(-570), 0),
            (-7, Verdict::Refused, Some(-180), 0),
            (-6, Verdict::Accepted, Some(-150), -4),
            (-4, Verdict::Accepted, Some(-90), -3),
            (-1, Verdict::Accepted, Some(0), 0),
            (3, Verdict::Accepted, Some(120), 4),
            (5, Verdict::Refused, Some(180), 0),
            (19, Verdict::Refused, Some(600), 0),
            (20, Verdict::Rejected, None, 0),
            (-21, Verdict::Rejected, None, 0),
        ] {
            let mut alice = Life::new(Kind::Totp);
            let told = alice.pair_at(first);
            assert_eq!((told.verdict, told.seconds), (verdict, seconds), "{first}");
            assert_eq!(
                alice.device().drift.shown_at(100),
                100u64.saturating_add_signed(learned),
                "{first}"
            );
        }
    }

    #[test]
    fn a_right_pair_is_used_up_also_if_it_was_good_for_nothing() {
        for steps in [-3, -15, 15] {
            let mut alice = Life::new(Kind::Totp);
            let _ = alice.pair_at(steps);
            let first = alice.ours().saturating_add_signed(steps);
            for place in [first, first + 1] {
                assert!(
                    !alice.device().spent.accepts(place, alice.ours() + 1),
                    "{steps}: {place}"
                );
            }
            for again in [steps, steps + 1] {
                assert_eq!(
                    alice.pair_at(again).verdict,
                    Verdict::AlreadyUsed,
                    "{steps}: one of them is used"
                );
            }
        }
    }

    #[test]
    fn a_wrong_pair_is_counted_and_changes_nothing_else() {
        for kind in [Kind::Totp, Kind::Hotp] {
            let mut alice = Life::new(kind);
            let before = alice.record.clone();
            let (one, other) = (alice.code(alice.ours()), alice.code(alice.ours() + 2));
            assert_eq!(alice.told(&[&one, &other]).verdict, Verdict::Rejected);
            let counted = before.unknown.wrong_pairs.one_more(&alice.moment);
            assert_eq!(alice.record.unknown.wrong_pairs, counted);
            assert_eq!(alice.record.devices, before.devices);
            assert_eq!(alice.record.unknown.budget, before.unknown.budget);
        }
    }

    #[test]
    fn it_takes_two_codes_in_one_field_or_two() {
        let mut alice = Life::new(Kind::Totp);
        let before = alice.record.clone();
        let (one, two, three) = (
            alice.code(alice.ours()),
            alice.code(alice.ours() + 1),
            alice.code(alice.ours() + 2),
        );
        for typed in [
            &[][..],
            &[""],
            &[&one],
            &[&one, &two, &three],
            &["abcd-efgh"],
        ] {
            assert_eq!(alice.told(typed).verdict, Verdict::Malformed, "{typed:?}");
        }
        assert_eq!(alice.record, before);
        assert_eq!(
            alice.told(&[&format!("{one} {two}")]).verdict,
            Verdict::Accepted
        );
    }

    #[test]
    fn nothing_is_learned_while_our_own_clock_is_in_doubt() {
        let refused = |moment: Moment| {
            let mut alice = Life {
                moment,
                ..Life::new(Kind::Totp)
            };
            let before = alice.record.clone();
            let told = alice.pair_at(-1);
            assert_eq!((told.verdict, &alice.record), (Verdict::Refused, &before));
            told.reason
        };
        let ordinary = Moment::ordinary(NOW);
        let [moved, rolled_back] = [Some(NOW - 60); 2];
        assert_eq!(
            refused(Moment {
                synchronised: false,
                ..ordinary
            }),
            Some("clock_unsynchronised")
        );
        assert_eq!(
            refused(Moment {
                doubts: Doubts {
                    moved,
                    ..Doubts::default()
                },
                ..ordinary
            }),
            Some("clock_event")
        );
        assert_eq!(
            refused(Moment {
                doubts: Doubts {
                    rolled_back,
                    ..Doubts::default()
                },
                ..ordinary
            }),
            Some("store_rolled_back")
        );
        let long_past = Doubts {
            booted: Some(NOW - 3600),
            ..Doubts::default()
        };
        assert_eq!(
            refused(Moment {
                synchronised: false,
                doubts: long_past,
                ..ordinary
            }),
            Some("clock_unsynchronised"),
            "a boot of long ago is not the reason"
        );
        let mut alice = Life::new(Kind::Totp);
        alice.moment.doubts.moved = Some(NOW - 90);
        assert_eq!(
            alice.pair_at(-3).verdict,
            Verdict::Refused,
            "codes of before"
        );
        assert_eq!(alice.pair_at(-1).verdict, Verdict::Accepted);
    }

    #[test]
    fn a_counter_is_found_among_the_next_hundred_codes_and_goes_forwards_only() {
        let mut alice = Life::new(Kind::Hotp);
        assert_eq!(
            alice.pair(99).verdict,
            Verdict::Rejected,
            "the second is the hundred and first"
        );
        let told = alice.pair(98);
        assert_eq!(
            (told.verdict, told.left_out, told.seconds),
            (Verdict::Accepted, Some(98), None)
        );
        assert_eq!(alice.device().spent.floor(), 100);
        assert_eq!(alice.pair(99).verdict, Verdict::AlreadyUsed);
        assert_eq!(
            alice.pair(98).verdict,
            Verdict::Rejected,
            "no longer looked for"
        );
        alice.moment.synchronised = false;
        assert_eq!(
            alice.pair(100).verdict,
            Verdict::Accepted,
            "it needs no clock"
        );
    }

    #[test]
    fn a_counter_that_a_store_may_have_lost_is_found_again_by_an_administrator() {
        let mut alice = Life {
            by_admin: false,
            ..Life::new(Kind::Hotp)
        };
        alice.moment.rolled_back_tick = Some(NOW - 10);
        let told = alice.pair(5);
        assert_eq!(
            (told.verdict, told.reason),
            (Verdict::Refused, Some("store_rolled_back"))
        );
        assert!(alice.moment.has_lost(alice.device().known_since));
        alice.by_admin = true;
        assert_eq!(alice.pair(5).verdict, Verdict::Accepted);
        assert!(!alice.moment.has_lost(alice.device().known_since));
    }
}
