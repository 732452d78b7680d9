//! `forget`: deletes a user's record, after the caller has typed the name again; its prompt.

use common::wire::protocol::Forget;
use common::wire::text::printable;

use super::{Context, names};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::Forgotten;

/// Asks for confirmation, and deletes the record.
pub(super) fn run(context: &Context<'_>, wanted: &cli::ForgetArgs) -> Result<Exit, Failure> {
    let user = names::user(&wanted.user)?;
    if !wanted.yes && !is_meant(context, &user)? {
        return Err(Failure::Usage(NOT_MEANT));
    }
    let reply = context.daemon.call(&Forget { user })?;
    context.output.result(&Forgotten {
        user: reply.user,
        forgotten: true,
    })?;
    Ok(Exit::Done)
}

fn is_meant(context: &Context<'_>, user: &str) -> Result<bool, Failure> {
    let prompt = format!(
        "This deletes all devices, keys and recovery codes of {0} permanently. To confirm, type {0}: ",
        printable(user)
    );
    Ok(context
        .prompt
        .ask(&prompt)?
        .is_some_and(|typed| typed.expose() == user))
}

const NOT_MEANT: &str = "nothing was deleted: type the user's name to confirm, or give --yes";
