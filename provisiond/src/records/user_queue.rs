//! The user queue: one attempt at a time for each user, in the order of arrival, root processes
//! first; limits how many wait.
//!
//! Knows the names of users and nothing of the attempts. A queue holds at most eight root processes
//! and eight others: of more attempts with one code, all but one would be rejected anyway.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::names::user::UserName;

/// The queues of all users with an attempt under way.
#[derive(Debug, Default)]
pub struct UserQueues {
    queues: Mutex<HashMap<UserName, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    next_ticket: u64,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    root: bool,
    called: Arc<Wake>,
}

/// Wakes one waiter.
#[derive(Debug, Default)]
struct Wake {
    called: Mutex<bool>,
    changed: Condvar,
}

/// A user's turn, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    queues: &'a UserQueues,
    user: UserName,
    /// No other attempt for the user was under way.
    pub came_at_once: bool,
}

impl UserQueues {
    /// Waits for the user's turn. `None` when the queue is full, or when the deadline passes.
    pub fn take(&self, user: &UserName, root: bool, deadline: Instant) -> Option<Turn<'_>> {
        let turn = |came_at_once| Turn {
            queues: self,
            user: user.clone(),
            came_at_once,
        };
        let (ticket, call) = {
            let mut queues = self.lock();
            let Some(queue) = queues.get_mut(user) else {
                queues.insert(user.clone(), Queue::default());
                return Some(turn(true));
            };
            // Counted separately: otherwise a user's own processes could block the user's logins.
            if queue
                .waiting
                .iter()
                .filter(|waiter| waiter.root == root)
                .count()
                >= MAX_WAITING
            {
                return None;
            }
            let (ticket, called) = (queue.next_ticket, Arc::new(Wake::default()));
            queue.next_ticket = queue.next_ticket.wrapping_add(1);
            queue.waiting.push(Waiter {
                ticket,
                root,
                called: Arc::clone(&called),
            });
            (ticket, called)
        };
        if call.wait(deadline) || !self.leave(user, ticket) {
            Some(turn(false))
        } else {
            None
        }
    }

    /// Leaves the queue. False if the turn has come in the meantime.
    fn leave(&self, user: &UserName, ticket: u64) -> bool {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(user) else {
            return false;
        };
        let before = queue.waiting.len();
        queue.waiting.retain(|waiter| waiter.ticket != ticket);
        queue.waiting.len() < before
    }

    fn pass_on(&self, user: &UserName) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(user) else {
            return;
        };
        if queue.waiting.is_empty() {
            queues.remove(user);
            return;
        }
        let next = queue
            .waiting
            .iter()
            .position(|waiter| waiter.root)
            .unwrap_or(0);
        queue.waiting.remove(next).called.call();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Queue>> {
        // A panic while the lock is held cannot leave a queue half changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queues.pass_on(&self.user);
    }
}

impl Wake {
    fn call(&self) {
        *self.called.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, deadline: Instant) -> bool {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(called, left, |called| !*called);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The most attempts of root processes that wait for one user, and the most of other processes.
pub const MAX_WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn alice() -> UserName {
        UserName::new("alice").unwrap()
    }

    /// Returns once `count` are waiting for alice.
    fn until_waiting(queues: &UserQueues, count: usize) {
        while queues
            .lock()
            .get(&alice())
            .map_or(0, |queue| queue.waiting.len())
            < count
        {
            std::thread::yield_now();
        }
    }

    #[test]
    fn turns_are_taken_in_order_and_roots_come_first() {
        let queues = UserQueues::default();
        let (sender, order) = channel();
        std::thread::scope(|scope| {
            let first = queues.take(&alice(), false, soon()).unwrap();
            for (place, root) in [(1, false), (2, false), (3, true), (4, true)] {
                let (queues, sender) = (&queues, sender.clone());
                scope.spawn(move || {
                    let turn = queues.take(&alice(), root, soon()).unwrap();
                    sender.send(place).unwrap();
                    drop(turn);
                });
                until_waiting(queues, place);
            }
            drop(first);
        });
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [3, 4, 1, 2]);
        assert!(
            queues.lock().is_empty(),
            "the queue of an idle user is removed"
        );
    }

    #[test]
    fn a_full_line_and_a_passed_deadline_are_told_at_once() {
        let queues = UserQueues::default();
        std::thread::scope(|scope| {
            let first = queues.take(&alice(), true, soon()).unwrap();
            for waiting in 1..=MAX_WAITING {
                let queues = &queues;
                scope.spawn(move || queues.take(&alice(), false, soon()).map(drop).unwrap());
                until_waiting(queues, waiting);
            }
            assert!(queues.take(&alice(), false, soon()).is_none(), "full");
            assert!(
                queues.take(&alice(), true, Instant::now()).is_none(),
                "root may wait, and its time is over"
            );
            let bob = UserName::new("bob").unwrap();
            assert!(
                queues.take(&bob, false, soon()).is_some(),
                "others are not concerned"
            );
            drop(first);
        });
        let held = queues.take(&alice(), false, soon());
        assert!(
            queues.take(&alice(), false, Instant::now()).is_none(),
            "too late"
        );
        drop(held);
        assert!(queues.lock().is_empty());
    }
}
