//! Tests of the verdict: single use, pairs, lengths of codes, what a login brings.

mod clocks;
mod counters;
mod guesses;
mod strictly;

use std::time::Duration;

use common::secret::SecretText;
use common::totp::{Algorithm, Parameters};
use proptest::prelude::*;

use super::*;
use crate::clock::doubt::Doubts;
use crate::record::State;
use crate::record::budget::Pool;
use crate::record::spent::SpentSteps;
use crate::record::tests::{device, device_of, secrets, user};

const POLICY: Policy = Policy {
    window: 1,
    budget: 5,
    refill: Duration::from_secs(86400),
    strict: false,
};
const NOW: u64 = 1_234_567_890;
const NONE: u32 = 0;

/// One user's record over time. All attempts go through the functions that the daemon calls.
struct Life {
    record: Record,
    policy: Policy,
    moment: Moment,
    source: Source,
    service: &'static str,
    suspect: bool,
}

impl Life {
    fn new() -> Self {
        let mut record = Record::new(&Moment::ordinary(NOW));
        record.enrolled = true;
        record
            .devices
            .push(device(&user("alice"), "default", Parameters::default()));
        let (policy, moment, source) = (POLICY, Moment::ordinary(NOW), Source::Untold);
        Self {
            record,
            policy,
            moment,
            source,
            service: "sshd",
            suspect: false,
        }
    }

    fn now(&self) -> Circumstances<'_> {
        let Self {
            moment,
            source,
            service,
            suspect,
            ..
        } = *self;
        Circumstances {
            policy: &self.policy,
            moment,
            source,
            service,
            suspect,
        }
    }

    /// Time passes on every clock.
    fn pass(&mut self, seconds: u64) {
        self.moment.now += seconds;
        self.moment.tick += seconds;
    }

    fn comes_from(&mut self, address: &str) {
        self.source = Source::told(Some(address), None);
    }

    fn keys(&self) -> Vec<Key> {
        self.record
            .usable(self.moment.now, self.service)
            .map(|device| device.key(&user("alice"), &secrets()).unwrap())
            .collect()
    }

    /// The right code of the first device, `steps` away from now.
    fn code(&self, steps: i64) -> String {
        let parameters = self.record.devices[0].parameters;
        let step = parameters
            .step_at(self.moment.now)
            .saturating_add_signed(steps);
        parameters
            .code_at(&Key::new(b"12345678901234567890".to_vec()).unwrap(), step)
            .to_string()
    }

    /// A code of the same length that is wrong at all steps near now.
    fn wrong(&self) -> String {
        let near: Vec<String> = (-12..=12).map(|steps| self.code(steps)).collect();
        (0u64..)
            .map(|n| format!("{n:0width$}", width = near[0].len()))
            .find(|code| !near.contains(code))
            .unwrap()
    }

    fn judged(&mut self, typed: &str, refund: u32) -> Judged {
        self.judged_after(
            typed,
            Earlier {
                refund,
                repeated: false,
            },
        )
    }

    fn judged_after(&mut self, typed: &str, earlier: Earlier) -> Judged {
        let answer = Answer::parse(&[SecretText::typed(typed.as_bytes())]);
        let judged = match admit(&self.record, answer.as_ref(), earlier.repeated, &self.now()) {
            Ok(answer) => judge(&self.record, &self.keys(), answer, earlier, &self.now()),
            Err(verdict) => Judged::unlooked(verdict),
        };
        if let Some(next) = &judged.next {
            self.record = next.clone();
        }
        judged
    }

    fn verdict(&mut self, typed: &str) -> Verdict {
        self.judged(typed, NONE).verdict
    }

    /// The verdict on two consecutive codes, of which the first is `steps` away from now.
    fn verdict_of_pair(&mut self, steps: i64) -> Verdict {
        let pair = self.code(steps) + &self.code(steps + 1);
        self.verdict(&pair)
    }

    fn left(&self) -> u32 {
        self.record
            .pool(self.source, self.moment.now)
            .budget
            .left(&self.policy, &self.moment)
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
    for again in [
        code.clone(),
        format!(" {code}"),
        format!("{}-{}", &code[..3], &code[3..]),
    ] {
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
        assert_eq!(
            alice.left(),
            if verdict == Verdict::Accepted { 5 } else { 4 }
        );
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
    assert_eq!(alice.judged(&code, NONE).retry_after, Some(12));
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
    assert_eq!(
        alice.verdict(&pair),
        Verdict::Accepted,
        "the right code was not spent by being refused"
    );
    assert_eq!(alice.left(), 0, "a login gives nothing back");
    alice.pass(86400);
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
            assert_ne!(
                alice.verdict(&half),
                Verdict::Accepted,
                "both halves were spent"
            );
        }
    }
}

