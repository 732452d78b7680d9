//! What happens between the daemon and its store, which is in the test's hand: it stops while a
//! change becomes durable, does not say what became of it, or counts what is read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

use common::names::user::UserName;
use common::secret::Key;
use common::totp::Parameters;
use provisiond::store::sled::SledStore;
use provisiond::store::{
    Health, Incomplete, Measures, Outcome, Store, Stored, Unavailable, Version,
};
use serde_json::{Value, json};

use crate::machine::Machine;

#[test]
fn a_grace_that_is_ended_while_its_login_becomes_durable_does_not_begin() {
    let next = Next::default();
    let alice = Alice::new(&next);
    let durable = Arc::new(Barrier::new(2));
    next.is(Meanwhile::StopAt(Arc::clone(&durable)));
    std::thread::scope(|scope| {
        let login = scope.spawn(|| alice.logs_in());
        durable.wait();
        alice.call("RevokeGrace", json!({})).unwrap();
        durable.wait();
        login.join().unwrap();
    });
    assert_eq!(alice.is_asked_for(), "one_code");
    alice.machine.change_clocks(|clocks| {
        (clocks.wall, clocks.running) = (clocks.wall + 30, clocks.running + 30)
    });
    alice.logs_in();
    assert_eq!(alice.is_asked_for(), "nothing", "the next login's does");
}

#[test]
fn a_grace_ends_with_a_change_of_which_the_store_did_not_say_in_time_whether_it_is_durable() {
    let changes: [(&str, Value); 6] = [
        ("SetState", json!({ "state": "disabled" })),
        ("SetState", json!({ "state": "disabled", "all": true })),
        ("Revoke", json!({})),
        ("Forget", json!({})),
        ("RenameUser", json!({ "new": "carol" })),
        ("NewRecoveryCodes", json!({})),
    ];
    for (method, wish) in changes {
        let next = Next::default();
        let alice = Alice::new(&next);
        alice.logs_in();
        assert_eq!(alice.is_asked_for(), "nothing");
        next.is(Meanwhile::SayNothing);
        assert_eq!(
            alice.call(method, wish).unwrap_err(),
            "StoreUnavailable",
            "{method}"
        );
        assert_eq!(alice.is_asked_for(), "one_code", "{method}");
    }
}

#[test]
fn a_code_that_the_store_is_too_slow_for_is_not_called_wrong_whoever_is_behind_the_name() {
    let next = Next::default();
    let alice = Alice::new(&next);
    let guess = |user| json!({ "user": user, "service": "sshd", "codes": ["000000"] });
    alice
        .machine
        .call(1, "Verify", &guess("no-account"))
        .unwrap();
    for user in ["alice", "no-account"] {
        next.is(Meanwhile::SayNothing);
        let told = alice.machine.call(1, "Verify", &guess(user)).unwrap();
        assert_eq!(told["verdict"], "busy", "{user}: {told}");
    }
}

#[test]
fn a_challenge_reads_as_many_records_for_every_name() {
    let next = Next::default();
    let alice = Alice::new(&next);
    let call = |method: &str, wish: Value| alice.machine.call(1, method, &wish).unwrap();
    for user in ["disabled", "pending"] {
        call(
            "Enroll",
            json!({ "user": user, "active": user == "disabled" }),
        );
    }
    call(
        "SetState",
        json!({ "user": "disabled", "state": "disabled" }),
    );
    let read = |user: &str| {
        let before = next.loads.load(Ordering::SeqCst);
        call("Challenge", json!({ "user": user, "service": "sshd" }));
        next.loads.load(Ordering::SeqCst) - before
    };
    let users = ["alice", "disabled", "pending", "no-account"];
    let first = users.map(read);
    let guess = |user| json!({ "user": user, "service": "sshd", "codes": ["000000"] });
    for user in users {
        call("Verify", guess(user));
    }
    assert_eq!(
        [first, users.map(read)].as_flattened(),
        [2; 8],
        "the name's own record and its decoy's, made or not"
    );
}

/// A user with a device, where an accepted code counts for a while (grace).
struct Alice {
    machine: Machine,
    key: Key,
}

