//! The verdict. Pure: a record, what was typed and the time go in; a verdict and the next record come out.
//!
//! It holds no clock, store, socket or log. The caller makes the next record durable before it answers.

use common::config::Policy;
use common::device::DeviceName;
use common::protocol::{Ask, Verdict};
use common::secret::{Answer, Key};

use crate::drift::Drift;
use crate::record::{Device, Record};
use crate::source::Source;
use crate::throttle::Moment;

/// What an attempt is judged by, besides the record and what was typed.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The settings.
    pub policy: &'a Policy,
    /// The time.
    pub moment: Moment,
    /// Where the login comes from.
    pub source: Source,
    /// Too many wrong codes have come from there: a single one is not judged.
    pub suspect: bool,
}

/// What the person is asked for. An unknown user is asked like everyone.
#[must_use]
pub fn ask(record: Option<&Record>, now: &Circumstances<'_>) -> Ask {
    match record {
        Some(record) if !affordable(cheapest_guess(record, now), record, now) => series(record, now),
        None if now.suspect => Ask::TwoCodes,
        _ => Ask::OneCode,
    }
}

/// Whether `answer` may be judged at all. `Err` is the verdict if not; nothing is spent or charged then.
///
/// # Errors
/// The verdict on an answer that is not looked at.
pub fn admit<'a>(record: &Record, answer: Option<&'a Answer>, now: &Circumstances<'_>) -> Result<&'a Answer, Verdict> {
    if !record.has_active() {
        return Err(nobody(Some(record)));
    }
    let answer = answer.ok_or(Verdict::Malformed)?;
    let lengths = record.active().filter_map(|device| answer.codes(device.parameters.digits)).map(|codes| codes.len());
    let longest = lengths.max().ok_or(Verdict::Malformed)?;
    let affordable = answer.is_several() || affordable(price(record, answer, now), record, now);
    if affordable && longest >= codes_needed(record, answer, now) { Ok(answer) } else { Err(Verdict::TwoCodesNeeded) }
}

/// The verdict on who has no active device.
pub fn nobody(record: Option<&Record>) -> Verdict {
    if record.is_some_and(|record| record.enrolled) { Verdict::Disabled } else { Verdict::NotEnrolled }
}

/// A judged answer.
#[derive(Debug)]
#[must_use]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The device whose code it was.
    pub device: Option<DeviceName>,
    /// With `already_used`: seconds until the device shows a code that is not.
    pub retry_after: Option<u64>,
    /// Units that a wrong code cost.
    pub charged: u32,
    /// The record to store before answering, if it changed.
    pub next: Option<Record>,
}

/// Judges an admitted answer. `keys` are those of the record's active devices, in their order; all of them are
/// searched, whatever the first one says. `refund` gives back units that this login's own typos cost.
pub fn judge(record: &Record, keys: &[Key], answer: &Answer, refund: u32, now: &Circumstances<'_>) -> Judged {
    let needed = codes_needed(record, answer, now);
    let found: Vec<Match> =
        record.active().zip(keys).flat_map(|(device, key)| matches_of(device, key, answer, needed, now)).collect();
    match found.iter().min_by_key(|found| found.standing) {
        Some(best) if best.standing == Standing::Fresh => accept(record, best, refund, now),
        Some(best) if best.standing == Standing::Quarantined => Judged {
            verdict: Verdict::Refused,
            device: Some(best.device.clone()),
            retry_after: None,
            charged: 0,
            next: None,
        },
        Some(best) => already_used(record, best, now),
        None => reject(record, answer, now),
    }
}

/// A place where the answer is right: the steps it would spend, and whether it may.
struct Match {
    device: DeviceName,
    steps: Vec<u64>,
    standing: Standing,
}

/// The best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Fresh,
    Quarantined,
    Spent,
}

