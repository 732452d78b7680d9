//! Streams: `List` and `Events`, the methods with several replies (`more`). Few run at once, and
//! each reply has a deadline of its own, because there may be a million.

use std::os::fd::BorrowedFd;

use common::wire::event::Event;
use common::wire::protocol::{self, Error, Method, Request};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::message::Message;
use super::replies::Stop;
use crate::admin;
use crate::identity::caller::{Caller, Role};
use crate::identity::permission::{Permission, permission};
use crate::in_memory::streams::{Lane, Stream};
use crate::service::Service;
use crate::service::call::Call;

/// `List`: holds each reply back until the next user is known, because only the last reply says
/// that nothing follows.
pub(super) fn list(service: &Service, call: &Call<'_>, message: &Message<'_>) -> Result<(), Stop> {
    let wish: protocol::List = message.parameters()?;
    let _stream = begin(service, call, &message.request)?;
    let mut waiting = None;
    admin::list::list(service, call, &wish, |user| match waiting.replace(user) {
        Some(before) => message.replies.of_stream(before, true),
        None => Ok(()),
    })?;
    let last = waiting.ok_or(Error::NoSuchUser)?;
    message.replies.of_stream(last, false)
}

/// `Events`: sends one event a reply, and a last reply without an event. With `follow` it sends new
/// events until the caller leaves, loses the permission, or the daemon stops.
pub(super) fn events(
    service: &Service,
    call: &Call<'_>,
    message: &Message<'_>,
) -> Result<(), Stop> {
    let asked = message.parameters()?;
    let _stream = begin(service, call, &message.request)?;
    let replies = &message.replies;
    let tell = |event: &Event| replies.of_stream(ToldEvent { event }, true);
    let stays = || match has_left(&replies.socket) {
        true => Ok(false),
        false => still_permitted(service, call, Method::Events).map(|()| true),
    };
    admin::events::events(service, call, &asked, tell, stays)?;
    replies.of_stream(protocol::EventsReply { event: None }, false)
}

/// [`protocol::EventsReply`] on its way out.
#[derive(Serialize)]
struct ToldEvent<'a> {
    event: &'a Event,
}

/// Whether the caller has closed the connection. A caller that has only shut down its sending side
/// may still read.
fn has_left(socket: &BorrowedFd<'_>) -> bool {
    let mut looked_at = [PollFd::new(*socket, PollFlags::empty())];
    !matches!(poll(&mut looked_at, PollTimeout::ZERO), Ok(0))
}

/// Whether the caller of a long stream, which is about all users, would still be permitted to begin
/// it now. While the name service does not answer, its last answer holds: it has not said that the
/// caller lost the role.
fn still_permitted(service: &Service, call: &Call<'_>, method: Method) -> Result<(), Error> {
    let (roles, names) = (&service.settings().roles, service.names.asking());
    let Ok(caller) = Caller::identify(call.caller.peer, roles, names) else {
        return Ok(());
    };
    let permitted = caller.is_some_and(|caller| permission(method, caller.role) == Permission::Any);
    if permitted {
        Ok(())
    } else {
        Err(Error::PermissionDenied)
    }
}

/// Begins a stream. A call without `more` is refused.
fn begin<'a>(
    service: &'a Service,
    call: &Call<'_>,
    request: &Request<'_>,
) -> Result<Stream<'a>, Stop> {
    if !request.more {
        return Err(Stop::Varlink((
            "ExpectedMore",
            "method",
            request.method.clone().into_owned(),
        )));
    }
    let lane = match call.caller.role {
        Role::Own => Lane::OwnAccount,
        _ => Lane::Role,
    };
    Ok(service.streams.open(call.caller.peer.uid, lane)?)
}
