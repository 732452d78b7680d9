//! Records that were edited on the disk: the daemon refuses their users, with the reason in the
//! log, and serves all other users as before. And secrets that must never be found in logs and
//! files.

use std::fs;
use std::path::Path;

use common::secret::Key;
use serde_json::json;
use sled::Db;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

#[test]
fn a_record_cut_anywhere_is_refused_and_nobody_else_notices() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let length = length_of_a_record(&mut daemon);
    let people = People::enroll(&daemon, "cut", length);
    edit(&mut daemon, |db| {
        for (cut, user) in people.users.iter().enumerate() {
            change(db, user, |record| record.truncate(cut));
        }
    });
    people.are_refused(&daemon, "record_altered");
}

#[test]
fn a_record_with_a_flipped_bit_is_refused_and_nobody_else_notices() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let length = length_of_a_record(&mut daemon);
    let people = People::enroll(&daemon, "bit", length);
    let mut chance = Chance(20_261_123);
    edit(&mut daemon, |db| {
        for (at, user) in people.users.iter().enumerate() {
            change(db, user, |record| {
                assert_eq!(record.len(), length, "{user}: some byte is left out");
                record[at] ^= 1 << chance.below(8);
            });
        }
    });
    // A flip in the first bytes makes another version, or names another application secret.
    people.are_refused(&daemon, "");
}

#[test]
fn a_record_shorter_than_its_own_number_is_refused_and_hides_nobody() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let people = People::enroll(&daemon, "short", NUMBER);
    edit(&mut daemon, |db| {
        for (cut, user) in people.users.iter().enumerate() {
            let value = db.get(row(user)).expect("the store").expect("a record");
            db.insert(row(user), &value[..cut]).expect("the store");
        }
    });
    people.are_refused(&daemon, "record_altered");
}

#[test]
fn a_record_that_is_lengthened_emptied_or_nonsense_is_refused() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let people = People::enroll(&daemon, "odd", 4);
    edit(&mut daemon, |db| {
        change(db, &people.users[0], |record| record.push(0));
        change(db, &people.users[1], |record| record.fill(0));
        change(db, &people.users[2], |record| record.fill(0xff));
        change(db, &people.users[3], |record| *record = vec![1; 100_000]);
    });
    people.are_refused(&daemon, "");
}

#[test]
fn records_swapped_between_users_open_neither() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let people = People::enroll(&daemon, "swapped", 2);
    edit(&mut daemon, |db| {
        let [mine, theirs] = [0, 1].map(|n| record(db, &people.users[n]));
        change(db, &people.users[0], |record| *record = theirs);
        change(db, &people.users[1], |record| *record = mine);
    });
    people.are_refused(&daemon, "record_altered");
    // With the other one's codes just as little.
    let stack = Stack::of(&daemon, "swapped", "retry=1");
    for (user, device) in people.users.iter().zip(people.devices.iter().rev()) {
        assert_eq!(
            stack.login(user, &[&device.code()]).code,
            PamCode::AUTH_ERR,
            "{user}"
        );
    }
}

#[test]
fn a_damaged_record_is_neither_overwritten_nor_taken_for_no_record() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let people = People::enroll(&daemon, "damaged", 1);
    let user = people.users[0].as_str();
    let mut whole = Vec::new();
    edit(&mut daemon, |db| {
        whole = record(db, user);
        change(db, user, |record| record[20] ^= 1);
    });
    for (arguments, input) in [
        (&["enroll", user, "--yes"][..], ""),
        (&["confirm", user], "123456\n"),
        (&["disable", user], ""),
        (&["enable", user], ""),
        (&["revoke", user], ""),
    ] {
        let output = daemon.totpctl(&[&["--json"], arguments].concat(), input);
        assert_eq!(output.status.code(), Some(70), "{arguments:?}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("record_damaged"),
            "{output:?}"
        );
    }
    daemon
        .log
        .wait_for(&["event=call_failed", &format!(" user={user} "), "altered"]);
    let ignored = Stack::expecting_ignore(&daemon, "damaged-nullok", "nullok retry=1")
        .login(user, &["123456"]);
    assert_eq!(
        (ignored.code, ignored.prompts().len()),
        (PamCode::AUTH_ERR, 1),
        "the name has a record"
    );
    let unknown =
        Stack::of(&daemon, "damaged-unknown", "user_unknown retry=1").login(user, &["123456"]);
    assert_eq!(unknown.code, PamCode::AUTH_ERR);
    edit(&mut daemon, |db| change(db, user, |record| *record = whole));
    let login = Stack::of(&daemon, "repaired", "retry=1").login(user, &[&people.devices[0].code()]);
    assert_eq!(login.code, PamCode::SUCCESS, "the record was not touched");
}

