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
        home.remove("store.journal");
        home.remove("store.marker");
    }),
    ("no witness", |home| {
        home.remove("store.journal");
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
        home.keep("yesterday");
        let store = home.open();
        (5..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        drop(store);
        home.keep("good");
        home
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
    home.keep("yesterday");
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
fn an_enrolment_is_in_the_marker_before_it_is_answered() {
    let home = Home::filled(5);
    let store = home.open();
    put(&store, "user-1", 6);
    assert_eq!(mark(&home), Some(of_age(5, 5)));
    let (alice, soon) = (user("alice"), soon());
    let made = store.enrol(&alice, None, vec![1], soon);
    let Ok(Outcome::Done(version)) = made else {
        panic!("{made:?}")
    };
    assert_eq!(mark(&home), Some(of_age(6, 7)));
    let changed = store.enrol(&alice, Some(version), vec![2], soon);
    assert!(matches!(changed, Ok(Outcome::Done(_))));
    assert_eq!(mark(&home), Some(of_age(6, 8)));
    let late = store.enrol(&alice, Some(version), vec![3], soon);
    assert_eq!(late, Ok(Outcome::Conflict));
}

pub(super) type Touch = Box<dyn Fn(&Home)>;

/// What another program may do to one of the store's files.
pub(super) fn touches(file: &'static str) -> [(&'static str, Touch); 7] {
    let folder = Path::new(file).parent().unwrap().to_str().unwrap();
    [
        ("removed", Box::new(move |home| home.remove(file))),
        (
            "removed with its folder",
            Box::new(move |home| home.remove(folder)),
        ),
        (
            "renamed",
            Box::new(move |home| rename(home, file, "elsewhere")),
        ),
        (
            "renamed with its folder",
            Box::new(move |home| rename(home, folder, "elsewhere")),
        ),
        (
            "replaced",
            Box::new(move |home| {
                copy(&home.path(file), &home.path("other"));
                rename(home, "other", file);
            }),
        ),
        ("emptied", Box::new(move |home| cut(home, file, |_| 0))),
        (
            "cut",
            Box::new(move |home| cut(home, file, |size| size - 1000)),
        ),
    ]
}

#[test]
fn what_another_program_removes_replaces_or_cuts_is_a_failed_disk() {
    for (what, touch) in touches("store/db") {
        let home = Home::new();
        let (store, _, _, heard) = failing(&home);
        (0..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        assert!(store.overlay.settle());
        put(&store, "user-1", 11);
        touch(&home);
        assert_eq!(store.keep_mark(soon()), Err(Unavailable), "{what}");
        let told = heard.recv().unwrap();
        assert!(told.ends_with("check the disk"), "{what}: {told}");
    }
}

#[test]
fn what_another_program_removed_is_noticed_without_an_update() {
    let home = Home::filled(10);
    let (store, _, _, heard) = failing(&home);
    let mut writer = writer(&home, &store);
    writer.chore().unwrap();
    assert!(store.overlay.settle());
    home.remove("store/db");
    writer.chore().unwrap();
    assert!(!store.overlay.settle());
    assert!(heard.recv().unwrap().ends_with("check the disk"));
}

fn rename(home: &Home, from: &str, to: &str) {
    std::fs::rename(home.path(from), home.path(to)).unwrap();
}

fn cut(home: &Home, file: &str, size: fn(u64) -> u64) {
    let file = File::options().write(true).open(home.path(file)).unwrap();
    let before = file.metadata().unwrap().len();
    file.set_len(size(before)).unwrap();
}
