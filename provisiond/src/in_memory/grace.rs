//! The table of graces: the latest accepted codes by user, service and origin.
//! [`crate::login`] decides when a grace begins, and what it is good for.
//!
//! Kept in memory and bounded: after a restart of the daemon users are asked for a code again.
//! Users may end their own graces without a proof, as often as they like, so an end counts for
//! that user and for few others.
//! Measured by CLOCK_BOOTTIME, which cannot be set and counts on while the machine sleeps.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use common::config::exemptions::grace::LONGEST;
use common::names::service::family;
use common::names::user::UserName;

use super::{Bounded, lock};
use crate::record::source::Origin;

/// The latest accepted code of each user on this machine, and of each service and origin.
#[derive(Debug)]
pub(crate) struct Graces {
    kept: Mutex<Kept>,
    /// With a random key: no user can choose whose counter is theirs, too.
    counter_of: RandomState,
}

#[derive(Debug)]
struct Kept {
    accepted: Bounded<Accepted, Duration>,
    ends: Vec<Ends>,
}

/// The account and the scope of an accepted code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Accepted {
    account: Holder,
    /// The service's family and the origin. `None`: every service on this machine.
    at: Option<(String, Origin)>,
}

/// An account. If its name is later given to another uid, the grace does not pass to the new
/// holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// Its name.
    pub user: UserName,
    /// Its uid, if the name service knows one.
    pub uid: Option<u32>,
}

/// How long ago a code was accepted, if one was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Since {
    /// For this service, from this exact origin.
    pub there: Option<Duration>,
    /// On this machine, for any service.
    pub here: Option<Duration>,
}

/// How many graces had been ended, of the users that share a counter, when a code was about to be
/// judged. A keyed hash of the user selects the counter. The cost of sharing: a user whose code is
/// judged while the grace of another user of the same counter is ended is asked for a code once
/// more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends(u64);

impl Default for Graces {
    fn default() -> Self {
        let accepted = Bounded::new(MAX_ACCEPTED);
        let ends = vec![Ends::default(); COUNTERS];
        Self {
            kept: Mutex::new(Kept { accepted, ends }),
            counter_of: RandomState::new(),
        }
    }
}

impl Graces {
    /// Must be read before a code of the user is judged, and passed to [`Graces::begin`].
    #[must_use]
    pub(crate) fn ends(&self, user: &UserName) -> Ends {
        lock(&self.kept).ends_at(self.counter(user))
    }

    fn counter(&self, user: &UserName) -> usize {
        let hash = self.counter_of.hash_one(user.as_str());
        let counter = hash.checked_rem(COUNTERS as u64);
        counter
            .and_then(|counter| usize::try_from(counter).ok())
            .unwrap_or_default()
    }

    /// Begins a grace after an accepted code: for its origin, and with `here` for the whole
    /// machine. Does nothing if a grace was ended since `before`, because the device may have been
    /// revoked between the verdict and this call. `now` is the time since the machine was started.
    pub(crate) fn begin(
        &self,
        account: &Holder,
        service: &str,
        (origin, here): (Option<Origin>, bool),
        now: Duration,
        before: Ends,
    ) {
        let mut kept = lock(&self.kept);
        if kept.ends_at(self.counter(&account.user)) != before {
            return;
        }
        let there = origin.map(|origin| Some((family(service).to_owned(), origin)));
        for at in [here.then_some(None), there].into_iter().flatten() {
            let accepted = Accepted {
                account: account.clone(),
                at,
            };
            let is_over = |then: &Duration| now.saturating_sub(*then) >= LONGEST;
            *kept.accepted.entry(accepted, || now, is_over, |then| *then) = now;
        }
    }