#[test]
fn a_record_put_back_from_yesterday_raises_the_alarm_and_revives_no_code() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let device = daemon.enroll("alice");
    let code = device.code();
    let mut yesterday = Vec::new();
    edit(&mut daemon, |db| {
        yesterday = db
            .get(row("alice"))
            .expect("the store")
            .expect("a record")
            .to_vec()
    });
    let stack = Stack::of(&daemon, "yesterday", "retry=1");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    edit(&mut daemon, |db| {
        drop(db.insert(row("alice"), yesterday).expect("the store"))
    });
    daemon.log.wait_for(&["event=store_rolled_back"]);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
    assert_eq!(daemon.budget("alice"), 0);
}

#[test]
fn an_edited_number_raises_the_alarm_and_stops_nobody_for_good() {
    let _place = world::enter();
    for number in [0, 1 << 63, u64::MAX] {
        let mut daemon = Daemon::start();
        let code = daemon.enroll("alice").code();
        edit(&mut daemon, |db| {
            let record = record(db, "alice");
            db.insert(
                row("alice"),
                [&u64::to_be_bytes(number)[..], &record].concat(),
            )
            .expect("the store");
        });
        daemon.log.wait_for(&["event=store_rolled_back"]);
        let stack = Stack::of(&daemon, "number", "retry=1");
        assert_eq!(
            stack.login("alice", &[&code]).code,
            PamCode::AUTH_ERR,
            "{number}: she may have used it"
        );
        let accepted = daemon.call("StoreAcceptLoss", &json!({}));
        assert_eq!(accepted.expect("a reply")["accepted"], true);
        let enrolled = daemon.call("Enroll", &json!({ "user": "bob", "active": true }));
        assert!(
            enrolled.is_ok(),
            "{number}: nothing can be stored any more: {enrolled:?}"
        );
    }
}

#[test]
fn a_row_that_nobody_can_own_hides_nobody() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    edit(&mut daemon, |db| {
        for name in [&b"\xff\xfe"[..], b"a/b", b""] {
            db.insert([b"r", name].concat(), vec![0; 64])
                .expect("the store");
        }
    });
    let listed = daemon.totpctl(&["list"], "");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.status.success() && text.contains("alice"),
        "{listed:?}\n{}",
        daemon.log.text()
    );
}

#[test]
fn without_its_application_secret_a_record_is_refused_and_with_it_all_is_well_again() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let secrets = daemon.setup.secrets.clone();
    let alice = daemon.enroll("alice");
    let [current, next] = alice.pair();
    let stack = Stack::of(&daemon, "secret", "retry=1");
    for (text, reason) in [
        ("2: another application secret\n", "no_application_secret"),
        ("1: another application secret\n", "record_altered"),
    ] {
        daemon.setup.secrets = text.into();
        assert!(daemon.terminate().success());
        daemon.start_again();
        assert_eq!(
            stack.login("alice", &[&current]).code,
            PamCode::AUTH_ERR,
            "{text}"
        );
        daemon.log.wait_for(&[
            "event=verify",
            " user=alice ",
            " verdict=refused ",
            &format!(" reason={reason} "),
        ]);
        assert_eq!(
            daemon
                .call("Show", &json!({ "user": "alice" }))
                .expect("alice")["user"]["damaged"],
            true
        );
        assert_eq!(
            daemon
                .totpctl(&["enroll", "alice", "--yes"], "")
                .status
                .code(),
            Some(70)
        );
    }
    daemon.log.wait_for(&[
        "event=call_failed",
        " user=alice ",
        "needs the application secret '1'",
    ]);
    daemon.setup.secrets = secrets + "2: another application secret\n";
    world::write_for_daemon(&daemon.setup.folder.join("secrets"), &daemon.setup.secrets);
    daemon.call("Reload", &json!({})).expect("good settings");
    assert_eq!(
        stack.login("alice", &[&current]).code,
        PamCode::SUCCESS,
        "no code was spent"
    );
    assert_eq!(
        stack.login("alice", &[&next]).code,
        PamCode::SUCCESS,
        "sealed under the new secret now"
    );
}

