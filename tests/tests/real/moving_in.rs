//! Users that come from other modules, with files that those modules and their own tools have
//! written: the same phone goes on, used codes stay used, counters go on.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HEX: &str = "3132333435363738393031323334353637383930";

#[test]
fn a_phone_of_google_authenticator_goes_on_here_and_its_used_codes_stay_used() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (file, phone) = google_authenticator("phone", &["-t", "-d", "-w", "3"]);
    let early = phone.code_at(1);
    assert_eq!(
        theirs(&file).login("alice", &[&early]).code,
        PamCode::SUCCESS
    );
    let before = fs::read(&file).expect("their file");
    assert_eq!(import_file(&daemon, &file, "alice")["imported"], true);
    assert_eq!(
        fs::read(&file).expect("their file"),
        before,
        "left as it is"
    );
    let ours = Stack::of(&daemon, "from-google", "retry=1");
    assert_eq!(
        ours.login("alice", &[&early]).code,
        PamCode::AUTH_ERR,
        "it opened a login there"
    );
    daemon.audited("alice", "already_used");
    let later = format!("{} {}", phone.code_at(2), phone.code_at(3));
    assert_eq!(ours.login("alice", &[&later]).code, PamCode::SUCCESS);
    assert_eq!(import_file(&daemon, &file, "alice")["imported"], false);
    let devices = daemon.totpctl_json(&["show", "alice"], "");
    assert_eq!(
        devices["devices"].as_array().map(Vec::len),
        Some(1),
        "{devices}"
    );
}

#[test]
fn the_counter_of_google_authenticator_goes_on_here_also_when_it_moved_after_the_import() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (file, button) = google_authenticator("button", &["-c", "-w", "4"]);
    let shown = |counter: u64| button.counted(counter, 0).remove(0);
    assert_eq!(
        theirs(&file).login("alice", &[&shown(2)]).code,
        PamCode::SUCCESS
    );
    assert_eq!(import_file(&daemon, &file, "alice")["imported"], true);
    let ours = Stack::of(&daemon, "button-here", "retry=1");
    assert_eq!(ours.login("alice", &[&shown(2)]).code, PamCode::AUTH_ERR);
    assert_eq!(ours.login("alice", &[&shown(3)]).code, PamCode::SUCCESS);
    // The roll-out goes on, and another machine still asks the old module.
    assert_eq!(
        theirs(&file).login("alice", &[&shown(5)]).code,
        PamCode::SUCCESS
    );
    assert_eq!(import_file(&daemon, &file, "alice")["imported"], false);
    assert_eq!(ours.login("alice", &[&shown(5)]).code, PamCode::AUTH_ERR);
    assert_eq!(ours.login("alice", &[&shown(6)]).code, PamCode::SUCCESS);
}

#[test]
fn scratch_codes_go_on_as_recovery_codes_open_one_login_each_and_every_guess_is_charged() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (file, phone) = google_authenticator("scratch", &["-t", "-d", "-w", "3"]);
    let text = fs::read_to_string(&file).expect("their file");
    let scratch: Vec<&str> = text.lines().filter(|line| line.len() == 8).collect();
    let [there, here, later, last, never] = scratch[..] else {
        panic!("five scratch codes: {}", scratch.len());
    };
    assert_eq!(
        theirs(&file).login("alice", &[there]).code,
        PamCode::SUCCESS
    );
    assert_eq!(import_file(&daemon, &file, "alice")["recovery_codes"], 4);
    let ours = Stack::of(&daemon, "scratch-here", "retry=1");
    assert_eq!(ours.login("alice", &[here]).code, PamCode::SUCCESS);
    assert_eq!(
        theirs(&file).login("alice", &[later]).code,
        PamCode::SUCCESS
    );
    assert_eq!(import_file(&daemon, &file, "alice")["recovery_codes"], 2);
    assert_eq!(ours.login("alice", &[last]).code, PamCode::SUCCESS);
    for used in [there, here, later, last] {
        assert_eq!(
            ours.login("alice", &[used]).code,
            PamCode::AUTH_ERR,
            "{used}"
        );
    }
    daemon
        .log
        .wait_for(&["event=verify", "verdict=rejected", "reason=no_such_code"]);
    daemon
        .call("Unlock", &json!({ "user": "alice" }))
        .expect("new guesses");
    for guess in 0..5 {
        let wrong = format!("0000000{guess}");
        assert_eq!(ours.login("alice", &[&wrong]).code, PamCode::AUTH_ERR);
    }
    assert_eq!(
        ours.login("alice", &[never]).code,
        PamCode::AUTH_ERR,
        "without a guess left no scratch code is judged"
    );
    daemon.audited("alice", "two_codes_needed");
    let later = format!("{} {}", phone.code_at(2), phone.code_at(3));
    assert_eq!(
        ours.login("alice", &[&later]).code,
        PamCode::SUCCESS,
        "the phone still gets in"
    );
    daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("new codes");
    daemon
        .call("Unlock", &json!({ "user": "alice" }))
        .expect("new guesses");
    assert_eq!(
        ours.login("alice", &[never]).code,
        PamCode::AUTH_ERR,
        "replaced"
    );
    daemon.audited("alice", "malformed");
}

