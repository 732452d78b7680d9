//! Application secrets come and go: what is sealed under which tag is counted, no secret is taken away
//! that a record needs, and a rotation seals everything under a new one while logins go on.
//!
//! Long forms: PAM_TOTP_ROTATED (records) and PAM_TOTP_ROTATION_KILLS.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::connection::{after, answer, open};
use tests::count;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::guide::{lines_of, typed};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::sshd::System;
use tests::stack::Stack;
use tests::wire::{parse, request_more};
use tests::world;

const SECOND: &str = "2: another application secret of the tests\n";

/// What `Status` counts under the tag.
fn under(daemon: &Daemon, tag: &str) -> Value {
    let status = daemon.call("Status", &json!({})).expect("its state");
    let sealed = status["sealed"].as_array().expect("counts");
    let found = sealed.iter().find(|under| under["tag"] == tag);
    found.cloned().unwrap_or(Value::Null)
}

fn numbers(under: &Value) -> [u64; 6] {
    let fields = [
        "records",
        "macs",
        "device_keys",
        "code_keys",
        "tombstones",
        "decoys",
    ];
    fields.map(|field| under[field].as_u64().expect("a number"))
}

/// Writes the secrets file.
fn set_secrets(daemon: &mut Daemon, secrets: &str) {
    daemon.setup.secrets = secrets.to_owned();
    daemon.setup.write();
}

pub(crate) fn both() -> String {
    Setup::new().secrets + SECOND
}

/// Alice has a device, recovery codes and a tombstone, and a stranger's guess has made a decoy.
fn with_everything(daemon: &Daemon) {
    daemon.enroll("alice");
    daemon.enroll_as("alice", "old");
    daemon.totpctl_json(&["revoke", "alice", "--device", "old"], "");
    let stranger = Stack::of(daemon, "stranger", "retry=1").login("stranger", &["123456"]);
    assert_ne!(stranger.code, PamCode::SUCCESS);
}

#[test]
fn what_is_sealed_under_a_tag_is_counted_with_each_change_and_anew_at_each_start() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    assert_eq!(numbers(&under(&daemon, "1")), [0; 6]);
    with_everything(&daemon);
    let counted = [1, 1, 1, 1, 1, 1];
    assert_eq!(numbers(&under(&daemon, "1")), counted);
    set_secrets(&mut daemon, &both());
    daemon.totpctl_json(&["reload"], "");
    assert_eq!(numbers(&under(&daemon, "1")), counted);
    daemon.enroll("bob");
    daemon.enroll_as("alice", "new");
    assert_eq!(numbers(&under(&daemon, "2")), [2, 2, 2, 1, 0, 0]);
    assert_eq!(numbers(&under(&daemon, "1")), [1, 0, 1, 1, 1, 1]);
    let text = daemon.totpctl(&["status"], "");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("2 (default): 2 records"), "{text}");
    assert!(text.contains("1: 1 record; to seal"), "{text}");
    let before = [under(&daemon, "1"), under(&daemon, "2")];
    daemon.kill();
    daemon.start_again();
    assert_eq!([under(&daemon, "1"), under(&daemon, "2")], before);
    daemon.totpctl_json(&["forget", "alice", "--yes"], "");
    assert_eq!(numbers(&under(&daemon, "1")), [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_secret_that_a_record_needs_cannot_be_taken_away_by_a_reload() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    set_secrets(&mut daemon, &both());
    daemon.totpctl_json(&["reload"], "");
    set_secrets(&mut daemon, SECOND);
    let refused = daemon.totpctl(&["reload"], "");
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = "1 record needs the application secret '1': put it back";
    assert!(said.contains(expected), "{said}");
    daemon
        .log
        .wait_for(&["event=reload_failed", "1 record needs"]);
    let login = Stack::of(&daemon, "kept", "").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    assert_eq!(under(&daemon, "1")["known"], true);
    daemon.totpctl_json(&["forget", "alice", "--yes"], "");
    daemon.totpctl_json(&["reload"], "");
    assert_eq!(under(&daemon, "1"), Value::Null, "no record needs it");
}

#[test]
fn a_secret_that_is_missing_at_the_start_is_named_with_the_number_of_records_that_need_it() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.enroll("bob");
    set_secrets(&mut daemon, &both());
    daemon.totpctl_json(&["reload"], "");
    let carol = daemon.enroll("carol");
    assert!(daemon.terminate().success());
    daemon.setup.secrets = SECOND.to_owned();
    daemon.start_again();
    daemon
        .log
        .wait_for(&["event=missing_secret", "tag=1", "records=2"]);
    let missing = under(&daemon, "1");
    assert_eq!(
        (&missing["known"], &missing["records"]),
        (&json!(false), &json!(2))
    );
    let login = Stack::of(&daemon, "others", "").login("carol", &[&carol.code()]);
    assert_eq!(login.code, PamCode::SUCCESS, "others are not concerned");
    // Settings that change nothing about it can be read, also without it.
    daemon.totpctl_json(&["reload"], "");
    set_secrets(&mut daemon, &both());
    daemon.totpctl_json(&["reload"], "");
    assert_eq!(
        numbers(&under(&daemon, "1")),
        [2, 2, 2, 2, 0, 0],
        "readable again"
    );
}