#[test]
fn no_key_no_code_and_no_application_secret_is_in_any_log_or_file() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.secrets = format!("7: {SECRET}\n");
    let mut daemon = setup.start();
    // Eight digits: six of them are found by chance, in a process id for example.
    let told = daemon.totpctl_json(&["enroll", "alice", "--digits", "8", "--yes"], "");
    let alice = authenticator(&told);
    let pending = authenticator(
        &daemon
            .call("Enroll", &json!({ "user": "alice", "digits": 8 }))
            .expect("a device"),
    );
    let first = pending.code();
    let confirmed = daemon.totpctl(&["confirm", "alice"], &format!("{first}\n"));
    assert!(confirmed.status.success(), "{confirmed:?}");
    let [current, next] = alice.pair();
    let wrong = alice.wrong();
    let typed = ["never-to-be-logged", &wrong, &current];
    let stack = Stack::of(&daemon, "secrecy-of-files", "debug");
    assert_eq!(stack.login("alice", &typed).code, PamCode::SUCCESS);
    assert_eq!(
        stack.login("alice", &[&current, &wrong, &wrong]).code,
        PamCode::AUTH_ERR
    );
    let _ = daemon.totpctl(&["verify", "alice"], &format!("{next}\n"));
    put_secrets_in_wrong_places(&daemon, &alice, &wrong);
    daemon.kill();
    daemon.start_again();
    assert!(daemon.terminate().success());
    let mut secrets: Vec<Vec<u8>> =
        vec![SECRET.into(), told["uri"].as_str().expect("a URI").into()];
    secrets.extend([&alice, &pending].into_iter().flat_map(forms));
    secrets.extend(
        ["never-to-be-logged", &first, &current, &next].map(|text| text.as_bytes().to_vec()),
    );
    holds_none_of(&secrets, &daemon);
}

/// Calls that are refused, with a key or a code in a field of another meaning or type.
fn put_secrets_in_wrong_places(daemon: &Daemon, alice: &Authenticator, wrong: &str) {
    let _ = daemon.totpctl(
        &["enroll", "alice", "--key", "-"],
        &format!("{}\n", alice.key),
    );
    let _ = daemon.call(
        "Enroll",
        &json!({ "user": "alice", "key": alice.key, "digits": "8" }),
    );
    let _ = daemon.call(
        "Verify",
        &json!({ "user": alice.key, "codes": 8, "service": wrong }),
    );
}

/// No secret is in the daemon's log, in the system's log or in a file of the daemon.
fn holds_none_of(secrets: &[Vec<u8>], daemon: &Daemon) {
    let logs = [daemon.log.text(), world::syslog().text()];
    assert!(logs.iter().all(|log| log.contains("alice")), "{logs:?}");
    let files = [&daemon.setup.state, &daemon.setup.runtime]
        .map(|folder| everything_in(folder))
        .concat();
    assert!(files.len() >= 6, "{files:?}");
    for (place, text) in logs
        .map(|log| ("a log".to_owned(), log.into_bytes()))
        .into_iter()
        .chain(files)
    {
        for secret in secrets {
            let found = text
                .windows(secret.len())
                .any(|window| window == secret.as_slice());
            assert!(
                !found,
                "{:?} is in {place}",
                String::from_utf8_lossy(secret)
            );
        }
    }
}

/// Users whose records are edited, and one whose record is not.
struct People {
    users: Vec<String>,
    devices: Vec<Authenticator>,
    other: String,
    others: Authenticator,
}

impl People {
    fn enroll(daemon: &Daemon, name: &str, count: usize) -> Self {
        // All names are of one length, and so are the records.
        let users: Vec<String> = (0..count).map(|n| format!("{name}-{n:04}")).collect();
        let devices = daemon.enroll_many(&users);
        let other = format!("{name}-other");
        let others = daemon.enroll(&other);
        Self {
            users,
            devices,
            other,
            others,
        }
    }

