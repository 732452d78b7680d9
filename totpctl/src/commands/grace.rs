//! `revoke-grace`: the next login asks for a code again.

use common::wire::protocol::RevokeGrace;

use super::Context;
use crate::cli::Own;
use crate::exit::{Exit, Failure};

/// Revokes it for one user: the caller, if none is named.
pub(super) fn revoke(context: &Context<'_>, whom: &Own) -> Result<Exit, Failure> {
    context.screen.result(&context.daemon.call(&RevokeGrace { user: whom.name()? })?)?;
    Ok(Exit::Done)
}
