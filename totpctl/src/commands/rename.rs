//! `rename-device` and `rename-user`: another name for the same thing.

use common::device::DeviceName;
use common::protocol::{RenameDevice, RenameUser};
use common::user::UserName;

use super::{Context, device_name, sent};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::{RenamedDevice, RenamedUser};

/// Calls a device something else.
pub(super) fn device(context: &Context<'_>, wanted: &cli::RenameDevice) -> Result<Exit, Failure> {
    let (user, device) = (UserName::new(&wanted.user)?, device_name(wanted.device.as_deref())?);
    let name = DeviceName::new(&wanted.name)?;
    let call = |proof| {
        let (user, device) = (Some(user.as_str().to_owned()), sent(device.as_ref()));
        context.daemon.call(&RenameDevice { user, device, name: name.as_str().to_owned(), proof })
    };
    let reply = context.with_proof(call)?;
    context.screen.result(&RenamedDevice { user: reply.user, device: reply.device })?;
    Ok(Exit::Done)
}

/// Lets the devices follow an account that is called something else.
pub(super) fn user(context: &Context<'_>, user: &str, new: &str) -> Result<Exit, Failure> {
    let (user, new) = (UserName::new(user)?.as_str().to_owned(), UserName::new(new)?.as_str().to_owned());
    let reply = context.daemon.call(&RenameUser { user: user.clone(), new })?;
    context.screen.result(&RenamedUser { was: user, user: reply.user })?;
    Ok(Exit::Done)
}
