//! Tests: any one file of the state may be lost or damaged, and no update is lost, nothing counts as
//! put back, and nobody as missing; the other part heals it.

use std::fs;

use super::*;
use crate::store::sled::keeping::{Keeper, rows};

impl Home {
    /// A store with a snapshot, frames since, and an older copy of all of it in the folder `older`.
    /// With `killed`, sled lacks the last updates.
    pub(super) fn of_users(users: u64, killed: bool) -> Self {
        let (home, kept) = (Self::new(), Self::new());
        let (store, ..) = failing(&home);
        let put_all = |from: u64, to: u64| {
            (from..to).for_each(|update| put(&store, &format!("user-{}", update % users), update));
        };
        put_all(0, users * 2);
        renew(&home, &store).unwrap();
        copy(home.0.path(), &kept.path("older"));
        put_all(users * 2, users * 2 + 5);
        assert!(matches!(store.keep_mark(soon()), Ok(Outcome::Done(_))));
        put_all(users * 2 + 5, users * 2 + 8);
        if killed {
            copy(home.0.path(), kept.0.path());
        }
        drop(store);
        if !killed {
            copy(home.0.path(), kept.0.path());
        }
        kept
    }

    /// A copy of this home, to be damaged.
    pub(super) fn again(&self) -> Self {
        let again = Self::new();
        copy(self.0.path(), again.0.path());
        again
    }

    /// Opens the store, and hears what it tells.
    pub(super) fn hear(&self) -> (Result<SledStore, OpenError>, Receiver<Told>) {
        let (tell, told) = channel();
        let tell = move |step| {
            if step != Told::GoesOn {
                let _ = tell.send(step);
            }
        };
        let store = SledStore::open(&self.place(true), clock(), tell, |why| panic!("{why}"));
        (store, told)
    }

    /// The files of the state, by their paths in it, but for the lock and the kept copy.
    pub(super) fn files(&self) -> Vec<String> {
        let mut files = vec!["store.marker".to_owned()];
        for folder in ["store", "store.journal"] {
            for entry in self.path(folder).read_dir().unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    files.push(format!("{folder}/{}", entry.file_name().to_str().unwrap()));
                }
            }
        }
        files
    }

    /// The store has every user as after its last update, and doubts nothing.
    fn is_whole(&self, users: u64, what: &str) -> Receiver<Told> {
        let (store, told) = self.hear();
        let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
        let updates = users * 2 + 8;
        for number in 0..users {
            let last = (0..updates).rev().find(|update| update % users == number);
            let stored = store.load(&user(&format!("user-{number}"))).unwrap();
            let stored = stored.unwrap_or_else(|| panic!("{what}: user-{number} is missing"));
            assert_eq!(stored.bytes, record(last.unwrap()), "{what}: user-{number}");
        }
        let doubts = (store.rolled_back_tick(), store.incomplete());
        assert_eq!(doubts, (None, None), "{what}");
        assert_eq!(store.health().unwrap().users, users, "{what}");
        drop(store);
        told
    }
}

/// Another keeper of the open store.
pub(super) fn keeper(home: &Home, store: &SledStore) -> Keeper {
    Keeper {
        store: home.path("store"),
        folder: home.path("store.journal"),
        db: store.db.clone().unwrap(),
        overlay: Arc::clone(&store.overlay),
        shared: Arc::clone(&store.summary),
        tell: Arc::new(|_| ()),
        upkeep: Arc::clone(&store.upkeep),
        first: 1,
        is_first: false,
        ends: Arc::default(),
    }
}

/// Makes a new snapshot, as the store's own keeper does.
pub(super) fn renew(home: &Home, store: &SledStore) -> Result<(), String> {
    keeper(home, store).try_renew(&|| begin_copy(&store.committer))
}

/// What can happen to a home.
type Loss = fn(&Home);

/// What can happen to a file.
pub(super) type Damage = Box<dyn Fn(&Path)>;

/// Removed, emptied, overwritten, cut, zeroed by page, and with flipped bits; `samples` of each kind
/// that has many.
pub(super) fn damages(whole: &[u8], samples: usize) -> Vec<(String, Damage)> {
    let used = whole
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |at| at + 1);
    let mut damages: Vec<(String, Damage)> = vec![
        (
            "removed".into(),
            Box::new(|path| fs::remove_file(path).unwrap()),
        ),
        (
            "emptied".into(),
            Box::new(|path| fs::write(path, []).unwrap()),
        ),
        (
            "overwritten".into(),
            Box::new(|path| {
                let size = fs::read(path).unwrap().len();
                fs::write(path, vec![0x5a; size]).unwrap();
            }),
        ),
    ];
    for sample in 0..samples {
        let at = used * sample / samples;
        let mut add = |what: &str, damage: fn(&mut Vec<u8>, usize)| {
            damages.push((
                format!("{what} at {at} of {used}"),
                Box::new(move |path| {
                    let mut bytes = fs::read(path).unwrap();
                    damage(&mut bytes, at);
                    fs::write(path, bytes).unwrap();
                }),
            ));
        };
        add("cut", |bytes, at| bytes.truncate(at));
        add("flipped", |bytes, at| bytes[at] ^= 1 << (at % 8));
        add("zeroed", |bytes, at| {
            let page = at / 4096 * 4096..bytes.len().min((at / 4096 + 1) * 4096);
            bytes[page].fill(0);
        });
    }
    damages
}

