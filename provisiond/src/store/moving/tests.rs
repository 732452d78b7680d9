//! Tests of a move: of one that is killed at each step, and of what is refused. Each is played between
//! stores on a disk, and, with the feature `etcd`, also from and to a real etcd.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::store::Outcome;
use crate::store::sled::moving::{Arriving, Leaving};
use crate::store::sled::{Place, SledStore};

/// A store of one of the two kinds, on one machine.
pub(in crate::store) trait Side {
    fn leaving(&self, clock: &Arc<Clock>) -> Box<dyn Old>;
    fn arriving(&self, clock: &Arc<Clock>) -> Box<dyn New>;
    /// The store as a daemon opens it, or why it does not.
    fn served(&self) -> Result<Box<dyn Store>, String>;
}

/// A store on a disk.
pub(in crate::store) struct Disk(TempDir);

impl Disk {
    pub(in crate::store) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn place(&self) -> Place {
        Place {
            path: self.0.path().join("store"),
            cache_mib: 1,
            mirror: Some(self.0.path().join("generation")),
        }
    }

    fn name(&self) -> String {
        self.0.path().display().to_string()
    }
}

impl Side for Disk {
    fn leaving(&self, clock: &Arc<Clock>) -> Box<dyn Old> {
        let fatal = |why: &str| panic!("{why}");
        Box::new(Leaving::open(&self.place(), self.name(), Arc::clone(clock), fatal).unwrap())
    }

    fn arriving(&self, clock: &Arc<Clock>) -> Box<dyn New> {
        let clock = Arc::clone(clock);
        Box::new(Arriving::open(self.place(), self.name(), clock, false).unwrap())
    }

