//! `recovery-codes`, `bypass`, `ticket` and `unlock`: the ways back in.

use common::protocol::{Bypass, NewRecoveryCodes, Ticket, Unlock};
use common::span::Span;
use common::user::UserName;

use super::Context;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::{Purpose, TimedCode};

/// Makes new recovery codes: the caller's, if nobody is named.
pub(super) fn recovery_codes(context: &Context<'_>, user: Option<&str>) -> Result<Exit, Failure> {
    let user = user.map(UserName::new).transpose()?.map(|user| user.as_str().to_owned());
    let call = |proof| context.daemon.call(&NewRecoveryCodes { user: user.clone(), proof });
    context.screen.reveal(&context.with_proof(call)?)?;
    Ok(Exit::Done)
}

/// Lets somebody in for a while.
pub(super) fn bypass(context: &Context<'_>, wanted: &cli::Bypass) -> Result<Exit, Failure> {
    let (user, valid_for) = (name(&wanted.user)?, seconds(wanted.valid_for));
    let reply = context.daemon.call(&Bypass { user, valid_for, uses: Some(wanted.uses) })?;
    context.screen.reveal(&TimedCode::new(reply, Purpose::Bypass(wanted.uses)))?;
    Ok(Exit::Done)
}

/// Lets somebody enrol a first device.
pub(super) fn ticket(context: &Context<'_>, wanted: &cli::Ticket) -> Result<Exit, Failure> {
    let (user, valid_for) = (name(&wanted.user)?, seconds(wanted.valid_for));
    let reply = context.daemon.call(&Ticket { user, valid_for })?;
    context.screen.reveal(&TimedCode::new(reply, Purpose::Ticket))?;
    Ok(Exit::Done)
}

/// Gives somebody their guesses back.
pub(super) fn unlock(context: &Context<'_>, user: &str) -> Result<Exit, Failure> {
    context.screen.result(&context.daemon.call(&Unlock { user: name(user)? })?)?;
    Ok(Exit::Done)
}

fn name(user: &str) -> Result<String, Failure> {
    Ok(UserName::new(user)?.as_str().to_owned())
}

fn seconds(span: Option<Span>) -> Option<u64> {
    span.map(|Span(span)| span.as_secs())
}