#[test]
fn users_of_pam_oath_go_on_here_with_their_counters_and_used_codes() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let file = world::scratch_folder("oath").join("users.oath");
    let text = format!(
        "# users\nHOTP/E/6 alice - {HEX}\nHOTP/T30/8 bob + {HEX}\nHOTP carol 1234 {HEX}\nHOTP dave - 00\n"
    );
    write_private(&file, &text);
    let (button, phone) = (Authenticator::new(KEY), eight_digits());
    let shown = |counter: u64| button.counted(counter, 0).remove(0);
    let oath = format!(
        "auth required pam_oath.so usersfile={} window=5\n",
        file.display()
    );
    let oath = Stack::new("oath", &oath);
    let early = phone.code_at(1);
    assert_eq!(oath.login("alice", &[&shown(2)]).code, PamCode::SUCCESS);
    assert_eq!(oath.login("bob", &[&early]).code, PamCode::SUCCESS);
    let (status, lines) = imported(&daemon, &["users-oath", path(&file)], "");
    assert_eq!(status, Some(1), "two lines cannot be taken: {lines:?}");
    let found = |line: &Value| (line["line"].as_u64(), line["error"].is_null());
    let found: Vec<_> = lines.iter().map(found).collect();
    let expected = [(2, true), (3, true), (4, false), (5, false)];
    assert_eq!(found, expected.map(|(line, is_in)| (Some(line), is_in)));
    let ours = Stack::of(&daemon, "from-oath", "retry=1");
    assert_eq!(ours.login("alice", &[&shown(2)]).code, PamCode::AUTH_ERR);
    assert_eq!(ours.login("alice", &[&shown(3)]).code, PamCode::SUCCESS);
    assert_eq!(ours.login("bob", &[&early]).code, PamCode::AUTH_ERR);
    daemon.audited("bob", "already_used");
    let later = format!("{} {}", phone.code_at(2), phone.code_at(3));
    assert_eq!(ours.login("bob", &[&later]).code, PamCode::SUCCESS);
    let (status, lines) = imported(&daemon, &["users-oath", path(&file), "--drop-pins"], "");
    assert_eq!(status, Some(1));
    assert_eq!(
        lines[2]["imported"], true,
        "carol comes without the PIN: {lines:?}"
    );
}