/// Codes that the device cannot have shown, or that are too few, are found nowhere, in the same time.
fn matches_of(device: &Device, key: &Key, answer: &Answer, needed: usize, now: &Circumstances<'_>) -> Vec<Match> {
    let codes = answer.codes(device.parameters.digits).filter(|codes| codes.len() >= needed).unwrap_or_default();
    let step = shown(device, now.moment.now);
    let reach = if answer.is_several() { SERIES_REACH } else { now.policy.window };
    let later = (codes.len() as u64).saturating_sub(1);
    let steps = step.saturating_sub(reach)..=step.saturating_add(reach).saturating_sub(later);
    let found = device.parameters.find(key, &codes, steps).into_iter();
    found
        .map(|first| {
            let steps: Vec<u64> = (first..=first.saturating_add(later)).collect();
            Match { standing: standing(device, &steps, now), device: device.name.clone(), steps }
        })
        .collect()
}

fn standing(device: &Device, steps: &[u64], now: &Circumstances<'_>) -> Standing {
    let horizon = horizon(device, now);
    if !steps.iter().all(|step| device.spent.accepts(*step, horizon)) {
        return Standing::Spent;
    }
    // Codes of the time before a roll-back may have been used in the part of the past that the store has lost.
    let event = now.moment.rolled_back_at;
    let doubtful = event.map(|event| shown(device, event).saturating_add(now.policy.window));
    match doubtful {
        Some(doubtful) if steps.iter().any(|step| *step <= doubtful) => Standing::Quarantined,
        _ => Standing::Fresh,
    }
}

/// The latest step that anyone may use now.
fn horizon(device: &Device, now: &Circumstances<'_>) -> u64 {
    shown(device, now.moment.now).saturating_add(now.policy.window)
}

/// The step that the device shows at `time`, as far as its clock is known: the middle of the window.
fn shown(device: &Device, time: u64) -> u64 {
    device.drift.shown_at(device.parameters.step_at(time))
}

fn accept(record: &Record, found: &Match, refund: u32, now: &Circumstances<'_>) -> Judged {
    let mut next = record.clone();
    if let Some(device) = next.device_mut(&found.device) {
        device.drift = learned(device, &found.steps, now);
        found.steps.iter().for_each(|step| device.spent.spend(*step));
        device.last_used = Some(now.moment.now);
    }
    let pool = next.pool_mut(now.source, now.moment.now);
    pool.budget = pool.budget.refunded(refund, now.policy, &now.moment);
    next.sources.learn(now.source, now.moment.now);
    let (verdict, device) = (Verdict::Accepted, Some(found.device.clone()));
    Judged { verdict, device, retry_after: None, charged: 0, next: Some(next) }
}

/// Where the clock may be wrong, it is no measure of the device's.
fn learned(device: &Device, found: &[u64], now: &Circumstances<'_>) -> Drift {
    let ours = device.parameters.step_at(now.moment.now);
    match found {
        _ if now
            .moment
            .rolled_back_at
            .is_some_and(|event| ours <= device.parameters.step_at(event).saturating_add(UNSURE)) =>
        {
            device.drift
        }
        [only] => device.drift.after_a_code(*only, ours),
        [.., last] => device.drift.after_a_series(*last, ours, now.policy.window),
        [] => device.drift,
    }
}

fn already_used(record: &Record, found: &Match, now: &Circumstances<'_>) -> Judged {
    let device = record.devices.iter().find(|device| device.name == found.device);
    let retry_after = device.map(|device| {
        let next = device.spent.latest(horizon(device, now)).saturating_add(1);
        device.parameters.start_of(device.drift.ours_at(next)).saturating_sub(now.moment.now).max(1)
    });
    let (verdict, device) = (Verdict::AlreadyUsed, Some(found.device.clone()));
    Judged { verdict, device, retry_after, charged: 0, next: None }
}

