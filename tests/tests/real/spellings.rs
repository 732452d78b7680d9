//! Accounts that the name service knows by several spellings, and a name service that does not
//! answer.

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::odd_names::with_odd_names;
use tests::stack::Stack;
use tests::world;

use crate::records::{change, edit};

#[test]
fn every_spelling_of_an_account_is_the_same_person() {
    let _place = world::enter();
    let daemon = daemon();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "spelt", "retry=1");
    let code = alice.code();
    assert_eq!(stack.login("odd-ALICE", &[&code]).code, PamCode::SUCCESS);
    for spelling in ["alice", "odd-alice", "ODD-Alice"] {
        assert_eq!(
            stack.login(spelling, &[&code]).code,
            PamCode::AUTH_ERR,
            "{spelling}"
        );
        let line = daemon
            .log
            .wait_for_many(1, &["event=verify user=alice ", " verdict=already_used"]);
        assert!(line[0].contains(" service=spelt "), "{line:?}");
    }
    daemon.log.wait_for(&[
        "event=verify user=alice alias=odd-ALICE ",
        " verdict=accepted",
    ]);
    for spelling in ["alice", "odd-alice", "ODD-ALICE", "Odd-Alice", "alice"] {
        assert_eq!(
            stack.login(spelling, &[&alice.wrong()]).code,
            PamCode::AUTH_ERR
        );
    }
    assert_eq!(daemon.budget("alice"), 0, "one budget for all of them");
    let shown = daemon.totpctl_json(&["show", "odd-alicE"], "");
    assert_eq!(shown["user"], "alice", "{shown}");
    let (error, _) = daemon
        .call(
            "Enroll",
            &json!({ "user": "odd-ALICE", "device": "default" }),
        )
        .expect_err("a device");
    assert_eq!(error, "DeviceExists");
}

#[test]
fn nobody_is_let_by_as_not_enrolled_while_the_name_service_does_not_answer() {
    let _place = world::enter();
    let daemon = daemon();
    let passes = |user: &str| {
        Stack::expecting_ignore(&daemon, "spelt-nullok", "nullok retry=1")
            .login(user, &["123456"])
            .code
    };
    assert_eq!(
        (passes("no-account"), passes("odd-broken")),
        (PamCode::SUCCESS, PamCode::AUTH_ERR)
    );
    let told = |user: &str| {
        Stack::of(&daemon, "spelt-unknown", "user_unknown retry=1")
            .login(user, &["123456"])
            .code
    };
    assert_eq!(
        (told("no-account"), told("odd-broken")),
        (PamCode::USER_UNKNOWN, PamCode::AUTH_ERR)
    );
    daemon.log.wait_for(&[
        "user=odd-broken ",
        " verdict=refused ",
        " reason=no_answer_from_name_service",
    ]);
}

#[test]
fn a_name_service_that_hangs_keeps_nobody_from_logging_in() {
    let _place = world::enter();
    let daemon = daemon();
    let (root, alice) = (daemon.enroll("root"), daemon.enroll("alice"));
    let stack = Stack::of(&daemon, "spelt-hung", "retry=1");
    // Two questions each: more than there are threads to ask with.
    for number in 0..3 {
        let refused = stack.login(&format!("odd-hung-{number}"), &["123456"]).code;
        assert_eq!(refused, PamCode::AUTH_ERR, "an answer, and in time");
    }
    assert_eq!(stack.login("root", &[&root.code()]).code, PamCode::SUCCESS);
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
}

