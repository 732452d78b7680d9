//! Every system call and every allocation of a login fails once, or again and again: no user gets
//! in by it, and the module returns PAM_IGNORE for exempt users alone, and only after the daemon
//! has said so.
//!
//! PAM_TOTP_SWEEP=long plays more errors, and lets calls fail again and again in every situation.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::{Stack, module};
use tests::tracee::{Ended, before_and_during, library, short_of_memory, traced};
use tests::wire::Caller;
use tests::worker::Worker;
use tests::world;

#[test]
fn whichever_system_call_fails_nobody_gets_in_by_it() {
    let _place = world::enter();
    let daemon = with_exemption();
    let mut faults = Vec::new();
    for situation in &SITUATIONS {
        let more = if situation.again_and_again || is_long() {
            &[0, MANY][..]
        } else {
            &[0]
        };
        for (call, numbers) in calls_of_a_login(&daemon, situation) {
            for (number, errno) in
                numbers.flat_map(|k| errnos().iter().map(move |errno| (k, errno)))
            {
                let fault = |more| {
                    (
                        situation,
                        format!("{call}:error={errno}:when={number}..{}", number + more),
                    )
                };
                faults.extend(more.iter().map(fault));
            }
        }
    }
    let hits = AtomicUsize::new(0);
    play(&daemon, &faults, |stack, inject, user, code| {
        let ended = injected(inject, stack, user, code);
        assert!(
            ended.took < DEADLINE && ended.code.is_some(),
            "{inject}: {ended:?}"
        );
        hits.fetch_add(
            usize::from(ended.said.contains("(INJECTED)")),
            Ordering::Relaxed,
        );
        ended
    });
    // How often the module has to look for a reply depends on how soon it comes.
    let (hits, all) = (hits.into_inner(), faults.len());
    println!("{hits} of {all} faults were hit");
    assert!(hits * 10 > all * 8, "{hits} of {all} faults were hit");
}

#[test]
fn whichever_allocation_fails_nobody_gets_in_by_it_and_a_process_that_ends_is_aborted() {
    let _place = world::enter();
    let daemon = with_exemption();
    let library = library("short-of-memory", include_str!("short_of_memory.c"));
    let mut faults = Vec::new();
    for situation in &SITUATIONS {
        let (user, code) = situation.person(&daemon, 0);
        let plain = short_of_memory(&library, "0", &situation.stack(&daemon), &user, &code);
        let count = plain
            .said
            .trim()
            .strip_prefix("allocations: ")
            .and_then(|count| count.parse::<u32>().ok());
        let count = count.unwrap_or_else(|| panic!("{plain:?}"));
        assert!(count > 10, "{plain:?}");
        for k in 1..=count {
            faults.extend(["", "+"].map(|until| (situation, format!("{k}{until}"))));
        }
    }
    let aborted = AtomicUsize::new(0);
    play(&daemon, &faults, |stack, fail, user, code| {
        let ended = short_of_memory(&library, fail, stack, user, code);
        let aborts = ended.status.signal() == Some(Signal::SIGABRT as i32);
        assert!(
            ended.took < DEADLINE && aborts == ended.code.is_none(),
            "{fail}: {ended:?}"
        );
        aborted.fetch_add(usize::from(aborts), Ordering::Relaxed);
        ended
    });
    assert!(aborted.into_inner() > 0, "the faults reach the module");
}

#[test]
fn a_server_whose_uid_cannot_be_learned_is_not_believed() {
    let _place = world::enter();
    let bob = Caller::user("bob").uid;
    let folder = world::scratch_folder("uid-unknown");
    std::os::unix::fs::chown(&folder, Some(bob), None).expect("a folder of his own");
    let socket = folder.join("socket");
    let impostor = Worker::impostor(bob, &socket);
    let stack = Stack::new(
        "uid-unknown",
        &format!(
            "auth required {} socket={}\n",
            module().display(),
            socket.display()
        ),
    );
    for errno in ALL_ERRNOS {
        let ended = injected(
            &format!("getsockopt:error={errno}"),
            &stack,
            "alice",
            "123456",
        );
        assert!(ended.said.contains("(INJECTED)"), "{ended:?}");
        assert_eq!(ended.code, Some(PamCode::AUTHINFO_UNAVAIL), "{errno}");
    }
    assert!(impostor.has_said_nothing(), "it was not asked anything");
}

