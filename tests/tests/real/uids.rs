//! Accounts that get another uid: the devices of the former owner of a name open nothing.

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::odd_names::{accounts_here, with_odd_names};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::records::{change, edit};
use crate::roles::{DENIED, everything, refusal};

#[test]
fn an_account_that_was_made_anew_is_nobody_elses_until_an_administrator_says_so() {
    let _place = world::enter_alone();
    add_account("phoenix", "4711");
    let mut daemon = Setup::new().start();
    let told = daemon.totpctl_json(&["enroll", "phoenix", "--yes"], "");
    let device = tests::daemon::authenticator(&told);
    let recovery_code = told["recovery_codes"][0]
        .as_str()
        .expect("a recovery code")
        .to_owned();
    daemon
        .call("Enroll", &json!({ "user": "phoenix", "device": "waiting" }))
        .expect("a pending device");
    assert_eq!(log_in(&daemon, &device.code()), PamCode::SUCCESS);
    another_uid(&mut daemon, "phoenix", "4712");
    let before = show(&daemon);
    codes_of_before_open_nothing(&daemon, &device, &recovery_code);
    the_record_stays_shut(&daemon, &device);
    assert_eq!(show(&daemon), before);
    daemon.totpctl_json(&["enable", "phoenix", "--all", "--same-person"], "");
    daemon
        .log
        .wait_for(&["event=uid_rebound user=phoenix ", "former_uid=4711"]);
    assert_eq!(
        log_in(&daemon, &device.code_at(1)),
        PamCode::SUCCESS,
        "the record is bound to the uid of now"
    );
    another_uid(&mut daemon, "phoenix", "4713");
    assert_eq!(log_in(&daemon, &recovery_code), PamCode::AUTH_ERR);
    daemon
        .setup
        .settings
        .push_str("policy: {bind-uid: false}\n");
    daemon.kill();
    daemon.start_again();
    assert_eq!(
        log_in(&daemon, &recovery_code),
        PamCode::SUCCESS,
        "where the settings do not bind to it"
    );
}

/// The codes of the former owner are refused, and wrong codes cost guesses as with any other user.
fn codes_of_before_open_nothing(daemon: &Daemon, device: &Authenticator, recovery_code: &str) {
    for typed in [device.code_at(1).as_str(), recovery_code] {
        assert_eq!(log_in(daemon, typed), PamCode::AUTH_ERR, "{typed}");
    }
    daemon.log.wait_for_many(
        2,
        &[
            "event=verify user=phoenix ",
            " verdict=refused ",
            " reason=uid_changed",
        ],
    );
    for typed in device.wrong_codes(5) {
        assert_eq!(log_in(daemon, &typed), PamCode::AUTH_ERR);
    }
    let asked = daemon
        .call(
            "Challenge",
            &json!({ "user": "phoenix", "service": "reborn" }),
        )
        .expect("a challenge");
    assert_eq!(asked["ask"], "two_codes", "as an empty budget asks for");
}

/// Neither an administrator nor the account of now reads or changes the devices.
fn the_record_stays_shut(daemon: &Daemon, device: &Authenticator) {
    for (method, about) in giving(device) {
        let refused = daemon
            .call(method, &about)
            .expect_err("no way into another's record");
        assert!(
            refused.1["why"].as_str().is_some_and(|why| why
                .contains("belongs to uid 4711, and the account 'phoenix' has uid 4712")
                && why.contains("'totpctl forget phoenix'")
                && why.contains("--same-person")),
            "{method}: {refused:?}"
        );
    }
    let phoenix = Caller::user("phoenix");
    for (method, about) in [
        ("Enroll", json!({ "proof": device.code_at(1) })),
        ("Confirm", json!({ "code": "123456" })),
        ("Show", json!({})),
    ] {
        assert_eq!(
            refusal(daemon.call_as(&phoenix, method, &about)),
            DENIED,
            "{method}"
        );
    }
}

/// The calls that give something to the holder of the name, or open something.
fn giving(device: &Authenticator) -> Vec<(&'static str, Value)> {
    let of = |about: Value| {
        let mut about = about;
        about["user"] = json!("phoenix");
        about
    };
    let record = json!({ "type": "totp", "v": 1, "key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" });
    vec![
        ("Bypass", of(json!({}))),
        ("Ticket", of(json!({}))),
        ("Unlock", of(json!({}))),
        ("Enroll", of(json!({ "device": "new", "active": true }))),
        ("Enroll", of(json!({ "device": "new" }))),
        (
            "Confirm",
            of(json!({ "device": "waiting", "code": "123456" })),
        ),
        ("NewRecoveryCodes", of(json!({}))),
        ("Import", of(json!({ "record": record.to_string() }))),
        (
            "SetState",
            of(json!({ "device": "default", "state": "active" })),
        ),
        ("SetState", of(json!({ "all": true, "state": "active" }))),
        (
            "Resync",
            of(json!({ "device": "default", "codes": [device.code_at(1), device.code_at(2)] })),
        ),
        (
            "Restrict",
            of(json!({ "device": "default", "services": [] })),
        ),
        (
            "RenameDevice",
            of(json!({ "device": "default", "name": "mine" })),
        ),
    ]
}

