//! The conformance suite that every store has to pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::clock::tests::Hands;

/// A store for the tests, which can be opened several times, one after the other.
trait Backend {
    fn new() -> Self;
    fn open_with(&self, clock: Arc<Clock>) -> Box<dyn Store>;

    fn open(&self) -> Box<dyn Store> {
        self.open_with(Clock::of_this_machine(|_| ()))
    }
}

struct OnSled(tempfile::TempDir);

impl Backend for OnSled {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open_with(&self, clock: Arc<Clock>) -> Box<dyn Store> {
        let path = self.0.path().join("store");
        let place = sled::Place {
            path,
            cache_mib: 1,
            mirror: Some(self.0.path().join("generation")),
        };
        Box::new(sled::SledStore::open(&place, clock, |_| (), |why| panic!("{why}")).unwrap())
    }
}

/// One prefix of the cluster that the tests share, and the files of one machine.
#[cfg(feature = "etcd")]
struct OnEtcd(etcd::tests::Machine);

#[cfg(feature = "etcd")]
impl Backend for OnEtcd {
    fn new() -> Self {
        Self(etcd::tests::Machine::of(etcd::tests::shared()))
    }

    fn open_with(&self, clock: Arc<Clock>) -> Box<dyn Store> {
        Box::new(self.0.open_with(clock).unwrap())
    }
}

/// The promises of every store, as one test each for the backend.
macro_rules! promises {
    ($module:ident $backend:ident: $($name:ident)*) => {
        mod $module { $(
            #[test]
            fn $name() {
                super::$name(&<super::$backend as super::Backend>::new());
            }
        )* }
    };
}

macro_rules! on_every_store {
    ($($name:ident)*) => {
        promises! { on_sled OnSled: $($name)* }
        #[cfg(feature = "etcd")]
        promises! { on_etcd OnEtcd: $($name)* }
    };
}

on_every_store! {
    a_record_is_read_as_it_was_stored_also_after_a_restart
    many_records_are_read_at_once_each_of_its_own_user
    an_update_from_anything_but_the_present_version_is_a_conflict
    a_version_never_repeats
    a_record_that_is_moved_is_in_one_place
    users_are_listed_page_by_page_in_the_order_of_their_names
    records_of_nobody_are_kept_and_neither_listed_nor_counted
    of_many_who_replace_one_version_exactly_one_succeeds
    many_users_are_served_at_once
    a_closed_store_is_unavailable
    what_was_seen_of_the_clock_is_remembered
    to_keep_the_mark_of_the_clock_changes_nothing_else
    an_enrolment_is_a_first_record_or_the_next_one
    it_behaves_like_a_map
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn done(answer: Result<Outcome, Unavailable>) -> Version {
    match answer {
        Ok(Outcome::Done(version)) => version,
        other => panic!("{other:?}"),
    }
}

fn loaded(store: &dyn Store, name: &str) -> Option<(Vec<u8>, Version)> {
    store
        .load(&user(name))
        .unwrap()
        .map(|stored| (stored.bytes, stored.version))
}

fn names(store: &dyn Store, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.list(after.map(user).as_ref(), limit).unwrap();
    rows.into_iter()
        .map(|(user, _)| user.as_str().to_owned())
        .collect()
}

fn a_record_is_read_as_it_was_stored_also_after_a_restart(backend: &impl Backend) {
    let store = backend.open();
    assert_eq!(loaded(&*store, "alice"), None);
    let long = vec![0xa5; 4096];
    let (first, second) = (
        done(store.insert_new(&user("alice"), long.clone(), soon())),
        done(store.insert_new(&user("bob"), Vec::new(), soon())),
    );
    let before = counted(&*store);
    drop(store);
    let store = backend.open();
    assert_eq!(loaded(&*store, "alice"), Some((long, first)));
    assert_eq!(loaded(&*store, "bob"), Some((Vec::new(), second)));
    assert_eq!(loaded(&*store, "alic"), None);
    assert_eq!(counted(&*store), (2, before.1));
    assert_eq!(store.rolled_back_tick(), None);
}

fn many_records_are_read_at_once_each_of_its_own_user(backend: &impl Backend) {
    let store = backend.open();
    let (alice, nobody) = (user("alice"), UserName::reserved(1));
    let read = |users: &[&UserName]| {
        let rows = store.load_many(users).unwrap().into_iter();
        rows.map(|row| row.map(|stored| (stored.bytes, stored.version)))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&[]), []);
    assert_eq!(read(&[&alice, &nobody]), [None, None]);
    let decoy = done(store.insert_new(&nobody, b"decoy".to_vec(), soon()));
    let decoy = Some((b"decoy".to_vec(), decoy));
    assert_eq!(read(&[&alice, &nobody]), [None, decoy.clone()]);
    _ = done(store.insert_new(&alice, b"alice".to_vec(), soon()));
    let own = loaded(&*store, "alice");
    assert_eq!(read(&[&alice, &nobody]), [own.clone(), decoy.clone()]);
    let many = [[&nobody; 150].as_slice(), &[&alice]].concat();
    let rows = read(&many);
    assert!(rows[..150].iter().all(|row| *row == decoy));
    assert_eq!(rows[150..], [own]);
}

