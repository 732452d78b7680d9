//! Servers that are not the daemon, and a daemon that makes no sense: neither the module nor
//! totpctl accepts a login.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::connection::patient;
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::program::with_input;
use tests::stack::{Login, Stack, module};
use tests::wire::Caller;
use tests::worker::Worker;
use tests::world;

#[test]
fn a_server_of_the_right_uid_that_makes_no_sense_lets_nobody_in() {
    let _place = world::enter();
    for (n, (first, second)) in nonsense().into_iter().enumerate() {
        for options in ["", "nullok", "user_unknown"] {
            let server = Fake::answering(vec![first.clone(), second.clone()]);
            let login = server.login(
                &format!("fake-{n}"),
                &format!("retry=1 timeout=1 {options}"),
            );
            let (first, second) = (
                String::from_utf8_lossy(&first),
                String::from_utf8_lossy(&second),
            );
            let case = format!("{:.300} then {:.300} ({options})", first, second);
            assert_eq!(login.code, PamCode::AUTHINFO_UNAVAIL, "{case}");
            assert_eq!(
                login.prompts().len(),
                usize::from(first == asks()),
                "{case}"
            );
        }
    }
    let sensible = Fake::answering(vec![
        asks().into_bytes(),
        reply(&json!({ "ask": "one_code", "verdict": "accepted" })),
    ]);
    assert_eq!(
        sensible.login("fake", "").code,
        PamCode::SUCCESS,
        "the same server, with sense, opens the door"
    );
}

#[test]
fn totpctl_believes_no_other_server_either() {
    let _place = world::enter();
    let bob = Caller::user("bob").uid;
    let folder = world::scratch_folder("impostor");
    std::os::unix::fs::chown(&folder, Some(bob), None).expect("a folder of his own");
    let impostor = Worker::impostor(bob, &folder.join("socket"));
    let told = totpctl(
        &folder.join("socket"),
        &["--json", "verify", "alice"],
        "123456\n",
    );
    assert_eq!(told.0, Some(3), "{told:?}");
    assert!(
        told.1.contains("\"wrong_server\"") && told.1.contains(&format!("uid {bob}")),
        "{told:?}"
    );
    assert!(impostor.has_said_nothing(), "it was not asked anything");
    for (answer, code) in [
        (
            reply(&json!({ "ask": "one_code", "verdict": "accepted" })).repeat(2),
            "protocol",
        ),
        (b"nonsense\0".to_vec(), "protocol"),
        (Vec::new(), "closed"),
    ] {
        let server = Fake::answering(vec![asks().into_bytes(), answer]);
        let told = totpctl(&server.socket, &["--json", "verify", "alice"], "123456\n");
        assert_eq!(told.0, Some(3), "{told:?}");
        assert!(
            told.1.contains(&format!("\"{code}\"")) && !told.1.contains("accepted"),
            "{told:?}"
        );
    }
    let unreachable = totpctl(&folder.join("none"), &["--json", "status"], "");
    assert!(
        unreachable.0 == Some(3) && unreachable.1.contains("\"unreachable\""),
        "{unreachable:?}"
    );
}

#[test]
fn an_endless_row_of_signals_does_not_outlast_the_deadline() {
    let _place = world::enter();
    let socket = world::scratch_folder("silent").join("socket");
    let _nobody_answers = UnixListener::bind(&socket).expect("a socket");
    let mut interrupted = std::process::Command::new("timeout");
    interrupted.args([
        "20",
        "strace",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        "-e",
        "trace=recvfrom",
    ]);
    interrupted
        .args(["-e", "inject=recvfrom:error=EINTR:when=1+"])
        .arg(world::built("totpctl"));
    interrupted
        .arg("--socket")
        .arg(&socket)
        .args(["--json", "status"]);
    let output = with_input(interrupted, "");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.code() == Some(3) && told.contains("\"deadline\""),
        "{output:?}"
    );
}

#[test]
fn totpctl_gives_a_daemon_that_stands_still_up() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.freeze();
    let begun = Instant::now();
    let told = totpctl(&daemon.login_socket(), &["--json", "status"], "");
    assert!(
        told.0 == Some(3) && told.1.contains("\"deadline\""),
        "{told:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
    daemon.thaw();
    assert_eq!(
        totpctl(&daemon.login_socket(), &["--json", "status"], "").0,
        Some(0)
    );
}

