//! `recovery-codes`, `bypass`, `ticket` and `unlock`: issues codes, and restores a user's guesses.

use common::config::values::span::Span;
use common::wire::protocol::{Bypass, NewRecoveryCodes, Ticket, Unlock};

use super::{Context, lists, names};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::{Purpose, TimedCode};

/// `recovery-codes`: makes new recovery codes for one user; without a name, for the caller.
pub(super) fn recovery_codes(
    context: &Context<'_>,
    wanted: &cli::RecoveryArgs,
) -> Result<Exit, Failure> {
    let user = wanted.user.name()?;
    let call = |proof| {
        context.daemon.call(&NewRecoveryCodes {
            user: user.clone(),
            proof,
            same_person: wanted.same_person.said(),
        })
    };
    context.output.reveal(&context.with_proof(call)?)?;
    Ok(Exit::Done)
}

/// `bypass`: issues a temporary login code.
pub(super) fn bypass(context: &Context<'_>, wanted: &cli::BypassArgs) -> Result<Exit, Failure> {
    let (user, valid_for) = (names::user(&wanted.user)?, seconds(wanted.valid_for));
    let reply = context.daemon.call(&Bypass {
        user,
        valid_for,
        uses: Some(wanted.uses),
    })?;
    context
        .output
        .reveal(&TimedCode::new(reply, Purpose::Bypass(wanted.uses)))?;
    Ok(Exit::Done)
}

/// `ticket`: issues a code that enrols a first device.
pub(super) fn ticket(context: &Context<'_>, wanted: &cli::TicketArgs) -> Result<Exit, Failure> {
    if let Some(list) = &wanted.list.users {
        return lists::ticket(context, list, wanted);
    }
    let user = names::user(wanted.user.as_deref().unwrap_or_default())?;
    context.warn_without_account(&user);
    let reply = context.daemon.call(&Ticket {
        user,
        valid_for: seconds(wanted.valid_for),
    })?;
    context
        .output
        .reveal(&TimedCode::new(reply, Purpose::Ticket))?;
    Ok(Exit::Done)
}

/// `unlock`: restores a user's guesses.
pub(super) fn unlock(context: &Context<'_>, user: &str) -> Result<Exit, Failure> {
    context.output.result(&context.daemon.call(&Unlock {
        user: names::user(user)?,
    })?)?;
    Ok(Exit::Done)
}

/// A span in whole seconds, as the daemon takes it.
pub(super) fn seconds(span: Option<Span>) -> Option<u64> {
    span.map(|Span(span)| span.as_secs())
}
