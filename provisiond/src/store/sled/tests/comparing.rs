//! Tests: while the store is open, sled is compared with its copy. A record that sled has lost ends the
//! store, the next opening has it, and updates that go on meanwhile are no loss.

use super::healing::keeper;
use super::*;
use crate::store::sled::keeping::Orders;
use crate::store::sled::starting::orders_for;

/// Compares once; what is told when the store cannot go on.
fn compared(home: &Home, store: &SledStore) -> Option<String> {
    let (told, heard) = channel();
    let orders = Orders {
        fail: Box::new(move |why: &str| told.send(why.to_owned()).unwrap()),
        ..orders_for(&store.committer)
    };
    keeper(home, store).check(&orders);
    heard.try_recv().ok()
}

#[test]
fn a_record_that_sled_loses_while_it_is_open_ends_the_store_and_the_next_opening_has_it() {
    for has_snapshot in [true, false] {
        let home = Home::new();
        let (store, ..) = failing(&home);
        (0..20).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        if has_snapshot {
            healing::renew(&home, &store).unwrap();
        }
        put(&store, "user-2", 22);
        assert!(store.overlay.settle());
        assert_eq!(compared(&home, &store), None);
        let sled = store.db.clone().unwrap();
        sled.remove(b"ruser-3").unwrap();
        let why = compared(&home, &store).expect("a reason to end");
        assert!(why.contains("has lost 1 records"), "{why}");
        drop((sled, store));
        let (store, told) = home.hear();
        let store = store.unwrap();
        assert_eq!(told.try_recv(), Ok(Told::Healed(Part::Store)));
        assert_eq!(
            store.load(&user("user-3")).unwrap().unwrap().bytes,
            record(18)
        );
        assert_eq!((store.rolled_back_tick(), store.incomplete()), (None, None));
    }
}

#[test]
fn an_older_record_in_sled_than_in_its_copy_is_a_lost_one() {
    let home = Home::new();
    let (store, ..) = failing(&home);
    put(&store, "alice", 0);
    assert!(store.overlay.settle());
    let sled = store.db.clone().unwrap();
    let former = sled.get(b"ralice").unwrap().unwrap();
    put(&store, "alice", 1);
    assert!(store.overlay.settle());
    assert_eq!(compared(&home, &store), None);
    sled.insert(b"ralice", former).unwrap();
    assert!(compared(&home, &store).is_some());
}

#[test]
fn updates_and_removals_that_go_on_while_sled_is_compared_are_no_loss() {
    let home = Home::new();
    let store = home.open();
    (0..50).for_each(|update| put(&store, &format!("user-{update}"), update));
    healing::renew(&home, &store).unwrap();
    let (begin, begun) = channel();
    std::thread::scope(|scope| {
        let store = &store;
        let updates = move || {
            for update in begun
                .iter()
                .flat_map(|round: u64| round * 20..round * 20 + 20)
            {
                let name = format!("user-{}", update % 60);
                put(store, &name, update);
                if update % 3 == 0 {
                    let version = store.load(&user(&name)).unwrap().unwrap().version;
                    let removed = store.remove(&user(&name), version, soon());
                    assert!(matches!(removed, Ok(Outcome::Done(_))));
                }
            }
        };
        scope.spawn(updates);
        for round in 0..30 {
            begin.send(round).unwrap();
            assert_eq!(compared(&home, store), None, "round {round}");
        }
        drop(begin);
    });
}
