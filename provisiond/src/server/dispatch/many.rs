//! Streams: `List`, `Events` and `Rotate`, the methods with several replies (`more`). Few run at once, and
//! each reply has a deadline of its own, because there may be a million. A caller that loses the
//! permission meanwhile gets no more.

use std::cell::Cell;
use std::time::{Duration, Instant};

use common::wire::event::Event;
use common::wire::frame::FrameError;
use common::wire::protocol::{self, Error, Method, Request};
use serde::Serialize;

use super::message::Message;
use super::replies::Stop;
use crate::admin;
use crate::identity::caller::{Caller, Role};
use crate::identity::names::{Found, NoAnswer};
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
    let watch = Watch::begin(service, call, Method::List);
    admin::list::list(service, call, &wish, |user| match waiting.replace(user) {
        Some(before) => {
            watch.look_in_time()?;
            message.replies.of_stream(before, true)
        }
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
    let watch = Watch::begin(service, call, Method::Events);
    let stays = || match replies.to.is_closed() {
        true => Ok(false),
        false => watch.look().map(|()| true),
    };
    admin::events::events(service, call, &asked, tell, stays)?;
    replies.of_stream(protocol::EventsReply { event: None }, false)
}

/// `Rotate`: sends how far it is, and a last reply with what is left. It ends when the caller leaves,
/// loses the permission, or the daemon stops; another call goes on.
pub(super) fn rotate(
    service: &Service,
    call: &Call<'_>,
    message: &Message<'_>,
) -> Result<(), Stop> {
    let wish: protocol::Rotate = message.parameters()?;
    let _stream = begin(service, call, &message.request)?;
    let replies = &message.replies;
    let watch = Watch::begin(service, call, Method::Rotate);
    let tell = |reply: protocol::RotateReply| {
        watch.look_in_time()?;
        match replies.to.is_closed() {
            true => Err(Stop::Socket(FrameError::Truncated)),
            false => replies.of_stream(reply, true),
        }
    };
    let last = admin::rotate::rotate(service, call, &wish, tell)?;
    replies.of_stream(last, false)
}

/// [`protocol::EventsReply`] on its way out.
#[derive(Serialize)]
struct ToldEvent<'a> {
    event: &'a Event,
}

/// Looks now and then whether the caller of a long stream, which is about all users, would still be
/// permitted to begin it.
struct Watch<'a> {
    service: &'a Service,
    call: &'a Call<'a>,
    method: Method,
    looked: Cell<Instant>,
    /// When the name service answered last.
    answered: Cell<Instant>,
}

impl<'a> Watch<'a> {
    fn begin(service: &'a Service, call: &'a Call<'a>, method: Method) -> Self {
        let now = || Cell::new(Instant::now());
        Self {
            service,
            call,
            method,
            looked: now(),
            answered: now(),
        }
    }

    fn look_in_time(&self) -> Result<(), Error> {
        if self.looked.get().elapsed() < LOOK {
            return Ok(());
        }
        self.looked.set(Instant::now());
        self.look()
    }

    fn look(&self) -> Result<(), Error> {
        let peer = self.call.caller.peer;
        let settings = self.service.settings();
        let names = self.service.names.asking_for(peer);
        let permitted = Caller::identify(peer, &settings.roles, names).map(|caller| {
            caller.map(|caller| permission(self.method, caller.role) == Permission::Any)
        });
        if permitted.is_ok() {
            self.answered.set(Instant::now());
        }
        goes_on(permitted, self.answered.get().elapsed())
    }
}

/// While the name service does not answer, its last answer holds for as long as it is cached: it
/// has not said that the caller lost the role. A longer silence ends the stream.
fn goes_on(permitted: Found<bool>, silent_for: Duration) -> Result<(), Error> {
    match permitted {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false) | None) => Err(Error::PermissionDenied),
        Err(NoAnswer) if silent_for < SILENCE => Ok(()),
        Err(NoAnswer) => Err(Error::busy(SILENT)),
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

/// How often the caller of a list is checked.
const LOOK: Duration = Duration::from_secs(1);
/// How long the name service may be silent about the caller of a stream.
const SILENCE: Duration = Duration::from_secs(30);
const SILENT: &str = "the name service has not said for half a minute whether you may still read this: try again, \
                      or check with 'getent group'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_outlasts_a_short_silence_of_the_name_service_and_no_long_one_and_no_dismissal() {
        let after = |permitted, seconds| goes_on(permitted, Duration::from_secs(seconds));
        assert!(after(Ok(Some(true)), 0).is_ok() && after(Err(NoAnswer), 29).is_ok());
        assert!(matches!(after(Err(NoAnswer), 30), Err(Error::Busy { .. })));
        for lost in [Ok(Some(false)), Ok(None)] {
            assert!(matches!(after(lost, 0), Err(Error::PermissionDenied)));
        }
    }
}
