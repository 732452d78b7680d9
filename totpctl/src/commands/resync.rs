//! `resync`: asks for two consecutive codes of a device whose clock or counter is off, and for a
//! proof; its prompts.

use common::wire::client::ClientError;
use common::wire::protocol::{Ask, Error, Resync, ResyncReply};

use super::verify::TWO_CODES;
use super::{Context, exit_of};
use crate::cli::DeviceTarget;
use crate::exit::{Exit, Failure};

/// Asks for the codes and prints the verdict.
pub(super) fn run(context: &Context<'_>, target: &DeviceTarget) -> Result<Exit, Failure> {
    let (user, device) = target.names()?;
    let call = |codes, proof| {
        context.daemon.call(&Resync {
            user: user.clone(),
            device: device.clone(),
            codes,
            proof,
        })
    };
    // A call without codes comes first: it fails if there is no such device, and shows if the
    // daemon wants a proof.
    let (codes, proof) = match call(Vec::new(), None) {
        Err(ClientError::Refused(Error::BadParameter { field, .. })) if field == "codes" => {
            (context.code(TWO_CODES)?, None)
        }
        Err(ClientError::Refused(Error::ProofRequired { ask })) => (
            context.code(TWO_CODES_FIRST)?,
            Some(context.proof(proof_prompt(ask), ask)?),
        ),
        answer => return shown(context, &answer?),
    };
    shown(context, &call(vec![codes], proof)?)
}

fn shown(context: &Context<'_>, reply: &ResyncReply) -> Result<Exit, Failure> {
    context.output.result(reply)?;
    Ok(exit_of(reply.verdict))
}

fn proof_prompt(ask: Ask) -> &'static str {
    match ask {
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice | Ask::Nothing => {
            "A recovery code, or a code of another active device: "
        }
        Ask::TwoCodes => {
            "A recovery code, or two consecutive codes of another active device, on one line: "
        }
    }
}

/// The proof is asked for last: its code would expire while the user types the other two. The
/// prompt announces it, so that a user without one need not type anything.
const TWO_CODES_FIRST: &str =
    "After these two codes totpctl asks for a recovery code, or a code of another active device.
The device's current code and the one after it, on one line: ";
