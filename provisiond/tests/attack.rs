//! A year of brute force against the shipped policy: an attacker with the first factor guesses all
//! the time, and the owner logs in fifty times a day, with typing errors and a device clock that
//! drifts. Seeded: every run is the same year.
//!
//! Guesses that are not judged need no simulation, so a burst of guesses stands for the thousands
//! of that moment. Pairs are played until the policy searches for them in the window only; the
//! other pairs of the year are computed from the positions at which the policy then still finds a
//! pair. The daemon is killed five times a day: it reads the record back, and has lost its
//! in-memory tables.
//!
//! The table also shows the default rules of the two common modules under the same attack. These
//! odds are *computed* from their rules; their code does not run here. `cargo test --test attack --
//! --nocapture` prints the table.

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
    let tally = year.pass("203.0.113.9", greedily);
    assert!((365..=5 + 365).contains(&tally.judged), "{tally:?}");
    assert!(odds(f64::from(tally.judged), 3.0) <= 0.0012, "{tally:?}");
    assert_eq!(
        tally.logins,
        365 * LOGINS,
        "every login succeeded: {tally:?}"
    );
    assert!(
        tally.let_in_with_one_code > tally.logins * 99 / 100,
        "with two typos on a usual day: {tally:?}"
    );
    assert_pairs_are_hopeless(&tally);
}

#[test]
fn an_attacker_at_the_owners_address_has_three_guesses_a_day_more_and_the_owner_is_in_within_two_periods()
 {
    for guesses in [greedily, from_kill_to_kill] {
        let mut year = Year::new();
        let tally = year.pass(HOME, guesses);
        assert!(
            (3 * 365..=5 + 365 + 3 * 365).contains(&tally.judged),
            "{tally:?}"
        );
        assert!(odds(f64::from(tally.judged), 3.0) <= 0.005, "{tally:?}");
        assert_eq!(
            tally.logins,
            365 * LOGINS,
            "every login succeeded: {tally:?}"
        );
        assert!(tally.longest <= 2 * PERIOD, "{tally:?}");
        assert_pairs_are_hopeless(&tally);
    }
}

/// At every moment more guesses than are judged.
fn greedily(_: u64) -> usize {
    8
}

/// After each kill of the daemon, only as many guesses as the owner's logins refund.
fn from_kill_to_kill(moment: u64) -> usize {
    usize::from(moment % BETWEEN_KILLS < 3)
}

/// Ten wrong pairs a second for a year have odds of at most a thousandth.
fn assert_pairs_are_hopeless(tally: &Tally) {
    for rate in [10, 100] {
        let (odds, positions) = (
            tally.odds_of_pairs(rate),
            tally.position_seconds as f64 / YEAR,
        );
        println!(
            "{rate:>3} wrong pairs a second, {positions:.2} positions each: {:.4} % a year",
            odds * 100.0
        );
    }
    assert!(tally.odds_of_pairs(10) <= 0.001, "{tally:?}");
}

#[test]
fn the_default_rules_of_others_do_not_last_the_year() {
    println!(
        "odds of falling within a year, six digits, ten guesses a second                  single codes judged    odds"
    );
    for (rule, judged, most) in [
        (
            "pam-totp, from elsewhere: one pool (simulated above)",
            f64::from(5 + 365),
            0.0012,
        ),
        (
            "pam-totp, from the owner's address: one pool, and refunds (simulated above)",
            f64::from(5 + 4 * 365),
            0.005,
        ),
        (
            "google-authenticator: RATE_LIMIT 3 30, WINDOW_SIZE 3 (computed)",
            YEAR / 30.0 * 3.0,
            1.0,
        ),
        ("pam_oath: no limit, window=1 (computed)", YEAR * 10.0, 1.0),
    ] {
        let odds = odds(judged, 3.0);
        println!("{rule:<80} {judged:>18.0} {:>9.4} %", odds * 100.0);
        assert!(
            odds <= most && (most < 1.0 || odds > 0.999),
            "{rule}: {odds}"
        );
    }
}

/// The odds that at least one of so many guesses is right, each compared with so many of the
/// million codes.
fn odds(guesses: f64, positions: f64) -> f64 {
    -f64::exp_m1(guesses * f64::ln_1p(-positions / 1e6))
}

/// The results of a year.
#[derive(Debug, Default)]
struct Tally {
    /// The attacker's single codes that were judged.
    judged: u32,
    logins: u64,
    let_in_with_one_code: u64,
    /// Positions that the played pairs were compared with.
    positions_played: u64,
    /// Positions that any further pair would have been compared with, times the seconds for which
    /// this held.
    position_seconds: u64,
    /// Seconds of the owner's slowest login.
    longest: u64,
}

impl Tally {
    /// The odds that the played pairs and so many further ones a second, all year, include a right
    /// one. Each position has odds of 1 in 10^12.
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
    /// Steps that the owner's device is ahead of our clock.
    ahead: i64,
    random: u64,
}

impl Year {
    fn new() -> Self {
        let secrets = Secrets::new(
            TaggedSecrets::from_text("1: 0123456789abcdef\n").unwrap(),
            None,
        )
        .unwrap();
        let (user, key) = (
            UserName::new("alice").unwrap(),
            Key::new(b"12345678901234567890".to_vec()).unwrap(),
        );
        let parameters = (&key, Kind::Totp, Parameters::default());
        let device = Device::active(
            &user,
            DeviceName::nth(1),
            parameters,
            &secrets,
            &Moment::ordinary(START),
        )
        .unwrap();
        let record = Record::new(&Moment::ordinary(START));
        let record = Record {
            enrolled: true,
            devices: vec![device],
            ..record
        };
        Self {
            record,
            refunds: Refunds::default(),
            key,
            ahead: 0,
            random: 42,
            user,
            secrets,
        }
    }

