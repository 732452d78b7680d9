//! Clients that say nothing, never read, or come by the thousand: each is let go in time, and
//! people log in all the while.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::connection::{after, ask, errors, open, rest, wait_for_answer};
use tests::daemon::{Daemon, Setup};
use tests::libpam::{PamCode, Reply};
use tests::lines::PATIENCE;
use tests::odd_names::{HUNG_UIDS, with_odd_names};
use tests::stack::Stack;
use tests::stranger::{Crowd, Flood, Outcome, connect_as};
use tests::tracee::traced;
use tests::wire::{Caller, exchange, request};
use tests::world;

use crate::meanwhile::{IDLE, IDLE_ROOT, MESSAGE, PAUSE, SLACK, wait_until, while_people_log_in};
use crate::roles::{daemon_with_admins, list_call, with_roles};

#[test]
fn who_says_nothing_is_let_go_after_two_seconds_but_root_is_not() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let bob = Caller::user("bob").uid;
    while_people_log_in(&daemon, || {
        let roots = open(&daemon.login_socket());
        let begun = Instant::now();
        let silent: Vec<UnixStream> = (0..16)
            .map(|_| connect_as(bob, &daemon.open_socket()))
            .collect();
        for stream in silent {
            assert_eq!(rest(&stream), b"");
        }
        assert!(
            begun.elapsed() > IDLE && begun.elapsed() < IDLE + SLACK,
            "{:?}",
            begun.elapsed()
        );
        // After a call the two seconds begin again.
        let stream = connect_as(bob, &daemon.open_socket());
        let _ = ask(&stream, "Show", &json!({}));
        let begun = Instant::now();
        assert_eq!(rest(&stream), b"");
        assert!(
            begun.elapsed() > IDLE - SLACK / 4 && begun.elapsed() < IDLE + SLACK,
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(told(&roots, "Status"), "", "root's is still open");
    });
}

/// By root's own processes, which may otherwise be silent for half a minute.
#[test]
fn logins_that_wait_at_their_prompts_hold_neither_places_nor_threads() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "prompts", "retry=1");
    let login = stack.converse("alice", |_| {
        let about = json!({ "user": "alice", "service": "prompts" });
        let challenged = |_| {
            let stream = open(&daemon.login_socket());
            ask(&stream, "Challenge", &about).expect("what to ask for");
            stream
        };
        // More than there are places, by which root's next login would have to wait until the first
        // is let go for its silence.
        let begun = Instant::now();
        let others: Vec<_> = (0..300).map(challenged).collect();
        wait_until(|| connections(&daemon) == 1, "the daemon to hang up");
        let waited = begun.elapsed();
        assert!(waited < IDLE_ROOT, "they held places for {waited:?}");
        let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid()));
        let threads = threads.expect("its threads").count();
        assert!(threads < 100, "{threads} threads are left");
        drop(others);
        Reply::text(&alice.code())
    });
    assert_eq!(login.code, PamCode::SUCCESS, "by a second connection");
}

#[test]
fn a_program_that_has_the_code_logs_in_by_one_connection() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "at-once", "");
    let ended = traced(&["--trace=connect"], &stack, "alice", &code);
    assert_eq!(ended.code, Some(PamCode::SUCCESS), "{ended:?}");
    assert_eq!(ended.said.matches("login.sock").count(), 1, "{ended:?}");
}

#[test]
fn who_sends_a_byte_now_and_then_is_let_go_after_two_seconds() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let bob = Caller::user("bob").uid;
    let call = request("Show", &json!({ "user": "a".repeat(200) }));
    while_people_log_in(&daemon, || {
        let root = open(&daemon.login_socket());
        let slow = [
            root,
            connect_as(bob, &daemon.open_socket()),
            connect_as(bob, &daemon.open_socket()),
        ];
        std::thread::scope(|scope| {
            for stream in slow {
                scope.spawn(|| {
                    let lasted = drip(stream, &call);
                    assert!(
                        lasted > MESSAGE - SLACK / 4 && lasted < MESSAGE + SLACK,
                        "{lasted:?}"
                    );
                });
            }
        });
    });
}

