//! The events that the log keeps, and the callers that may read them: in order, over restarts, and
//! without delaying a login.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::connection::{after, answer, ask, open};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{Item, PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::odd_names::with_odd_names;
use tests::stack::Stack;
use tests::stranger::connect_as;
use tests::wire::{Caller, exchange, parse, request_more};
use tests::world;

use crate::roles::{daemon_with_admins, with_roles};

#[test]
fn what_happened_is_told_in_its_order_also_after_a_crash() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let (right, wrong) = (alice.code_at(0), alice.wrong());
    let stack = Stack::of(&daemon, "told", "retry=1");
    for (code, outcome) in [
        (&wrong, PamCode::AUTH_ERR),
        (&right, PamCode::SUCCESS),
        (&right, PamCode::AUTH_ERR),
    ] {
        assert_eq!(stack.login("alice", &[code]).code, outcome);
    }
    stack.login("bob", &[&wrong]);
    let verdicts = ["rejected", "accepted", "already_used"];
    assert_eq!(verdicts_of(&daemon, &json!({ "user": "alice" })), verdicts);
    assert_eq!(
        verdicts_of(&daemon, &json!({ "user": "alice", "limit": 2 })),
        verdicts[1..]
    );
    assert_eq!(
        verdicts_of(&daemon, &json!({})),
        [&verdicts[..], &["not_enrolled"]].concat()
    );
    assert!(verdicts_of(&daemon, &json!({ "since": u32::MAX })).is_empty());
    daemon.kill();
    let file = daemon.setup.state.join("store.events");
    assert_eq!(
        fs::metadata(&file).expect("the file").permissions().mode() & 0o777,
        0o600
    );
    let whole = fs::read(&file).expect("the file");
    fs::write(&file, [&whole, &br#"{"time":1,"numb"#[..]].concat()).expect("half a line");
    daemon.start_again();
    assert_eq!(verdicts_of(&daemon, &json!({ "user": "alice" })), verdicts);
    let numbers: Vec<u64> = events(&daemon, &json!({}))
        .iter()
        .map(|event| event["number"].as_u64().expect("a number"))
        .collect();
    assert!(
        numbers.is_sorted_by(|one, next| one + 1 == *next),
        "{numbers:?}"
    );
    assert!(numbers.len() >= 7, "the start is one, too: {numbers:?}");
}

#[test]
fn who_follows_is_told_at_once_and_the_daemon_does_not_wait_for_them_at_its_end() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let wrong = daemon.enroll("alice").wrong();
    let followed = following(&daemon, &json!({ "user": "alice", "follow": true }));
    assert_eq!(event(&followed)["event"], "enroll", "what was before");
    let stack = Stack::of(&daemon, "followed", "retry=1");
    stack.login("bob", &[&wrong]);
    stack.login("alice", &[&wrong]);
    let next = event(&followed);
    assert_eq!(
        (&next["fields"]["user"], &next["fields"]["verdict"]),
        (&json!("alice"), &json!("rejected"))
    );
    assert!(daemon.terminate().success());
    assert_eq!(parse(&answer(&followed)).unwrap_err().0, "Busy");
    assert!(!daemon.log.text().contains("audit_lost"));
}

#[test]
fn whoever_of_the_helpdesk_reads_on_and_on_keeps_nobody_else_from_reading() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let follow = |user: &str| {
        let socket = connect_as(Caller::user(user).uid, &daemon.open_socket());
        after(socket, &request_more("Events", &json!({ "follow": true })))
    };
    let mut daves: Vec<UnixStream> = (0..2).map(|_| follow("dave")).collect();
    // Each has begun, or the next one could come before it.
    daves.iter().for_each(|stream| drop(event(stream)));
    let (error, told) = parse(&answer(&follow("dave"))).unwrap_err();
    assert_eq!(error, "Busy");
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.ends_with("and try again")),
        "{told}"
    );
    for command in [&["list"][..], &["log"], &["why", "alice"]] {
        let refused = daemon.totpctl_as("dave", command, "");
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("end one, "),
            "{refused:?}"
        );
        for others in [
            daemon.totpctl_as("carol", command, ""),
            daemon.totpctl(command, ""),
        ] {
            assert!(others.status.success(), "{others:?}");
        }
    }
    daves.pop();
    // The daemon looks now and then for readers that have left.
    while !daemon.totpctl_as("dave", &["log"], "").status.success() {}
}

