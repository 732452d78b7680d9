//! `show` and `list`: what is known of one user, and of all.

use common::client::ClientError;
use common::protocol::{Error, List, Show};
use common::user::UserName;

use super::Context;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::Users;

/// Shows one user: the caller, if none is named.
pub(super) fn one(context: &Context<'_>, user: Option<&str>) -> Result<Exit, Failure> {
    let user = user.map(UserName::new).transpose()?.map(|user| user.as_str().to_owned());
    let reply = context.daemon.call(&Show { user })?;
    context.screen.result(&reply.user)?;
    Ok(Exit::Done)
}

/// Lists every enrolled user, once all of them are known: half a list would look like a whole one.
pub(super) fn all(context: &Context<'_>, wish: &cli::List) -> Result<Exit, Failure> {
    let nobody = match (wish.not_enrolled, &wish.group) {
        (false, None) => "nobody is enrolled; to enrol somebody:\n  totpctl enroll USER",
        (false, Some(_)) => "nobody in this group is enrolled",
        (true, None) => "nobody is without an active device",
        (true, Some(_)) => "nobody in this group is without an active device",
    };
    let wish = List { not_enrolled: wish.not_enrolled.then_some(true), group: wish.group.clone() };
    // A call has at least one reply, so a list of nobody can only come as an error.
    let replies = match context.daemon.call_more(&wish) {
        Err(ClientError::Refused(Error::NoSuchUser)) => Vec::new(),
        answer => answer?,
    };
    context.screen.result(&Users { users: replies.into_iter().map(|reply| reply.user).collect(), nobody })?;
    Ok(Exit::Done)
}
