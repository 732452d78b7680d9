//! Faults at random while people log in: leaders are killed, members stand still, verifiers are
//! killed, machines are cut off, disks are full, and the verifiers' clocks are 20 seconds apart. No code
//! opens two logins, nothing acknowledged is lost, and a fresh code is refused only while a fault is
//! on.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tests::count;
use tests::linear;
use tests::linear::logins::Told;
use tests::lines::PATIENCE;
use tests::race::successes;
use tests::random::Random;
use tests::world;

use crate::people::{People, Round};
use crate::site::{Desk, Site, accounts};
use crate::trouble::{Fault, Window, wait_until_whole};

#[test]
fn whatever_fails_at_a_site_a_code_opens_one_login_and_nothing_acknowledged_is_lost() {
    let _place = world::enter_alone();
    let seed = count("PAM_TOTP_SEED", 1) as u64;
    let lasts = Duration::from_secs(count("PAM_TOTP_FLEET_SECONDS", 30) as u64);
    println!("PAM_TOTP_SEED={seed}");
    let mut site = Site::start([-10, 0, 10]);
    wait_until_whole(&site);
    let crowds: Vec<People> = (1..=CROWDS)
        .map(|number| People::new(Random::new(seed + number), site.desks(), &site.stacks))
        .collect();
    let names = [(); CROWDS as usize].map(|()| accounts(lasts.as_secs() as usize * MOST_A_SECOND));
    let (windows, crowds) = std::thread::scope(|scope| {
        let (step, steps) = channel();
        let under_way: Vec<_> = crowds
            .into_iter()
            .zip(&names)
            .map(|(people, names)| {
                let step = step.clone();
                scope.spawn(move || people.come(names, &step))
            })
            .collect();
        let windows = trouble(&mut site, &mut Random::new(seed), (lasts, &steps));
        drop(steps);
        let crowds = under_way.into_iter().map(|crowd| crowd.join());
        (
            windows,
            crowds
                .map(|crowd| crowd.expect("people"))
                .collect::<Vec<_>>(),
        )
    });
    judge(&site.desks(), windows, crowds);
}

/// Fault after fault, each kind as often as the others, in a random order. It ends with a calm.
fn trouble(
    site: &mut Site,
    random: &mut Random,
    (lasts, steps): (Duration, &Receiver<()>),
) -> Vec<Window> {
    let begun = Instant::now();
    let mut windows = Vec::new();
    while begun.elapsed() < lasts || windows.is_empty() {
        for fault in Fault::shuffled(random) {
            wait_for_rounds(steps, 5 + random.below(10));
            let rounds = 5 + random.below(10);
            windows.push(fault.strike(site, random, || wait_for_rounds(steps, rounds)));
        }
    }
    wait_for_rounds(steps, 10);
    windows
}

/// With one fault at a time, people get on.
fn wait_for_rounds(steps: &Receiver<()>, count: usize) {
    // What was played before counts no more.
    steps.try_iter().for_each(drop);
    for _ in 0..count {
        steps.recv_timeout(PATIENCE).expect("people that get on");
    }
}

fn judge(desks: &[Desk], windows: Vec<Window>, mut crowds: Vec<People>) {
    for people in &mut crowds {
        look_again(people, desks);
    }
    let rounds: Vec<&Round> = crowds.iter().flat_map(|people| &people.rounds).collect();
    for round in &rounds {
        let Round { user, outcomes, .. } = round;
        assert!(successes(outcomes) <= 1, "{user}: {outcomes:?}");
        let is_explained = windows.iter().any(|window| window.meets(round.time));
        assert!(
            !round.failed() || is_explained,
            "{user} was refused in a calm: {outcomes:?}, {:?}, {windows:?}",
            round.time
        );
    }
    let history: Vec<_> = crowds
        .iter()
        .flat_map(|people| people.history.iter().cloned())
        .collect();
    linear::check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    let failed = rounds.iter().filter(|round| round.failed()).count();
    assert!(failed * 4 < rounds.len(), "{failed} of {}", rounds.len());
    let in_doubt = history.iter().filter(|(_, told)| told.ended.is_none());
    println!(
        "figures: {} faults ({}), the verifiers' clocks 20 s apart; {} fresh codes, each tried at 3 to 6 login hosts at once: \
         {} opened one login, none two, {failed} none, each of these during a fault; {} operations, {} of them of unknown \
         outcome, linearizable; nothing acknowledged was lost",
        windows.len(),
        kinds(&windows),
        rounds.len(),
        rounds.len() - failed,
        history.len(),
        in_doubt.count()
    );
}

/// At the end each verifier is asked for each person: the acknowledged device is there, or is not, and
/// knows of its login.
fn look_again(people: &mut People, desks: &[Desk]) {
    let mut users: Vec<String> = people
        .history
        .iter()
        .map(|(user, _)| user.clone())
        .collect();
    users.dedup();
    for user in &users {
        people.look(user);
    }
    let forgotten: Vec<&String> = people
        .history
        .iter()
        .filter(|(_, told)| told.call == Told::Forgotten)
        .map(|(user, _)| user)
        .collect();
    let winners = people.rounds.iter().filter(|round| !round.failed());
    for Round { user, .. } in winners.filter(|round| !forgotten.contains(&&round.user)) {
        for desk in desks {
            let devices = desk.show(user).expect("an answer");
            assert!(devices[0]["last_used"].is_u64(), "{user}: {devices:?}");
        }
    }
}

fn kinds(windows: &[Window]) -> String {
    let mut kinds = BTreeMap::new();
    for window in windows {
        *kinds.entry(window.fault).or_insert(0) += 1;
    }
    let told: Vec<_> = kinds
        .iter()
        .map(|(fault, count)| format!("{count} {fault:?}"))
        .collect();
    told.join(", ")
}

/// How many people are at the site at once.
const CROWDS: u64 = 2;
/// More than log in in a second.
const MOST_A_SECOND: usize = 20;
