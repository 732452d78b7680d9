//! A store that an earlier version has written: today's daemon opens it, loses no user, revives no
//! code and gives no guess back.
//!
//! `data/store-before/README.md` says what the store holds. It is opened twenty minutes after it
//! was closed, on a machine that was started in between.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{Item, PamCode, Reply};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::first_login::first_login;
use crate::own::shown;
use crate::records::{edit, record};
use crate::roles::refusal;

#[test]
fn every_user_is_shown_as_the_older_daemon_did_and_the_start_is_no_alarm() {
    let _place = world::enter();
    for archive in ["stopped", "killed"] {
        let mut store = Before::opened_from(archive, 0);
        store.shows_what_the_older_daemon_did();
        assert!(store.daemon.terminate().success());
        store.daemon.start_again();
        store.shows_what_the_older_daemon_did();
        assert_eq!(
            store.daemon.logged(&["event=store_"]),
            Vec::<String>::new(),
            "{archive}"
        );
    }
}

#[test]
fn every_active_device_opens_one_login_with_the_code_that_it_shows() {
    let _place = world::enter();
    let store = Before::open();
    let devices = store.devices_that_open();
    assert!(devices.len() >= 20, "{}", devices.len());
    for (user, name) in devices {
        let code = store.code(&user, &name);
        assert_eq!(
            store.login_with(&user, &name, &code),
            PamCode::SUCCESS,
            "{user} {name}"
        );
        assert_eq!(
            store.login_with(&user, &name, &code),
            PamCode::AUTH_ERR,
            "{user} {name}: a second time"
        );
    }
}

#[test]
fn a_code_that_was_spent_stays_spent() {
    let _place = world::enter();
    let store = Before::open();
    for (user, noted) in store.users() {
        for code in texts(&noted["spent"]) {
            assert_eq!(store.login(user, &code), PamCode::AUTH_ERR, "{user} {code}");
        }
    }
    // Their latest codes would be accepted now, were they not spent.
    for user in ["hotp", "ahead"] {
        store.daemon.audited(user, "already_used");
    }
    let counted = authenticator(&store.noted("hotp")["devices"]["default"]).counted(3, 0);
    assert_eq!(store.login("hotp", &counted[0]), PamCode::SUCCESS);
}

#[test]
fn what_was_issued_and_not_used_opens_what_it_was_issued_for() {
    let _place = world::enter();
    let store = Before::open();
    let recovery_codes = texts(&store.noted("recovery")["recovery_codes"]);
    assert_eq!(recovery_codes.len(), 9);
    for code in &recovery_codes {
        assert_eq!(store.login("recovery", code), PamCode::SUCCESS);
        assert_eq!(
            store.login("recovery", code),
            PamCode::AUTH_ERR,
            "a second time"
        );
    }
    let bypass = store.noted("bypass")["bypass"].as_str().expect("a code");
    for outcome in [PamCode::SUCCESS, PamCode::SUCCESS, PamCode::AUTH_ERR] {
        assert_eq!(store.login("bypass", bypass), outcome);
    }
    let ticket = store.noted("ticket")["ticket"].as_str().expect("a code");
    let stack = Stack::of(&store.daemon, "first-login-before", "enroll retry=1");
    let login = first_login(&stack, "ticket", ticket, |device| {
        device.code_when(store.clocks.now())
    });
    assert_eq!(login.code, PamCode::SUCCESS);
}

#[test]
fn guesses_that_were_charged_stay_charged_and_known_sources_stay_known() {
    let _place = world::enter();
    let store = Before::open();
    for user in ["stranger", "guessed"] {
        let asked = store
            .daemon
            .call("Challenge", &json!({ "user": user, "service": "login" }));
        assert_eq!(asked.expect("a challenge")["ask"], "two_codes", "{user}");
    }
    let [earlier, code] = [-30, 0].map(|seconds| store.code_in("guessed", "default", seconds));
    assert_eq!(
        store.login_from("198.51.100.7", "guessed", &code),
        PamCode::AUTH_ERR
    );
    store.daemon.audited("guessed", "two_codes_needed");
    assert_eq!(
        store.login_from("198.51.100.7", "guessed", &format!("{earlier}{code}")),
        PamCode::SUCCESS
    );
    let wrong = authenticator(&store.noted("sources")["devices"]["default"]).wrong_codes(4);
    let sources = texts(&store.noted("sources")["sources"]);
    for ((source, wrong), left) in sources.iter().zip(&wrong).zip([4, 3, 2]) {
        assert_eq!(
            store.login_from(source, "sources", wrong),
            PamCode::AUTH_ERR
        );
        assert_eq!(
            (
                store.daemon.known_budget("sources"),
                store.daemon.budget("sources")
            ),
            (left, 5),
            "{source}"
        );
    }
    assert_eq!(
        store.login_from("198.51.100.7", "sources", &wrong[3]),
        PamCode::AUTH_ERR
    );
    assert_eq!(
        (
            store.daemon.known_budget("sources"),
            store.daemon.budget("sources")
        ),
        (2, 4)
    );
}

