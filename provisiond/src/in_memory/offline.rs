//! The offline copies that a verifier has made of late: one at a time, because each costs about as much
//! as many logins, and one for each user and host in half an hour.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use common::names::user::UserName;

use super::{Bounded, Window, lock};

/// The copies of the last half hour.
#[derive(Debug)]
pub(crate) struct OfflineCopies {
    at_work: Mutex<()>,
    made: Mutex<Bounded<(Arc<str>, UserName), Window>>,
}

impl Default for OfflineCopies {
    fn default() -> Self {
        Self {
            at_work: Mutex::new(()),
            made: Mutex::new(Bounded::new(MAX_KNOWN)),
        }
    }
}

impl OfflineCopies {
    /// Begins a copy, unless another one is being made, or the host has had one of that user of late.
    /// It ends when the guard is dropped.
    pub(crate) fn begin(&self, host: &Arc<str>, user: &UserName) -> Option<MutexGuard<'_, ()>> {
        let turn = self.at_work.try_lock().ok()?;
        let mut made = lock(&self.made);
        let copies = made.entry(
            (Arc::clone(host), user.clone()),
            Window::begin,
            |copies| copies.is_over(HALF_AN_HOUR),
            |copies| copies.since,
        );
        (copies.count(HALF_AN_HOUR) == 1).then_some(turn)
    }
}

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);
/// Users and hosts that are remembered: the oldest is forgotten for a new one.
const MAX_KNOWN: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_is_made_at_a_time_and_one_for_each_user_and_host() {
        let copies = OfflineCopies::default();
        let [web, gate] = ["web", "gate"].map(Arc::from);
        let [alice, bob] = ["alice", "bob"].map(|name| UserName::new(name).unwrap());
        let first = copies.begin(&web, &alice);
        assert!(first.is_some() && copies.begin(&web, &bob).is_none());
        drop(first);
        assert!(copies.begin(&web, &alice).is_none());
        for (host, user) in [(&gate, &alice), (&web, &bob)] {
            assert!(copies.begin(host, user).is_some(), "{host} {user}");
        }
    }
}
