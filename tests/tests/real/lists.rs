//! Commands about many users: a list that was done in part is done again and nothing doubles, bad
//! rows are named, and no key is lost or shown twice.
//!
//! Long form: PAM_TOTP_LISTED (users of the list that is killed).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::count;
use tests::daemon::Daemon;
use tests::oathtool::Authenticator;
use tests::terminal::Terminal;
use tests::wire::Caller;
use tests::world;

/// Users of a list whose length is not the point.
const USERS: usize = 2000;
const ISSUER: &str = "A company whose long name fills the pipe before a batch has ended";

#[test]
fn a_list_killed_in_the_middle_is_run_again_and_every_active_device_has_a_key_that_was_shown() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let folder = world::scratch_folder("lists");
    let list = folder.join("users.csv");
    let users = count("PAM_TOTP_LISTED", USERS);
    let rows: String = (0..users).map(|n| format!("user{n}\n")).collect();
    fs::write(&list, format!("user\n{rows}")).expect("a list");

    // No process reads the pipe, which does not hold a batch of keys: the client waits with them.
    let mut killed = totpctl(&daemon, &list, None);
    let mut client = killed.stdout(Stdio::piped()).spawn().expect("totpctl");
    daemon.log.wait_for(&["event=enroll", "user=user255"]);
    client.kill().expect("SIGKILL");
    let mut first = String::new();
    let mut pipe = client.stdout.take().expect("its output");
    pipe.read_to_string(&mut first).expect("the keys so far");
    client.wait().expect("its end");

    let (second, third) = (folder.join("second"), folder.join("third"));
    let notes = folder.join("notes");
    let mut stopped = totpctl(&daemon, &list, Some(&second));
    let mut client = stopped
        .stderr(fs::File::create(&notes).expect("notes"))
        .spawn()
        .expect("totpctl");
    daemon.log.wait_for(&["event=enroll", "user=user1000"]);
    daemon.kill();
    let ended = client.wait().expect("its end");
    let told = fs::read_to_string(&notes).expect("text");
    assert_eq!(ended.code(), Some(3), "{told}");
    assert!(told.contains("run the same list again"), "{told}");
    daemon.start_again();

    let last = totpctl(&daemon, &list, Some(&third))
        .output()
        .expect("totpctl");
    assert_eq!(last.status.code(), Some(0), "{last:?}");
    let mode = fs::metadata(&third).expect("keys").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let again = totpctl(&daemon, &list, None).output().expect("totpctl");
    assert_eq!(
        (again.status.code(), &*again.stdout),
        (Some(0), &b""[..]),
        "no key is shown twice"
    );

    let files = [second, third].map(|file| fs::read_to_string(file).expect("keys"));
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // The kill may have cut the last line of the first run.
    let lines = first
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    for line in lines.chain(files.iter().flat_map(|file| file.lines())) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if let (Some(user), Some(key)) = (line["user"].as_str(), line["key"].as_str()) {
            keys.entry(user.to_owned())
                .or_default()
                .push(key.to_owned());
        }
    }
    assert_eq!(keys.len(), users, "each user's key was shown");
    let distinct: std::collections::BTreeSet<&String> = keys.values().flatten().collect();
    assert_eq!(distinct.len(), keys.values().flatten().count(), "each once");
    let listed = daemon.totpctl_json(&["list"], "");
    let listed = listed["users"]
        .as_array()
        .or(listed.as_array())
        .expect("users");
    assert_eq!(listed.len(), users);
    for user in listed {
        let devices = user["devices"].as_array().expect("devices");
        assert_eq!(devices.len(), 1, "{user}");
        assert_eq!(devices[0]["state"], "active", "{user}");
    }
    let replaced = keys.iter().filter(|(_, keys)| keys.len() > 1).take(3);
    let plain = keys.iter().filter(|(_, keys)| keys.len() == 1).take(3);
    println!(
        "figures: {users} users of a list enrolled over a kill of the client and one of the daemon, each once"
    );
    for (user, keys) in replaced.chain(plain) {
        let (valid, stale) = keys.split_last().expect("a key");
        for key in stale {
            assert_eq!(verdict(&daemon, user, key), "rejected", "{user}");
        }
        assert_eq!(verdict(&daemon, user, valid), "accepted", "{user}");
    }
}