/// A wrong single code costs its price. Several at once cost nothing, because the odds of two are a millionth of a single
/// code's; they are counted.
fn reject(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> Judged {
    let charged = if answer.is_several() { 0 } else { price(record, answer, now) };
    let mut next = record.clone();
    let pool = next.pool_mut(now.source, now.moment.now);
    if answer.is_several() {
        pool.series = pool.series.one_more(&now.moment);
    } else {
        pool.budget = pool.budget.charged(charged, now.policy, &now.moment);
    }
    Judged { verdict: Verdict::Rejected, device: None, retry_after: None, charged, next: Some(next) }
}

/// Whether the pool pays for a guess. One that costs more than a full pool holds (six devices, a wide window) takes a full
/// pool and is paid off with time, rather than never be possible.
fn affordable(price: u32, record: &Record, now: &Circumstances<'_>) -> bool {
    if now.suspect {
        return false;
    }
    let left = record.pool(now.source, now.moment.now).budget.left(now.policy, &now.moment);
    price == 0 || (left > 0 && left >= price.min(now.policy.budget))
}

/// What is asked for when a single code will not do. Three codes only where all of them are soon there.
fn series(record: &Record, now: &Circumstances<'_>) -> Ask {
    let quick = record.active().all(|device| device.parameters.period <= QUICK_PERIOD);
    let pool = record.pool(now.source, now.moment.now);
    if quick && pool.series.are_too_many(&now.moment) { Ask::ThreeCodes } else { Ask::TwoCodes }
}

/// How many codes an answer of this kind must hold. What makes a pair too few does so while single codes are judged, too:
/// whoever guesses pairs would otherwise leave one unit in the pool.
fn codes_needed(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> usize {
    match (answer.is_several(), series(record, now)) {
        (false, _) => 1,
        (true, Ask::ThreeCodes) => 3,
        (true, Ask::OneCode | Ask::TwoCodes) => 2,
    }
}

/// One unit for each three positions compared, begun or whole: with one device and the usual window, one.
fn price(record: &Record, answer: &Answer, now: &Circumstances<'_>) -> u32 {
    units(record, |digits| answer.codes(digits).is_some(), now)
}

/// What the cheapest single code of this user would cost.
fn cheapest_guess(record: &Record, now: &Circumstances<'_>) -> u32 {
    record.lengths_of_codes().into_iter().map(|length| units(record, |digits| digits == length, now)).min().unwrap_or(0)
}

/// What it costs to compare a single code with every active device whose codes are as long.
fn units(record: &Record, fits: impl Fn(u8) -> bool, now: &Circumstances<'_>) -> u32 {
    let devices = record.active().filter(|device| fits(device.parameters.digits)).count() as u64;
    let positions = now.policy.window.saturating_mul(2).saturating_add(1).saturating_mul(devices);
    u32::try_from(positions.div_ceil(POSITIONS_PER_UNIT)).unwrap_or(u32::MAX)
}

/// Consecutive codes are searched for this many steps to either side, which also finds a device whose clock is off.
const SERIES_REACH: u64 = 10;
const POSITIONS_PER_UNIT: u64 = 3;
/// Steps after a clock or store event in which nothing is learned of a device's clock.
const UNSURE: u64 = 2;
/// Seconds. Three codes of a slower device take longer than a login may.
const QUICK_PERIOD: u32 = 30;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::secret::SecretText;
    use common::totp::{Algorithm, Parameters};

    use super::*;
    use crate::record::State;
    use crate::record::tests::{device, secrets, user};
    use crate::throttle::Pool;

    const POLICY: Policy = Policy { window: 1, budget: 5, refill: Duration::from_secs(86400) };
    const NOW: u64 = 1_234_567_890;

    /// One user's life: everything goes through the functions that the daemon calls.
    struct Life {
        record: Record,
        policy: Policy,
        moment: Moment,
        source: Source,
        suspect: bool,
    }

    impl Life {
        fn new() -> Self {
            let mut record = Record::new(&Moment { now: NOW, rolled_back_at: None });
            record.enrolled = true;
            record.devices.push(device(&user("alice"), "default", Parameters::default()));
            Self {
                record,
                policy: POLICY,
                moment: Moment { now: NOW, rolled_back_at: None },
                source: Source::Untold,
                suspect: false,
            }
        }

        fn now(&self) -> Circumstances<'_> {
            Circumstances { policy: &self.policy, moment: self.moment, source: self.source, suspect: self.suspect }
        }

        fn comes_from(&mut self, address: &str) {
            self.source = Source::told(Some(address), None);
        }

        fn keys(&self) -> Vec<Key> {
            self.record.active().map(|device| device.key(&user("alice"), &secrets()).unwrap()).collect()
        }

        /// The right code of the first device, `steps` away from now.
        fn code(&self, steps: i64) -> String {
            let parameters = self.record.devices[0].parameters;
            let step = parameters.step_at(self.moment.now).saturating_add_signed(steps);
            parameters.code_at(&Key::new(b"12345678901234567890".to_vec()).unwrap(), step).to_string()
        }

        /// A code of the same length that is wrong all around now.
        fn wrong(&self) -> String {
            let near: Vec<String> = (-12..=12).map(|steps| self.code(steps)).collect();
            (0u64..).map(|n| format!("{n:0width$}", width = near[0].len())).find(|code| !near.contains(code)).unwrap()
        }

        fn judged(&mut self, typed: &str, refund: u32) -> Judged {
            let answer = Answer::parse(&[SecretText::typed(typed.as_bytes())]);
            let judged = match admit(&self.record, answer.as_ref(), &self.now()) {
                Ok(answer) => judge(&self.record, &self.keys(), answer, refund, &self.now()),
                Err(verdict) => Judged { verdict, device: None, retry_after: None, charged: 0, next: None },
            };
            if let Some(next) = &judged.next {
                self.record = next.clone();
            }
            judged
        }

        fn verdict(&mut self, typed: &str) -> Verdict {
            self.judged(typed, 0).verdict
        }

        fn left(&self) -> u32 {
            self.record.pool(self.source, self.moment.now).budget.left(&self.policy, &self.moment)
        }

        fn ask(&self) -> Ask {
            ask(Some(&self.record), &self.now())
        }
    }

    #[test]
    fn a_code_is_accepted_once() {
        let mut alice = Life::new();
        let code = alice.code(0);
        assert_eq!(alice.verdict(&code), Verdict::Accepted);
        for again in [code.clone(), format!(" {code}"), format!("{}-{}", &code[..3], &code[3..])] {
            assert_eq!(alice.verdict(&again), Verdict::AlreadyUsed, "{again}");
        }
        assert_eq!(alice.left(), 5, "a replay costs nothing");
        assert_eq!(alice.record.devices[0].last_used, Some(NOW));
    }

    #[test]
    fn the_window_reaches_one_step_each_way() {
        for (steps, verdict) in [
            (-2, Verdict::Rejected),
            (-1, Verdict::Accepted),
            (0, Verdict::Accepted),
            (1, Verdict::Accepted),
            (2, Verdict::Rejected),
        ] {
            let mut alice = Life::new();
            let code = alice.code(steps);
            assert_eq!(alice.verdict(&code), verdict, "{steps}");
            assert_eq!(alice.left(), if verdict == Verdict::Accepted { 5 } else { 4 });
        }
    }

    #[test]
    fn an_older_code_than_the_last_one_is_already_used() {
        let mut alice = Life::new();
        let (before, now, after) = (alice.code(-1), alice.code(0), alice.code(1));
        assert_eq!(alice.verdict(&now), Verdict::Accepted);
        assert_eq!(alice.verdict(&before), Verdict::AlreadyUsed);
        assert_eq!(alice.verdict(&after), Verdict::Accepted);
    }

    #[test]
    fn who_repeats_a_code_is_told_when_the_next_one_comes() {
        let mut alice = Life::new();
        alice.moment.now = NOW / 30 * 30 + 18;
        let code = alice.code(0);
        assert_eq!(alice.verdict(&code), Verdict::Accepted);
        assert_eq!(alice.judged(&code, 0).retry_after, Some(12));
    }

    #[test]
    fn a_wrong_code_costs_a_guess_and_the_sixth_is_not_judged() {
        let mut alice = Life::new();
        let wrong = alice.wrong();
        for left in (0..5).rev() {
            assert_eq!(alice.ask(), Ask::OneCode);
            assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
            assert_eq!(alice.left(), left);
        }
        assert_eq!(alice.ask(), Ask::TwoCodes);
        let right = alice.code(0);
        for single in [&wrong, &right] {
            assert_eq!(alice.verdict(single), Verdict::TwoCodesNeeded);
        }
        let pair = format!("{right} {}", alice.code(1));
        assert_eq!(alice.verdict(&pair), Verdict::Accepted, "the right code was not spent by being refused");
        assert_eq!(alice.left(), 0, "a login gives nothing back");
        alice.moment.now += 86400;
        assert_eq!(alice.ask(), Ask::OneCode);
    }

    #[test]
    fn two_codes_must_be_consecutive_unspent_and_in_order() {
        for (first, second, verdict) in [
            (0, 1, Verdict::Accepted),
            (-10, -9, Verdict::Accepted),
            (9, 10, Verdict::Accepted),
            (-11, -10, Verdict::Rejected),
            (10, 11, Verdict::Rejected),
            (1, 0, Verdict::Rejected),
            (0, 0, Verdict::Rejected),
            (0, 2, Verdict::Rejected),
        ] {
            let mut alice = Life::new();
            let pair = alice.code(first) + &alice.code(second);
            assert_eq!(alice.verdict(&pair), verdict, "{first} {second}");
            assert_eq!(alice.left(), 5, "pairs cost nothing");
            if verdict == Verdict::Accepted {
                assert_eq!(alice.verdict(&pair), Verdict::AlreadyUsed);
                let half = alice.code(second) + &alice.code(second + 1);
                assert_ne!(alice.verdict(&half), Verdict::Accepted, "both halves were spent");
            }
        }
    }

    #[test]
    fn nobody_learns_which_half_of_a_pair_was_wrong() {
        let mut alice = Life::new();
        let (right, next, wrong) = (alice.code(0), alice.code(1), alice.wrong());
        for pair in [format!("{right}{wrong}"), format!("{wrong}{next}"), format!("{wrong}{wrong}")] {
            let judged = alice.judged(&pair, 0);
            assert_eq!((judged.verdict, judged.device, judged.retry_after), (Verdict::Rejected, None, None));
            assert!(judged.next.is_some_and(|next| next.devices == alice.record.devices), "counted, and nothing spent");
        }
    }

    #[test]
    fn what_is_no_code_of_the_users_devices_costs_nothing() {
        let mut alice = Life::new();
        for typed in ["", "abc", "12345", "1234567", "12345678", "1234567812345678"] {
            assert_eq!(alice.verdict(typed), Verdict::Malformed, "{typed:?}");
        }
        assert_eq!(alice.left(), 5);
    }

    #[test]
    fn only_active_devices_open_a_login() {
        let mut alice = Life::new();
        let code = alice.code(0);
        for state in [State::Disabled, State::Pending { expires: u64::MAX }] {
            alice.record.devices[0].state = state;
            assert_eq!(alice.verdict(&code), Verdict::Disabled);
        }
        alice.record.devices.clear();
        assert_eq!(alice.verdict(&code), Verdict::Disabled, "revoked is not the same as never enrolled");
        alice.record.enrolled = false;
        assert_eq!(alice.verdict(&code), Verdict::NotEnrolled);
        assert_eq!(ask(None, &alice.now()), Ask::OneCode);
    }

    #[test]
    fn every_device_is_searched_and_each_spends_its_own() {
        let mut alice = Life::new();
        let eight = Parameters { alg: Algorithm::Sha1, digits: 8, period: 60 };
        alice.record.devices.push(device(&user("alice"), "second", eight));
        let second = eight.code_at(&alice.keys()[1], eight.step_at(NOW)).to_string();
        let judged = alice.judged(&second, 0);
        assert_eq!((judged.verdict, judged.device.unwrap().as_str()), (Verdict::Accepted, "second"));
        let first = alice.code(0);
        assert_eq!(alice.verdict(&first), Verdict::Accepted);
    }

    #[test]
    fn a_guess_costs_a_unit_for_each_three_positions() {
        let mut alice = Life::new();
        alice.record.devices.push(device(&user("alice"), "second", Parameters::default()));
        let wrong = alice.wrong();
        for left in [3, 1] {
            assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
            assert_eq!(alice.left(), left);
        }
        assert_eq!(alice.verdict(&wrong), Verdict::TwoCodesNeeded, "one unit does not pay for two devices");
        assert_eq!(alice.ask(), Ask::TwoCodes);
        alice.moment.now += 86400;
        assert_eq!(alice.left(), 2);
        assert_eq!(alice.ask(), Ask::OneCode);
        let mut carol = Life::new();
        for name in ["2", "3", "4", "5", "6"] {
            carol.record.devices.push(device(&user("alice"), name, Parameters::default()));
        }
        assert_eq!(carol.ask(), Ask::OneCode, "many devices do not cost their owner the single code");
        let wrong = carol.wrong();
        assert_eq!((carol.judged(&wrong, 0).charged, carol.left()), (6, 0));
        carol.moment.now += 5 * 86400;
        assert_eq!((carol.left(), carol.ask()), (4, Ask::TwoCodes), "the sixth unit is paid off");
        carol.moment.now += 86400;
        assert_eq!(carol.ask(), Ask::OneCode);
        let mut bob = Life::new();
        bob.policy.window = 2;
        let wrong = bob.wrong();
        assert_eq!(bob.judged(&wrong, 0).charged, 2);
    }

    #[test]
    fn a_login_gives_back_its_own_typos() {
        let mut alice = Life::new();
        let (wrong, right) = (alice.wrong(), alice.code(0));
        let cost = alice.judged(&wrong, 0).charged;
        assert_eq!((alice.judged(&right, cost).verdict, alice.left()), (Verdict::Accepted, 5));
    }

    #[test]
    fn strangers_do_not_use_up_the_guesses_of_whom_the_owner_logs_in_from() {
        let mut alice = Life::new();
        alice.comes_from("192.0.2.1");
        let (first, wrong) = (alice.code(0), alice.wrong());
        assert_eq!(alice.verdict(&first), Verdict::Accepted);
        alice.comes_from("203.0.113.9");
        for _ in 0..6 {
            let _ = alice.verdict(&wrong);
        }
        assert_eq!((alice.left(), alice.ask()), (0, Ask::TwoCodes));
        alice.comes_from("192.0.2.1");
        let next = alice.code(1);
        assert_eq!((alice.left(), alice.ask(), alice.verdict(&next)), (5, Ask::OneCode, Verdict::Accepted));
        assert_eq!((alice.verdict(&wrong), alice.left()), (Verdict::Rejected, 4), "each pool pays for its own");
        alice.moment.now += 31 * 86400;
        assert_eq!(alice.left(), 5, "after a month the address is like any other, and the stranger's guesses are back");
        alice.source = Source::Untold;
        assert_eq!(alice.left(), 5);
    }

    #[test]
    fn a_suspect_source_is_asked_for_two_codes_and_charged_nothing() {
        let mut alice = Life::new();
        alice.suspect = true;
        let (wrong, right) = (alice.wrong(), alice.code(0));
        assert_eq!((alice.ask(), ask(None, &alice.now())), (Ask::TwoCodes, Ask::TwoCodes));
        for single in [&wrong, &right] {
            assert_eq!(alice.verdict(single), Verdict::TwoCodesNeeded);
        }
        assert_eq!(alice.left(), 5);
        assert_eq!(alice.verdict(&format!("{right}{}", alice.code(1))), Verdict::Accepted, "never refused");
    }

    #[test]
    fn after_a_thousand_wrong_pairs_three_codes_are_asked_for() {
        let mut alice = Life::new();
        let wrong = alice.wrong();
        let (pair, three) = (wrong.clone() + &wrong, wrong.clone() + &wrong + &wrong);
        for _ in 0..999 {
            assert_eq!(alice.verdict(&pair), Verdict::Rejected);
        }
        assert_eq!(alice.verdict(&three), Verdict::Rejected);
        let pair = alice.code(0) + &alice.code(1);
        assert_eq!(alice.verdict(&pair), Verdict::TwoCodesNeeded, "even the right pair");
        assert_eq!(alice.ask(), Ask::OneCode, "single codes are paid for by themselves");
        for _ in 0..5 {
            let _ = alice.verdict(&wrong);
        }
        assert_eq!(alice.ask(), Ask::ThreeCodes);
        let disorder = alice.code(0) + &alice.code(2) + &alice.code(1);
        assert_eq!(alice.verdict(&disorder), Verdict::Rejected);
        let three = alice.code(0) + &alice.code(1) + &alice.code(2);
        assert_eq!(alice.verdict(&three), Verdict::Accepted);
        assert_eq!(alice.verdict(&three), Verdict::AlreadyUsed);
        alice.moment.now += 2 * 86400;
        let pair = alice.code(3) + &alice.code(4);
        assert_eq!(alice.verdict(&pair), Verdict::Accepted, "half of them are forgotten each day");
    }

    #[test]
    fn slow_devices_are_not_asked_for_three_codes() {
        let mut alice = Life::new();
        let slow = Parameters { period: 60, ..Parameters::default() };
        alice.record.devices = vec![device(&user("alice"), "default", slow)];
        alice.policy.budget = 0;
        let pair = alice.wrong() + &alice.wrong();
        for _ in 0..1001 {
            assert_eq!(alice.verdict(&pair), Verdict::Rejected);
        }
        assert_eq!(alice.ask(), Ask::TwoCodes);
        let pair = alice.code(0) + &alice.code(1);
        assert_eq!(alice.verdict(&pair), Verdict::Accepted);
    }

    #[test]
    fn more_codes_than_are_needed_are_as_good() {
        let mut alice = Life::new();
        let three = alice.code(-1) + &alice.code(0) + &alice.code(1);
        assert_eq!(alice.verdict(&three), Verdict::Accepted);
        for steps in -1..=1 {
            let code = alice.code(steps);
            assert_eq!(alice.verdict(&code), Verdict::AlreadyUsed, "{steps}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_every_time_is_followed_and_the_window_gets_no_wider() {
        let mut alice = Life::new();
        for login in 0..6u64 {
            alice.moment.now = NOW + login * 300;
            let ahead = alice.code(1 + i64::try_from(login.saturating_sub(1).min(4)).unwrap());
            assert_eq!(alice.verdict(&ahead), Verdict::Accepted, "login {login}");
        }
        alice.moment.now = NOW + 3000;
        for (steps, verdict) in [(6, Verdict::Rejected), (2, Verdict::Rejected), (3, Verdict::Accepted)] {
            let code = alice.code(steps);
            assert_eq!(alice.verdict(&code), verdict, "{steps} ahead");
        }
        let mut late = Life::new();
        let pair = late.code(-7) + &late.code(-6);
        assert_eq!(late.verdict(&pair), Verdict::Accepted);
        late.moment.now = NOW + 3000;
        let code = late.code(-5);
        assert_eq!(late.verdict(&code), Verdict::Accepted, "two minutes is as far as it goes, and the window");
    }

    #[test]
    fn of_a_device_that_is_ahead_the_next_code_comes_sooner() {
        let mut alice = Life::new();
        let pair = alice.code(2) + &alice.code(3);
        assert_eq!(alice.verdict(&pair), Verdict::Accepted);
        alice.moment.now = NOW / 30 * 30 + 18;
        let code = alice.code(3);
        assert_eq!(alice.judged(&code, 0).retry_after, Some(12));
    }

    #[test]
    fn after_a_roll_back_older_codes_are_refused_and_the_owner_is_in_within_two_periods() {
        let mut alice = Life::new();
        alice.moment.rolled_back_at = Some(NOW);
        assert_eq!(alice.ask(), Ask::TwoCodes, "nobody knows how many guesses were used");
        let pair = alice.code(-1) + &alice.code(0);
        assert_eq!(alice.verdict(&pair), Verdict::Refused);
        alice.record.unknown = Pool::full(&alice.moment);
        for steps in [-1, 0, 1] {
            let code = alice.code(steps);
            assert_eq!(alice.verdict(&code), Verdict::Refused, "{steps}");
        }
        assert_eq!(alice.left(), 5);
        alice.moment.now = NOW + 60;
        let code = alice.code(0);
        assert_eq!(alice.verdict(&code), Verdict::Accepted);
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        for now in [0, 29, u64::MAX] {
            let mut alice = Life::new();
            alice.moment.now = now;
            let (code, pair) = (alice.code(0), alice.code(0) + &alice.code(1));
            for typed in [code, pair] {
                let _ = alice.verdict(&typed);
            }
        }
    }
}