fn an_update_from_anything_but_the_present_version_is_a_conflict(backend: &impl Backend) {
    let store = backend.open();
    let (alice, bob) = (user("alice"), user("bob"));
    let old = done(store.insert_new(&alice, vec![1], soon()));
    assert_eq!(
        store.insert_new(&alice, vec![2], soon()),
        Ok(Outcome::Conflict)
    );
    assert_eq!(
        store.replace(&bob, old, vec![2], soon()),
        Ok(Outcome::Conflict)
    );
    assert_eq!(store.remove(&bob, old, soon()), Ok(Outcome::Conflict));
    let new = done(store.replace(&alice, old, vec![3], soon()));
    assert_eq!(
        store.replace(&alice, old, vec![4], soon()),
        Ok(Outcome::Conflict)
    );
    assert_eq!(store.remove(&alice, old, soon()), Ok(Outcome::Conflict));
    assert_eq!(loaded(&*store, "alice"), Some((vec![3], new)));
    assert_eq!(loaded(&*store, "bob"), None);
    _ = done(store.remove(&alice, new, soon()));
    assert_eq!(store.remove(&alice, new, soon()), Ok(Outcome::Conflict));
    assert_eq!(
        (loaded(&*store, "alice"), store.health().unwrap().users),
        (None, 0)
    );
}

fn a_version_never_repeats(backend: &impl Backend) {
    let mut seen = Vec::new();
    for round in 0..10 {
        let store = backend.open();
        let first = done(store.insert_new(&user("alice"), vec![round], soon()));
        let second = done(store.replace(&user("alice"), first, vec![round], soon()));
        assert_eq!(
            store.replace(&user("alice"), first, vec![9], soon()),
            Ok(Outcome::Conflict)
        );
        let third = done(store.remove(&user("alice"), second, soon()));
        for version in [first, second, third] {
            assert!(
                !seen.contains(&version),
                "{version:?} came again in round {round}"
            );
            seen.push(version);
        }
    }
}

fn a_record_that_is_moved_is_in_one_place(backend: &impl Backend) {
    let store = backend.open();
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let old = done(store.insert_new(&alice, vec![1], soon()));
    let others = done(store.insert_new(&bob, vec![2], soon()));
    assert_eq!(
        store.rename(&alice, old, &bob, vec![3], soon()),
        Ok(Outcome::Conflict),
        "bob has a record"
    );
    assert_eq!(
        store.rename(&alice, others, &carol, vec![3], soon()),
        Ok(Outcome::Conflict),
        "not that version"
    );
    assert_eq!(
        store.rename(&carol, old, &alice, vec![3], soon()),
        Ok(Outcome::Conflict),
        "carol has none"
    );
    assert_eq!(
        store.rename(&alice, old, &alice, vec![3], soon()),
        Ok(Outcome::Conflict),
        "to where it is"
    );
    assert_eq!(
        (loaded(&*store, "alice"), loaded(&*store, "bob")),
        (Some((vec![1], old)), Some((vec![2], others)))
    );
    let new = done(store.rename(&alice, old, &carol, vec![3], soon()));
    assert!(new != old && new != others);
    assert_eq!(
        store.replace(&alice, old, vec![4], soon()),
        Ok(Outcome::Conflict)
    );
    drop(store);
    let store = backend.open();
    assert_eq!(
        (loaded(&*store, "alice"), loaded(&*store, "carol")),
        (None, Some((vec![3], new)))
    );
    assert_eq!(
        (store.health().unwrap().users, store.rolled_back_tick()),
        (2, None)
    );
}

