//! What the daemon counts, and what `totpctl metrics` prints of it. Prometheus itself reads it in
//! `tests/tests/programs/prometheus.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::stranger::Crowd;
use tests::wire::Caller;
use tests::world;

use crate::meanwhile::wait_until;
use crate::roles::{DENIED, refusal, with_roles};

#[test]
fn every_attempt_is_counted_once_by_its_verdict_and_once_by_its_time() {
    let _place = world::enter();
    let exempt = "rules: [{name: office, from: [198.51.100.0/24], services: [sshd]}]\n";
    let daemon = Setup::new().with(exempt).start();
    let alice = daemon.enroll("alice");
    let code = alice.code();
    let attempts = [
        ("alice", &*code, HERE, "accepted"),
        ("alice", &*code, HERE, "already_used"),
        ("alice", "letters", HERE, "malformed"),
        ("alice", &*alice.wrong(), HERE, "rejected"),
        ("alice", "", "198.51.100.1", "exempt"),
    ];
    for (user, typed, from, verdict) in attempts {
        assert_eq!(verify(&daemon, user, typed, from), verdict);
    }
    for _ in 0..6 {
        verify(&daemon, "alice", &alice.wrong(), ELSEWHERE);
    }
    let told = daemon.call("Metrics", &json!({})).expect("the metrics");
    for (verdict, count) in [
        ("accepted", 1),
        ("already_used", 1),
        ("malformed", 1),
        ("exempt", 1),
        ("rejected", 6),
        ("two_codes_needed", 1),
        ("unavailable", 0),
    ] {
        assert_eq!(told["verdicts"][verdict], count, "{verdict}: {told}");
    }
    assert_eq!(told["pools_exhausted"]["unknown"], 1, "{told}");
    let times = &told["verdict_times"];
    assert_eq!((sum(&told["verdicts"]), sum(&times["counts"])), (11, 11));
    assert!(times["sum"].as_u64() > Some(0), "{times}");
    assert!(told["store"]["commits"].as_u64() > Some(0), "{told}");
}

#[test]
fn the_metrics_do_not_tell_which_names_are_enrolled() {
    let _place = world::enter();
    let counted = |user: &str| {
        let daemon = Setup::new().start();
        let wrong = daemon.enroll("alice").wrong_codes(9);
        let before = daemon.call("Metrics", &json!({})).expect("the metrics");
        for typed in wrong.iter().map(String::as_str).chain(["letters", ""]) {
            verify(&daemon, user, typed, ELSEWHERE);
        }
        let both = [&wrong[0], " ", &wrong[1]].concat();
        verify(&daemon, user, &both, ELSEWHERE);
        let after = daemon.call("Metrics", &json!({})).expect("the metrics");
        // Their numbers differ with each run.
        let counts = |told: &Value| {
            let names = ["verdicts", "pools_exhausted", "not_permitted", "skews"];
            let store = ["commits", "commit_records"].map(|name| told["store"][name].clone());
            (
                names.map(|name| told[name].clone()),
                store.map(|n| n.as_u64()),
            )
        };
        let ((before, [b, r]), (after, [commits, records])) = (counts(&before), counts(&after));
        let commits = (commits.unwrap() - b.unwrap(), records.unwrap() - r.unwrap());
        (before, after, commits)
    };
    let (enrolled, unknown) = (counted("alice"), counted("no-such-user"));
    assert_eq!(enrolled, unknown);
    let [verdicts, pools, ..] = &enrolled.1;
    assert_eq!(
        verdicts["rejected"], 6,
        "five guesses and a pair: {verdicts}"
    );
    assert_eq!(pools["unknown"], 1, "{pools}");
}

#[test]
fn no_user_device_source_code_or_secret_is_in_the_metrics() {
    let _place = world::enter();
    let daemon = Setup::new().start();
    let alice = daemon.enroll_as("alice", "pocketphone");
    let (code, wrong) = (alice.code(), alice.wrong());
    for typed in [&*code, &*code, &*wrong, "lettersandmore"] {
        verify(&daemon, "alice", typed, "192.0.2.77");
    }
    verify(&daemon, "no-such-user", &wrong, "192.0.2.77");
    let text = text(&daemon);
    let private = [
        "alice",
        "no-such-user",
        "pocketphone",
        "192.0.2",
        "lettersandmore",
        "sshd",
        &alice.key,
    ];
    for private in private {
        assert!(!text.contains(private), "{private} is in\n{text}");
    }
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    assert!(!numbers.any(|number| number == code || number == wrong));
    let labels: BTreeSet<&str> = text.lines().flat_map(labels).collect();
    let allowed = [
        "direction",
        "le",
        "part",
        "pool",
        "role",
        "state",
        "store",
        "tag",
        "verdict",
        "version",
    ];
    assert_eq!(
        labels,
        BTreeSet::from(allowed),
        "a label may be one of many values"
    );
}

#[test]
fn calls_that_are_not_permitted_and_connections_without_a_place_are_counted() {
    let _place = world::enter_alone();
    let daemon = with_roles(Setup::new()).start();
    let bob = Caller::user("bob");
    for _ in 0..3 {
        assert_eq!(refusal(daemon.call_as(&bob, "Status", &json!({}))), DENIED);
    }
    assert_eq!(refusal(daemon.call_as(&bob, "Metrics", &json!({}))), DENIED);
    let crowd = Crowd::gather(bob.uid, 100, &daemon.open_socket());
    let busy = crowd.outcome().busy;
    assert!(busy > 0, "sixteen are served at once");
    let told = daemon.call("Metrics", &json!({})).expect("the metrics");
    assert_eq!(told["not_permitted"]["self"], 4, "{told}");
    assert_eq!(told["connections_refused"], busy, "{told}");
}

