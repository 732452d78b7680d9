//! One login through a stack, with a given answer of each module: what `pam_authenticate` returns,
//! and which modules it calls.

use crate::code::Code;
use crate::read::{Handler, Kind, Stack};
use crate::walk::State;

/// How a login went.
#[derive(Debug, PartialEq, Eq)]
pub struct Played {
    /// What `pam_authenticate` returns.
    pub code: Code,
    /// The places in [`Stack::handlers`] of the modules that were called, in order.
    pub called: Vec<usize>,
}

/// Plays a login; `answer` is asked for every module that is called.
pub fn play(stack: &Stack, mut answer: impl FnMut(&Handler) -> Code) -> Played {
    let mut called = Vec::new();
    if stack.refused.is_some() {
        return Played {
            code: Code::ABORT,
            called,
        };
    }
    let mut state = State::new();
    let mut at = 0;
    while let Some(handler) = stack.handlers.get(at) {
        if !state.enter(handler) {
            at = at.saturating_add(1);
            continue;
        }
        let code = match &handler.kind {
            Kind::Module(module) if module.is_missing => Code::MODULE_UNKNOWN,
            Kind::Module(_) => {
                called.push(at);
                answer(handler)
            }
            Kind::Broken | Kind::Substack => Code::PERM_DENIED,
        };
        if code == Code::INCOMPLETE {
            return Played { code, called };
        }
        at = state.take(&stack.handlers, at, code);
    }
    Played {
        code: state.result(),
        called,
    }
}
