//! Tests: stores from which users may be missing, and stores that another program touches while
//! they are open.

use super::*;

/// Something that happens to a closed store of ten updates, a copy of which, after five, is in the
/// folder `yesterday`.
type Loss = fn(&Home);

const LOSSES: [(&str, Loss); 7] = [
    ("an older copy, by both witnesses", |home| {
        home.put_back("yesterday")
    }),
    ("an older copy, by the marker", |home| {
        home.put_back("yesterday");
        home.remove("generation");
    }),
    ("an older copy, by the mirror", |home| {
        home.put_back("yesterday");
        home.remove("store.marker");
    }),
    (
        "an older copy, by a mirror beside a marker that cannot be read",
        |home| {
            home.put_back("yesterday");
            std::fs::write(home.path("store.marker"), "torn").unwrap();
        },
    ),
    ("nothing but the mirror", |home| {
        home.remove("store");
        home.remove("store.marker");
    }),
    ("no witness", |home| {
        home.remove("store.marker");
        home.remove("generation");
    }),
    ("one user's record", |home| {
        home.tamper(|db| _ = db.remove("ruser-1").unwrap());
    }),
];

impl Home {
    /// A store that was copied after five updates, and closed after ten.
    fn of_yesterday() -> Self {
        let home = Self::filled(5);
        copy(&home.path("store"), &home.path("yesterday"));
        let store = home.open();
        (5..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        drop(store);
        copy(&home.path("store"), &home.path("good"));
        home
    }

    fn put_back(&self, name: &str) {
        self.remove("store");
        copy(&self.path(name), &self.path("store"));
    }
}

#[test]
fn a_store_that_may_lack_users_says_so_until_that_is_accepted() {
    for (what, lose) in LOSSES {
        let home = Home::of_yesterday();
        lose(&home);
        for _ in 0..3 {
            let store = home.open();
            assert!(store.incomplete().is_some(), "{what}");
            assert!(store.rolled_back_tick().is_some(), "{what}");
            put(&store, "user-2", 11);
        }
        let store = home.open();
        assert!(matches!(store.accept_loss(soon()), Ok(Outcome::Done(_))));
        assert_eq!(store.incomplete(), None, "{what}");
        drop(store);
        assert_eq!(home.open().incomplete(), None, "{what}: accepted");
    }
}

#[test]
fn a_store_is_whole_again_when_a_good_copy_is_put_back() {
    for (what, lose) in LOSSES.iter().filter(|(what, _)| *what != "no witness") {
        let home = Home::of_yesterday();
        lose(&home);
        let store = home.open();
        put(&store, "user-2", 11);
        drop(store);
        home.put_back("yesterday");
        let older = home.open().incomplete();
        assert!(older.is_some(), "{what}: then an older one");
        home.put_back("good");
        let store = home.open();
        assert_eq!(store.incomplete(), None, "{what}");
        assert!(store.rolled_back_tick().is_some(), "{what}: codes of since");
        assert_eq!(store.health().unwrap().users, 5);
    }
}

#[test]
fn the_most_users_that_were_ever_known_are_remembered() {
    let home = Home::filled(1);
    copy(&home.path("store"), &home.path("yesterday"));
    let store = home.open();
    (1..5).for_each(|update| put(&store, &format!("user-{update}"), update));
    drop(store);
    home.put_back("yesterday");
    for _ in 0..2 {
        let store = home.open();
        let known = store.incomplete().map(|missing| missing.users);
        assert_eq!((store.health().unwrap().users, known), (1, Some(5)));
    }
}

#[test]
fn a_kept_mark_is_in_the_marker_before_it_is_answered() {
    let home = Home::filled(5);
    let store = home.open();
    put(&store, "user-1", 6);
    assert_eq!(mark(&home), Some(of_age(5, 5)));
    assert!(matches!(store.keep_mark(soon()), Ok(Outcome::Done(_))));
    assert_eq!(mark(&home), Some(of_age(5, 6)));
}

#[test]
fn what_another_program_removes_replaces_or_cuts_is_a_failed_disk() {
    let touches: [(&str, Loss); 7] = [
        ("removed", |home| home.remove("store/db")),
        ("removed with its folder", |home| home.remove("store")),
        ("renamed", |home| {
            std::fs::rename(home.path("store/db"), home.path("elsewhere")).unwrap();
        }),
        ("renamed with its folder", |home| {
            std::fs::rename(home.path("store"), home.path("elsewhere")).unwrap();
        }),
        ("replaced", |home| {
            copy(&home.path("store/db"), &home.path("other"));
            std::fs::rename(home.path("other"), home.path("store/db")).unwrap();
        }),
        ("emptied", |home| cut(home, |_| 0)),
        ("cut", |home| cut(home, |size| size - 1000)),
    ];
    for (what, touch) in touches {
        let home = Home::new();
        let (store, _, _, heard) = failing(&home);
        (0..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        let version = store.load(&user("user-1")).unwrap().unwrap().version;
        touch(&home);
        assert_eq!(
            store.replace(&user("user-1"), version, record(11), soon()),
            Err(Unavailable),
            "{what}"
        );
        let told = heard.recv().unwrap();
        assert!(told.ends_with("check the disk"), "{what}: {told}");
    }
}

#[test]
fn what_another_program_removed_is_noticed_without_an_update() {
    let home = Home::filled(10);
    let store = home.open();
    let mut writer = writer(&home, &store);
    writer.chore().unwrap();
    home.remove("store/db");
    assert!(writer.chore().is_err());
}

fn cut(home: &Home, size: fn(u64) -> u64) {
    let file = File::options()
        .write(true)
        .open(home.path("store/db"))
        .unwrap();
    let before = file.metadata().unwrap().len();
    file.set_len(size(before)).unwrap();
}
