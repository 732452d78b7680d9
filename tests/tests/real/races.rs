//! Many at once: one code among many processes, and many people with a code each.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::json;
use tests::connection::{after, open};
use tests::count;
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::lines::PATIENCE;
use tests::race::{Race, overlap, successes};
use tests::stack::Stack;
use tests::wire::request;
use tests::worker::{Gate, Outcome, Worker};
use tests::world;

use crate::meanwhile::wait_until;

#[test]
fn of_32_processes_with_one_code_released_together_exactly_one_gets_in() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "race", "retry=1");
    let mut race = Race::new(&stack, PROCESSES);
    let rounds = count("PAM_TOTP_RACE_ROUNDS", 200);
    let users: Vec<String> = (0..rounds).map(|n| format!("racer-{n:05}")).collect();
    let devices = daemon.enroll_many(&users);
    let mut overlapped = 0;
    for (user, device) in users.iter().zip(devices) {
        let outcomes = race.round(user, &device.code());
        assert_eq!(successes(&outcomes), 1, "{user}: {outcomes:?}");
        assert!(
            outcomes
                .iter()
                .all(|o| REFUSALS.contains(&o.code) || o.code == PamCode::SUCCESS),
            "{outcomes:?}"
        );
        overlapped += usize::from(overlap(&outcomes) > 1);
    }
    println!("{overlapped} of {rounds} rounds had Verify calls that overlapped");
    assert!(
        overlapped * 2 > rounds,
        "only {overlapped} of {rounds} rounds were races"
    );
}

#[test]
fn one_code_at_four_services_at_once_opens_one_of_them() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stacks =
        ["sshd", "sudo", "su", "screen-lock"].map(|service| Stack::of(&daemon, service, "retry=1"));
    let mut race = Race::through(&stacks, 4);
    let users: Vec<String> = (0..count("PAM_TOTP_RACE_ROUNDS", 200).div_ceil(10))
        .map(|n| format!("at-{n:05}"))
        .collect();
    for (user, device) in users.iter().zip(daemon.enroll_many(&users)) {
        let outcomes = race.round(user, &device.code());
        assert_eq!(successes(&outcomes), 1, "{user}: {outcomes:?}");
    }
}

/// Whether the right code is among those that are judged is chance: one in twenty.
#[test]
fn of_99_wrong_codes_and_the_right_one_released_together_five_are_judged() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "guesses", "retry=1");
    let mut race = Race::new(&stack, GUESSERS);
    let rounds = count("PAM_TOTP_GUESSING_ROUNDS", 5);
    let users: Vec<String> = (0..rounds).map(|n| format!("guessed-{n:05}")).collect();
    let mut accepted = 0;
    for (n, (user, device)) in users.iter().zip(daemon.enroll_many(&users)).enumerate() {
        let (wrong, right) = (device.wrong_codes(GUESSERS), device.code());
        let mut codes: Vec<&str> = wrong.iter().map(String::as_str).collect();
        codes[n * PRIME % GUESSERS] = &right;
        let outcomes = race.round_of(user, &codes);
        let lines = daemon
            .log
            .wait_for_many(GUESSERS, &["event=verify ", &format!(" user={user} ")]);
        let told = |verdict: &str| {
            lines
                .iter()
                .filter(|line| line.contains(&format!(" verdict={verdict}")))
                .count()
        };
        assert_eq!((told("rejected"), daemon.budget(user)), (5, 0), "{user}");
        assert_eq!(told("accepted"), successes(&outcomes), "{user}");
        assert_eq!(
            told("two_codes_needed") + told("busy") + told("accepted"),
            GUESSERS - 5,
            "{user}"
        );
        accepted += told("accepted");
    }
    println!("the right code was among those judged in {accepted} of {rounds} rounds");
    // One in twenty, and three standard deviations.
    let (expected, rounds) = (rounds as f64 / 20.0, rounds as f64);
    assert!(
        rounds < 100.0 || accepted as f64 <= expected + 3.0 * (expected * 0.95).sqrt(),
        "{accepted} of {rounds}"
    );
}

