//! One attempt at a time for each user, in the order they came; root's before others'.
//!
//! Knows users by name and nothing of what they do. A line has at most eight of root's processes and eight others: with
//! one code in hand, a ninth could only lose.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::names::user::UserName;

/// The lines in front of all users that have one now.
#[derive(Debug, Default)]
pub struct UserQueues {
    lines: Mutex<HashMap<UserName, Line>>,
}

#[derive(Debug, Default)]
struct Line {
    next_ticket: u64,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    root: bool,
    called: Arc<Call>,
}

/// Wakes one waiter.
#[derive(Debug, Default)]
struct Call {
    called: Mutex<bool>,
    changed: Condvar,
}

/// A user's turn, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    turns: &'a UserQueues,
    user: UserName,
}

impl UserQueues {
    /// Waits for the user's turn. `None` when the line is full, or when the deadline passes.
    pub fn take(&self, user: &UserName, root: bool, deadline: Instant) -> Option<Turn<'_>> {
        let turn = || Turn { turns: self, user: user.clone() };
        let (ticket, call) = {
            let mut lines = self.lock();
            let Some(line) = lines.get_mut(user) else {
                lines.insert(user.clone(), Line::default());
                return Some(turn());
            };
            // Counted apart, or people's own processes could keep their logins out.
            if line.waiting.iter().filter(|waiter| waiter.root == root).count() >= MAX_WAITING {
                return None;
            }
            let (ticket, called) = (line.next_ticket, Arc::new(Call::default()));
            line.next_ticket = line.next_ticket.wrapping_add(1);
            line.waiting.push(Waiter { ticket, root, called: Arc::clone(&called) });
            (ticket, called)
        };
        if call.wait(deadline) || !self.leave(user, ticket) { Some(turn()) } else { None }
    }

    /// Steps out of the line; false if the turn had come in the meantime.
    fn leave(&self, user: &UserName, ticket: u64) -> bool {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(user) else { return false };
        let before = line.waiting.len();
        line.waiting.retain(|waiter| waiter.ticket != ticket);
        line.waiting.len() < before
    }

    fn pass_on(&self, user: &UserName) {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(user) else { return };
        if line.waiting.is_empty() {
            lines.remove(user);
            return;
        }
        let next = line.waiting.iter().position(|waiter| waiter.root).unwrap_or(0);
        line.waiting.remove(next).called.call();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Line>> {
        // A panic while the lock is held cannot leave a line half changed.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.pass_on(&self.user);
    }
}

impl Call {
    fn call(&self) {
        *self.called.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, deadline: Instant) -> bool {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(called, left, |called| !*called);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Attempts of root's waiting for one user at most, and as many of others.
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
    fn until_waiting(turns: &UserQueues, count: usize) {
        while turns.lock().get(&alice()).map_or(0, |line| line.waiting.len()) < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn turns_are_taken_in_order_and_roots_come_first() {
        let turns = UserQueues::default();
        let (sender, order) = channel();
        std::thread::scope(|scope| {
            let first = turns.take(&alice(), false, soon()).unwrap();
            for (place, root) in [(1, false), (2, false), (3, true), (4, true)] {
                let (turns, sender) = (&turns, sender.clone());
                scope.spawn(move || {
                    let turn = turns.take(&alice(), root, soon()).unwrap();
                    sender.send(place).unwrap();
                    drop(turn);
                });
                until_waiting(turns, place);
            }
            drop(first);
        });
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [3, 4, 1, 2]);
        assert!(turns.lock().is_empty(), "nothing is kept of users that nobody asks for");
    }

    #[test]
    fn a_full_line_and_a_passed_deadline_are_told_at_once() {
        let turns = UserQueues::default();
        std::thread::scope(|scope| {
            let first = turns.take(&alice(), true, soon()).unwrap();
            for waiting in 1..=MAX_WAITING {
                let turns = &turns;
                scope.spawn(move || turns.take(&alice(), false, soon()).map(drop).unwrap());
                until_waiting(turns, waiting);
            }
            assert!(turns.take(&alice(), false, soon()).is_none(), "full");
            assert!(turns.take(&alice(), true, Instant::now()).is_none(), "root may wait, and its time is over");
            let bob = UserName::new("bob").unwrap();
            assert!(turns.take(&bob, false, soon()).is_some(), "others are not concerned");
            drop(first);
        });
        let held = turns.take(&alice(), false, soon());
        assert!(turns.take(&alice(), false, Instant::now()).is_none(), "too late");
        drop(held);
        assert!(turns.lock().is_empty());
    }
}