/// Adds a second secret, which is the default from then on.
pub(crate) fn add_second(daemon: &mut Daemon) {
    set_secrets(daemon, &both());
    daemon.totpctl_json(&["reload"], "");
}

/// Runs the rotation with totpctl, and checks that nothing is left under 1.
pub(crate) fn rotate(daemon: &Daemon) -> Value {
    let rotated = daemon.totpctl_json(&["rotate", "--to", "2"], "");
    assert_eq!(rotated["left"][0]["records"], 0, "{rotated}");
    assert_eq!(numbers(&under(daemon, "1")), [0; 6]);
    rotated
}

/// Takes the first secret away and starts the daemon anew, which erases the former seals.
pub(crate) fn take_first_away(daemon: &mut Daemon) {
    assert!(daemon.terminate().success());
    daemon.setup.secrets = SECOND.to_owned();
    daemon.start_again();
    daemon.log.wait_for(&["event=keys_erased"]);
    assert!(daemon.log.with(&["event=missing_secret"]).is_empty());
}

#[test]
fn after_a_rotation_every_key_and_code_works_under_the_new_secret_alone() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let told = daemon.totpctl_json(&["enroll", "alice", "--yes"], "");
    let (alice, recovery) = (authenticator(&told), told["recovery_codes"][0].clone());
    let pending = daemon.call("Enroll", &json!({ "user": "alice", "device": "pending" }));
    let pending = authenticator(&pending.expect("a pending device"));
    let off = daemon.enroll_as("alice", "off");
    daemon.totpctl_json(&["disable", "alice", "--device", "off"], "");
    daemon.enroll("alone");
    let stranger = Stack::of(&daemon, "stranger", "retry=1").login("stranger", &["123456"]);
    assert_ne!(stranger.code, PamCode::SUCCESS);
    let stack = Stack::of(&daemon, "rotated", "retry=1");
    let used = alice.code();
    assert_eq!(stack.login("alice", &[&used]).code, PamCode::SUCCESS);
    add_second(&mut daemon);
    let rotated = rotate(&daemon);
    assert_eq!(
        (&rotated["resealed"], &rotated["failed"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(numbers(&under(&daemon, "2")), [2, 2, 4, 2, 0, 1]);
    take_first_away(&mut daemon);
    assert_eq!(
        stack.login("alice", &[&used]).code,
        PamCode::AUTH_ERR,
        "spent stays spent"
    );
    daemon.audited("alice", "already_used");
    let next = stack.login("alice", &[&alice.code_at(1)]);
    assert_eq!(next.code, PamCode::SUCCESS);
    let recovery = recovery.as_str().expect("a recovery code");
    assert_eq!(stack.login("alice", &[recovery]).code, PamCode::SUCCESS);
    let confirm = json!({ "user": "alice", "device": "pending", "code": pending.code() });
    daemon.call("Confirm", &confirm).expect("a key that opens");
    daemon.totpctl_json(&["enable", "alice", "--device", "off"], "");
    assert_eq!(stack.login("alice", &[&off.code()]).code, PamCode::SUCCESS);
}

#[test]
fn a_rotation_keeps_what_a_revoked_key_has_used() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    let enroll = |daemon: &Daemon| {
        let options = "--device token --kind hotp --counter 0 --key - --yes";
        let all: Vec<&str> = ["enroll", "alice"]
            .into_iter()
            .chain(options.split(" "))
            .collect();
        daemon.totpctl_json(&all, KEY)
    };
    let codes = authenticator(&enroll(&daemon)).counted(0, 1);
    let stack = Stack::of(&daemon, "revoked", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[0]]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["revoke", "alice", "--device", "token"], "");
    add_second(&mut daemon);
    rotate(&daemon);
    take_first_away(&mut daemon);
    enroll(&daemon);
    let again = stack.login("alice", &[&codes[0]]);
    assert_eq!(again.code, PamCode::AUTH_ERR, "used before");
    daemon.audited("alice", "already_used");
    assert_eq!(stack.login("alice", &[&codes[1]]).code, PamCode::SUCCESS);
}

