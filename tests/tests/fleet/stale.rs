//! A member of etcd that is cut off from the others does not know that it is behind, until it misses
//! the leader. A daemon that asks it is not told what was true before.

use std::time::Instant;

use tests::fleet::Authority;
use tests::lines::PATIENCE;
use tests::network::Network;
use tests::world;

use crate::cluster::Cluster;
use crate::kept_on;
use crate::site::Desk;

#[test]
fn a_daemon_that_asks_a_member_that_is_cut_off_shows_nothing_that_was_true_before() {
    let _place = world::enter_alone();
    let (network, authority) = (Network::new(), Authority::new());
    let hosts = [1, 2, 3].map(|number| network.host(number));
    let cluster = Cluster::over(&hosts, &authority, LONG_ELECTION);
    let (leader, client) = (cluster.leader(), authority.host("verifier"));
    let follower = (leader + 1) % 3;
    let daemons = [leader, follower].map(|number| {
        let own = &cluster.endpoints()[number..=number];
        let mut setup = kept_on(own, Some(&client));
        setup.host = Some(hosts[number].clone());
        setup.start()
    });
    let [at_the_leader, at_the_follower] = daemons.each_ref().map(Desk::of);
    at_the_leader.enroll("alice").expect("a device");
    assert_eq!(at_the_follower.show("alice").expect("an answer").len(), 1);
    hosts[follower].cut_off();
    at_the_leader.forget("alice").expect("a record to forget");
    assert_eq!(at_the_follower.show("alice"), None);
    hosts[follower].join();
    let begun = Instant::now();
    let devices = loop {
        if let Some(devices) = at_the_follower.show("alice") {
            break devices;
        }
        assert!(begun.elapsed() < PATIENCE, "the follower gives no answer");
    };
    assert!(devices.is_empty(), "{devices:?}");
}

/// In milliseconds: so long a follower believes in the leader that it does not hear.
const LONG_ELECTION: u32 = 10_000;
