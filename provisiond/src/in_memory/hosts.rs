//! Numbers for the hosts of the fleet that have called. Limits and quotas count callers by a number: a
//! uid for processes, and this one, above all uids, for hosts. A host keeps its number until the
//! daemon ends.

use std::sync::{Arc, Mutex};

use super::lock;

/// The hosts that have called, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<Vec<Arc<str>>>);

impl Hosts {
    /// The number of a host. `None`: there are too many. An authority has signed the certificate of
    /// each, so these are no stranger's inventions.
    #[cfg(feature = "fleet")]
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        let mut hosts = lock(&self.0);
        let known = hosts.iter().position(|host| **host == *name);
        let number = match known {
            Some(number) => number,
            None if hosts.len() < MAX_HOSTS => {
                hosts.push(name.into());
                hosts.len().saturating_sub(1)
            }
            None => return None,
        };
        u32::try_from(number).ok()
    }

    /// The host with that number.
    pub(crate) fn name(&self, number: u32) -> Option<Arc<str>> {
        let number = usize::try_from(number).ok()?;
        lock(&self.0).get(number).cloned()
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
        let numbers = ["a", "b", "a", "c"].map(|name| hosts.number(name));
        assert_eq!(numbers, [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(hosts.name(1).as_deref(), Some("b"));
        assert_eq!(hosts.name(3), None);
        (0..MAX_HOSTS).for_each(|n| _ = hosts.number(&n.to_string()));
        assert_eq!((hosts.number("new"), hosts.number("b")), (None, Some(1)));
    }
}
