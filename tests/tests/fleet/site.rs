//! A site: three members of etcd, three verifiers and ten login hosts, each a machine of its own on
//! one network, with TLS between all of them; and the service through which people log in.

use std::path::PathBuf;

use serde_json::{Value, json};
use tests::clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::fleet::{Authority, listening_at, relay_to};
use tests::network::{Host, Network};
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire;
use tests::world;

use crate::cluster::{Cluster, SHORT_ELECTION};
use crate::kept_on;

/// The site. What runs there ends before the network does.
pub(crate) struct Site {
    /// The service on each login host.
    pub(crate) stacks: Vec<Stack>,
    pub(crate) relays: Vec<Daemon>,
    pub(crate) verifiers: Vec<Daemon>,
    pub(crate) cluster: Cluster,
    /// The machines of the members of etcd.
    pub(crate) members: Vec<Host>,
    /// The machines of the verifiers.
    pub(crate) judges: Vec<Host>,
    _network: Network,
}

impl Site {
    /// Starts it. The verifiers' clocks are so many seconds ahead of the machine's.
    pub(crate) fn start(ahead: [i64; 3]) -> Self {
        let (network, authority) = (Network::new(), Authority::new());
        let [members, judges] = [1, 11].map(|first| hosts(&network, first, 3));
        let cluster = Cluster::over(&members, &authority, SHORT_ELECTION);
        let verifiers = judges.iter().zip(ahead);
        let verifiers = all_at_once(
            verifiers
                .map(|(host, ahead)| clocks::ahead(verifier(host, &cluster, &authority), ahead)),
        );
        let relays = hosts(&network, 21, 10).into_iter().enumerate();
        let relays = all_at_once(relays.map(|(number, host)| {
            let mut order: Vec<String> = judges.iter().map(listens_at).collect();
            order.rotate_left(number % 3);
            let tls = authority.host(&format!("web{number}.web.test"));
            let mut setup = relay_to(&tls, &order.join(", "));
            setup.host = Some(host);
            setup
        }));
        for relay in &relays {
            relay.log.wait_for_many(3, &["event=verifier_reached"]);
        }
        let stack = |relay| Stack::of(relay, SERVICE, "retry=1");
        Self {
            stacks: relays.iter().map(stack).collect(),
            relays,
            verifiers,
            cluster,
            members,
            judges,
            _network: network,
        }
    }

    /// Where each verifier takes calls.
    pub(crate) fn desks(&self) -> Vec<Desk> {
        self.verifiers.iter().map(Desk::of).collect()
    }

    /// What does not work: a member, a verifier without its store or in doubt of its clock, or a relay
    /// that does not reach every verifier.
    pub(crate) fn find_broken(&self) -> Option<String> {
        let fails = |desk: &Desk| !desk.trusts_its_clock() || desk.show("no-such-user").is_none();
        let lacks_one = |relay: &Daemon| {
            let told = relay.call("Status", &json!({})).expect("its status");
            let servers = told["upstream"].as_array().expect("verifiers").clone();
            servers.iter().any(|server| server["reached"] != true)
        };
        if let Some(member) = self.cluster.find_silent() {
            return Some(format!("the member m{member} does not answer"));
        }
        if let Some(verifier) = self.desks().iter().position(fails) {
            return Some(format!("verifier {verifier} does not serve"));
        }
        let relay = self.relays.iter().position(lacks_one)?;
        Some(format!("login host {relay} does not reach all verifiers"))
    }
}

/// A verifier's socket, for an administrator there. The verifier may be dead.
pub(crate) struct Desk(PathBuf);

impl Desk {
    pub(crate) fn of(verifier: &Daemon) -> Self {
        Self(verifier.login_socket())
    }

    /// Enrols a user. `None`: it is not known whether that was done.
    pub(crate) fn enroll(&self, user: &str) -> Option<Authenticator> {
        let told = self.call("Enroll", &json!({ "user": user, "active": true }));
        told?.ok().as_ref().map(authenticator)
    }

    /// Forgets a user. `None`: it is not known whether that was done.
    pub(crate) fn forget(&self, user: &str) -> Option<()> {
        let told = self.call("Forget", &json!({ "user": user }));
        told?.ok().map(drop)
    }

    /// The user's devices; none without a record. `None`: it gave no answer.
    pub(crate) fn show(&self, user: &str) -> Option<Vec<Value>> {
        match self.call("Show", &json!({ "user": user }))? {
            Ok(told) => told["user"]["devices"].as_array().cloned(),
            Err((error, _)) => (error == "NoSuchUser").then(Vec::new),
        }
    }

    /// A verifier whose clock is behind the fleet's takes no code until it has caught up.
    fn trusts_its_clock(&self) -> bool {
        let told = self.call("Status", &json!({})).and_then(Result::ok);
        told.is_some_and(|told| told["quarantine_until"].is_null())
    }

    fn call(&self, method: &str, parameters: &Value) -> Option<Result<Value, (String, Value)>> {
        wire::call_if_alive(&self.0, method, parameters)
    }
}

/// So many accounts that every login host may ask for.
pub(crate) fn accounts(count: usize) -> Vec<String> {
    world::group(GROUP, &[]);
    let group = nix::unistd::Group::from_name(GROUP).expect("the group database");
    let number = world::next_number();
    let names: Vec<_> = (0..count).map(|n| format!("p{number}-{n}")).collect();
    world::make_members(group.map(|group| group.gid.as_raw()), &names);
    names
}

/// Starts daemons beside each other.
fn all_at_once(setups: impl Iterator<Item = Setup>) -> Vec<Daemon> {
    std::thread::scope(|scope| {
        let starting: Vec<_> = setups
            .map(|setup| scope.spawn(move || setup.start()))
            .collect();
        let started = starting.into_iter().map(|daemon| daemon.join());
        started.map(|daemon| daemon.expect("a daemon")).collect()
    })
}

fn hosts(network: &Network, first: u8, count: u8) -> Vec<Host> {
    (first..first + count)
        .map(|number| network.host(number))
        .collect()
}

fn verifier(host: &Host, cluster: &Cluster, authority: &Authority) -> Setup {
    let client = authority.host("verifier");
    let tls = authority.verifier_at(&host.address());
    let setup = kept_on(&cluster.endpoints(), Some(&client));
    let mut setup = listening_at(setup, &listens_at(host), &tls, HOSTS);
    setup.host = Some(host.clone());
    setup
}

fn listens_at(host: &Host) -> String {
    format!("{}:{PORT}", host.address())
}

const PORT: u16 = 7443;
const SERVICE: &str = "fleet";
const GROUP: &str = "fleet";
const HOSTS: &str = "{web: {names: ['*.web.test'], services: [fleet], users-groups: [fleet]}}";