/// A directory that says `Carla` from some day on, where it said `carla`.
#[test]
fn a_record_in_lower_case_is_that_of_the_account_spelt_otherwise_now() {
    let _place = world::enter_alone();
    let mut daemon = with_odd_names(Setup::new().with("unknown-users: skip\n")).start();
    make_account("carla", "4731");
    let carla = daemon.enroll("carla");
    respell(&mut daemon, "carla", "Carla");
    let code = carla.code();
    let stack = Stack::expecting_ignore(&daemon, "respelt", "nullok user_unknown retry=1");
    assert_eq!(
        stack.login("Carla", &[&carla.wrong()]).code,
        PamCode::AUTH_ERR,
        "not a new user"
    );
    assert_eq!(daemon.totpctl_json(&["show", "Carla"], "")["user"], "carla");
    let required = Stack::of(&daemon, "respelt-required", "retry=1");
    for (spelling, told) in [
        ("odd-CARLA", PamCode::SUCCESS),
        ("Carla", PamCode::AUTH_ERR),
    ] {
        assert_eq!(
            required.login(spelling, &[&code]).code,
            told,
            "one code, one login: {spelling}"
        );
    }
    daemon.log.wait_for(&[
        "event=verify user=carla alias=Carla ",
        " verdict=already_used",
    ]);
    let (error, _) = daemon
        .call("Ticket", &json!({ "user": "Carla" }))
        .expect_err("no first device");
    assert_eq!(error, "BadParameter");
    daemon.totpctl_json(&["rename-user", "carla", "Carla"], "");
    assert_eq!(
        required.login("Carla", &[&carla.code_at(1)]).code,
        PamCode::SUCCESS
    );
    daemon.totpctl_json(&["forget", "odd-carla", "--yes"], "");
    assert_eq!(
        stack.login("Carla", &["1"]).code,
        PamCode::SUCCESS,
        "never enrolled"
    );
}

#[test]
fn a_user_shut_out_in_lower_case_is_not_let_by_in_upper_case() {
    let _place = world::enter_alone();
    let mut daemon = with_odd_names(Setup::new().with("roll-out: {observe: true}\n")).start();
    make_account("yan", "4741");
    daemon.totpctl_json(&["disable", "yan", "--all"], "");
    respell(&mut daemon, "yan", "Yan");
    let stack = Stack::expecting_ignore(&daemon, "shut-respelt", "nullok retry=1");
    assert_eq!(stack.login("Yan", &["123456"]).code, PamCode::AUTH_ERR);
}

/// This machine tells them apart, and each has a uid of its own.
#[test]
fn two_accounts_that_differ_in_case_have_nothing_to_do_with_each_other() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    make_account("dora", "4751");
    make_account("Dora", "4752");
    let lets_by = |user: &str| lets_by(&daemon, user);
    let log_in = |user: &str, code: &str| {
        Stack::of(&daemon, "twins", "retry=1")
            .login(user, &[code])
            .code
    };
    let is_unknown = |method: &str, about: &Value| is_unknown(&daemon, method, about);
    // A record without a device is dora's alone, too.
    daemon
        .call("Ticket", &json!({ "user": "dora" }))
        .expect("a ticket");
    is_unknown("Show", &json!({ "user": "Dora" }));
    daemon.totpctl_json(&["disable", "dora", "--all"], "");
    assert_eq!((lets_by("dora"), lets_by("Dora")), (false, true));
    daemon.totpctl_json(&["enable", "dora", "--all"], "");
    let dora = daemon.enroll("dora");
    is_unknown("Show", &json!({ "user": "Dora" }));
    is_unknown("Forget", &json!({ "user": "Dora" }));
    is_unknown("RenameUser", &json!({ "user": "Dora", "new": "donna" }));
    is_unknown("Confirm", &json!({ "user": "Dora", "code": dora.code() }));
    daemon
        .call("Ticket", &json!({ "user": "Dora" }))
        .expect("a ticket: Dora has no device yet");
    let other = daemon.enroll("Dora");
    let (first, second) = (dora.code(), other.code());
    assert_eq!(
        (log_in("Dora", &first), log_in("dora", &second)),
        (PamCode::AUTH_ERR, PamCode::AUTH_ERR)
    );
    assert_eq!(
        (log_in("Dora", &second), log_in("dora", &first)),
        (PamCode::SUCCESS, PamCode::SUCCESS)
    );
    assert_eq!(
        (daemon.budget("Dora"), daemon.budget("dora")),
        (4, 4),
        "each has paid for one guess"
    );
    let listed = daemon.totpctl_json(&["list"], "");
    assert_eq!(
        listed["users"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    daemon.totpctl_json(&["forget", "Dora", "--yes"], "");
    assert_eq!(
        (lets_by("Dora"), log_in("dora", &dora.code_at(1))),
        (true, PamCode::SUCCESS)
    );
}

/// Whether a stack with `nullok` lets a user in without a code.
fn lets_by(daemon: &Daemon, user: &str) -> bool {
    let stack = Stack::expecting_ignore(daemon, "twins-nullok", "nullok retry=1");
    stack.login(user, &["1"]).code == PamCode::SUCCESS
}

fn is_unknown(daemon: &Daemon, method: &str, about: &Value) {
    assert_eq!(
        daemon.call(method, about).expect_err("no record").0,
        "NoSuchUser",
        "{method}"
    );
}

#[test]
fn a_record_that_is_older_than_its_account_is_bound_to_it_with_the_first_accepted_code() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let frida = daemon.enroll("frida");
    make_account("frida", "4781");
    make_account("Frida", "4782");
    let show = || daemon.call("Show", &json!({ "user": "Frida" }));
    assert!(show().is_ok(), "so far it may be either's");
    assert_eq!(
        Stack::of(&daemon, "bound", "retry=1")
            .login("frida", &[&frida.code()])
            .code,
        PamCode::SUCCESS
    );
    assert_eq!(show().expect_err("it is frida's").0, "NoSuchUser");
}

