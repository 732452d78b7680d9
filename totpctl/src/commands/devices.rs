//! `disable`, `enable` and `revoke`: changes the state of a device or account, or deletes a device.

use common::wire::protocol::{DeviceState, Revoke, SetState};

use super::{Context, lists};
use crate::cli::{DisableArgs, EnableArgs, RevokeArgs, StateArgs};
use crate::exit::{Exit, Failure};
use crate::render::{Change, Changed};

/// `disable`.
pub(super) fn disable(context: &Context<'_>, wanted: &DisableArgs) -> Result<Exit, Failure> {
    match &wanted.list.users {
        Some(list) => lists::disable(context, list, wanted),
        None => set(context, &wanted.part, (DeviceState::Disabled, None)),
    }
}

/// `enable`.
pub(super) fn enable(context: &Context<'_>, wanted: &EnableArgs) -> Result<Exit, Failure> {
    let active = (DeviceState::Active, wanted.same_person.said());
    set(context, &wanted.part, active)
}

fn set(
    context: &Context<'_>,
    part: &StateArgs,
    (state, same_person): (DeviceState, Option<bool>),
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
            same_person,
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
pub(super) fn revoke(context: &Context<'_>, wanted: &RevokeArgs) -> Result<Exit, Failure> {
    if let Some(list) = &wanted.list.users {
        return lists::revoke(context, list, wanted);
    }
    let names = wanted.target.names()?;
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