#[test]
fn nobody_learns_which_half_of_a_pair_was_wrong() {
    let mut alice = Life::new();
    let (right, next, wrong) = (alice.code(0), alice.code(1), alice.wrong());
    for pair in [
        format!("{right}{wrong}"),
        format!("{wrong}{next}"),
        format!("{wrong}{wrong}"),
    ] {
        let judged = alice.judged(&pair, NONE);
        assert_eq!(
            (judged.verdict, judged.device, judged.retry_after),
            (Verdict::Rejected, None, None)
        );
        assert!(
            judged
                .next
                .is_some_and(|next| next.devices == alice.record.devices),
            "counted, and nothing spent"
        );
    }
}

#[test]
fn what_is_no_code_of_the_users_devices_costs_nothing() {
    let mut alice = Life::new();
    for typed in [
        "",
        "abc",
        "12345",
        "1234567",
        "12345678",
        "1234567812345678",
    ] {
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
    assert_eq!(
        alice.verdict(&code),
        Verdict::Disabled,
        "revoked is not the same as never enrolled"
    );
    alice.record.enrolled = false;
    assert_eq!(alice.verdict(&code), Verdict::NotEnrolled);
    assert_eq!(ask(None, &alice.now()), Ask::OneCode);
}

#[test]
fn every_device_is_searched_and_each_spends_its_own() {
    let mut alice = Life::new();
    let eight = Parameters {
        alg: Algorithm::Sha1,
        digits: 8,
        period: 60,
    };
    alice
        .record
        .devices
        .push(device(&user("alice"), "second", eight));
    let second = eight
        .code_at(&alice.keys()[1], eight.step_at(NOW))
        .to_string();
    let judged = alice.judged(&second, NONE);
    assert_eq!(
        (judged.verdict, judged.device.unwrap().as_str()),
        (Verdict::Accepted, "second")
    );
    let first = alice.code(0);
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
}

/// A record should not hold one key twice, but it can: the daemon cannot compare a key that does
/// not open.
#[test]
fn one_code_opens_one_login_also_if_two_devices_have_the_same_key() {
    let mut alice = Life::new();
    alice
        .record
        .devices
        .push(device(&user("alice"), "again", Parameters::default()));
    let (right, pair) = (alice.code(0), [alice.code(1), alice.code(2)]);
    assert_eq!(
        [alice.verdict(&right), alice.verdict(&right)],
        [Verdict::Accepted, Verdict::AlreadyUsed]
    );
    assert_eq!(alice.verdict(&pair.concat()), Verdict::Accepted);
    for code in pair {
        assert_eq!(alice.verdict(&code), Verdict::AlreadyUsed);
    }
    alice.pass(120);
    // One of them has used the first code of a pair before.
    let [first, second] = [alice.code(0), alice.code(1)];
    let step = Parameters::default().step_at(alice.moment.now);
    alice.record.devices[1].spend(&[step]);
    assert_eq!(
        alice.verdict(&format!("{first}{second}")),
        Verdict::Accepted
    );
    alice.pass(30);
    assert_eq!(alice.verdict(&second), Verdict::AlreadyUsed);
}

#[test]
fn one_code_opens_one_login_also_if_a_device_shows_it_twice_in_a_row() {
    let mut alice = Life::new();
    alice.pass(Parameters::default().start_of(47_079_327) - NOW);
    let code = alice.code(0);
    assert_eq!(code, alice.code(1), "a code of RFC 4226's key");
    assert_eq!(
        [alice.verdict(&code), alice.verdict(&code)],
        [Verdict::Accepted, Verdict::AlreadyUsed]
    );
    alice.pass(30);
    assert_eq!(alice.verdict(&code), Verdict::AlreadyUsed);
    alice.pass(30);
    let next = alice.code(0);
    assert_eq!(alice.verdict(&next), Verdict::Accepted);
}