#[test]
fn a_record_that_cannot_be_read_may_be_the_accounts_and_is_forgotten_by_its_own_name_alone() {
    let _place = world::enter_alone();
    let mut daemon = Daemon::start();
    make_account("emil", "4761");
    make_account("Emil", "4762");
    daemon.enroll("emil");
    edit(&mut daemon, |db| {
        change(db, "emil", |record| record.truncate(20))
    });
    let stack = Stack::expecting_ignore(&daemon, "unread", "nullok retry=1");
    assert_eq!(
        stack.login("Emil", &["123456"]).code,
        PamCode::AUTH_ERR,
        "it may be Emil's"
    );
    assert_eq!(
        daemon
            .call("Forget", &json!({ "user": "Emil" }))
            .expect_err("a refusal")
            .0,
        "RecordDamaged"
    );
    daemon
        .call("Forget", &json!({ "user": "emil" }))
        .expect("its own name");
    assert_eq!(stack.login("Emil", &["123456"]).code, PamCode::SUCCESS);
}

/// What the lower-case form does not cover: root names the record as it is called.
#[test]
fn root_reaches_a_record_by_its_name_where_the_account_has_none_or_is_gone() {
    let _place = world::enter_alone();
    let mut daemon = with_odd_names(Setup::new()).start();
    // No accounts: each name stands for itself.
    let zoe = daemon.enroll("odd-Zoe");
    daemon.enroll("Gone");
    daemon.kill();
    make_account("zoe", "4771");
    daemon.start_again();
    daemon.totpctl_json(&["rename-user", "odd-Zoe", "zoe"], "");
    assert_eq!(
        Stack::of(&daemon, "respelt", "")
            .login("odd-Zoe", &[&zoe.code()])
            .code,
        PamCode::SUCCESS
    );
    assert_eq!(
        daemon
            .call("Forget", &json!({ "user": "gone" }))
            .expect_err("another name")
            .0,
        "NoSuchUser"
    );
    daemon.totpctl_json(&["forget", "Gone", "--yes"], "");
}

fn make_account(name: &str, uid: &str) {
    let arguments = [
        "--badname",
        "--no-create-home",
        "--no-user-group",
        "--password",
        "*",
        "--uid",
        uid,
        name,
    ];
    world::run("useradd", &arguments);
}

/// The daemon caches resolved accounts for a while; a new one asks the name service.
fn respell(daemon: &mut Daemon, old: &str, new: &str) {
    world::run("usermod", &["--badname", "--login", new, old]);
    daemon.kill();
    daemon.start_again();
}

fn daemon() -> Daemon {
    with_odd_names(Setup::new()).start()
}
