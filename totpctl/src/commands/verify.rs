//! `verify`: a real attempt, as the PAM module would make it. What is accepted here is spent.

use common::wire::protocol::{Ask, Challenge, Verify};

use super::{Context, exit_of, names};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::VerifyResult;

/// Asks what to ask for, asks for it, and shows the verdict.
pub(super) fn run(context: &Context<'_>, wanted: &cli::VerifyArgs) -> Result<Exit, Failure> {
    let user = names::user(&wanted.user)?;
    let (service, rhost) = (wanted.service.clone(), wanted.rhost.clone());
    let challenge =
        Challenge { user: user.clone(), service: service.clone(), rhost: rhost.clone(), tty: None, options: None };
    let asked = context.daemon.call(&challenge)?;
    // Nothing is held open while the person waits for a second code: the conversation joins the two calls.
    let codes = match asked.ask {
        Ask::Nothing => Vec::new(),
        Ask::OneCode | Ask::Ticket => vec![context.code(ONE_CODE)?],
        Ask::TwoCodes => vec![context.code(TWO_CODES)?],
    };
    let attempt =
        Verify { user, conversation: Some(asked.conversation), codes, service, rhost, tty: None, options: None };
    let attempt = VerifyResult::new(&wanted.user, context.daemon.call(&attempt)?);
    context.output.result(&attempt)?;
    Ok(exit_of(attempt.judged()))
}

const ONE_CODE: &str = "Verification code: ";
pub(super) const TWO_CODES: &str = "The current code and the one after it, on one line: ";