    /// None of them gets in, `show` and `list` say why, and all other users are as before.
    fn are_refused(&self, daemon: &Daemon, reason: &str) {
        let stack = Stack::of(daemon, "edited", "retry=1");
        for (user, device) in self.users.iter().zip(&self.devices) {
            assert_eq!(
                stack.login(user, &[&device.code()]).code,
                PamCode::AUTH_ERR,
                "{user}"
            );
            let line =
                daemon
                    .log
                    .wait_for(&["event=verify ", &format!(" user={user} "), " verdict="]);
            assert!(
                line.contains(" verdict=refused ") && line.contains(&format!(" reason={reason}")),
                "{line}"
            );
            let shown = daemon
                .call("Show", &json!({ "user": user }))
                .expect("what is known")["user"]
                .clone();
            assert_eq!(
                (&shown["damaged"], &shown["enrolled"]),
                (&json!(true), &json!(true)),
                "{shown}"
            );
        }
        assert_eq!(daemon.budget(&self.other), 5);
        assert_eq!(
            stack.login(&self.other, &[&self.others.code()]).code,
            PamCode::SUCCESS
        );
        let told = daemon.totpctl(&["show", &self.users[0]], "");
        assert!(
            told.status.success() && String::from_utf8_lossy(&told.stdout).contains("damaged"),
            "{told:?}"
        );
        let listed = daemon.totpctl_json(&["list"], "");
        let damaged = listed["users"]
            .as_array()
            .expect("users")
            .iter()
            .filter(|user| user["damaged"] == true)
            .count();
        assert_eq!(damaged, self.users.len(), "{listed}");
    }
}

/// Ends the daemon, edits its store, and starts it again. The copy, which would heal it, is lost as
/// well.
pub(crate) fn edit(daemon: &mut Daemon, work: impl FnOnce(&Db)) {
    assert!(daemon.terminate().success());
    edit_database(&daemon.setup.state, work);
    fs::remove_dir_all(daemon.setup.state.join("store.journal")).expect("the copy");
    daemon.start_again();
}

/// Edits the database of a daemon that has ended, and leaves its copy as it is.
pub(crate) fn edit_database(state: &Path, work: impl FnOnce(&Db)) {
    let store = state.join("store");
    let db = sled::Config::new()
        .path(&store)
        .flush_every_ms(None)
        .open()
        .expect("the store");
    work(&db);
    db.flush().expect("the store");
    drop(db);
    let owner = format!("{0}:{0}", world::DAEMON);
    let store = store.to_str().expect("a path in UTF-8");
    world::run("chown", &["--recursive", &owner, store]);
}

/// Rewrites a record and leaves its number as it is.
pub(crate) fn change(db: &Db, user: &str, work: impl FnOnce(&mut Vec<u8>)) {
    let value = db.get(row(user)).expect("the store").expect("a record");
    let mut record = value[NUMBER..].to_vec();
    work(&mut record);
    db.insert(row(user), [&value[..NUMBER], &record].concat())
        .expect("the store");
}

pub(crate) fn record(db: &Db, user: &str) -> Vec<u8> {
    db.get(row(user)).expect("the store").expect("a record")[NUMBER..].to_vec()
}

/// How long the record of a new user is whose name has eight bytes.
fn length_of_a_record(daemon: &mut Daemon) -> usize {
    daemon.enroll("cut-xxxx");
    let mut length = 0;
    edit(daemon, |db| length = record(db, "cut-xxxx").len());
    assert!(length > 100, "{length}");
    length
}

pub(crate) fn row(user: &str) -> Vec<u8> {
    [b"r", user.as_bytes()].concat()
}

/// A key, as it might be written down.
fn forms(device: &Authenticator) -> Vec<Vec<u8>> {
    let key = Key::from_base32(&device.key).expect("a key");
    let raw = key.expose().to_vec();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{raw:?}");
    let groups: Vec<&str> = (0..device.key.len())
        .step_by(4)
        .filter_map(|at| device.key.get(at..at + 4))
        .collect();
    let texts = [
        hex.to_uppercase(),
        hex,
        numbers,
        device.key.to_lowercase(),
        device.key.clone(),
        groups.join(" "),
    ];
    std::iter::once(raw)
        .chain(texts.map(String::into_bytes))
        .collect()
}

/// Every file below a folder, with its path.
fn everything_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    let files = entries.flat_map(|entry| match entry.file_type().expect("its kind") {
        kind if kind.is_dir() => everything_in(&entry.path()),
        kind if kind.is_file() => {
            vec![(
                entry.path().display().to_string(),
                fs::read(entry.path()).expect("a file"),
            )]
        }
        _ => Vec::new(),
    });
    files.collect()
}

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // Knuth's generator for 64 bits; its upper half is the better one.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}

const SECRET: &str = "the-application-secret-of-this-test";
/// Bytes before each record: the number of its writing.
const NUMBER: usize = 8;