#[test]
fn a_login_makes_no_process_and_opens_nothing_but_what_libc_opens_for_the_log() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "opens", "debug retry=1");
    let mut logins = vec![
        traced(&[], &stack, "alice", &alice.wrong()),
        traced(&[], &stack, "alice", &alice.code()),
    ];
    daemon.kill();
    logins.push(traced(&[], &stack, "alice", &alice.code()));
    let wanted = [
        PamCode::AUTH_ERR,
        PamCode::SUCCESS,
        PamCode::AUTHINFO_UNAVAIL,
    ];
    assert_eq!(
        logins.iter().map(|login| login.code).collect::<Vec<_>>(),
        wanted.map(Some)
    );
    for login in logins {
        let (before, during) = before_and_during(&login.said);
        assert!(
            before.iter().any(|(name, _)| *name == "openat"),
            "strace sees what is opened"
        );
        for (name, rest) in during {
            let made = ["clone", "clone3", "fork", "vfork", "execve", "execveat"].contains(&name);
            let opened = ["open", "openat", "openat2", "creat", "memfd_create"].contains(&name);
            // syslog(3) writes the local time.
            assert!(
                !made && (!opened || rest.contains("\"/etc/localtime\"")),
                "{name}({rest}"
            );
        }
    }
}

/// The kind of user that logs in, and the options of the module.
struct Situation {
    options: &'static str,
    kind: Person,
    /// Calls fail again and again in the short form, too.
    again_and_again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Person {
    Owner,
    Guesser,
    Stranger,
    /// Enrolled, and needs no code for the service that a rule exempts.
    Exempt,
}

/// A daemon with a service that needs no code.
fn with_exemption() -> Daemon {
    Setup::new()
        .with(&format!("rules: [{{name: sweep, services: [{EXEMPT}]}}]\n"))
        .start()
}

impl Situation {
    /// A stack that succeeds if our module does, fails with SERVICE_ERR (`IGNORED`) if it says
    /// IGNORE (the second line has an option that does not exist), and with the module's own code
    /// otherwise.
    fn stack(&self, daemon: &Daemon) -> Stack {
        let (module, socket, options) = (module(), daemon.login_socket(), self.options);
        let (module, socket) = (module.display(), socket.display());
        let first = format!(
            "auth [success=1 ignore=ignore default=die] {module} socket={socket} {options}"
        );
        let lines = format!(
            "{first} timeout=1 retry=1\nauth requisite {module} ignored\nauth required pam_permit.so\n"
        );
        Stack::new(
            if self.kind == Person::Exempt {
                EXEMPT
            } else {
                "sweep"
            },
            &lines,
        )
    }

    /// A new user, and what they will type.
    fn person(&self, daemon: &Daemon, number: usize) -> (String, String) {
        let user = format!("sweep-{}-{number}", world::next_number());
        let code = match self.kind {
            Person::Owner => enroll(daemon, &user).code(),
            Person::Guesser | Person::Exempt => enroll(daemon, &user).wrong(),
            Person::Stranger => "123456".to_owned(),
        };
        let password = if self.options.contains("forward_pass") {
            "hunter2"
        } else {
            ""
        };
        (user, format!("{password}{code}"))
    }

    /// Whether this may come out for `user`, whatever fails.
    fn allows(&self, code: PamCode, daemon: &Daemon, user: &str) -> bool {
        match code {
            PamCode::SUCCESS => self.kind == Person::Owner,
            IGNORED if self.kind == Person::Exempt => {
                daemon.audited(user, "exempt").contains(" rule=sweep")
            }
            IGNORED | PamCode::IGNORE => false,
            PamCode::USER_UNKNOWN => {
                self.kind == Person::Stranger && self.options.contains("user_unknown")
            }
            _ => true,
        }
    }

