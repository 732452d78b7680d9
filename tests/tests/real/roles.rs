//! Who may do what: the table of the interface file, cell by cell, with the credentials of real processes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tests::connection::{ask, open};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::oathtool::Authenticator;
use tests::stranger::connect_as;
use tests::wire::{Who, exchange, parse, request_more};
use tests::world;

#[test]
fn every_cell_of_the_table_is_as_the_interface_file_documents_it() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let table = documented();
    assert!(table.len() >= 10, "{table:?}");
    let mut furnished = BTreeMap::new();
    for caller in callers() {
        for (method, cell) in &table {
            for subject in subjects(&caller, method) {
                let user = subject.user.unwrap_or("bob");
                let devices = furnished.entry(user).or_insert_with(|| furnish(&daemon, user)).clone();
                let case = format!("{} as {} on {:?}", method, caller.name, subject);
                let play =
                    Play { daemon: &daemon, caller: &caller, method, subject: &subject, devices: &devices, case };
                match cell.permission(&caller, &subject) {
                    Permission::Yes => play.is_done(false),
                    Permission::WithProof => play.is_done(true),
                    Permission::No => play.is_refused(),
                }
                if cell.permission(&caller, &subject) != Permission::No {
                    furnished.remove(user);
                }
            }
        }
    }
}

#[test]
fn nobody_but_root_comes_near_the_login_socket() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    for caller in callers().into_iter().filter(|caller| caller.role != Role::Root) {
        let answer = tests::wire::call_as(&caller.who, &daemon.login_socket(), "Show", &json!({}));
        assert_eq!(answer.unwrap_err().0, "connect", "{}", caller.name);
    }
}

#[test]
fn the_groups_that_a_process_says_it_has_make_nobody_an_admin() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let admins = nix::unistd::Group::from_name(admins()).expect("the group database").expect("a group").gid.as_raw();
    for (gid, groups) in [(admins, vec![]), (1, vec![admins]), (0, vec![0, admins])] {
        let bob = Who { gid, groups, ..Who::user("bob") };
        assert_eq!(refusal(daemon.call_as(&bob, "Status", &json!({}))), "PermissionDenied", "{bob:?}");
    }
    let bare = Who { groups: Vec::new(), ..Who::user("carol") };
    assert!(daemon.call_as(&bare, "Status", &json!({})).is_ok(), "it is the account that is a member");
}

#[test]
fn without_an_admin_group_nobody_is_an_admin() {
    let _place = world::enter();
    admins();
    for setup in [Setup::new(), Setup::new().with("  admin-group: no-such-group\n")] {
        let daemon = setup.start();
        assert_eq!(refusal(daemon.call_as(&Who::user("carol"), "Status", &json!({}))), "PermissionDenied");
    }
}

#[test]
fn who_is_an_admin_no_longer_is_none_on_an_open_connection_either() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let carol = connect_as(Who::user("carol").uid, &daemon.open_socket());
    assert!(ask(&carol, "Status", &json!({})).is_ok());
    let settings = daemon.setup.folder.join("settings.yaml");
    world::write_for_daemon(&settings, &daemon.setup.settings.replace(admins(), "no-such-group"));
    daemon.call("Reload", &json!({})).expect("good settings");
    assert_eq!(refusal(ask(&connect_as(Who::user("carol").uid, &daemon.open_socket()), "Status", &json!({}))), DENIED);
    assert_eq!(refusal(ask(&carol, "Status", &json!({}))), DENIED, "on the connection from before");
}

#[test]
fn a_connection_belongs_to_who_opened_it_not_to_who_uses_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let bob = connect_as(Who::user("bob").uid, &daemon.open_socket());
    // This process is root, the connection is bob's.
    assert_eq!(refusal(ask(&bob, "Show", &json!({ "user": "alice" }))), DENIED);
    daemon.log.wait_for(&["event=not_permitted", " method=Show ", " user=alice ", &uid_of("bob")]);
}

#[test]
fn only_root_is_told_who_is_enrolled() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    daemon.enroll("alice");
    let challenge = |user: &str| json!({ "user": user, "service": "told" });
    let (admin, own) = (Who::user("carol"), Who::user("alice"));
    for (user, enrolled) in [("alice", true), ("bob", false)] {
        let told = daemon.call("Challenge", &challenge(user)).expect("a challenge");
        assert_eq!(told["enrolled"], enrolled, "{told}");
        let told = daemon.call_as(&admin, "Challenge", &challenge(user)).expect("a challenge");
        assert_eq!((&told["enrolled"], &told["ask"]), (&Value::Null, &json!("one_code")), "{told}");
    }
    assert_eq!(daemon.call_as(&own, "Challenge", &challenge("alice")).expect("a challenge")["enrolled"], Value::Null);
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
    for (user, reason) in protected.into_iter().chain([("no-account", "no_such_account")]) {
        for method in ["Bypass", "Ticket", "Unlock"] {
            let told = daemon.call_as(&Who::user("dave"), method, &json!({ "user": user }));
            assert_eq!(refusal(told), DENIED, "{method} {user}");
            let line = [&format!(" method={method} user={user} "), "event=not_permitted", &uid_of("dave"), reason];
            daemon.log.wait_for(&line);
        }
    }
    assert_eq!(everything(&daemon), before);
    daemon.call_as(&Who::user("dave"), "Bypass", &json!({ "user": "alice" })).expect("a bypass");
    daemon.log.wait_for(&["event=bypass user=alice ", " role=helpdesk ", uid_of("dave").trim_end()]);
}