#[test]
fn a_record_of_another_uid_is_shown_as_such_and_can_be_shut_moved_and_forgotten() {
    let _place = world::enter_alone();
    for (name, uid) in [("davina", "4831"), ("gone", "4833")] {
        add_account(name, uid);
    }
    let mut daemon = Setup::new().start();
    let davina = daemon.enroll("davina");
    let gone = daemon.enroll("gone");
    another_uid(&mut daemon, "davina", "4832");
    let shown = printed(&daemon, &["show", "davina"]);
    for sentence in [
        "belongs to uid 4831, which this account no longer has",
        "totpctl forget davina",
        "totpctl enable davina --all --same-person",
    ] {
        assert!(shown.contains(sentence), "{shown}");
    }
    let listed = printed(&daemon, &["list"]);
    assert!(listed.contains("of uid 4831"), "{listed}");
    daemon
        .call(
            "SetState",
            &json!({ "user": "davina", "state": "disabled" }),
        )
        .expect("a device is disabled whoever has the name");
    world::run("userdel", &["gone"]);
    add_account("other", "4834");
    daemon.kill();
    daemon.start_again();
    let moved = json!({ "user": "gone", "new": "other" });
    let refused = daemon.call("RenameUser", &moved).expect_err("a refusal");
    assert!(
        refused.1["why"]
            .as_str()
            .is_some_and(|why| why.contains("uid 4833"))
    );
    assert_eq!(
        verdict(&daemon, "gone", &gone.code()),
        "accepted",
        "no account has that name"
    );
    daemon.totpctl_json(&["rename-user", "gone", "other", "--same-person"], "");
    assert_eq!(verdict(&daemon, "other", &gone.code_at(1)), "accepted");
    daemon
        .call("Forget", &json!({ "user": "davina" }))
        .expect("another person has the name now");
    daemon
        .call("Enroll", &json!({ "user": "davina", "active": true }))
        .expect("a device of the present owner");
    assert_eq!(verdict(&daemon, "davina", &davina.code_at(1)), "rejected");
}

fn printed(daemon: &Daemon, command: &[&str]) -> String {
    String::from_utf8(daemon.totpctl(command, "").stdout).expect("text")
}

fn verdict(daemon: &Daemon, user: &str, code: &str) -> Value {
    let attempt = json!({ "user": user, "service": "reborn", "codes": [code] });
    daemon.call("Verify", &attempt).expect("a verdict")["verdict"].clone()
}

fn add_account(name: &str, uid: &str) {
    world::run(
        "useradd",
        &["--no-create-home", "--password", "*", "--uid", uid, name],
    );
}

fn show(daemon: &Daemon) -> Value {
    daemon
        .call("Show", &json!({ "user": "phoenix" }))
        .expect("what is known")
}

#[test]
fn no_rule_lets_by_who_may_be_somebody_else_by_now() {
    let _place = world::enter_alone();
    add_account("reborn", "4721");
    let mut daemon = Setup::new()
        .with("rules: [{name: by-name, users: [reborn]}]\n")
        .start();
    daemon.enroll("reborn");
    let is_let_by = |daemon: &Daemon| {
        let stack = Stack::expecting_ignore(daemon, "reborn-rule", "retry=1 nullok");
        stack.login("reborn", &["123456"]).code == PamCode::SUCCESS
    };
    assert!(is_let_by(&daemon));
    another_uid(&mut daemon, "reborn", "4722");
    assert!(!is_let_by(&daemon));
    daemon.log.wait_for(&[
        "event=verify user=reborn ",
        " verdict=refused ",
        " reason=uid_changed",
    ]);
    daemon.kill();
    daemon
        .setup
        .settings
        .push_str("roll-out: {observe: true}\n");
    daemon.start_again();
    assert!(is_let_by(&daemon), "it is only observed");
    daemon
        .log
        .wait_for(&["event=verify user=reborn ", " rule=observe would=refused"]);
    daemon.totpctl_json(&["disable", "reborn", "--all"], "");
    assert!(
        !is_let_by(&daemon),
        "a shut account is shut, whatever its uid"
    );
}

