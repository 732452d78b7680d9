//! What libpam does with one answer of one handler: the impression so far, jumps, ends of
//! substacks. Linux-PAM's pam_dispatch.c is the description; this file is the only place that
//! follows it.

use crate::code::Code;
use crate::control::Action;
use crate::read::{Handler, Kind};

/// What the stack looks like so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Impression {
    /// No answer has counted.
    Undecided,
    /// A success, or whatever a line calls `ok`.
    Good,
    /// A failure, which only `reset` takes back.
    Bad,
}

/// The impression with the code that libpam would return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    pub(crate) impression: Impression,
    pub(crate) code: Code,
}

const FAILS: Code = Code::PERM_DENIED;
const BEGINNING: Value = Value {
    impression: Impression::Undecided,
    code: FAILS,
};

/// Where a login stands between two handlers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) value: Value,
    /// The value at the beginning of each substack that the login is in; the service itself is the
    /// first.
    saved: Vec<Value>,
}

impl State {
    /// Before the first handler.
    pub(crate) fn new() -> Self {
        Self {
            value: BEGINNING,
            saved: vec![BEGINNING],
        }
    }

    /// Comes to a handler. False: nothing is called there.
    pub(crate) fn enter(&mut self, handler: &Handler) -> bool {
        self.saved.truncate(handler.level.saturating_add(1));
        if matches!(handler.kind, Kind::Substack) {
            self.saved.push(self.value);
            return false;
        }
        true
    }

    /// Takes a handler's answer, and tells which handler comes next.
    pub(crate) fn take(&mut self, chain: &[Handler], at: usize, answer: Code) -> usize {
        let next = at.saturating_add(1);
        let Some(handler) = chain.get(at) else {
            return next;
        };
        match handler.control.on(answer) {
            Action::Ignore => next,
            Action::Reset => {
                self.value = self.saved.last().copied().unwrap_or(BEGINNING);
                next
            }
            Action::Ok => {
                self.good(answer);
                next
            }
            Action::Done => {
                self.good(answer);
                if self.value.impression == Impression::Good {
                    end_of_substack(chain, at)
                } else {
                    next
                }
            }
            Action::Bad => {
                self.bad(answer);
                next
            }
            Action::Die => {
                self.bad(answer);
                end_of_substack(chain, at)
            }
            Action::Jump(count) => self.jump(chain, at, count),
        }
    }

    /// The first code that is no success stays.
    fn good(&mut self, answer: Code) {
        let value = self.value;
        let is_open = value.impression == Impression::Undecided
            || value.impression == Impression::Good && value.code == Code::SUCCESS;
        if is_open {
            self.value = Value {
                impression: Impression::Good,
                code: answer,
            };
        }
    }

    /// The first failure stays.
    fn bad(&mut self, answer: Code) {
        if self.value.impression != Impression::Bad {
            let code = if answer == Code::IGNORE {
                FAILS
            } else {
                answer
            };
            self.value = Value {
                impression: Impression::Bad,
                code,
            };
        }
    }

    /// Skips handlers of this level; a substack is one. A jump beyond the end of the substack
    /// fails.
    fn jump(&mut self, chain: &[Handler], at: usize, count: u32) -> usize {
        let level = level(chain, at).unwrap_or_default();
        let mut next = at.saturating_add(1);
        for _ in 0..count {
            if level_is(chain, next, |found| found < level) {
                self.value = Value {
                    impression: Impression::Bad,
                    code: FAILS,
                };
                return next;
            }
            next = next.saturating_add(1);
            while !level_is(chain, next, |found| found <= level) {
                next = next.saturating_add(1);
            }
        }
        next
    }

    /// What libpam returns at the end.
    pub(crate) fn result(&self) -> Code {
        let Value { impression, code } = self.value;
        if code == Code::SUCCESS && impression != Impression::Good {
            FAILS
        } else {
            code
        }
    }
}

/// The first handler behind the substack that `at` is in.
fn end_of_substack(chain: &[Handler], at: usize) -> usize {
    let level = level(chain, at).unwrap_or_default();
    let mut next = at.saturating_add(1);
    while !level_is(chain, next, |found| found < level) {
        next = next.saturating_add(1);
    }
    next
}

fn level(chain: &[Handler], at: usize) -> Option<usize> {
    chain.get(at).map(|handler| handler.level)
}

/// Whether the handler's level is as wanted; true at the end of the chain.
fn level_is(chain: &[Handler], at: usize, wanted: impl Fn(usize) -> bool) -> bool {
    level(chain, at).is_none_or(wanted)
}
