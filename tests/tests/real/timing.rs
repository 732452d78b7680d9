//! Timing side channel: the duration of a refusal must not show whether a user has a device.
//! Measured on the socket, where there is least noise.
//!
//! PAM_TOTP_ATTEMPTS is how many attempts; from ten thousand on the times are judged. Run it with
//! `--release`, alone.

use std::time::Instant;

use serde_json::json;
use tests::connection::{after, answer, open, wait_for_answer};
use tests::daemon::{Daemon, Setup};
use tests::wire::request;
use tests::world;

use crate::count;

#[test]
fn a_refusal_takes_as_long_for_who_has_a_device_as_for_who_has_none() {
    let _place = world::enter_alone();
    refuse(|attempt| attempt);
}

#[test]
fn a_repeated_answer_takes_as_long_for_who_has_a_device_as_for_who_has_none() {
    let _place = world::enter_alone();
    refuse(|_| 0);
}

/// Refuses users of every kind, with what is typed at each attempt, and compares the times.
fn refuse(typed: impl Fn(usize) -> usize) {
    let settings =
        format!("policy: {{budget: {BUDGET}}}\nlimits: {{trusted-sources: [192.0.2.0/24]}}\n");
    let daemon = Setup::new().with(&settings).start();
    let attempts = count("PAM_TOTP_ATTEMPTS", 500);
    let names = attempts.div_ceil(KINDS.len() * ATTEMPTS_EACH);
    let users = KINDS.map(|kind| people(&daemon, kind, names));
    let mut times = KINDS.map(|_| Vec::new());
    let mut stream = open(&daemon.login_socket());
    for attempt in 0..attempts {
        let kind = shuffled(attempt);
        let user = &users[kind][attempt / KINDS.len() % names];
        let call = request("Verify", &guess(user, typed(attempt)));
        let begun = Instant::now();
        stream = after(stream, &call);
        wait_for_answer(&stream);
        times[kind].push(begun.elapsed().as_nanos());
        let told = String::from_utf8(answer(&stream)).expect("a text");
        assert!(
            told.contains(&format!("\"{}\"", VERDICTS[kind])),
            "{}: {told}",
            KINDS[kind]
        );
    }
    for (kind, measured) in KINDS.iter().zip(&times) {
        let told_apart = odds_of_telling(&times[0], measured);
        println!(
            "{kind:15} median {:6} µs  AUC {told_apart:.3}",
            median(measured) / 1000
        );
        assert!(
            attempts < MANY || (told_apart - 0.5).abs() < 0.05,
            "{kind} can be told from the enrolled"
        );
    }
}

/// Users of a kind. All have accounts, but for the unknown, and all have guesses left, but for the
/// last kind.
fn people(daemon: &Daemon, kind: &str, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count)
        .map(|n| format!("{}-{n}", kind.replace(' ', "-")))
        .collect();
    if kind != "unknown" {
        world::make_accounts(&names);
    }
    match kind {
        "enrolled" => drop(daemon.enroll_many(&names)),
        "pending" => names
            .iter()
            .for_each(|user| drop(daemon.call("Enroll", &json!({ "user": user })))),
        "disabled" => {
            daemon.enroll_many(&names);
            let disable =
                |user| daemon.call("SetState", &json!({ "user": user, "state": "disabled" }));
            names
                .iter()
                .for_each(|user| drop(disable(user).expect("a disabled device")));
        }
        "revoked" => {
            daemon.enroll_many(&names);
            let revoke =
                |user| daemon.call("Revoke", &json!({ "user": user, "device": "default" }));
            names
                .iter()
                .for_each(|user| drop(revoke(user).expect("a revoked device")));
        }
        "budget empty" => {
            daemon.enroll_many(&names);
            for user in &names {
                (1..=BUDGET).for_each(|n| {
                    drop(
                        daemon
                            .call("Verify", &guess(user, n + 500_000))
                            .expect("a verdict"),
                    )
                });
            }
        }
        _ => {}
    }
    names
}

/// One of many wrong codes; the chance that one is right is three in a million.
fn guess(user: &str, number: usize) -> serde_json::Value {
    json!({ "user": user, "codes": [format!("{number:06}")], "service": "timing", "rhost": "192.0.2.1", "tty": "ssh" })
}

/// Which kind comes next: each once in a row, in an order that changes.
fn shuffled(attempt: usize) -> usize {
    let (round, place) = (attempt / KINDS.len(), attempt % KINDS.len());
    (place * (round % (KINDS.len() - 1) + 1) + round / KINDS.len()) % KINDS.len()
}

/// The odds that of two times, one of each, the second is the longer one (the area under the curve,
/// Mann-Whitney).
fn odds_of_telling(first: &[u128], second: &[u128]) -> f64 {
    let mut all: Vec<(u128, bool)> = first.iter().map(|time| (*time, false)).collect();
    all.extend(second.iter().map(|time| (*time, true)));
    all.sort_unstable();
    let (mut before, mut won) = (0.0, 0.0);
    for together in all.chunk_by(|a, b| a.0 == b.0) {
        let ours = together.iter().filter(|(_, second)| *second).count() as f64;
        let theirs = together.len() as f64 - ours;
        won += ours * (before + theirs / 2.0);
        before += theirs;
    }
    won / (first.len() as f64 * second.len() as f64)
}

fn median(times: &[u128]) -> u128 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

/// The first kind is the one that the others are compared with. Their number is prime: see
/// `shuffled`.
const KINDS: [&str; 7] = [
    "enrolled",
    "unknown",
    "never enrolled",
    "pending",
    "disabled",
    "revoked",
    "budget empty",
];
const VERDICTS: [&str; 7] = [
    "rejected",
    "not_enrolled",
    "not_enrolled",
    "not_enrolled",
    "disabled",
    "disabled",
    "two_codes_needed",
];
/// Enough that names which share a decoy do not use it up, and few enough that the log tells of
/// each.
const BUDGET: usize = 60;
const ATTEMPTS_EACH: usize = 20;
const MANY: usize = 10_000;