#[test]
fn who_follows_stays_while_the_name_service_is_silent_and_is_told_when_they_may_not_any_more() {
    let _place = world::enter();
    let daemon = with_odd_names(with_roles(Setup::new())).start();
    let socket = connect_as(Caller::user("dave").uid, &daemon.open_socket());
    let followed = after(socket, &request_more("Events", &json!({ "follow": true })));
    // It has begun, or what comes next could come before it.
    event(&followed);
    let helpdesk_is = |group: &str| {
        let settings = daemon
            .setup
            .settings
            .replace("totp-help\n", &format!("{group}\n"));
        world::write_for_daemon(&daemon.setup.folder.join("settings.yaml"), &settings);
        daemon.call("Reload", &json!({})).expect("good settings");
    };
    // It is looked every second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        helpdesk_is("odd-broken-help");
        while event(&followed)["event"] != "reloaded" {}
    }
    helpdesk_is("totp-users-no-more");
    let end = std::iter::from_fn(|| Some(parse(&answer(&followed)))).find_map(Result::err);
    assert_eq!(end.expect("an error").0, "PermissionDenied");
    daemon.log.wait_for(&["event=not_permitted method=Events "]);
}

#[test]
fn root_may_read_eight_at_once() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let parameters = json!({ "follow": true });
    let followers: Vec<UnixStream> = (0..8).map(|_| following(&daemon, &parameters)).collect();
    followers.iter().for_each(|follower| drop(event(follower)));
    assert_eq!(
        parse(&answer(&following(&daemon, &parameters)))
            .unwrap_err()
            .0,
        "Busy"
    );
}

#[test]
fn who_asks_for_too_much_or_for_one_reply_is_refused() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let refusal = |parameters| {
        parse(&answer(&following(&daemon, &parameters)))
            .unwrap_err()
            .0
    };
    assert_eq!(refusal(json!({ "limit": 10_001 })), "BadParameter");
    assert_eq!(refusal(json!({ "limit": -1 })), "BadParameter");
    assert_eq!(refusal(json!({ "user": "a/b" })), "BadParameter");
    assert_eq!(
        daemon.call("Events", &json!({})).unwrap_err().0,
        "ExpectedMore"
    );
}

