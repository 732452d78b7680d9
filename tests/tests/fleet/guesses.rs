//! Guesses at one user's codes, spread over a thousand hosts and three machines at once. Together they
//! have the guesses of one machine, no more.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tests::connection::{ask, open};
use tests::daemon::Daemon;
use tests::world;

use crate::cluster::Cluster;
use crate::machine;

#[test]
fn guesses_from_a_thousand_hosts_at_three_machines_at_once_share_one_budget() {
    let _place = world::enter_alone();
    let cluster = Cluster::start();
    let machines = [(); 3].map(|()| machine(&cluster).start());
    let alice = machines[0].enroll("alice");
    let (guesses, next) = (alice.wrong_codes(HOSTS), AtomicUsize::new(0));
    let told: Vec<String> = std::thread::scope(|scope| {
        let (guesses, next) = (&guesses, &next);
        let attackers = machines.iter().cycle().take(ATTACKERS);
        let attackers: Vec<_> = attackers
            .map(|machine| scope.spawn(move || attack(machine, guesses, next)))
            .collect();
        let told = attackers.into_iter().map(|attacker| attacker.join());
        told.flat_map(|told| told.expect("verdicts")).collect()
    });
    let count = |verdict: &str| told.iter().filter(|told| *told == verdict).count();
    let judged = count("rejected");
    assert_eq!(told.len(), HOSTS);
    assert!((1..=BUDGET).contains(&judged), "{judged} were judged");
    assert!(count("two_codes_needed") > HOSTS / 2, "{told:?}");
    assert_eq!(count("accepted"), 0);
}

/// Guesses until all hosts have guessed. Returns the verdicts; an error where etcd did not answer in time.
fn attack(machine: &Daemon, guesses: &[String], next: &AtomicUsize) -> Vec<String> {
    let connection = open(&machine.login_socket());
    let mut told = Vec::new();
    loop {
        let host = next.fetch_add(1, Ordering::SeqCst);
        let Some(code) = guesses.get(host) else {
            return told;
        };
        let source = format!("198.18.{}.{}", host / 250, host % 250 + 1);
        let guess =
            json!({ "user": "alice", "codes": [code], "service": "guesses", "rhost": source });
        told.push(match ask(&connection, "Verify", &guess) {
            Ok(reply) => reply["verdict"].as_str().expect("a word").to_owned(),
            Err((error, _)) => error,
        });
    }
}

/// Each host guesses once.
const HOSTS: usize = 1000;
/// As many as guess at the same moment.
const ATTACKERS: usize = 6;
/// The guesses of `policy.budget`, as it is without a setting.
const BUDGET: usize = 5;