fn users_are_listed_page_by_page_in_the_order_of_their_names(backend: &impl Backend) {
    let store = backend.open();
    let all = ["A", "a", "a b", "aa", "b", "m", "r", "ra", "s", "z", "ä"];
    for name in all.iter().rev() {
        _ = done(store.insert_new(&user(name), name.as_bytes().to_vec(), soon()));
    }
    assert_eq!(names(&*store, None, usize::MAX), all);
    let mut pages = Vec::new();
    loop {
        let page = names(&*store, pages.last().map(String::as_str), 3);
        assert!(page.len() <= 3);
        match page.is_empty() {
            true => break,
            false => pages.extend(page),
        }
    }
    assert_eq!(pages, all);
    assert_eq!(names(&*store, Some("b"), 2), ["m", "r"]);
    assert_eq!(names(&*store, Some("azure"), 1), ["b"]);
    assert!(names(&*store, None, 0).is_empty());
    assert!(
        store
            .list(None, 99)
            .unwrap()
            .iter()
            .all(|(user, row)| user.as_str().as_bytes() == row.bytes)
    );
}

fn records_of_nobody_are_kept_and_neither_listed_nor_counted(backend: &impl Backend) {
    let store = backend.open();
    let reserved = UserName::reserved(5);
    let first = done(store.insert_new(&reserved, vec![1], soon()));
    assert_eq!(store.health().unwrap().users, 0);
    drop(store);
    let store = backend.open();
    assert_eq!(store.rolled_back_tick(), None);
    let second = done(store.replace(&reserved, first, vec![2], soon()));
    _ = done(store.insert_new(&user("alice"), vec![3], soon()));
    let stored = store.load(&reserved).unwrap().unwrap();
    assert_eq!((stored.bytes, stored.version), (vec![2], second));
    assert_eq!(
        (names(&*store, None, 9), store.health().unwrap().users),
        (vec!["alice".to_owned()], 1)
    );
    drop(store);
    assert_eq!(backend.open().rolled_back_tick(), None);
}

fn of_many_who_replace_one_version_exactly_one_succeeds(backend: &impl Backend) {
    const RACERS: u8 = 64;
    let store = backend.open();
    let mut version = done(store.insert_new(&user("alice"), vec![0], soon()));
    for _ in 0..30 {
        let line = Barrier::new(RACERS.into());
        let race = |racer| {
            line.wait();
            (
                racer,
                store
                    .replace(&user("alice"), version, vec![racer], soon())
                    .unwrap(),
            )
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|racer| scope.spawn(move || race(racer)))
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results
            .into_iter()
            .partition(|(_, o)| *o != Outcome::Conflict);
        let [(winner, Outcome::Done(next))] = won[..] else {
            panic!("{won:?}")
        };
        assert_eq!(lost.len(), usize::from(RACERS) - 1);
        assert_eq!(loaded(&*store, "alice"), Some((vec![winner], next)));
        version = next;
    }
}