#[test]
fn events_that_cannot_be_written_are_counted_and_stop_no_login() {
    let _place = world::enter();
    let setup = Setup::new();
    fs::create_dir(setup.state.join("store.events")).expect("something in the way");
    let daemon = setup.start();
    let code = daemon.enroll("alice").code();
    assert_eq!(
        Stack::of(&daemon, "unwritten", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
    assert!(events(&daemon, &json!({})).is_empty());
    daemon.log.wait_for(&["event=events_not_saved"]);
    let status = daemon.call("Status", &json!({})).expect("a status");
    assert!(
        status["events_lost"].as_u64() > Some(2) && status["audit_lost"] == 0,
        "{status}"
    );
    fs::remove_dir(daemon.setup.state.join("store.events")).expect("out of the way");
    daemon.call("Reload", &json!({})).expect("good settings");
    assert_eq!(
        events(&daemon, &json!({})).last().expect("an event")["event"],
        "reloaded",
        "without a hand"
    );
}

#[test]
fn events_after_their_file_was_removed_are_remembered_and_the_log_says_so() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let wrong = daemon.enroll("alice").wrong_codes(2);
    let stack = Stack::of(&daemon, "removed", "retry=1");
    for typed in &wrong {
        let verdicts = || verdicts_of(&daemon, &json!({ "user": "alice" }));
        stack.login("alice", &[typed]);
        assert_eq!(verdicts(), ["rejected"]);
        fs::remove_file(daemon.setup.state.join("store.events")).expect("a file");
        assert!(verdicts().is_empty());
    }
    // The log tells of it with the next line.
    let _ = daemon.logged(&[]);
    daemon.log.wait_for(&["event=events_removed"]);
}

#[test]
fn nobody_gets_in_without_a_line_where_lines_are_required() {
    let _place = world::enter();
    let setup = Setup::new().with("audit: required\n");
    let mut stuck = Stuck::start(&setup);
    let socket = open(&setup.runtime.join("login.sock"));
    let told = ask(
        &socket,
        "Enroll",
        &json!({ "user": "alice", "active": true }),
    )
    .expect("a device");
    let alice = authenticator(&told);
    let verdict = |code: &str| {
        let attempt = json!({ "user": "alice", "codes": [code], "service": "required" });
        ask(&socket, "Verify", &attempt).expect("a verdict")["verdict"].clone()
    };
    let lost = || {
        ask(&socket, "Status", &json!({})).expect("a status")["audit_lost"]
            .as_u64()
            .expect("a number")
    };
    // Each call is a line, until the log takes no more.
    let fill = |method: &str, about: &dyn Fn(u64) -> Value| {
        let before = lost();
        for n in 0.. {
            ask(&socket, method, &about(n)).expect("a reply");
            if n % 100 == 0 && lost() > before {
                break;
            }
        }
    };
    fill(
        "Verify",
        &|n| json!({ "user": format!("user-{n}"), "codes": [""], "service": "required" }),
    );
    assert_eq!(
        verdict(&alice.code_at(-1)),
        "accepted",
        "refused attempts of others have a part of the queue, and not all of it"
    );
    fill("RevokeGrace", &|_| json!({ "user": "alice" }));
    let right = alice.code_at(0);
    assert_eq!(verdict(&right), "refused");
    let log = stuck.flow();
    log.wait_for(&["event=audit_lost"]);
    assert_eq!(
        verdict(&right),
        "already_used",
        "it was right, and is spent"
    );
    assert_eq!(verdict(&alice.code_at(1)), "accepted");
    log.wait_for(&["user=alice", "verdict=accepted"]);
}

#[test]
fn totpctl_says_why_somebody_was_refused() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let (right, wrong) = (alice.code_at(0), alice.wrong());
    let stack = Stack::of(&daemon, "whys", "retry=1");
    for code in [&wrong, &right, &right] {
        let login = stack.attempt("alice").item(Item::Rhost, "192.0.2.7");
        login.run(|_| Reply::text(code));
    }
    let told = daemon.totpctl_json(&["why", "alice"], "");
    let verdicts: Vec<&str> = told["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|told| told["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["rejected", "accepted", "already_used"]);
    assert_eq!(
        (
            &told["attempts"][1]["device"],
            &told["attempts"][1]["meaning"]
        ),
        (&json!("default"), &Value::Null)
    );
    assert_eq!(
        (
            &told["attempts"][2]["source"],
            &told["attempts"][2]["service"]
        ),
        (&json!("192.0.2.7"), &json!("whys"))
    );
    let text = said(&daemon.totpctl(&["why", "alice", "-n", "1"], ""));
    assert!(
        text.contains("already_used\n  the code was used already") && !text.contains("rejected"),
        "{text}"
    );
    assert!(
        said(&daemon.totpctl(&["why", "bob"], ""))
            .starts_with("the log has no login attempt of bob")
    );
    assert_eq!(
        daemon
            .totpctl_as("bob", &["why", "alice"], "")
            .status
            .code(),
        Some(4)
    );
}

