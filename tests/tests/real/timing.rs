//! Timing side channel: neither the duration of a refusal, nor that of the question what to ask for,
//! must show whether a user has a device.
//! Measured on the socket, where there is least noise.
//!
//! PAM_TOTP_ATTEMPTS is how many attempts; from ten thousand on the times are judged. Run it with
//! `--release`, alone.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde_json::json;
use tests::connection::{after, answer, open, wait_for_answer};
use tests::count;
use tests::daemon::{Daemon, Setup};
use tests::wire::request;
use tests::world;

#[test]
fn a_refusal_takes_as_long_for_who_has_a_device_as_for_who_has_none() {
    let _place = world::enter_alone();
    let scene = Scene::new();
    scene.compare(VERDICTS, scene.held_open(), |user, attempt| {
        request("Verify", &guess(user, attempt))
    });
}

#[test]
fn a_repeated_answer_takes_as_long_for_who_has_a_device_as_for_who_has_none() {
    let _place = world::enter_alone();
    let scene = Scene::new();
    let again = |user: &str, _| request("Verify", &guess(user, 0));
    scene.compare(VERDICTS, scene.held_open(), again);
}

#[test]
fn what_is_asked_for_is_said_as_soon_for_who_has_a_device_as_for_who_has_none() {
    let _place = world::enter_alone();
    let scene = Scene::new();
    let challenge = |user: &str, _| {
        let login = json!({ "user": user, "service": "timing", "rhost": "192.0.2.1" });
        request("Challenge", &login)
    };
    // On a connection of its own, as the module calls.
    let connect = || open(&scene.daemon.login_socket());
    scene.compare(ASKS, connect, challenge);
    // A first guess makes the decoy of the name.
    for user in scene.users.iter().flatten() {
        let told = scene.daemon.call("Verify", &guess(user, 0));
        told.expect("a verdict");
    }
    scene.compare(ASKS, connect, challenge);
    scene.compare(ASKS, scene.held_open(), challenge);
}

/// A daemon, and users of every kind.
struct Scene {
    daemon: Daemon,
    users: [Vec<String>; KINDS.len()],
    attempts: usize,
}

impl Scene {
    fn new() -> Self {
        let settings =
            format!("policy: {{budget: {BUDGET}}}\nlimits: {{trusted-sources: [192.0.2.0/24]}}\n");
        let daemon = Setup::new().with(&settings).start();
        let attempts = count("PAM_TOTP_ATTEMPTS", 500);
        let names = attempts.div_ceil(KINDS.len() * ATTEMPTS_EACH);
        let users = KINDS.map(|kind| people(&daemon, kind, names));
        Self {
            daemon,
            users,
            attempts,
        }
    }

    /// One connection for all calls.
    fn held_open(&self) -> impl Fn() -> UnixStream {
        let stream = open(&self.daemon.login_socket());
        move || stream.try_clone().expect("a handle")
    }

    /// Makes calls about users of every kind, and compares the times. A reply holds the word of its
    /// kind.
    fn compare(
        &self,
        words: [&str; KINDS.len()],
        connect: impl Fn() -> UnixStream,
        call: impl Fn(&str, usize) -> Vec<u8>,
    ) {
        let mut times = KINDS.map(|_| Vec::new());
        for attempt in 0..self.attempts {
            let kind = shuffled(attempt);
            let users = &self.users[kind];
            let call = call(&users[attempt / KINDS.len() % users.len()], attempt);
            let begun = Instant::now();
            let stream = after(connect(), &call);
            wait_for_answer(&stream);
            times[kind].push(begun.elapsed().as_nanos());
            let told = String::from_utf8(answer(&stream)).expect("a text");
            let word = format!("\"{}\"", words[kind]);
            assert!(told.contains(&word), "{}: {told}", KINDS[kind]);
        }
        let told_apart = times.each_ref().map(|own| odds_of_telling(&times[0], own));
        for ((kind, measured), odds) in KINDS.iter().zip(&times).zip(told_apart) {
            let median = median(measured) / 1000;
            println!("{kind:15} median {median:6} µs  AUC {odds:.3}");
        }
        assert!(
            self.attempts < MANY || told_apart.iter().all(|odds| (odds - 0.5).abs() < 0.05),
            "a kind of user can be told from the enrolled"
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
const ASKS: [&str; 7] = [
    "one_code",
    "one_code",
    "one_code",
    "one_code",
    "one_code",
    "one_code",
    "two_codes",
];
/// Enough that names which share a decoy do not use it up, and few enough that the log tells of
/// each.
const BUDGET: usize = 60;
const ATTEMPTS_EACH: usize = 20;
const MANY: usize = 10_000;