#[test]
fn who_never_reads_is_let_go_and_keeps_nobody_waiting() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let (bob, carol) = (Caller::user("bob").uid, Caller::user("carol").uid);
    let users: Vec<String> = (0..700).map(|n| format!("listed-{n:03}")).collect();
    daemon.enroll_many(&users);
    while_people_log_in(&daemon, || {
        let begin_list = || after(connect_as(carol, &daemon.open_socket()), &list_call());
        // Within the time that the daemon gives a client that does not read.
        let (begun, (lists, third)) = in_time(&daemon, MESSAGE, || {
            let lists: Vec<UnixStream> = (0..2).map(|_| begin_list()).collect();
            // A list that has begun cannot end: its client does not read.
            lists.iter().for_each(wait_for_answer);
            (
                lists,
                errors(&exchange(
                    connect_as(carol, &daemon.open_socket()),
                    &list_call(),
                )),
            )
        });
        assert_eq!(third, ["Busy"], "the third");
        // Calls of all other clients, pipelined without end.
        for flood in [request("Show", &json!({})), b"\0".to_vec()] {
            let mut stream = connect_as(bob, &daemon.open_socket());
            let sent = stream.write_all(&flood.repeat(2_000_000 / flood.len()));
            assert!(sent.is_err(), "all of it was taken");
        }
        wait_until(|| connections(&daemon) <= 3, "only the users that log in");
        assert!(begun.elapsed() < 4 * SLACK, "{:?}", begun.elapsed());
        for list in lists {
            let replies = errors(&rest(&list)).len();
            assert!(
                replies > 0 && replies < users.len(),
                "{replies} replies fit into the socket"
            );
        }
        let list = exchange(connect_as(carol, &daemon.open_socket()), &list_call());
        assert!(
            errors(&list).len() >= users.len(),
            "a client that reads gets all of it"
        );
    });
}

#[test]
fn of_a_thousand_connections_of_one_user_sixteen_are_served() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let bob = Caller::user("bob").uid;
    while_people_log_in(&daemon, || {
        let (_, (crowd, outcome)) = in_time(&daemon, IDLE, || {
            let crowd = Crowd::gather(bob, 1000, &daemon.open_socket());
            let outcome = crowd.outcome();
            (crowd, outcome)
        });
        assert_eq!(
            outcome,
            Outcome {
                served: 16,
                busy: 984,
                closed: 0
            }
        );
        let other = connect_as(Caller::user("carol").uid, &daemon.open_socket());
        assert_eq!(
            told(&other, "Show"),
            "NoSuchUser",
            "another user is served meanwhile"
        );
        crowd.leave();
        wait_until(|| connections(&daemon) <= CALM, "the crowd to be forgotten");
        let again = connect_as(bob, &daemon.open_socket());
        assert_eq!(
            told(&again, "Show"),
            "NoSuchUser",
            "the places are given back"
        );
    });
}

#[test]
fn uids_without_an_account_share_a_few_places_and_get_one_answer_on_each_connection() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stranger = |n: u32| connect_as(4_200_000 + n, &daemon.open_socket());
    while_people_log_in(&daemon, || {
        let (_, (silent, refused)) = in_time(&daemon, IDLE, || {
            let before = connections(&daemon);
            let silent: Vec<UnixStream> = (0..8).map(stranger).collect();
            wait_until(|| connections(&daemon) >= before + 8, "eight strangers");
            (silent, errors(&rest(&stranger(8))))
        });
        assert_eq!(refused, ["Busy"], "the ninth uid");
        let bob = connect_as(Caller::user("bob").uid, &daemon.open_socket());
        assert_eq!(told(&bob, "Show"), "NoSuchUser", "an account is served");
        drop(silent);
        let calls = request("org.varlink.service.GetInfo", &json!({})).repeat(3);
        wait_until(
            || errors(&exchange(stranger(9), &calls)) == [""],
            "one answer and no more, once the others are gone",
        );
    });
}