#[test]
fn users_read_their_own_attempts_and_nothing_else() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let stack = Stack::of(&daemon, "own-why", "retry=1");
    for user in ["alice", "bob"] {
        let wrong = daemon.enroll(user).wrong();
        assert_eq!(stack.login(user, &[&wrong]).code, PamCode::AUTH_ERR);
    }
    let why = said(&daemon.totpctl_as("alice", &["why", "alice"], ""));
    assert!(
        why.contains("  own-why  ") && why.contains("rejected"),
        "{why}"
    );
    let asked = |user: &str, parameters: Value| {
        let socket = connect_as(Caller::user(user).uid, &daemon.open_socket());
        replies(&exchange(socket, &request_more("Events", &parameters)))
    };
    for parameters in [json!({}), json!({ "user": "alice" }), json!({ "since": 1 })] {
        let told = asked("alice", parameters).expect("her own");
        assert_eq!(told.len(), 1, "no change, and no line of bob: {told:?}");
        assert_eq!(
            (&told[0]["event"], &told[0]["fields"]["user"]),
            (&json!("verify"), &json!("alice"))
        );
    }
    assert_eq!(asked("alice", json!({ "limit": 0 })), Ok(Vec::new()));
    for (parameters, error) in [
        (json!({ "user": "bob" }), "PermissionDenied"),
        (json!({ "follow": true }), "BadParameter"),
        (json!({ "limit": 10_001 }), "BadParameter"),
    ] {
        assert_eq!(asked("alice", parameters), Err(error.to_owned()));
    }
    daemon.totpctl_json(&["forget", "alice", "--yes"], "");
    let another = asked("alice", json!({}));
    assert_eq!(
        another,
        Ok(Vec::new()),
        "it may be another person's name now"
    );
}

#[test]
fn totpctl_shows_what_happened_and_what_happens() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let wrong = daemon.enroll("alice").wrong();
    let told = said(&daemon.totpctl(&["log", "alice"], ""));
    assert!(
        told.ends_with("  enroll  alice  device=default  state=active\n"),
        "{told}"
    );
    let since = said(&daemon.totpctl(&["log", "--since", "1h"], ""));
    assert!(since.contains("  started  version="), "{since}");
    assert!(said(&daemon.totpctl(&["log", "alice", "--lines", "0"], "")).is_empty());
    assert_eq!(
        daemon
            .totpctl(&["log", "--since", "yesterday"], "")
            .status
            .code(),
        Some(2)
    );
    let mut follow = std::process::Command::new(world::built("totpctl"));
    follow
        .args(["--json", "--socket"])
        .arg(daemon.login_socket())
        .args(["log", "--follow", "alice"]);
    let mut child = follow.stdout(Stdio::piped()).spawn().expect("totpctl");
    let followed = tests::lines::Lines::default();
    followed.follow(child.stdout.take().expect("its output"));
    followed.wait_for(&[r#""event":"enroll""#]);
    Stack::of(&daemon, "shown", "retry=1").login("alice", &[&wrong]);
    followed.wait_for(&[r#""verdict":"rejected""#]);
    drop(daemon);
    assert_eq!(
        child.wait().expect("its end").code(),
        Some(3),
        "the daemon is gone"
    );
}

#[test]
fn a_phone_whose_clock_is_off_is_named_in_the_log_and_nowhere_else() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "skewed", "retry=1");
    let (late, wrong) = (alice.code_at(-21), alice.wrong());
    let [of_another_time, never] = [&late, &wrong].map(|code| stack.login("alice", &[code]));
    assert_eq!(
        (of_another_time.code, of_another_time.said),
        (never.code, never.said),
        "the person is told nothing"
    );
    let line = daemon.log.wait_for(&[
        "event=device_clock_skew",
        " user=alice ",
        " device=default ",
    ]);
    // A step may have begun in between.
    assert!(
        line.ends_with(" seconds=-630") || line.ends_with(" seconds=-660"),
        "{line}"
    );
    let told = daemon.totpctl_json(&["why", "alice"], "");
    let skews: Vec<bool> = (0..2)
        .map(|n| told["attempts"][n]["skew"].is_i64())
        .collect();
    assert_eq!(skews, [true, false], "{told}");
    assert!(
        said(&daemon.totpctl(&["why", "alice"], "")).contains(" ago: the phone's clock is slow")
    );
    daemon.totpctl_json(&["disable", "alice"], "");
    stack.login("alice", &[&late]);
    assert_eq!(
        daemon.totpctl_json(&["why", "alice", "-n", "1"], "")["attempts"][0]["skew"],
        Value::Null
    );
}

#[test]
fn of_a_code_that_is_still_to_come_the_log_says_nothing_until_that_code_opens_nothing() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let mut daemon = clocks.of(Setup::new()).start();
    let stack = Stack::of(&daemon, "to-come", "retry=1");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| daemon.enroll(user));
    let later = |device: &Authenticator, steps: i64| device.code_when(clocks.now() + 30 * steps);
    let soon = later(&alice, 3);
    let far = format!("{} {}", later(&bob, 20), later(&bob, 21));
    for (user, typed) in [("alice", &soon), ("bob", &far)] {
        assert_eq!(stack.login(user, &[typed]).code, PamCode::AUTH_ERR);
    }
    // A pair is searched for ten steps to either side, and a drift of four is learned: the third
    // step from now is out of reach after the seventeenth, the twenty-first after the thirty-fifth.
    for (passes, told) in [(0, 0), (76, 0), (463, 0), (1, 1), (539, 1), (1, 2)] {
        clocks.pass(passes);
        assert_eq!(skews_told(&daemon), told, "after {passes} more");
    }
    daemon
        .log
        .wait_for(&["event=device_clock_skew ", "user=alice", " seconds=90"]);
    assert_eq!(
        stack.login("alice", &[&soon]).code,
        PamCode::AUTH_ERR,
        "what was told is of no use"
    );
    let why = daemon.totpctl_json(&["why", "bob"], "");
    assert_eq!(why["attempts"][0]["skew"], 600, "{why}");
    let lost = later(&carol, 3);
    assert_eq!(stack.login("carol", &[&lost]).code, PamCode::AUTH_ERR);
    let told = skews_told(&daemon);
    daemon.terminate();
    daemon.start_again();
    clocks.pass(7200);
    assert_eq!(
        skews_told(&daemon),
        told,
        "a stop tells nothing early or late"
    );
}

