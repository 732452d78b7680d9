//! Tests: both parts are hurt. Every record that is whole in either is served, in doubt unless it is
//! known that none is missing, and no user that was removed comes back.

use std::collections::BTreeMap;
use std::fs;

use super::healing::{damages, samples};
use super::*;
use crate::store::journal::each_frame;
use crate::store::journal::frame::{Frame, Row};

impl Home {
    /// The newest update of each user that is whole in the copy, however much of it is hurt.
    fn whole_in_the_copy(&self) -> BTreeMap<String, u64> {
        let mut newest = BTreeMap::new();
        let mut look = |rows: Vec<Row>| {
            for Row { key, value } in rows {
                if let (Some(user), Some(value)) = (user_of(&key), value) {
                    let update = u64::from_be_bytes(*value[8..].first_chunk().unwrap());
                    let known = newest.entry(user.as_str().to_owned()).or_insert(update);
                    *known = update.max(*known);
                }
            }
            Ok(())
        };
        let folder = self.path("store.journal");
        snapshot::each_whole_part(&folder, &mut look).unwrap();
        each_frame(&folder, &mut |frame| look(frame.rows)).unwrap();
        newest
    }

    /// Changes sled's rows, and nothing else.
    fn change_sled(&self, change: impl FnOnce(&Db)) {
        drop(lock(&self.path("store/db"), soon()).unwrap());
        let sled = ::sled::Config::new().path(self.path("store"));
        change(&sled.open().unwrap());
        drop(lock(&self.path("store/db"), soon()).unwrap());
    }

    /// Damages the frame of the journal that leads to that generation.
    fn hurt_frame(&self, generation: u64) {
        for name in self.segments() {
            let mut bytes = fs::read(self.path(&name)).unwrap();
            let mut at = 0;
            while let Some((frame, length)) = Frame::parse(&bytes[at..]) {
                if frame.after.generation == generation {
                    bytes[at + 80] ^= 1;
                    fs::write(self.path(&name), &bytes).unwrap();
                    return;
                }
                at += length;
            }
        }
        panic!("no frame leads to {generation}");
    }

    /// What is told, but that the work goes on, and which update each user has.
    fn salvaged(&self) -> (Vec<Told>, BTreeMap<String, u64>, SledStore) {
        let (store, told) = self.hear();
        let store = store.unwrap();
        let has = updates(&store);
        (told.try_iter().collect(), has, store)
    }
}

fn updates(store: &SledStore) -> BTreeMap<String, u64> {
    let rows = store.list(None, usize::MAX).unwrap();
    rows.into_iter()
        .map(|(user, row)| {
            let update = u64::from_be_bytes(*row.bytes.first_chunk().unwrap());
            assert_eq!(row.bytes, record(update), "{}: torn", user.as_str());
            (user.as_str().to_owned(), update)
        })
        .collect()
}

fn doubts(store: &SledStore) -> (bool, bool) {
    (
        store.rolled_back_tick().is_some(),
        store.incomplete().is_some(),
    )
}

/// After two files were damaged: what is served is as new as what is whole, and in doubt unless it
/// is the newest of every user.
fn is_salvaged(home: &Home, users: u64, what: &str) {
    let whole = home.whole_in_the_copy();
    let (store, _) = home.hear();
    let store = match store {
        Ok(store) => store,
        Err(OpenError::Damaged { .. } | OpenError::Lost { .. }) => {
            assert!(whole.is_empty(), "{what}: whole records are not served");
            return;
        }
        Err(other) => panic!("{what}: {other}"),
    };
    let has = updates(&store);
    for (user, update) in &whole {
        assert!(has.get(user) >= Some(update), "{what}: {user}");
    }
    let last = |number: u64| {
        (0..users * 2 + 8)
            .rev()
            .find(|update| update % users == number)
    };
    let newest = (0..users).map(|number| (format!("user-{number}"), last(number).unwrap()));
    if has != newest.collect() {
        assert_eq!(doubts(&store), (true, true), "{what}");
    }
    drop(store);
    let (_, again, _store) = home.salvaged();
    assert_eq!(again, has, "{what}: opened again");
}

#[test]
fn where_two_files_are_hurt_every_record_that_is_whole_in_either_is_served() {
    // The long form has all pairs of damages.
    let is_long = samples() > 2;
    let counts = if is_long {
        &[1, 100, 10_000][..]
    } else {
        &[1, 100]
    };
    let mut played = 0;
    for users in counts.iter().copied() {
        let home = Home::of_users(users, false);
        let files = home.files();
        for (first, second) in pairs(&files) {
            let of = |file: &str| damages(&fs::read(home.path(file)).unwrap(), samples().min(8));
            let (ones, others) = (of(first), of(second));
            let count = if is_long { ones.len() } else { 2 };
            for number in 0..count {
                let (one, damage_one) = &ones[number * 5 % ones.len()];
                let (other, damage_other) = &others[number * 7 % others.len()];
                let home = home.again();
                damage_one(&home.path(first));
                damage_other(&home.path(second));
                let what = format!("{users} users, {first} {one}, {second} {other}");
                is_salvaged(&home, users, &what);
                played += 1;
            }
        }
    }
    println!("figures: {played} damages to two files, no whole record unserved");
}

