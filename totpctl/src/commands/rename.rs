//! `rename-device`: another name for the same thing.

use common::device::DeviceName;
use common::protocol::RenameDevice;
use common::user::UserName;

use super::{Context, device_name, sent};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::RenamedDevice;

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