pub(super) fn samples() -> usize {
    let told = std::env::var("PAM_TOTP_DAMAGES").ok();
    told.map_or(2, |told| told.parse().unwrap())
}

#[test]
fn no_damage_to_any_one_file_loses_an_update_or_is_taken_for_an_older_store() {
    // The long form has a large store as well, with fewer damages.
    let large = (samples() > 2).then_some((10_000, false));
    let mut played = 0;
    for (users, killed) in [(1, true), (100, false)].into_iter().chain(large) {
        let samples = if users > 100 {
            samples().min(10)
        } else {
            samples()
        };
        let home = Home::of_users(users, killed);
        for file in home.files() {
            // After a kill, the end of the journal is the only place of the last updates.
            if killed && file.ends_with(".journal") {
                continue;
            }
            let whole = fs::read(home.path(&file)).unwrap();
            let mut damages = damages(&whole, samples);
            played += damages.len();
            if let Ok(older) = fs::read(home.path("older").join(&file)) {
                damages.push((
                    "older".into(),
                    Box::new(move |path| fs::write(path, &older).unwrap()),
                ));
            }
            for (what, damage) in damages {
                let what = format!("{users} users, killed: {killed}, {file} {what}");
                let home = home.again();
                damage(&home.path(&file));
                let told: Vec<Told> = home.is_whole(users, &what).try_iter().collect();
                assert!(told.len() <= 1, "{what}: {told:?}");
                home.is_whole(users, &format!("{what}, then opened again"));
            }
        }
    }
    println!("figures: {played} damages to one file, no record lost");
}

#[test]
fn a_store_that_its_journal_alone_makes_whole_is_told_as_healed() {
    let home = Home::filled(3);
    let size = fs::read(home.path("store/db")).unwrap().len();
    fs::write(home.path("store/db"), vec![0x5a; size]).unwrap();
    for healed in [true, false] {
        let (store, told) = home.hear();
        assert_eq!(store.unwrap().health().unwrap().users, 3);
        assert_eq!(
            told.try_iter()
                .any(|told| told == Told::Healed(Part::Store)),
            healed
        );
    }
}

#[test]
fn a_lost_or_older_store_is_made_anew_from_the_copy_and_the_damaged_one_is_kept_once() {
    let home = Home::of_users(100, false);
    let losses: [(&str, Loss); 4] = [
        ("no folder", |home| home.remove("store")),
        ("no log", |home| home.remove("store/db")),
        ("a damaged log", |home| {
            let bytes = fs::read(home.path("store/db")).unwrap();
            let size = bytes.len();
            fs::write(home.path("store/db"), vec![0x5a; size]).unwrap();
        }),
        ("an older folder", |home| {
            home.remove("store");
            copy(&home.path("older/store"), &home.path("store"));
            // A later snapshot, to which the older store has no way.
            let segments = home.segments();
            assert!(segments.len() > 1);
        }),
    ];
    for (what, lose) in losses {
        let home = home.again();
        lose(&home);
        let told: Vec<Told> = home.is_whole(100, what).try_iter().collect();
        if what != "an older folder" {
            assert_eq!(told.first(), Some(&Told::Healed(Part::Store)), "{what}");
        }
        let kept = home.path("store.damaged").exists();
        assert_eq!(kept, what == "a damaged log" || what == "no log", "{what}");
        home.is_whole(100, "the next start");
        assert!(!home.path("store.damaged").exists(), "{what}");
    }
}