#[test]
fn where_a_login_comes_from_is_believed_of_root_alone() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let attempt = json!({ "user": "alice", "codes": [""], "service": "mine", "rhost": "192.0.2.99", "tty": "pts/99" });
    daemon.call_as(&Who::user("alice"), "Verify", &attempt).expect("a verdict");
    let line = daemon.audited("alice", "malformed");
    assert!(line.contains(" role=self ") && !line.contains("192.0.2.99") && !line.contains("pts/99"), "{line}");
}

/// One cell of the table, played.
struct Play<'a> {
    daemon: &'a Daemon,
    caller: &'a Caller,
    method: &'a str,
    subject: &'a Subject,
    devices: &'a Devices,
    case: String,
}

impl Play<'_> {
    fn is_done(&self, with_proof: bool) {
        if with_proof {
            let before = everything(self.daemon);
            assert_eq!(refusal(self.call(None)), "ProofRequired", "{}", self.case);
            assert_eq!(everything(self.daemon), before, "{}", self.case);
        }
        let code = self.devices.main.code();
        match self.call(with_proof.then_some(&code)) {
            Ok(reply) if ["Verify", "Confirm"].contains(&self.method) => {
                assert_eq!(reply["verdict"], "accepted", "{}", self.case);
            }
            Ok(_) => {}
            // Everybody here is enrolled, and a ticket is for who never was.
            Err((error, _)) if self.method == "Ticket" => assert_eq!(error, "BadParameter", "{}", self.case),
            Err((error, _)) => {
                assert!(["List", "Events"].contains(&self.method) && error == "ExpectedMore", "{} {error}", self.case);
            }
        }
    }

    /// Even with right codes in it: it changes nothing, charges nothing, spends nothing, and is in the log once.
    fn is_refused(&self) {
        let before = everything(self.daemon);
        let uid = format!(" uid={} ", self.caller.who.uid);
        let mut audited = vec!["event=not_permitted ".to_owned(), format!(" method={} ", self.method), uid];
        audited.extend(self.subject.named.then_some(self.subject.user).flatten().map(|user| format!(" user={user} ")));
        let audited: Vec<&str> = audited.iter().map(String::as_str).collect();
        let known = self.daemon.log.with(&audited).len();
        assert_eq!(refusal(self.call(Some(&self.devices.main.code()))), DENIED, "{}", self.case);
        assert_eq!(self.daemon.log.wait_for_many(known + 1, &audited).len(), known + 1, "{}", self.case);
        assert_eq!(everything(self.daemon), before, "{}", self.case);
    }

    fn call(&self, proof: Option<&str>) -> Result<Value, (String, Value)> {
        let mut parameters = match self.method {
            "Challenge" => json!({ "service": "table" }),
            "Verify" => json!({ "service": "table", "codes": [self.devices.main.code()] }),
            "Enroll" => json!({ "device": "new" }),
            "Confirm" => json!({ "device": "waiting", "code": self.devices.waiting.code() }),
            "SetState" => json!({ "device": "spare", "state": "disabled" }),
            "Revoke" => json!({ "device": "spare" }),
            "RenameDevice" => json!({ "device": "spare", "name": "other" }),
            "Resync" => json!({ "device": "spare", "codes": [self.devices.main.code(), self.devices.main.code_at(1)] }),
            "RenameUser" => json!({ "new": "somebody-else" }),
            "Restrict" => json!({ "device": "spare", "services": ["sudo"] }),
            "Import" => json!({ "device": "new", "record": foreign_device() }),
            "NewRecoveryCodes" | "Bypass" | "Ticket" | "Unlock" => json!({}),
            "Forget" | "Export" | "Show" | "List" | "Events" | "Status" | "Reload" => json!({}),
            "ClockAccept" | "RevokeGrace" => json!({}),
            other => panic!("{other} has no call here: add one"),
        };
        if let (true, Some(user)) = (self.subject.named, self.subject.user) {
            parameters = and(&parameters, "user", &json!(user));
        }
        if let (Some(proof), "Enroll" | "SetState" | "Revoke" | "RenameDevice" | "Resync" | "NewRecoveryCodes") =
            (proof, self.method)
        {
            parameters = and(&parameters, "proof", &json!(proof));
        }
        self.daemon.call_as(&self.caller.who, self.method, &parameters)
    }
}

