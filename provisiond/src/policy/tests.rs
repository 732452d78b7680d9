use std::time::Duration;

use common::secret::SecretText;
use common::totp::{Algorithm, Parameters};
use proptest::prelude::*;

use super::*;
use crate::clock::mark::{Doubt, Doubted};
use crate::record::State;
use crate::record::tests::{device, device_of, secrets, user};
use crate::spent::SpentSteps;
use crate::throttle::Pool;

const POLICY: Policy = Policy { window: 1, budget: 5, refill: Duration::from_secs(86400), strict: false };
const NOW: u64 = 1_234_567_890;
const NONE: Units = Units { known: 0, unknown: 0 };

/// One user's life: everything goes through the functions that the daemon calls.
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
        record.devices.push(device(&user("alice"), "default", Parameters::default()));
        let (policy, moment, source) = (POLICY, Moment::ordinary(NOW), Source::Untold);
        Self { record, policy, moment, source, service: "sshd", suspect: false }
    }

    fn now(&self) -> Circumstances<'_> {
        let Self { moment, source, service, suspect, .. } = *self;
        Circumstances { policy: &self.policy, moment, source, service, suspect }
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
        let step = parameters.step_at(self.moment.now).saturating_add_signed(steps);
        parameters.code_at(&Key::new(b"12345678901234567890".to_vec()).unwrap(), step).to_string()
    }

    /// A code of the same length that is wrong all around now.
    fn wrong(&self) -> String {
        let near: Vec<String> = (-12..=12).map(|steps| self.code(steps)).collect();
        (0u64..).map(|n| format!("{n:0width$}", width = near[0].len())).find(|code| !near.contains(code)).unwrap()
    }

    fn judged(&mut self, typed: &str, refund: Units) -> Judged {
        let answer = Answer::parse(&[SecretText::typed(typed.as_bytes())]);
        let judged = match admit(&self.record, answer.as_ref(), &self.now()) {
            Ok(answer) => judge(&self.record, &self.keys(), answer, refund, &self.now()),
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
    assert_eq!(alice.verdict(&pair), Verdict::Accepted, "the right code was not spent by being refused");
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
            assert_ne!(alice.verdict(&half), Verdict::Accepted, "both halves were spent");
        }
    }
}

