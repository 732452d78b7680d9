//! Records that move to another store: between two disks. `make etcd-test` plays the same with etcd.

use tests::daemon::{Daemon, Setup};
use tests::migration::{Migration, alice, lets_in};
use tests::world;

#[test]
fn of_records_that_move_no_used_code_opens_anything_and_the_old_store_opens_nothing() {
    let _place = world::enter();
    let old = Daemon::start();
    let codes = alice(&old);
    assert!(lets_in(&old, &codes[0]));
    let mut move_ = Migration::between(old, Setup::new());
    let told = move_.run();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{told:?}");
    assert!(
        text.contains(r#""users":1"#) && text.contains("digest"),
        "{text}"
    );
    assert!(move_.old.try_start_again().is_err());
    move_
        .old
        .log
        .wait_for(&["its records have moved to the store at"]);
    let again = String::from_utf8_lossy(&move_.run().stdout).into_owned();
    assert!(!again.contains("digest"), "{again}");
    move_.new.start_again();
    assert!(!lets_in(&move_.new, &codes[0]), "a replay");
    assert!(lets_in(&move_.new, &codes[1]));
    let status = move_.new.totpctl_json(&["status"], "");
    assert_eq!(status["incomplete"], false, "{status}");
}

#[test]
fn a_move_that_is_killed_at_each_step_goes_on_and_no_code_opens_two_logins() {
    let _place = world::enter();
    let old = Daemon::start();
    let codes = alice(&old);
    let mut move_ = Migration::between(old, Setup::new());
    let (used, kills) = move_.killed_at_each("rename,unlink,unlinkat,rmdir", &codes);
    assert!(used > 0 && kills > 5, "{used} codes used, {kills} kills");
    assert!(move_.old.try_start_again().is_err());
    move_.new.start_again();
    for code in &codes[..used] {
        assert!(!lets_in(&move_.new, code), "used before");
    }
    assert!(lets_in(&move_.new, &codes[used]));
}

#[test]
fn records_that_would_not_open_stay_where_they_are() {
    let _place = world::enter();
    let old = Daemon::start();
    let codes = alice(&old);
    let mut new = Setup::new();
    new.secrets = "2: another application secret of the tests\n".into();
    let mut move_ = Migration::between(old, new);
    let refused = move_.run();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("application secret"),
        "{why}"
    );
    move_.old.start_again();
    assert!(lets_in(&move_.old, &codes[0]));
    let running = String::from_utf8_lossy(&move_.run().stderr).into_owned();
    assert!(running.contains("in use by another process"), "{running}");
}
