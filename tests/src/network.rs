//! Machines of their own on one network: each is a network namespace with one interface, and all are
//! joined by a bridge in a namespace that has nothing else. The machine's own network is left alone,
//! and nothing outlives the private world: the names are mounts on its /run.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::world;

/// The network. What runs on its machines is started by [`Host::command`].
pub struct Network {
    number: u32,
}

/// A machine on it.
#[derive(Clone, Debug)]
pub struct Host {
    network: u32,
    number: u8,
}

impl Network {
    /// One without machines.
    #[must_use]
    pub fn new() -> Self {
        world::change_the_machine();
        let network = Self {
            number: world::next_number(),
        };
        let name = network.name();
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "add", BRIDGE, "type", "bridge"]);
        ip(&["-n", &name, "link", "set", BRIDGE, "up"]);
        network
    }

    /// Adds a machine, whose address ends with that number.
    #[must_use]
    pub fn host(&self, number: u8) -> Host {
        let (network, host) = (
            self.name(),
            Host {
                network: self.number,
                number,
            },
        );
        let (name, port) = (host.name(), host.port());
        ip(&["netns", "add", &name]);
        let link = ["-n", &network, "link", "add", &port, "type", "veth"];
        let peer = ["peer", "name", INTERFACE, "netns", &name];
        ip(&[&link[..], &peer].concat());
        let address = format!("{}/24", host.address());
        ip(&["-n", &name, "address", "add", &address, "dev", INTERFACE]);
        ip(&["-n", &name, "link", "set", INTERFACE, "up"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        ip(&["-n", &network, "link", "set", &port, "master", BRIDGE]);
        host.join();
        host
    }

    fn name(&self) -> String {
        network(self.number)
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let names = std::fs::read_dir(NAMES).into_iter().flatten();
        let names = names.flatten().map(|entry| entry.file_name());
        let own = self.name();
        let is_own = |name: &str| {
            name.strip_prefix(&own)
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        };
        for name in names.filter_map(|name| name.into_string().ok()) {
            if is_own(&name) {
                ip(&["netns", "delete", &name]);
            }
        }
    }
}

impl Host {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("10.77.0.{}", self.number)
    }

    /// A program that runs there. nsenter(1) becomes the program, so its process is the child.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// The name of its network namespace, as a file.
    #[must_use]
    pub fn namespace(&self) -> PathBuf {
        PathBuf::from(NAMES).join(self.name())
    }

    /// As if its cable were pulled: nothing that it sends arrives, and nothing reaches it. No sender
    /// is told.
    pub fn cut_off(&self) {
        self.set_link("down");
    }

    /// It is on the network again.
    pub fn join(&self) {
        self.set_link("up");
    }

    fn set_link(&self, state: &str) {
        ip(&[
            "-n",
            &network(self.network),
            "link",
            "set",
            &self.port(),
            state,
        ]);
    }

    fn name(&self) -> String {
        format!("{}-{}", network(self.network), self.number)
    }

    fn port(&self) -> String {
        format!("port{}", self.number)
    }
}

fn network(number: u32) -> String {
    format!("network{number}")
}

fn ip(arguments: &[&str]) {
    world::run("ip", arguments);
}

const NAMES: &str = "/run/netns";
const BRIDGE: &str = "bridge";
const INTERFACE: &str = "eth0";
