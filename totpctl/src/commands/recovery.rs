//! `recovery-codes`, `bypass`, `ticket` and `unlock`: the ways back in.

use common::config::values::span::Span;
use common::wire::protocol::{Bypass, NewRecoveryCodes, Ticket, Unlock};

use super::{Context, names};
use crate::cli::{self, OptionalUser};
use crate::exit::{Exit, Failure};
use crate::render::{Purpose, TimedCode};

/// Makes new recovery codes: the caller's, if nobody is named.
pub(super) fn recovery_codes(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    let user = user.name()?;
    let call = |proof| context.daemon.call(&NewRecoveryCodes { user: user.clone(), proof });
    context.output.reveal(&context.with_proof(call)?)?;
    Ok(Exit::Done)
}

/// Lets somebody in for a while.
pub(super) fn bypass(context: &Context<'_>, wanted: &cli::BypassArgs) -> Result<Exit, Failure> {
    let (user, valid_for) = (names::user(&wanted.user)?, seconds(wanted.valid_for));
    let reply = context.daemon.call(&Bypass { user, valid_for, uses: Some(wanted.uses) })?;
    context.output.reveal(&TimedCode::new(reply, Purpose::Bypass(wanted.uses)))?;
    Ok(Exit::Done)
}

/// Lets somebody enrol a first device.
pub(super) fn ticket(context: &Context<'_>, wanted: &cli::TicketArgs) -> Result<Exit, Failure> {
    let (user, valid_for) = (names::user(&wanted.user)?, seconds(wanted.valid_for));
    context.warn_without_account(&user);
    let reply = context.daemon.call(&Ticket { user, valid_for })?;
    context.output.reveal(&TimedCode::new(reply, Purpose::Ticket))?;
    Ok(Exit::Done)
}

/// Gives somebody their guesses back.
pub(super) fn unlock(context: &Context<'_>, user: &str) -> Result<Exit, Failure> {
    context.output.result(&context.daemon.call(&Unlock { user: names::user(user)? })?)?;
    Ok(Exit::Done)
}

fn seconds(span: Option<Span>) -> Option<u64> {
    span.map(|Span(span)| span.as_secs())
}
