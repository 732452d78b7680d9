//! `disable`, `enable` and `revoke`: changes the state of a device or account, or deletes a device.

use common::wire::protocol::{DeviceState, Revoke, SetState};

use super::Context;
use crate::cli::{DeviceTarget, StateArgs};
use crate::exit::{Exit, Failure};
use crate::render::{Change, Changed};

/// `disable` and `enable`.
pub(super) fn set(
    context: &Context<'_>,
    part: &StateArgs,
    state: DeviceState,
) -> Result<Exit, Failure> {
    let names = part.target.names()?;
    let reply = context.with_proof(|proof| {
        let (user, device) = names.clone();
        // Left out rather than false: only administrators may send it at all.
        context.daemon.call(&SetState {
            user,
            device,
            all: part.all.then_some(true),
            state,
            proof,
        })
    })?;
    let state = if state == DeviceState::Active {
        Change::Active
    } else {
        Change::Disabled
    };
    context.output.result(&Changed {
        user: reply.user,
        device: reply.device,
        state,
    })?;
    Ok(Exit::Done)
}

/// `revoke`.
pub(super) fn revoke(context: &Context<'_>, target: &DeviceTarget) -> Result<Exit, Failure> {
    let names = target.names()?;
    let reply = context.with_proof(|proof| {
        let (user, device) = names.clone();
        context.daemon.call(&Revoke {
            user,
            device,
            proof,
        })
    })?;
    context.output.result(&Changed {
        user: reply.user,
        device: Some(reply.device),
        state: Change::Revoked,
    })?;
    Ok(Exit::Done)
}