    /// What comes out when nothing fails.
    fn usual(&self) -> PamCode {
        match self.kind {
            Person::Owner => PamCode::SUCCESS,
            Person::Exempt => IGNORED,
            Person::Stranger if self.options.contains("user_unknown") => PamCode::USER_UNKNOWN,
            _ => PamCode::AUTH_ERR,
        }
    }
}

fn enroll(daemon: &Daemon, user: &str) -> Authenticator {
    daemon.enroll_many(&[user.to_owned()]).remove(0)
}

/// The module's system calls when nothing fails: for each, which of the process's calls of that
/// name they are. libpam's own, which tell the kernel's audit at the end, are left out.
fn calls_of_a_login(
    daemon: &Daemon,
    situation: &Situation,
) -> BTreeMap<String, std::ops::RangeInclusive<usize>> {
    let stack = situation.stack(daemon);
    let mut calls = BTreeMap::new();
    for n in 0..PLAIN_LOGINS {
        let (user, code) = situation.person(daemon, n);
        let ended = traced(&[], &stack, &user, &code);
        assert_eq!(ended.code, Some(situation.usual()), "{ended:?}");
        let (before, during) = before_and_during(&ended.said);
        let is_audit =
            |(name, rest): &(&str, &str)| *name == "socket" && rest.contains("AF_NETLINK");
        for (name, _) in during.iter().take_while(|call| !is_audit(call)) {
            let count =
                |calls: &[(&str, &str)]| calls.iter().filter(|(other, _)| other == name).count();
            let earlier = count(&before);
            let last = earlier
                + during
                    .iter()
                    .take_while(|call| !is_audit(call))
                    .filter(|(n, _)| n == name)
                    .count();
            let known = calls
                .entry((*name).to_owned())
                .or_insert(earlier + 1..=last);
            *known = earlier + 1..=last.max(*known.end());
        }
    }
    assert!(
        calls.contains_key("connect") && calls.contains_key("recvfrom"),
        "{calls:?}"
    );
    calls
}

/// A login under strace, which makes one call fail.
fn injected(inject: &str, stack: &Stack, user: &str, code: &str) -> Ended {
    let call = inject.split(':').next().unwrap_or_default();
    let arguments = [
        "--seccomp-bpf",
        "-e",
        &format!("trace={call}"),
        "-e",
        &format!("inject={inject}"),
    ];
    traced(&arguments, stack, user, code)
}

/// Plays each fault with a new user, and fails if the result is one that may not come out.
fn play(
    daemon: &Daemon,
    faults: &[(&Situation, String)],
    login: impl Fn(&Stack, &str, &str, &str) -> Ended + Sync,
) {
    let stacks: Vec<Stack> = SITUATIONS
        .iter()
        .map(|situation| situation.stack(daemon))
        .collect();
    let next = AtomicUsize::new(0);
    let player = || {
        while let Some((n, (situation, fault))) = {
            let n = next.fetch_add(1, Ordering::Relaxed);
            faults.get(n).map(|fault| (n, fault))
        } {
            let stack = SITUATIONS
                .iter()
                .position(|other| std::ptr::eq(other, *situation));
            let (user, code) = situation.person(daemon, n);
            let ended = login(&stacks[stack.expect("one of them")], fault, &user, &code);
            let allowed = ended
                .code
                .is_none_or(|code| situation.allows(code, daemon, &user));
            assert!(
                allowed,
                "{fault}, {:?}, options '{}': {ended:?}",
                situation.kind, situation.options
            );
        }
    };
    std::thread::scope(|scope| (0..PLAYERS).for_each(|_| drop(scope.spawn(player))));
}

fn errnos() -> &'static [&'static str] {
    if is_long() {
        &ALL_ERRNOS
    } else {
        &ALL_ERRNOS[..5]
    }
}

fn is_long() -> bool {
    std::env::var("PAM_TOTP_SWEEP").is_ok_and(|form| form == "long")
}

static SITUATIONS: [Situation; 11] = [
    Situation {
        options: "",
        kind: Person::Owner,
        again_and_again: false,
    },
    Situation {
        options: "",
        kind: Person::Guesser,
        again_and_again: true,
    },
    Situation {
        options: "nullok",
        kind: Person::Owner,
        again_and_again: false,
    },
    Situation {
        options: "nullok",
        kind: Person::Guesser,
        again_and_again: false,
    },
    Situation {
        options: "user_unknown",
        kind: Person::Owner,
        again_and_again: false,
    },
    Situation {
        options: "user_unknown",
        kind: Person::Guesser,
        again_and_again: false,
    },
    Situation {
        options: "user_unknown",
        kind: Person::Stranger,
        again_and_again: false,
    },
    Situation {
        options: "debug",
        kind: Person::Guesser,
        again_and_again: false,
    },
    Situation {
        options: "forward_pass",
        kind: Person::Owner,
        again_and_again: false,
    },
    Situation {
        options: "forward_pass",
        kind: Person::Guesser,
        again_and_again: false,
    },
    Situation {
        options: "nullok",
        kind: Person::Exempt,
        again_and_again: false,
    },
];
/// The service that a rule exempts.
const EXEMPT: &str = "sweep-exempt";
/// The stack's word for IGNORE.
const IGNORED: PamCode = PamCode::SERVICE_ERR;
const ALL_ERRNOS: [&str; 9] = [
    "EIO",
    "ENOMEM",
    "EINTR",
    "EAGAIN",
    "ECONNRESET",
    "ENOSPC",
    "EMFILE",
    "EPIPE",
    "EACCES",
];
/// Two calls of the daemon with a second each, and room for a slow machine.
const DEADLINE: Duration = Duration::from_secs(6);
/// Not without end: libpam's own talk with the kernel's audit, after the module, would be tried for
/// ever.
const MANY: usize = 300;
const PLAIN_LOGINS: usize = 3;
const PLAYERS: usize = 3;