fn many_users_are_served_at_once(backend: &impl Backend) {
    let store = backend.open();
    let live = |name: String| {
        let mut version = done(store.insert_new(&user(&name), vec![0], soon()));
        for round in 1..=20 {
            assert_eq!(loaded(&*store, &name), Some((vec![round - 1], version)));
            version = done(store.replace(&user(&name), version, vec![round], soon()));
        }
    };
    std::thread::scope(|scope| {
        for number in 0..64 {
            scope.spawn(move || live(format!("user-{number}")));
        }
    });
    drop(store);
    let store = backend.open();
    assert_eq!(store.health().unwrap().users, 64);
    assert!(
        store
            .list(None, 99)
            .unwrap()
            .iter()
            .all(|(_, row)| row.bytes == [20])
    );
}

fn what_was_seen_of_the_clock_is_remembered(backend: &impl Backend) {
    let hands = Hands::new();
    let store = backend.open_with(hands.clock());
    _ = done(store.insert_new(&user("alice"), vec![1], soon()));
    hands.pass(60, 60);
    _ = done(store.insert_new(&user("bob"), vec![1], soon()));
    drop(store);
    hands.pass(30, 30);
    let clock = hands.clock();
    drop(backend.open_with(Arc::clone(&clock)));
    assert_eq!(
        (clock.moment(None).tick, clock.moment(None).doubts.latest()),
        (90, None)
    );
    hands.pass(-600, 10);
    for _ in 0..2 {
        let clock = hands.clock();
        drop(backend.open_with(Arc::clone(&clock)));
        assert_eq!(
            (clock.moment(None).tick, clock.moment(None).doubts.latest()),
            (100, Some(hands.now()))
        );
    }
}

/// What updates change of the state of a store.
fn counted(store: &dyn Store) -> (u64, u64) {
    let health = store.health().unwrap();
    (health.users, health.generation)
}

fn to_keep_the_mark_of_the_clock_changes_nothing_else(backend: &impl Backend) {
    let store = backend.open();
    let version = done(store.insert_new(&user("alice"), vec![1], soon()));
    let before = counted(&*store);
    _ = done(store.keep_mark(soon()));
    assert_eq!(
        (
            counted(&*store),
            store.load(&user("alice")).unwrap().unwrap().version
        ),
        (before, version)
    );
    store.close();
    assert_eq!(store.keep_mark(soon()), Err(Unavailable));
}

fn an_enrolment_is_a_first_record_or_the_next_one(backend: &impl Backend) {
    let store = backend.open();
    let alice = user("alice");
    let enrol = |expected, record| store.enrol(&alice, expected, vec![record], soon());
    let first = done(enrol(None, 1));
    assert_eq!(enrol(None, 2), Ok(Outcome::Conflict));
    let next = done(enrol(Some(first), 3));
    assert_eq!(enrol(Some(first), 4), Ok(Outcome::Conflict));
    assert_eq!(loaded(&*store, "alice"), Some((vec![3], next)));
    store.close();
    assert_eq!(enrol(Some(next), 5), Err(Unavailable));
}

