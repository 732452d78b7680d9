//! The table of the interface file, cell by cell.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::daemon::{Daemon, authenticator};
use tests::oathtool::Authenticator;
use tests::world;

use super::{DENIED, KnownCaller, Role, and, callers, daemon_with_admins, everything, refusal};

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
                let devices = furnished
                    .entry(user)
                    .or_insert_with(|| furnish(&daemon, user))
                    .clone();
                let case = format!("{} as {} on {:?}", method, caller.name, subject);
                let play = Play {
                    daemon: &daemon,
                    caller: &caller,
                    method,
                    subject: &subject,
                    devices: &devices,
                    case,
                };
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

/// One cell of the table, played.
struct Play<'a> {
    daemon: &'a Daemon,
    caller: &'a KnownCaller,
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
            // All users here are enrolled, and a ticket is for a user that never was.
            Err((error, _)) if self.method == "Ticket" => {
                assert_eq!(error, "BadParameter", "{}", self.case)
            }
            Err((error, _)) => {
                assert!(
                    ["List", "Events", "Rotate"].contains(&self.method) && error == "ExpectedMore",
                    "{} {error}",
                    self.case
                );
            }
        }
    }

    /// Even with right codes in it: it changes nothing, charges nothing, spends nothing, and is in
    /// the log once, as far as the caller's uid is told one by one.
    fn is_refused(&self) {
        let before = everything(self.daemon);
        let uid = format!(" uid={} ", self.caller.credentials.uid);
        let mut audited = vec![
            "event=not_permitted ".to_owned(),
            format!(" method={} ", self.method),
            uid,
        ];
        audited.extend(
            self.subject
                .named
                .then_some(self.subject.user)
                .flatten()
                .map(|user| format!(" user={user} ")),
        );
        let audited: Vec<&str> = audited.iter().map(String::as_str).collect();
        let known = self.daemon.logged(&audited).len();
        let told = self
            .daemon
            .logged(&audited[..1])
            .iter()
            .filter(|line| line.contains(audited[2]))
            .count();
        assert_eq!(
            refusal(self.call(Some(&self.devices.main.code()))),
            DENIED,
            "{}",
            self.case
        );
        if told < TOLD_ONE_BY_ONE {
            assert_eq!(
                self.daemon.log.wait_for_many(known + 1, &audited).len(),
                known + 1,
                "{}",
                self.case
            );
        }
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
            "Resync" => {
                json!({ "device": "spare", "codes": [self.devices.main.code(), self.devices.main.code_at(1)] })
            }
            "RenameUser" => json!({ "new": "somebody-else" }),
            "Restrict" => json!({ "device": "spare", "services": ["sudo"] }),
            "Import" => json!({ "device": "new", "record": foreign_device() }),
            "NewRecoveryCodes" | "Bypass" | "Ticket" | "Unlock" => json!({}),
            "Forget" | "Export" | "Show" | "List" | "Events" | "Status" | "Metrics" => json!({}),
            "Reload" | "ClockAccept" | "StoreAcceptLoss" | "RevokeGrace" | "Rotate" => json!({}),
            "OfflineCopy" => json!({ "service": "table" }),
            other => panic!("{other} has no call here: add one"),
        };
        if let (true, Some(user)) = (self.subject.named, self.subject.user) {
            parameters = and(&parameters, "user", &json!(user));
        }
        if let (
            Some(proof),
            "Enroll" | "SetState" | "Revoke" | "RenameDevice" | "Resync" | "NewRecoveryCodes",
        ) = (proof, self.method)
        {
            parameters = and(&parameters, "proof", &json!(proof));
        }
        self.daemon
            .call_as(&self.caller.credentials, self.method, &parameters)
    }
}

/// Methods that are about no user.
const OF_NO_USER: [&str; 7] = [
    "List",
    "Status",
    "Metrics",
    "Reload",
    "ClockAccept",
    "StoreAcceptLoss",
    "Rotate",
];

/// The user that a call is about, and whether the call names them.
#[derive(Debug)]
struct Subject {
    user: Option<&'static str>,
    named: bool,
}

fn subjects(caller: &KnownCaller, method: &str) -> Vec<Subject> {
    if OF_NO_USER.contains(&method) {
        return vec![Subject {
            user: None,
            named: false,
        }];
    }
    let other = if caller.name == "bob" { "alice" } else { "bob" };
    let mut subjects = vec![Subject {
        user: Some(other),
        named: true,
    }];
    if caller.account.is_some() {
        subjects.push(Subject {
            user: caller.account,
            named: true,
        });
    }
    let always_named = [
        "Challenge",
        "Verify",
        "OfflineCopy",
        "Bypass",
        "Ticket",
        "Unlock",
        "RenameUser",
        "Forget",
        "Import",
        "Export",
    ];
    if !always_named.contains(&method) {
        subjects.push(Subject {
            user: caller.account,
            named: false,
        });
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
    fn permission(&self, caller: &KnownCaller, subject: &Subject) -> Permission {
        let says = |role: &str| self.roles.iter().any(|said| said == role);
        let own = subject.user.is_none() || subject.user == caller.account;
        match caller.role {
            Role::Root if says("root") => Permission::Yes,
            Role::Admin if says("admin") => Permission::Yes,
            Role::Helpdesk if says("helpdesk") => Permission::Yes,
            // The other user that the calls are about has an ordinary account.
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

/// The table: the line `# Roles: …` above each method.
fn documented() -> Vec<(String, Cell)> {
    let (mut table, mut roles) = (Vec::new(), Vec::new());
    for line in common::wire::protocol::INTERFACE.lines() {
        if let Some(list) = line.strip_prefix("# Roles: ") {
            roles = list
                .trim_end_matches('.')
                .split([',', ';'])
                .map(|role| role.trim().to_owned())
                .collect();
        } else if let Some(method) = line.strip_prefix("method ") {
            let name = method.split('(').next().expect("a name").to_owned();
            table.push((
                name,
                Cell {
                    roles: std::mem::take(&mut roles),
                },
            ));
        }
    }
    assert!(
        table.iter().all(|(_, cell)| !cell.roles.is_empty()),
        "a method of which nothing is said: {table:?}"
    );
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
        let told = daemon.call(
            "Enroll",
            &json!({ "user": user, "device": device, "active": active }),
        );
        authenticator(&told.expect("a device"))
    };
    let main = enroll("main", true);
    enroll("spare", true);
    Devices {
        main,
        waiting: enroll("waiting", false),
    }
}

/// A device of another program, another one each time.
fn foreign_device() -> String {
    let number: String = format!("{:08}", world::next_number())
        .bytes()
        .map(|b| char::from(b + b'A' - b'0'))
        .collect();
    format!("otpauth://totp/elsewhere?secret={}", number.repeat(4))
}

/// Calls of one uid that are not permitted and that the log tells one by one, in a minute.
const TOLD_ONE_BY_ONE: usize = 10;
