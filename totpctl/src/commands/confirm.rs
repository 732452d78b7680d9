//! `confirm`: activates a pending device with its first code; the prompt for it.

use common::wire::protocol::{Confirm, Device, DeviceState, Error, Show, User};
use common::wire::text::printable;

use super::{Context, exit_of};
use crate::cli::ConfirmArgs;
use crate::exit::{Exit, Failure};
use crate::render::recovery_codes;

/// Finds the pending device, asks for its code, and confirms the device.
pub(super) fn run(context: &Context<'_>, wanted: &ConfirmArgs) -> Result<Exit, Failure> {
    let (user, device) = wanted.target.names()?;
    let known = context.daemon.call(&Show { user })?.user;
    let device = waiting(&known, device.as_deref())?.name.clone();
    let code = context.prompt.ask(&prompt(&known.user, &device))?;
    let code = code.ok_or_else(|| Failure::Unconfirmed {
        user: known.user.clone(),
        device: device.clone(),
    })?;
    let reply = context.daemon.call(&Confirm {
        user: Some(known.user),
        device: Some(device),
        code,
        same_person: wanted.same_person.said(),
    })?;
    if !reply.recovery_codes.is_empty() {
        context.output.will_hold_secrets();
    }
    context.output.result(&reply)?;
    if !context.output.is_for_programs() {
        context
            .output
            .page(&recovery_codes(&reply.user, &reply.recovery_codes))?;
    }
    Ok(exit_of(reply.verdict))
}

/// The pending device, chosen as the daemon chooses it. totpctl asks for no code if there is none.
fn waiting<'a>(user: &'a User, named: Option<&str>) -> Result<&'a Device, Failure> {
    if user.damaged {
        return Err(refused(Error::RecordDamaged));
    }
    let waits = |device: &&Device| device.state == DeviceState::Pending;
    if let Some(name) = named {
        let device = user.devices.iter().find(|device| device.name == name);
        let device = device.ok_or_else(|| refused(Error::NoSuchDevice))?;
        return Some(device)
            .filter(waits)
            .ok_or_else(|| refused(Error::NotPending));
    }
    let mut all = user.devices.iter().filter(waits);
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(refused(Error::NoSuchDevice)),
        (None, _) => Err(refused(Error::NotPending)),
    }
}

fn refused(error: Error) -> Failure {
    Failure::Daemon(error.into())
}

fn prompt(user: &str, device: &str) -> String {
    format!(
        "Code that {}'s device '{}' shows now: ",
        printable(user),
        printable(device)
    )
}
