//! SIGKILL, between logins and in the middle of them. The ledger of what was acknowledged is kept
//! here, outside.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::count;
use tests::daemon::Daemon;
use tests::libpam::{PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::strace::Strace;
use tests::worker::{Gate, Outcome, Worker};
use tests::world;

#[test]
fn a_daemon_killed_in_the_middle_of_logins_forgets_no_accepted_code() {
    let _place = world::enter_alone();
    let mut daemon = Daemon::start();
    let stack = Stack::of(&daemon, "crash", "retry=1");
    let gate = Gate::new();
    let mut workers: Vec<Worker> = (0..8).map(|_| Worker::start(&stack, &gate)).collect();
    // Two rounds without a kill: the second shows how long one takes.
    let [_, whole] = ["warm", "whole"].map(|name| {
        let (users, codes) = enroll_one_each(&daemon, &workers, name);
        let begun = release(&mut workers, &gate, &users, &codes);
        assert!(
            workers
                .iter()
                .all(|worker| worker.finish().code == PamCode::SUCCESS),
            "no daemon was killed"
        );
        begun.elapsed()
    });
    // Fewer would not cover a round.
    let kills = count("PAM_TOTP_KILLS", INSTANTS).max(INSTANTS);
    let (mut in_the_middle, mut acknowledged) = (0, 0);
    for kill in 0..kills {
        let (users, codes) = enroll_one_each(&daemon, &workers, &format!("crash-{kill:04}"));
        let begun = release(&mut workers, &gate, &users, &codes);
        // Another instant in each round: from before the first call to after the last.
        wait_exactly(
            begun,
            whole * u32::try_from(kill % INSTANTS).expect("a small number") / 20,
        );
        daemon.kill();
        let outcomes: Vec<Outcome> = workers.iter().map(Worker::finish).collect();
        daemon.start_again();
        let accepted = outcomes
            .iter()
            .filter(|o| o.code == PamCode::SUCCESS)
            .count();
        acknowledged += accepted;
        in_the_middle += usize::from(accepted > 0 && accepted < workers.len());
        for ((outcome, user), code) in outcomes.iter().zip(&users).zip(&codes) {
            opens_one_login_at_most(&daemon, &stack, outcome.code, user, code);
        }
    }
    println!(
        "figures: {kills} kills, {in_the_middle} of them between acknowledged and lost logins; {acknowledged} acknowledged"
    );
    let logins = kills * workers.len();
    assert!(
        0 < acknowledged && acknowledged < logins,
        "{acknowledged} of {logins}: every kill came too early or too late"
    );
}

#[test]
fn a_daemon_killed_between_the_spend_and_the_answer_lets_nobody_in_and_the_code_is_gone() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let stack = Stack::of(&daemon, "unanswered", "retry=1");
    let alice = daemon.enroll("alice");
    let [current, next] = alice.pair();
    let mut killer = None;
    let login = stack.converse("alice", |_| {
        // The next thing that the daemon sends is the verdict.
        killer = Some(Strace::attach(&daemon, "sendmsg:signal=SIGKILL"));
        Reply::text(&current)
    });
    assert_eq!(login.code, PamCode::AUTHINFO_UNAVAIL);
    killer.expect("a prompt").abandon();
    assert_eq!(daemon.wait().signal(), Some(Signal::SIGKILL as i32));
    daemon.start_again();
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "already_used");
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
}

#[test]
fn a_daemon_killed_between_logins_forgets_nothing_it_has_acknowledged() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let stack = Stack::of(&daemon, "between", "retry=1");
    for kill in 0..5 {
        let user = format!("between-{kill}");
        let device = daemon.enroll(&user);
        let [current, next] = device.pair();
        assert_eq!(
            stack.login(&user, &[&device.wrong()]).code,
            PamCode::AUTH_ERR
        );
        assert_eq!(stack.login(&user, &[&current]).code, PamCode::SUCCESS);
        daemon.kill();
        daemon.start_again();
        assert_eq!(daemon.budget(&user), 4, "the charge");
        assert_eq!(
            stack.login(&user, &[&current]).code,
            PamCode::AUTH_ERR,
            "the spend"
        );
        daemon.audited(&user, "already_used");
        assert_eq!(
            stack.login(&user, &[&next]).code,
            PamCode::SUCCESS,
            "and all the rest works"
        );
    }
}

