//! Tests of the sled store: locks, syncs that fail, kills, markers.

mod comparing;
mod damage;
mod erased;
mod healing;
mod missing;
mod put_back;
mod replay;
mod salvage;
mod strange;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use ::sled::Db;

use super::starting::begin_copy;
use super::summary::{FORMAT, LEAP, SUMMARY};
use super::writer::Writer;
use super::*;
use crate::clock::tests::Hands;
use crate::store::commit::Apply;
use crate::store::journal::{self, Earlier, snapshot};
use crate::store::marker::{Age, Marker, Mirror, StoreMark, lock, prepare_folder};

fn clock() -> Arc<Clock> {
    Clock::of_this_machine(|_| ())
}

/// A folder for a store, its witnesses and copies of it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn place(&self, mirror: bool) -> Place {
        let mirror = mirror.then(|| self.path("generation"));
        Place {
            path: self.path("store"),
            cache_mib: 1,
            mirror,
        }
    }

    fn open(&self) -> SledStore {
        self.try_open(true).unwrap()
    }

    /// Opens the store with a clock that the test moves.
    fn open_by(&self, clock: &Arc<Clock>) -> SledStore {
        SledStore::open(
            &self.place(true),
            Arc::clone(clock),
            |_| (),
            |why| panic!("{why}"),
        )
        .unwrap()
    }

    fn try_open(&self, mirror: bool) -> Result<SledStore, OpenError> {
        SledStore::open(&self.place(mirror), clock(), |_| (), |why| panic!("{why}"))
    }

    fn open_at_once(&self) -> Result<SledStore, OpenError> {
        let around = Surroundings {
            lock_wait: Duration::ZERO,
            ..Surroundings::of_a_daemon()
        };
        SledStore::open_with(
            around,
            &self.place(true),
            clock(),
            Arc::new(|_| ()),
            |why| panic!("{why}"),
        )
    }

    /// Opens the closed store with sled alone, and changes it. The copy, which would heal it, is lost
    /// as well.
    fn tamper(&self, tamper: impl FnOnce(&Db)) {
        let _ = std::fs::remove_dir_all(self.path("store.journal"));
        drop(lock(&self.path("store/db"), soon()).unwrap());
        tamper(
            &::sled::Config::new()
                .path(self.path("store"))
                .open()
                .unwrap(),
        );
    }

    /// A store of `updates` updates of five users, closed.
    fn filled(updates: u64) -> Self {
        let home = Self::new();
        let store = home.open();
        (0..updates).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        drop(store);
        home
    }

    /// Updates the store, then rolls it back to yesterday's copy.
    fn put_back_after_an_update(&self, clock: &Arc<Clock>) -> SledStore {
        let store = self.open_by(clock);
        put(&store, "user-1", 10);
        drop(store);
        self.put_back("yesterday");
        self.open_by(clock)
    }

    /// Copies the store and its journal to a folder of that name.
    fn keep(&self, name: &str) {
        for part in ["store", "store.journal"] {
            copy(&self.path(part), &self.path(name).join(part));
        }
    }

    /// Puts both back as they were then.
    fn put_back(&self, name: &str) {
        for part in ["store", "store.journal"] {
            let _ = std::fs::remove_dir_all(self.path(part));
            copy(&self.path(name).join(part), &self.path(part));
        }
    }

    fn refusal(&self) -> String {
        self.try_open(true)
            .err()
            .expect("it was opened")
            .to_string()
    }

    fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A record with the number of its update, long enough to be hit by damage.
fn record(update: u64) -> Vec<u8> {
    update.to_be_bytes().repeat(20)
}

fn put(store: &SledStore, name: &str, update: u64) {
    let answer = match store.load(&user(name)).unwrap() {
        Some(stored) => store.replace(&user(name), stored.version, record(update), soon()),
        None => store.insert_new(&user(name), record(update), soon()),
    };
    assert!(matches!(answer, Ok(Outcome::Done(_))), "{answer:?}");
}

fn mark(home: &Home) -> Option<StoreMark> {
    Marker::read(&home.path("store")).unwrap().mark()
}

fn of_age(users: u64, generation: u64) -> StoreMark {
    StoreMark {
        users,
        age: Age {
            generation,
            spent: 0,
            whole: generation,
        },
    }
}

fn generation(store: &SledStore) -> u64 {
    store.health().unwrap().generation
}

/// A second writer of the open store, which the test can hand a group of updates.
fn writer(home: &Home, store: &SledStore) -> Writer {
    let earlier = Earlier::in_folder(&home.path("store.journal")).unwrap();
    Writer {
        path: home.path("store"),
        db: store.db.clone().unwrap(),
        overlay: Arc::clone(&store.overlay),
        journal: earlier
            .begin(Arc::new(File::sync_data), channel().0)
            .unwrap(),
        marker: Marker::read(&home.path("store")).unwrap(),
        marker_due: None,
        mirror: Mirror::open(None).unwrap().0,
        clock: clock(),
        summary: Summary::default(),
        shared: Arc::clone(&store.summary),
        deletes: Arc::default(),
        counted: Arc::default(),
    }
}

