//! People at a site, while things go wrong there: each is enrolled, logs in at several hosts at once,
//! tries the same code again, and may be forgotten. What they were told is their history.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tests::libpam::PamCode;
use tests::linear::Operation;
use tests::linear::logins::Told;
use tests::race::successes;
use tests::random::Random;
use tests::stack::Stack;
use tests::worker::{Gate, Outcome, Worker};

use crate::history::{attempt, now};
use crate::site::Desk;

/// A person's code, tried at several hosts at once.
pub(crate) struct Round {
    pub(crate) user: String,
    pub(crate) outcomes: Vec<Outcome>,
    /// The first try, and the last end.
    pub(crate) time: (u64, u64),
}

impl Round {
    /// The code was fresh, and opened no login.
    pub(crate) fn failed(&self) -> bool {
        successes(&self.outcomes) == 0
    }
}

/// What some people did, one after the other.
pub(crate) struct People {
    random: Random,
    desks: Vec<Desk>,
    workers: Vec<Worker>,
    gate: Gate,
    /// Everything that they were told.
    pub(crate) history: Vec<(String, Operation<Told>)>,
    pub(crate) rounds: Vec<Round>,
}

impl People {
    pub(crate) fn new(random: Random, desks: Vec<Desk>, stacks: &[Stack]) -> Self {
        let gate = Gate::new();
        let worker = |stack| Worker::start(stack, &gate);
        Self {
            random,
            desks,
            workers: stacks.iter().map(worker).collect(),
            gate,
            history: Vec::new(),
            rounds: Vec::new(),
        }
    }

    /// Each does the same. `step` hears of each round. It is over when nothing hears any more.
    pub(crate) fn come(mut self, users: &[String], step: &Sender<()>) -> Self {
        for user in users {
            self.comes(user);
            if step.send(()).is_err() {
                break;
            }
        }
        self
    }

    fn comes(&mut self, user: &str) {
        let desk = self.random.below(self.desks.len());
        let device = self.tell(user, Told::Enrolled(DEVICE), |people| {
            people.desks[desk].enroll(user)
        });
        let Some(device) = device else {
            return;
        };
        self.look(user);
        let (code, typed) = (device.code(), Instant::now());
        self.race(user, &code);
        for _ in 0..2 {
            let one = self.random.below(self.workers.len());
            let outcomes = self.log_in(user, &code, &[one]);
            // The code may have run out by itself.
            let told = |outcome: &&Outcome| {
                outcome.code != PamCode::AUTH_ERR || typed.elapsed() < GOOD_FOR
            };
            self.note(user, outcomes.iter().filter(told));
        }
        if self.random.one_in(2) {
            let desk = self.random.below(self.desks.len());
            self.tell(user, Told::Forgotten, |people| {
                people.desks[desk].forget(user)
            });
            self.look(user);
        }
    }

    /// Three to six hosts at once.
    fn race(&mut self, user: &str, code: &str) {
        let count = 3 + self.random.below(4);
        let mut all: Vec<usize> = (0..self.workers.len()).collect();
        let mut chosen = Vec::new();
        for _ in 0..count {
            chosen.push(all.swap_remove(self.random.below(all.len())));
        }
        let begun = now();
        let outcomes = self.log_in(user, code, &chosen);
        self.note(user, &outcomes);
        self.rounds.push(Round {
            user: user.to_owned(),
            outcomes,
            time: (begun, now()),
        });
    }

    /// Logs in at these hosts. All that come to the gate are released at once.
    fn log_in(&mut self, user: &str, code: &str, hosts: &[usize]) -> Vec<Outcome> {
        let held = self.gate.hold();
        let all = self.workers.iter_mut().enumerate();
        let mut chosen: Vec<&mut Worker> = all
            .filter(|(number, _)| hosts.contains(number))
            .map(|(_, worker)| worker)
            .collect();
        let ended: Vec<Option<Outcome>> = std::thread::scope(|scope| {
            let coming: Vec<_> = chosen
                .iter_mut()
                .map(|worker| scope.spawn(move || worker.come_to_the_gate(user, code)))
                .collect();
            let outcome = coming.into_iter().map(|coming| coming.join());
            outcome.map(|told| told.expect("a worker")).collect()
        });
        drop(held);
        let outcomes = chosen.iter().zip(ended);
        outcomes
            .map(|(worker, ended)| ended.unwrap_or_else(|| worker.finish()))
            .collect()
    }

    /// Looks at the user's devices at one of the verifiers.
    pub(crate) fn look(&mut self, user: &str) {
        let desk = self.random.below(self.desks.len());
        let begun = now();
        if let Some(devices) = self.desks[desk].show(user) {
            let told = Told::Shown((!devices.is_empty()).then_some(DEVICE));
            let ended = Some(now());
            self.push(user, told, (begun, ended));
        }
    }

    fn tell<T>(
        &mut self,
        user: &str,
        told: Told,
        call: impl FnOnce(&Self) -> Option<T>,
    ) -> Option<T> {
        let begun = now();
        let reply = call(self);
        let ended = reply.is_some().then(now);
        self.push(user, told, (begun, ended));
        reply
    }

    fn note<'a>(&mut self, user: &str, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        let tried = outcomes
            .into_iter()
            .map(|outcome| (user.to_owned(), attempt(outcome, DEVICE, STEP)));
        self.history.extend(tried);
    }

    fn push(&mut self, user: &str, call: Told, (begun, ended): (u64, Option<u64>)) {
        let operation = Operation { call, begun, ended };
        self.history.push((user.to_owned(), operation));
    }
}

/// Each person has one device, and types one code.
const DEVICE: u32 = 1;
const STEP: u64 = 1;
/// A code is good for half a minute after its step, and a clock may be ten seconds ahead.
const GOOD_FOR: Duration = Duration::from_secs(15);
