//! Etcd that was put back from an older state: found at the start and while the store is served, once
//! for the whole fleet, and users may be missing until an administrator says otherwise.

use etcd_client::Client;

use super::*;
use crate::clock::tests::Hands;

/// A cluster of one, and its data of before `since` was stored.
struct PutBack {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl PutBack {
    /// Keeps the present data.
    fn keep(&mut self) {
        self.cluster.kill(0);
        self.cluster.copy_data(0, &self.folder.path().join("kept"));
        self.cluster.start(0);
    }

    fn put_back(&mut self) {
        self.cluster.kill(0);
        self.cluster
            .put_data_back(0, &self.folder.path().join("kept"));
        self.cluster.start(0);
    }
}

fn to_be_put_back() -> PutBack {
    PutBack {
        cluster: Cluster::of(1),
        folder: tempfile::tempdir().unwrap(),
    }
}

fn machine(fleet: &PutBack) -> Machine {
    Machine::below(&fleet.cluster, "/p/")
}

#[test]
fn a_store_that_was_put_back_is_in_doubt_once_for_the_whole_fleet() {
    let mut fleet = to_be_put_back();
    let (one, other) = (machine(&fleet), machine(&fleet));
    let hands = Hands::new();
    let store = one.open_with(hands.clock()).unwrap();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    drop((store, other.open_with(hands.clock()).unwrap()));
    fleet.keep();
    let store = one.open_with(hands.clock()).unwrap();
    _ = done(store.insert_new(&user("bob"), b"one".to_vec(), soon()));
    drop(store);
    fleet.put_back();
    hands.pass(60, 60);
    let clock = hands.clock();
    let store = one.open_with(Arc::clone(&clock)).unwrap();
    let found = store.rolled_back_tick();
    assert_eq!(
        clock.moment(found).doubts.rolled_back,
        Some(hands.now()),
        "codes of before are in doubt"
    );
    assert!(
        found.is_some() && store.incomplete().is_some(),
        "bob is missing"
    );
    drop(store);
    hands.pass(60, 60);
    let clock = hands.clock();
    let store = other.open_with(Arc::clone(&clock)).unwrap();
    assert_eq!(store.rolled_back_tick(), found, "it is found once");
    assert_eq!(
        clock.moment(found).doubts.rolled_back,
        Some(hands.now()),
        "on every machine"
    );
    drop(store);
    let store = one.open_with(hands.clock()).unwrap();
    assert_eq!(store.rolled_back_tick(), found);
}

#[test]
fn a_loss_that_is_accepted_on_one_machine_is_accepted_on_all() {
    let mut fleet = to_be_put_back();
    let (one, other) = (machine(&fleet), machine(&fleet));
    drop(other.open());
    fleet.keep();
    let store = one.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    drop(store);
    fleet.put_back();
    let (store, late) = (one.open(), other.open());
    assert!(store.incomplete().is_some() && late.incomplete().is_some());
    _ = done(store.accept_loss(soon()));
    assert_eq!(store.incomplete(), None);
    let fenced = late.insert_new(&user("bob"), b"one".to_vec(), soon());
    assert_eq!(fenced, Err(Unavailable), "decided without knowing of it");
    assert_eq!(late.incomplete(), None);
    _ = done(late.insert_new(&user("bob"), b"one".to_vec(), soon()));
}

#[test]
fn a_machine_that_found_no_roll_back_writes_nothing_before_it_heard_of_the_one_that_another_found()
{
    let mut fleet = to_be_put_back();
    let (one, other) = (machine(&fleet), machine(&fleet));
    let late_clock = Clock::of_this_machine(|_| ());
    let store = one.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    drop(store);
    fleet.keep();
    let store = one.open();
    _ = done(store.insert_new(&user("bob"), b"one".to_vec(), soon()));
    drop(store);
    fleet.put_back();
    // A new machine does not know how far the store had come.
    let late = other.open_with(Arc::clone(&late_clock)).unwrap();
    assert_eq!(late.rolled_back_tick(), None);
    let store = one.open();
    let version = store.load(&user("alice")).unwrap().unwrap().version;
    let fenced = late.replace(&user("alice"), version, b"two".to_vec(), soon());
    assert_eq!(fenced, Err(Unavailable));
    assert_eq!(late.rolled_back_tick(), store.rolled_back_tick());
    assert!(late_clock.moment(None).doubts.rolled_back.is_some());
    assert_eq!(loaded(&late, "alice"), Some(b"one".to_vec()));
    _ = done(late.replace(&user("alice"), version, b"two".to_vec(), soon()));
}

#[test]
fn a_snapshot_that_is_restored_as_a_new_cluster_is_a_roll_back() {
    let mut fleet = to_be_put_back();
    let machine = machine(&fleet);
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    drop(store);
    let snapshot = fleet.folder.path().join("snapshot");
    fleet
        .cluster
        .etcdctl(&format!("etcdctl snapshot save {}", snapshot.display()));
    fleet.cluster.kill(0);
    fleet.cluster.restore(&snapshot);
    fleet.cluster.start(0);
    for _ in 0..9 {
        // Another program raises the revision, so that it does not tell.
        let put = |mut etcd: Client| async move { etcd.put("other", "program", None).await };
        fleet.cluster.administer(put);
    }
    let store = machine.open();
    assert!(store.rolled_back_tick().is_some());
    assert_eq!(loaded(&store, "alice"), Some(b"one".to_vec()));
}

#[test]
fn a_store_that_is_put_back_while_it_is_served_ends_the_daemon() {
    let mut fleet = to_be_put_back();
    let machine = machine(&fleet);
    drop(machine.open());
    fleet.keep();
    let (store, heard) = machine.open_and_hear();
    for round in 0..20_u8 {
        _ = done(store.insert_new(&user(&format!("user-{round}")), vec![round], soon()));
    }
    fleet.put_back();
    assert_eq!(store.load(&user("user-1")).unwrap_err(), Unavailable);
    let told = heard.iter().find(|told| told.starts_with("fatal")).unwrap();
    assert!(told.contains("went back from revision"), "{told}");
    assert_eq!(store.load(&user("user-1")).unwrap_err(), Unavailable);
    drop(store);
    assert!(machine.open().incomplete().is_some());
}

/// Two of three disks lied about what they had synced. Their members agree on what they have left.
#[test]
fn a_majority_of_members_that_lost_what_it_had_stored_is_a_roll_back() {
    let (mut cluster, kept) = (Cluster::of(3), tempfile::tempdir().unwrap());
    let machine = Machine::below(&cluster, "/p/");
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    drop(store);
    let data = [0, 1].map(|number| (number, kept.path().join(number.to_string())));
    (0..3).for_each(|number| cluster.kill(number));
    for (number, kept) in &data {
        cluster.copy_data(*number, kept);
    }
    cluster.start_together(&[0, 1, 2]);
    let (store, heard) = machine.open_and_hear();
    let version = store.load(&user("alice")).unwrap().unwrap().version;
    _ = done(store.replace(&user("alice"), version, b"spent".to_vec(), soon()));
    (0..3).for_each(|number| cluster.kill(number));
    for (number, kept) in &data {
        cluster.put_data_back(*number, kept);
    }
    cluster.start_together(&[0, 1]);
    let answer = store.load(&user("alice"));
    assert_eq!(
        answer.unwrap_err(),
        Unavailable,
        "what was before is not shown"
    );
    let told = heard.iter().find(|told| told.starts_with("fatal")).unwrap();
    assert!(told.contains("went back from revision"), "{told}");
    drop(store);
    let store = machine.open();
    assert_eq!(loaded(&store, "alice"), Some(b"one".to_vec()));
    assert!(store.rolled_back_tick().is_some(), "codes are in doubt");
    assert!(store.incomplete().is_some(), "users may be missing");
}

#[test]
fn a_store_that_was_lost_is_never_taken_for_an_empty_one() {
    let machine = Machine::of(shared());
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    _ = store.health();
    let (from, to) = store.keys.all();
    drop(store);
    let erase = move |mut etcd: Client| async move {
        let range = etcd_client::DeleteOptions::new().with_range(to);
        etcd.delete(from, Some(range)).await
    };
    shared().administer(erase);
    let why = machine.why_not();
    assert!(
        why.contains("has used one with 1 users") && why.contains("store.etcd"),
        "{why}"
    );
    std::fs::remove_file(machine.witness()).unwrap();
    assert_eq!(
        machine.open().health().unwrap().users,
        0,
        "it is meant to start empty"
    );
}

#[test]
fn a_store_whose_state_was_deleted_is_refused_by_a_new_machine_too() {
    let machine = Machine::of(shared());
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let state = store.keys.state();
    drop(store);
    shared().administer(|mut etcd: Client| async move { etcd.delete(state, None).await });
    let new = Machine::below(shared(), &machine.settings.prefix);
    assert!(new.why_not().contains("not the state of a store"));
    assert!(machine.why_not().contains("this machine has used one"));
}

#[test]
fn another_store_than_before_is_refused() {
    let (mut machine, other) = (Machine::of(shared()), Machine::of(shared()));
    drop((machine.open(), other.open()));
    machine.settings.prefix.clone_from(&other.settings.prefix);
    let why = machine.why_not();
    assert!(
        why.contains("another one than this machine has used"),
        "{why}"
    );
}

#[test]
fn a_damaged_witness_is_refused_and_not_forgotten() {
    let machine = Machine::of(shared());
    drop(machine.open());
    std::fs::write(machine.witness(), "pam-totp etcd witness 1\n").unwrap();
    assert!(
        machine
            .why_not()
            .contains("store.etcd cannot be used: it is damaged")
    );
}

#[test]
fn a_newer_store_is_refused() {
    let machine = Machine::of(shared());
    let store = machine.open();
    let state = store.keys.state();
    drop(store);
    shared().administer(|mut etcd: Client| async move { etcd.put(state, [3_u8, 0], None).await });
    assert!(machine.why_not().contains("newer version of provisiond"));
}

#[test]
fn two_daemons_of_one_machine_do_not_share_its_files() {
    let machine = Machine::of(shared());
    let _store = machine.open();
    assert!(machine.why_not().contains("in use by another process"));
}
