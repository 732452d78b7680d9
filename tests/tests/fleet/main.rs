//! A fleet: daemons as on several machines, with their records on a real cluster of etcd, and logins
//! through the real libpam. Run by `make etcd-test`, with a daemon that was built with the feature
//! `etcd`.

mod cluster;
mod founding;
mod guesses;
mod history;
mod moving;
mod once;
mod people;
mod site;
mod stale;
mod storm;
mod trouble;

use tests::daemon::{Daemon, Setup};
use tests::fleet::Tls;
use tests::race::{Race, successes};
use tests::stack::Stack;
use tests::worker::Outcome;
use tests::world;

use crate::cluster::Cluster;

/// A daemon that keeps its records on that etcd, and what is its own in a folder of its own. It shows the
/// members that certificate.
fn kept_on(endpoints: &[String], client: Option<&Tls>) -> Setup {
    let mut setup = Setup::new();
    let path = setup.state.join("store").display().to_string();
    let own = format!("{{sled: {{path: {path}}}}}");
    assert!(setup.settings.contains(&own), "{}", setup.settings);
    let endpoints = endpoints.join(", ");
    let files = client.map(|Tls { ca, cert, key }| {
        let [ca, cert, key] = [ca, cert, key].map(|file| file.display());
        format!(", ca: {ca}, cert: {cert}, key: {key}")
    });
    let files = files.unwrap_or_default();
    let shared = format!("{{etcd: {{endpoints: [{endpoints}], path: {path}{files}}}}}");
    setup.settings = setup.settings.replace(&own, &shared);
    setup
}

fn machine(cluster: &Cluster) -> Setup {
    kept_on(&cluster.endpoints(), None)
}

/// The same code, typed at every machine, and released at once.
fn round(race: &mut Race, machines: &[Daemon], user: &str) -> Vec<Outcome> {
    let device = machines[0].enroll_many(&[user.to_owned()]).remove(0);
    race.round(user, &device.code())
}

#[test]
fn one_code_at_three_machines_at_once_opens_one_of_them() {
    let _place = world::enter_alone();
    let cluster = Cluster::start();
    let machines = [(); 3].map(|()| machine(&cluster).start());
    let stacks = machines
        .each_ref()
        .map(|daemon| Stack::of(daemon, "fleet", "retry=1"));
    let mut race = Race::through(&stacks, 2);
    for number in 0..20 {
        let outcomes = round(&mut race, &machines, &format!("racer-{number}"));
        assert_eq!(successes(&outcomes), 1, "{outcomes:?}");
    }
}

#[test]
fn while_the_leader_is_killed_one_code_opens_one_login_at_most_and_later_exactly_one() {
    let _place = world::enter_alone();
    let mut cluster = Cluster::start();
    let machines = [(); 2].map(|()| machine(&cluster).start());
    let stacks = machines
        .each_ref()
        .map(|daemon| Stack::of(daemon, "fleet", "retry=1"));
    let mut race = Race::through(&stacks, 2);
    let users: Vec<String> = (0..20).map(|number| format!("racer-{number}")).collect();
    let devices = machines[0].enroll_many(&users);
    let leader = cluster.leader();
    let mut got_in = 0;
    for (number, (user, device)) in users.iter().zip(devices).enumerate() {
        if number == 3 {
            cluster.kill(leader);
        }
        let outcomes = race.round(user, &device.code());
        assert!(successes(&outcomes) <= 1, "{user}: {outcomes:?}");
        got_in += successes(&outcomes);
    }
    assert!(got_in >= 15, "only {got_in} of 20 got in");
    let outcomes = round(&mut race, &machines, "at-the-end");
    assert_eq!(successes(&outcomes), 1, "{outcomes:?}");
}

#[test]
fn a_daemon_that_starts_before_etcd_waits_for_it() {
    let _place = world::enter_alone();
    let mut cluster = Cluster::start();
    cluster.kill(0);
    cluster.kill(1);
    let machine = machine(&cluster).start();
    machine.log.wait_for(&["event=store_waits", "127.0.0.1"]);
    cluster.start_again(&[0, 1]);
    machine.log.wait_for(&["event=started", "store=etcd"]);
    let stacks = [Stack::of(&machine, "fleet", "retry=1")];
    let mut race = Race::through(&stacks, 2);
    let outcomes = round(&mut race, &[machine], "alice");
    assert_eq!(successes(&outcomes), 1, "{outcomes:?}");
}
