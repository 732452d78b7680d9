//! Floods of calls by uids without an account, which are free, and by one ordinary user: they use up
//! nothing that others need.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tests::connection::errors;
use tests::count;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::stranger::{Flood, connect_as};
use tests::wire::{Caller, exchange, request};
use tests::world;

use crate::crowds::minutes_since;
use crate::roles::with_roles;

#[test]
fn a_flood_of_uids_without_an_account_leaves_no_question_login_or_call_unanswered() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).with("audit: required\n").start();
    let socket = daemon.open_socket();
    let call = json!({ "user": "alice" });
    flooded(&daemon, || {
        Flood::begin((4_400_000, 3000), 128, &socket, ("Show", &call))
    });
}

#[test]
fn a_flood_of_one_ordinary_user_leaves_no_question_login_or_call_unanswered() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).with("audit: required\n").start();
    world::make_accounts(&["carl".to_owned()]);
    let (socket, carl) = (daemon.open_socket(), Caller::user("carl").uid);
    let long = json!({ "user": "x".repeat(250) });
    flooded(&daemon, || {
        Flood::begin((carl, 1), 128, &socket, ("Bypass", &long))
    });
}

#[test]
fn a_user_that_ends_graces_without_end_takes_no_other_users_away() {
    let _place = world::enter_alone();
    let grace = "grace: {same-source: {for: 1h, services: [flooded]}}\n";
    let daemon = Setup::new().with(grace).start();
    world::make_accounts(&["carl".to_owned()]);
    let (socket, carl) = (daemon.open_socket(), Caller::user("carl").uid);
    let others = ["alice", "bob", "carol", "dave"].map(|user| (user, daemon.enroll(user)));
    let _flood = Flood::begin((carl, 1), 16, &socket, ("RevokeGrace", &json!({})));
    let in_grace = others.iter().filter(|(user, device)| {
        let mut about = json!({ "user": user, "service": "flooded", "rhost": "192.0.2.1" });
        let ask = daemon.call("Challenge", &about).expect("what to ask for");
        assert_eq!(ask["ask"], "one_code");
        about["codes"] = json!([device.code()]);
        let told = daemon.call("Verify", &about).expect("a verdict");
        assert_eq!(told["verdict"], "accepted");
        let about = json!({ "user": user, "service": "flooded", "rhost": "192.0.2.1" });
        daemon.call("Challenge", &about).expect("what to ask for")["ask"] == "nothing"
    });
    // One user in 4,096 shares carl's counter.
    assert!(in_grace.count() >= others.len() - 1);
}

#[test]
fn attempts_that_a_users_process_or_a_verifier_invents_hide_no_guess_at_a_program_of_roots() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).start();
    let stack = Stack::of(&daemon, "guessed", "retry=1");
    for (caller, user, role) in [("alice", "alice", "self"), ("vera", "bob", "verifier")] {
        let wrong = daemon.enroll(user).wrong_codes(3);
        let invented = json!({ "user": user, "service": "tunnel", "codes": ["no code"] });
        let calls = request("Verify", &invented).repeat(50);
        for _ in 0..3 {
            assert_eq!(told(caller, &daemon, &calls), [""; 50], "{caller}");
        }
        for typed in &wrong {
            assert_eq!(stack.login(user, &[typed]).code, PamCode::AUTH_ERR);
        }
        let lines = |role: &str| daemon.logged(&["event=verify ", &format!(" user={user} "), role]);
        assert!(lines(&format!(" role={role} ")).len() >= 120, "{caller}");
        assert_eq!(lines(" role=root ").len(), wrong.len(), "{caller}");
    }
}

