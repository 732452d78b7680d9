//! An update whose answer was lost: it is made once, and it is found out whether it was made.

use etcd_client::Client;

use super::*;

/// One insertion of alice, as the store makes it.
fn insertion<'a>(store: &'a EtcdStore, id: WriteId, record: &[u8]) -> Update<'a> {
    let key = store.keys.record(&user("alice"));
    let change = Change::Insert(key.clone(), keys::row(id, record));
    store.planned(vec![change], (id, Some(key)))
}

/// Sends the update, and loses its answer; then sends it again, and tells what is known then.
fn sent_twice(store: &EtcdStore, update: &Update<'_>, between: impl FnOnce()) -> Judged {
    let first = store.nodes.ask(&update.txn(), soon()).unwrap();
    assert!(first.response.succeeded());
    between();
    let second = store.nodes.ask(&update.txn(), soon()).unwrap();
    assert!(!second.response.succeeded(), "it was made twice");
    update.judge(&second.response, second.revision, true)
}

#[test]
fn an_update_that_is_sent_twice_is_made_once_and_known_by_its_write_id() {
    let machine = Machine::of(shared());
    let store = machine.open();
    let update = insertion(&store, WriteId::random().unwrap(), b"one");
    let judged = sent_twice(&store, &update, || ());
    let stored = store.load(&user("alice")).unwrap().unwrap();
    assert_eq!(stored.bytes, b"one");
    assert_eq!(judged, Judged::Outcome(Outcome::Done(stored.version)));
}

#[test]
fn an_update_on_which_another_one_was_built_is_neither_confirmed_nor_denied() {
    let machine = Machine::of(shared());
    let store = machine.open();
    let update = insertion(&store, WriteId::random().unwrap(), b"one");
    let judged = sent_twice(&store, &update, || {
        let stored = store.load(&user("alice")).unwrap().unwrap();
        _ = done(store.replace(&user("alice"), stored.version, b"two".to_vec(), soon()));
    });
    assert_eq!(judged, Judged::Outcome(Outcome::Unknown));
    assert_eq!(loaded(&store, "alice"), Some(b"two".to_vec()));
}

#[test]
fn a_removal_that_is_sent_twice_is_known_by_the_last_write_id() {
    let machine = Machine::of(shared());
    let store = machine.open();
    let version = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let key = store.keys.record(&user("alice"));
    let update = Update {
        changes: vec![Change::Remove(key, keys::revision(version))],
        trace: None,
        ..insertion(&store, WriteId::random().unwrap(), b"")
    };
    let judged = sent_twice(&store, &update, || ());
    assert!(
        matches!(judged, Judged::Outcome(Outcome::Done(_))),
        "{judged:?}"
    );
    assert_eq!(loaded(&store, "alice"), None);
}

#[test]
fn a_first_record_that_reaches_etcd_again_after_it_was_removed_is_not_made_again() {
    let machine = Machine::of(shared());
    let other = Machine::below(shared(), &machine.settings.prefix);
    let (store, other) = (machine.open(), other.open());
    let alice = user("alice");
    let update = insertion(&store, WriteId::random().unwrap(), b"one");
    let judged = sent_twice(&store, &update, || {
        let stored = store.load(&alice).unwrap().unwrap();
        _ = done(store.remove(&alice, stored.version, soon()));
    });
    assert_eq!(judged, Judged::Outcome(Outcome::Unknown));
    assert_eq!(loaded(&store, "alice"), None);
    // This one has not heard of the removal.
    let version = done(other.insert_new(&alice, b"two".to_vec(), soon()));
    let moved = other.rename(&alice, version, &user("bob"), b"two".to_vec(), soon());
    _ = done(moved);
    let again = insertion(&store, WriteId::random().unwrap(), b"three");
    let answer = store.nodes.ask(&again.txn(), soon()).unwrap();
    assert!(!answer.response.succeeded(), "alice was moved since");
    _ = done(store.insert_new(&alice, b"four".to_vec(), soon()));
    assert_eq!(loaded(&other, "alice"), Some(b"four".to_vec()));
    assert_eq!(
        store.insert_new(&alice, b"five".to_vec(), soon()),
        Ok(Outcome::Conflict)
    );
}

#[test]
fn an_update_that_comes_too_late_is_not_sent() {
    let machine = Machine::of(shared());
    let store = machine.open();
    let late = store.insert_new(&user("alice"), b"one".to_vec(), Instant::now());
    assert_eq!(late, Err(Unavailable));
    assert_eq!(loaded(&store, "alice"), None);
}

#[test]
fn of_two_machines_that_replace_one_version_exactly_one_succeeds() {
    let one = Machine::of(shared());
    let other = Machine::below(shared(), &one.settings.prefix);
    let (one, other) = (one.open(), other.open());
    let version = done(one.insert_new(&user("alice"), b"none".to_vec(), soon()));
    let race = |store: &EtcdStore, record: &[u8]| {
        store
            .replace(&user("alice"), version, record.to_vec(), soon())
            .unwrap()
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| race(&one, b"one"));
        let second = scope.spawn(|| race(&other, b"other"));
        (first.join().unwrap(), second.join().unwrap())
    });
    let won = [first, second].map(|outcome| matches!(outcome, Outcome::Done(_)));
    assert!(won[0] != won[1], "{first:?} {second:?}");
    let winner = if won[0] {
        b"one".to_vec()
    } else {
        b"other".to_vec()
    };
    assert_eq!(
        (loaded(&one, "alice"), loaded(&other, "alice")),
        (Some(winner.clone()), Some(winner))
    );
}

#[test]
fn trusted_time_on_a_new_machine_goes_on_from_the_fleets() {
    let old = Machine::of(shared());
    let clock = Clock::of_this_machine(|_| ());
    let store = old.open_with(Arc::clone(&clock)).unwrap();
    clock.resume(Some(clock.mark()), Some(1_000_000));
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let new = Machine::below(shared(), &old.settings.prefix);
    let clock = Clock::of_this_machine(|_| ());
    let _store = new.open_with(Arc::clone(&clock)).unwrap();
    assert!(clock.moment(None).tick >= 1_000_000);
}

#[test]
fn the_proxies_of_the_environment_are_not_asked() {
    let mut own = std::process::Command::new(std::env::current_exe().unwrap());
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        own.env(name, "http://127.0.0.1:1");
    }
    let test = "store::tests::on_etcd::a_record_is_read_as_it_was_stored_also_after_a_restart";
    let played = own.args(["--exact", test]).output().unwrap();
    let told = String::from_utf8_lossy(&played.stdout);
    assert!(
        played.status.success() && told.contains("1 passed"),
        "{told}"
    );
}

#[test]
fn a_row_of_another_program_hides_no_user() {
    let machine = Machine::of(shared());
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let key = [store.keys.users().0.as_slice(), b"\xff"].concat();
    shared().administer(|mut client: Client| async move { client.put(key, "", None).await });
    let listed = store.list(None, 9).unwrap();
    assert_eq!(listed.len(), 1);
}
