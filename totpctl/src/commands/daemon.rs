//! `status`, `reload`, `clock-accept` and `store accept-loss`: commands about the daemon itself.

use common::wire::client::ClientError;
use common::wire::protocol::{ClockAccept, Error, Reload, Status, StoreAcceptLoss};

use super::Context;
use crate::cli::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::render::{FleetStatus, Reloaded};

/// `status`: shows the daemon's state, or that of its fleet.
pub(super) fn status(context: &Context<'_>, wanted: &StatusArgs) -> Result<Exit, Failure> {
    let status = context.daemon.call(&Status {})?;
    if !wanted.fleet {
        context.output.result(&status)?;
        return Ok(Exit::Done);
    }
    let fleet = FleetStatus::of(status).ok_or(Failure::Usage(NO_VERIFIER))?;
    context.output.result(&fleet)?;
    Ok(match fleet.has_problems() {
        true => Exit::Refused,
        false => Exit::Done,
    })
}

/// `reload`: makes the daemon read its settings again. A bad parameter can only be an error in the
/// settings.
pub(super) fn reload(context: &Context<'_>) -> Result<Exit, Failure> {
    context
        .daemon
        .call(&Reload {})
        .map_err(|error| match error {
            ClientError::Refused(Error::BadParameter { why, .. }) => Failure::BadSettings(why),
            error => error.into(),
        })?;
    context.output.result(&Reloaded { reloaded: true })?;
    Ok(Exit::Done)
}

/// `clock-accept`: tells the daemon that the clock is right.
pub(super) fn clock_accept(context: &Context<'_>) -> Result<Exit, Failure> {
    context
        .output
        .result(&context.daemon.call(&ClockAccept {})?)?;
    Ok(Exit::Done)
}

/// `store accept-loss`: tells the daemon that users which the store lacks are given up.
pub(super) fn store_accept_loss(context: &Context<'_>) -> Result<Exit, Failure> {
    context
        .output
        .result(&context.daemon.call(&StoreAcceptLoss {})?)?;
    Ok(Exit::Done)
}

const NO_VERIFIER: &str = "this daemon is no verifier of a fleet: run 'totpctl status --fleet' on a verifier, and 'totpctl status' here";