/// All pairs of different files.
fn pairs(files: &[String]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().enumerate().flat_map(|(number, first)| {
        let others = files[number + 1..].iter();
        others.map(move |second| (first.as_str(), second.as_str()))
    })
}

#[test]
fn two_parts_that_lack_different_records_are_one_whole_store() {
    let home = Home::killed(20, &[19]);
    home.change_sled(|sled| _ = sled.remove("ruser-1").unwrap());
    home.hurt_frame(3);
    let (told, has, store) = home.salvaged();
    assert_eq!(told, [Told::Healed(Part::Store), Told::Erased]);
    let expected = (0..5).map(|user| (format!("user-{user}"), 15 + user));
    assert_eq!(has, expected.collect());
    assert_eq!((doubts(&store), generation(&store)), ((false, false), 20));
}

#[test]
fn two_parts_that_lack_the_same_record_are_served_in_doubt_until_the_loss_is_accepted() {
    let home = Home::killed(20, &[19]);
    home.change_sled(|sled| _ = sled.remove("ruser-1").unwrap());
    // The newest of user-1.
    home.hurt_frame(17);
    let (told, has, store) = home.salvaged();
    assert_eq!(told, [Told::Salvaged]);
    assert_eq!((has.len(), has["user-1"], has["user-4"]), (5, 11, 19));
    assert_eq!(doubts(&store), (true, true));
    put(&store, "user-2", 21);
    drop(store);
    for _ in 0..2 {
        let (told, has, store) = home.salvaged();
        assert_eq!(
            (told, has["user-2"], doubts(&store)),
            (vec![], 21, (true, true))
        );
        assert!(home.path("store.damaged").exists(), "all that may be left");
    }
    let (_, _, store) = home.salvaged();
    assert!(matches!(store.accept_loss(soon()), Ok(Outcome::Done(_))));
    drop(store);
    let (store, told) = home.hear();
    let store = store.unwrap();
    assert_eq!(told.recv().unwrap(), Told::Erased, "and the copy is new");
    assert_eq!(store.incomplete(), None);
    assert!(!home.path("store.damaged").exists());
}

#[test]
fn a_user_that_was_removed_does_not_come_back_from_a_damaged_part() {
    let remove_one = |store: &SledStore| {
        let version = store.load(&user("user-1")).unwrap().unwrap().version;
        let removed = store.remove(&user("user-1"), version, soon());
        assert!(matches!(removed, Ok(Outcome::Done(_))));
    };
    // The journal tells it, and sled does not know yet.
    let (home, told_by_the_journal) = (Home::new(), Home::new());
    let (store, ..) = failing(&home);
    (0..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
    assert!(store.overlay.settle());
    remove_one(&store);
    copy(home.0.path(), told_by_the_journal.0.path());
    told_by_the_journal.change_sled(|sled| _ = sled.remove("ruser-3").unwrap());
    told_by_the_journal.hurt_frame(2);
    // The snapshot tells it by its silence, and an older sled has the user still.
    let told_by_the_snapshot = Home::new();
    copy(&home.path("store"), &home.path("older"));
    healing::renew(&home, &store).unwrap();
    (11..14).for_each(|update| put(&store, "user-2", update));
    copy(home.0.path(), told_by_the_snapshot.0.path());
    told_by_the_snapshot.remove("store");
    copy(
        &told_by_the_snapshot.path("older"),
        &told_by_the_snapshot.path("store"),
    );
    told_by_the_snapshot.hurt_frame(13);
    for (what, home) in [
        ("by the journal", told_by_the_journal),
        ("by the snapshot", told_by_the_snapshot),
    ] {
        let (_, has, _) = home.salvaged();
        assert_eq!(has.get("user-1"), None, "{what}");
        assert_eq!(has.len(), 4, "{what}");
    }
}

#[test]
fn records_of_which_nothing_tells_the_time_are_not_served() {
    let home = Home::new();
    let store = home.open();
    for number in 0..20u64 {
        let large = number.to_be_bytes().repeat(1000);
        let done = store.insert_new(&user(&format!("user-{number}")), large, soon());
        assert!(matches!(done, Ok(Outcome::Done(_))));
    }
    healing::renew(&home, &store).unwrap();
    drop(store);
    home.remove("store");
    for name in home.segments() {
        if name.ends_with(".journal") {
            home.remove(&name);
        }
    }
    // The summary is in the first part of the snapshot.
    let path = home.path("store.journal/snapshot");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(!home.whole_in_the_copy().is_empty());
    let (store, _) = home.hear();
    assert!(matches!(store.err(), Some(OpenError::Lost { .. })));
    assert!(path.exists(), "it stays for an administrator");
}