#[test]
fn the_files_in_home_folders_are_read_with_mistrust_and_only_for_users_without_a_device() {
    let _place = world::enter();
    world::change_the_machine();
    let daemon = Daemon::start();
    let homes = world::scratch_folder("homes");
    let (good, _) = google_authenticator("home", &["-t", "-d", "-w", "3"]);
    let good = fs::read_to_string(good).expect("their file");
    for name in ["hom-good", "hom-link", "hom-other", "hom-open", "hom-old"] {
        let home = homes.join(name);
        fs::create_dir(&home).expect("a home");
        world::run(
            "useradd",
            &["--no-create-home", "--home-dir", path(&home), name],
        );
        let file = home.join(".google_authenticator");
        if name == "hom-link" {
            symlink(homes.join("hom-good/.google_authenticator"), &file).expect("a link");
            continue;
        }
        write_private(&file, &good);
        let mode = if name == "hom-open" { 0o644 } else { 0o600 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
        if name != "hom-other" {
            world::run("chown", &[name, path(&file)]);
        }
    }
    daemon.enroll("hom-old");
    let homes_of = |options: &[&str]| {
        imported(
            &daemon,
            &[&["google-authenticator", "--homes"], options].concat(),
            "",
        )
    };
    let (status, tried) = homes_of(&["--dry-run"]);
    assert_eq!((status, tried.len()), (Some(1), 4), "{tried:?}");
    assert_eq!(
        daemon
            .call("Show", &json!({ "user": "hom-good" }))
            .expect_err("no record")
            .0,
        "NoSuchUser"
    );
    let (status, lines) = homes_of(&[]);
    assert_eq!(status, Some(1));
    let mut found: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["user"].as_str().expect("a user"),
                line["imported"] == true,
            )
        })
        .collect();
    found.sort_unstable();
    let expected = [
        ("hom-good", true),
        ("hom-link", false),
        ("hom-open", false),
        ("hom-other", false),
    ];
    assert_eq!(found, expected, "{lines:?}");
    let old = daemon.totpctl_json(&["show", "hom-old"], "");
    assert_eq!(
        old["devices"].as_array().map(Vec::len),
        Some(1),
        "no second key: {old}"
    );
    let (_, again) = homes_of(&[]);
    assert!(
        again
            .iter()
            .any(|line| line["user"] == "hom-good" && line["imported"] == false)
    );
    fs::remove_dir_all(homes).expect("no homes");
}

#[test]
fn tokens_of_an_encrypted_pskc_file_open_logins_here() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let folder = world::scratch_folder("pskc");
    let (table, file) = (folder.join("tokens.csv"), folder.join("tokens.xml"));
    let kinds = "urn:ietf:params:xml:ns:keyprov:pskc";
    let rows = format!("1,{KEY},{kinds}:hotp,6,7,alice\n2,{KEY},{kinds}:hotp,6,,bob\n");
    write_private(&table, &rows);
    world::run(
        "csv2pskc",
        &[
            "--skip-rows",
            "0",
            "--columns",
            "id,secret,algorithm,response_length,counter,key_userid",
            "--secret-encoding",
            "base32",
            "--password",
            "a passphrase",
            "--output",
            path(&file),
            path(&table),
        ],
    );
    world::run("pskctool", &["--info", path(&file)]);
    let (status, lines) = imported(&daemon, &["pskc", path(&file)], "a passphrase\n");
    assert_eq!(status, Some(1), "bob's key has no counter: {lines:?}");
    assert_eq!(
        (&lines[0]["user"], &lines[0]["imported"]),
        (&json!("alice"), &json!(true))
    );
    let ours = Stack::of(&daemon, "from-pskc", "retry=1");
    let shown = |counter: u64| Authenticator::new(KEY).counted(counter, 0).remove(0);
    assert_eq!(ours.login("alice", &[&shown(6)]).code, PamCode::AUTH_ERR);
    assert_eq!(ours.login("alice", &[&shown(7)]).code, PamCode::SUCCESS);
    let (status, lines) = imported(&daemon, &["pskc", path(&file)], "another one\n");
    assert_eq!(
        (status, lines.len()),
        (Some(2), 1),
        "nothing of it is taken: {lines:?}"
    );
}