fn a_closed_store_is_unavailable(backend: &impl Backend) {
    let store = backend.open();
    let version = done(store.insert_new(&user("alice"), vec![1], soon()));
    store.close();
    store.close();
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    assert_eq!(
        store.insert_new(&user("bob"), vec![1], soon()),
        Err(Unavailable)
    );
    assert_eq!(
        store.replace(&user("alice"), version, vec![1], soon()),
        Err(Unavailable)
    );
    assert_eq!(
        store.remove(&user("alice"), version, soon()),
        Err(Unavailable)
    );
    assert_eq!(
        store.rename(&user("alice"), version, &user("bob"), vec![1], soon()),
        Err(Unavailable)
    );
    assert_eq!(store.list(None, 1).unwrap_err(), Unavailable);
    assert_eq!(store.health(), Err(Unavailable));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(&'static str, Vec<u8>),
    Replace(&'static str, Vec<u8>, bool),
    Remove(&'static str, bool),
    Rename(&'static str, &'static str, Vec<u8>, bool),
    List(Option<&'static str>, usize),
    Settle,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || prop::sample::select(vec!["a", "ab", "b", "m", "r", "\u{e4}"]);
    let record = || prop::collection::vec(any::<u8>(), 0..600);
    let step = prop_oneof![
        3 => (name(), record()).prop_map(|(name, record)| Step::Insert(name, record)),
        4 => (name(), record(), any::<bool>()).prop_map(|(name, record, stale)| Step::Replace(name, record, stale)),
        2 => (name(), any::<bool>()).prop_map(|(name, stale)| Step::Remove(name, stale)),
        1 => (name(), name(), record(), any::<bool>()).prop_map(|(name, to, record, stale)| Step::Rename(name, to, record, stale)),
        1 => (prop::option::of(name()), 0..8usize).prop_map(|(after, limit)| Step::List(after, limit)),
        1 => Just(Step::Settle),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// A map, and every version that was ever given.
#[derive(Default)]
struct Model {
    rows: BTreeMap<&'static str, (Vec<u8>, Version)>,
    given: Vec<Version>,
}

impl Model {
    /// The present version, or a stale one.
    fn expect(&self, name: &str, stale: bool) -> Option<Version> {
        let present = self.rows.get(name).map(|row| row.1);
        if stale {
            self.given
                .iter()
                .rev()
                .copied()
                .find(|version| Some(*version) != present)
        } else {
            present
        }
    }

    fn updated(&mut self, name: &'static str, row: Option<Vec<u8>>, right: bool, answer: Outcome) {
        let Outcome::Done(version) = answer else {
            assert!(!right && answer == Outcome::Conflict, "{answer:?}");
            return;
        };
        assert!(right && !self.given.contains(&version), "{version:?}");
        self.given.push(version);
        match row {
            Some(row) => self.rows.insert(name, (row, version)),
            None => self.rows.remove(name),
        };
    }

    fn take(&mut self, step: Step, store: &dyn Store) {
        match step {
            Step::Insert(name, row) => {
                let answer = store.insert_new(&user(name), row.clone(), soon()).unwrap();
                self.updated(name, Some(row), !self.rows.contains_key(name), answer);
            }
            Step::Replace(name, row, stale) => {
                let Some(expected) = self.expect(name, stale) else {
                    return;
                };
                let answer = store
                    .replace(&user(name), expected, row.clone(), soon())
                    .unwrap();
                self.updated(name, Some(row), !stale, answer);
            }
            Step::Remove(name, stale) => {
                let Some(expected) = self.expect(name, stale) else {
                    return;
                };
                let answer = store.remove(&user(name), expected, soon()).unwrap();
                self.updated(name, None, !stale, answer);
            }
            Step::Rename(name, to, row, stale) => {
                let Some(expected) = self.expect(name, stale) else {
                    return;
                };
                let answer = store
                    .rename(&user(name), expected, &user(to), row.clone(), soon())
                    .unwrap();
                let right = !stale && !self.rows.contains_key(to);
                self.updated(to, Some(row), right, answer);
                if right {
                    self.rows.remove(name);
                }
            }
            Step::List(after, limit) => {
                let rows = self
                    .rows
                    .keys()
                    .filter(|name| after.is_none_or(|after| **name > after));
                let expected: Vec<_> = rows.take(limit).map(|name| (*name).to_owned()).collect();
                assert_eq!(names(store, after, limit), expected);
            }
            Step::Settle => assert!(matches!(store.keep_mark(soon()), Ok(Outcome::Done(_)))),
            Step::Reopen => {}
        }
        for name in ["a", "ab", "b", "m", "r", "\u{e4}"] {
            assert_eq!(loaded(store, name), self.rows.get(name).cloned());
        }
        assert_eq!(
            usize::try_from(store.health().unwrap().users).unwrap(),
            self.rows.len()
        );
    }
}

fn it_behaves_like_a_map<B: Backend>(_: &B) {
    proptest!(ProptestConfig::with_cases(48), |(steps in steps())| {
        let backend = B::new();
        let (mut store, mut model) = (backend.open(), Model::default());
        for step in steps {
            if matches!(step, Step::Reopen) {
                drop(store);
                store = backend.open();
            }
            model.take(step, &*store);
            prop_assert_eq!(store.rolled_back_tick(), None);
        }
    });
}
