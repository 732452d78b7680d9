//! `confirm`: makes a pending device active with the first code it shows.

use common::wire::protocol::{Confirm, Device, DeviceState, Error, Show, User};
use common::wire::text::printable;

use super::{Context, exit_of};
use crate::cli::DeviceTarget;
use crate::exit::{Exit, Failure};
use crate::render::recovery_codes;

/// Looks which device is meant, reads a code and confirms with it.
pub(super) fn run(context: &Context<'_>, target: &DeviceTarget) -> Result<Exit, Failure> {
    let (user, device) = target.names()?;
    let known = context.daemon.call(&Show { user })?.user;
    let device = waiting(&known, device.as_deref())?.name.clone();
    let code = context.prompt.ask(&prompt(&known.user, &device))?;
    let code = code.ok_or_else(|| Failure::Unconfirmed { user: known.user.clone(), device: device.clone() })?;
    let reply = context.daemon.call(&Confirm { user: Some(known.user), device: Some(device), code })?;
    context.output.result(&reply)?;
    if !context.output.is_for_programs() {
        context.output.page(&recovery_codes(&reply.user, &reply.recovery_codes))?;
    }
    Ok(exit_of(reply.verdict))
}

/// The device that waits for its first code, as the daemon will find it. Nobody types a code for one that does not.
fn waiting<'a>(user: &'a User, named: Option<&str>) -> Result<&'a Device, Failure> {
    if user.damaged {
        return Err(refused(Error::RecordDamaged));
    }
    let waits = |device: &&Device| device.state == DeviceState::Pending;
    if let Some(name) = named {
        let device = user.devices.iter().find(|device| device.name == name);
        let device = device.ok_or_else(|| refused(Error::NoSuchDevice))?;
        return Some(device).filter(waits).ok_or_else(|| refused(Error::NotPending));
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
    format!("Code that {}'s device '{}' shows now: ", printable(user), printable(device))
}