    fn pass(&mut self, attackers: &str, guesses: fn(u64) -> usize) -> Tally {
        let mut tally = Tally::default();
        // The first login makes the network a known one.
        self.owner_logs_in(START, &mut Tally::default());
        for day in 1..=365 {
            // The drift changes by a step from day to day: within the window, whatever drift was
            // learned.
            self.ahead = i64::from(day % 2 == 1);
            self.guess_pairs(attackers, START + day * DAY, &mut tally);
            for moment in 0..LOGINS {
                if moment.is_multiple_of(BETWEEN_KILLS) {
                    self.restart();
                }
                let now = START + day * DAY + moment * (DAY / LOGINS);
                tally.judged += self.guess(attackers, now, guesses(moment));
                self.owner_logs_in(now + 60, &mut tally);
            }
        }
        tally
    }

    /// The state of a daemon that is started again after a kill.
    fn restart(&mut self) {
        let bytes = self.record.to_bytes(&self.user, &self.secrets).unwrap();
        self.record = Record::from_bytes(&bytes, &self.user, &self.secrets).unwrap();
        self.refunds = Refunds::default();
    }

    /// Plays pairs until they are searched for in the window only, and computes the further ones of
    /// this day.
    fn guess_pairs(&mut self, from: &str, now: u64, tally: &mut Tally) {
        let wide = self.positions(from, now);
        for _ in 0..1000 {
            if is_narrow(&self.record, &circumstances(from, now)) {
                break;
            }
            let pair = [self.guessed(), self.guessed()].concat();
            assert_ne!(self.attempt(from, now, &pair), Verdict::Accepted);
            tally.positions_played += wide;
        }
        tally.position_seconds += self.positions(from, now) * DAY;
    }

    /// The number of positions at which the policy finds a pair now, spent or not.
    fn positions(&self, from: &str, now: u64) -> u64 {
        let (step, now) = (Parameters::default().step_at(now), circumstances(from, now));
        let is_found = |first: &u64| {
            let pair = [self.shown(*first), self.shown(first + 1)].concat();
            let answer = Answer::parse(&[SecretText::new(pair)]).unwrap();
            judge(
                &self.record,
                std::slice::from_ref(&self.key),
                &answer,
                Earlier::default(),
                &now,
            )
            .verdict
                != Verdict::Rejected
        };
        (step - 50..step + 50).filter(is_found).count() as u64
    }

    /// Guesses single codes. Returns how many were judged.
    fn guess(&mut self, from: &str, now: u64, singles: usize) -> u32 {
        let mut judged = 0;
        for _ in 0..singles {
            let code = self.guessed();
            let verdict = self.attempt(from, now, &code);
            assert_ne!(
                verdict,
                Verdict::Accepted,
                "the seed was lucky: take another"
            );
            judged += u32::from(verdict == Verdict::Rejected);
        }
        judged
    }

    /// The owner types as many codes as asked for, now and then with a typing error first, and
    /// waits for codes if needed.
    fn owner_logs_in(&mut self, begun: u64, tally: &mut Tally) {
        let mut now = begun;
        if self.next_random().is_multiple_of(25) {
            let typo = self.guessed();
            assert_ne!(self.attempt(HOME, now, &typo), Verdict::Accepted);
        }
        let asked = self.asked(HOME, now);
        let codes = match asked {
            Ask::Ticket | Ask::FirstDevice | Ask::Nothing => 0,
            Ask::OneCode => 1,
            Ask::TwoCodes => 2,
        };
        let step = Parameters::default().step_at(now);
        let first = step.saturating_add_signed(self.ahead);
        let typed: String = (first..first + codes)
            .map(|step| self.shown(step))
            .collect();
        // The device shows the last code when its step begins.
        now = now.max(Parameters::default().start_of(step + codes - 1));
        assert_eq!(
            self.attempt(HOME, now, &typed),
            Verdict::Accepted,
            "{asked:?} at {now}"
        );
        tally.logins += 1;
        tally.let_in_with_one_code += u64::from(codes == 1);
        tally.longest = tally.longest.max(now - begun);
    }

    fn asked(&self, from: &str, now: u64) -> Ask {
        ask(Some(&self.record), &circumstances(from, now))
    }

    /// Judges an attempt as the daemon does, with the refund after a success.
    fn attempt(&mut self, from: &str, now: u64, typed: &str) -> Verdict {
        let answer = Answer::parse(&[SecretText::new(typed.to_owned())]);
        let now = circumstances(from, now);
        let answer = match admit(&self.record, answer.as_ref(), false, &now) {
            Ok(answer) => answer,
            Err(verdict) => return verdict,
        };
        let charges = self.refunds.take(&self.user, now.source, now.moment.tick);
        let earlier = Earlier {
            refund: charges.units(),
            repeated: false,
        };
        let judged = judge(
            &self.record,
            std::slice::from_ref(&self.key),
            answer,
            earlier,
            &now,
        );
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
    Circumstances {
        policy: &POLICY,
        moment,
        source,
        service: "sshd",
        suspect: false,
    }
}

const POLICY: Policy = Policy {
    window: 1,
    budget: 5,
    refill: Duration::from_secs(DAY),
    strict: false,
};
const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
/// Seconds.
const YEAR: f64 = 365.0 * 86_400.0;
const PERIOD: u64 = 30;
const LOGINS: u64 = 50;
/// Logins.
const BETWEEN_KILLS: u64 = 10;
const HOME: &str = "192.0.2.1";
