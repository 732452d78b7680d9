//! Users that come from passlib, and go back to it; and a client of the socket by another author.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::{Value, json};
use tests::count;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::python;
use tests::stack::Stack;
use tests::worker::{Gate, Worker};
use tests::world;

use crate::records::{edit, row};

const SECRETS: &str = r#"{"1": "an application secret of the tests"}"#;
const NEWER_SECRET: &str = "2: another application secret of the tests\n";

#[test]
fn a_thousand_users_of_passlib_come_with_their_old_authenticators_and_go_back() {
    let _place = world::enter_alone();
    let mut daemon = daemon_with_a_newer_secret();
    let users = passlib_users(1000, 1);
    import(&daemon, &users);
    let (_stayed_away, came) = users.split_last().expect("users");
    log_in_at_once(&daemon, came);
    // All of them are sealed under the newer secret, also the user that has not logged in.
    daemon.terminate();
    daemon.setup.secrets = NEWER_SECRET.into();
    daemon.start_again();
    let (status, lines) = totpctl_lines(&daemon, &["export", "passlib"]);
    assert_eq!((status, lines.len()), (Some(0), users.len()));
    let secrets = json!({ "2": secret_of(NEWER_SECRET) }).to_string();
    let found = python::run(
        "passlib_reads.py",
        &[&secrets],
        &with_what_is_expected(&lines, &users),
    );
    assert_eq!(found.trim(), users.len().to_string());
}

#[test]
fn an_imported_key_has_our_own_seal_at_once() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.secrets.push_str(NEWER_SECRET);
    let mut daemon = setup.start();
    let user = passlib_users(1, 4).remove(0);
    let record = user["record"].to_string();
    daemon
        .call("Import", &json!({ "user": "alice", "record": record }))
        .expect("an import");
    edit(&mut daemon, |db| {
        let record = db.get(row("alice")).expect("the store").expect("a record");
        // Our own format, and not passlib's, under the tag '2', which is one byte long.
        assert!(record.windows(3).any(|part| part == [0, 1, b'2']));
    });
    daemon.terminate();
    daemon.setup.secrets = NEWER_SECRET.into();
    daemon.start_again();
    daemon
        .call("Export", &json!({ "user": "alice" }))
        .expect("a key that opens without the older secret");
}

#[test]
fn a_key_with_spare_bits_is_the_key_that_other_programs_read() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (spare, key) = ("JBSWY3DPEHPK3PXPJBSWY3DPEB", "JBSWY3DPEHPK3PXPJBSWY3DPEA");
    let told = daemon.totpctl_json(&["enroll", "alice", "--key", "-", "--yes"], spare);
    assert_eq!(told["key"], key);
    let uri = format!("otpauth://totp/bob?secret={spare}");
    let plain = json!({ "type": "totp", "v": 1, "key": spare }).to_string();
    for (user, record) in [("bob", uri), ("carol", plain)] {
        daemon
            .call("Import", &json!({ "user": user, "record": record }))
            .expect("an import");
        let again = json!({ "user": user, "device": "same", "key": key, "counter": null });
        let (error, _) = daemon.call("Enroll", &again).expect_err("it has the key");
        assert_eq!(error, "DeviceExists", "{user}");
    }
}

#[test]
fn a_key_of_eighty_bits_is_taken_only_if_an_administrator_says_so_and_is_marked() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let plain = json!({ "type": "totp", "v": 1, "key": "GEZDGNBVGY3TQOJQ" }).to_string();
    let uri = "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ".to_owned();
    for (user, method, about) in [
        ("alice", "Import", json!({ "record": plain })),
        ("bob", "Import", json!({ "record": uri })),
        (
            "carol",
            "Enroll",
            json!({ "key": "GEZDGNBVGY3TQOJQ", "active": true }),
        ),
    ] {
        let mut about = about;
        about["user"] = json!(user);
        let (_, told) = daemon.call(method, &about).expect_err("a refusal");
        let why = told["why"].as_str().expect("a sentence");
        assert!(
            why.contains("80 bits") && why.contains("--allow-weak"),
            "{why}"
        );
        about["allow_weak"] = json!(true);
        daemon.call(method, &about).expect("a device");
        daemon
            .log
            .wait_for(&[&format!(" user={user} "), "weak_key_bits=80"]);
        let shown = daemon
            .call("Show", &json!({ "user": user }))
            .expect("a user");
        assert_eq!(shown["user"]["devices"][0]["weak_key_bits"], 80);
    }
}

#[test]
fn importing_again_changes_nothing_and_a_code_of_before_is_not_taken() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let user = passlib_users(1, 2).remove(0);
    let stack = Stack::of(&daemon, "imported", "retry=1");
    let import = |name: &str| {
        daemon
            .call(
                "Import",
                &json!({ "user": name, "record": user["record"].to_string() }),
            )
            .expect("an import")
    };
    let (name, [present, next]) = authenticator(&user).within_a_step(["alice", "bob"], |name| {
        assert_eq!(
            import(name),
            json!({ "user": name, "device": "default", "imported": true })
        );
    });
    assert_eq!(
        stack.login(name, &[&present]).code,
        PamCode::AUTH_ERR,
        "it may have been used there"
    );
    daemon.audited(name, "already_used");
    assert_eq!(stack.login(name, &[&next]).code, PamCode::SUCCESS);
    assert_eq!(
        import(name),
        json!({ "user": name, "device": "default", "imported": false })
    );
    assert_eq!(
        stack.login(name, &[&next]).code,
        PamCode::AUTH_ERR,
        "importing revives nothing"
    );
}