#[test]
fn a_flood_of_uids_that_the_name_service_is_silent_about_keeps_no_known_caller_waiting() {
    let _place = world::enter_alone();
    let daemon = with_odd_names(with_roles(Setup::new())).start();
    let device = daemon.enroll("bob");
    let open_as = |user: &str| connect_as(Caller::user(user).uid, &daemon.open_socket());
    assert_eq!(told(&open_as("bob"), "Show"), "");
    let about = json!({ "user": "bob", "service": "tunnel" });
    assert!(ask(&open_as("vera"), "Challenge", &about).is_ok());
    // Both are known from now on.
    // The daemon closes it if it is idle for half a minute.
    let idle = open(&daemon.login_socket());
    let call = json!({ "user": "bob" });
    let socket = daemon.open_socket();
    let _flood = Flood::begin((HUNG_UIDS, 3000), 600, &socket, ("Show", &call));
    for served in 0..60 {
        assert_eq!(told(&open_as("bob"), "Show"), "");
        assert!(
            !is_closed(&idle),
            "{served} calls were served before it ended"
        );
    }
    let asked = json!({ "user": "bob", "service": "tunnel", "codes": [device.code()] });
    assert!(ask(&open_as("vera"), "Verify", &asked).is_ok());
    assert_eq!(
        told(&idle, "Status"),
        "",
        "they were served before it ended"
    );
}

/// Whether the daemon has closed a connection on which it owes no reply.
fn is_closed(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    read.is_ok()
}

#[test]
fn while_all_places_of_ordinary_users_are_taken_verifiers_administrators_and_root_are_served() {
    let _place = world::enter_alone();
    let daemon = daemon_with_admins();
    let device = daemon.enroll("bob");
    let users: Vec<String> = (0..5).map(|n| format!("crowd-{n}")).collect();
    world::make_accounts(&users);
    let uid = |user: &String| Caller::user(user).uid;
    // Uids that the daemon has not seen share few places, and would hear `Busy` sooner.
    for user in &users {
        let call = connect_as(uid(user), &daemon.open_socket());
        assert_eq!(told(&call, "Show"), "NoSuchUser");
    }
    while_people_log_in(&daemon, || {
        let (_, (crowds, outcomes)) = in_time(&daemon, IDLE, || {
            let gather = |user| Crowd::gather(uid(user), 16, &daemon.open_socket());
            let crowds: Vec<Crowd> = users.iter().map(gather).collect();
            let outcomes: Vec<Outcome> = crowds.iter().map(Crowd::outcome).collect();
            let open = |user| connect_as(Caller::user(user).uid, &daemon.open_socket());
            assert_eq!(told(&open("carol"), "Status"), "", "an administrator");
            let asked = json!({ "user": "bob", "service": "tunnel", "codes": [device.code()] });
            assert!(ask(&open("vera"), "Verify", &asked).is_ok(), "a verifier");
            let roots = tests::connection::open(&daemon.open_socket());
            assert_eq!(told(&roots, "Status"), "", "root");
            (crowds, outcomes)
        });
        let served: usize = outcomes.iter().map(|outcome| outcome.served).sum();
        let busy: usize = outcomes.iter().map(|outcome| outcome.busy).sum();
        assert_eq!((served, busy), (64, 16), "{outcomes:?}");
        crowds.into_iter().for_each(Crowd::leave);
    });
}

#[test]
fn a_users_own_calls_do_not_keep_that_user_from_logging_in() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let devices = daemon.enroll_many(&vec!["alice".to_owned(); 5]);
    let alice = Caller::user("alice").uid;
    let stack = Stack::of(&daemon, "own-crowd", "retry=1");
    let attempt = json!({ "user": "alice", "codes": ["no code"], "service": "own-crowd" });
    let logins = hammer(&daemon, alice, ("Verify", &attempt), || {
        let codes = devices.iter().flat_map(|device| device.pair());
        codes
            .map(|code| stack.login("alice", &[&code]).code)
            .collect::<Vec<_>>()
    });
    assert_eq!(logins, vec![PamCode::SUCCESS; 10]);
}

#[test]
fn a_flood_of_refused_calls_hides_no_login_from_the_log() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let bob = Caller::user("bob").uid;
    let users: Vec<String> = (0..30).map(|n| format!("seen-{n:02}")).collect();
    let devices = daemon.enroll_many(&users);
    let stack = Stack::of(&daemon, "seen", "retry=1");
    let begun = Instant::now();
    hammer(&daemon, bob, ("Show", &json!({ "user": "alice" })), || {
        for (user, device) in users.iter().zip(&devices) {
            assert_eq!(stack.login(user, &[&device.code()]).code, PamCode::SUCCESS);
        }
    });
    users
        .iter()
        .for_each(|user| drop(daemon.audited(user, "accepted")));
    assert_eq!(
        daemon.call("Status", &json!({})).expect("a status")["audit_lost"],
        0
    );
    assert!(not_permitted(&daemon) <= 10 * minutes_since(begun));
}

