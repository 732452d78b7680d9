//! Applications that are not like ours: they have signals, threads, children, limits and
//! environments of their own, and no conversation at times.

use std::process::{Command, Output};

use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::tracee::{Ended, program, wrapped};
use tests::world;

#[test]
fn a_thousand_signals_a_second_change_nothing_and_are_left_as_they_were() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "interrupted", "retry=1");
    let application = Application::compiled();
    // The call hangs while the daemon stands still, and alarms come all the while.
    daemon.freeze();
    let lines = application.run("interrupted", &stack, &[("alice", &alice.code())]);
    assert_eq!(
        code_of(&lines, "alice"),
        PamCode::AUTHINFO_UNAVAIL,
        "{lines:?}"
    );
    let alarms = lines
        .iter()
        .find_map(|line| line.strip_prefix("alarms: ")?.parse::<u32>().ok());
    assert!(alarms.is_some_and(|alarms| alarms > 500), "{lines:?}");
    daemon.thaw();
    for (typed, code) in [
        (alice.wrong(), PamCode::AUTH_ERR),
        (alice.code(), PamCode::SUCCESS),
    ] {
        let lines = application.run("interrupted", &stack, &[("alice", &typed)]);
        assert_eq!(code_of(&lines, "alice"), code, "{lines:?}");
        assert!(
            lines.contains(&"signals: as they were".to_owned()),
            "{lines:?}"
        );
    }
}

#[test]
fn two_logins_in_two_threads_do_not_disturb_each_other() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "threads", "retry=1");
    let application = Application::compiled();
    for round in 0..10 {
        let [right, wrong] = ["right", "wrong"].map(|name| format!("{name}-{round}"));
        let (code, guess) = (daemon.enroll(&right).code(), daemon.enroll(&wrong).wrong());
        let lines = application.run("threads", &stack, &[(&right, &code), (&wrong, &guess)]);
        assert_eq!(code_of(&lines, &right), PamCode::SUCCESS, "{lines:?}");
        assert_eq!(code_of(&lines, &wrong), PamCode::AUTH_ERR, "{lines:?}");
    }
}

#[test]
fn a_login_begun_before_a_fork_is_good_for_one_of_both_processes() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let lines = Application::compiled().run(
        "child",
        &Stack::of(&daemon, "child", "retry=1"),
        &[("alice", &code)],
    );
    assert_eq!(
        lines,
        ["alice: 0", "alice: 7"],
        "the child's login, and the parent's with the same code"
    );
}

#[test]
fn sockets_that_an_application_opens_at_the_prompt_get_no_code_and_stay_open() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "sockets", "retry=1");
    let lines = Application::compiled().run("sockets", &stack, &[("alice", &code)]);
    assert_eq!(
        lines,
        ["alice: 0", "sockets: 32 open, 0 with something in them"]
    );
}

#[test]
fn who_has_no_conversation_gets_in_by_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "no-conversation", "");
    let lines = Application::compiled().run("no-conversation", &stack, &[("alice", &code)]);
    assert_eq!(code_of(&lines, "alice"), PamCode::CONV_ERR, "{lines:?}");
    assert_eq!(daemon.budget("alice"), 5);
}

#[test]
fn a_login_leaves_no_memory_behind_and_touches_none_that_is_not_its_own() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let application = Application::compiled();
    let stack = Stack::of(&daemon, "valgrind", "timeout=20");
    let (wrong, long, right) = (alice.wrong(), "x".repeat(4096), alice.code());
    let told = |code: PamCode| format!("alice: {}", code.0);
    let lines = application.checked(
        "plain",
        &stack,
        &[("alice", &wrong), ("alice", &long), ("alice", &right)],
    );
    assert_eq!(
        lines,
        [PamCode::AUTH_ERR, PamCode::AUTH_ERR, PamCode::SUCCESS].map(told)
    );
    let lines = application.checked("no-conversation", &stack, &[("alice", "")]);
    assert_eq!(lines, [told(PamCode::CONV_ERR)]);
}

