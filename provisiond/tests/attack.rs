//! A year under attack, judged by the shipped policy: somebody who has the first factor guesses all the time, and the owner
//! logs in fifty times a day, with typos and a clock that wanders. Seeded: every run is the same year.
//!
//! What the attacker is not let judge costs no time, so a burst of guesses stands for the thousands of that moment. Pairs of
//! codes are played until the policy searches for them in the window only; the year's others are reckoned by the positions at
//! which the policy then still finds a pair. Each day the daemon is killed and reads the record back.
//!
//! Beside it stands what the default rules of the two common modules come to under the same attack. That is *computed* from
//! their rules; nothing of theirs runs here. `cargo test --test attack -- --nocapture` prints the table.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that overflows or panics fails, which is what it should do"
)]

use std::time::Duration;

use common::answer::Answer;
use common::config::Policy;
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::secret::{Key, SecretText};
use common::secrets::{Secrets, TaggedSecrets};
use common::totp::Parameters;
use common::wire::protocol::{Ask, Verdict};
use provisiond::clock::moment::Moment;
use provisiond::policy::{Circumstances, admit, ask, is_narrow, judge};
use provisiond::record::budget::Units;
use provisiond::record::source::Source;
use provisiond::record::{Device, Record};

#[test]
fn who_guesses_from_elsewhere_has_370_guesses_in_a_year_and_the_owner_notices_nothing() {
    let mut year = Year::new();
    let told = year.pass("203.0.113.9");
    assert!((365..=5 + 365).contains(&told.judged), "{told:?}");
    assert_eq!((told.logins, told.let_in_with_one_code), (365 * LOGINS, 365 * LOGINS), "{told:?}");
    assert_pairs_are_hopeless(&told);
}

#[test]
fn who_guesses_from_the_owners_own_network_has_no_more_and_the_owner_is_in_within_two_periods() {
    let mut year = Year::new();
    let told = year.pass(HOME);
    assert!(told.judged <= 5 + 365, "{told:?}");
    assert_eq!(told.logins, 365 * LOGINS, "every login succeeded: {told:?}");
    assert!(told.longest <= 2 * PERIOD, "{told:?}");
    assert!(told.let_in_with_one_code < 365, "nearly always two codes are asked for: {told:?}");
    assert_pairs_are_hopeless(&told);
}

/// A year of ten wrong pairs a second is a thousandth at most.
fn assert_pairs_are_hopeless(told: &Told) {
    for rate in [10, 100] {
        let (odds, positions) = (told.odds_of_pairs(rate), told.position_seconds as f64 / YEAR);
        println!("{rate:>3} wrong pairs a second, {positions:.2} positions each: {:.4} % a year", odds * 100.0);
    }
    assert!(told.odds_of_pairs(10) <= 0.001, "{told:?}");
}

#[test]
fn the_default_rules_of_others_do_not_last_the_year() {
    let ours = 2.0 * f64::from(5 + 365);
    println!("odds of falling within a year, six digits, ten guesses a second      single codes judged    odds");
    for (rule, judged, positions) in [
        ("pam-totp: both pools of one account (simulated above)", ours, 3.0),
        ("google-authenticator: RATE_LIMIT 3 30, WINDOW_SIZE 3 (computed)", YEAR / 30.0 * 3.0, 3.0),
        ("pam_oath: no limit, window=1 (computed)", YEAR * 10.0, 3.0),
    ] {
        let odds = odds(judged, positions);
        println!("{rule:<68} {judged:>18.0} {:>9.4} %", odds * 100.0);
        assert!(if rule.starts_with("pam-totp") { odds / 2.0 <= 0.0012 } else { odds > 0.999 }, "{rule}: {odds}");
    }
}

/// The odds that at least one of so many guesses is right, each compared with so many of the million codes.
fn odds(guesses: f64, positions: f64) -> f64 {
    -f64::exp_m1(guesses * f64::ln_1p(-positions / 1e6))
}

/// What came of it.
#[derive(Debug, Default)]
struct Told {
    /// The attacker's single codes that were compared with anything.
    judged: u64,
    logins: u64,
    let_in_with_one_code: u64,
    /// Positions at which the attacker's pairs were looked for, of those that were played.
    positions_played: u64,
    /// Positions at which any further pair would have been looked for, times the seconds for which it was so.
    position_seconds: u64,
    /// Seconds that the owner's slowest login took.
    longest: u64,
}

impl Told {
    /// The odds that so many wrong pairs a second, all year, and those that were played, hit the owner's. Each position is one
    /// of a million millions.
    fn odds_of_pairs(&self, a_second: u64) -> f64 {
        let positions = self.positions_played + a_second * self.position_seconds;
        -f64::exp_m1(positions as f64 * f64::ln_1p(-1e-12))
    }
}

struct Year {
    user: UserName,
    secrets: Secrets,
    record: Record,
    key: Key,
    /// Steps that the owner's clock is ahead of ours.
    ahead: i64,
    random: u64,
}

impl Year {
    fn new() -> Self {
        let secrets = Secrets::new(TaggedSecrets::from_text("1: 0123456789abcdef\n").unwrap(), None).unwrap();
        let (user, key) = (UserName::new("alice").unwrap(), Key::new(b"12345678901234567890".to_vec()).unwrap());
        let parameters = (&key, Kind::Totp, Parameters::default());
        let device = Device::active(&user, DeviceName::nth(1), parameters, &secrets, &Moment::ordinary(START)).unwrap();
        let record = Record::new(&Moment::ordinary(START));
        Self {
            record: Record { enrolled: true, devices: vec![device], ..record },
            key,
            ahead: 0,
            random: 42,
            user,
            secrets,
        }
    }

