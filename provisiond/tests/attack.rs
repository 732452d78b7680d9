//! A year under attack, judged by the shipped policy: somebody who has the first factor guesses all the time, and the owner
//! logs in fifty times a day, with typos and a clock that wanders. Seeded: every run is the same year.
//!
//! What the attacker is not let judge costs no time, so a burst of guesses stands for the thousands of that moment. Pairs of
//! codes are played until the policy searches for them in the window only; the year's others are reckoned by the positions at
//! which the policy then still finds a pair. Five times a day the daemon is killed: it reads the record back, and has forgotten
//! what it kept in memory.
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
use provisiond::in_memory::refunds::Refunds;
use provisiond::policy::{Circumstances, Earlier, admit, ask, is_narrow, judge};
use provisiond::record::source::Source;
use provisiond::record::{Device, Record};

#[test]
fn an_attacker_from_elsewhere_has_370_guesses_in_a_year_and_the_owner_hardly_notices() {
    let mut year = Year::new();
    let told = year.pass("203.0.113.9", greedily);
    assert!((365..=5 + 365).contains(&told.judged), "{told:?}");
    assert!(odds(f64::from(told.judged), 3.0) <= 0.0012, "{told:?}");
    assert_eq!(told.logins, 365 * LOGINS, "every login succeeded: {told:?}");
    assert!(told.let_in_with_one_code > told.logins * 99 / 100, "with two typos on a usual day: {told:?}");
    assert_pairs_are_hopeless(&told);
}

#[test]
fn an_attacker_at_the_owners_address_has_three_guesses_a_day_more_and_the_owner_is_in_within_two_periods() {
    for guesses in [greedily, from_kill_to_kill] {
        let mut year = Year::new();
        let told = year.pass(HOME, guesses);
        assert!((3 * 365..=5 + 365 + 3 * 365).contains(&told.judged), "{told:?}");
        assert!(odds(f64::from(told.judged), 3.0) <= 0.005, "{told:?}");
        assert_eq!(told.logins, 365 * LOGINS, "every login succeeded: {told:?}");
        assert!(told.longest <= 2 * PERIOD, "{told:?}");
        assert_pairs_are_hopeless(&told);
    }
}

/// As many at a time as are judged.
fn greedily(_: u64) -> usize {
    8
}

/// No more than come back with the owner's logins, and the next when the daemon was killed.
fn from_kill_to_kill(moment: u64) -> usize {
    usize::from(moment % BETWEEN_KILLS < 3)
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
    println!(
        "odds of falling within a year, six digits, ten guesses a second                  single codes judged    odds"
    );
    for (rule, judged, most) in [
        ("pam-totp, from elsewhere: one pool (simulated above)", f64::from(5 + 365), 0.0012),
        ("pam-totp, from the owner's address: one pool, and refunds (simulated above)", f64::from(5 + 4 * 365), 0.005),
        ("google-authenticator: RATE_LIMIT 3 30, WINDOW_SIZE 3 (computed)", YEAR / 30.0 * 3.0, 1.0),
        ("pam_oath: no limit, window=1 (computed)", YEAR * 10.0, 1.0),
    ] {
        let odds = odds(judged, 3.0);
        println!("{rule:<80} {judged:>18.0} {:>9.4} %", odds * 100.0);
        assert!(odds <= most && (most < 1.0 || odds > 0.999), "{rule}: {odds}");
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
    judged: u32,
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
    refunds: Refunds,
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
        let record = Record { enrolled: true, devices: vec![device], ..record };
        Self { record, refunds: Refunds::default(), key, ahead: 0, random: 42, user, secrets }
    }

    fn pass(&mut self, attackers: &str, guesses: fn(u64) -> usize) -> Told {
        let mut told = Told::default();
        // The first login makes the network a known one.
        self.owner_logs_in(START, &mut Told::default());
        for day in 1..=365 {
            // It wanders by a step from one day to the next: as far as the window reaches, whatever was learned of it.
            self.ahead = i64::from(day % 2 == 1);
            self.guess_pairs(attackers, START + day * DAY, &mut told);
            for moment in 0..LOGINS {
                if moment.is_multiple_of(BETWEEN_KILLS) {
                    self.restart();
                }
                let now = START + day * DAY + moment * (DAY / LOGINS);
                told.judged += self.guess(attackers, now, guesses(moment));
                self.owner_logs_in(now + 60, &mut told);
            }
        }
        told
    }

    /// What a daemon that was killed knows when it is back.
    fn restart(&mut self) {
        let bytes = self.record.to_bytes(&self.user, &self.secrets).unwrap();
        self.record = Record::from_bytes(&bytes, &self.user, &self.secrets).unwrap();
        self.refunds = Refunds::default();
    }

    /// Pairs, until they are searched for in the window only: what further ones of this day come to.
    fn guess_pairs(&mut self, from: &str, now: u64, told: &mut Told) {
        let wide = self.positions(from, now);
        for _ in 0..1000 {
            if is_narrow(&self.record, &circumstances(from, now)) {
                break;
            }
            let pair = [self.guessed(), self.guessed()].concat();
            assert_ne!(self.attempt(from, now, &pair), Verdict::Accepted);
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
            judge(&self.record, std::slice::from_ref(&self.key), &answer, Earlier::default(), &now).verdict
                != Verdict::Rejected
        };
        (step - 50..step + 50).filter(is_found).count() as u64
    }

    /// A number of single codes. Returns how many were compared.
    fn guess(&mut self, from: &str, now: u64, singles: usize) -> u32 {
        let mut judged = 0;
        for _ in 0..singles {
            let code = self.guessed();
            let verdict = self.attempt(from, now, &code);
            assert_ne!(verdict, Verdict::Accepted, "the seed was lucky: take another");
            judged += u32::from(verdict == Verdict::Rejected);
        }
        judged
    }

    /// Types what is asked for, now and then wrongly at first, and waits for the codes that it takes.
    fn owner_logs_in(&mut self, begun: u64, told: &mut Told) {
        let mut now = begun;
        if self.next_random().is_multiple_of(25) {
            let typo = self.guessed();
            assert_ne!(self.attempt(HOME, now, &typo), Verdict::Accepted);
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
        assert_eq!(self.attempt(HOME, now, &typed), Verdict::Accepted, "{asked:?} at {now}");
        told.logins += 1;
        told.let_in_with_one_code += u64::from(codes == 1);
        told.longest = told.longest.max(now - begun);
    }

    fn asked(&self, from: &str, now: u64) -> Ask {
        ask(Some(&self.record), &circumstances(from, now))
    }

    /// As the daemon does it: a success gets back what wrong codes from the same source have cost.
    fn attempt(&mut self, from: &str, now: u64, typed: &str) -> Verdict {
        let answer = Answer::parse(&[SecretText::new(typed.to_owned())]);
        let now = circumstances(from, now);
        let answer = match admit(&self.record, answer.as_ref(), false, &now) {
            Ok(answer) => answer,
            Err(verdict) => return verdict,
        };
        let charges = self.refunds.take(&self.user, now.source, now.moment.tick);
        let earlier = Earlier { refund: charges.units(), repeated: false };
        let judged = judge(&self.record, std::slice::from_ref(&self.key), answer, earlier, &now);
        self.record = judged.next.unwrap_or_else(|| self.record.clone());
        if judged.verdict != Verdict::Accepted {
            let charges = charges.and(judged.charged.known, now.moment.tick);
            self.refunds.put_back(&self.user, now.source, charges);
        }
        judged.verdict
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
/// Logins.
const BETWEEN_KILLS: u64 = 10;
const HOME: &str = "192.0.2.1";