/// How many lines tell so far that a code was right for another time.
fn skews_told(daemon: &Daemon) -> usize {
    let log = said(&daemon.totpctl(&["--json", "log"], ""));
    log.matches(r#""event":"device_clock_skew""#).count()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A daemon whose standard error is not read.
struct Stuck(Child);

impl Stuck {
    fn start(setup: &Setup) -> Self {
        setup.write();
        let mut child = setup
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("provisiond");
        let mut said = child.stderr.take().expect("its standard error");
        fcntl(said.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).expect("a short pipe");
        // Byte by byte: what comes after this line stays in the pipe.
        let mut begun = Vec::new();
        while !(begun.ends_with(b"\n") && String::from_utf8_lossy(&begun).contains("event=started"))
        {
            let mut byte = [0];
            said.read_exact(&mut byte).expect("a line of the start");
            begun.extend(byte);
        }
        child.stderr = Some(said);
        Self(child)
    }

    /// Reads it from now on.
    fn flow(&mut self) -> tests::lines::Lines {
        let log = tests::lines::Lines::default();
        log.follow(self.0.stderr.take().expect("its standard error"));
        log
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection on which events were asked for.
fn following(daemon: &Daemon, parameters: &Value) -> UnixStream {
    after(
        open(&daemon.login_socket()),
        &request_more("Events", parameters),
    )
}

fn event(stream: &UnixStream) -> Value {
    parse(&answer(stream)).expect("a reply")["event"].clone()
}

/// The events that are remembered.
fn events(daemon: &Daemon, parameters: &Value) -> Vec<Value> {
    let told = exchange(
        open(&daemon.login_socket()),
        &request_more("Events", parameters),
    );
    replies(&told).expect("events")
}

/// The events of a reply, or the name of the error.
fn replies(told: &[u8]) -> Result<Vec<Value>, String> {
    let replies = BufReader::new(told)
        .split(0)
        .map(|reply| parse(&reply.expect("a reply")));
    let events: Result<Vec<Value>, _> = replies
        .map(|reply| reply.map(|reply| reply["event"].clone()))
        .collect();
    let mut events = events.map_err(|(error, _)| error)?;
    assert_eq!(events.pop(), Some(Value::Null), "the last one holds none");
    Ok(events)
}

/// The verdicts among them.
fn verdicts_of(daemon: &Daemon, parameters: &Value) -> Vec<String> {
    let verdict = |event: Value| event["fields"]["verdict"].as_str().map(str::to_owned);
    events(daemon, parameters)
        .into_iter()
        .filter_map(verdict)
        .collect()
}