#[test]
fn a_bad_row_is_named_by_its_line_and_the_others_are_done() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let run = |command: &[&str], rows: &str| {
        let arguments = [&["--json"], command, &["--users", "-"]].concat();
        let told = daemon.totpctl(&arguments, rows);
        let text = String::from_utf8(told.stdout).expect("text");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .filter(|line: &Value| line["line"].is_u64())
            .collect();
        let notes = String::from_utf8(told.stderr).expect("text");
        (told.status.code(), lines, notes)
    };
    let row = |line: u64, user: &str, changed: bool| json!({ "line": line, "user": user, "device": "phone", "changed": changed });
    let list = "user,device\nalice,phone\na/b,\nghost,phone\nbob,my phone\nalice,phone\ncarol\n";
    let (status, lines, notes) = run(&["enroll"], list);
    assert_eq!(status, Some(1), "{notes}");
    let bad: Vec<_> = lines
        .iter()
        .filter(|line| line["error"].is_object())
        .map(|line| line["line"].clone())
        .collect();
    assert_eq!(bad, [json!(3), json!(5), json!(7)], "{lines:?}");
    for done in [
        row(2, "alice", true),
        row(4, "ghost", true),
        row(6, "alice", false),
    ] {
        assert!(lines.contains(&done), "{done}: {lines:?}");
    }
    assert!(
        notes.contains("line 4: warning: this machine has no account 'ghost'"),
        "{notes}"
    );
    assert!(
        notes.contains("2 enrolled, 1 enrolled before, 3 failed"),
        "{notes}"
    );

    let list = "user,device\nnever,phone\nalice,watch\nghost,phone\n";
    let (status, lines, notes) = run(&["disable"], list);
    let refused = |line: &&Value| line["error"].is_object();
    let refused: Vec<_> = lines
        .iter()
        .filter(refused)
        .map(|line| line["line"].clone())
        .collect();
    assert_eq!(
        (status, refused),
        (Some(1), vec![json!(2), json!(3)]),
        "{notes}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line["line"] == 4 && line["changed"] == true),
        "{lines:?}"
    );
    assert!(daemon.totpctl(&["enable", "ghost"], "").status.success());

    let list = "{\"user\":\"alice\"}\n{\"user\":\"ghost\"}\n";
    let (status, lines, notes) = run(&["disable", "--device", "phone"], list);
    assert_eq!(
        (status, lines),
        (Some(0), vec![row(1, "alice", true), row(2, "ghost", true)]),
        "{notes}"
    );
    for changed in [true, false] {
        let (status, lines, notes) = run(&["revoke", "--device", "phone"], list);
        assert_eq!(
            (status, lines),
            (
                Some(0),
                vec![row(1, "alice", changed), row(2, "ghost", changed)]
            ),
            "{notes}"
        );
    }
    let (status, lines, _) = run(&["revoke"], list);
    assert_eq!(
        (status, lines.len()),
        (Some(1), 2),
        "a device has to be named"
    );
}