#[test]
fn a_daemon_killed_after_an_administrators_work_remembers_it() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let stack = Stack::of(&daemon, "work", "retry=1");
    let codes = ["disabled", "revoked", "kept"].map(|user| daemon.enroll(user).code());
    daemon.totpctl_json(&["disable", "disabled"], "");
    daemon.totpctl_json(&["revoke", "revoked"], "");
    daemon.kill();
    daemon.start_again();
    let login = |user: &str, code: &str| stack.login(user, &[code]).code;
    assert_eq!(login("disabled", &codes[0]), PamCode::AUTH_ERR);
    assert_eq!(login("revoked", &codes[1]), PamCode::AUTH_ERR);
    assert_eq!(login("kept", &codes[2]), PamCode::SUCCESS);
}

#[test]
fn a_second_daemon_on_the_same_store_gives_up_and_leaves_the_first_alone() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let second = tests::daemon::Setup::in_state(&daemon.setup.state).try_start();
    let (status, log) = second.err().expect("no second daemon");
    assert_eq!(status.code(), Some(70), "{}", log.text());
    assert_eq!(
        Stack::of(&daemon, "second", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_store_put_back_to_an_earlier_state_takes_no_code_of_before() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    assert!(daemon.terminate().success());
    let (state, backup) = (
        daemon.setup.state.clone(),
        world::scratch_folder("backup").join("state"),
    );
    let copy = |from: &Path, to: &Path| {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        world::run("rm", &["-rf", &text(to)]);
        world::run("cp", &["--archive", &text(from), &text(to)]);
    };
    copy(&state, &backup);
    daemon.start_again();
    let stack = Stack::of(&daemon, "rolled-back", "retry=1");
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::SUCCESS);
    assert!(daemon.terminate().success());
    copy(&backup, &state);
    daemon.start_again();
    daemon.log.wait_for(&["event=store_rolled_back"]);
    for typed in [current.clone(), format!("{current} {next}")] {
        assert_eq!(
            stack.login("alice", &[&typed]).code,
            PamCode::AUTH_ERR,
            "{typed}"
        );
    }
    assert_eq!(daemon.budget("alice"), 0);
}

/// After a kill: a code that was accepted before it is used, and any other code opens one login at
/// most.
fn opens_one_login_at_most(
    daemon: &Daemon,
    stack: &Stack,
    before: PamCode,
    user: &str,
    code: &str,
) {
    let again = stack.login(user, &[code]).code;
    if before == PamCode::SUCCESS {
        assert_eq!(again, PamCode::AUTH_ERR, "{user} got in twice");
        daemon.audited(user, "already_used");
    } else {
        assert_eq!(before, PamCode::AUTHINFO_UNAVAIL, "{user}");
        assert!(
            [PamCode::SUCCESS, PamCode::AUTH_ERR].contains(&again),
            "{user}: {again:?}"
        );
    }
    assert_eq!(
        stack.login(user, &[code]).code,
        PamCode::AUTH_ERR,
        "{user} got in too often"
    );
}

/// A new user for each worker, and a code of each.
fn enroll_one_each(daemon: &Daemon, workers: &[Worker], name: &str) -> (Vec<String>, Vec<String>) {
    let users: Vec<String> = (0..workers.len()).map(|n| format!("{name}-{n}")).collect();
    let codes = daemon
        .enroll_many(&users)
        .iter()
        .map(Authenticator::code)
        .collect();
    (users, codes)
}

/// Lets every worker send its code at once; returns when that was.
fn release(workers: &mut [Worker], gate: &Gate, users: &[String], codes: &[String]) -> Instant {
    let held = gate.hold();
    for ((worker, user), code) in workers.iter_mut().zip(users).zip(codes) {
        worker.begin(user);
        worker.type_code(code);
    }
    let now = Instant::now();
    drop(held);
    now
}

/// Spins: a sleep would be late by more than the instants differ.
pub(crate) fn wait_exactly(begun: Instant, duration: Duration) {
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Kills that are spread over a round, the last fifth of them after it.
const INSTANTS: usize = 25;