impl Alice {
    fn new(next: &Next) -> Self {
        let next = next.clone();
        let around = move |store| {
            Box::new(Handled {
                store,
                next: next.clone(),
            }) as Box<dyn Store>
        };
        let grace = "grace: {same-source: {for: 1h, services: [sshd]}}\n";
        let machine = Machine::start_with(1_800_000_000, grace, Box::new(around));
        let told = machine
            .call(1, "Enroll", &json!({ "user": "alice", "active": true }))
            .unwrap();
        let key = Key::from_base32(told["key"].as_str().unwrap()).unwrap();
        Self { machine, key }
    }

    fn logs_in(&self) {
        let usual = Parameters::default();
        let code = usual
            .code_at(&self.key, usual.step_at(self.machine.clocks().wall))
            .to_string();
        let told = self
            .call(
                "Verify",
                json!({ "codes": [code], "service": "sshd", "rhost": HOME }),
            )
            .unwrap();
        assert_eq!(told["verdict"], "accepted");
    }

    fn is_asked_for(&self) -> Value {
        self.call("Challenge", json!({ "service": "sshd", "rhost": HOME }))
            .unwrap()["ask"]
            .clone()
    }

    fn call(&self, method: &str, mut parameters: Value) -> Result<Value, String> {
        parameters["user"] = json!("alice");
        self.machine.call(1, method, &parameters)
    }
}

/// What the store does when the next change is to become durable. Then it is as always.
#[derive(Clone, Default)]
struct Next {
    change: Arc<Mutex<Option<Meanwhile>>>,
    /// How many records were read.
    loads: Arc<AtomicUsize>,
}

enum Meanwhile {
    /// It becomes durable, and the call that waits for it goes on when a second party has come to
    /// the barrier twice.
    StopAt(Arc<Barrier>),
    /// The store does not report whether it does.
    SayNothing,
}

impl Next {
    fn is(&self, meanwhile: Meanwhile) {
        *self.change.lock().unwrap() = Some(meanwhile);
    }
}

struct Handled {
    store: SledStore,
    next: Next,
}

impl Handled {
    fn change(
        &self,
        change: impl FnOnce(&SledStore) -> Result<Outcome, Unavailable>,
    ) -> Result<Outcome, Unavailable> {
        let next = self.next.change.lock().unwrap().take();
        match next {
            None => change(&self.store),
            Some(Meanwhile::SayNothing) => Ok(Outcome::Unknown),
            Some(Meanwhile::StopAt(barrier)) => {
                let outcome = change(&self.store);
                barrier.wait();
                barrier.wait();
                outcome
            }
        }
    }
}

impl Store for Handled {
    fn load(&self, user: &UserName) -> Result<Option<Stored>, Unavailable> {
        self.next.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load(user)
    }

    fn insert_new(
        &self,
        user: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.change(|store| store.insert_new(user, record, deadline))
    }

    fn replace(
        &self,
        user: &UserName,
        expected: Version,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.change(|store| store.replace(user, expected, record, deadline))
    }

    fn remove(
        &self,
        user: &UserName,
        expected: Version,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.change(|store| store.remove(user, expected, deadline))
    }

    fn rename(
        &self,
        user: &UserName,
        expected: Version,
        to: &UserName,
        record: Vec<u8>,
        deadline: Instant,
    ) -> Result<Outcome, Unavailable> {
        self.change(|store| store.rename(user, expected, to, record, deadline))
    }

    fn list(
        &self,
        after: Option<&UserName>,
        limit: usize,
    ) -> Result<Vec<(UserName, Stored)>, Unavailable> {
        self.store.list(after, limit)
    }

    fn health(&self) -> Result<Health, Unavailable> {
        self.store.health()
    }

    fn measures(&self) -> Measures {
        self.store.measures()
    }

    fn rolled_back_tick(&self) -> Option<u64> {
        self.store.rolled_back_tick()
    }

    fn incomplete(&self) -> Option<Incomplete> {
        self.store.incomplete()
    }

    fn keep_mark(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        self.store.keep_mark(deadline)
    }

    fn accept_loss(&self, deadline: Instant) -> Result<Outcome, Unavailable> {
        self.store.accept_loss(deadline)
    }

    fn will_delete(&self) {
        self.store.will_delete();
    }

    fn close(&self) {
        self.store.close();
    }
}

const HOME: &str = "192.0.2.1";