#[test]
fn limits_that_a_caller_sets_refuse_or_change_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "limits", "retry=1");
    for (n, limits) in [
        &["--as=16777216"][..],
        &["--as=67108864"],
        &["--stack=65536"],
        &["--cpu=1"],
        &["--fsize=0"],
        &["--core=unlimited"],
        &["--nofile=3"],
        &["--nofile=4"],
        &["--nofile=5"],
        &["--nproc=0"],
        &["--memlock=0"],
        &["--data=1048576"],
        &[
            "--stack=65536",
            "--fsize=0",
            "--core=unlimited",
            "--nofile=5",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("limited-{n}");
        let alice = daemon.enroll(&user);
        let login = |typed: &str| wrapped(prlimit(limits), &stack, &user, typed);
        let wrong = login(&alice.wrong());
        assert!(wrong.code.is_none_or(is_refusal), "{limits:?}: {wrong:?}");
        let right = login(&alice.code());
        assert!(
            right
                .code
                .is_none_or(|code| code == PamCode::SUCCESS || is_refusal(code)),
            "{limits:?}: {right:?}"
        );
    }
}

#[test]
fn nothing_that_stands_in_the_environment_is_looked_at() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "environment", "retry=1");
    let elsewhere = world::scratch_folder("elsewhere").join("login.sock");
    let elsewhere = elsewhere.to_str().expect("a path in UTF-8");
    let hostile = |typed: &str| -> Ended {
        let mut env = Command::new("env");
        for name in [
            "PAM_TOTP_SOCKET",
            "PROVISIOND_SOCKET",
            "PAM_TOTP_SETTINGS",
            "NOTIFY_SOCKET",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "HOME",
            "LISTEN_FDS",
        ] {
            env.arg(format!("{name}={elsewhere}"));
        }
        env.args([
            "RUST_BACKTRACE=full",
            "RUST_LOG=trace",
            "RUST_MIN_STACK=1",
            "MALLOC_PERTURB_=165",
            "LANG=de_DE.UTF-8",
        ]);
        env.args([
            "LC_ALL=tr_TR.UTF-8",
            "LANGUAGE=de",
            "TZ=:/etc/shadow",
            "MALLOC_CHECK_=3",
            "LISTEN_PID=1",
        ]);
        wrapped(env, &stack, "alice", typed)
    };
    for (typed, code) in [
        (alice.wrong(), PamCode::AUTH_ERR),
        (alice.code(), PamCode::SUCCESS),
    ] {
        let ended = hostile(&typed);
        assert_eq!(
            (ended.code, ended.said.as_str()),
            (Some(code), ""),
            "{ended:?}"
        );
    }
}

fn prlimit(limits: &[&str]) -> Command {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(limits);
    prlimit
}

fn is_refusal(code: PamCode) -> bool {
    ![PamCode::SUCCESS, PamCode::IGNORE, PamCode::USER_UNKNOWN].contains(&code)
}

/// The program of `application.c`.
struct Application(std::path::PathBuf);

impl Application {
    fn compiled() -> Self {
        Self(program("application", include_str!("application.c")))
    }

    /// What it prints when these log in.
    fn run(&self, situation: &str, stack: &Stack, logins: &[(&str, &str)]) -> Vec<String> {
        played(Command::new(&self.0), situation, stack, logins)
    }

    /// The same under valgrind, which fails it for what is read or written outside of what is
    /// allocated, and for what is never freed.
    fn checked(&self, situation: &str, stack: &Stack, logins: &[(&str, &str)]) -> Vec<String> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        valgrind.arg(&self.0);
        played(valgrind, situation, stack, logins)
    }
}

fn played(
    mut command: Command,
    situation: &str,
    stack: &Stack,
    logins: &[(&str, &str)],
) -> Vec<String> {
    command
        .arg(situation)
        .arg(stack.confdir())
        .arg(stack.service());
    command.args(logins.iter().flat_map(|(user, code)| [user, code]));
    let output: Output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{situation}: {output:?}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn code_of(lines: &[String], user: &str) -> PamCode {
    let code = lines
        .iter()
        .find_map(|line| line.strip_prefix(&format!("{user}: "))?.parse().ok());
    PamCode(code.unwrap_or_else(|| panic!("nothing of {user}: {lines:?}")))
}
