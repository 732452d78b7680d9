//! A process of its own for what a thread of the tests cannot be: an application in the middle of a
//! login, a caller with other credentials, a server that is not the daemon.
//!
//!   login-worker login CONFDIR SERVICE GATE    one login for each user name on standard input: see `worker.rs`
//!   login-worker once CONFDIR SERVICE USER CODE
//!                                              one login, which says nothing while libpam is at work: see `tracee.rs`
//!   login-worker call UID GID GROUPS SOCKET    standard input to the socket and back, under these credentials
//!   login-worker impostor UID SOCKET           accepts every login, as UID

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use serde_json::{Value, json};
use tests::libpam::{Application, Call, Moment, Reply, transact};
use tests::wire;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["login", confdir, service, gate] => log_in(Path::new(confdir), service, Path::new(gate)),
        ["once", confdir, service, user, code] => {
            log_in_once(Path::new(confdir), service, user, code)
        }
        ["call", uid, gid, groups, socket] => {
            call(number(uid), number(gid), groups, Path::new(socket))
        }
        ["impostor", uid, socket] => impersonate(number(uid), Path::new(socket)),
        _ => panic!("see the source for the usage"),
    }
}

fn log_in(confdir: &Path, service: &str, gate: &Path) {
    while let Some(user) = line() {
        let mut released = now();
        let application = authenticating(&user, confdir, service, &|_| {});
        let code = transact(&application, &mut |message| {
            if !message.is_prompt() {
                return Reply::Null;
            }
            say(&json!({ "event": "prompted", "text": message.text }));
            let typed = line().expect("a code");
            say(&json!({ "event": "at the gate" }));
            pass(gate);
            released = now();
            Reply::text(&typed)
        });
        say(&json!({ "event": "done", "code": code.0, "released": released, "returned": now() }));
    }
}

/// Between the two moments nothing here makes a system call: those are libpam's and the module's.
fn log_in_once(confdir: &Path, service: &str, user: &str, code: &str) {
    // Many of these are aborted.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("setrlimit");
    let notice = |moment| say(&json!({ "event": format!("{moment:?}") }));
    let code = transact(
        &authenticating(user, confdir, service, &notice),
        &mut |message| match message.is_prompt() {
            true => Reply::text(code),
            false => Reply::Null,
        },
    );
    say(&json!({ "event": "done", "code": code.0 }));
}

fn authenticating<'a>(
    user: &'a str,
    confdir: &'a Path,
    service: &'a str,
    notice: &'a dyn Fn(Moment),
) -> Application<'a> {
    Application {
        service,
        user: Some(user),
        confdir: Some(confdir),
        items: &[],
        calls: &[Call::Authenticate],
        flags: 0,
        notice,
    }
}

/// The next line that the tests send, if there is one.
fn line() -> Option<String> {
    let mut line = String::new();
    let read = stdin().read_line(&mut line).expect("standard input");
    (read > 0).then(|| line.trim_end_matches('\n').to_owned())
}

/// Waits while the tests hold the gate, which releases all workers at once.
fn pass(gate: &Path) {
    let gate = File::open(gate).expect("the gate");
    drop(
        Flock::lock(gate, FlockArg::LockShared)
            .map_err(|(_, errno)| errno)
            .expect("the gate's lock"),
    );
}

fn call(uid: u32, gid: u32, groups: &str, socket: &Path) {
    let groups: Vec<Gid> = groups
        .split(',')
        .filter(|g| !g.is_empty())
        .map(|g| Gid::from_raw(number(g)))
        .collect();
    setgroups(&groups).expect("setgroups");
    setresgid(gid.into(), gid.into(), gid.into()).expect("setresgid");
    become_user(uid);
    let mut request = Vec::new();
    stdin().read_to_end(&mut request).expect("a request");
    match UnixStream::connect(socket) {
        Ok(stream) => stdout()
            .write_all(&wire::exchange(stream, &request))
            .expect("an answer"),
        Err(error) => println!("cannot connect: {error}"),
    }
}

fn impersonate(uid: u32, socket: &Path) {
    become_user(uid);
    let listener = UnixListener::bind(socket).expect("a socket");
    say(&json!({ "event": "listening" }));
    let yes =
        json!({ "parameters": { "ask": "one_code", "enrolled": true, "verdict": "accepted" } });
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut request = [0; 4096];
        let asked = stream.read(&mut request).unwrap_or(0);
        if asked > 0 {
            say(&json!({ "event": "asked", "bytes": asked }));
            let _ = stream.write_all(format!("{yes}\0").as_bytes());
        }
    }
}

fn become_user(uid: u32) {
    setresuid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid)).expect("setresuid");
}

/// One line, at once: the tests wait for it.
fn say(event: &Value) {
    let mut out = stdout().lock();
    writeln!(out, "{event}")
        .and_then(|()| out.flush())
        .expect("the tests listen");
}

/// Nanoseconds, on a clock that all workers share.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    u64::try_from(since.as_nanos()).expect("a clock of our age")
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