/// Somebody at the open socket.
struct Caller {
    name: &'static str,
    who: Who,
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

/// Everybody. Bob's record is somebody else's to all of them but himself.
fn callers() -> [Caller; 9] {
    let named = |name: &'static str, role| Caller { name, who: Who::user(name), account: Some(name), role };
    let number = |name, uid| Caller { name, who: Who::number(uid), account: None, role: Role::None };
    [
        named("root", Role::Root),
        named("carol", Role::Admin),
        named("dave", Role::Helpdesk),
        named("vera", Role::Verifier),
        named("alice", Role::Own),
        named("bob", Role::Own),
        named(world::DAEMON, Role::Own),
        Caller { role: Role::None, ..named("nobody", Role::None) },
        number("a uid without an account", 4_123_456),
    ]
}

/// Whom a call is about, and whether it says so.
#[derive(Debug)]
struct Subject {
    user: Option<&'static str>,
    named: bool,
}

fn subjects(caller: &Caller, method: &str) -> Vec<Subject> {
    if ["List", "Status", "Reload", "ClockAccept"].contains(&method) {
        return vec![Subject { user: None, named: false }];
    }
    let other = if caller.name == "bob" { "alice" } else { "bob" };
    let mut subjects = vec![Subject { user: Some(other), named: true }];
    if caller.account.is_some() {
        subjects.push(Subject { user: caller.account, named: true });
    }
    let always_named =
        ["Challenge", "Verify", "Bypass", "Ticket", "Unlock", "RenameUser", "Forget", "Import", "Export"];
    if !always_named.contains(&method) {
        subjects.push(Subject { user: caller.account, named: false });
    }
    subjects
}

/// What the interface file says of one method.
#[derive(Debug)]
struct Cell {
    roles: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Yes,
    WithProof,
    No,
}

impl Cell {
    fn permission(&self, caller: &Caller, subject: &Subject) -> Permission {
        let says = |role: &str| self.roles.iter().any(|said| said == role);
        let own = subject.user.is_none() || subject.user == caller.account;
        match caller.role {
            Role::Root if says("root") => Permission::Yes,
            Role::Admin if says("admin") => Permission::Yes,
            Role::Helpdesk if says("helpdesk") => Permission::Yes,
            // Whom we ask about besides themselves is one.
            Role::Helpdesk if !own && says("helpdesk for ordinary accounts") => Permission::Yes,
            // Bob is one of its users.
            Role::Verifier if !own && says("verifier") => Permission::Yes,
            Role::None => Permission::No,
            _ if own && says("self") => Permission::Yes,
            _ if own && says("self with proof") => Permission::WithProof,
            _ => Permission::No,
        }
    }
}

/// The table: the line `# Who: …` above each method.
fn documented() -> Vec<(String, Cell)> {
    let (mut table, mut roles) = (Vec::new(), Vec::new());
    for line in common::protocol::INTERFACE.lines() {
        if let Some(who) = line.strip_prefix("# Who: ") {
            roles = who.trim_end_matches('.').split([',', ';']).map(|role| role.trim().to_owned()).collect();
        } else if let Some(method) = line.strip_prefix("method ") {
            let name = method.split('(').next().expect("a name").to_owned();
            table.push((name, Cell { roles: std::mem::take(&mut roles) }));
        }
    }
    assert!(table.iter().all(|(_, cell)| !cell.roles.is_empty()), "a method of which nothing is said: {table:?}");
    table
}

/// A user's devices: two active ones and one that waits for its first code.
#[derive(Clone)]
struct Devices {
    main: Authenticator,
    waiting: Authenticator,
}

fn furnish(daemon: &Daemon, user: &str) -> Devices {
    let _ = daemon.call("Forget", &json!({ "user": "somebody-else" }));
    for device in ["main", "spare", "other", "waiting", "new"] {
        let _ = daemon.call("Revoke", &json!({ "user": user, "device": device }));
    }
    let enroll = |device: &str, active: bool| {
        let told = daemon.call("Enroll", &json!({ "user": user, "device": device, "active": active }));
        authenticator(&told.expect("a device"))
    };
    let main = enroll("main", true);
    enroll("spare", true);
    Devices { main, waiting: enroll("waiting", false) }
}

/// All that anybody could have changed: every user, and how often anything was stored.
pub(crate) fn everything(daemon: &Daemon) -> Value {
    let generation = daemon.call("Status", &json!({})).expect("a status")["generation"].clone();
    let told = exchange(open(&daemon.login_socket()), &list_call());
    let users: Vec<Value> =
        told.split(|byte| *byte == 0).filter(|r| !r.is_empty()).map(|r| parse(r).unwrap()).collect();
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

/// A device of another program, another one each time.
fn foreign_device() -> String {
    let number: String = format!("{:08}", world::next_number()).bytes().map(|b| char::from(b + b'A' - b'0')).collect();
    format!("otpauth://totp/elsewhere?secret={}", number.repeat(4))
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
    let verifier =
        "  verifiers:\n    vpn:\n      user: vera\n      services: [table, tunnel]\n      users-group: totp-users\n";
    setup.with(&groups).with(verifier)
}

/// The administrators' group; the others are made with it. Two programs cannot change the account database at once.
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