#[test]
fn a_login_that_dies_with_its_verdict_leaves_the_code_spent() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "dies", "retry=1");
    let users = ["after-the-verdict", "before-it"];
    let codes = users.map(|user| daemon.enroll(user).code());
    let mut worker = Worker::start(&stack, &Gate::new());
    assert_eq!(worker.login(users[0], &codes[0]).code, PamCode::SUCCESS);
    drop(worker);
    // The daemon judges the call of a client that has gone all the same.
    daemon.freeze();
    let call = request(
        "Verify",
        &json!({ "user": users[1], "codes": [codes[1]], "service": "dies" }),
    );
    drop(after(open(&daemon.login_socket()), &call));
    daemon.thaw();
    daemon.audited(users[1], "accepted");
    for (user, code) in users.iter().zip(&codes) {
        assert_eq!(stack.login(user, &[code]).code, PamCode::AUTH_ERR, "{user}");
        daemon.audited(user, "already_used");
    }
}

#[test]
fn logins_that_all_wait_for_the_same_judge_still_make_one_success() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "queue", "retry=1 timeout=20");
    let gate = Gate::new();
    let mut workers: Vec<Worker> = (0..PROCESSES)
        .map(|_| Worker::start(&stack, &gate))
        .collect();
    let code = daemon.enroll("alice").code();
    workers
        .iter_mut()
        .for_each(|worker| drop(worker.begin("alice")));
    // The daemon has hung up on those that type, so that each code comes by a new connection.
    wait_until(|| sockets(&daemon) == 1, "the daemon to hang up");
    // While the daemon stands still, every Verify call is sent and none is answered: all of them
    // overlap.
    daemon.freeze();
    let before = sockets(&daemon);
    workers
        .iter_mut()
        .for_each(|worker| worker.type_code(&code));
    wait_until_connected(&daemon, before + PROCESSES);
    daemon.thaw();
    let outcomes: Vec<Outcome> = workers.iter().map(Worker::finish).collect();
    assert_eq!(successes(&outcomes), 1, "{outcomes:?}");
    assert_eq!(overlap(&outcomes), PROCESSES);
}

#[test]
fn a_thousand_people_log_in_64_at_a_time_and_all_get_in() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "crowd", "retry=1");
    let users: Vec<String> = (0..1000).map(|n| format!("person-{n:04}")).collect();
    let waiting = Mutex::new(
        users
            .iter()
            .zip(daemon.enroll_many(&users))
            .collect::<Vec<_>>(),
    );
    let gate = Gate::new();
    let refused = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut worker = Worker::start(&stack, &gate);
                loop {
                    let next = waiting.lock().expect("the queue").pop();
                    let Some((user, device)) = next else { break };
                    let outcome = worker.login(user, &device.code());
                    if outcome.code != PamCode::SUCCESS {
                        refused.lock().expect("the list").push((user, outcome));
                    }
                }
            });
        }
    });
    let refused = refused.into_inner().expect("the list");
    assert!(
        refused.is_empty(),
        "{} of 1000 were refused: {refused:?}",
        refused.len()
    );
    daemon
        .log
        .wait_for_many(1000, &["event=verify", "verdict=accepted"]);
}

/// Waits until the daemon has as many sockets. While it stands still, connections come and none
/// goes.
fn wait_until_connected(daemon: &Daemon, wanted: usize) {
    let begun = Instant::now();
    while sockets(daemon) < wanted {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} sockets instead of {wanted}",
            sockets(daemon)
        );
        std::thread::yield_now();
    }
}

/// Sockets of the daemon's login socket: the listening one, and one for each connection, answered
/// or not.
fn sockets(daemon: &Daemon) -> usize {
    let path = daemon.login_socket();
    let table = std::fs::read_to_string("/proc/net/unix").expect("the table of sockets");
    table
        .lines()
        .filter(|line| line.ends_with(path.to_str().expect("a path in UTF-8")))
        .count()
}

const PROCESSES: usize = 32;
const GUESSERS: usize = 100;
/// Puts the right code among the others in another place each round.
const PRIME: usize = 37;
/// What the others of a race may be told: used already, or that too many wait.
const REFUSALS: [PamCode; 2] = [PamCode::AUTH_ERR, PamCode::AUTHINFO_UNAVAIL];