    fn served(&self) -> Result<Box<dyn Store>, String> {
        let opened = SledStore::open(&self.place(), clock(), |_| (), |why| panic!("{why}"));
        match opened {
            Ok(store) => Ok(Box::new(store)),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// The calls of a move that a test ends at.
const STEPS: [&str; 6] = ["begin", "fence", "fill", "rows", "finish", "end"];

/// Ends the run before that call, as a kill does: nothing is undone.
struct Killed<T>(T, &'static str);

impl<T> Killed<T> {
    fn dies_at(&self, step: &str) {
        assert!(step != self.1, "killed");
    }
}

impl Old for Killed<Box<dyn Old>> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn store(&self) -> &dyn Store {
        self.0.store()
    }

    fn fence(&self) -> Option<&Fence> {
        self.0.fence()
    }

    fn set_fence(&mut self, fence: Option<Fence>) -> Result<(), NotMoved> {
        self.dies_at("fence");
        self.0.set_fence(fence)
    }
}

impl New for Killed<Box<dyn New>> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn fence(&self) -> Option<&Fence> {
        self.0.fence()
    }

    fn has_users(&self) -> bool {
        self.0.has_users()
    }

    fn begin(&mut self, fence: Fence) -> Result<(), NotMoved> {
        self.dies_at("begin");
        self.0.begin(fence)
    }

    fn fill(&mut self, rows: &Rows, carried: &Carried) -> Result<(), NotMoved> {
        self.dies_at("fill");
        self.0.fill(rows, carried)
    }

    fn rows(&mut self) -> Result<Rows, NotMoved> {
        self.dies_at("rows");
        self.0.rows()
    }

    fn finish(&mut self, carried: &Carried) -> Result<(), NotMoved> {
        self.dies_at("finish");
        self.0.finish(carried)?;
        self.dies_at("end");
        Ok(())
    }
}

fn clock() -> Arc<Clock> {
    Clock::of_this_machine(|_| ())
}

fn carried(clock: &Arc<Clock>) -> impl FnOnce(&dyn Store) -> Carried + use<> {
    let clock = Arc::clone(clock);
    move |store| Carried {
        rolled_back_tick: store.rolled_back_tick(),
        incomplete: store.incomplete(),
        mark: clock.mark(),
        tick: clock.moment_of_question(None).tick,
    }
}

/// One run, which is killed before that call.
fn moved(from: &dyn Side, to: &dyn Side, killed: &'static str) -> Result<Option<Moved>, NotMoved> {
    let clock = clock();
    let old = Killed(from.leaving(&clock), killed);
    let mut new = Killed(to.arriving(&clock), killed);
    run(Box::new(old), &mut new, carried(&clock), |_| Ok(()))
}

fn user(number: usize) -> UserName {
    UserName::new(&format!("user-{number:04}")).unwrap()
}

fn insert(store: &dyn Store, number: usize, record: &str) {
    let done = store.insert_new(&user(number), record.into(), soon());
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
}

fn change(store: &dyn Store, number: usize, record: &str) {
    let version = store.load(&user(number)).unwrap().unwrap().version;
    let done = store.replace(&user(number), version, record.into(), soon());
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A run that is killed before each of its calls. Meanwhile at most one of the two stores is served, and
/// what was changed in it is not lost.
pub(in crate::store) fn a_move_that_is_killed_goes_on(from: &dyn Side, to: &dyn Side) {
    let store = from.served().unwrap();
    for number in 0..USERS {
        insert(&*store, number, "at first");
    }
    store.close();
    drop(store);
    for (number, step) in STEPS.into_iter().enumerate() {
        let ended = catch_unwind(AssertUnwindSafe(|| moved(from, to, step)));
        assert!(ended.is_err(), "not killed before {step}: {ended:?}");
        let old = from.served();
        // Before it has begun, the new one is empty, and may be served.
        let new = match step {
            "begin" => Err(String::new()),
            _ => to.served(),
        };
        assert!(old.is_err() || new.is_err(), "both are served: {step}");
        let has_ended = step == "end";
        assert_eq!(new.is_ok(), has_ended, "{step}: {:?}", new.err());
        if let Ok(store) = old.as_deref() {
            assert!(["begin", "fence"].contains(&step), "{step}");
            change(store, number, step);
            store.close();
        }
    }
    assert_eq!(moved(from, to, "never").unwrap(), None);
    let (old, store) = (from.served(), to.served().unwrap());
    let why = old.err().unwrap();
    assert!(why.contains("have moved to"), "{why}");
    let rows = rows_of(&*store).unwrap();
    assert_eq!(rows.len(), USERS);
    for (number, step) in ["begin", "fence", "at first"].into_iter().enumerate() {
        assert_eq!(rows[&user(number)], step.as_bytes());
    }
    assert_eq!(store.health().unwrap().users, USERS as u64);
    assert_eq!((store.rolled_back_tick(), store.incomplete()), (None, None));
    change(&*store, 5, "after");
    store.close();
}

/// Records that were moved, changed, and moved back to where they were.
pub(in crate::store) fn records_move_there_and_back(one: &dyn Side, other: &dyn Side) {
    let store = one.served().unwrap();
    (0..USERS).for_each(|number| insert(&*store, number, "at first"));
    store.close();
    drop(store);
    let first = moved(one, other, "never").unwrap().unwrap();
    assert_eq!(first.users, USERS as u64);
    let store = other.served().unwrap();
    change(&*store, 1, "changed there");
    let gone = store.load(&user(2)).unwrap().unwrap().version;
    let removed = store.remove(&user(2), gone, soon());
    assert!(matches!(removed, Ok(Outcome::Done(_))));
    insert(&*store, USERS, "new there");
    store.close();
    drop(store);
    let back = moved(other, one, "never").unwrap().unwrap();
    assert_eq!(back.users, USERS as u64);
    assert_ne!(back.digest, first.digest);
    assert!(other.served().is_err());
    let store = one.served().unwrap();
    let rows = rows_of(&*store).unwrap();
    assert_eq!(counted(&rows), back);
    assert_eq!(rows[&user(1)], b"changed there");
    assert!(!rows.contains_key(&user(2)) && rows.contains_key(&user(USERS)));
    assert_eq!((store.rolled_back_tick(), store.incomplete()), (None, None));
    store.close();
}

const USERS: usize = 250;

#[test]
fn a_move_between_two_disks_that_is_killed_goes_on() {
    a_move_that_is_killed_goes_on(&Disk::new(), &Disk::new());
}

#[test]
fn records_move_to_another_disk_and_back() {
    records_move_there_and_back(&Disk::new(), &Disk::new());
}

#[test]
fn after_a_failure_the_old_store_is_served_again() {
    let (from, to) = (Disk::new(), Disk::new());
    let store = from.served().unwrap();
    insert(&*store, 0, "one");
    drop(store);
    let clock = clock();
    let refused = run(
        from.leaving(&clock),
        to.arriving(&clock).as_mut(),
        carried(&clock),
        |_| Err(NotMoved::DoesNotOpen("no secret".into())),
    );
    assert_eq!(refused.unwrap_err().to_string(), "no secret");
    let store = from.served().unwrap();
    change(&*store, 0, "two");
    drop(store);
    let why = to.served().err().unwrap();
    assert!(why.contains("on their way into it"), "{why}");
    assert!(moved(&from, &to, "never").unwrap().is_some());
    let rows = rows_of(&*to.served().unwrap()).unwrap();
    assert_eq!(rows[&user(0)], b"two");
}

#[test]
fn what_a_store_knows_of_a_roll_back_and_of_a_loss_goes_along() {
    let (from, to) = (Disk::new(), Disk::new());
    let store = from.served().unwrap();
    insert(&*store, 0, "one");
    drop(store);
    let parts = || ["store", "store.journal"].map(|part| from.0.path().join(part));
    let kept = tempfile::tempdir().unwrap();
    let copied = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(done.unwrap().success());
    };
    for part in parts() {
        copied(&part, kept.path());
    }
    insert(&*from.served().unwrap(), 1, "two");
    for part in parts() {
        std::fs::remove_dir_all(&part).unwrap();
        copied(&kept.path().join(part.file_name().unwrap()), &part);
    }
    let store = from.served().unwrap();
    let known = (store.rolled_back_tick(), store.incomplete());
    assert!(known.0.is_some() && known.1.is_some(), "it was put back");
    drop(store);
    assert!(moved(&from, &to, "never").unwrap().is_some());
    let store = to.served().unwrap();
    assert_eq!((store.rolled_back_tick(), store.incomplete()), known);
}

#[test]
fn records_move_from_one_store_into_an_empty_one_alone() {
    let (from, other, to) = (Disk::new(), Disk::new(), Disk::new());
    let why = moved(&from, &to, "never").unwrap_err().to_string();
    assert!(why.contains("has no users"), "{why}");
    for side in [&from, &other] {
        insert(&*side.served().unwrap(), 0, "one");
    }
    let why = moved(&from, &other, "never").unwrap_err().to_string();
    assert!(why.contains("has users of its own"), "{why}");
    let half = catch_unwind(AssertUnwindSafe(|| moved(&from, &to, "fill")));
    assert!(half.is_err());
    for (one, another, parts) in [
        (&other, &to, "on their way into it"),
        (&from, &other, "have moved to"),
    ] {
        let why = moved(one, another, "never").unwrap_err().to_string();
        assert!(why.contains(parts), "{why}");
    }
    assert!(other.served().is_ok());
    assert!(moved(&from, &to, "never").unwrap().is_some());
}

#[test]
fn a_fence_that_cannot_be_understood_is_one_all_the_same() {
    let disk = Disk::new();
    insert(&*disk.served().unwrap(), 0, "one");
    for text in [
        "",
        "x",
        "pam-totp store moved 1\n",
        "pam-totp store moved 2\nmoved to x\n",
    ] {
        let path = disk.0.path().join("store.moved");
        std::fs::write(&path, text).unwrap();
        assert!(disk.served().is_err(), "{text:?}");
        std::fs::remove_file(path).unwrap();
    }
    assert!(disk.served().is_ok());
}
