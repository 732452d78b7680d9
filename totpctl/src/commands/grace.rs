//! `revoke-grace`: the next login asks for a code again.

use common::wire::protocol::RevokeGrace;

use super::Context;
use crate::cli::OptionalUser;
use crate::exit::{Exit, Failure};

/// Revokes it for one user: the caller, if none is named.
pub(super) fn revoke(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    context.output.result(&context.daemon.call(&RevokeGrace { user: user.name()? })?)?;
    Ok(Exit::Done)
}