#[test]
fn refused_calls_of_many_uids_together_fill_no_log_and_refuse_no_login_where_lines_are_required() {
    let _place = world::enter_alone();
    let daemon = Setup::new().with("audit: required\n").start();
    let alice = daemon.enroll("alice");
    let begun = Instant::now();
    let call = request("Show", &json!({ "user": "alice" }));
    for uid in 4_300_000..4_300_400 {
        let answer = exchange(connect_as(uid, &daemon.open_socket()), &call);
        assert_eq!(errors(&answer).len(), 1, "{uid}");
    }
    assert_eq!(
        Stack::of(&daemon, "required", "retry=1")
            .login("alice", &[&alice.code()])
            .code,
        PamCode::SUCCESS
    );
    daemon.audited("alice", "accepted");
    let told = not_permitted(&daemon);
    assert!(told > 0 && told <= 300 * minutes_since(begun), "{told}");
}

fn not_permitted(daemon: &Daemon) -> usize {
    daemon.logged(&["event=not_permitted "]).len()
}

/// Minutes of the log that have begun since then.
pub(crate) fn minutes_since(begun: Instant) -> usize {
    usize::try_from(begun.elapsed().as_secs() / 60).expect("a few minutes") + 2
}

/// Sixteen connections of one user make the same call again and again, as fast as they are
/// answered, during `work`.
fn hammer<T>(daemon: &Daemon, uid: u32, call: (&str, &Value), work: impl FnOnce() -> T) -> T {
    let _flood = Flood::begin((uid, 1), 16, &daemon.open_socket(), call);
    work()
}

/// Sends one byte at a time, never stopping for long; returns how long it took the other side to
/// close.
fn drip(mut stream: UnixStream, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    stream.set_read_timeout(Some(PAUSE)).expect("a timeout");
    for byte in bytes.iter().cycle().filter(|byte| **byte != 0) {
        // The other side may have closed just now.
        let _ = stream.write_all(&[*byte]);
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(begun.elapsed() < PATIENCE, "it is still open");
    }
    begun.elapsed()
}

/// Plays `work` again, at most three times, until it took no longer than `limit`, after which the
/// daemon drops its first connections. Returns when it began, too. The connections of an earlier
/// try are closed.
fn in_time<T>(daemon: &Daemon, limit: Duration, work: impl Fn() -> T) -> (Instant, T) {
    for _ in 0..3 {
        let begun = Instant::now();
        let outcome = work();
        if begun.elapsed() < limit {
            return (begun, outcome);
        }
        drop(outcome);
        wait_until(
            || connections(daemon) <= CALM,
            "an earlier try to be forgotten",
        );
    }
    panic!("this machine is too slow: three times it took longer than {limit:?}");
}

fn connections(daemon: &Daemon) -> u64 {
    daemon.call("Status", &json!({})).expect("a status")["connections"]
        .as_u64()
        .expect("a number")
}

/// The error of a call on a connection that stays open, or nothing.
fn told(stream: &UnixStream, method: &str) -> String {
    ask(stream, method, &json!({})).map_or_else(|(error, _)| error, |_| String::new())
}

/// No more connections than those of the users in `while_people_log_in` and of the one that asks
/// for the status.
const CALM: u64 = 4;

#[test]
fn connections_that_take_all_descriptors_leave_those_of_the_store() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.descriptors = Some(96);
    let daemon = setup.start();
    let first = open(&daemon.login_socket());
    let call = |method: &str, wish| ask(&first, method, &wish);
    call("Status", json!({})).expect("it is served");
    let crowd: Vec<_> = (0..120).map(|_| open(&daemon.login_socket())).collect();
    // What is refused is told at once.
    let refused = crowd.last().expect("a connection");
    assert!(!rest(refused).is_empty(), "it is told why");
    // The first enrolment writes the marker, for which the daemon opens files.
    for user in ["alice", "bob"] {
        let wish = json!({ "user": user, "active": true });
        call("Enroll", wish).expect("the store works");
    }
    drop(crowd);
    assert!(daemon.log.with(&["event=store_failed"]).is_empty());
}
