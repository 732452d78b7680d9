//! `disable`, `enable` and `revoke`: what becomes of a device.

use common::client::ClientError;
use common::protocol::{DeviceReply, DeviceState, Revoke, SetState};
use common::secret::SecretText;

use super::{Context, sent};
use crate::cli::Target;
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::render::{Change, Changed};

/// Changes a device and says which it was.
pub(super) fn change(context: &Context<'_>, target: &Target, change: Change) -> Result<Exit, Failure> {
    let (user, device) = target.names()?;
    let names = || (Some(user.as_str().to_owned()), sent(device.as_ref()));
    let reply = context.with_proof(|proof| ask(&context.daemon, change, names(), proof))?;
    context.screen.result(&Changed { user: reply.user, device: reply.device, state: change })?;
    Ok(Exit::Done)
}

/// The call that brings the change about.
fn ask(
    daemon: &Daemon,
    change: Change,
    (user, device): (Option<String>, Option<String>),
    proof: Option<SecretText>,
) -> Result<DeviceReply, ClientError> {
    let state = match change {
        Change::Active => DeviceState::Active,
        Change::Disabled => DeviceState::Disabled,
        Change::Revoked => return daemon.call(&Revoke { user, device, proof }),
    };
    daemon.call(&SetState { user, device, state, proof })
}
