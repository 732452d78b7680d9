//! Numbers for the hosts of the fleet that have called. Limits and quotas count callers by a number: a
//! uid for processes, and this one, above all uids, for hosts. A host keeps its number until the
//! daemon ends.

use std::sync::{Arc, Mutex};

use common::wire::protocol::LoginHost;

use super::lock;

/// The hosts that have called, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<Vec<Known>>);

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// When it called last, in Unix seconds. `None`: it may not.
    asked: Option<u64>,
}

impl Hosts {
    /// The number of a host. `now`: it calls in that second, and may. `None`: there are too many. An authority has signed the certificate of
    /// each, so these are no stranger's inventions.
    #[cfg(feature = "fleet")]
    pub(crate) fn number(&self, name: &str, now: Option<u64>) -> Option<u32> {
        let mut hosts = lock(&self.0);
        let known = hosts.iter().position(|host| *host.name == *name);
        let number = known.unwrap_or(hosts.len());
        match hosts.get_mut(number) {
            Some(host) => host.asked = now.or(host.asked),
            None if number < MAX_HOSTS => hosts.push(Known {
                name: name.into(),
                asked: now,
            }),
            None => return None,
        }
        u32::try_from(number).ok()
    }

    /// The host with that number.
    pub(crate) fn name(&self, number: u32) -> Option<Arc<str>> {
        let number = usize::try_from(number).ok()?;
        let hosts = lock(&self.0);
        hosts.get(number).map(|host| Arc::clone(&host.name))
    }

    /// What `Status` tells of them, in the order of their names.
    pub(crate) fn told(&self) -> Vec<LoginHost> {
        let hosts = lock(&self.0);
        let told = hosts.iter().filter_map(|host| {
            Some(LoginHost {
                host: host.name.to_string(),
                asked: host.asked?,
            })
        });
        let mut told: Vec<LoginHost> = told.collect();
        told.sort_by(|one, other| one.host.cmp(&other.host));
        told
    }
}

#[cfg(feature = "fleet")]
/// Fewer than there are numbers between the first one and that for "no uid".
const MAX_HOSTS: usize = 65_536;

#[cfg(all(test, feature = "fleet"))]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_its_number_and_no_two_hosts_share_one() {
        let hosts = Hosts::default();
        let numbers = ["a", "b", "a", "c"].map(|name| hosts.number(name, Some(5)));
        assert_eq!(numbers, [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(hosts.name(1).as_deref(), Some("b"));
        assert_eq!(hosts.name(3), None);
        (0..MAX_HOSTS).for_each(|n| _ = hosts.number(&n.to_string(), Some(6)));
        let later = [hosts.number("new", Some(7)), hosts.number("b", Some(7))];
        assert_eq!(later, [None, Some(1)]);
        let told = hosts.told();
        let asked = |name: &str| {
            told.iter()
                .find(|told| told.host == name)
                .map(|told| told.asked)
        };
        assert_eq!(hosts.number("a", None), Some(0));
        assert_eq!(["a", "b", "9"].map(asked), [Some(5), Some(7), Some(6)]);
    }
}
