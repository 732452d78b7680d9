//! Tests of decisions about a record that was found before the user's turn, with a real store.

use std::time::Duration;

use common::secrets::TaggedSecrets;

use super::*;
use crate::clock::moment::Moment;
use crate::record::tests::user;
use crate::store::sled::{Place, SledStore};

fn secrets() -> Secrets {
    let tagged = TaggedSecrets::from_text("1: 0123456789abcdef\n").unwrap();
    Secrets::new(tagged, None).unwrap()
}

fn records(folder: &tempfile::TempDir) -> Records {
    let clock = Clock::of_this_machine(|_| ());
    let place = Place {
        path: folder.path().join("store"),
        cache_mib: 1,
        mirror: None,
    };
    let store = SledStore::open(&place, Arc::clone(&clock), |_| (), |why| panic!("{why}"));
    let records = Records::new(Box::new(store.unwrap()), clock);
    records.put_in_force(&Arc::new(secrets())).unwrap();
    records.take_stock(&Arc::new(secrets()), || ()).unwrap();
    records
}

fn access<'a>(user: &'a UserName, secrets: &'a Secrets) -> Access<'a> {
    let deadline = Instant::now() + Duration::from_secs(10);
    Access {
        user,
        root: true,
        secrets,
        deadline,
    }
}

/// A change that counts the changes of a record, in the number of its uid.
fn count(record: Option<&Record>) -> Decision<u64> {
    let mut next = record.map_or_else(|| Record::new(&Moment::ordinary(0)), Record::clone);
    let before = next.uid.unwrap_or(0);
    next.uid = Some(before + 1);
    Decision {
        next: Some(next),
        outcome: u64::from(before),
    }
}

#[test]
fn a_decision_about_a_record_that_changed_since_it_was_found_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (records, secrets, alice) = (records(&folder), secrets(), user("alice"));
    let access = access(&alice, &secrets);
    let of_nothing = records.find(&alice, &secrets).unwrap();
    assert_eq!(records.change(access, count).unwrap(), 0);
    let late = records.change_found(access, Some(of_nothing), count);
    assert_eq!(late.unwrap(), 1, "the record was made meanwhile");
    let early = records.find(&alice, &secrets).unwrap();
    assert_eq!(records.change(access, count).unwrap(), 2);
    assert_eq!(records.change_found(access, Some(early), count).unwrap(), 3);
    let present = records.find(&alice, &secrets).unwrap();
    let mut decisions = 0;
    let once = |record: Option<&Record>| {
        decisions += 1;
        count(record)
    };
    assert_eq!(
        records.change_found(access, Some(present), once).unwrap(),
        4
    );
    assert_eq!(decisions, 1, "one that did not change is not read again");
}

#[test]
fn a_decision_that_changes_nothing_is_never_about_a_record_that_was_found_before() {
    let folder = tempfile::tempdir().unwrap();
    let (records, secrets, alice) = (records(&folder), secrets(), user("alice"));
    let access = access(&alice, &secrets);
    let of_nothing = records.find(&alice, &secrets).unwrap();
    assert!(of_nothing.record().is_none());
    records.change(access, count).unwrap();
    let is_there = records.change_found(access, Some(of_nothing), |record| Decision {
        next: None,
        outcome: record.is_some(),
    });
    assert!(is_there.unwrap());
}