/// What a fake server says to the two calls of a login. None of it is an answer.
fn nonsense() -> Vec<(Vec<u8>, Vec<u8>)> {
    let accepted = reply(&json!({ "ask": "one_code", "verdict": "accepted" }));
    let after_a_good_start = [
        vec![],
        b"nonsense\0".to_vec(),
        b"\0".to_vec(),
        b"{}\0".to_vec(),
        accepted[..accepted.len() - 1].to_vec(),
        [&accepted[..], &accepted].concat(),
        [&accepted[..], b"x"].concat(),
        [b"\0", &accepted[..]].concat(),
        [&vec![b' '; 65_537][..], &accepted].concat(),
        vec![b'x'; 10 << 20],
        b"{\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"accepted\"},\"continues\":true}\0".to_vec(),
        b"{\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"rejected\",\"verdict\":\"accepted\"}}\0".to_vec(),
        b"{\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"rejected\"},\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"accepted\"}}\0".to_vec(),
        b"{\"error\":\"org.pamtotp.Provision.Busy\",\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"accepted\"}}\0".to_vec(),
        b"{\"error\":\"\",\"parameters\":{\"ask\":\"one_code\",\"verdict\":\"accepted\"}}\0".to_vec(),
        b"{\"error\":\"accepted\"}\0".to_vec(),
        b"[{\"ask\":\"one_code\",\"verdict\":\"accepted\"}]\0".to_vec(),
        b"[{\"ask\":\"one_code\",\"verdict\":\"accepted\"},null,false]\0".to_vec(),
        b"{\"parameters\":[\"accepted\",\"one_code\",null,null]}\0".to_vec(),
        b"{\"ask\":\"one_code\",\"verdict\":\"accepted\"}\0".to_vec(),
        b"\"accepted\"\0".to_vec(),
        reply(&json!({ "ask": "one_code", "verdict": "Accepted" })),
        reply(&json!({ "ask": "one_code", "verdict": "accepted " })),
        reply(&json!({ "ask": "one_code", "verdict": "excused" })),
        reply(&json!({ "ask": "one_code", "verdict": true })),
        reply(&json!({ "ask": "one_code", "verdict": 0 })),
        reply(&json!({ "ask": "one_code", "verdict": null })),
        reply(&json!({ "ask": "one_code", "verdict": ["accepted"] })),
        reply(&json!({ "ask": "one_code", "verdict": "accepted", "retry_after": -1 })),
        reply(&json!({ "ask": "one_code", "verdict": "accepted", "device": 5 })),
        reply(&json!({ "verdict": "accepted" })),
        reply(&json!({ "ask": "anything", "verdict": "accepted" })),
        reply(&json!({ "ask": ["one_code"], "verdict": "accepted" })),
        asks().into_bytes(),
    ];
    let bad_starts = [
        vec![],
        b"nonsense\0".to_vec(),
        reply(&json!({ "verdict": "accepted" })),
        reply(&json!({ "ask": "anything" })),
        reply(&json!({ "enrolled": true })),
        reply(&json!({ "ask": "one_code", "enrolled": "false" })),
        reply(&json!({ "ask": "one_code", "digits": 6 })),
        asks().repeat(2).into_bytes(),
    ];
    let starts = bad_starts
        .into_iter()
        .map(|start| (start, accepted.clone()));
    starts
        .chain(
            after_a_good_start
                .into_iter()
                .map(|second| (asks().into_bytes(), second)),
        )
        .collect()
}

/// A server in this process, which is root's as the real one is.
struct Fake {
    socket: PathBuf,
}

impl Fake {
    /// Answers the first connection with the first of these, and so on. What it cannot deliver is
    /// not its trouble.
    fn answering(answers: Vec<Vec<u8>>) -> Self {
        let socket = world::scratch_folder("fake").join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            for (answer, stream) in answers
                .into_iter()
                .zip(listener.incoming().map_while(Result::ok))
            {
                let mut stream = patient(stream);
                let _ = stream.read(&mut [0; 65_536]);
                let _ = stream.write_all(&answer);
            }
        });
        Self { socket }
    }

    fn login(&self, service: &str, options: &str) -> Login {
        let line = format!(
            "auth required {} socket={} {options}\n",
            module().display(),
            self.socket.display()
        );
        Stack::new(service, &line).login("alice", &["123456"])
    }
}

fn asks() -> String {
    let asks = json!({ "ask": "one_code", "enrolled": true });
    String::from_utf8(reply(&asks)).expect("a text")
}

fn reply(parameters: &Value) -> Vec<u8> {
    format!("{{\"parameters\":{parameters}}}\0").into_bytes()
}

fn totpctl(socket: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut totpctl = std::process::Command::new(world::built("totpctl"));
    totpctl.arg("--socket").arg(socket).args(arguments);
    let output = with_input(totpctl, input);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
