//! `show` and `list`: reads one user's record, or all; the sentences for an empty list.

use common::wire::client::ClientError;
use common::wire::protocol::{Error, List, Show, User};

use super::Context;
use crate::cli::{self, OptionalUser};
use crate::exit::{Exit, Failure};
use crate::render::Users;

/// `show`: prints one user; without a name, the caller.
pub(super) fn one(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    let reply = context.daemon.call(&Show { user: user.name()? })?;
    context.output.result(&reply.user)?;
    Ok(Exit::Done)
}

/// `list`: prints users, once all have arrived: half a list would look complete.
pub(super) fn all(context: &Context<'_>, wish: &cli::ListArgs) -> Result<Exit, Failure> {
    let when_empty = match (wish.not_enrolled, &wish.group) {
        (false, None) => "no user is enrolled; to enrol one:\n  totpctl enroll USER",
        (false, Some(_)) => "no user in this group is enrolled",
        (true, None) => "no user is without an active device",
        (true, Some(_)) => "no user in this group is without an active device",
    };
    let wish = List {
        not_enrolled: wish.not_enrolled.then_some(true),
        group: wish.group.clone(),
    };
    context.output.result(&Users {
        users: users(context, &wish)?,
        when_empty,
    })?;
    Ok(Exit::Done)
}

/// The users that the daemon lists. A call has at least one reply, so the daemon sends an empty
/// list as an error.
pub(super) fn users(context: &Context<'_>, wish: &List) -> Result<Vec<User>, Failure> {
    match context.daemon.call_more(wish) {
        Err(ClientError::Refused(Error::NoSuchUser)) => Ok(Vec::new()),
        answer => Ok(answer?.into_iter().map(|reply| reply.user).collect()),
    }
}
