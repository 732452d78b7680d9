//! `revoke-grace`: ends a user's grace period, so that the next login asks for a code.

use common::wire::protocol::RevokeGrace;

use super::Context;
use crate::cli::OptionalUser;
use crate::exit::{Exit, Failure};

/// Ends the grace period of one user; without a name, of the caller.
pub(super) fn revoke(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    context
        .output
        .result(&context.daemon.call(&RevokeGrace { user: user.name()? })?)?;
    Ok(Exit::Done)
}
