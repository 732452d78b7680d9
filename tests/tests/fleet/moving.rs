//! Records that move from a machine's disk to etcd, and back.

use tests::daemon::{Daemon, Setup};
use tests::migration::{Migration, alice, lets_in};
use tests::world;

use crate::cluster::Cluster;
use crate::machine;

#[test]
fn a_move_to_etcd_and_back_that_is_killed_goes_on_and_no_code_opens_two_logins() {
    let _place = world::enter_alone();
    let cluster = Cluster::start();
    let old = Daemon::start();
    let codes = alice(&old);
    let mut away = Migration::between(old, machine(&cluster));
    let calls = "rename,unlink,unlinkat,sendto,write,writev";
    let (used, kills) = away.killed_at_each(calls, &codes[..7]);
    assert!(used > 0 && kills > 5, "{used} codes used, {kills} kills");
    let Migration { mut old, mut new } = away;
    assert!(old.try_start_again().is_err());
    old.log
        .wait_for(&["its records have moved to etcd at http://127.0.0.1:"]);
    new.start_again();
    for code in &codes[..used] {
        assert!(!lets_in(&new, code), "used before");
    }
    assert!(lets_in(&new, &codes[used]));

    // Another daemon serves the store on etcd when its records leave.
    let mut other = machine(&cluster);
    other.settings.clone_from(&new.setup.settings);
    let path = new.setup.state.display().to_string();
    other.settings = other
        .settings
        .replace(&path, &other.state.display().to_string());
    let other = other.start();
    let back = Migration::between(new, Setup::new());
    let told = back.run();
    assert!(told.status.success(), "{told:?}");
    assert!(!lets_in(&other, &codes[used + 1]), "it serves no more");
    other.log.wait_for(&["have moved to another store"]);
    let mut here = back.new;
    here.start_again();
    for code in &codes[..=used] {
        assert!(!lets_in(&here, code), "used before");
    }
    assert!(lets_in(&here, &codes[used + 1]));
}