#[test]
fn updates_of_one_group_are_judged_one_after_the_other() {
    let home = Home::new();
    let store = home.open();
    let update = |expected: Option<u64>, record: Option<u8>| {
        let (expected, record) = (expected.map(Version), record.map(|byte| vec![byte]));
        Update::Records(vec![Change::of(&user("alice"), expected, record)])
    };
    let group = vec![
        update(None, Some(1)),
        update(None, Some(2)),
        update(Some(1), Some(3)),
        update(Some(1), Some(4)),
        update(Some(2), None),
        update(Some(2), Some(5)),
        update(None, Some(6)),
    ];
    let mut writer = writer(&home, &store);
    let answers: Vec<_> = writer
        .apply(group)
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let done = |version| Outcome::Done(Version(version));
    let conflict = Outcome::Conflict;
    assert_eq!(
        answers,
        [
            done(1),
            conflict,
            done(2),
            conflict,
            done(3),
            conflict,
            done(4)
        ]
    );
    let stored = store.load(&user("alice")).unwrap().unwrap();
    assert_eq!((stored.bytes, stored.version), (vec![6], Version(4)));
    assert_eq!(
        store.health().unwrap(),
        Health {
            kind: "sled",
            users: 1,
            generation: 4,
            ..store.health().unwrap()
        }
    );
}

#[test]
fn the_last_user_can_be_removed() {
    for clean in [true, false] {
        let home = Home::filled(1);
        let store = home.open();
        let version = store.load(&user("user-0")).unwrap().unwrap().version;
        assert!(matches!(
            store.remove(&user("user-0"), version, soon()),
            Ok(Outcome::Done(_))
        ));
        let before = mark(&home);
        drop(store);
        if !clean {
            // As after a kill: the marker still has a user.
            Marker::read(&home.path("store"))
                .unwrap()
                .write(before.unwrap())
                .unwrap();
        }
        let store = home.open();
        assert_eq!(
            (store.health().unwrap().users, store.rolled_back_tick()),
            (0, None)
        );
    }
}

#[test]
fn the_marker_speaks_of_the_first_user_at_once_and_of_the_others_in_time() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(mark(&home), None);
    put(&store, "alice", 0);
    assert_eq!(mark(&home), Some(of_age(1, 1)));
    put(&store, "bob", 1);
    assert_eq!(mark(&home), Some(of_age(1, 1)));
    store.close();
    assert_eq!(mark(&home), Some(of_age(2, 2)));
}

#[test]
fn drafts_of_snapshots_are_removed_and_snapshots_are_kept() {
    let home = Home::filled(30);
    drop(home.open());
    let snapshots = || -> BTreeSet<_> {
        let entries = home
            .path("store")
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        entries
            .map(|name| name.into_string().unwrap())
            .filter(|name| name.starts_with("snap."))
            .collect()
    };
    let before = snapshots();
    assert_eq!(before.len(), 1);
    for draft in [
        "store/snap.00000000000FFFFF.generating",
        "store/snap..generating",
    ] {
        std::fs::write(home.path(draft), "torn").unwrap();
    }
    std::fs::write(home.path("store/other.generating"), "not ours").unwrap();
    prepare_folder(&home.path("store")).unwrap();
    assert_eq!(snapshots(), before);
    assert!(home.path("store/other.generating").exists());
    std::fs::write(home.path("store/snap.00000000000FFFFF.generating"), "torn").unwrap();
    assert_eq!(home.open().health().unwrap().users, 5);
    assert!(
        snapshots()
            .iter()
            .all(|name| !name.ends_with(".generating"))
    );
}

#[test]
fn a_second_process_is_told_and_the_first_goes_on() {
    let home = Home::new();
    let store = home.open();
    let refusal = home.open_at_once().err().unwrap().to_string();
    assert!(refusal.contains("in use by another process"), "{refusal}");
    put(&store, "alice", 0);
    let waiting = std::thread::spawn({
        let place = home.place(true);
        move || {
            SledStore::open(&place, clock(), |_| (), |_| {})
                .map(|store| store.health().unwrap().users)
        }
    });
    put(&store, "bob", 1);
    drop(store);
    assert_eq!(waiting.join().unwrap().unwrap(), 2);
}

#[test]
fn a_lock_that_sled_still_holds_is_waited_for_as_well() {
    let home = Home::filled(1);
    home.tamper(|_| {
        assert!(matches!(
            home.open_at_once().err(),
            Some(OpenError::InUse(_))
        ))
    });
    assert_eq!(home.open().health().unwrap().users, 1);
}

