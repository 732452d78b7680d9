//! The source of a login (network or terminal), and which sources a user has logged in from before:
//! how many are known, and for how long. Pure: time is an argument.
//!
//! A source is trusted only if a root process reports it, and only as an address: a host name is
//! under the control of the host's name server. Known sources have a pool of guesses of their own,
//! so that an attacker who uses up the other pool does not disturb the user at the usual desk.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The source of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A terminal of this machine.
    Terminal,
    /// An address, or the network it stands for.
    Network(Network),
    /// Not reported, or not trusted.
    Untold,
}

/// An IPv4 address, or the upper half of an IPv6 address: a host chooses the lower half, and
/// changes it daily.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Network {
    /// The whole address.
    V4([u8; 4]),
    /// The first 64 bits.
    V6([u8; 8]),
}

impl Source {
    /// The source of a login by PAM's items, as a root process reports them. Remote services set
    /// `rhost`; a terminal without it belongs to this machine.
    #[must_use]
    pub fn told(rhost: Option<&str>, tty: Option<&str>) -> Self {
        match (
            rhost.filter(|rhost| !rhost.is_empty()),
            tty.filter(|tty| !tty.is_empty()),
        ) {
            (Some(rhost), _) => rhost
                .parse()
                .map_or(Self::Untold, |address| Self::Network(Network::of(address))),
            (None, Some(_)) => Self::Terminal,
            (None, None) => Self::Untold,
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(upper_half(address)),
        }
    }
}

fn upper_half(address: Ipv6Addr) -> [u8; 8] {
    let bits = address.to_bits() >> 64;
    u64::try_from(bits).unwrap_or_default().to_be_bytes()
}

/// The exact origin of a login: a full address or a named console.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An address, never a host name: a name is under the control of the host's name server.
    Address(IpAddr),
    /// A console or a serial line of this machine, by its name. Not a pseudo-terminal: remote
    /// sessions have one, and its number is reused by another user's session.
    Console(String),
}

impl Origin {
    /// The origin by PAM's items. Remote services set `rhost`.
    #[must_use]
    pub fn told(rhost: Option<&str>, tty: Option<&str>) -> Option<Self> {
        match (rhost.filter(|rhost| !rhost.is_empty()), tty) {
            (Some(rhost), _) => rhost
                .parse()
                .ok()
                .map(|address: IpAddr| Self::Address(address.to_canonical())),
            (None, Some(tty)) => console(tty).map(|name| Self::Console(name.to_owned())),
            (None, None) => None,
        }
    }
}

/// The name below `/dev` of a fixed terminal. Applications report it with and without `/dev`.
fn console(tty: &str) -> Option<&str> {
    let name = tty.strip_prefix("/dev/").unwrap_or(tty);
    let numbered = |kind: &&str| {
        name.strip_prefix(*kind)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    (name == "console" || CONSOLES.iter().any(numbered)).then_some(name)
}

/// The networks that a user has logged in from, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSources(Vec<(Network, u64)>);

impl KnownSources {
    /// Whether the user has logged in from the source in the last thirty days. `now` is Unix
    /// seconds.
    #[must_use]
    pub fn know(&self, source: Source, now: u64) -> bool {
        match source {
            Source::Terminal => true,
            Source::Network(network) => self
                .0
                .iter()
                .any(|(known, at)| *known == network && now < at.saturating_add(LIFETIME)),
            Source::Untold => false,
        }
    }

    /// Remembers the source of an accepted login. Evicts the oldest if there are too many.
    pub fn learn(&mut self, source: Source, now: u64) {
        let Source::Network(network) = source else {
            return;
        };
        self.0
            .retain(|(known, at)| *known != network && now < at.saturating_add(LIFETIME));
        while self.0.len() >= MAX_SOURCES {
            self.0.remove(0);
        }
        self.0.push((network, now));
    }
}

/// Virtual consoles, serial lines and the consoles of virtual machines, each with a number.
const CONSOLES: [&str; 4] = ["tty", "ttyS", "ttyAMA", "hvc"];
const LIFETIME: u64 = 30 * 86400;
const MAX_SOURCES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86400;

    fn from(rhost: &str) -> Source {
        Source::told(Some(rhost), Some("ssh"))
    }

    #[test]
    fn only_an_address_is_a_source() {
        assert!(matches!(
            from("192.0.2.1"),
            Source::Network(Network::V4([192, 0, 2, 1]))
        ));
        for no_address in [
            "localhost",
            "192.0.2.1.example.org",
            "192.0.2",
            "192.0.2.1/24",
            " 192.0.2.1",
            "fe80::1%eth0",
        ] {
            assert_eq!(from(no_address), Source::Untold, "{no_address}");
        }
        assert_eq!(Source::told(None, Some("/dev/tty1")), Source::Terminal);
        assert_eq!(Source::told(Some(""), Some("pts/0")), Source::Terminal);
        assert_eq!(Source::told(None, None), Source::Untold);
        assert_eq!(Source::told(Some(""), Some("")), Source::Untold);
    }

    #[test]
    fn one_network_has_many_spellings() {
        assert_eq!(from("::ffff:192.0.2.1"), from("192.0.2.1"));
        assert_eq!(from("2001:db8::1"), from("2001:DB8:0:0:ffff::2"));
        assert_ne!(from("2001:db8::1"), from("2001:db8:0:1::1"));
    }

    #[test]
    fn a_source_is_known_for_thirty_days() {
        let mut known = KnownSources::default();
        assert!(
            !known.know(from("192.0.2.1"), 0)
                && known.know(Source::Terminal, 0)
                && !known.know(Source::Untold, 0)
        );
        known.learn(from("192.0.2.1"), DAY);
        known.learn(Source::Terminal, DAY);
        known.learn(Source::Untold, DAY);
        assert!(
            known.know(from("192.0.2.1"), 31 * DAY - 1) && !known.know(from("192.0.2.1"), 31 * DAY)
        );
        assert!(!known.know(from("192.0.2.2"), DAY) && !known.know(Source::Untold, DAY));
        assert_eq!(known.0.len(), 1);
    }

    #[test]
    fn the_sixteen_latest_are_kept() {
        let mut known = KnownSources::default();
        let address = |n: u64| from(&format!("192.0.2.{n}"));
        (0..17).for_each(|n| known.learn(address(n), n));
        assert!(!known.know(address(0), 20) && known.know(address(1), 20));
        known.learn(address(1), 20);
        known.learn(address(20), 20);
        assert!(
            known.know(address(1), 20) && !known.know(address(2), 20),
            "what was used again is not the oldest"
        );
    }
}