#[test]
fn an_account_that_was_renamed_is_not_let_in_as_one_that_never_enrolled() {
    let _place = world::enter_alone();
    add_account("rhea", "4841");
    add_account("newt", "4842");
    let mut daemon = Setup::new().with("unknown-users: skip\n").start();
    let rhea = daemon.enroll("rhea");
    let is_let_by = |daemon: &Daemon, user: &str| {
        let stack = Stack::expecting_ignore(daemon, "renamed", "retry=1 nullok");
        stack.login(user, &["123456"]).code == PamCode::SUCCESS
    };
    world::run(
        "useradd",
        &[
            "--no-create-home",
            "--non-unique",
            "--uid",
            "4841",
            "shares",
        ],
    );
    assert!(
        is_let_by(&daemon, "shares"),
        "two accounts of one uid are two"
    );
    world::run("userdel", &["--force", "shares"]);
    world::run("usermod", &["--login", "rhea2", "rhea"]);
    for restarts in [0, 1] {
        assert!(!is_let_by(&daemon, "rhea2"), "after {restarts} restarts");
        assert!(is_let_by(&daemon, "newt"), "after {restarts} restarts");
        daemon.log.wait_for_many(
            restarts + 1,
            &[
                "event=verify user=rhea2 ",
                " verdict=refused ",
                " reason=uid_of_another_name",
            ],
        );
        daemon.kill();
        daemon.start_again();
    }
    the_renaming_is_told(&daemon);
    daemon.totpctl_json(&["rename-user", "rhea", "rhea2"], "");
    assert_eq!(verdict(&daemon, "rhea2", &rhea.code()), "accepted");
    assert!(!is_let_by(&daemon, "rhea2"));
}

#[test]
fn a_record_that_cannot_be_read_may_be_that_of_any_renamed_account() {
    let _place = world::enter_alone();
    for (name, uid) in [("selma", "4855"), ("tilda", "4856"), ("viola", "4857")] {
        add_account(name, uid);
    }
    let mut daemon = Daemon::start();
    daemon.enroll("selma");
    daemon.enroll("tilda");
    let stack = Stack::expecting_ignore(&daemon, "unread-former", "retry=1 nullok");
    let is_let_by = |user: &str| stack.login(user, &["123456"]).code == PamCode::SUCCESS;
    edit(&mut daemon, |db| {
        for name in ["selma", "tilda"] {
            change(db, name, |record| record.truncate(20));
        }
    });
    assert!(is_let_by("viola"), "each damaged record has its account");
    world::run("usermod", &["--login", "selma2", "selma"]);
    assert!(!is_let_by("selma2"));
    assert!(!is_let_by("viola"), "nothing says whose record it is");
    daemon.log.wait_for(&[
        "event=verify user=selma2 ",
        " verdict=refused ",
        " reason=former_record_unreadable",
    ]);
    let told = daemon.call("Show", &json!({ "user": "selma2" }));
    let why = told.expect_err("a refusal").1["why"].to_string();
    assert!(why.contains("'totpctl forget selma'"), "{why}");
    daemon.totpctl_json(&["forget", "selma", "--yes"], "");
    assert!(is_let_by("viola"));
}

