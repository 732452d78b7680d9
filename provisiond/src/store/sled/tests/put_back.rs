//! Tests: stores that were rolled back, or lost their records.

use super::*;

#[test]
fn a_store_that_was_put_back_is_noticed_once_and_remembered() {
    for mirror_alone in [false, true] {
        let home = Home::filled(10);
        home.keep("yesterday");
        let store = home.open();
        put(&store, "user-1", 10);
        let before = generation(&store);
        drop(store);
        home.put_back("yesterday");
        home.remove(if mirror_alone {
            "store.marker"
        } else {
            "generation"
        });
        let store = home.open();
        let found = store.rolled_back_tick();
        assert!(found.is_some() && generation(&store) > before);
        put(&store, "user-2", 11);
        let after = generation(&store);
        drop(store);
        let store = home.open();
        assert_eq!(
            (store.rolled_back_tick(), generation(&store)),
            (found, after),
            "noticed twice"
        );
    }
}

#[test]
fn a_store_that_was_put_back_hears_from_each_of_its_witnesses_how_far_it_was_spent() {
    for (spent, witness, lost) in [
        (300, "generation", 300),
        (300, "store.marker", 300),
        (-300, "generation", -300),
        // The marker may be older than the last code, so all codes up to now count as spent.
        (-300, "store.marker", 0),
    ] {
        let (home, hands) = (Home::filled(10), Hands::new());
        home.keep("yesterday");
        let clock = hands.clock();
        let store = home.open_by(&clock);
        let spent = hands.now().saturating_add_signed(spent);
        clock.will_spend(spent);
        put(&store, "user-1", 10);
        assert_eq!(
            mark(&home).unwrap().age.spent == spent,
            spent > hands.now(),
            "it hears at once of what is ahead"
        );
        drop(store);
        copy(&home.path(witness), &home.path("witness"));
        home.put_back("yesterday");
        for other in ["generation", "store.marker"] {
            home.remove(other);
        }
        copy(&home.path("witness"), &home.path(witness));
        let clock = hands.clock();
        drop(home.open_by(&clock));
        assert_eq!(
            clock.moment(None).doubts.lost,
            hands.now().saturating_add_signed(lost),
            "{spent} {witness}"
        );
    }
}

#[test]
fn a_second_roll_back_is_later_than_what_was_made_after_the_first_in_the_same_second() {
    let (home, clock) = (Home::filled(10), Hands::new().clock());
    home.keep("yesterday");
    let first = home.put_back_after_an_update(&clock).rolled_back_tick();
    home.keep("yesterday");
    let second = home.put_back_after_an_update(&clock).rolled_back_tick();
    assert!(first.is_some() && second > first, "{first:?} {second:?}");
}

#[test]
fn a_store_that_nobody_touched_is_not_suspected() {
    let home = Home::filled(10);
    for mirror in [true, false, true] {
        let store = home.try_open(mirror).unwrap();
        assert_eq!(store.rolled_back_tick(), None);
        put(&store, "user-1", 11);
    }
    std::fs::write(home.path("generation"), "nonsense").unwrap();
    assert_eq!(home.open().rolled_back_tick(), None);
    let mirror = std::fs::read_to_string(home.path("generation")).unwrap();
    assert_eq!(
        mirror,
        "00000000000000000013 00000000000000000000 00000000000000000013\n"
    );
}

#[test]
fn a_store_that_lost_everything_is_refused_until_its_marker_is_removed() {
    for loss in ["folder", "log", "emptied log", "another, empty store"] {
        let home = Home::filled(10);
        home.remove("generation");
        home.remove("store.journal");
        match loss {
            "folder" => home.remove("store"),
            "log" => home.remove("store/db"),
            "emptied log" => std::fs::write(home.path("store/db"), "").unwrap(),
            _ => {
                let other = Home::filled(0);
                home.remove("store");
                copy(&other.path("store"), &home.path("store"));
            }
        }
        for _ in 0..2 {
            let refusal = home.refusal();
            assert!(
                refusal.contains("is empty") && refusal.contains("restore a backup"),
                "{loss}: {refusal}"
            );
        }
        assert!(
            loss != "folder" || !home.path("store").exists(),
            "nothing is made before it is refused"
        );
        home.remove("store.marker");
        if loss != "log" && loss != "emptied log" {
            assert_eq!(home.open().health().unwrap().users, 0);
        }
    }
}

#[test]
fn a_store_in_which_one_user_is_older_than_the_others_is_noticed() {
    for loss in [
        |db: &Db| _ = db.insert("ruser-1", &[0; 9]).unwrap(),
        |db: &Db| _ = db.remove("ruser-1").unwrap(),
    ] {
        let home = Home::filled(10);
        home.tamper(loss);
        let store = home.open();
        assert_eq!(store.rolled_back_tick(), Some(0));
        let (users, before) = (store.list(None, 99).unwrap().len(), generation(&store));
        assert!(store.health().unwrap().users == users as u64 && before > LEAP);
        put(&store, "user-1", 11);
        drop(store);
        let store = home.open();
        assert_eq!(generation(&store), before + 1, "noticed twice");
    }
}