#[test]
fn what_was_shut_or_disabled_opens_nothing_until_an_administrator_enables_it() {
    let _place = world::enter();
    let store = Before::open();
    let recovery_code = |user: &str| texts(&store.noted(user)["recovery_codes"]).remove(0);
    assert_eq!(
        store.login("shut", &recovery_code("shut")),
        PamCode::AUTH_ERR,
        "recovery codes are shut, too"
    );
    for (user, device, enable) in [
        ("shut", "default", "--all"),
        ("disabled-device", "lost", "--device=lost"),
    ] {
        let code = store.code(user, device);
        assert_eq!(store.login(user, &code), PamCode::AUTH_ERR, "{user}");
        store.daemon.totpctl_json(&["enable", user, enable], "");
        assert_eq!(store.login(user, &code), PamCode::SUCCESS, "{user}");
    }
    let code = store.code("strict", "default");
    assert_eq!(store.login("strict", &code), PamCode::AUTH_ERR);
    let line = store.daemon.audited("strict", "disabled");
    assert!(line.contains(" reason=strict_disabled"), "{line}");
    assert_eq!(
        store.login("strict", &recovery_code("strict")),
        PamCode::SUCCESS
    );
    store.daemon.totpctl_json(&["enable", "strict"], "");
    assert_eq!(store.login("strict", &code), PamCode::SUCCESS);
}

#[test]
fn a_pending_device_opens_nothing_until_it_is_confirmed() {
    let _place = world::enter();
    let store = Before::open();
    let [code, next] = [0, 30].map(|seconds| store.code_in("pending", "default", seconds));
    assert_eq!(store.login("pending", &code), PamCode::AUTH_ERR);
    let told = store
        .daemon
        .totpctl_json(&["confirm", "pending"], &format!("{code}\n"));
    assert_eq!(
        (&told["verdict"], texts(&told["recovery_codes"]).len()),
        (&json!("accepted"), 10),
        "{told}"
    );
    assert_eq!(store.login("pending", &code), PamCode::AUTH_ERR);
    assert_eq!(store.login("pending", &next), PamCode::SUCCESS);
}

#[test]
fn a_revoked_key_that_is_enrolled_again_does_not_revive_its_codes() {
    let _place = world::enter();
    // Two periods before the step that it has spent.
    let store = Before::opened_from("stopped", 240);
    let noted = store.noted("revoked");
    let [watch, counter] = ["watch", "counter"].map(|name| &noted["revoked"][name]);
    for again in [
        json!({ "user": "revoked", "key": watch["key"], "device": "watch", "period": 120, "active": true }),
        json!({ "user": "revoked", "key": counter["key"], "kind": "hotp", "counter": 0, "active": true }),
    ] {
        store.daemon.call("Enroll", &again).expect("the same key");
    }
    store.clocks.pass(240);
    for code in texts(&noted["spent"]) {
        assert_eq!(store.login("revoked", &code), PamCode::AUTH_ERR, "{code}");
    }
    store
        .daemon
        .log
        .wait_for_many(2, &["event=verify user=revoked ", " verdict=already_used "]);
    let next = authenticator(watch).code_when(store.clocks.now() + 120);
    let counted = authenticator(counter).counted(5, 0);
    for code in [&next, &counted[0]] {
        assert_eq!(store.login("revoked", code), PamCode::SUCCESS, "{code}");
    }
}

#[test]
fn a_key_of_passlibs_is_sealed_anew_with_its_first_code() {
    let _place = world::enter();
    let mut store = Before::open();
    let code = store.code("imported", "default");
    assert_eq!(store.login("imported", &code), PamCode::SUCCESS);
    // What nothing has changed since needs the older secret; a key that was sealed anew does not.
    assert!(store.daemon.terminate().success());
    store.daemon.setup.secrets = store
        .daemon
        .setup
        .secrets
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect();
    store.daemon.start_again();
    let export = |user: &str| store.daemon.call("Export", &json!({ "user": user }));
    assert_eq!(refusal(export("one-device")), "RecordDamaged");
    let exported = export("imported").expect("a record")["records"][0]["record"].clone();
    let opened = store.opened(exported.as_str().expect("a record"));
    assert_eq!(
        opened["key"],
        store.noted("imported")["devices"]["default"]["key"]
    );
    assert_eq!(
        (&opened["label"], &opened["issuer"]),
        (&json!("imported@example.org"), &json!("Example"))
    );
    assert_eq!(
        store.login("imported", &code),
        PamCode::AUTH_ERR,
        "the code stays spent"
    );
}

