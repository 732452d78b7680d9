//! `rotate`: has the daemon seal everything under its default tag, and shows how far it is.

use common::wire::client::ClientError;
use common::wire::protocol::{Rotate, RotateReply};

use super::Context;
use crate::cli::RotateArgs;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render::Rotated;

/// `rotate`.
pub(super) fn run(context: &Context<'_>, wanted: &RotateArgs) -> Result<Exit, Failure> {
    let call = Rotate {
        to: wanted.to.clone(),
    };
    let progress = Progress::of(context.output, 0);
    let mut last = None;
    let followed = context.daemon.follow(&call, |reply: RotateReply| {
        progress.stands_at(reply.looked, reply.total);
        last = Some(reply);
        Ok(())
    });
    progress.clear();
    followed?;
    let rotated = last
        .and_then(Rotated::of)
        .ok_or(Failure::Daemon(ClientError::Closed))?;
    context.output.result(&rotated)?;
    Ok(match rotated.is_whole() {
        true => Exit::Done,
        false => Exit::Refused,
    })
}
