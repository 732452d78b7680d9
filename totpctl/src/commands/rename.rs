//! `rename-device` and `rename-user`: a new name for a device or for a user's record.

use common::names::device::DeviceName;
use common::wire::protocol::{RenameDevice, RenameUser};

use super::{Context, names};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::{RenamedDevice, RenamedUser};

/// `rename-device`: renames a device.
pub(super) fn device(
    context: &Context<'_>,
    wanted: &cli::RenameDeviceArgs,
) -> Result<Exit, Failure> {
    let (names, name) = (
        (
            Some(names::user(&wanted.user)?),
            names::device(wanted.device.as_deref())?,
        ),
        DeviceName::new(&wanted.name)?.to_string(),
    );
    let reply = context.with_proof(|proof| {
        let ((user, device), name) = (names.clone(), name.clone());
        context.daemon.call(&RenameDevice {
            user,
            device,
            name,
            proof,
        })
    })?;
    context.output.result(&RenamedDevice {
        user: reply.user,
        device: reply.device,
    })?;
    Ok(Exit::Done)
}

/// `rename-user`: moves a record to the account's new name.
pub(super) fn user(context: &Context<'_>, wanted: &cli::RenameUserArgs) -> Result<Exit, Failure> {
    let (user, new) = (names::user(&wanted.user)?, names::user(&wanted.new)?);
    let reply = context.daemon.call(&RenameUser {
        user: user.clone(),
        new,
        same_person: wanted.same_person.said(),
    })?;
    context.output.result(&RenamedUser {
        was: user,
        user: reply.user,
    })?;
    Ok(Exit::Done)
}
