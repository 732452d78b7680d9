//! `verify`: asks for a code and makes a login attempt as the PAM module does; the prompts for one
//! and two codes.
//!
//! An accepted code is spent.

use common::wire::protocol::{Ask, Challenge, Verify};

use super::{Context, exit_of, names};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::VerifyResult;

/// Asks the daemon how many codes it wants, asks the user for them, and prints the verdict.
pub(super) fn run(context: &Context<'_>, wanted: &cli::VerifyArgs) -> Result<Exit, Failure> {
    let user = names::user(&wanted.user)?;
    let (service, rhost) = (wanted.service.clone(), wanted.rhost.clone());
    let challenge = Challenge {
        user: user.clone(),
        service: service.clone(),
        rhost: rhost.clone(),
        tty: None,
        options: None,
    };
    let asked = context.daemon.call(&challenge)?;
    let codes = match asked.ask {
        Ask::Nothing => Vec::new(),
        Ask::OneCode | Ask::Ticket => vec![context.code(ONE_CODE)?],
        Ask::TwoCodes => vec![context.code(TWO_CODES)?],
    };
    let attempt = Verify {
        user,
        codes,
        service,
        rhost,
        tty: None,
        options: None,
    };
    let attempt = VerifyResult::new(&wanted.user, context.daemon.call(&attempt)?);
    context.output.result(&attempt)?;
    Ok(exit_of(attempt.judged()))
}

const ONE_CODE: &str = "Verification code: ";
pub(super) const TWO_CODES: &str = "The current code and the one after it, on one line: ";