#[test]
fn exports_of_apps_and_lists_are_taken_by_their_labels_and_a_dry_run_changes_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let aegis = json!({ "version": 1, "header": {}, "db": { "version": 2, "entries": [
        { "type": "hotp", "name": "alice", "issuer": "x",
          "info": { "secret": key_of(1), "algo": "SHA1", "digits": 6, "counter": 7 } } ] } });
    let andotp = json!([{ "secret": key_of(2), "label": "alice", "digits": 6, "type": "HOTP",
        "algorithm": "SHA1", "counter": 7 }]);
    let uri = format!(
        "otpauth://hotp/x:alice%40example.com?secret={}&counter=7\n",
        key_of(3)
    );
    // What other programs show as their example: alice@google.com with a key of 80 bits.
    let migration = "otpauth-migration://offline?data=\
        CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC";
    for (format, text) in [
        ("aegis", aegis.to_string()),
        ("andotp", andotp.to_string()),
        ("otpauth", uri),
        ("migration", migration.to_owned()),
    ] {
        let arguments = [format, "-", "--allow-weak"];
        let (_, tried) = imported(&daemon, &[&arguments[..], &["--dry-run"]].concat(), &text);
        assert_eq!(tried[0]["dry_run"], true, "{format}: {tried:?}");
        for is_new in [true, false] {
            let (status, lines) = imported(&daemon, &arguments, &text);
            assert_eq!((status, lines.len()), (Some(0), 1), "{format}");
            assert_eq!(
                (&lines[0]["user"], &lines[0]["imported"]),
                (&json!("alice"), &json!(is_new))
            );
        }
    }
    let ours = Stack::of(&daemon, "from-apps", "retry=1");
    for n in 1..=3 {
        let shown = Authenticator::new(&key_of(n)).counted(7, 0).remove(0);
        assert_eq!(ours.login("alice", &[&shown]).code, PamCode::SUCCESS, "{n}");
    }
    let migrated = Authenticator::new("JBSWY3DPEHPK3PXP");
    let pair = format!("{} {}", migrated.code_at(1), migrated.code_at(2));
    assert_eq!(ours.login("alice", &[&pair]).code, PamCode::SUCCESS);
    let several = "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n".repeat(2);
    let (status, lines) = imported(&daemon, &["otpauth", "-", "--user", "alice"], &several);
    assert_eq!((status, lines.len()), (Some(2), 1), "{lines:?}");
}

#[test]
fn a_file_that_was_imported_in_part_can_be_imported_again_and_nothing_doubles() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let file = world::scratch_folder("table").join("users.csv");
    let rows: String = (0..50)
        .map(|n| format!("user{n},{},totp\n", key_of(n)))
        .collect();
    write_private(&file, &format!("user,key,kind\n{rows}broken,{KEY}1,totp\n"));
    let half: String = (0..25)
        .map(|n| format!("user{n},{},totp\n", key_of(n)))
        .collect();
    let (status, lines) = imported(&daemon, &["csv", "-"], &format!("user,key,kind\n{half}"));
    assert_eq!((status, lines.len()), (Some(0), 25));
    for (new, there) in [(25, 25), (0, 50)] {
        let (status, lines) = imported(&daemon, &["csv", path(&file)], "");
        assert_eq!(status, Some(1));
        let count = |is_new: bool| {
            lines
                .iter()
                .filter(|line| line["imported"] == is_new)
                .count()
        };
        assert_eq!((count(true), count(false)), (new, there));
        assert_eq!(lines.last().expect("the broken one")["line"], 52);
    }
    let status = daemon.totpctl_json(&["status"], "");
    assert_eq!(status["users"], 50);
}

#[test]
fn many_entries_are_sent_at_once_and_those_of_one_user_in_the_order_of_the_file() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let rows: String = (0..200)
        .map(|n| format!("user{},{},totp\n", n / 2, key_of(n)))
        .collect();
    let (status, lines) = imported(&daemon, &["csv", "-"], &format!("user,key,kind\n{rows}"));
    assert_eq!((status, lines.len()), (Some(0), 200));
    for (n, line) in lines.iter().enumerate() {
        let device = ["default", "device-2"][n % 2];
        let expected = json!({ "line": n + 2, "user": format!("user{}", n / 2), "device": device, "imported": true });
        assert_eq!(*line, expected);
    }
}

