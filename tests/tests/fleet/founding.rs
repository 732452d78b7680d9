//! A fleet made by the guide's chapters from empty machines: three members of etcd, a verifier and a login
//! host, to the first login.

use tests::founding::{Fleet, type_in};
use tests::world;

#[test]
fn the_chapters_on_etcd_and_on_hosts_are_followed_from_empty_machines_to_the_first_login() {
    let _place = world::enter_alone();
    let fleet = Fleet::on_etcd_by_the_guide();
    assert_eq!(fleet.members.len(), 3);
    let code = fleet.alice.code();
    assert!(fleet.log_in(&code));
    assert!(!fleet.log_in(&code), "a replay");

    // The command can be repeated, and the daemon's certificate reads nothing beyond its prefix.
    let prepare = "cat root.pem root.key | provisiond --prepare-etcd --enable-auth";
    assert!(tests::guide::GUIDE.contains(prepare));
    let told = type_in(&fleet.verifier, prepare);
    assert!(told.contains("user 'verifier': was there"), "{told}");
    assert!(told.contains("below /pam-totp/, and no others"), "{told}");

    let status = type_in(&fleet.verifier, "totpctl status --fleet");
    for part in ["(asked)", "works", "web1.example.com", "No problem found"] {
        assert!(status.contains(part), "no '{part}' in:\n{status}");
    }
}
