//! `forget`: removes all that is known of a user, once that is what is meant.

use common::protocol::Forget;
use common::text::printable;
use common::user::UserName;

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render::Forgotten;

/// Asks, and forgets.
pub(super) fn run(context: &Context<'_>, user: &str, yes: bool) -> Result<Exit, Failure> {
    let user = UserName::new(user)?;
    if !yes && !is_meant(context, &user)? {
        return Err(Failure::Usage(NOT_MEANT));
    }
    let reply = context.daemon.call(&Forget { user: user.as_str().to_owned() })?;
    context.screen.result(&Forgotten { user: reply.user, forgotten: true })?;
    Ok(Exit::Done)
}

fn is_meant(context: &Context<'_>, user: &UserName) -> Result<bool, Failure> {
    let prompt = format!(
        "All devices, keys and recovery codes of {0} are gone for good then. To do it, type {0}: ",
        printable(user.as_str())
    );
    Ok(context.keyboard.ask(&prompt)?.is_some_and(|typed| typed.expose() == user.as_str()))
}

const NOT_MEANT: &str = "nothing was forgotten: type the name of the user to do it, or give --yes";