#[test]
fn a_list_of_tickets_is_run_again_and_no_unused_ticket_is_replaced_or_shown_twice() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("carol");
    let run = |more: &[&str], rows: &str| {
        let told = daemon.totpctl(&[&["ticket", "--users", "-"], more].concat(), rows);
        let text = String::from_utf8(told.stdout).expect("text");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let notes = String::from_utf8(told.stderr).expect("text");
        (told.status.code(), lines, notes)
    };
    let list = "user,device\nalice,\na/b,\ncarol,\nghost,\nbob,phone\n";
    let (status, first, notes) = run(&[], list);
    assert_eq!(status, Some(1), "{notes}");
    let users: Vec<_> = first.iter().map(|line| line["user"].clone()).collect();
    assert_eq!(users, ["alice", "ghost"], "{first:?}");
    for told in [
        "line 3: ",
        "line 4: carol: was enrolled before",
        "line 5: warning: this machine has no account 'ghost'",
        "line 6: bob: ",
        "2 tickets issued, 1 needed none, 2 failed",
    ] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    // What is not a terminal gets no bar.
    assert!(!notes.contains(" of 5 ["), "{notes}");

    let list = "user\nalice\nghost\n";
    let (status, again, notes) = run(&[], list);
    assert_eq!((status, again.len()), (Some(0), 0), "{notes}");
    assert!(
        notes.contains("line 2: alice: has an unused ticket"),
        "{notes}"
    );
    let (status, lines, _) = run(&["--json"], list);
    let left = |line: u64, user: &str| json!({ "line": line, "user": user, "changed": false, "because": "has_ticket" });
    assert_eq!(
        (status, lines),
        (Some(0), vec![left(2, "alice"), left(3, "ghost")])
    );
    let (_, replaced, _) = run(&["--replace", "--for", "1h"], "user\nghost\n");
    assert_ne!(replaced[0]["code"], first[1]["code"]);
    assert!(replaced[0]["until"].as_u64() < first[1]["until"].as_u64());

    // The ticket is the proof with which the user enrols alone.
    for (ticket, is_good) in [(&first[1], false), (&replaced[0], false), (&first[0], true)] {
        let call = json!({ "device": "phone", "proof": ticket["code"] });
        let caller = Caller::user("alice");
        let reply = daemon.call_as(&caller, "Enroll", &call);
        assert_eq!(reply.is_ok(), is_good, "{reply:?}");
    }
}

#[test]
fn a_list_on_a_terminal_shows_its_progress_and_none_of_it_is_left() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let folder = world::scratch_folder("progress");
    let list = folder.join("users.csv");
    let rows: String = (0..USERS).map(|n| format!("user{n}\n")).collect();
    fs::write(&list, format!("user\n{rows}")).expect("a list");
    let (keys, list) = (folder.join("keys"), list.to_str().expect("a path"));
    let keys = keys.to_str().expect("a path");
    let on_a_terminal = |arguments: &[&str]| {
        let mut totpctl = Command::new(world::built("totpctl"));
        totpctl.arg("--socket").arg(daemon.login_socket());
        totpctl.args(arguments);
        Terminal::start(&totpctl, 80).end()
    };
    let (status, shown) = on_a_terminal(&["enroll", "--users", list, "--keys", keys]);
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(shown.contains(&format!(" of {USERS} [")), "{shown}");
    // Each drawing of the bar is cleared before what follows it.
    let (_, last) = shown.rsplit_once(" left").expect("a bar");
    let (cleared, summary) = last.split_once("totpctl: ").expect("a summary");
    assert!(cleared.contains("\u{1b}[2K"), "{last:?}");
    let wanted = format!("{USERS} enrolled, 0 enrolled before, 0 failed\n");
    assert_eq!(summary, wanted, "{last:?}");

    let disable = ["--json", "disable", "--device", "default", "--users", list];
    let (status, shown) = on_a_terminal(&disable);
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(!shown.contains(" of 2000 ["), "a program reads it: {shown}");
}

fn verdict(daemon: &Daemon, user: &str, key: &str) -> Value {
    // The code of the present step made the device active.
    let code = Authenticator::new(key).code_at(1);
    let call = json!({ "user": user, "codes": [code], "service": "sshd" });
    daemon.call("Verify", &call).expect("a verdict")["verdict"].clone()
}

fn totpctl(daemon: &Daemon, list: &Path, keys: Option<&PathBuf>) -> Command {
    let mut totpctl = Command::new(world::built("totpctl"));
    totpctl.arg("--socket").arg(daemon.login_socket());
    totpctl
        .args(["enroll", "--issuer", ISSUER, "--users"])
        .arg(list);
    if let Some(keys) = keys {
        totpctl.arg("--keys").arg(keys);
    }
    totpctl.stdin(Stdio::null()).stderr(Stdio::null());
    totpctl
}
