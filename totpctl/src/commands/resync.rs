//! `resync`: two codes in a row tell where a device is whose clock, or counter, is too far off for a login.

use common::protocol::Resync;
use common::secret::SecretText;

use super::verify::TWO_CODES;
use super::{Context, exit_of};
use crate::cli::Target;
use crate::exit::{Exit, Failure};

/// Reads the codes, and tells what came of them.
pub(super) fn run(context: &Context<'_>, target: &Target) -> Result<Exit, Failure> {
    let names = target.names()?;
    let typed = context.code(TWO_CODES)?;
    let reply = context.with_proof(|proof| {
        let (user, device) = names.clone();
        let codes = vec![SecretText::typed(typed.expose().as_bytes())];
        context.daemon.call(&Resync { user, device, codes, proof })
    })?;
    context.screen.result(&reply)?;
    Ok(exit_of(reply.verdict))
}
