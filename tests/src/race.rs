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
        Self::through(std::slice::from_ref(stack), count)
    }

    /// The same through several services, `each` of them for every one.
    #[must_use]
    pub fn through(stacks: &[Stack], each: usize) -> Self {
        let gate = Gate::new();
        let start = |stack| {
            (0..each)
                .map(|_| Worker::start(stack, &gate))
                .collect::<Vec<_>>()
        };
        let workers = stacks.iter().flat_map(start).collect();
        Self { workers, gate }
    }

    /// One round: all workers log in as `user`, type `code`, and are released at once.
    pub fn round(&mut self, user: &str, code: &str) -> Vec<Outcome> {
        self.round_of(user, &vec![code; self.workers.len()])
    }

    /// One round in which each worker types a code of its own.
    pub fn round_of(&mut self, user: &str, codes: &[&str]) -> Vec<Outcome> {
        let held = self.gate.hold();
        for worker in &mut self.workers {
            worker.begin(user);
        }
        for (worker, code) in self.workers.iter_mut().zip(codes) {
            worker.type_code(code);
        }
        drop(held);
        self.workers.iter().map(Worker::finish).collect()
    }
}

/// How many of them got in.
#[must_use]
pub fn successes(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome.code == PamCode::SUCCESS)
        .count()
}

/// The largest number of logins that were between release and return at one instant.
#[must_use]
pub fn overlap(outcomes: &[Outcome]) -> usize {
    let under_way = |at: u64| {
        outcomes
            .iter()
            .filter(|o| o.released <= at && at < o.returned)
            .count()
    };
    outcomes
        .iter()
        .map(|outcome| under_way(outcome.released))
        .max()
        .unwrap_or(0)
}
