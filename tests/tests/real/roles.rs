//! The permissions of each role, with the credentials of real processes.

mod table;

use std::sync::OnceLock;

use serde_json::{Value, json};
use tests::connection::{ask, open};
use tests::daemon::{Daemon, Setup};
use tests::stranger::connect_as;
use tests::wire::{Caller, exchange, parse, request_more};
use tests::world;

#[test]
fn nobody_but_root_comes_near_the_login_socket() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    for caller in callers()
        .into_iter()
        .filter(|caller| caller.role != Role::Root)
    {
        let answer = tests::wire::call_as(
            &caller.credentials,
            &daemon.login_socket(),
            "Show",
            &json!({}),
        );
        assert_eq!(answer.unwrap_err().0, "connect", "{}", caller.name);
    }
}

#[test]
fn the_groups_that_a_process_says_it_has_make_nobody_an_admin() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let admins = nix::unistd::Group::from_name(admins())
        .expect("the group database")
        .expect("a group")
        .gid
        .as_raw();
    for (gid, groups) in [(admins, vec![]), (1, vec![admins]), (0, vec![0, admins])] {
        let bob = Caller {
            gid,
            groups,
            ..Caller::user("bob")
        };
        assert_eq!(
            refusal(daemon.call_as(&bob, "Status", &json!({}))),
            "PermissionDenied",
            "{bob:?}"
        );
    }
    let bare = Caller {
        groups: Vec::new(),
        ..Caller::user("carol")
    };
    assert!(
        daemon.call_as(&bare, "Status", &json!({})).is_ok(),
        "it is the account that is a member"
    );
}

#[test]
fn without_an_admin_group_nobody_is_an_admin() {
    let _place = world::enter();
    admins();
    for setup in [
        Setup::new(),
        Setup::new().with("  admin-group: no-such-group\n"),
    ] {
        let daemon = setup.start();
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("carol"), "Status", &json!({}))),
            "PermissionDenied"
        );
    }
}

#[test]
fn who_is_an_admin_no_longer_is_none_on_an_open_connection_either() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let carol = connect_as(Caller::user("carol").uid, &daemon.open_socket());
    assert!(ask(&carol, "Status", &json!({})).is_ok());
    let settings = daemon.setup.folder.join("settings.yaml");
    world::write_for_daemon(
        &settings,
        &daemon.setup.settings.replace(admins(), "no-such-group"),
    );
    daemon.call("Reload", &json!({})).expect("good settings");
    assert_eq!(
        refusal(ask(
            &connect_as(Caller::user("carol").uid, &daemon.open_socket()),
            "Status",
            &json!({})
        )),
        DENIED
    );
    assert_eq!(
        refusal(ask(&carol, "Status", &json!({}))),
        DENIED,
        "on the connection from before"
    );
}

#[test]
fn a_connection_belongs_to_who_opened_it_not_to_who_uses_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let bob = connect_as(Caller::user("bob").uid, &daemon.open_socket());
    // This process is root, the connection is bob's.
    assert_eq!(
        refusal(ask(&bob, "Show", &json!({ "user": "alice" }))),
        DENIED
    );
    daemon.log.wait_for(&[
        "event=not_permitted",
        " method=Show ",
        " user=alice ",
        &uid_of("bob"),
    ]);
}

#[test]
fn only_root_and_the_user_are_told_who_is_enrolled() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    daemon.enroll("bob");
    for (user, enrolled) in [("alice", false), ("bob", true), ("carol", false)] {
        let challenge = json!({ "user": user, "service": "table" });
        for caller in callers() {
            let told = daemon.call_as(&caller.credentials, "Challenge", &challenge);
            let is_own = caller.account == Some(user);
            let expected = match caller.role {
                Role::Root => json!(enrolled),
                _ if is_own => json!(enrolled),
                Role::Admin => Value::Null,
                Role::Verifier if user == "bob" => Value::Null,
                _ => {
                    assert_eq!(refusal(told), DENIED, "{} of {user}", caller.name);
                    continue;
                }
            };
            let told = told.expect("a challenge");
            assert_eq!(told["enrolled"], expected, "{} of {user}", caller.name);
            assert_eq!(told["ask"], "one_code", "{} of {user}", caller.name);
            let digits = told["digits"].is_null();
            assert_eq!(digits, caller.role != Role::Root, "{}", caller.name);
        }
    }
}