    fn pass(&mut self, attackers: &str) -> Told {
        let mut told = Told::default();
        // The first login makes the network a known one.
        self.owner_logs_in(START, &mut Told::default());
        for day in 1..=365 {
            self.restart();
            // From one day to the next it wanders by a step, which is as far as the window reaches.
            self.ahead = match day % 4 {
                1 => 1,
                3 => -1,
                _ => 0,
            };
            self.guess_pairs(attackers, START + day * DAY, &mut told);
            for moment in 0..LOGINS {
                let now = START + day * DAY + moment * (DAY / LOGINS);
                told.judged += self.guess(attackers, now);
                self.owner_logs_in(now + 60, &mut told);
            }
        }
        told
    }

    /// What a daemon that was killed knows when it is back.
    fn restart(&mut self) {
        let bytes = self.record.to_bytes(&self.user, &self.secrets).unwrap();
        self.record = Record::from_bytes(&bytes, &self.user, &self.secrets).unwrap();
    }

    /// Pairs, until they are searched for in the window only: what further ones of this day come to.
    fn guess_pairs(&mut self, from: &str, now: u64, told: &mut Told) {
        let wide = self.positions(from, now);
        for _ in 0..1000 {
            if is_narrow(&self.record, &circumstances(from, now)) {
                break;
            }
            let pair = [self.guessed(), self.guessed()].concat();
            assert_ne!(self.attempt(from, now, &pair, Units::default()).0, Verdict::Accepted);
            told.positions_played += wide;
        }
        told.position_seconds += self.positions(from, now) * DAY;
    }

    /// At how many places the policy finds a pair now, used or not.
    fn positions(&self, from: &str, now: u64) -> u64 {
        let (step, now) = (Parameters::default().step_at(now), circumstances(from, now));
        let is_found = |first: &u64| {
            let pair = [self.shown(*first), self.shown(first + 1)].concat();
            let answer = Answer::parse(&[SecretText::new(pair)]).unwrap();
            judge(&self.record, std::slice::from_ref(&self.key), &answer, Units::default(), &now).verdict
                != Verdict::Rejected
        };
        (step - 50..step + 50).filter(is_found).count() as u64
    }

    /// A burst of single codes, until no more are judged. Returns how many were compared.
    fn guess(&mut self, from: &str, now: u64) -> u64 {
        let mut judged = 0;
        for _ in 0..8 {
            let code = self.guessed();
            let (verdict, _) = self.attempt(from, now, &code, Units::default());
            assert_ne!(verdict, Verdict::Accepted, "the seed was lucky: take another");
            judged += u64::from(verdict == Verdict::Rejected);
        }
        judged
    }

    /// Types what is asked for, now and then wrongly at first, and waits for the codes that it takes. What the typo cost is
    /// given back with the success that follows it in the same conversation.
    fn owner_logs_in(&mut self, begun: u64, told: &mut Told) {
        let (mut now, mut typos) = (begun, Units::default());
        if self.next_random().is_multiple_of(10) {
            let typo = self.guessed();
            typos = self.attempt(HOME, now, &typo, Units::default()).1;
        }
        let asked = self.asked(HOME, now);
        let codes = match asked {
            Ask::Ticket | Ask::Nothing => 0,
            Ask::OneCode => 1,
            Ask::TwoCodes => 2,
        };
        let step = Parameters::default().step_at(now);
        let first = step.saturating_add_signed(self.ahead);
        let typed: String = (first..first + codes).map(|step| self.shown(step)).collect();
        // The last code is there when its step begins.
        now = now.max(Parameters::default().start_of(step + codes - 1));
        assert_eq!(self.attempt(HOME, now, &typed, typos).0, Verdict::Accepted, "{asked:?} at {now}");
        told.logins += 1;
        told.let_in_with_one_code += u64::from(codes == 1);
        told.longest = told.longest.max(now - begun);
    }

    fn asked(&self, from: &str, now: u64) -> Ask {
        ask(Some(&self.record), &circumstances(from, now))
    }

    /// The verdict, and the units that it cost.
    fn attempt(&mut self, from: &str, now: u64, typed: &str, refund: Units) -> (Verdict, Units) {
        let answer = Answer::parse(&[SecretText::new(typed.to_owned())]);
        let now = circumstances(from, now);
        match admit(&self.record, answer.as_ref(), &now) {
            Ok(answer) => {
                let judged = judge(&self.record, std::slice::from_ref(&self.key), answer, refund, &now);
                self.record = judged.next.unwrap_or_else(|| self.record.clone());
                (judged.verdict, judged.charged)
            }
            Err(verdict) => (verdict, Units::default()),
        }
    }

    fn shown(&self, step: u64) -> String {
        Parameters::default().code_at(&self.key, step).to_string()
    }

    fn guessed(&mut self) -> String {
        format!("{:06}", self.next_random() % 1_000_000)
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn circumstances(from: &str, now: u64) -> Circumstances<'static> {
    let (source, moment) = (Source::told(Some(from), Some("ssh")), Moment::ordinary(now));
    Circumstances { policy: &POLICY, moment, source, service: "sshd", suspect: false }
}

const POLICY: Policy = Policy { window: 1, budget: 5, refill: Duration::from_secs(DAY), strict: false };
const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
/// Seconds.
const YEAR: f64 = 365.0 * 86_400.0;
const PERIOD: u64 = 30;
const LOGINS: u64 = 50;
const HOME: &str = "192.0.2.1";
