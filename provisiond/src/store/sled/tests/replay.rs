//! Tests: after a kill, sled is brought up to what the journal acknowledged, whatever sled had of it
//! already, and never over a gap.

use super::*;
use crate::store::journal::frame::Frame;

impl Home {
    /// A store that was killed after so many updates of five users; sled was brought up after those
    /// with the numbers in `settled` only.
    pub(super) fn killed(updates: u64, settled: &[u64]) -> Self {
        let (home, killed) = (Self::new(), Self::new());
        let (store, ..) = failing(&home);
        for update in 0..updates {
            put(&store, &format!("user-{}", update % 5), update);
            if settled.contains(&update) {
                assert!(store.overlay.settle());
            }
        }
        copy(home.0.path(), killed.0.path());
        killed
    }

    /// The segments of the journal, the oldest first.
    pub(super) fn segments(&self) -> Vec<String> {
        let entries = self.path("store.journal").read_dir().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| format!("store.journal/{name}"))
            .collect();
        names.sort();
        names
    }

    fn updates_of_users(&self, store: &SledStore) -> Vec<u64> {
        let rows = store.list(None, 99).unwrap();
        rows.iter()
            .map(|(_, row)| u64::from_be_bytes(*row.bytes.first_chunk().unwrap()))
            .collect()
    }

    /// Opens a store of whose twenty updates none may be missing.
    fn has_all(&self, what: &str) {
        for _ in 0..2 {
            let store = self.open();
            assert_eq!(
                self.updates_of_users(&store),
                [15, 16, 17, 18, 19],
                "{what}"
            );
            let doubts = (store.rolled_back_tick(), store.incomplete());
            assert_eq!(doubts, (None, None), "{what}");
            assert_eq!(generation(&store), 20, "{what}");
        }
    }
}

#[test]
fn after_a_kill_every_acknowledged_update_is_there_whatever_sled_had_of_it() {
    for settled in [&[][..], &[0], &[9], &[18], &[19], &[3, 4, 12]] {
        let home = Home::killed(20, settled);
        home.has_all(&format!("settled: {settled:?}"));
    }
}

#[test]
fn a_replay_that_was_killed_at_any_point_is_finished_by_the_next() {
    let home = Home::killed(20, &[]);
    for done in 0..20 {
        // sled as it is in the middle of the replay, beside the whole journal.
        let between = Home::killed(20, &[done]);
        between.remove("store.journal");
        copy(&home.path("store.journal"), &between.path("store.journal"));
        between.has_all(&format!("replayed: {done}"));
    }
}

#[test]
fn a_store_that_is_only_behind_its_journal_was_not_rolled_back() {
    let home = Home::filled(5);
    home.keep("yesterday");
    let (store, ..) = failing(&home);
    (5..20).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
    let killed = Home::new();
    copy(home.0.path(), killed.0.path());
    drop(store);
    killed.remove("store");
    copy(&home.path("yesterday/store"), &killed.path("store"));
    killed.has_all("an older copy of sled alone");
}

#[test]
fn behind_a_gap_of_the_journal_a_store_is_whole_if_every_record_is_and_else_in_doubt() {
    let home = Home::filled(5);
    home.keep("yesterday");
    let store = home.open();
    (5..10).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
    drop(store);
    for (updates, is_whole) in [(20, true), (14, false)] {
        let (behind, killed) = (Home::new(), Home::new());
        copy(home.0.path(), behind.0.path());
        let (store, ..) = failing(&behind);
        (10..updates).for_each(|update| put(&store, &format!("user-{}", update % 5), update));
        copy(behind.0.path(), killed.0.path());
        drop(store);
        killed.remove("store");
        copy(&behind.path("yesterday/store"), &killed.path("store"));
        killed.remove(&killed.segments()[1]);
        for _ in 0..2 {
            let store = killed.open();
            let last = if is_whole { 19 } else { 4 };
            let has = killed.updates_of_users(&store);
            assert_eq!((has[0], has[4]), (if is_whole { 15 } else { 10 }, last));
            assert_eq!(store.rolled_back_tick().is_none(), is_whole);
            assert_eq!(store.incomplete().is_none(), is_whole);
        }
        assert!(
            is_whole || killed.segments().len() > 1,
            "what is in doubt is kept"
        );
    }
}

#[test]
fn sled_is_brought_up_while_the_store_is_open_and_a_journal_that_has_grown_long_is_cut() {
    let home = Home::new();
    let store = home.open();
    let large = |update: u64| update.to_be_bytes().repeat(6000);
    for update in 0..450 {
        let name = user(&format!("user-{}", update % 5));
        let done = match store.load(&name).unwrap() {
            Some(stored) => store.replace(&name, stored.version, large(update), soon()),
            None => store.insert_new(&name, large(update), soon()),
        };
        assert!(matches!(done, Ok(Outcome::Done(_))));
        let read = store.load(&name).unwrap().unwrap();
        assert_eq!(read.bytes, large(update));
    }
    assert!(matches!(store.keep_mark(soon()), Ok(Outcome::Done(_))));
    let left = store.overlay.range((Bound::Unbounded, Bound::Unbounded));
    assert!(left.is_empty());
    while home.segments().iter().any(|name| name == SEGMENT) {
        std::thread::yield_now();
    }
    drop(store);
    home.tamper(|db| {
        let value = db.get(b"ruser-4").unwrap().unwrap();
        assert_eq!(value[8..], large(449));
    });
}

#[test]
fn what_sled_could_not_take_stays_where_readers_find_it() {
    let home = Home::new();
    let (store, _, _, _heard) = failing(&home);
    put(&store, "alice", 0);
    home.remove("store/db");
    assert!(!store.overlay.settle());
    assert!(store.overlay.get(b"ralice").is_some());
}

#[test]
fn a_listing_shows_what_sled_does_not_have_yet() {
    let home = Home::filled(5);
    let (store, ..) = failing(&home);
    let version = |name: &str| store.load(&user(name)).unwrap().unwrap().version;
    put(&store, "user-3", 7);
    put(&store, "user-0a", 8);
    let removed = store.remove(&user("user-1"), version("user-1"), soon());
    assert!(matches!(removed, Ok(Outcome::Done(_))));
    let listed = |after: Option<&str>, limit| -> Vec<String> {
        let rows = store.list(after.map(user).as_ref(), limit).unwrap();
        rows.iter()
            .map(|(user, row)| format!("{}={}", user.as_str(), row.bytes[7]))
            .collect()
    };
    let all = ["user-0=0", "user-0a=8", "user-2=2", "user-3=7", "user-4=4"];
    assert_eq!(listed(None, 99), all);
    assert_eq!(listed(Some("user-0"), 2), all[1..3]);
    assert_eq!(listed(Some("user-2"), 1), all[3..4]);
}

#[test]
fn frames_of_a_newer_make_are_not_read() {
    let home = Home::killed(20, &[9]);
    let segment = home.path(&home.segments()[0]);
    let mut bytes = std::fs::read(&segment).unwrap();
    let (_, length) = Frame::parse(&bytes).unwrap();
    bytes[..length][7] = b'9';
    std::fs::write(&segment, bytes).unwrap();
    home.has_all("its first frame, which sled has");
}
