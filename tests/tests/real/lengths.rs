//! What `nobody` sees of other people's logins from outside: the kernel tells every process how
//! many bytes wait in a Unix socket.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::connection::{after, answer, open, patient, wait_for_answer};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::program::with_input;
use tests::queues::{Way, waiting};
use tests::stack::{Stack, module};
use tests::stranger::connect_as;
use tests::wire::{Caller, request};
use tests::world;

#[test]
fn from_outside_every_reply_to_a_login_is_equally_long() {
    let _place = world::enter();
    let exempt = "rules:\n- {name: exempt, users: [dave]}\nenroll-at-login: true\n";
    let daemon = Setup::new().with(exempt).start();
    let mut seen = Sizes::default();
    for user in ["alice", "bob", "carol", "dave", "no-account"] {
        let challenge = json!({ "user": user, "service": "lengths" });
        seen.of_reply(&daemon, "Challenge", &challenge);
    }
    for (user, code) in attempts(&daemon) {
        let verify = json!({
            "user": user, "codes": [code], "service": "lengths", "options": { "enroll": true },
        });
        seen.of_reply(&daemon, "Verify", &verify);
    }
    seen.of_reply(
        &daemon,
        "Verify",
        &json!({ "user": "dave", "codes": [], "service": "lengths" }),
    );
    for (method, parameters) in [
        ("Verify", json!({ "user": "alice" })),
        ("Challenge", json!({ "user": "../x", "service": "lengths" })),
        ("NoSuchMethod", json!({})),
    ] {
        seen.of_reply(&daemon, method, &parameters);
    }
    seen.are_one();
    for verdict in [
        "accepted",
        "already_used",
        "rejected",
        "malformed",
        "not_enrolled",
        "disabled",
    ] {
        daemon
            .log
            .wait_for(&["event=verify ", &format!(" verdict={verdict}")]);
    }
}

/// Logins that come to every kind of end.
fn attempts(daemon: &Daemon) -> Vec<(&'static str, String)> {
    let alice = daemon.enroll("alice");
    let codes = daemon.totpctl_json(&["recovery-codes", "alice"], "");
    let recovery = codes["recovery_codes"][0]
        .as_str()
        .expect("a code")
        .to_owned();
    daemon.enroll("bob");
    assert!(daemon.totpctl(&["disable", "bob"], "").status.success());
    let ticket = daemon
        .call("Ticket", &json!({ "user": "carol" }))
        .expect("a ticket");
    let ticket = ticket["code"].as_str().expect("a code").to_owned();
    let code = alice.code();
    vec![
        ("alice", code.clone()),
        ("alice", code),
        ("alice", alice.wrong()),
        ("alice", "no code".into()),
        ("alice", recovery),
        ("bob", "123456".into()),
        ("no-account", "123456".into()),
        ("carol", "123456".into()),
        ("carol", ticket),
    ]
}

#[test]
fn from_outside_every_reply_about_a_code_is_equally_long() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let mut seen = Sizes::default();
    let alice = daemon.enroll("alice");
    let wish = json!({ "user": "alice", "device": "new", "digits": 8 });
    let new = daemon.call("Enroll", &wish).expect("a pending device");
    let confirm = |code: String| json!({ "user": "alice", "device": "new", "code": code });
    seen.of_reply(&daemon, "Confirm", &confirm("00000000".into()));
    seen.of_reply(&daemon, "Confirm", &confirm(authenticator(&new).code()));
    let pair = json!({ "user": "alice", "device": "default", "codes": alice.pair() });
    seen.of_reply(&daemon, "Resync", &pair);
    let wrong = json!({ "user": "alice", "device": "default", "codes": ["111111", "222222"] });
    seen.of_reply(&daemon, "Resync", &wrong);
    seen.of_reply(
        &daemon,
        "Enroll",
        &json!({ "user": "bob", "label": "l".repeat(200) }),
    );
    let own = connect_as(Caller::user("alice").uid, &daemon.open_socket());
    for proof in ["111111", "abcd-efgh-ijkl-mnop"] {
        let revoke = json!({ "device": "new", "proof": proof });
        seen.of_call(&own, &daemon.open_socket(), "Revoke", &revoke);
    }
    seen.are_one();
}

#[test]
fn from_outside_every_call_that_holds_a_code_is_equally_long() {
    let _place = world::enter();
    let mut seen = Sizes::default();
    let long = "x".repeat(400);
    for code in [
        "123456",
        "12345678",
        "abcd-efgh-ijkl-mnop",
        "123456 654321",
        "",
        &long,
    ] {
        let server = Unread::new();
        let service = "lengths-of-calls";
        let line = format!(
            "auth required {} socket={} retry=1\n",
            module().display(),
            server.path.display()
        );
        let login = || drop(Stack::new(service, &line).login("alice", &[code]));
        seen.add(server.serve(2, login));
        for arguments in [&["verify", "alice"][..], &["confirm", "alice"]] {
            let server = Unread::new();
            let calls = if arguments[0] == "verify" { 2 } else { 1 };
            let totpctl = || totpctl(&server.path, arguments, code);
            seen.add(server.serve(calls, totpctl));
        }
    }
    for (arguments, typed) in [
        (&["resync", "alice"][..], "123456\n654321"),
        (
            &["enroll", "alice", "--key", "-"],
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        ),
    ] {
        let server = Unread::new();
        seen.add(server.serve(1, || totpctl(&server.path, arguments, typed)));
    }
    seen.are_one();
}

/// What `nobody` has seen, each kind once.
#[derive(Default)]
struct Sizes(BTreeSet<String>);

impl Sizes {
    fn of_reply(&mut self, daemon: &Daemon, method: &str, parameters: &Value) {
        let path = daemon.login_socket();
        self.of_call(&open(&path), &path, method, parameters);
    }

    /// Calls, and reads the reply only when `nobody` has seen how long it is.
    fn of_call(&mut self, stream: &UnixStream, path: &Path, method: &str, parameters: &Value) {
        let stream = after(
            stream.try_clone().expect("a handle"),
            &request(method, parameters),
        );
        wait_for_answer(&stream);
        self.add(waiting(path, Way::Reply));
        let _ = answer(&stream);
    }

    fn add(&mut self, lines: Vec<String>) {
        self.0.extend(lines);
    }

    fn are_one(&self) {
        assert_eq!(self.0.len(), 1, "{:?}", self.0);
    }
}

/// A server that reads a call only when `nobody` has seen how long it is. It asks for one code, and
/// never judges it.
struct Unread {
    path: PathBuf,
    listener: UnixListener,
}

impl Unread {
    fn new() -> Self {
        let path = world::scratch_folder("unread").join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        Self { path, listener }
    }

    /// Serves so many calls of a program.
    fn serve(&self, calls: usize, program: impl FnOnce() + Send) -> Vec<String> {
        std::thread::scope(|scope| {
            scope.spawn(program);
            let mut seen = Vec::new();
            for _ in 0..calls {
                let (stream, _) = self.listener.accept().expect("a connection");
                let mut stream = patient(stream);
                seen.extend(waiting(&self.path, Way::Call));
                let _ = answer(&stream);
                let asks = b"{\"parameters\":{\"ask\":\"one_code\"}}\0";
                stream.write_all(asks).expect("an open connection");
            }
            seen
        })
    }
}

fn totpctl(socket: &Path, arguments: &[&str], typed: &str) {
    let mut totpctl = std::process::Command::new(world::built("totpctl"));
    totpctl.arg("--socket").arg(socket).args(arguments);
    let _ = with_input(totpctl, &format!("{typed}\n"));
}