#[test]
fn every_key_can_be_exported() {
    let _place = world::enter();
    let store = Before::open();
    let mut count = 0;
    for (user, noted) in store.users().filter(|(user, _)| *user != "ticket") {
        let told = store
            .daemon
            .call("Export", &json!({ "user": user }))
            .unwrap_or_else(|e| panic!("{user}: {e:?}"));
        for exported in told["records"].as_array().expect("records") {
            let device = exported["device"].as_str().expect("a name");
            let opened = store.opened(exported["record"].as_str().expect("a record"));
            assert_eq!(
                opened["key"], noted["devices"][device]["key"],
                "{user} {device}"
            );
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn a_record_stays_bound_to_the_uid_and_the_helpdesks_day_goes_on() {
    let _place = world::enter_alone();
    for (name, uid) in [
        ("bound", "4741"),
        ("unlocked", "4742"),
        ("old-helper", "4743"),
    ] {
        world::run(
            "useradd",
            &["--no-create-home", "--password", "*", "--uid", uid, name],
        );
    }
    world::group("old-helpdesk", &["old-helper"]);
    let mut store = Before::open();
    let [code, next] = [0, 30].map(|seconds| store.code_in("bound", "default", seconds));
    assert_eq!(store.login("bound", &code), PamCode::SUCCESS);
    let unlock = || {
        store.daemon.call_as(
            &Caller::user("old-helper"),
            "Unlock",
            &json!({ "user": "unlocked" }),
        )
    };
    assert_eq!(refusal(unlock()), "BadParameter", "once a day");
    store.clocks.pass(86_400);
    unlock().expect("a day later");
    // The daemon remembers for a while which account has which uid; a new one asks.
    world::run("usermod", &["--uid", "4751", "bound"]);
    store.daemon.kill();
    store.daemon.start_again();
    assert_eq!(store.login("bound", &next), PamCode::AUTH_ERR);
    store.daemon.log.wait_for(&[
        "event=verify user=bound ",
        " verdict=refused ",
        " reason=uid_changed",
    ]);
    for name in ["bound", "unlocked", "old-helper"] {
        world::run("userdel", &[name]);
    }
    world::run("groupdel", &["old-helpdesk"]);
}

#[test]
fn a_record_that_changes_is_written_as_todays_daemon_writes_it_and_reads_after_a_restart() {
    let _place = world::enter();
    let mut store = Before::open();
    let users: Vec<String> = store.users().map(|(user, _)| user.clone()).collect();
    store.daemon.enroll("new-today");
    for user in &users {
        store
            .daemon
            .call("Unlock", &json!({ "user": user }))
            .expect("a change of the record");
    }
    edit(&mut store.daemon, |db| {
        let version = |user: &str| record(db, user)[0];
        for user in &users {
            assert_eq!(version(user), version("new-today"), "{user}");
        }
    });
    for then in store.notes["list"]["users"].as_array().expect("users") {
        let user = then["user"].as_str().expect("a name");
        let now = shown(&store.daemon, user);
        assert_eq!(
            (&now["damaged"], &now["budget"], &now["known_budget"]),
            (&json!(false), &json!(5), &json!(5))
        );
        assert_holds(&now["devices"], &then["devices"], user);
    }
    for (user, name) in store.devices_that_open() {
        let code = store.code(&user, &name);
        assert_eq!(
            store.login_with(&user, &name, &code),
            PamCode::SUCCESS,
            "{user} {name}"
        );
    }
}

/// The store, and today's daemon on a copy of it.
struct Before {
    daemon: Daemon,
    clocks: Clocks,
    notes: Value,
}

impl Before {
    /// As it was when its daemon was stopped.
    fn open() -> Self {
        Self::opened_from("stopped", 0)
    }

    /// From one of the archives, so many seconds earlier than usual.
    fn opened_from(archive: &str, earlier: i64) -> Self {
        let text = |name: &str| {
            fs::read_to_string(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let notes: Value = serde_json::from_str(&text("notes.json")).expect("the notes");
        let clocks = Clocks::at(notes["open_at"].as_i64().expect("a time") - earlier);
        let mut setup = clocks.of(Setup::in_state(&unpacked(archive)));
        let paths = [
            ("SECRETS-FILE", setup.folder.join("secrets")),
            ("STORE-FOLDER", setup.state.join("store")),
        ];
        setup.secrets = text("secrets");
        setup.settings = paths
            .iter()
            .fold(text("settings.yaml"), |settings, (name, path)| {
                settings.replace(name, path.to_str().expect("a path in UTF-8"))
            });
        Self {
            daemon: setup.start(),
            clocks,
            notes,
        }
    }

    fn shows_what_the_older_daemon_did(&self) {
        let status = self.daemon.call("Status", &json!({})).expect("a status");
        assert_eq!(
            (&status["users"], &status["clock"]),
            (&self.notes["status"]["users"], &json!("ok")),
            "{status}"
        );
        assert_holds(
            &self.daemon.totpctl_json(&["list"], ""),
            &self.notes["list"],
            "list",
        );
        for then in self.notes["list"]["users"].as_array().expect("users") {
            let user = then["user"].as_str().expect("a name");
            assert_holds(&self.daemon.totpctl_json(&["show", user], ""), then, user);
        }
        let attempts = |told: &Value| -> Vec<_> {
            let attempts = told["attempts"].as_array().expect("attempts").iter();
            attempts
                .map(|attempt| ["time", "source", "verdict"].map(|field| attempt[field].clone()))
                .collect()
        };
        let why = self.daemon.totpctl_json(&["why", "guessed"], "");
        assert_eq!(attempts(&why), attempts(&self.notes["why"]));
    }

    /// The users with a record, and what is noted of each.
    fn users(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.notes["users"].as_object().expect("users").iter()
    }

    fn noted(&self, user: &str) -> &Value {
        &self.notes["users"][user]
    }

    /// Users and the names of their devices whose code opens a login.
    fn devices_that_open(&self) -> Vec<(String, String)> {
        let devices = self.users().flat_map(|(user, noted)| {
            let devices = noted["devices"].as_object().expect("devices").iter();
            let opening = devices.filter(|(_, device)| device["opens"] != false);
            opening.map(|(name, _)| (user.clone(), name.clone()))
        });
        devices.collect()
    }

    /// What a device shows now.
    fn code(&self, user: &str, device: &str) -> String {
        self.code_in(user, device, 0)
    }

    /// What a device shows so many seconds from now, by its own clock.
    fn code_in(&self, user: &str, device: &str, seconds: i64) -> String {
        let noted = &self.noted(user)["devices"][device];
        let ahead = noted["ahead"].as_i64().unwrap_or(0);
        authenticator(noted).code_when(self.clocks.now() + ahead + seconds)
    }

    fn login(&self, user: &str, typed: &str) -> PamCode {
        self.log_in("login", None, user, typed)
    }

    fn login_from(&self, rhost: &str, user: &str, typed: &str) -> PamCode {
        self.log_in("login", Some(rhost), user, typed)
    }

    /// Where the device opens logins.
    fn login_with(&self, user: &str, device: &str, typed: &str) -> PamCode {
        let noted = &self.noted(user)["devices"][device];
        self.log_in(
            noted["service"].as_str().unwrap_or("login"),
            noted["rhost"].as_str(),
            user,
            typed,
        )
    }

    fn log_in(&self, service: &str, rhost: Option<&str>, user: &str, typed: &str) -> PamCode {
        let stack = Stack::of(&self.daemon, service, "retry=1");
        let attempt = stack.attempt(user);
        let attempt = match rhost {
            Some(rhost) => attempt.item(Item::Rhost, rhost),
            None => attempt,
        };
        attempt.run(|_| Reply::text(typed)).code
    }

    /// What `totpctl key open` says of a record in passlib's form.
    fn opened(&self, record: &str) -> Value {
        let settings = self.daemon.setup.folder.join("settings.yaml");
        self.daemon.totpctl_json(
            &[
                "key",
                "open",
                "--settings",
                settings.to_str().expect("a path in UTF-8"),
            ],
            record,
        )
    }
}

/// Makes sure that everything that was said then is said now. More may be said now.
fn assert_holds(now: &Value, then: &Value, place: &str) {
    match (now, then) {
        (_, Value::Object(fields)) => {
            fields.iter().for_each(|(name, then)| {
                assert_holds(&now[name], then, &format!("{place}.{name}"))
            });
        }
        (Value::Array(items), Value::Array(before)) => {
            assert_eq!(items.len(), before.len(), "{place}: {now} then {then}");
            items
                .iter()
                .zip(before)
                .for_each(|(now, then)| assert_holds(now, then, place));
        }
        _ => assert_eq!(now, then, "{place}"),
    }
}

/// A folder of the daemon's user with what an archive holds.
fn unpacked(archive: &str) -> PathBuf {
    let state = world::state_folder();
    let [folder, archive] = [state.clone(), fixture(&format!("{archive}.tar.gz"))].map(|path| {
        path.into_os_string()
            .into_string()
            .expect("a path in UTF-8")
    });
    world::run(
        "tar",
        &[
            "--extract",
            "--gzip",
            "--file",
            &archive,
            "--directory",
            &folder,
            "--no-same-owner",
        ],
    );
    world::run(
        "chown",
        &["--recursive", &format!("{0}:{0}", world::DAEMON), &folder],
    );
    state
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real/data/store-before")
        .join(name)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}