#[test]
fn nobody_learns_which_half_of_a_pair_was_wrong() {
    let mut alice = Life::new();
    let (right, next, wrong) = (alice.code(0), alice.code(1), alice.wrong());
    for pair in [format!("{right}{wrong}"), format!("{wrong}{next}"), format!("{wrong}{wrong}")] {
        let judged = alice.judged(&pair, NONE);
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
    let judged = alice.judged(&second, NONE);
    assert_eq!((judged.verdict, judged.device.unwrap().as_str()), (Verdict::Accepted, "second"));
    let first = alice.code(0);
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
}

/// It should not be there twice, and can be: while a key does not open, nobody can tell that it is the same.
#[test]
fn one_code_opens_one_login_also_if_two_devices_have_the_same_key() {
    let mut alice = Life::new();
    alice.record.devices.push(device(&user("alice"), "again", Parameters::default()));
    let (right, pair) = (alice.code(0), [alice.code(1), alice.code(2)]);
    assert_eq!([alice.verdict(&right), alice.verdict(&right)], [Verdict::Accepted, Verdict::AlreadyUsed]);
    assert_eq!(alice.verdict(&pair.concat()), Verdict::Accepted);
    for code in pair {
        assert_eq!(alice.verdict(&code), Verdict::AlreadyUsed);
    }
    alice.pass(120);
    // One of them has used the first code of a pair before.
    let [first, second] = [alice.code(0), alice.code(1)];
    let step = Parameters::default().step_at(alice.moment.now);
    alice.record.devices[1].spend(&[step]);
    assert_eq!(alice.verdict(&format!("{first}{second}")), Verdict::Accepted);
    alice.pass(30);
    assert_eq!(alice.verdict(&second), Verdict::AlreadyUsed);
}

#[test]
fn one_code_opens_one_login_also_if_a_device_shows_it_twice_in_a_row() {
    let mut alice = Life::new();
    alice.pass(Parameters::default().start_of(47_079_327) - NOW);
    let code = alice.code(0);
    assert_eq!(code, alice.code(1), "a code of RFC 4226's key");
    assert_eq!([alice.verdict(&code), alice.verdict(&code)], [Verdict::Accepted, Verdict::AlreadyUsed]);
    alice.pass(30);
    assert_eq!(alice.verdict(&code), Verdict::AlreadyUsed);
    alice.pass(30);
    let next = alice.code(0);
    assert_eq!(alice.verdict(&next), Verdict::Accepted);
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
    alice.pass(86400);
    assert_eq!(alice.left(), 2);
    assert_eq!(alice.ask(), Ask::OneCode);
    let mut carol = Life::new();
    for name in ["2", "3", "4", "5", "6"] {
        carol.record.devices.push(device(&user("alice"), name, Parameters::default()));
    }
    assert_eq!(carol.ask(), Ask::OneCode, "many devices do not cost their owner the single code");
    let wrong = carol.wrong();
    assert_eq!((carol.judged(&wrong, NONE).charged.unknown, carol.left()), (6, 0));
    carol.pass(5 * 86400);
    assert_eq!((carol.left(), carol.ask()), (4, Ask::TwoCodes), "the sixth unit is paid off");
    carol.pass(86400);
    assert_eq!(carol.ask(), Ask::OneCode);
    let mut bob = Life::new();
    bob.policy.window = 2;
    let wrong = bob.wrong();
    assert_eq!(bob.judged(&wrong, NONE).charged.unknown, 2);
}

#[test]
fn who_has_devices_of_several_lengths_is_asked_for_what_is_enough_of_any() {
    let mut alice = Life::new();
    let eight = Parameters { digits: 8, ..Parameters::default() };
    for (name, parameters) in [("second", Parameters::default()), ("long", eight)] {
        alice.record.devices.push(device(&user("alice"), name, parameters));
    }
    let wrong = alice.wrong();
    for _ in 0..2 {
        assert_eq!((alice.ask(), alice.verdict(&wrong)), (Ask::OneCode, Verdict::Rejected));
    }
    assert_eq!((alice.left(), alice.ask()), (1, Ask::TwoCodes), "one unit does not pay for a code of six digits");
    let long = eight.code_at(&alice.keys()[2], eight.step_at(NOW)).to_string();
    assert_eq!(alice.verdict(&long), Verdict::Accepted, "for one of eight it does");
}

#[test]
fn a_login_gives_back_its_own_typos() {
    let mut alice = Life::new();
    let (wrong, right) = (alice.wrong(), alice.code(0));
    let cost = alice.judged(&wrong, NONE).charged;
    assert_eq!((alice.judged(&right, cost).verdict, alice.left()), (Verdict::Accepted, 5));
}

#[test]
fn typos_come_back_to_the_pool_that_paid_for_them_wherever_the_login_comes_from() {
    let mut alice = Life::new();
    let (first, wrong) = (alice.code(-1), alice.wrong());
    alice.comes_from("192.0.2.1");
    assert_eq!(alice.verdict(&first), Verdict::Accepted);
    for _ in 0..3 {
        let _ = alice.verdict(&wrong);
    }
    alice.comes_from("203.0.113.9");
    for _ in 0..2 {
        let _ = alice.verdict(&wrong);
    }
    let cost = alice.judged(&wrong, NONE).charged;
    assert_eq!((cost, alice.left()), (Units { known: 0, unknown: 1 }, 2));
    alice.comes_from("192.0.2.1");
    let right = alice.code(0);
    assert_eq!((alice.judged(&right, cost).verdict, alice.left()), (Verdict::Accepted, 2), "it had not paid");
    alice.source = Source::Untold;
    assert_eq!(alice.left(), 3);
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
    alice.pass(31 * 86400);
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
    alice.pass(2 * 86400);
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
    assert_eq!(alice.judged(&code, NONE).retry_after, Some(12));
}

#[test]
fn after_a_roll_back_older_codes_are_refused_and_the_owner_is_in_within_two_periods() {
    let mut alice = Life::new();
    alice.moment.rolled_back_tick = Some(NOW);
    alice.moment.doubt = Some(Doubt { at: NOW, of: Doubted::Store, lost: NOW });
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

/// The store as it is now is put back, and nothing else is known of what comes in between than the latest step spent.
fn with_a_lost_past(alice: &mut Life, past: impl FnOnce(&mut Life)) -> Life {
    let before = alice.record.clone();
    past(alice);
    let (now, tick, lost) = (alice.moment.now, alice.moment.tick, alice.record.latest_spent());
    let doubt = Some(Doubt { at: now, of: Doubted::Store, lost });
    let moment = Moment { doubt, rolled_back_tick: Some(tick), ..Moment::ordinary(now) };
    Life { record: before, moment, ..Life::new() }
}

/// Two codes in a row, the first of which the device shows when ours is `step`.
fn pair_of(alice: &Life, step: u64) -> String {
    let steps = step.checked_signed_diff(alice.moment.now / 30).unwrap();
    alice.code(steps) + &alice.code(steps + 1)
}

#[test]
fn after_a_roll_back_no_code_comes_again_that_was_used_ahead_and_the_owner_is_in_with_the_first_one_after_it() {
    let learns = |alice: &mut Life| {
        assert_eq!(alice.verdict(&pair_of(alice, NOW / 30 + 3)), Verdict::Accepted);
        alice.pass(300);
        assert_eq!(alice.verdict(&alice.code(5)), Verdict::Accepted, "four steps are known, and one is the window");
    };
    let far = |alice: &mut Life| {
        learns(alice);
        alice.pass(300);
        assert_eq!(alice.verdict(&pair_of(alice, alice.moment.now / 30 + 13)), Verdict::Accepted);
    };
    let ahead = |alice: &mut Life| {
        alice.pass(600);
        assert_eq!(alice.verdict(&alice.code(1)), Verdict::Accepted);
        alice.moment.now -= 300;
    };
    for (past, furthest) in [(&learns as &dyn Fn(&mut Life), 5), (&far, 14), (&ahead, 11)] {
        let mut alice = with_a_lost_past(&mut Life::new(), past);
        let last = alice.moment.now / 30 + furthest;
        for _ in 0..=furthest + 12 {
            for first in [last - 1, last] {
                assert_ne!(alice.verdict(&pair_of(&alice, first)), Verdict::Accepted, "{furthest}");
            }
            alice.pass(30);
        }
        let mut owner = with_a_lost_past(&mut Life::new(), past);
        owner.pass(30 * furthest);
        assert_eq!(owner.verdict(&pair_of(&owner, last)), Verdict::Refused, "{furthest}");
        assert_eq!(owner.verdict(&pair_of(&owner, last + 1)), Verdict::Accepted, "{furthest}");
    }
    let mut as_far_ahead = with_a_lost_past(&mut Life::new(), learns);
    as_far_ahead.pass(60);
    assert_eq!(as_far_ahead.verdict(&pair_of(&as_far_ahead, NOW / 30 + 16)), Verdict::Accepted, "within two periods");
}

#[test]
fn a_clock_that_ran_a_year_ahead_before_a_roll_back_keeps_nobody_out_for_longer_than_fourteen_steps() {
    let mut alice = with_a_lost_past(&mut Life::new(), |alice| {
        alice.moment.now = NOW + 31_536_000;
        assert_eq!(alice.verdict(&alice.code(0)), Verdict::Accepted);
        alice.moment.now = NOW;
    });
    alice.pass(14 * 30);
    assert_eq!(alice.verdict(&pair_of(&alice, NOW / 30 + 14)), Verdict::Refused);
    assert_eq!(alice.verdict(&pair_of(&alice, NOW / 30 + 15)), Verdict::Accepted);
}

/// Alice with a device that counts, of which `used` codes are used up.
fn counting(used: u64) -> Life {
    let mut alice = Life::new();
    let device = device_of(Kind::Hotp, &user("alice"), "default", Parameters::default());
    alice.record.devices = vec![Device { spent: SpentSteps::default().with_floor(used), ..device }];
    alice
}

#[test]
fn codes_that_are_counted_are_those_of_rfc_4226_and_each_opens_one_login() {
    let mut alice = counting(0);
    for code in APPENDIX_D {
        assert_eq!(alice.verdict(code), Verdict::Accepted, "{code}");
        let judged = alice.judged(code, NONE);
        assert_eq!((judged.verdict, judged.retry_after), (Verdict::AlreadyUsed, None), "{code}");
    }
    assert_eq!(alice.left(), 5);
    assert_eq!(alice.verdict(APPENDIX_D[8]), Verdict::Rejected, "older ones are not looked for");
}

#[test]
fn a_counter_looks_three_codes_ahead_and_ten_with_two_in_a_row() {
    for (ahead, verdict) in [(0, Verdict::Accepted), (2, Verdict::Accepted), (3, Verdict::Rejected)] {
        let mut alice = counting(1);
        assert_eq!(alice.verdict(APPENDIX_D[1 + ahead]), verdict, "{ahead}");
        assert_eq!(alice.left(), if verdict == Verdict::Accepted { 5 } else { 4 }, "one unit, as with a clock");
    }
    let pair = APPENDIX_D[8].to_owned() + APPENDIX_D[9];
    for (used, verdict) in [(0, Verdict::Accepted), (8, Verdict::Accepted), (9, Verdict::AlreadyUsed)] {
        assert_eq!(counting(used).verdict(&pair), verdict, "{used}");
    }
    let mut alice = counting(0);
    assert_eq!(alice.verdict(&(APPENDIX_D[9].to_owned() + APPENDIX_D[8])), Verdict::Rejected, "out of order");
    assert_eq!(alice.verdict(&pair), Verdict::Accepted);
    for code in APPENDIX_D {
        assert_ne!(alice.verdict(code), Verdict::Accepted, "what was left out is used up, too: {code}");
    }
}

#[test]
fn a_wrong_code_does_not_move_a_counter_and_no_clock_does() {
    let mut alice = counting(3);
    let before = alice.record.devices.clone();
    let wrong = alice.wrong();
    for now in [0, NOW, u64::MAX] {
        alice.moment.now = now;
        assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
    }
    assert_eq!(alice.record.devices, before);
    alice.moment.now = NOW;
    assert_eq!(alice.verdict(APPENDIX_D[3]), Verdict::Accepted);
    assert_eq!(alice.record.devices[0].drift, before[0].drift);
}

#[test]
fn a_counter_from_before_a_roll_back_opens_nothing() {
    let mut alice = counting(3);
    alice.moment.rolled_back_tick = Some(NOW - 86400 * 9);
    alice.record.unknown = Pool::full(&alice.moment);
    assert_eq!(alice.verdict(APPENDIX_D[4]), Verdict::Refused);
    alice.record.devices[0].known_since = NOW - 86400;
    assert_eq!(alice.verdict(APPENDIX_D[4]), Verdict::Accepted, "enrolled since");
}

/// RFC 4226, Appendix D: the codes of the counters 0 to 9.
const APPENDIX_D: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

#[test]
fn after_a_clock_event_older_codes_are_refused_no_guess_is_lost_and_the_owner_is_in_within_two_periods() {
    let mut alice = Life::new();
    alice.pass(10);
    alice.moment.doubt = Some(Doubt { at: NOW + 10, of: Doubted::Clock, lost: 0 });
    assert_eq!((alice.ask(), alice.left()), (Ask::OneCode, 5));
    let old: Vec<String> = (-1..=1).map(|steps| alice.code(steps)).collect();
    for typed in old.iter().chain([&(old[0].clone() + &old[1])]) {
        assert_eq!(alice.verdict(typed), Verdict::Refused, "{typed}");
    }
    alice.pass(50);
    let code = alice.code(0);
    assert_eq!(alice.verdict(&code), Verdict::Accepted);
    assert_eq!(alice.left(), 5);
    for typed in old {
        assert_ne!(alice.verdict(&typed), Verdict::Accepted);
    }
}

#[test]
fn a_clock_that_is_set_gives_no_guess_back_and_takes_none() {
    let mut alice = Life::new();
    let wrong = alice.wrong();
    for _ in 0..3 {
        assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
    }
    for (now, left) in [(NOW + 864_000, 2), (NOW - 864_000, 2), (0, 2), (NOW, 2)] {
        alice.moment.now = now;
        assert_eq!(alice.left(), left, "{now}");
    }
    alice.moment.tick += 86400;
    assert_eq!(alice.left(), 3);
}

#[test]
fn after_a_login_an_hour_ahead_and_the_correction_its_code_opens_nothing_for_ever() {
    let mut alice = Life::new();
    // Outside the window a replay is a wrong code like any other.
    alice.policy.budget = 1000;
    alice.moment.now = NOW + 3600;
    let ahead = alice.code(0);
    assert_eq!(alice.verdict(&ahead), Verdict::Accepted);
    alice.moment.now = NOW;
    let mut logins = 0;
    for _ in 0..202 {
        let code = alice.code(0);
        logins += u32::from(alice.verdict(&code) == Verdict::Accepted);
        assert_ne!(alice.verdict(&ahead), Verdict::Accepted);
        alice.pass(30);
    }
    assert_eq!(logins, 200, "all but the code that was used ahead and the one before it");
    alice.moment.now = NOW + 3600;
    assert_eq!(alice.verdict(&ahead), Verdict::AlreadyUsed);
}

#[test]
fn nothing_is_learned_of_a_device_while_our_own_clock_is_not_synchronised() {
    for (synchronised, verdict) in [(false, Verdict::Rejected), (true, Verdict::Accepted)] {
        let mut alice = Life::new();
        alice.moment.synchronised = synchronised;
        let pair = alice.code(3) + &alice.code(4);
        assert_eq!(alice.verdict(&pair), Verdict::Accepted, "it lets in all the same");
        alice.pass(300);
        let code = alice.code(4);
        assert_eq!(alice.verdict(&code), verdict);
    }
}

proptest! {
    /// Whatever the clock does, and whether it is noticed or not.
    #[test]
    fn no_step_opens_two_logins(moves in prop::collection::vec((-5000i64..5000, -10i64..=10, any::<bool>()), 1..150)) {
        let mut alice = Life::new();
        // So long that no two codes are the same.
        let ten = Parameters { digits: 10, ..Parameters::default() };
        alice.record.devices = vec![device(&user("alice"), "default", ten)];
        let mut opened = Vec::new();
        for (seconds, steps, noticed) in moves {
            alice.moment.now = alice.moment.now.saturating_add_signed(seconds);
            if noticed {
                alice.moment.doubt = Some(Doubt { at: alice.moment.now, of: Doubted::Clock, lost: 0 });
            }
            let first = ten.step_at(alice.moment.now).saturating_add_signed(steps);
            for typed in [alice.code(steps), alice.code(steps) + &alice.code(steps + 1)] {
                let codes = typed.len() as u64 / 10;
                if alice.verdict(&typed) == Verdict::Accepted {
                    opened.extend(first..first + codes);
                }
            }
        }
        let count = opened.len();
        opened.sort_unstable();
        opened.dedup();
        prop_assert_eq!(opened.len(), count);
    }
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

/// As the letter of SP 800-63B-4 has it, with as many guesses as there can be.
fn strictly() -> Life {
    Life { policy: Policy { budget: 1000, strict: true, ..POLICY }, ..Life::new() }
}

#[test]
fn where_the_settings_are_strict_the_hundredth_wrong_answer_in_a_row_disables_the_device() {
    let mut alice = strictly();
    let (right, wrong) = (alice.code(0), alice.wrong());
    let pair = format!("{wrong} {wrong}");
    assert_eq!(alice.verdict(&right), Verdict::Accepted);
    for typed in std::iter::repeat_n(&wrong, 50).chain(std::iter::repeat_n(&pair, 49)) {
        let judged = alice.judged(typed, NONE);
        assert_eq!((judged.verdict, judged.disabled), (Verdict::Rejected, Vec::new()));
    }
    for (typed, verdict) in [(right.as_str(), Verdict::AlreadyUsed), ("none", Verdict::Malformed)] {
        assert_eq!(alice.verdict(typed), verdict, "which is no failure");
    }
    assert_eq!(alice.record.devices[0].state, State::Active);
    let judged = alice.judged(&wrong, NONE);
    assert_eq!((judged.verdict, judged.disabled), (Verdict::Rejected, vec![DeviceName::new("default").unwrap()]));
    assert_eq!(alice.record.devices[0].state, State::Disabled);
    assert_eq!(alice.record.why_unusable(NOW, "sshd"), Some("strict_disabled"));
    alice.pass(30);
    assert_eq!(alice.verdict(&alice.code(0)), Verdict::Disabled);
}

#[test]
fn a_success_begins_the_count_anew_and_typos_that_are_given_back_stay_failures() {
    let mut alice = strictly();
    alice.record.devices.push(device(&user("alice"), "spare", Parameters::default()));
    alice.record.devices[1].state = State::Disabled;
    let wrong = alice.wrong();
    let plenty = Units { known: 99, unknown: 99 };
    let guess = |alice: &mut Life, times| (0..times).for_each(|_| drop(alice.judged(&wrong, NONE)));
    guess(&mut alice, 99);
    assert_eq!(alice.judged(&alice.code(0), plenty).verdict, Verdict::Accepted);
    assert_eq!(alice.left(), 1000);
    alice.record.devices[1].state = State::Active;
    guess(&mut alice, 99);
    assert_eq!(alice.record.active().count(), 2, "neither the first ninety-nine nor a disabled device's count");
    let used = alice.code(1);
    assert_eq!(alice.judged(&used, plenty).device, Some(DeviceName::new("default").unwrap()));
    let judged = alice.judged(&wrong, NONE);
    assert_eq!(judged.disabled, [DeviceName::new("spare").unwrap()], "the other one has opened nothing");
    assert_eq!(alice.record.active().count(), 1);
}

#[test]
fn only_devices_whose_codes_are_as_long_are_disabled() {
    let mut alice = strictly();
    alice.record.devices.push(device(&user("alice"), "long", Parameters { digits: 8, ..Parameters::default() }));
    let wrong = alice.wrong();
    let disabled: Vec<DeviceName> = (0..100).flat_map(|_| alice.judged(&wrong, NONE).disabled).collect();
    assert_eq!(disabled, [DeviceName::new("default").unwrap()]);
    assert_eq!(alice.verdict(&wrong), Verdict::Malformed, "the long one is asked for a long code");
}

#[test]
fn where_they_are_not_nothing_is_counted_so_that_switching_it_on_disables_nobody_at_once() {
    let mut alice = Life { policy: Policy { strict: false, ..strictly().policy }, ..Life::new() };
    let wrong = alice.wrong();
    assert!((0..500).all(|_| alice.judged(&wrong, NONE).disabled.is_empty()));
    alice.policy.strict = true;
    assert!((0..99).all(|_| alice.judged(&wrong, NONE).disabled.is_empty()));
    alice.policy.strict = false;
    assert!(alice.judged(&wrong, NONE).disabled.is_empty());
    alice.policy.strict = true;
    assert!(alice.judged(&wrong, NONE).disabled.is_empty(), "switched off in between");
    assert_eq!(alice.record.active().count(), 1);
}