#[test]
fn a_rotation_that_comes_too_early_is_refused_with_the_next_step() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    let refused = |daemon: &Daemon, arguments: &[&str], part: &str| {
        let output = daemon.totpctl(arguments, "");
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(part), "{said}");
    };
    refused(&daemon, &["rotate"], "the only application secret");
    refused(
        &daemon,
        &["rotate", "--to", "2"],
        "make '2' the default tag",
    );
    add_second(&mut daemon);
    refused(&daemon, &["rotate", "--to", "1"], "seals under '2'");
    rotate(&daemon);
    let again = daemon.totpctl_json(&["rotate"], "");
    assert_eq!(again["resealed"], 0, "nothing is left to do: {again}");
    daemon
        .log
        .wait_for(&["event=rotate", "resealed=0", "left=0"]);
}

/// A rotation that is under way, until its replies end.
pub(crate) struct UnderWay(UnixStream);

impl UnderWay {
    pub(crate) fn begin(daemon: &Daemon) -> Self {
        let call = request_more("Rotate", &json!({}));
        Self(after(open(&daemon.login_socket()), &call))
    }

    /// The next reply. `None`: the daemon is gone.
    fn next(&self) -> Option<Value> {
        let came = answer(&self.0);
        came.ends_with(&[0])
            .then(|| parse(&came).unwrap_or_else(|error| panic!("{error:?}")))
    }

    /// Whether it comes to its end, before the daemon does.
    pub(crate) fn reaches_its_end(&self) -> bool {
        let mut replies = BufReader::new(&self.0).split(0);
        replies
            .by_ref()
            .map_while(Result::ok)
            .any(|reply| parse(&reply).is_ok_and(|reply| !reply["sealed"].is_null()))
    }
}

/// Every record can be read, and each is under one of the two tags.
pub(crate) fn all_are_readable(daemon: &Daemon, users: usize) {
    let listed = daemon.totpctl(&["list"], "");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.status.success() && !text.contains("damaged"),
        "{text}{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    assert!(daemon.log.with(&["event=missing_secret"]).is_empty());
    let whole = ["1", "2"].map(|tag| under(daemon, tag)["macs"].as_u64().unwrap_or(0));
    assert_eq!(whole.iter().sum::<u64>(), users as u64);
}

