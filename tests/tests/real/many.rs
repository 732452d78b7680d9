//! Many users, many logins, many imported rows: the disk and the memory that they take are bounded, and
//! a bad row stops no other one.
//!
//! Long forms: PAM_TOTP_LOGINS, PAM_TOTP_USERS, PAM_TOTP_ROWS.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tests::count;
use tests::daemon::{Daemon, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

#[test]
fn however_many_logins_there_were_the_state_of_a_hundred_users_grows_by_64_mib_at_most() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let logins = count("PAM_TOTP_LOGINS", 2000);
    let users: Vec<String> = (0..100).map(|n| format!("user-{n}")).collect();
    let buttons: Vec<Authenticator> = users.iter().map(|user| button(&daemon, user)).collect();
    let rounds = logins.div_ceil(users.len());
    let before = bytes_in(&daemon.setup.state);
    let mut largest = before;
    for first in (0..rounds).step_by(ROUNDS_AT_ONCE) {
        let more = ROUNDS_AT_ONCE.min(rounds - first);
        std::thread::scope(|scope| {
            for (user, button) in users.iter().zip(&buttons) {
                let daemon = &daemon;
                scope.spawn(move || {
                    let further = u32::try_from(more - 1).expect("a small number");
                    for code in button.counted(first as u64, further) {
                        let about = json!({ "user": user, "service": "many", "codes": [code] });
                        let told = daemon.call("Verify", &about).expect("a verdict");
                        assert_eq!(told["verdict"], "accepted", "{user}: {told}");
                    }
                });
            }
        });
        largest = largest.max(bytes_in(&daemon.setup.state));
    }
    let grown = largest - before;
    assert!(
        grown <= 64 << 20,
        "{grown} bytes more after {logins} logins"
    );
    println!(
        "figures: {logins} logins of {} users, at most {} KiB on the disk, of which {} KiB came with them",
        users.len(),
        largest >> 10,
        grown >> 10
    );
}

#[test]
fn a_store_of_many_users_is_opened_and_served_in_64_mib() {
    let _place = world::enter_alone();
    let mut daemon = Daemon::start();
    let users: Vec<String> = (0..count("PAM_TOTP_USERS", 2000))
        .map(|n| format!("user-{n}"))
        .collect();
    std::thread::scope(|scope| {
        for some in users.chunks(users.len().div_ceil(8)) {
            scope.spawn(|| daemon.enroll_many(some));
        }
    });
    assert!(daemon.terminate().success());
    let begun = Instant::now();
    daemon.start_again();
    let took = begun.elapsed();
    let last = daemon.enroll("one-more");
    let code = last.code();
    let stack = Stack::of(&daemon, "many", "retry=1");
    assert_eq!(stack.login("one-more", &[&code]).code, PamCode::SUCCESS);
    let peak = peak_of(daemon.pid());
    assert!(peak <= 64 << 10, "{peak} KiB");
    println!(
        "figures: {} users, ready after {} ms, {peak} KiB of memory at most",
        users.len(),
        took.as_millis()
    );
}

#[test]
fn of_many_imported_rows_a_bad_one_is_reported_with_its_line_and_a_second_import_changes_nothing() {
    let _place = world::enter_alone();
    let rows = count("PAM_TOTP_ROWS", 600);
    for (format, head, row) in FORMATS {
        let daemon = Daemon::start();
        let file = world::scratch_folder("rows").join("rows");
        let bad = rows * 2 / 3;
        let lines = (0..rows).map(|n| row(n, if n == bad { BAD_KEY } else { KEY }));
        fs::write(&file, head.to_owned() + &lines.collect::<String>()).expect("a file");
        let line = bad + 1 + head.lines().count();
        for (new, there) in [(rows - 1, 0), (0, rows - 1)] {
            let path = file.to_str().expect("a path");
            let output = daemon.totpctl(&["import", format, path], "");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let (summary, told) = (String::from_utf8_lossy(&output.stdout), told);
            assert_eq!(output.status.code(), Some(1), "{format}: {summary}");
            let failed: Vec<&str> = told
                .lines()
                .filter(|line| line.contains("base32"))
                .collect();
            assert_eq!(failed.len(), 1, "{format}: {failed:?}");
            assert!(failed[0].contains(&format!("line {line}")), "{failed:?}");
            let expected = format!("{new} imported, {there} existed already");
            assert!(summary.contains(&expected), "{format}: {summary}");
        }
        let status = daemon.totpctl_json(&["status"], "");
        assert_eq!(status["users"], rows - 1, "{format}");
        println!("figures: {rows} rows of {format}, one of them bad, imported twice");
    }
}

/// A format, what comes before its rows, and one row.
type Format = (&'static str, &'static str, fn(usize, &str) -> String);

const FORMATS: [Format; 2] = [
    ("csv", "user,key\n", |n, key| format!("u{n},{key}\n")),
    ("passlib", "", |n, key| {
        let record = json!({ "type": "totp", "v": 1, "key": key });
        json!({ "user": format!("u{n}"), "record": record }).to_string() + "\n"
    }),
];

/// A device that counts: it shows as many codes in a moment as are needed.
fn button(daemon: &Daemon, user: &str) -> Authenticator {
    let wish = json!({ "user": user, "kind": "hotp", "key": KEY, "counter": 0, "active": true });
    let told: Value = daemon.call("Enroll", &wish).expect("a device");
    authenticator(&told)
}

/// The bytes that the files of a folder take on the disk.
fn bytes_in(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map_while(Result::ok);
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_in(&entry.path()),
            // It may have been removed or renamed meanwhile.
            _ => entry.metadata().map_or(0, |file| file.blocks() * 512),
        })
        .sum()
}

/// The most memory that a process has had, in KiB.
fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BAD_KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1";
const ROUNDS_AT_ONCE: usize = 100;
