//! `revoke-grace`: the next login asks for a code again.

use common::protocol::RevokeGrace;
use common::user::UserName;

use super::Context;
use crate::exit::{Exit, Failure};

/// Revokes it for one user: the caller, if none is named.
pub(super) fn revoke(context: &Context<'_>, user: Option<&str>) -> Result<Exit, Failure> {
    let user = user.map(UserName::new).transpose()?.map(|user| user.as_str().to_owned());
    context.screen.result(&context.daemon.call(&RevokeGrace { user })?)?;
    Ok(Exit::Done)
}
