//! Connection limits of the fleet: connections that have shown no certificate yet have a few places for
//! each address, and each host has a few of its own, so that neither a stranger nor one host keeps
//! the others out (denial of service).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Remote;

/// The places taken now.
#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    arriving: HashMap<IpAddr, usize>,
    hosts: HashMap<Arc<str>, usize>,
}

/// One connection's place, given back when it is dropped.
pub(super) struct Place {
    remote: Arc<Remote>,
    of: Of,
}

enum Of {
    Address(IpAddr),
    Host(Arc<str>),
}

impl Places {
    /// A place for a connection that has just been accepted, if there is one.
    pub(super) fn arrive(remote: &Arc<Remote>, from: IpAddr) -> Option<Place> {
        let mut taken = remote.places.lock();
        let all: usize = taken.arriving.values().sum();
        (all < MAX_ARRIVING && take(&mut taken.arriving, from, MAX_ARRIVING_EACH)).then(|| Place {
            remote: Arc::clone(remote),
            of: Of::Address(from),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Moves the connection to the places of its host. Returns whether there was one.
    pub(super) fn settle(&mut self, host: &str) -> bool {
        let host: Arc<str> = host.into();
        let mut taken = self.remote.places.lock();
        let all: usize = taken.hosts.values().sum();
        if all >= MAX_CONNECTIONS || !take(&mut taken.hosts, Arc::clone(&host), MAX_PER_HOST) {
            return false;
        }
        self.of.give_back(&mut taken);
        self.of = Of::Host(host);
        true
    }
}

impl Of {
    fn give_back(&self, taken: &mut Taken) {
        match self {
            Self::Address(from) => leave(&mut taken.arriving, from),
            Self::Host(host) => leave(&mut taken.hosts, host),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.give_back(&mut self.remote.places.lock());
    }
}

fn take<K: Eq + Hash>(places: &mut HashMap<K, usize>, key: K, most: usize) -> bool {
    let own = places.entry(key).or_default();
    let is_free = *own < most;
    *own = own.saturating_add(usize::from(is_free));
    is_free
}

fn leave<K: Eq + Hash>(places: &mut HashMap<K, usize>, key: &K) {
    if let Some(own) = places.get_mut(key) {
        *own = own.saturating_sub(1);
        if *own == 0 {
            places.remove(key);
        }
    }
}

/// Connections of all hosts. Each is a thread that mostly waits.
const MAX_CONNECTIONS: usize = 512;
/// A relay keeps as many at most.
const MAX_PER_HOST: usize = 8;
/// Connections without a certificate yet: a handshake takes some milliseconds, and two seconds at most.
const MAX_ARRIVING: usize = 64;
const MAX_ARRIVING_EACH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_none_is_left_behind() {
        let mut places = HashMap::new();
        assert!(take(&mut places, 'a', 2) && take(&mut places, 'a', 2));
        assert!(!take(&mut places, 'a', 2) && take(&mut places, 'b', 2));
        for key in ['a', 'a', 'b', 'c'] {
            leave(&mut places, &key);
        }
        assert!(places.is_empty());
    }
}
