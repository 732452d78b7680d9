//! Brute force: an attacker guesses on and on, at one account from anywhere, and at names that no
//! user has. The replies tell the attacker nothing.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::connection::{ask, open};
use tests::count;
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::sshd::{Client, Sshd, System};
use tests::stack::Stack;
use tests::world;

use crate::records::edit;

#[test]
fn of_a_thousand_wrong_codes_from_a_thousand_sources_five_are_judged_and_each_has_its_line() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let mut verdicts = Vec::new();
    for (n, wrong) in alice.wrong_codes(GUESSES).iter().enumerate() {
        let source = format!("198.18.{}.{}", n / 250, n % 250 + 1);
        let guess = json!({ "user": "alice", "codes": [wrong], "service": "guesses", "rhost": source, "tty": "ssh" });
        verdicts.push(daemon.call("Verify", &guess).expect("a verdict")["verdict"].clone());
    }
    let (judged, others) = verdicts.split_at(5);
    assert!(
        judged.iter().all(|verdict| verdict == "rejected"),
        "{judged:?}"
    );
    assert!(
        others.iter().all(|verdict| verdict == "two_codes_needed"),
        "{others:?}"
    );
    let two = json!({ "user": "alice", "codes": alice.pair(), "service": "guesses", "rhost": "192.0.2.1" });
    assert_eq!(
        daemon.call("Verify", &two).expect("a verdict")["verdict"],
        "accepted",
        "and the owner gets in"
    );
    daemon.audited("alice", "accepted");
    assert_eq!(daemon.refusals_told("alice"), GUESSES, "each try once");
    let lines = daemon.logged(&["event=verify ", "user=alice"]).len();
    assert!(lines < GUESSES / 2, "{lines} lines: most are summed up");
    let emptied = daemon.logged(&[
        "event=budget_empty ",
        "user=alice ",
        "pool=unknown ",
        "source=198.18.0.5 ",
    ]);
    assert_eq!(emptied.len(), 1);
}

#[test]
fn thousands_of_names_that_nobody_has_leave_memory_and_store_as_they_were() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let names = count("PAM_TOTP_NAMES", 5000);
    // Until every decoy is there, and what the daemon keeps ready has grown to its size.
    guess_at_many(&daemon, "first", names);
    let (memory, disk) = (resident(daemon.pid()), size(&daemon.setup.state));
    guess_at_many(&daemon, "second", names);
    let (more_memory, more_disk) = (resident(daemon.pid()), size(&daemon.setup.state));
    println!(
        "{names} names: memory {memory} to {more_memory} KiB, store {disk} to {more_disk} bytes"
    );
    assert!(
        more_memory < memory + 8 * 1024,
        "{memory} to {more_memory} KiB"
    );
    assert!(more_disk < 64 << 20, "{disk} to {more_disk} bytes");
    assert_eq!(
        daemon.call("Status", &json!({})).expect("a status")["users"],
        0
    );
    assert_eq!(daemon.totpctl_json(&["list"], "")["users"], json!([]));
    // All names share 1,024 decoys; some rows are the store's own.
    let mut rows = 0;
    edit(&mut daemon, |db| rows = db.len());
    assert!((1000..1100).contains(&rows), "{rows} rows");
}

/// A guess at each of so many names, several at a time: those waiting for the disk wait together.
fn guess_at_many(daemon: &Daemon, name: &str, names: usize) {
    std::thread::scope(|scope| {
        for first in 0..GUESSERS {
            scope.spawn(move || {
                let connection = open(&daemon.login_socket());
                for n in (first..names).step_by(GUESSERS) {
                    let guess = json!({ "user": format!("{name}-{n}"), "codes": ["123456"], "service": "names" });
                    assert_eq!(ask(&connection, "Verify", &guess).expect("a verdict")["verdict"], "not_enrolled");
                }
            });
        }
    });
}

/// What a stranger sees of each kind of user, as a table: through libpam, and through sshd.
#[test]
fn what_a_stranger_sees_tells_nobody_who_has_a_device() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let sshd = Sshd::start("keyboard-interactive");
    let stack = Stack::of(&system.daemon, "table", "retry=1");
    let wrong = system.daemon.enroll("alice").wrong_codes(6);
    system.daemon.enroll("carol");
    system.daemon.totpctl_json(&["disable", "carol"], "");
    let mut table = Vec::new();
    for (user, kind) in [
        ("alice", "enrolled"),
        ("bob", "never enrolled"),
        ("carol", "disabled"),
        ("no-such-account", "unknown"),
    ] {
        let mut seen = Vec::new();
        // What sshd sends for an account that it does not know is no code, so that this is typed
        // for all. Five guesses use the budget up; the last two attempts find it empty.
        let guesses = wrong.iter().map(String::as_str);
        for (n, typed) in ["no code"]
            .into_iter()
            .chain(guesses)
            .chain(["no code"])
            .enumerate()
        {
            let row = if n == 0 || n == 7 {
                seen_at_sshd(&sshd, user, typed)
            } else {
                seen_at(&stack, user, typed)
            };
            println!("{kind:15} {row:?}");
            seen.push(row);
        }
        table.push(seen);
    }
    assert_ne!(
        table[0][1].prompts, table[0][6].prompts,
        "with an empty budget the prompt is another"
    );
    assert!(
        table[0][1].outcome == format!("{:?}", PamCode::AUTH_ERR),
        "{table:?}"
    );
    for others in &table[1..] {
        assert_eq!(others, &table[0]);
    }
}

/// One login as a stranger sees it, without the name.
#[derive(Debug, PartialEq)]
struct Seen {
    way: &'static str,
    prompts: String,
    outcome: String,
}

fn seen_at_sshd(sshd: &Sshd, user: &str, typed: &str) -> Seen {
    let session = sshd.login(&Client {
        user,
        codes: &[typed],
        ..Client::default()
    });
    let complaint = session
        .errors
        .replace(user, "USER")
        .replace(['\r', '\n'], "");
    Seen {
        way: "sshd",
        prompts: session.prompts.concat().replace(user, "USER"),
        outcome: format!("{} {complaint}", session.accepted),
    }
}

fn seen_at(stack: &Stack, user: &str, typed: &str) -> Seen {
    let login = stack.login(user, &[typed]);
    Seen {
        way: "libpam",
        prompts: format!("{:?}", login.said),
        outcome: format!("{:?}", login.code),
    }
}

/// KiB of memory that a process has for itself.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .expect("a size");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

/// Bytes in the files of a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map_while(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Gone in between.
            Err(_) => 0,
        })
        .sum()
}

const GUESSES: usize = 1000;
const GUESSERS: usize = 16;