#[test]
fn a_shut_account_that_was_renamed_is_not_let_in_while_the_settings_only_observe() {
    let _place = world::enter_alone();
    add_account("petra", "4851");
    let daemon = Setup::new().with("roll-out: {observe: true}\n").start();
    daemon.enroll("petra");
    let stack = Stack::expecting_ignore(&daemon, "renamed-shut", "retry=1");
    assert_eq!(stack.login("petra", &["123456"]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["disable", "petra", "--all"], "");
    world::run("usermod", &["--login", "petra2", "petra"]);
    assert_eq!(stack.login("petra2", &["123456"]).code, PamCode::AUTH_ERR);
}

/// Whatever an administrator runs under the new name, no second record begins, and the way out is
/// said.
fn the_renaming_is_told(daemon: &Daemon) {
    let before = everything(daemon);
    let record = json!({ "type": "totp", "v": 1, "key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" });
    for (method, about) in [
        ("Show", json!({})),
        ("Enroll", json!({})),
        ("Enroll", json!({ "active": true, "same_person": true })),
        ("Ticket", json!({})),
        ("Import", json!({ "record": record.to_string() })),
    ] {
        let mut about = about;
        about["user"] = json!("rhea2");
        let refused = daemon.call(method, &about).expect_err("a refusal");
        assert!(
            refused.1["why"]
                .as_str()
                .is_some_and(|why| why.contains("'totpctl rename-user rhea rhea2'")
                    && why.contains("'totpctl forget rhea'")),
            "{method}: {refused:?}"
        );
    }
    assert_eq!(everything(daemon), before);
}

#[test]
fn without_self_service_people_log_in_and_leave_the_rest_to_others() {
    let _place = world::enter();
    let daemon = Setup::new().with("policy: {self-service: off}\n").start();
    let alice = daemon.enroll("alice");
    daemon
        .call("Enroll", &json!({ "user": "alice", "device": "waiting" }))
        .expect("a pending device");
    let as_alice = |method: &str, about| daemon.call_as(&Caller::user("alice"), method, &about);
    let before = everything(&daemon);
    for (method, about) in [
        ("Enroll", json!({ "device": "new", "proof": alice.code() })),
        ("Confirm", json!({ "code": "123456" })),
        (
            "Revoke",
            json!({ "device": "waiting", "proof": alice.code() }),
        ),
        ("NewRecoveryCodes", json!({ "proof": alice.code() })),
    ] {
        assert_eq!(refusal(as_alice(method, about)), DENIED, "{method}");
        let method = format!(" method={method} ");
        daemon
            .log
            .wait_for(&["event=not_permitted", &method, " reason=self_service_off"]);
    }
    assert_eq!(everything(&daemon), before);
    assert!(as_alice("Show", json!({})).is_ok());
    assert!(
        as_alice("RevokeGrace", json!({})).is_ok(),
        "giving up grace harms no user"
    );
    let verified = as_alice(
        "Verify",
        json!({ "user": "alice", "service": "own", "codes": [alice.code()] }),
    );
    assert_eq!(verified.expect("a verdict")["verdict"], "accepted");
}

#[test]
fn a_bound_record_opens_nothing_and_no_record_is_bound_while_the_name_service_does_not_say_whose_it_is()
 {
    let _place = world::enter_alone();
    let bound = "odd-here-bound";
    accounts_here(Some(&[(bound, 4801), ("odd-here-new", 4802)]));
    let mut daemon = with_odd_names(Setup::new()).start();
    let told = daemon.totpctl_json(&["enroll", bound, "--yes"], "");
    let code = told["recovery_codes"][0].as_str().expect("a code");
    let device = tests::daemon::authenticator(&told);
    for (accounts, reason, error) in [
        (None, "no_answer_from_name_service", "Busy"),
        (Some(&[(bound, 4803)][..]), "uid_changed", "BadParameter"),
    ] {
        accounts_here(accounts);
        daemon.kill();
        daemon.start_again();
        let stack = Stack::of(&daemon, "whose", "retry=1 nullok");
        for typed in [code, &device.code()] {
            assert_eq!(
                stack.login(bound, &[typed]).code,
                PamCode::AUTH_ERR,
                "{reason}"
            );
        }
        let reason = format!(" reason={reason} ");
        let user = format!("event=verify user={bound} ");
        daemon
            .log
            .wait_for_many(2, &[&user, " verdict=refused ", &reason]);
        for method in ["Bypass", "Unlock"] {
            let refused = daemon.call(method, &json!({ "user": bound }));
            assert_eq!(refusal(refused), error, "{method} {reason}");
        }
        if accounts.is_none() {
            nothing_is_bound(&daemon);
            accounts_here(Some(&[]));
        }
    }
    accounts_here(Some(&[(bound, 4801)]));
    daemon.kill();
    daemon.start_again();
    let stack = Stack::of(&daemon, "whose", "retry=1");
    assert_eq!(stack.login(bound, &[code]).code, PamCode::SUCCESS);
}

/// A record that is made while the name service is silent could stay unbound for ever.
fn nothing_is_bound(daemon: &Daemon) {
    let before = everything(daemon);
    for (method, about) in [
        ("Enroll", json!({ "user": "odd-here-new" })),
        (
            "Enroll",
            json!({ "user": "odd-here-bound", "device": "new", "active": true }),
        ),
        ("Ticket", json!({ "user": "odd-here-new" })),
        (
            "SetState",
            json!({ "user": "odd-here-new", "state": "disabled", "all": true }),
        ),
    ] {
        assert_eq!(refusal(daemon.call(method, &about)), "Busy", "{method}");
    }
    assert_eq!(everything(daemon), before);
}

/// The daemon caches resolved accounts for a while; a new one asks the name service.
fn another_uid(daemon: &mut Daemon, user: &str, uid: &str) {
    world::run("usermod", &["--uid", uid, user]);
    daemon.kill();
    daemon.start_again();
}

fn log_in(daemon: &Daemon, code: &str) -> PamCode {
    Stack::of(daemon, "reborn", "retry=1")
        .login("phoenix", &[code])
        .code
}
