//! Lists of enrolled and of unenrolled users, of the whole machine and of a group.

use std::fs::File;
use std::io::Write;

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::odd_names::with_odd_names;
use tests::world;

use crate::roles::with_roles;

#[test]
fn who_of_a_group_has_no_active_device_is_listed_with_and_without_a_record() {
    let _place = world::enter();
    // The group's list has bob, carol, dave, root and vera.
    let daemon = with_odd_names(with_roles(Setup::new())).start();
    daemon.enroll("alice");
    daemon.enroll("carol");
    daemon
        .call("Enroll", &json!({ "user": "bob" }))
        .expect("a pending device");
    assert_eq!(listed(&daemon, &[]), ["alice", "bob", "carol"]);
    assert_eq!(listed(&daemon, &["--not-enrolled"]), ["bob"]);
    assert_eq!(
        listed(&daemon, &["--group", "totp-users"]),
        ["bob", "carol", "dave", "root", "vera"]
    );
    assert_eq!(
        listed(&daemon, &["--group", "totp-users", "--not-enrolled"]),
        ["bob", "dave", "root", "vera"]
    );
    assert_eq!(
        listed(&daemon, &["--group", "alice"]),
        ["alice"],
        "her own group, which lists no members"
    );
    assert!(listed(&daemon, &["--group", "alice", "--not-enrolled"]).is_empty());
    assert_eq!(
        listed(&daemon, &["--group", "dave", "--not-enrolled"]),
        ["dave"],
        "his own group, and no record"
    );
    for (group, next_step) in [
        ("no-such-group", "getent group"),
        ("odd-broken", "try again"),
    ] {
        let refused = daemon.totpctl(&["list", "--group", group], "");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            refused.status.code() == Some(2) && said.contains(next_step),
            "{refused:?}"
        );
    }
}

#[test]
fn a_member_that_no_user_can_be_called_hides_no_other() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let mut groups = File::options()
        .append(true)
        .open("/etc/group")
        .expect("the groups");
    writeln!(groups, "odd-members:x:64999:alice,a/b,bob").expect("a group");
    assert_eq!(
        listed(&daemon, &["--group", "odd-members"]),
        ["alice", "bob"]
    );
}

fn listed(daemon: &Daemon, options: &[&str]) -> Vec<String> {
    let told = daemon.totpctl_json(&[&["list"], options].concat(), "");
    let name = |user: &Value| user["user"].as_str().expect("a name").to_owned();
    told["users"]
        .as_array()
        .expect("users")
        .iter()
        .map(name)
        .collect()
}
