//! One code, tried at ten login hosts at once, round after round: each time exactly one of them lets
//! its person in. The history of all rounds is checked as well.

use tests::count;
use tests::linear::logins::Told;
use tests::linear::{self, Operation};
use tests::race::{Race, successes};
use tests::worker::Outcome;
use tests::world;

use crate::history::{attempt, now};
use crate::site::{Site, accounts};

#[test]
fn one_code_tried_at_ten_login_hosts_at_once_opens_one_login() {
    let _place = world::enter_alone();
    let rounds = count("PAM_TOTP_FLEET_ROUNDS", 30);
    let site = Site::start([0, 0, 0]);
    let (users, desks) = (accounts(rounds), site.desks());
    let mut race = Race::through(&site.stacks, 1);
    let (mut history, mut spreads) = (Vec::new(), Vec::new());
    for (number, user) in users.iter().enumerate() {
        let begun = now();
        let device = desks[number % 3].enroll(user).expect("a device");
        let enrolled = Operation {
            call: Told::Enrolled(DEVICE),
            begun,
            ended: Some(now()),
        };
        history.push((user.clone(), enrolled));
        let outcomes = race.round(user, &device.code());
        assert_eq!(successes(&outcomes), 1, "round {number}: {outcomes:?}");
        let tried = outcomes
            .iter()
            .map(|outcome| attempt(outcome, DEVICE, STEP));
        history.extend(tried.map(|tried| (user.clone(), tried)));
        spreads.push(spread(&outcomes));
    }
    linear::check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    spreads.sort_unstable();
    let of_a_hundred = |part: usize| spreads[(spreads.len() - 1) * part / 100] / 1000;
    println!(
        "figures: {rounds} codes, each tried at 10 login hosts: one success each; the ten were released within {} µs \
         (median) and {} µs (99 in a hundred); {} operations linearizable",
        of_a_hundred(50),
        of_a_hundred(99),
        history.len()
    );
}

/// From the first release to the last, in nanoseconds.
fn spread(outcomes: &[Outcome]) -> u64 {
    let released = || outcomes.iter().map(|outcome| outcome.released);
    released().max().expect("logins") - released().min().expect("logins")
}

/// Each user has one device, and types one code.
const DEVICE: u32 = 1;
const STEP: u64 = 1;
