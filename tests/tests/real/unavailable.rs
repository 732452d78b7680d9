//! The daemon is not there, stands still, is overrun, or is another server: no user gets in, and no
//! login hangs.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde_json::json;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{PamCode, Reply};
use tests::stack::{Login, Stack, module};
use tests::wire::Caller;
use tests::worker::Worker;
use tests::world;

#[test]
fn without_a_daemon_nobody_is_asked_and_nobody_gets_in() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    daemon.kill();
    for options in ["", "nullok", "user_unknown", "nullok user_unknown"] {
        let stack = Stack::of(&daemon, "absent", options);
        for user in ["alice", "bob"] {
            let login = in_time(|| stack.login(user, &[&code]));
            assert_eq!(
                (login.code, login.prompts().len()),
                (PamCode::AUTHINFO_UNAVAIL, 0),
                "{user} {options}"
            );
        }
        let ignore = Stack::expecting_ignore(&daemon, "absent-ignore", options);
        assert_eq!(
            ignore.login("bob", &[&code]).code,
            PamCode::AUTHINFO_UNAVAIL,
            "never IGNORE"
        );
    }
    daemon.start_again();
    assert_eq!(
        Stack::of(&daemon, "absent", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn logins_that_race_a_restart_all_get_in_where_the_sockets_outlive_the_daemon() {
    let _place = world::enter();
    let mut daemon = Setup::new().handed_in().start();
    let people = ["alice", "bob", "carol", "dave"].map(|user| {
        let wish = json!({ "user": user, "kind": "hotp", "active": true });
        (
            user,
            authenticator(&daemon.call("Enroll", &wish).expect("a device")).counted(0, 1000),
        )
    });
    // Of a machine on which much else runs a new daemon may take its time.
    let stack = Stack::of(&daemon, "restarted", "retry=1 timeout=10");
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let login = |user: &str, code: &String| {
        let outcome = stack.login(user, &[code.as_str()]).code;
        answered.fetch_add(1, Ordering::SeqCst);
        outcome
    };
    let outcomes: Vec<PamCode> = std::thread::scope(|scope| {
        let logins = people.each_ref().map(|(user, codes)| {
            let (over, login) = (&over, &login);
            scope.spawn(move || {
                let codes = codes.iter().take_while(|_| !over.load(Ordering::SeqCst));
                codes.map(|code| login(user, code)).collect::<Vec<_>>()
            })
        });
        // A machine may restart the daemon faster than a login takes: a few of these must race it.
        let mut restarts = 0;
        while restarts < 5 || (answered.load(Ordering::SeqCst) <= people.len() && restarts < 200) {
            assert!(daemon.terminate().success());
            daemon.start_again();
            restarts += 1;
        }
        over.store(true, Ordering::SeqCst);
        logins
            .into_iter()
            .flat_map(|login| login.join().expect("logins"))
            .collect()
    });
    assert!(outcomes.len() > people.len());
    assert!(
        outcomes.iter().all(|code| *code == PamCode::SUCCESS),
        "{outcomes:?}"
    );
}

#[test]
fn a_daemon_that_stands_still_is_given_up_at_the_deadline() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    daemon.freeze();
    let login = in_time(|| Stack::of(&daemon, "frozen", "").login("alice", &[&code]));
    assert_eq!(
        (login.code, login.prompts().len()),
        (PamCode::AUTHINFO_UNAVAIL, 0)
    );
    daemon.thaw();
    assert_eq!(
        Stack::of(&daemon, "frozen", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_daemon_that_stops_while_the_person_types_lets_nobody_in() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "freezing", "timeout=1");
    let login = in_time(|| {
        stack.converse("alice", |_| {
            daemon.freeze();
            Reply::text(&code)
        })
    });
    assert_eq!(
        (login.code, login.prompts().len()),
        (PamCode::AUTHINFO_UNAVAIL, 1)
    );
    daemon.thaw();
    // The call was under way: whether it was judged after all is the daemon's to say, but never
    // twice.
    let again = stack.login("alice", &[&code, &code, &code]).code;
    let accepted = daemon.logged(&["user=alice", "verdict=accepted"]).len();
    assert!(
        accepted <= 1,
        "{accepted} accepted, then {again:?}\n{}",
        daemon.log.text()
    );
}

#[test]
fn a_daemon_killed_while_the_person_types_lets_nobody_in() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "killed", "");
    let login = in_time(|| {
        stack.converse("alice", |_| {
            daemon.kill();
            Reply::text(&code)
        })
    });
    assert_eq!(
        (login.code, login.prompts().len()),
        (PamCode::AUTHINFO_UNAVAIL, 1)
    );
}

#[test]
fn a_daemon_restarted_while_the_person_types_judges_the_code() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "restarted", "retry=1");
    let login = stack.converse("alice", |_| {
        daemon.kill();
        daemon.start_again();
        Reply::text(&code)
    });
    assert_eq!(login.code, PamCode::SUCCESS);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
}

#[test]
fn a_full_backlog_is_given_up_at_the_deadline_and_forgotten_when_the_daemon_goes_on() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    daemon.freeze();
    let waiting = fill_backlog(&daemon);
    assert!(!waiting.is_empty());
    let login = in_time(|| Stack::of(&daemon, "backlog", "").login("alice", &[&code]));
    assert_eq!(
        (login.code, login.prompts().len()),
        (PamCode::AUTHINFO_UNAVAIL, 0)
    );
    drop(waiting);
    daemon.thaw();
    assert_eq!(
        Stack::of(&daemon, "backlog", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_server_under_another_uid_is_not_believed() {
    let _place = world::enter();
    let bob = Caller::user("bob").uid;
    let folder = world::scratch_folder("impostor");
    std::os::unix::fs::chown(&folder, Some(bob), None).expect("a folder of his own");
    let socket = folder.join("socket");
    let impostor = Worker::impostor(bob, &socket);
    let stack = |service: &str, options: &str| {
        let line = format!(
            "auth required {} socket={} {options}\n",
            module().display(),
            socket.display()
        );
        Stack::new(service, &line)
    };
    for options in ["", "nullok", "user_unknown"] {
        let login = stack("impostor", options).login("alice", &["123456"]);
        assert_eq!(
            (login.code, login.prompts().len()),
            (PamCode::AUTHINFO_UNAVAIL, 0),
            "{options}"
        );
    }
    world::syslog().wait_for(&["(impostor:auth)", &format!("uid {bob}")]);
    assert!(impostor.has_said_nothing(), "it was not asked anything");
    // A module that is told to trust the same server lets the user in: the check of the uid is what
    // denies.
    let trusting = stack("trusting", &format!("server_uid={bob}")).login("alice", &["123456"]);
    assert_eq!(trusting.code, PamCode::SUCCESS);
}

/// Connects until the backlog is full.
fn fill_backlog(daemon: &Daemon) -> Vec<OwnedFd> {
    let address = UnixAddr::new(&daemon.login_socket()).expect("an address");
    let mut waiting = Vec::new();
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => waiting.push(socket),
            Err(Errno::EAGAIN) => return waiting,
            Err(errno) => panic!("{} connected, then {errno}", waiting.len()),
        }
    }
}

/// A login must end within its deadline (three seconds for each call), with room for a slow
/// machine.
fn in_time(login: impl FnOnce() -> Login) -> Login {
    let begun = Instant::now();
    let login = login();
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "after {:?}: {login:?}",
        begun.elapsed()
    );
    login
}