#[test]
fn refused_calls_of_a_role_are_few_and_short_and_have_files_of_their_own() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).start();
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let stack = Stack::of(&daemon, "remembered", "retry=1");
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    let given = daemon.call_as(&Caller::user("dave"), "Bypass", &json!({ "user": "alice" }));
    given.expect("a bypass");
    let attempt = json!({ "user": "bob", "service": "tunnel", "codes": [bob.wrong()] });
    let refused = daemon.call_as(&Caller::user("vera"), "Verify", &attempt);
    assert_eq!(refused.expect("a verdict")["verdict"], "rejected");
    let begun = Instant::now();
    let calls = request("Import", &json!({ "user": "\u{1}".repeat(256) })).repeat(50);
    for caller in ["dave", "vera"] {
        for _ in 0..6 {
            assert_eq!(told(caller, &daemon, &calls), ["PermissionDenied"; 50]);
        }
        let uid = Caller::user(caller).uid;
        let lines = daemon.logged(&["event=not_permitted ", &format!(" uid={uid} ")]);
        assert!(
            (1..=30 * minutes_since(begun)).contains(&lines.len()),
            "{caller}"
        );
    }
    // Reading waits until the events are written.
    let _ = daemon.totpctl_json(&["why", "alice"], "");
    let kept = |file| fs::read_to_string(daemon.setup.state.join(file)).expect("events");
    let of_roots = kept("store.events");
    assert!(of_roots.contains(r#""verdict":"rejected""#));
    for (file, event) in [
        ("store.events.staff", r#""event":"bypass""#),
        ("store.events.verifiers", r#""verdict":"rejected""#),
    ] {
        assert!(kept(file).contains(event), "{file}");
    }
    for role in ["helpdesk", "verifier"] {
        assert!(!of_roots.contains(&format!(r#""role":"{role}""#)), "{role}");
    }
    assert!(!of_roots.contains(r#""event":"not_permitted""#));
    let of_staff = kept("store.events.staff");
    let refused = of_staff
        .lines()
        .filter(|line| line.contains("not_permitted"));
    assert!(refused.clone().count() > 0 && refused.into_iter().all(|line| line.len() < 512));
}

#[test]
fn addresses_that_a_verifier_invents_limit_no_login_at_sshd_and_take_its_own_lines() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new())
        .with("      trusted-rhost: true\n")
        .with("limits: {per-source: 1}\n")
        .start();
    let bob = daemon.enroll("bob");
    let invented = |n: usize| {
        let rhost = format!("192.0.{}.{}", n / 250, n % 250 + 1);
        let about =
            json!({ "user": "bob", "service": "tunnel", "codes": ["no code"], "rhost": rhost });
        request("Verify", &about)
    };
    let begun = Instant::now();
    for first in (0..3000).step_by(50) {
        let calls: Vec<u8> = (first..first + 50).flat_map(invented).collect();
        assert_eq!(told("vera", &daemon, &calls), [""; 50], "{first}");
    }
    let lines = daemon.logged(&["event=source_limited ", " role=verifier "]);
    let most = 600 * minutes_since(begun);
    assert!((1..=most).contains(&lines.len()), "{}", lines.len());
    let at_vera = json!({ "user": "bob", "service": "tunnel", "rhost": "192.0.0.1" });
    let told = daemon.call_as(&Caller::user("vera"), "Challenge", &at_vera);
    assert_eq!(told.expect("what to ask for")["ask"], "two_codes");
    let at_sshd =
        json!({ "user": "bob", "service": "sshd", "rhost": "192.0.0.1", "codes": [bob.code()] });
    let told = daemon.call("Verify", &at_sshd);
    assert_eq!(told.expect("a verdict")["verdict"], "accepted");
}

/// The errors of the replies to `calls`, on a connection of that account.
fn told(account: &str, daemon: &Daemon, calls: &[u8]) -> Vec<String> {
    let socket = connect_as(Caller::user(account).uid, &daemon.open_socket());
    errors(&exchange(socket, calls))
}

/// How long root's logins take meanwhile is printed: run it with `--release`, alone.
/// PAM_TOTP_FLOOD_LOGINS is how many there are.
#[test]
fn roots_logins_are_all_accepted_while_strangers_and_a_user_flood_at_once() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).with("audit: required\n").start();
    world::make_accounts(&["carl".to_owned()]);
    let (socket, carl) = (daemon.open_socket(), Caller::user("carl").uid);
    let logins = count("PAM_TOTP_FLOOD_LOGINS", 20);
    log_in_and_measure(&daemon, "quiet", logins);
    let call = json!({ "user": "alice" });
    let strangers = Flood::begin((4_400_000, 3000), 128, &socket, ("Show", &call));
    log_in_and_measure(&daemon, "strangers", logins);
    let long = json!({ "user": "x".repeat(250) });
    let user = Flood::begin((carl, 1), 128, &socket, ("Bypass", &long));
    log_in_and_measure(&daemon, "both", logins);
    drop((strangers, user));
    let status = daemon.call("Status", &json!({})).expect("a status");
    assert_eq!(status["audit_lost"], 0);
}

/// Logs in as the module does: Challenge and Verify, each on a connection of its own.
fn log_in_and_measure(daemon: &Daemon, during: &str, logins: usize) {
    let users: Vec<String> = (0..logins).map(|n| format!("{during}-{n}")).collect();
    let devices = daemon.enroll_many(&users);
    let mut times: Vec<u128> = users
        .iter()
        .zip(devices)
        .map(|(user, device)| {
            let code = device.code();
            let begun = Instant::now();
            let about = json!({ "user": user, "service": "flooded" });
            let asked = daemon.call("Challenge", &about).expect("what to ask for");
            let attempt = json!({ "user": user, "service": "flooded", "codes": [code] });
            let verdict = daemon.call("Verify", &attempt).expect("a verdict");
            let took = begun.elapsed().as_micros();
            assert_eq!(asked["ask"], "one_code", "{user}");
            assert_eq!(verdict["verdict"], "accepted", "{user}");
            took
        })
        .collect();
    times.sort_unstable();
    let of = |hundredth: usize| times[(times.len() * hundredth / 100).min(times.len() - 1)];
    let (half, most, all) = (of(50), of(99), of(100));
    println!("{during:10} p50 {half:6} µs  p99 {most:6} µs  longest {all:6} µs");
}

/// What holds during a flood, and what the daemon remembers from before it.
fn flooded(daemon: &Daemon, begin: impl FnOnce() -> Flood) {
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let stack = Stack::of(daemon, "flooded", "retry=1");
    let wrong = alice.wrong_codes(3);
    for typed in &wrong {
        assert_eq!(stack.login("alice", &[typed]).code, PamCode::AUTH_ERR);
    }
    let flood = begin();
    every_question_is_answered(daemon);
    for code in alice.pair() {
        assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    }
    let own = daemon.call_as(&Caller::user("alice"), "Show", &json!({}));
    assert_eq!(own.expect("her devices")["user"]["user"], "alice");
    let attempt = json!({ "user": "bob", "service": "tunnel", "codes": [bob.code()] });
    let verdict = daemon.call_as(&Caller::user("vera"), "Verify", &attempt);
    assert_eq!(verdict.expect("a verdict")["verdict"], "accepted");
    drop(flood);
    assert_eq!(daemon.refusals_told("alice"), wrong.len());
    let status = daemon.call("Status", &json!({})).expect("a status");
    assert_eq!(status["audit_lost"], 0);
}

/// While the name service does not answer, no user is called "not enrolled".
fn every_question_is_answered(daemon: &Daemon) {
    for n in 0..200 {
        let about = json!({ "user": format!("asked-{n}"), "service": "flooded" });
        let told = daemon.call("Challenge", &about).expect("what to ask for");
        assert_eq!(told["enrolled"], Value::Bool(false), "question {n}");
    }
}

/// PAM_TOTP_BURST is the number of calls; in the long form no other login may wait for a second.
#[test]
fn a_burst_of_roots_calls_about_one_user_and_about_many_keeps_no_other_user_waiting() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let calls = count("PAM_TOTP_BURST", 3000);
    let options = if calls > 3000 {
        "retry=1 timeout=1"
    } else {
        "retry=1"
    };
    let users: Vec<String> = (0..30).map(|n| format!("other-{n}")).collect();
    let devices = daemon.enroll_many(&users);
    let victim = daemon.enroll("victim").wrong();
    let stack = Stack::of(&daemon, "burst", options);
    let (made, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let burst = |caller: usize| {
        while made.fetch_add(1, Ordering::SeqCst) < calls {
            let user = match caller % 2 {
                0 => "victim".to_owned(),
                _ => format!("guessed-{}", made.load(Ordering::SeqCst) % 500),
            };
            let about = json!({ "user": user, "service": "burst", "codes": [victim] });
            if daemon.call("Verify", &about).expect("a verdict")["verdict"] == "busy" {
                busy.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let begun = Instant::now();
    let (mut longest, mut threads) = (0, 0);
    std::thread::scope(|scope| {
        let burst = &burst;
        let callers: Vec<_> = (0..64).map(|n| scope.spawn(move || burst(n))).collect();
        for (user, device) in users.iter().zip(&devices) {
            let code = device.code();
            let begun = Instant::now();
            assert_eq!(stack.login(user, &[&code]).code, PamCode::SUCCESS, "{user}");
            longest = longest.max(begun.elapsed().as_millis());
            let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid()));
            threads = threads.max(tasks.expect("its threads").count());
        }
        made.fetch_add(calls, Ordering::SeqCst);
        callers
            .into_iter()
            .for_each(|caller| caller.join().expect("a caller"));
    });
    assert!(
        busy.load(Ordering::SeqCst) > 0,
        "the queue of one user has an end"
    );
    // The limit of the unit (TasksMax=).
    assert!(threads < 512, "{threads} threads");
    let rate = made.load(Ordering::SeqCst).saturating_sub(calls) as u128 * 1000;
    let rate = rate / begun.elapsed().as_millis().max(1);
    println!(
        "figures: a burst of about {rate} calls a second by 64 callers, {} of them told to wait; {} other logins, the longest {longest} ms; \
         {threads} threads at most",
        busy.load(Ordering::SeqCst),
        users.len()
    );
}
