//! Tests: stores that are damaged, or of another format.

use super::*;

#[test]
fn a_store_of_another_make_is_refused() {
    let tampered = |tamper: fn(&Db)| {
        let home = Home::filled(10);
        home.tamper(tamper);
        home.refusal()
    };
    let newer = tampered(|db| _ = db.insert(SUMMARY, &[FORMAT + 1]).unwrap());
    assert!(newer.contains("newer version"), "{newer}");
    let older = tampered(|db| _ = db.insert(SUMMARY, &[2]).unwrap());
    assert!(
        older.contains("too old") && !older.contains("newer"),
        "{older}"
    );
    for tamper in [
        (|db| _ = db.remove(SUMMARY).unwrap()) as fn(&Db),
        |db| _ = db.insert(SUMMARY, &[FORMAT, 0]).unwrap(),
        |db| (0..5).for_each(|n| _ = db.remove(format!("ruser-{n}")).unwrap()),
    ] {
        let refusal = tampered(tamper);
        assert!(
            refusal.contains("is damaged") && refusal.ends_with("restore a backup"),
            "{refusal}"
        );
    }
}

#[test]
fn one_damaged_record_is_one_users_trouble_and_no_version_is_given_twice() {
    let home = Home::filled(10);
    home.tamper(|db| {
        db.insert(key(&user("user-1")), b"short").unwrap();
        db.insert(key(&user("user-2")), &[9; 9]).unwrap();
    });
    let store = home.open();
    assert!(
        store
            .load(&user("user-1"))
            .unwrap()
            .unwrap()
            .bytes
            .is_empty(),
        "damage is for the reader to notice"
    );
    assert_eq!(
        store.insert_new(&user("user-1"), vec![], soon()),
        Ok(Outcome::Conflict)
    );
    put(&store, "user-2", 11);
    let version = store.load(&user("user-2")).unwrap().unwrap().version;
    assert_ne!(version.0, u64::from_be_bytes([9; 8]));
    put(&store, "user-3", 12);
    assert!(store.load(&user("user-3")).unwrap().unwrap().version.0 > version.0);
}

/// Opens a damaged store. Either it is refused, or it holds the records as after some earlier
/// update, and the roll-back is detected.
fn survives(home: &Home, updates: u64, what: &str) {
    let store = match home.try_open(true) {
        Ok(store) => store,
        Err(OpenError::Damaged { .. } | OpenError::Lost { .. } | OpenError::Io { .. }) => return,
        Err(other) => panic!("{what}: {other}"),
    };
    let update_of = |number: u64| {
        let stored = store.load(&user(&format!("user-{number}"))).ok()?;
        stored.map(|stored| {
            let update = u64::from_be_bytes(*stored.bytes.first_chunk().unwrap());
            assert!(
                stored.bytes == record(update) && update % 5 == number,
                "{what}: never stored"
            );
            update
        })
    };
    let found: Vec<_> = (0..5).filter_map(update_of).collect();
    let last = *found
        .iter()
        .max()
        .unwrap_or_else(|| panic!("{what}: empty"));
    let expected: Vec<_> = (0..5)
        .filter_map(|user| (0..=last).rev().find(|update| update % 5 == user))
        .collect();
    assert_eq!(found, expected, "{what}: of different times");
    assert_eq!(
        store.rolled_back_tick().is_some(),
        last + 1 < updates,
        "{what}: {last} of {updates}"
    );
    assert_eq!(
        store.incomplete().is_some(),
        last + 1 < updates,
        "{what}: users may be missing"
    );
}

/// The same where the journal is damaged as well: the records are whole ones, and where one is not its
/// user's last, the roll-back is detected.
fn survives_in_parts(home: &Home, updates: u64, what: &str) {
    let store = home
        .try_open(true)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    for number in 0..5 {
        let stored = store.load(&user(&format!("user-{number}"))).unwrap();
        let found = stored.map(|stored| {
            let update = u64::from_be_bytes(*stored.bytes.first_chunk().unwrap());
            assert!(
                stored.bytes == record(update) && update % 5 == number,
                "{what}: never stored"
            );
            update
        });
        let last = (0..updates).rev().find(|update| update % 5 == number);
        if found != last {
            assert!(store.rolled_back_tick().is_some(), "{what}: {found:?}");
            assert!(store.incomplete().is_some(), "{what}: users may be missing");
        }
    }
}

/// Damages a file of copies of the store, at offsets from its beginning to the end of what is used.
fn damage_everywhere(
    home: &Home,
    file: &str,
    survives: fn(&Home, u64, &str),
    mut damage: impl FnMut(&mut Vec<u8>, usize),
) {
    let whole = std::fs::read(home.path(file)).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let stride = used / 80 + 1;
    for offset in (0..used).step_by(stride) {
        let copied = Home::new();
        copy(home.0.path(), copied.0.path());
        let mut bytes = whole.clone();
        damage(&mut bytes, offset);
        std::fs::write(copied.path(file), bytes).unwrap();
        survives(&copied, UPDATES, &format!("{file} at {offset}"));
    }
}

/// Closed stores, one of them with a snapshot of sled's.
fn closed() -> [Home; 2] {
    let homes = [Home::filled(UPDATES), Home::filled(UPDATES)];
    drop(homes[1].open());
    homes
}

#[test]
fn a_truncated_store_is_refused_or_knows_that_it_is_older() {
    for home in closed() {
        damage_everywhere(&home, "store/db", survives, |bytes, offset| {
            bytes.truncate(offset)
        });
    }
}

#[test]
fn a_store_with_a_flipped_bit_is_refused_or_knows_that_it_is_older() {
    for home in closed() {
        damage_everywhere(&home, "store/db", survives, |bytes, offset| {
            bytes[offset] ^= 1 << (offset % 8)
        });
    }
}

#[test]
fn a_store_whose_journal_was_damaged_after_a_kill_knows_that_it_is_older() {
    let home = Home::killed(UPDATES, &[7, 20]);
    let journal = home.segments().pop().unwrap();
    damage_everywhere(&home, &journal, survives_in_parts, |bytes, offset| {
        bytes.truncate(offset)
    });
    damage_everywhere(&home, &journal, survives_in_parts, |bytes, offset| {
        bytes[offset] ^= 1 << (offset % 8)
    });
    damage_everywhere(&home, &journal, survives_in_parts, |bytes, offset| {
        bytes[offset..].fill(0)
    });
}

const UPDATES: u64 = 60;