#[test]
fn every_file_is_private_whatever_was_before() {
    let home = Home::filled(10);
    for (name, mode) in [
        ("store", 0o755),
        ("store/db", 0o644),
        ("store/blobs", 0o755),
    ] {
        std::fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
    }
    put(&home.open(), "alice", 10);
    let mut folders = vec![home.0.path().to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let (path, found) = (
                entry.as_ref().unwrap().path(),
                entry.unwrap().metadata().unwrap(),
            );
            let expected = if found.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(
                found.permissions().mode() & 0o7777,
                expected,
                "{}",
                path.display()
            );
            seen += 1;
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(
        seen >= 8,
        "store, its db, conf, blobs and snapshot; lock, marker, mirror; not {seen}"
    );
}

/// A store whose disk fails when the switch is set, the switch, the count of syncs, and the
/// sentences for `fatal`.
fn failing(
    home: &Home,
) -> (
    SledStore,
    Arc<AtomicBool>,
    Arc<AtomicUsize>,
    Receiver<String>,
) {
    let (fails, syncs) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (switch, counter) = (Arc::clone(&fails), Arc::clone(&syncs));
    let sync = move |log: &File| {
        counter.fetch_add(1, Ordering::SeqCst);
        if switch.load(Ordering::SeqCst) {
            Err(io::Error::from_raw_os_error(5))
        } else {
            log.sync_data()
        }
    };
    let (fatal, heard) = channel();
    let fatal = Mutex::new(fatal);
    // What the committer alone syncs is counted: sled gets its part at the end.
    let around = Surroundings {
        settle_after: Duration::from_secs(3600),
        sync: Arc::new(sync),
        ..Surroundings::of_a_daemon()
    };
    let tell = move |why: &str| fatal.lock().unwrap().send(why.to_owned()).unwrap();
    let store =
        SledStore::open_with(around, &home.place(true), clock(), Arc::new(|_| ()), tell).unwrap();
    (store, fails, syncs, heard)
}

#[test]
fn an_update_is_synced_before_it_is_acknowledged_and_a_conflict_needs_none() {
    let home = Home::new();
    let (store, _, syncs, _heard) = failing(&home);
    for update in 0..3 {
        let before = syncs.load(Ordering::SeqCst);
        put(&store, "alice", update);
        assert_eq!(syncs.load(Ordering::SeqCst), before + 1);
    }
    let before = syncs.load(Ordering::SeqCst);
    assert_eq!(
        store.insert_new(&user("alice"), vec![], soon()),
        Ok(Outcome::Conflict)
    );
    assert_eq!(syncs.load(Ordering::SeqCst), before);
}

#[test]
fn a_failed_sync_ends_the_store_at_once_and_for_ever() {
    let home = Home::new();
    let (store, fails, syncs, heard) = failing(&home);
    put(&store, "alice", 0);
    let version = store.load(&user("alice")).unwrap().unwrap().version;
    fails.store(true, Ordering::SeqCst);
    assert_eq!(
        store.replace(&user("alice"), version, record(1), soon()),
        Err(Unavailable)
    );
    let sentence = heard.recv().unwrap();
    assert!(
        sentence.contains("failed: Input/output error") && sentence.ends_with("check the disk"),
        "{sentence}"
    );
    fails.store(false, Ordering::SeqCst);
    let before = syncs.load(Ordering::SeqCst);
    assert_eq!(
        store.replace(&user("alice"), version, record(2), soon()),
        Err(Unavailable)
    );
    assert_eq!(
        store.insert_new(&user("bob"), record(2), soon()),
        Err(Unavailable)
    );
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    assert_eq!(store.list(None, 1).unwrap_err(), Unavailable);
    assert_eq!(store.health(), Err(Unavailable));
    drop(store);
    assert_eq!(
        syncs.load(Ordering::SeqCst),
        before,
        "no sync is tried again"
    );
    assert_eq!(heard.iter().count(), 0, "it is said once");
}

#[test]
fn a_panic_while_reading_ends_the_store() {
    let home = Home::new();
    let (store, _, _, heard) = failing(&home);
    put(&store, "alice", 0);
    assert_eq!(
        store.read(|_| -> ::sled::Result<()> { panic!("as ordered") }),
        Err(Unavailable)
    );
    assert!(heard.recv().unwrap().contains("its library panicked"));
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
}

#[test]
fn a_marker_that_cannot_be_written_fails_the_first_enrolment() {
    let home = Home::new();
    let (store, _, _, heard) = failing(&home);
    std::fs::create_dir(home.path("store.marker.new")).unwrap();
    assert_eq!(
        store.insert_new(&user("alice"), vec![], soon()),
        Err(Unavailable)
    );
    assert_eq!(heard.iter().take(1).count(), 1);
}

/// The first segment of a new store.
const SEGMENT: &str = "store.journal/00000000000000000001.journal";
