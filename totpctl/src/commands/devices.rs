//! `disable`, `enable` and `revoke`: what becomes of a device, or of all of a user's.

use common::wire::protocol::{DeviceState, Revoke, SetState};

use super::Context;
use crate::cli::{DeviceTarget, StateArgs};
use crate::exit::{Exit, Failure};
use crate::render::{Change, Changed};

/// Disables or enables, and says what.
pub(super) fn set(context: &Context<'_>, part: &StateArgs, state: DeviceState) -> Result<Exit, Failure> {
    let names = part.target.names()?;
    let reply = context.with_proof(|proof| {
        let (user, device) = names.clone();
        // Left out rather than false: only administrators may say anything here.
        context.daemon.call(&SetState { user, device, all: part.all.then_some(true), state, proof })
    })?;
    let state = if state == DeviceState::Active { Change::Active } else { Change::Disabled };
    context.output.result(&Changed { user: reply.user, device: reply.device, state })?;
    Ok(Exit::Done)
}

/// Revokes a device and says which it was.
pub(super) fn revoke(context: &Context<'_>, target: &DeviceTarget) -> Result<Exit, Failure> {
    let names = target.names()?;
    let reply = context.with_proof(|proof| {
        let (user, device) = names.clone();
        context.daemon.call(&Revoke { user, device, proof })
    })?;
    context.output.result(&Changed { user: reply.user, device: Some(reply.device), state: Change::Revoked })?;
    Ok(Exit::Done)
}
