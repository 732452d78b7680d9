//! `status`, `reload` and `clock-accept`: the daemon itself.

use common::wire::client::ClientError;
use common::wire::protocol::{ClockAccept, Error, Reload, Status};

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render::Reloaded;

/// Shows how the daemon is.
pub(super) fn status(context: &Context<'_>) -> Result<Exit, Failure> {
    context.output.result(&context.daemon.call(&Status {})?)?;
    Ok(Exit::Done)
}

/// Lets the daemon read its settings again. Here a bad parameter can only be the settings themselves.
pub(super) fn reload(context: &Context<'_>) -> Result<Exit, Failure> {
    context.daemon.call(&Reload {}).map_err(|error| match error {
        ClientError::Refused(Error::BadParameter { why, .. }) => Failure::BadSettings(why),
        error => error.into(),
    })?;
    context.output.result(&Reloaded { reloaded: true })?;
    Ok(Exit::Done)
}

/// Tells the daemon that the clock is right as it is now.
pub(super) fn clock_accept(context: &Context<'_>) -> Result<Exit, Failure> {
    context.output.result(&context.daemon.call(&ClockAccept {})?)?;
    Ok(Exit::Done)
}