#[test]
fn records_that_are_rotated_while_the_daemon_is_killed_are_readable_at_every_moment() {
    let _place = world::enter();
    let users = count("PAM_TOTP_ROTATED", 500);
    let kills = count("PAM_TOTP_ROTATION_KILLS", 5);
    println!("PAM_TOTP_SEED={}", count("PAM_TOTP_SEED", 1));
    let mut random = count("PAM_TOTP_SEED", 1) as u64;
    let mut daemon = Daemon::start();
    let names: Vec<String> = (0..users).map(|n| format!("user-{n}")).collect();
    let devices: Vec<Authenticator> = std::thread::scope(|scope| {
        let daemon = &daemon;
        let enrol = |some| scope.spawn(move || daemon.enroll_many(some));
        let parts: Vec<_> = names.chunks(users.div_ceil(8)).map(enrol).collect();
        let parts = parts.into_iter().map(|part| part.join().expect("devices"));
        parts.flatten().collect()
    });
    add_second(&mut daemon);
    for _ in 0..kills {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let rotation = UnderWay::begin(&daemon);
        // Killed while the batch after so many is sealed.
        let batches = random >> 33;
        for _ in 0..batches % (users as u64 / 64 / kills as u64 + 2) {
            let reply = rotation.next().expect("a reply");
            if !reply["sealed"].is_null() {
                break;
            }
        }
        daemon.kill();
        daemon.start_again();
        all_are_readable(&daemon, users);
    }
    rotate(&daemon);
    take_first_away(&mut daemon);
    all_are_readable(&daemon, users);
    println!("figures: {kills} kills in a rotation of {users} records, each readable after each");
    let stack = Stack::of(&daemon, "killed", "retry=1");
    for n in [0, users / 2, users - 1] {
        let login = stack.login(&names[n], &[&devices[n].code()]);
        assert_eq!(login.code, PamCode::SUCCESS, "{}", names[n]);
    }
}

#[test]
fn users_log_in_while_their_records_are_rotated_and_no_code_opens_twice() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let devices = daemon.enroll_many(&names);
    add_second(&mut daemon);
    let (stack, is_over) = (
        Stack::of(&daemon, "beside", "retry=1"),
        AtomicBool::new(false),
    );
    let codes: Vec<String> = devices.iter().map(|device| device.code()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let output = daemon.totpctl(&["rotate"], "");
                assert!(output.status.success(), "{output:?}");
            }
        });
        for (name, code) in names.iter().zip(&codes).take(60) {
            assert_eq!(stack.login(name, &[code]).code, PamCode::SUCCESS, "{name}");
            assert_eq!(stack.login(name, &[code]).code, PamCode::AUTH_ERR, "{name}");
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(numbers(&under(&daemon, "1")), [0; 6]);
}

#[test]
fn the_chapter_on_a_new_secret_is_played_as_it_stands() {
    let _place = world::enter();
    let mut system = System::start();
    let daemon = &mut system.daemon;
    let alice = daemon.enroll("alice");
    let [add, restart, rotate] = &lines_of("A new application secret")[..] else {
        panic!("three commands");
    };
    typed(add);
    assert_eq!(restart, "systemctl restart provisiond");
    let file = daemon.setup.folder.join("secrets");
    let secrets = std::fs::read_to_string(&file).expect("the secrets");
    let second = secrets.lines().nth(1).expect("another line").to_owned() + "\n";
    restarted(daemon, &secrets);
    let told = typed(rotate);
    assert!(
        told.contains("left under 1: 0\nnext: take 1 out of"),
        "{told}"
    );
    restarted(daemon, &second);
    daemon.log.wait_for(&["event=keys_erased"]);
    let login = Stack::of(daemon, "chapter", "").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
}

fn restarted(daemon: &mut Daemon, secrets: &str) {
    assert!(daemon.terminate().success());
    daemon.setup.secrets = secrets.to_owned();
    daemon.start_again();
}

/// In base32.
const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n";
