//! Enrolments of one user that run at once: a script that was started twice, or two administrators.
//! Those of one device name mean one device, and those without a name mean the user's next one.
//! Only one of them can make it.
//!
//! Two enrolments overlap if one began before the other had ended. An enrolment begins with its
//! caller's program and not with the call: of many programs started together, the first may have
//! ended before the last one calls.

use std::cell::Cell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::names::user::UserName;

use super::{Bounded, lock};

/// The enrolments of late, for each user.
pub(crate) struct Enrolments(Mutex<Bounded<UserName, Burst>>);

/// Enrolments of one user.
#[derive(Default)]
struct Burst {
    /// How many have made a device and have not ended.
    making: u32,
    /// When the last one ended that made a device, or was told of another's.
    ended: Option<Instant>,
}

impl Default for Enrolments {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MAX_KNOWN)))
    }
}

impl Enrolments {
    /// An enrolment whose caller's program has been running for `age`.
    pub(crate) fn begin<'a>(&'a self, user: &'a UserName, age: Duration) -> Enrolment<'a> {
        let now = Instant::now();
        Enrolment {
            all: self,
            user,
            began: now.checked_sub(age).unwrap_or(now),
            part: Cell::new(Part::None),
        }
    }

    fn change<T>(&self, user: &UserName, change: impl FnOnce(&mut Burst) -> T) -> T {
        let mut all = lock(&self.0);
        let burst = all.entry(
            user.clone(),
            Burst::default,
            |burst| burst.making == 0,
            |burst| burst.ended,
        );
        change(burst)
    }
}

/// One enrolment, until it is dropped.
pub(crate) struct Enrolment<'a> {
    all: &'a Enrolments,
    user: &'a UserName,
    began: Instant,
    part: Cell<Part>,
}

/// The part that an enrolment has in what its user's others did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It was asked for a proof, or failed.
    None,
    /// It made the device.
    Made,
    /// It was told that another had made it.
    Told,
}

impl Enrolment<'_> {
    /// Makes the device, unless another enrolment made one while this one was under way. Returns
    /// whether it does.
    pub(crate) fn makes(&self) -> bool {
        let own = u32::from(self.part.get() == Part::Made);
        self.all.change(self.user, |burst| {
            let others = burst.making.saturating_sub(own);
            let is_free = others == 0 && burst.ended.is_none_or(|ended| ended < self.began);
            burst.making = others.saturating_add(is_free.into());
            self.part.set(if is_free { Part::Made } else { Part::Told });
            is_free
        })
    }
}

impl Drop for Enrolment<'_> {
    fn drop(&mut self) {
        let part = self.part.get();
        if part == Part::None {
            return;
        }
        self.all.change(self.user, |burst| {
            burst.making = burst.making.saturating_sub((part == Part::Made).into());
            burst.ended = Some(Instant::now());
        });
    }
}

const MAX_KNOWN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserName {
        UserName::new("alice").unwrap()
    }

    #[test]
    fn of_enrolments_that_overlap_one_makes_the_device_and_the_next_one_after_them_another() {
        let (all, alice) = (Enrolments::default(), alice());
        let now = || all.begin(&alice, Duration::ZERO);
        let (first, second) = (now(), now());
        assert!(second.makes() && !first.makes());
        assert!(second.makes(), "the store may ask once more");
        drop(second);
        assert!(!first.makes(), "it began before the other had ended");
        let of_the_same_burst = all.begin(&alice, Duration::from_secs(5));
        assert!(!of_the_same_burst.makes());
        drop((first, of_the_same_burst));
        assert!(now().makes());
    }

    #[test]
    fn an_enrolment_that_was_only_asked_for_a_proof_hinders_none() {
        let (all, alice) = (Enrolments::default(), alice());
        drop(all.begin(&alice, Duration::from_secs(5)));
        assert!(all.begin(&alice, Duration::from_secs(5)).makes());
    }
}
