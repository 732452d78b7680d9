//! `confirm`: makes a pending device active with the first code it shows.

use common::protocol::Confirm;

use super::{Context, exit_of};
use crate::cli::Target;
use crate::exit::{Exit, Failure};
use crate::render::recovery_codes;

/// Reads a code and confirms with it.
pub(super) fn run(context: &Context<'_>, target: &Target) -> Result<Exit, Failure> {
    let (user, device) = target.names()?;
    let code = context.code(PROMPT)?;
    let reply = context.daemon.call(&Confirm { user, device, code })?;
    context.screen.result(&reply)?;
    if !context.screen.is_for_programs() {
        context.screen.page(&recovery_codes(&reply.user, &reply.recovery_codes))?;
    }
    Ok(exit_of(reply.verdict))
}

const PROMPT: &str = "Code that the device shows now: ";
