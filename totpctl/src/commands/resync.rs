//! `resync`: two codes in a row tell where a device is whose clock, or counter, is too far off for a login.

use common::wire::client::ClientError;
use common::wire::protocol::{Ask, Error, Resync, ResyncReply};

use super::verify::TWO_CODES;
use super::{Context, exit_of};
use crate::cli::DeviceTarget;
use crate::exit::{Exit, Failure};

/// Reads the codes, and tells what came of them.
pub(super) fn run(context: &Context<'_>, target: &DeviceTarget) -> Result<Exit, Failure> {
    let (user, device) = target.names()?;
    let call = |codes, proof| context.daemon.call(&Resync { user: user.clone(), device: device.clone(), codes, proof });
    // Before anybody types: whether there is such a device, and whether it takes a proof.
    let (codes, proof) = match call(Vec::new(), None) {
        Err(ClientError::Refused(Error::BadParameter { field, .. })) if field == "codes" => {
            (context.code(TWO_CODES)?, None)
        }
        Err(ClientError::Refused(Error::ProofRequired { ask })) => {
            (context.code(TWO_CODES_FIRST)?, Some(context.proof(proof_prompt(ask), ask)?))
        }
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
        Ask::OneCode | Ask::Ticket | Ask::Nothing => "A recovery code, or a code of another active device: ",
        Ask::TwoCodes => "A recovery code, or two consecutive codes of another active device, on one line: ",
    }
}

/// The proof's code would run out while two others are typed. Who has none is told before typing anything.
const TWO_CODES_FIRST: &str =
    "After these two codes totpctl asks for a recovery code, or a code of another active device.
The device's current code and the one after it, on one line: ";