#[test]
fn the_helpdesk_helps_nobody_who_has_as_much_to_say_as_it() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    for user in ["root", "carol", "dave", "alice"] {
        daemon.enroll(user);
    }
    let before = everything(&daemon);
    let protected = ["root", "carol", "dave"].map(|user| (user, "protected_account"));
    for (user, reason) in protected
        .into_iter()
        .chain([("no-account", "no_such_account")])
    {
        for method in ["Bypass", "Ticket", "Unlock"] {
            let told = daemon.call_as(&Caller::user("dave"), method, &json!({ "user": user }));
            assert_eq!(refusal(told), DENIED, "{method} {user}");
            let line = [
                &format!(" method={method} user={user} "),
                "event=not_permitted",
                &uid_of("dave"),
                reason,
            ];
            daemon.log.wait_for(&line);
        }
    }
    assert_eq!(everything(&daemon), before);
    daemon
        .call_as(&Caller::user("dave"), "Bypass", &json!({ "user": "alice" }))
        .expect("a bypass");
    daemon.log.wait_for(&[
        "event=bypass user=alice ",
        " role=helpdesk ",
        uid_of("dave").trim_end(),
    ]);
}

#[test]
fn where_a_login_comes_from_is_believed_of_root_alone() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let attempt = json!({ "user": "alice", "codes": [""], "service": "mine", "rhost": "192.0.2.99", "tty": "pts/99" });
    daemon
        .call_as(&Caller::user("alice"), "Verify", &attempt)
        .expect("a verdict");
    let line = daemon.audited("alice", "malformed");
    assert!(
        line.contains(" role=self ") && !line.contains("192.0.2.99") && !line.contains("pts/99"),
        "{line}"
    );
}

/// A caller at the open socket, and the role that it must have.
struct KnownCaller {
    name: &'static str,
    credentials: Caller,
    /// Whose record is their own.
    account: Option<&'static str>,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Root,
    Admin,
    Helpdesk,
    Verifier,
    Own,
    None,
}

/// All callers. Bob's record is another user's to all of them but bob.
fn callers() -> [KnownCaller; 9] {
    let named = |name: &'static str, role| KnownCaller {
        name,
        credentials: Caller::user(name),
        account: Some(name),
        role,
    };
    let number = |name, uid| KnownCaller {
        name,
        credentials: Caller::number(uid),
        account: None,
        role: Role::None,
    };
    [
        named("root", Role::Root),
        named("carol", Role::Admin),
        named("dave", Role::Helpdesk),
        named("vera", Role::Verifier),
        named("alice", Role::Own),
        named("bob", Role::Own),
        named(world::DAEMON, Role::Own),
        KnownCaller {
            role: Role::None,
            ..named("nobody", Role::None)
        },
        number("a uid without an account", 4_123_456),
    ]
}

/// All that a call could have changed: every user, and how often the daemon has written to the
/// store.
pub(crate) fn everything(daemon: &Daemon) -> Value {
    let generation = daemon.call("Status", &json!({})).expect("a status")["generation"].clone();
    let told = exchange(open(&daemon.login_socket()), &list_call());
    let users: Vec<Value> = told
        .split(|byte| *byte == 0)
        .filter(|r| !r.is_empty())
        .map(|r| parse(r).unwrap())
        .collect();
    assert!(!users.is_empty());
    json!({ "generation": generation, "users": users })
}

/// A call that wants several replies.
pub(crate) fn list_call() -> Vec<u8> {
    request_more("List", &json!({}))
}

/// The error, which must have come.
pub(crate) fn refusal(answer: Result<Value, (String, Value)>) -> String {
    match answer {
        Err((error, _)) => error,
        Ok(reply) => panic!("not refused: {reply}"),
    }
}

/// The parameters and one more.
pub(crate) fn and(parameters: &Value, field: &str, value: &Value) -> Value {
    let mut parameters = parameters.clone();
    parameters[field] = value.clone();
    parameters
}

/// As an audit line writes it.
pub(crate) fn uid_of(user: &str) -> String {
    format!(" uid={} ", world::user(user).uid)
}

/// A daemon whose administrators are carol, whose helpdesk is dave, and that lets vera ask for bob.
pub(crate) fn daemon_with_admins() -> Daemon {
    with_roles(Setup::new()).start()
}

/// Those settings, and one last line about the verifier may be added.
pub(crate) fn with_roles(setup: Setup) -> Setup {
    let groups = format!("  admin-group: {}\n  helpdesk-group: totp-help\n", admins());
    let verifier = "  verifiers:\n    vpn:\n      user: vera\n      services: [table, tunnel]\n      users-group: totp-users\n";
    setup.with(&groups).with(verifier)
}

/// The administrators' group; the others are made with it. Two programs cannot change the account
/// database at once.
fn admins() -> &'static str {
    static GROUPS: OnceLock<()> = OnceLock::new();
    GROUPS.get_or_init(|| {
        world::group("totp-admins", &["carol"]);
        world::group("totp-help", &["dave"]);
        world::group("totp-users", &["bob", "carol", "dave", "root", "vera"]);
    });
    "totp-admins"
}

pub(crate) const DENIED: &str = "PermissionDenied";