#[test]
fn what_was_healed_is_counted_and_the_copy_has_a_time() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.kill();
    fs::remove_dir_all(daemon.setup.state.join("store")).expect("the store");
    daemon.start_again();
    let value = |name: &str| -> u64 {
        let name = format!("pam_totp_store_{name} ");
        let text = text(&daemon);
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.expect("a sample").parse().expect("a number")
    };
    assert_eq!((value("healed_total"), value("not_healed_total")), (1, 0));
    // A thread of its own reads it.
    let seen = || value("copy_whole_timestamp_seconds") > 0;
    wait_until(seen, "a look at the copy");
    for part in ["store", "copy"] {
        assert!(value(&format!("bytes{{part=\"{part}\"}}")) > 0, "{part}");
    }
}

#[test]
fn records_whose_application_secret_is_gone_are_a_metric_by_their_tag() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    let first = daemon.setup.secrets.clone();
    let second = "2: another application secret of the tests\n";
    daemon.setup.secrets += second;
    daemon.kill();
    daemon.start_again();
    daemon.enroll("bob");
    let told = |daemon: &Daemon, line: &str| {
        let text = text(daemon);
        assert!(
            text.contains(&format!("\npam_totp_{line}\n")),
            "{line}: {text}"
        );
    };
    for line in ["sealed_records{tag=\"2\"} 1", "secret_known{tag=\"2\"} 1"] {
        told(&daemon, line);
    }
    daemon.setup.secrets = first;
    daemon.kill();
    daemon.start_again();
    for line in [
        "sealed_records{tag=\"1\"} 1",
        "secret_known{tag=\"1\"} 1",
        "sealed_records{tag=\"2\"} 1",
        "secret_known{tag=\"2\"} 0",
    ] {
        told(&daemon, line);
    }
}

#[test]
fn a_clock_that_is_off_is_counted_with_its_line_and_not_before() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    // The thread that measures takes them in their order.
    verify(&daemon, "alice", &alice.code_at(5), HERE);
    verify(&daemon, "bob", &bob.code_at(-21), HERE);
    daemon
        .log
        .wait_for(&["event=device_clock_skew ", " user=bob "]);
    let told = daemon.call("Metrics", &json!({})).expect("the metrics");
    let [ahead, behind] = ["ahead", "behind"].map(|word| &told["skews"][word]);
    assert_eq!(*ahead, json!({ "count": 0, "seconds": 0 }), "it is to come");
    assert_eq!(behind["count"], 1);
    let seconds = behind["seconds"].as_u64().expect("a number");
    assert!([630, 660].contains(&seconds), "{behind}");
}

#[test]
fn a_daemon_that_is_away_or_hangs_is_told_in_the_file_of_its_metrics() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let path = world::scratch_folder("metrics").join("pam-totp.prom");
    let file = path.to_str().expect("a path in UTF-8");
    let write = |daemon: &Daemon| daemon.totpctl(&["metrics", "--textfile", file], "");
    let written = write(&daemon);
    assert!(written.status.success() && written.stdout.is_empty());
    assert_eq!(values(&path)["pam_totp_up"], "1");
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o644, "the collector is another user");
    daemon.freeze();
    assert_eq!(write(&daemon).status.code(), Some(3));
    let hangs = values(&path);
    daemon.thaw();
    assert_eq!(hangs["pam_totp_up"], "0");
    assert_eq!(hangs.len(), 2, "nothing else is known: {hangs:?}");
    write(&daemon);
    assert_eq!(values(&path)["pam_totp_up"], "1");
    daemon.kill();
    assert_eq!(write(&daemon).status.code(), Some(3));
    assert_eq!(values(&path)["pam_totp_up"], "0");
}

#[test]
fn a_caller_that_may_not_ask_writes_no_file() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon.totpctl_as("bob", &["metrics"], "");
    assert_eq!(told.status.code(), Some(4), "{told:?}");
    assert!(told.stdout.is_empty(), "{told:?}");
}

fn verify(daemon: &Daemon, user: &str, typed: &str, from: &str) -> String {
    let codes: Vec<&str> = [typed]
        .into_iter()
        .filter(|typed| !typed.is_empty())
        .collect();
    let attempt = json!({ "user": user, "codes": codes, "service": "sshd", "rhost": from });
    let told = daemon.call("Verify", &attempt).expect("a verdict");
    told["verdict"].as_str().expect("a verdict").to_owned()
}

fn text(daemon: &Daemon) -> String {
    let told = daemon.totpctl(&["metrics"], "");
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).expect("text")
}

/// The samples in a file of metrics.
fn values(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).expect("the metrics");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The names of the labels of a line.
fn labels(line: &str) -> Vec<&str> {
    let inside = line.split_once('{').map_or("", |(_, inside)| inside);
    inside
        .split('"')
        .step_by(2)
        .filter_map(|part| part.trim_start_matches(',').strip_suffix('='))
        .collect()
}

fn sum(counts: &Value) -> u64 {
    let values: Vec<&Value> = match counts {
        Value::Object(by_word) => by_word.values().collect(),
        Value::Array(list) => list.iter().collect(),
        other => panic!("no counts: {other}"),
    };
    values.into_iter().filter_map(Value::as_u64).sum()
}

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.9";
