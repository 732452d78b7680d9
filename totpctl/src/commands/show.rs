//! `show` and `list`: what is known of one user, and of all.

use common::wire::client::ClientError;
use common::wire::protocol::{Error, List, Show, User};

use super::Context;
use crate::cli::{self, OptionalUser};
use crate::exit::{Exit, Failure};
use crate::render::Users;

/// Shows one user: the caller, if none is named.
pub(super) fn one(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    let reply = context.daemon.call(&Show { user: user.name()? })?;
    context.output.result(&reply.user)?;
    Ok(Exit::Done)
}

/// Lists every enrolled user, once all of them are known: half a list would look like a whole one.
pub(super) fn all(context: &Context<'_>, wish: &cli::ListArgs) -> Result<Exit, Failure> {
    let when_empty = match (wish.not_enrolled, &wish.group) {
        (false, None) => "no user is enrolled; to enrol one:\n  totpctl enroll USER",
        (false, Some(_)) => "no user in this group is enrolled",
        (true, None) => "no user is without an active device",
        (true, Some(_)) => "no user in this group is without an active device",
    };
    let wish = List { not_enrolled: wish.not_enrolled.then_some(true), group: wish.group.clone() };
    context.output.result(&Users { users: users(context, &wish)?, when_empty })?;
    Ok(Exit::Done)
}

/// Those whom the daemon lists. A call has at least one reply, so a list of nobody can only come as an error.
pub(super) fn users(context: &Context<'_>, wish: &List) -> Result<Vec<User>, Failure> {
    match context.daemon.call_more(wish) {
        Err(ClientError::Refused(Error::NoSuchUser)) => Ok(Vec::new()),
        answer => Ok(answer?.into_iter().map(|reply| reply.user).collect()),
    }
}
