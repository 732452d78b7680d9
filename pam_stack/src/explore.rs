//! All logins through a stack at once: for every answer that every module can give, whether the
//! login succeeds, and what pam_totp answered.
//!
//! Logins that cannot be told apart any more are followed as one, so that a stack takes a few
//! hundred steps and not one for each combination of answers.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::known::{Role, answers, role};
use crate::read::{Handler, Kind, Module};
use crate::walk::{Impression, State};

/// What can happen in a stack.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// The different ends of logins that succeed.
    pub(crate) successes: BTreeSet<Success>,
    /// The handlers that can ask for a code in a login that has failed already, each with the
    /// handler that made it fail.
    pub(crate) asked_in_vain: BTreeSet<(usize, usize)>,
    /// The handlers that can ask for a code before any module has proven something.
    pub(crate) asked_unproven: BTreeSet<usize>,
    /// The handlers that can ask for a second code in one login.
    pub(crate) asked_again: BTreeSet<usize>,
    /// The stack is too complicated to follow.
    pub(crate) gave_up: bool,
}

/// A login that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Success {
    /// What pam_totp answered, and where; `None`: it was not asked.
    pub(crate) ours: Option<(usize, Code)>,
    /// The handler that led past pam_totp.
    pub(crate) skipped_by: Option<(usize, Code)>,
    /// Whether a module that can prove something has succeeded.
    pub(crate) is_proven: bool,
}

/// A group of logins on their way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    state: State,
    end: Success,
    /// The handler that made the login fail.
    failed_by: Option<usize>,
}

/// Follows all logins through a chain.
pub(crate) fn explore(chain: &[Handler]) -> Explored {
    let mut explored = Explored::default();
    let mut waiting: Vec<BTreeSet<Way>> = vec![BTreeSet::new(); chain.len().saturating_add(1)];
    if let Some(first) = waiting.first_mut() {
        first.insert(Way::new());
    }
    for (at, handler) in chain.iter().enumerate() {
        let ways = waiting.get_mut(at).map(std::mem::take).unwrap_or_default();
        if ways.len() > MOST_WAYS {
            explored.gave_up = true;
            return explored;
        }
        for way in ways {
            for (next, way) in way.through(chain, at, handler, &mut explored) {
                if let Some(there) = waiting.get_mut(next) {
                    there.insert(way);
                }
            }
        }
    }
    let ends = waiting.pop().unwrap_or_default();
    explored.successes = ends
        .into_iter()
        .filter(|way| way.state.result() == Code::SUCCESS)
        .map(|way| way.end)
        .collect();
    explored
}

impl Way {
    fn new() -> Self {
        Self {
            state: State::new(),
            end: Success {
                ours: None,
                skipped_by: None,
                is_proven: false,
            },
            failed_by: None,
        }
    }

    /// Every way on from a handler, with the handler where it arrives.
    fn through(
        mut self,
        chain: &[Handler],
        at: usize,
        handler: &Handler,
        explored: &mut Explored,
    ) -> Vec<(usize, Self)> {
        if !self.state.enter(handler) {
            return vec![(at.saturating_add(1), self)];
        }
        let (role, answers) = match &handler.kind {
            Kind::Module(module) => (role(module), answers_that_differ(handler, module)),
            Kind::Broken | Kind::Substack => (Role::Deny, vec![Code::PERM_DENIED]),
        };
        if role == Role::Ours {
            self.note_question(at, explored);
        }
        answers
            .into_iter()
            .map(|answer| self.answered(chain, at, role, answer))
            .collect()
    }

    fn note_question(&self, at: usize, explored: &mut Explored) {
        if let Some(by) = self.failed_by {
            explored.asked_in_vain.insert((at, by));
            return;
        }
        if matches!(self.end.ours, Some((_, Code::SUCCESS))) {
            explored.asked_again.insert(at);
        }
        if !self.end.is_proven {
            explored.asked_unproven.insert(at);
        }
    }

    fn answered(&self, chain: &[Handler], at: usize, role: Role, answer: Code) -> (usize, Self) {
        let mut way = self.clone();
        let next = way.state.take(chain, at, answer);
        if matches!(answer, Code::SUCCESS | Code::NEW_AUTHTOK_REQD) {
            way.end.is_proven |=
                matches!(role, Role::FirstFactor | Role::RootCaller | Role::Unknown);
        }
        let is_better = !matches!(way.end.ours, Some((_, Code::SUCCESS)));
        if role == Role::Ours && is_better {
            way.end.ours = Some((at, answer));
            way.end.skipped_by = None;
        }
        if way.end.ours.is_none() && way.end.skipped_by.is_none() && skips_ours(chain, at, next) {
            way.end.skipped_by = Some((at, answer));
        }
        if way.state.value.impression != Impression::Bad {
            way.failed_by = None;
        } else if way.failed_by.is_none() {
            way.failed_by = Some(at);
        }
        way.forget_details();
        (next, way)
    }

    /// Failures differ in their code only, and so do results that are no success: one stands for
    /// all.
    fn forget_details(&mut self) {
        if self.state.value.impression == Impression::Bad || self.state.value.code != Code::SUCCESS
        {
            self.state.value.code = Code::PERM_DENIED;
        }
    }
}

/// One answer for each different effect. Of our own module every answer is told apart.
fn answers_that_differ(handler: &Handler, module: &Module) -> Vec<Code> {
    let mut answers = answers(module);
    if role(module) == Role::Ours {
        return answers;
    }
    let effect = |code: &Code| {
        let is_good = matches!(*code, Code::SUCCESS | Code::NEW_AUTHTOK_REQD);
        (handler.control.on(*code), is_good.then_some(*code))
    };
    let mut seen = Vec::new();
    answers.retain(|code| {
        let is_new = !seen.contains(&effect(code));
        seen.push(effect(code));
        is_new
    });
    answers
}

/// Whether a handler of ours lies between a handler and the next one that is called.
fn skips_ours(chain: &[Handler], at: usize, next: usize) -> bool {
    chain
        .get(at.saturating_add(1)..next)
        .is_some_and(|skipped| skipped.iter().any(Handler::is_ours))
}

const MOST_WAYS: usize = 2_048;