#[test]
fn what_is_exported_is_read_by_the_other_modules_and_a_used_code_stays_used() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let ours = Stack::of(&daemon, "leaving", "retry=1");
    let phone = daemon.enroll("alice");
    let button = json!({ "user": "bob", "kind": "hotp", "key": KEY, "counter": 3, "active": true });
    daemon.call("Enroll", &button).expect("a button");
    let button = Authenticator::new(KEY);
    let shown = |counter: u64| button.counted(counter, 0).remove(0);
    assert_eq!(ours.login("bob", &[&shown(3)]).code, PamCode::SUCCESS);
    let early = phone.code_at(1);
    assert_eq!(ours.login("alice", &[&early]).code, PamCode::SUCCESS);

    let file = world::scratch_folder("leaving").join("file");
    write_private(
        &file,
        &exported(&daemon, &["google-authenticator", "alice"]),
    );
    assert_ne!(
        theirs(&file).login("alice", &[&early]).code,
        PamCode::SUCCESS
    );
    let later = phone.code_at(2);
    let wide = fs::read_to_string(&file)
        .expect("the file")
        .replace("WINDOW_SIZE 3", "WINDOW_SIZE 9");
    write_private(&file, &wide);
    assert_eq!(
        theirs(&file).login("alice", &[&later]).code,
        PamCode::SUCCESS
    );
    write_private(&file, &exported(&daemon, &["google-authenticator", "bob"]));
    assert_eq!(
        theirs(&file).login("bob", &[&shown(4)]).code,
        PamCode::SUCCESS
    );

    let oath = world::scratch_folder("leaving").join("users.oath");
    write_private(&oath, &exported(&daemon, &["users-oath"]));
    let line = format!(
        "auth required pam_oath.so usersfile={} window=5\n",
        oath.display()
    );
    let oath = Stack::new("leaving-oath", &line);
    assert_ne!(oath.login("bob", &[&shown(3)]).code, PamCode::SUCCESS);
    assert_eq!(oath.login("bob", &[&shown(4)]).code, PamCode::SUCCESS);
    assert_eq!(oath.login("alice", &[&later]).code, PamCode::SUCCESS);

    let nix = daemon.totpctl(&["export", "google-authenticator", "nix"], "");
    let said = String::from_utf8(nix.stderr).expect("text");
    assert!(said.contains("nix has no record"), "{said}");

    let uris = exported(&daemon, &["otpauth", "alice", "bob"]);
    let again = Daemon::start();
    let (status, lines) = imported(&again, &["otpauth", "-"], &uris);
    assert_eq!((status, lines.len()), (Some(0), 2), "{lines:?}");
    let ours = Stack::of(&again, "returned", "retry=1");
    assert_eq!(ours.login("bob", &[&shown(3)]).code, PamCode::AUTH_ERR);
    assert_eq!(ours.login("bob", &[&shown(4)]).code, PamCode::SUCCESS);
}

/// What `totpctl export` prints.
fn exported(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.totpctl(&[&["export"], arguments].concat(), "");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn key_of(n: usize) -> String {
    let letter = |n: usize| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[n % 32]);
    format!("{}{}{}", letter(n), letter(n / 32), &KEY[2..])
}

/// A file that the real google-authenticator has made, and the phone that has its key.
fn google_authenticator(name: &str, options: &[&str]) -> (PathBuf, Authenticator) {
    let file = world::scratch_folder(name).join("google_authenticator");
    let usual = ["-f", "-q", "-C", "-u", "-s", path(&file)];
    world::run("google-authenticator", &[&usual, options].concat());
    let text = fs::read_to_string(&file).expect("their file");
    let phone = Authenticator::new(text.lines().next().expect("a key"));
    (file, phone)
}

/// The real module of google-authenticator on that file.
fn theirs(file: &Path) -> Stack {
    let line = format!(
        "auth required pam_google_authenticator.so secret={} user=root\n",
        file.display()
    );
    Stack::new("google", &line)
}

fn import_file(daemon: &Daemon, file: &Path, user: &str) -> Value {
    let (status, lines) = imported(
        daemon,
        &["google-authenticator", path(file), "--user", user],
        "",
    );
    assert_eq!((status, lines.len()), (Some(0), 1), "{lines:?}");
    lines.into_iter().next().expect("a line")
}

/// Runs `totpctl import`. Returns its exit code and its lines of JSON.
fn imported(daemon: &Daemon, arguments: &[&str], input: &str) -> (Option<i32>, Vec<Value>) {
    let output = daemon.totpctl(&[&["--json", "import"], arguments].concat(), input);
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (output.status.code(), lines.collect())
}

fn eight_digits() -> Authenticator {
    Authenticator {
        digits: 8,
        ..Authenticator::new(KEY)
    }
}

fn write_private(file: &Path, text: &str) {
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}