#[test]
fn records_that_cannot_be_taken_are_refused_and_leave_no_trace() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let good = passlib_users(1, 3).remove(0)["record"].clone();
    let mut bad: Vec<String> = [
        "",
        "{}",
        "[]",
        "null",
        "otpauth://hotp/a?secret=AAAAAAAAAAAAAAAA",
    ]
    .map(String::from)
    .into();
    for (field, value) in [
        ("c", json!(23)),
        ("c", json!(21)),
        ("c", json!(-1)),
        ("t", json!("unknown")),
        ("k", json!("1")),
        ("v", json!(3)),
    ] {
        let mut record = good.clone();
        record["enckey"][field] = value;
        bad.push(record.to_string());
    }
    for record in &bad {
        let (error, told) = daemon
            .call("Import", &json!({ "user": "bad", "record": record }))
            .expect_err("a refusal");
        assert_eq!(
            (error.as_str(), &told["field"]),
            ("BadParameter", &json!("record")),
            "{record}"
        );
    }
    let (error, _) = daemon
        .call("Show", &json!({ "user": "bad" }))
        .expect_err("no record");
    assert_eq!(error, "NoSuchUser");
}

#[test]
fn passlib_agrees_on_random_keys_labels_times_and_windows() {
    let _place = world::enter();
    let (totpctl, folder) = (world::built("totpctl"), world::scratch_folder("agreement"));
    let seed = count(
        "PAM_TOTP_SEED",
        usize::try_from(std::process::id()).expect("a number"),
    );
    let arguments = [
        totpctl.to_str().expect("a path"),
        folder.to_str().expect("a path"),
        &seed.to_string(),
        "100",
    ];
    assert_eq!(
        python::run("passlib_agrees.py", &arguments, "").trim(),
        "100"
    );
}

#[test]
fn a_foreign_client_reads_the_interface_and_drives_the_daemon() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let socket = daemon.login_socket();
    let told = python::run(
        "foreign_client.py",
        &[socket.to_str().expect("a path"), "alice"],
        "",
    );
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    let expected = [
        json!(["org.varlink.service", "org.pamtotp.Provision"]),
        json!("accepted"),
        json!("already_used"),
        json!(["alice"]),
        json!("org.pamtotp.Provision.NoSuchUser"),
        json!(["org.pamtotp.Provision.BadParameter", "device"]),
    ];
    assert_eq!(lines, expected);
}

/// Reads what was sealed under the tests' usual secret, and seals under a newer one.
fn daemon_with_a_newer_secret() -> Daemon {
    let mut setup = Setup::new();
    setup.secrets.push_str(NEWER_SECRET);
    // A thousand exports would else take a minute.
    setup.settings = setup
        .settings
        .replace("    issuer:", "    encrypt-cost: 4\n    issuer:");
    setup.start()
}

fn secret_of(line: &str) -> &str {
    line.split_once(": ").expect("a tag").1.trim_end()
}

/// Imports all of them with totpctl.
fn import(daemon: &Daemon, users: &[Value]) {
    let file = daemon.setup.folder.join("users.jsonl");
    let lines = users
        .iter()
        .map(|user| json!({ "user": user["user"], "record": user["record"] }).to_string() + "\n");
    fs::write(&file, lines.collect::<String>()).expect("a file");
    let (status, lines) = totpctl_lines(
        daemon,
        &["import", "passlib", file.to_str().expect("a path")],
    );
    assert!(
        lines.iter().all(|line| line["imported"] == true),
        "{lines:?}"
    );
    assert_eq!((status, lines.len()), (Some(0), users.len()));
}

/// Totpctl's exit code, and the objects that it prints, one a line.
fn totpctl_lines(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = daemon.totpctl(&[&["--json"], arguments].concat(), "");
    let lines = String::from_utf8(output.stdout).expect("text");
    (
        output.status.code(),
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object"))
            .collect(),
    )
}

fn passlib_users(count: usize, seed: usize) -> Vec<Value> {
    let told = python::run(
        "passlib_users.py",
        &[SECRETS, &count.to_string(), &seed.to_string()],
        "",
    );
    let users: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("a user"))
        .collect();
    assert_eq!(users.len(), count);
    users
}

/// 64 at a time, each with the code after the present one: that of now may have been used at the
/// old place.
fn log_in_at_once(daemon: &Daemon, users: &[Value]) {
    let stack = Stack::of(daemon, "old-users", "retry=1");
    let waiting = Mutex::new(users.iter().collect::<Vec<_>>());
    let refused = Mutex::new(Vec::new());
    let gate = Gate::new();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut worker = Worker::start(&stack, &gate);
                loop {
                    let next = waiting.lock().expect("the queue").pop();
                    let Some(user) = next else { break };
                    let device: Authenticator = authenticator(user);
                    let outcome =
                        worker.login(user["user"].as_str().expect("a name"), &device.code_at(1));
                    if outcome.code != PamCode::SUCCESS {
                        refused
                            .lock()
                            .expect("the list")
                            .push((user.to_string(), outcome));
                    }
                }
            });
        }
    });
    let refused = refused.into_inner().expect("the list");
    assert!(
        refused.is_empty(),
        "{} were refused: {refused:?}",
        refused.len()
    );
}

/// Each exported record with what passlib is to find in it, a line each.
fn with_what_is_expected(lines: &[Value], users: &[Value]) -> String {
    let exported = lines
        .iter()
        .map(|line| (line["user"].as_str().expect("a name"), &line["record"]));
    let exported: BTreeMap<&str, &Value> = exported.collect();
    let expected = users.iter().map(|user| {
        let mut expected = user.clone();
        expected["record"] = exported[user["user"].as_str().expect("a name")].clone();
        expected.to_string()
    });
    expected.collect::<Vec<_>>().join("\n")
}
