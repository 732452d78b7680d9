//! RACE(n): n processes stopped in the conversation, released together.

use crate::libpam::PamCode;
use crate::stack::Stack;
use crate::worker::{Gate, Outcome, Worker};

/// The processes; they serve for many rounds.
pub struct Race {
    workers: Vec<Worker>,
    gate: Gate,
}

impl Race {
    /// Starts `count` of them.
    #[must_use]
    pub fn new(stack: &Stack, count: usize) -> Self {
        let gate = Gate::new();
        Self { workers: (0..count).map(|_| Worker::start(stack, &gate)).collect(), gate }
    }

    /// One round: everybody logs in as `user`, types `code`, and is let go at once.
    pub fn round(&mut self, user: &str, code: &str) -> Vec<Outcome> {
        let held = self.gate.hold();
        for worker in &mut self.workers {
            worker.begin(user);
        }
        for worker in &mut self.workers {
            worker.type_code(code);
        }
        drop(held);
        self.workers.iter().map(Worker::finish).collect()
    }
}

/// How many of them got in.
#[must_use]
pub fn successes(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.code == PamCode::SUCCESS).count()
}

/// The largest number of logins that were between release and return at one instant.
#[must_use]
pub fn overlap(outcomes: &[Outcome]) -> usize {
    let under_way = |at: u64| outcomes.iter().filter(|o| o.released <= at && at < o.returned).count();
    outcomes.iter().map(|outcome| under_way(outcome.released)).max().unwrap_or(0)
}
