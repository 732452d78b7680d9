//! Tests: what was deleted or replaced is in no file of the store after the next opening, and
//! nothing else is lost.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::store::sled::erasing::{Copying, ERASED};

const KEY: [u8; 64] = [0xa7; 64];

/// What may be done to alice's record, in whose bytes the key is.
type Deletion = fn(&SledStore, Version) -> Result<Outcome, Unavailable>;

const DELETIONS: [(&str, Deletion); 3] = [
    ("removed", |store, version| {
        store.remove(&user("alice"), version, soon())
    }),
    ("renamed", |store, version| {
        store.rename(&user("alice"), version, &user("alicia"), vec![1], soon())
    }),
    ("replaced", |store, version| {
        store.will_delete();
        store.replace(&user("alice"), version, vec![1], soon())
    }),
];

impl Home {
    /// A store of five users, and of alice with the key, after one of the deletions.
    fn without_alice(delete: Deletion) -> Self {
        let home = Self::filled(10);
        let store = home.open();
        let added = store.insert_new(&user("alice"), KEY.to_vec(), soon());
        let Ok(Outcome::Done(version)) = added else {
            panic!("{added:?}")
        };
        assert!(matches!(delete(&store, version), Ok(Outcome::Done(_))));
        drop(store);
        home
    }

    fn has_the_key(&self) -> bool {
        has(self.0.path(), &KEY)
    }

    /// Opens and closes the store, and returns what it told.
    fn told(&self) -> Vec<String> {
        let (tell, told) = channel();
        let tell = move |told| tell.send(format!("{told:?}")).unwrap();
        drop(SledStore::open(&self.place(true), clock(), tell, |why| panic!("{why}")).unwrap());
        told.try_iter().collect()
    }

    /// Changes with each copy.
    fn file(&self) -> u64 {
        std::fs::metadata(self.path("store/db")).unwrap().ino()
    }

    fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        self.tamper(|db| {
            let all = db.iter().map(|row| row.unwrap());
            rows = all
                .filter(|(key, _)| key != ERASED)
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .collect();
        });
        rows
    }
}

#[test]
fn a_key_that_was_deleted_or_replaced_is_in_no_file_after_the_next_opening() {
    for (what, delete) in DELETIONS {
        let home = Home::without_alice(delete);
        assert!(home.has_the_key(), "{what}: sled keeps former versions");
        let told = home.told();
        assert_eq!(told.last().map(String::as_str), Some("Erased"), "{what}");
        assert!(!home.has_the_key(), "{what}");
        let store = home.open();
        let (users, rolled_back) = (store.health().unwrap().users, store.rolled_back_tick());
        let expected = if what == "removed" { 5 } else { 6 };
        assert_eq!((users, rolled_back), (expected, None), "{what}");
        assert_eq!(store.incomplete(), None, "{what}");
    }
}

#[test]
fn erasing_loses_no_row_and_leaves_private_files_alone() {
    let home = Home::without_alice(DELETIONS[0].1);
    let before = home.rows();
    home.told();
    assert_eq!(home.rows().len(), before.len());
    // Opening writes the summary anew, with the mark of the clock.
    let records = |rows: Vec<(Vec<u8>, Vec<u8>)>| -> Vec<_> {
        rows.into_iter().filter(|(key, _)| key != SUMMARY).collect()
    };
    assert_eq!(records(home.rows()), records(before));
    assert!(!home.path("store.erasing").exists());
    for (path, mode) in [("store", 0o40700), ("store/db", 0o100_600)] {
        assert_eq!(std::fs::metadata(home.path(path)).unwrap().mode(), mode);
    }
}

#[test]
fn a_store_in_which_no_key_was_deleted_is_not_copied() {
    let home = Home::filled(10);
    let before = home.file();
    for _ in 0..3 {
        assert!(home.told().is_empty());
        put(&home.open(), "user-1", 10);
    }
    assert_eq!(home.file(), before);
}

#[test]
fn a_store_of_before_is_copied_once() {
    let home = Home::filled(10);
    home.tamper(|db| _ = db.remove(ERASED).unwrap());
    let before = home.file();
    assert_eq!(home.told(), ["GoesOn", "GoesOn", "Erased"]);
    let after = home.file();
    assert_ne!(after, before);
    assert!(home.told().is_empty());
    assert_eq!(home.file(), after);
}

#[test]
fn a_store_in_doubt_stays_as_it_was_found() {
    let home = Home::without_alice(DELETIONS[0].1);
    home.tamper(|db| _ = db.remove("ruser-1").unwrap());
    let before = home.file();
    for _ in 0..2 {
        assert!(home.told().is_empty());
    }
    assert_eq!(home.file(), before);
    let store = home.open();
    assert!(matches!(store.accept_loss(soon()), Ok(Outcome::Done(_))));
    drop(store);
    assert_eq!(home.told().last().map(String::as_str), Some("Erased"));
    assert!(!home.has_the_key());
}

#[test]
fn what_a_killed_erasing_left_is_removed_and_it_begins_anew() {
    for is_due in [false, true] {
        let home = if is_due {
            Home::without_alice(DELETIONS[0].1)
        } else {
            Home::filled(10)
        };
        copy(&home.path("store"), &home.path("store.erasing"));
        assert_eq!(home.told().is_empty(), !is_due);
        assert!(!home.path("store.erasing").exists());
        assert!(!home.has_the_key());
    }
}

#[test]
fn an_erasing_that_fails_leaves_the_store_as_it_was_and_says_why() {
    let home = Home::without_alice(DELETIONS[0].1);
    std::fs::write(home.path("store.erasing"), "").unwrap();
    let (before, told) = (home.file(), home.told());
    assert!(
        told.len() == 1 && told[0].starts_with("NotErased"),
        "{told:?}"
    );
    assert_eq!(home.file(), before);
    home.remove("store.erasing");
    assert_eq!(home.told().last().map(String::as_str), Some("Erased"));
}

#[test]
fn a_copy_that_differs_is_not_taken() {
    let home = Home::filled(10);
    let tampers: [fn(&Db); 3] = [
        |db| _ = db.remove("ruser-1").unwrap(),
        |db| _ = db.insert("ruser-1", "other").unwrap(),
        |db| _ = db.insert("ruser-9", "more").unwrap(),
    ];
    for tamper in tampers {
        let copy = Home::new();
        home.tamper(|db| {
            let copying = Copying::to(copy.path("store"), db);
            copying.write().unwrap();
            assert_eq!(copying.is_same(), Ok(true));
            copy.tamper(tamper);
            assert_eq!(copying.is_same(), Ok(false));
        });
    }
}

fn has(folder: &Path, bytes: &[u8]) -> bool {
    folder.read_dir().unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has(&path, bytes);
        }
        let content = std::fs::read(&path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}
