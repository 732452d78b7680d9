//! A year under attack, judged by the shipped policy: somebody who has the first factor guesses all the time, and the owner
//! logs in fifty times a day, with typos. Seeded: every run is the same year.
//!
//! What the attacker is not let judge costs no time, so a burst of guesses stands for the thousands of that moment. Each day
//! the daemon is killed and reads the record back.
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
use provisiond::policy::{Circumstances, admit, ask, judge};
use provisiond::record::budget::Units;
use provisiond::record::source::Source;
use provisiond::record::{Device, Record};

#[test]
fn who_guesses_from_elsewhere_has_370_guesses_in_a_year_and_the_owner_notices_nothing() {
    let mut year = Year::new();
    let told = year.pass("203.0.113.9");
    assert!((365..=5 + 365).contains(&told.judged), "{told:?}");
    assert_eq!((told.logins, told.let_in_with_one_code), (365 * LOGINS, 365 * LOGINS), "{told:?}");
}

#[test]
fn who_guesses_from_the_owners_own_network_has_no_more_and_the_owner_is_in_within_three_periods() {
    let mut year = Year::new();
    let told = year.pass(HOME);
    assert!(told.judged <= 5 + 365, "{told:?}");
    assert_eq!(told.logins, 365 * LOGINS, "every login succeeded: {told:?}");
    assert!(told.longest <= 3 * PERIOD, "{told:?}");
    assert!(told.with_three_codes > 0, "thousands of pairs were tried: {told:?}");
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
    with_three_codes: u64,
    /// Seconds that the owner's slowest login took.
    longest: u64,
}

struct Year {
    user: UserName,
    secrets: Secrets,
    record: Record,
    key: Key,
    random: u64,
}

impl Year {
    fn new() -> Self {
        let secrets = Secrets::new(TaggedSecrets::from_text("1: 0123456789abcdef\n").unwrap(), None).unwrap();
        let (user, key) = (UserName::new("alice").unwrap(), Key::new(b"12345678901234567890".to_vec()).unwrap());
        let parameters = (&key, Kind::Totp, Parameters::default());
        let device = Device::active(&user, DeviceName::nth(1), parameters, &secrets, &Moment::ordinary(START)).unwrap();
        let record = Record::new(&Moment::ordinary(START));
        Self { record: Record { enrolled: true, devices: vec![device], ..record }, key, random: 42, user, secrets }
    }

    fn pass(&mut self, attackers: &str) -> Told {
        let mut told = Told::default();
        // The first login makes the network a known one.
        self.owner_logs_in(START, &mut Told::default());
        for day in 1..=365 {
            self.restart();
            for moment in 0..LOGINS {
                let now = START + day * DAY + moment * (DAY / LOGINS);
                told.judged += self.guess(attackers, now, if day <= 40 { 30 } else { 1 });
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

    /// A burst of single codes, until no more are judged, and a number of pairs or triples. Returns how many single codes
    /// were compared.
    fn guess(&mut self, from: &str, now: u64, series: usize) -> u64 {
        let mut judged = 0;
        for _ in 0..8 {
            let code = self.guessed();
            let (verdict, _) = self.attempt(from, now, &code, Units::default());
            assert_ne!(verdict, Verdict::Accepted, "the seed was lucky: take another");
            judged += u64::from(verdict == Verdict::Rejected);
        }
        for _ in 0..series {
            let typed = match self.asked(from, now) {
                Ask::ThreeCodes => [self.guessed(), self.guessed(), self.guessed()].concat(),
                Ask::OneCode | Ask::TwoCodes | Ask::Ticket | Ask::Nothing => [self.guessed(), self.guessed()].concat(),
            };
            assert_ne!(self.attempt(from, now, &typed, Units::default()).0, Verdict::Accepted);
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
            Ask::ThreeCodes => 3,
        };
        let first = Parameters::default().step_at(now);
        let typed: String = (first..first + codes).map(|step| self.shown(step)).collect();
        // The last code is there when its step begins.
        now = now.max(Parameters::default().start_of(first + codes - 1));
        assert_eq!(self.attempt(HOME, now, &typed, typos).0, Verdict::Accepted, "{asked:?} at {now}");
        told.logins += 1;
        told.let_in_with_one_code += u64::from(codes == 1);
        told.with_three_codes += u64::from(codes == 3);
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
