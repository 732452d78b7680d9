//! Records that move to etcd, and from it.

use super::*;
use crate::store::etcd::moving::{Arriving, Leaving};
use crate::store::moving::tests::{
    Disk, Side, a_move_that_is_killed_goes_on, records_move_there_and_back,
};
use crate::store::moving::{New, Old};

impl Side for Machine {
    fn leaving(&self, clock: &Arc<Clock>) -> Box<dyn Old> {
        let place = Place {
            settings: &self.settings,
            trust: &trust(),
            mirror: Some(self.mirror()),
        };
        let fatal = |why: &str| panic!("{why}");
        Box::new(Leaving::open(&place, Arc::clone(clock), |_| (), fatal).unwrap())
    }

    fn arriving(&self, _: &Arc<Clock>) -> Box<dyn New> {
        Box::new(Arriving::open(&self.settings, &trust()).unwrap())
    }

    fn served(&self) -> Result<Box<dyn Store>, String> {
        match self.open_with(Clock::of_this_machine(|_| ())) {
            Ok(store) => Ok(Box::new(store)),
            Err(why) => Err(why.to_string()),
        }
    }
}

#[test]
fn a_move_to_etcd_that_is_killed_goes_on() {
    a_move_that_is_killed_goes_on(&Disk::new(), &Machine::of(shared()));
}

#[test]
fn a_move_from_etcd_that_is_killed_goes_on() {
    a_move_that_is_killed_goes_on(&Machine::of(shared()), &Disk::new());
}

#[test]
fn records_move_to_etcd_and_back() {
    records_move_there_and_back(&Disk::new(), &Machine::of(shared()));
    records_move_there_and_back(&Machine::of(shared()), &Disk::new());
    records_move_there_and_back(&Machine::of(shared()), &Machine::of(shared()));
}

#[test]
fn a_daemon_that_serves_while_the_records_leave_changes_none_of_them() {
    let machine = Machine::of(shared());
    let other = Machine::below(shared(), &machine.settings.prefix);
    let (store, heard) = other.open_and_hear();
    let version = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let mut leaving = machine.leaving(&Clock::of_this_machine(|_| ()));
    let fence = Fence::MovedTo("another place".into());
    leaving.set_fence(Some(fence)).unwrap();
    let refused = store.replace(&user("alice"), version, b"two".to_vec(), soon());
    assert_eq!(refused, Err(Unavailable));
    assert!(
        heard
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .contains("have moved to another store")
    );
    drop(store);
    assert!(other.why_not().contains("have moved to another place"));
    let left = leaving.store().load(&user("alice")).unwrap().unwrap();
    assert_eq!(left.bytes, b"one");
    leaving.set_fence(None).unwrap();
    assert_eq!(loaded(&other.open(), "alice"), Some(b"one".to_vec()));
}