    /// How long ago a code of the account was accepted.
    #[must_use]
    pub(crate) fn since(
        &self,
        account: &Holder,
        service: &str,
        origin: Option<&Origin>,
        now: Duration,
    ) -> Since {
        let kept = lock(&self.kept);
        let ago = |at| {
            kept.accepted
                .get(&Accepted {
                    account: account.clone(),
                    at,
                })
                .and_then(|then| now.checked_sub(*then))
        };
        Since {
            there: origin
                .and_then(|origin| ago(Some((family(service).to_owned(), origin.clone())))),
            here: ago(None),
        }
    }

    /// Ends all graces of a user. Returns whether there was any.
    pub(crate) fn end(&self, user: &UserName) -> bool {
        let mut kept = lock(&self.kept);
        if let Some(ends) = kept.ends.get_mut(self.counter(user)) {
            *ends = Ends(ends.0.wrapping_add(1));
        }
        kept.accepted
            .forget(|accepted, _| accepted.account.user == *user)
    }
}

impl Kept {
    fn ends_at(&self, counter: usize) -> Ends {
        self.ends.get(counter).copied().unwrap_or_default()
    }
}

const MAX_ACCEPTED: usize = 4096;
/// Counters of ended graces, 32 KiB.
const COUNTERS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str) -> Holder {
        Holder {
            user: UserName::new(name).unwrap(),
            uid: Some(1000),
        }
    }

    fn origin(text: &str) -> Option<Origin> {
        Origin::told(Some(text), None)
    }

    /// Begins a grace without an end in between.
    fn begin(
        graces: &Graces,
        account: &Holder,
        service: &str,
        origin: Option<Origin>,
        now: Duration,
    ) {
        let before = graces.ends(&account.user);
        graces.begin(account, service, (origin, true), now, before);
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_code_counts_for_its_service_and_its_very_origin_and_on_the_machine_for_all() {
        let graces = Graces::default();
        begin(
            &graces,
            &holder("alice"),
            "sshd",
            origin("192.0.2.1"),
            at(100),
        );
        let since = |name, service, from: &str| {
            graces.since(&holder(name), service, origin(from).as_ref(), at(103))
        };
        let (both, here) = (
            Since {
                there: Some(at(3)),
                here: Some(at(3)),
            },
            Since {
                there: None,
                here: Some(at(3)),
            },
        );
        assert_eq!(since("alice", "sshd", "::ffff:192.0.2.1"), both);
        for (service, from) in [
            ("login", "192.0.2.1"),
            ("sshd", "192.0.2.2"),
            ("sshd", "a-name"),
            ("sshd", ""),
        ] {
            assert_eq!(since("alice", service, from), here, "{service} {from}");
        }
        assert_eq!(since("bob", "sshd", "192.0.2.1"), Since::default());
        let other_uid = Holder {
            uid: Some(1001),
            ..holder("alice")
        };
        assert_eq!(
            graces.since(&other_uid, "sshd", origin("192.0.2.1").as_ref(), at(103)),
            Since::default()
        );
    }

    #[test]
    fn a_code_for_a_service_counts_for_its_sister() {
        let graces = Graces::default();
        let console = || Origin::told(None, Some("tty1"));
        begin(&graces, &holder("alice"), "sudo", console(), at(100));
        for (service, there) in [("sudo-i", Some(at(3))), ("su", None)] {
            let since = graces.since(&holder("alice"), service, console().as_ref(), at(103));
            assert_eq!(since.there, there, "{service}");
        }
    }

    #[test]
    fn what_a_verifier_says_counts_where_it_was_said_to_come_from_and_nowhere_else() {
        let graces = Graces::default();
        let alice = holder("alice");
        for from in [origin("192.0.2.1"), None] {
            let before = graces.ends(&alice.user);
            graces.begin(&alice, "tunnel", (from, false), at(100), before);
        }
        let since = graces.since(&alice, "tunnel", origin("192.0.2.1").as_ref(), at(103));
        assert_eq!(
            since,
            Since {
                there: Some(at(3)),
                here: None
            }
        );
    }

    #[test]
    fn from_no_origin_it_counts_on_the_machine_alone() {
        let graces = Graces::default();
        begin(&graces, &holder("alice"), "sudo", None, at(100));
        assert_eq!(
            graces.since(&holder("alice"), "sudo", None, at(100)),
            Since {
                there: None,
                here: Some(at(0))
            }
        );
        assert_eq!(lock(&graces.kept).accepted.len(), 1);
    }

    #[test]
    fn the_latest_code_counts_and_a_clock_that_says_nothing_gives_no_grace() {
        let graces = Graces::default();
        for when in [100, 200] {
            begin(&graces, &holder("alice"), "sshd", None, at(when));
        }
        assert_eq!(
            graces.since(&holder("alice"), "sshd", None, at(205)).here,
            Some(at(5))
        );
        assert_eq!(
            graces.since(&holder("alice"), "sshd", None, at(0)),
            Since::default()
        );
    }

    #[test]
    fn it_ends_for_one_user_at_once() {
        let graces = Graces::default();
        for name in ["alice", "bob"] {
            begin(&graces, &holder(name), "sshd", origin("192.0.2.1"), at(100));
        }
        let alice = UserName::new("alice").unwrap();
        assert_eq!((graces.end(&alice), graces.end(&alice)), (true, false));
        assert_eq!(
            graces.since(
                &holder("alice"),
                "sshd",
                origin("192.0.2.1").as_ref(),
                at(101)
            ),
            Since::default()
        );
        assert!(
            graces
                .since(&holder("bob"), "sshd", None, at(101))
                .here
                .is_some()
        );
    }

    #[test]
    fn none_begins_that_was_ended_while_its_code_was_judged() {
        let graces = Graces::default();
        let alice = holder("alice");
        let before = graces.ends(&alice.user);
        graces.end(&alice.user);
        graces.begin(&alice, "sshd", (None, true), at(100), before);
        let since = |seconds| graces.since(&alice, "sshd", None, at(seconds));
        assert_eq!(since(101), Since::default());
        begin(&graces, &alice, "sshd", None, at(102));
        assert!(since(103).here.is_some(), "the next login's does");
    }

    #[test]
    fn a_user_that_ends_graces_without_end_hinders_no_crowd_of_others() {
        let graces = Graces::default();
        let crowd: Vec<Holder> = (0..100).map(|n| holder(&format!("u{n}"))).collect();
        let befores: Vec<Ends> = crowd.iter().map(|one| graces.ends(&one.user)).collect();
        let mallory = UserName::new("mallory").unwrap();
        (0..1000).for_each(|_| _ = graces.end(&mallory));
        let begun = crowd.iter().zip(befores).filter(|(one, before)| {
            graces.begin(one, "sshd", (None, true), at(100), *before);
            graces.since(one, "sshd", None, at(101)).here.is_some()
        });
        // One in 4,096 shares the counter.
        assert!(begun.count() >= 98);
    }

    #[test]
    fn a_crowd_pushes_the_oldest_out() {
        let graces = Graces::default();
        for n in 0..=MAX_ACCEPTED as u64 {
            begin(&graces, &holder(&format!("u{n}")), "sshd", None, at(n));
        }
        let now = at(MAX_ACCEPTED as u64);
        assert!((MAX_ACCEPTED / 2..=MAX_ACCEPTED).contains(&lock(&graces.kept).accepted.len()));
        assert!(
            graces
                .since(&holder("u0"), "sshd", None, now)
                .here
                .is_none()
        );
        assert!(
            graces
                .since(&holder("u2000"), "sshd", None, now)
                .here
                .is_some()
        );
        let room = MAX_ACCEPTED - lock(&graces.kept).accepted.len();
        for n in 0..room {
            begin(&graces, &holder(&format!("v{n}")), "sshd", None, now);
        }
        begin(&graces, &holder("late"), "sshd", None, LONGEST + now);
        assert_eq!(
            lock(&graces.kept).accepted.len(),
            1,
            "what is too old goes first"
        );
    }
}