#[test]
fn a_copy_that_was_hurt_is_renewed_while_the_store_is_open_and_is_then_as_good() {
    let home = Home::of_users(100, false);
    let hurts: [(&str, Loss); 4] = [
        ("no folder", |home| home.remove("store.journal")),
        ("no snapshot", |home| home.remove("store.journal/snapshot")),
        ("a flipped bit", |home| {
            let path = home.path("store.journal/snapshot");
            let mut bytes = fs::read(&path).unwrap();
            bytes[5000] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("no segments", |home| {
            home.segments().iter().for_each(|name| {
                if name.ends_with(".journal") {
                    home.remove(name);
                }
            })
        }),
    ];
    for (what, hurt) in hurts {
        let home = home.again();
        hurt(&home);
        let (store, told) = home.hear();
        let store = store.unwrap();
        if what == "no folder" {
            // As after an upgrade: it is made, not healed.
            while snapshot::size(&home.path("store.journal")) == 0 {
                std::thread::yield_now();
            }
        } else {
            assert_eq!(told.recv().unwrap(), Told::Healed(Part::Copy), "{what}");
            let copy = store.health().unwrap().copy.unwrap();
            assert_eq!((copy.is_whole, copy.healed), (Some(true), 1), "{what}");
            assert!(copy.snapshot.is_some() && copy.seen_whole.is_some());
        }
        drop(store);
        home.remove("store");
        home.is_whole(100, what);
    }
}

#[test]
fn a_journal_that_another_program_removes_replaces_or_cuts_is_begun_anew_and_no_update_is_lost() {
    for (what, touch) in missing::touches(SEGMENT) {
        let home = Home::new();
        let (store, told) = home.hear();
        let store = store.unwrap();
        until_looked(&store);
        (0..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        touch(&home);
        put(&store, "user-1", 11);
        assert_eq!(told.recv().unwrap(), Told::Healed(Part::Copy), "{what}");
        drop(store);
        home.remove("store");
        has_all_of_ten_and_one(&home, what);
    }
}

/// The first look at a new store's copy tells of nothing: it may make the copy for the first time.
fn until_looked(store: &SledStore) {
    while store.upkeep.health().is_whole != Some(true) {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_acknowledged_after_the_journal_was_hurt_outlives_a_kill_before_the_copy_is_renewed() {
    for (what, touch) in missing::touches(SEGMENT) {
        let home = Home::new();
        let (store, ..) = failing(&home);
        store.keeper.ends.store(true, Ordering::SeqCst);
        (0..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        touch(&home);
        put(&store, "user-1", 11);
        let killed = home.again();
        has_all_of_ten_and_one(&killed, what);
    }
}

fn has_all_of_ten_and_one(home: &Home, what: &str) {
    let store = home.open();
    let stored = |name: &str| store.load(&user(name)).unwrap().unwrap().bytes;
    assert_eq!(stored("user-1"), record(11), "{what}");
    assert_eq!(stored("user-4"), record(9), "{what}");
    let doubts = (store.rolled_back_tick(), store.incomplete());
    assert_eq!(doubts, (None, None), "{what}");
}

#[test]
fn a_renewal_that_fails_leaves_the_copy_as_it_was() {
    let home = Home::of_users(100, false);
    let store = home.open();
    fs::create_dir(home.path("store.journal/snapshot.new")).unwrap();
    assert!(renew(&home, &store).is_err());
    drop(store);
    home.remove("store.journal/snapshot.new");
    home.remove("store");
    home.is_whole(100, "the copy of before");
}

#[test]
fn a_marker_that_was_lost_is_written_anew_where_both_parts_agree() {
    let home = Home::of_users(1, false);
    home.remove("store.marker");
    home.remove("generation");
    home.is_whole(1, "no witness");
    assert!(mark(&home).is_some());
}

#[test]
fn a_snapshot_that_is_written_while_updates_go_on_is_a_whole_copy() {
    let home = Home::new();
    let (store, ..) = failing(&home);
    (0..200).for_each(|update| put(&store, &format!("user-{update}"), update));
    let folder = home.path("store.journal");
    let start = begin_copy(&store.committer).unwrap();
    assert!(store.overlay.settle());
    let mut update = 200;
    let fuzzy = rows(store.db.as_ref().unwrap()).inspect(|_| {
        let name = format!("user-{}", update % 230);
        put(&store, &name, update);
        if update % 7 == 0 {
            let moved = user(&format!("moved-{update}"));
            let version = store.load(&user(&name)).unwrap().unwrap().version;
            let moved = store.rename(&user(&name), version, &moved, record(update), soon());
            assert!(matches!(moved, Ok(Outcome::Done(_))));
        }
        assert!(store.overlay.settle());
        update += 1;
    });
    snapshot::write(&folder, start, fuzzy).unwrap();
    journal::remove(&folder, 0..start.segment).unwrap();
    let expected = store.list(None, usize::MAX).unwrap();
    drop(store);
    home.remove("store");
    let store = home.open();
    let healed = store.list(None, usize::MAX).unwrap();
    assert_eq!(format!("{healed:?}"), format!("{expected:?}"));
    assert_eq!((store.rolled_back_tick(), store.incomplete()), (None, None));
}

#[test]
fn a_copy_that_is_older_than_what_is_known_is_served_in_doubt() {
    let home = Home::of_users(100, false);
    home.remove("store.journal");
    copy(
        &home.path("older/store.journal"),
        &home.path("store.journal"),
    );
    home.remove("store");
    let (store, told) = home.hear();
    let store = store.unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Told::Salvaged]);
    assert_eq!(store.health().unwrap().users, 100);
    assert!(store.rolled_back_tick().is_some());
    assert!(store.incomplete().is_some());
}

#[test]
fn a_copy_in_which_a_row_is_missing_is_served_in_doubt() {
    let home = Home::of_users(100, false);
    let store = home.open();
    let start = begin_copy(&store.committer).unwrap();
    assert!(store.overlay.settle());
    let db = store.db.clone().unwrap();
    let some = rows(&db).filter(|row| !row.as_ref().is_ok_and(|row| *row.key == *b"ruser-7"));
    snapshot::write(&home.path("store.journal"), start, some).unwrap();
    drop((db, store));
    home.remove("store");
    let (store, told) = home.hear();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Told::Salvaged]);
    let store = store.unwrap();
    assert!(store.load(&user("user-7")).unwrap().is_none());
    assert!(store.load(&user("user-8")).unwrap().is_some());
    assert!(store.rolled_back_tick().is_some());
    assert!(store.incomplete().is_some());
}
