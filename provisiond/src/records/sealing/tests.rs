//! Tests of the secrets in force, with a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::secret::Key;
use common::secrets::TaggedSecrets;

use super::*;
use crate::clock::Clock;
use crate::clock::moment::Moment;
use crate::record::Device;
use crate::record::seals::Held;
use crate::record::tests::{record, user};
use crate::records::Decision;
use crate::records::by_uid::ByUid;
use crate::records::rotation::Walk;
use crate::store::Outcome;
use crate::store::sled::{Place, SledStore};

const FIRST: &str = "1: 0123456789abcdef\n";
const BOTH: &str = "1: 0123456789abcdef\n2: fedcba9876543210\n";
/// Alice's.
const UID: u32 = 1000;
const SECOND: &str = "2: fedcba9876543210\n";

fn secrets(text: &str) -> Arc<Secrets> {
    let tagged = TaggedSecrets::from_text(text).unwrap();
    Arc::new(Secrets::new(tagged, None).unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// An empty store, with these secrets in force.
fn records(folder: &tempfile::TempDir, in_force: &Arc<Secrets>) -> Records {
    let clock = Clock::of_this_machine(|_| ());
    let place = Place {
        path: folder.path().join("store"),
        cache_mib: 1,
        mirror: None,
    };
    let store = SledStore::open(&place, Arc::clone(&clock), |_| (), |why| panic!("{why}"));
    let records = Records::new(Box::new(store.unwrap()), clock);
    records.put_in_force(in_force).unwrap();
    records.take_stock(in_force, || ()).unwrap();
    records
}

/// A call that began with `secrets` writes the record of alice, with one device of hers.
fn write(records: &Records, secrets: &Secrets) {
    let (alice, mut record) = record();
    let key = Key::new(vec![1; 20]).unwrap();
    let device = &record.devices[0];
    let like = (&key, device.kind, device.parameters);
    let name = device.name.clone();
    let moment = Moment::ordinary(0);
    record.uid = Some(UID);
    record.devices = vec![Device::active(&alice, name, like, secrets, &moment).unwrap()];
    let access = Access {
        user: &alice,
        root: true,
        secrets,
        deadline: soon(),
    };
    let decide = |_: Option<&Record>| Decision {
        next: Some(record.clone()),
        outcome: (),
    };
    records.change(access, decide).unwrap();
}

fn held(records: &Records, tag: &str) -> Held {
    records.seals().unwrap().held(tag)
}

const ONE: Held = Held {
    records: 1,
    macs: 1,
    device_keys: 1,
    code_keys: 0,
    tombstones: 0,
    decoys: 0,
};

#[test]
fn a_call_that_began_before_a_reload_writes_nothing_under_the_former_default_tag() {
    let folder = tempfile::tempdir().unwrap();
    let before = secrets(FIRST);
    let records = records(&folder, &before);
    records.put_in_force(&secrets(BOTH)).unwrap();
    write(&records, &before);
    assert_eq!(held(&records, "1"), Held::default());
    assert_eq!(held(&records, "2"), ONE);
    let alone = secrets(SECOND);
    records.put_in_force(&alone).unwrap();
    let read = records.look(&user("alice"), &alone).unwrap().unwrap();
    read.devices[0].key(&user("alice"), &alone).unwrap();
}

#[test]
fn new_secrets_bring_the_uids_of_records_that_could_not_be_read_and_no_other_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, first) = (user("alice"), secrets(FIRST));
    let records_of_first = records(&folder, &first);
    write(&records_of_first, &first);
    drop(records_of_first);
    let mut records = records(&folder, &secrets(SECOND));
    assert_eq!(
        (records.by_uid.of(UID), records.unread()),
        (vec![], vec![alice.clone()])
    );
    records.note_more_uids(&secrets(BOTH)).unwrap();
    assert_eq!(records.by_uid.of(UID), [alice]);
    records.by_uid = ByUid::default();
    records.by_uid.is_whole_now();
    records.note_more_uids(&secrets(BOTH)).unwrap();
    assert!(records.by_uid.of(UID).is_empty());
}

#[test]
fn secrets_in_force_keep_every_secret_that_a_record_needs() {
    let folder = tempfile::tempdir().unwrap();
    let first = secrets(FIRST);
    let records = records(&folder, &first);
    write(&records, &first);
    let refused = records.put_in_force(&secrets(SECOND)).unwrap_err();
    let expected = "1 record needs the application secret '1': put it back";
    assert!(refused.to_string().starts_with(expected), "{refused}");
    write(&records, &first);
    assert_eq!(held(&records, "1"), ONE, "the former ones stay in force");
    let both = secrets(BOTH);
    records.put_in_force(&both).unwrap();
    assert!(records.reseal(&user("alice"), &both, soon()).unwrap());
    records.put_in_force(&secrets(SECOND)).unwrap();
}

#[test]
fn a_walk_finds_what_is_under_another_tag_and_decoys_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let first = secrets(FIRST);
    let records = records(&folder, &first);
    write(&records, &first);
    let decoy = UserName::reserved(1023);
    let access = Access {
        user: &decoy,
        root: true,
        secrets: &first,
        deadline: soon(),
    };
    let decide = |_: Option<&Record>| Decision {
        next: Some(record().1),
        outcome: (),
    };
    records.change(access, decide).unwrap();
    let both = secrets(BOTH);
    records.put_in_force(&both).unwrap();
    let due = || {
        let (mut walk, mut due) = (Walk::default(), Vec::new());
        while let Some(batch) = records.next_due(&mut walk, &both).unwrap() {
            due.extend(batch.due);
        }
        due
    };
    assert_eq!(due(), [user("alice"), decoy]);
    for user in due() {
        records.reseal(&user, &both, soon()).unwrap();
    }
    assert_eq!(held(&records, "1"), Held::default());
    assert!(due().is_empty());
}

/// A record for each of so many users, bound to the uids from 0 on.
fn fill(records: &Records, secrets: &Secrets, users: u32) {
    let (_, record) = record();
    std::thread::scope(|scope| {
        for first in 0..8 {
            let mut record = record.clone();
            scope.spawn(move || {
                for n in (first..users).step_by(8) {
                    let user = user(&format!("user{n}"));
                    record.uid = Some(n);
                    let bytes = record.to_bytes(&user, secrets).unwrap();
                    let done = records.store.insert_new(&user, bytes, soon());
                    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
                }
            });
        }
    });
}

#[test]
fn a_start_looks_at_each_record_once_and_says_on_the_way_that_it_goes_on() {
    const USERS: u32 = 1100;
    let (folder, secrets) = (tempfile::tempdir().unwrap(), secrets(FIRST));
    let mut records = records(&folder, &secrets);
    fill(&records, &secrets, USERS);
    (records.by_uid, records.by_tag) = Default::default();
    let told = AtomicUsize::new(0);
    let tell = || _ = told.fetch_add(1, Ordering::Relaxed);
    records.take_stock(&secrets, tell).unwrap();
    assert_eq!(held(&records, "1").records, u64::from(USERS));
    for n in 0..USERS {
        assert_eq!(records.by_uid.of(n), [user(&format!("user{n}"))]);
    }
    assert_eq!(told.into_inner(), 1);
}
