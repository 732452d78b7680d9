//! From a message to its handler. [`crate::permission`] is asked before a handler sees anything.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::event::Event;
use common::frame::{FrameError, outgoing, send_frame};
use common::protocol::{self, Error, OutgoingReply, Request, from_object};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::permission::{Method, Permission, Permitted, Subject, Visitor, permission, permitted, within_self_service};
use crate::service::{Call, Service};
use crate::verify::not_permitted;

/// Answers one message. An error of the caller's is answered; only a failing socket is an error here.
///
/// # Errors
/// [`FrameError`].
pub fn dispatch(
    service: &Service,
    visitor: &Visitor<'_>,
    frame: &[u8],
    replies: &Replies<'_>,
) -> Result<(), FrameError> {
    let request: Request<'_> = match from_object(frame) {
        Ok(request) => request,
        Err(why) => return replies.error(&Error::bad("message", why)),
    };
    let replies = Replies { silent: request.oneway, ..*replies };
    match answer(service, visitor, &request, &replies) {
        Ok(()) => Ok(()),
        Err(Stop::Error(error)) => replies.error(&error),
        Err(Stop::Varlink(error)) => replies.varlink_error(&error),
        Err(Stop::Socket(error)) => Err(error),
    }
}

/// The way back to the caller.
#[derive(Clone, Copy)]
pub struct Replies<'a> {
    /// The connection.
    pub socket: BorrowedFd<'a>,
    /// When the caller must have taken a reply.
    pub deadline: Instant,
    /// The caller wants none.
    pub silent: bool,
}

impl Replies<'_> {
    /// The same, with a deadline from now on.
    fn extended(self) -> Self {
        Self { deadline: Instant::now().checked_add(REPLY_TIME).unwrap_or(self.deadline), ..self }
    }

    /// Tells the caller's error.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn error(&self, error: &Error) -> Result<(), FrameError> {
        let (error, parameters) = error.to_wire();
        self.send(&json!({ "error": error, "parameters": parameters }))
    }

    fn varlink_error(&self, (name, field, value): &VarlinkError) -> Result<(), FrameError> {
        self.send(&json!({ "error": format!("org.varlink.service.{name}"), "parameters": { *field: value } }))
    }

    fn reply(&self, parameters: impl Serialize, continues: bool) -> Result<(), Stop> {
        Ok(self.send(&OutgoingReply { parameters, continues })?)
    }

    fn send(&self, message: &impl Serialize) -> Result<(), FrameError> {
        if self.silent {
            return Ok(());
        }
        let mut frame = outgoing();
        // Our own types always serialise; a reply that does not is not sent, and the caller sees the connection end.
        serde_json::to_writer(&mut *frame, message).map_err(|_| FrameError::Truncated)?;
        send_frame(&self.socket, frame, self.deadline)
    }
}

/// Why a message got no reply from a handler.
enum Stop {
    Error(Error),
    Varlink(VarlinkError),
    Socket(FrameError),
}

/// An error of `org.varlink.service`: its name, and its one parameter.
type VarlinkError = (&'static str, &'static str, String);

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<FrameError> for Stop {
    fn from(error: FrameError) -> Self {
        Self::Socket(error)
    }
}

fn answer(service: &Service, visitor: &Visitor<'_>, request: &Request<'_>, replies: &Replies<'_>) -> Result<(), Stop> {
    let (interface, name) = request.method.rsplit_once('.').unwrap_or(("", &request.method));
    match interface {
        protocol::NAME => {
            let method = Method::ALL.iter().copied().find(|method| method.name() == name);
            let method = method.ok_or_else(|| unknown_method(&request.method))?;
            handle(service, visitor, method, request, replies)
        }
        SERVICE => introspect(name, request, replies),
        _ => Err(Stop::Varlink(("InterfaceNotFound", "interface", interface.to_owned()))),
    }
}

fn handle(
    service: &Service,
    visitor: &Visitor<'_>,
    method: Method,
    request: &Request<'_>,
    replies: &Replies<'_>,
) -> Result<(), Stop> {
    let subject = subject(request);
    let settings = service.settings();
    let permitted = permitted(visitor, method, &subject, &settings.roles)
        .and_then(|permitted| within_self_service(permitted, method, settings.self_service));
    let reason = permitted.as_ref().err().and_then(|refusal| refusal.reason);
    let done = permitted.map_err(|refusal| Stop::Error(refusal.error)).and_then(|permitted| {
        let Permitted { ref caller, ref named, proof } = permitted;
        let call = Call { caller, user: named.user(), named, names: visitor.names, proof, deadline: replies.deadline };
        run(service, &call, method, request, replies)
    });
    if let Err(Stop::Error(Error::PermissionDenied)) = &done {
        service.log_for(
            visitor.peer,
            not_permitted(method.name(), subject.user.as_deref(), &visitor.peer).with_some("reason", reason),
        );
    }
    done
}

fn run(
    service: &Service,
    call: &Call<'_>,
    method: Method,
    request: &Request<'_>,
    replies: &Replies<'_>,
) -> Result<(), Stop> {
    match method {
        Method::Challenge => replies.reply(service.challenge(call, &parameters(request)?)?, false),
        Method::Verify => replies.reply(service.verify(call, &parameters(request)?)?, false),
        Method::Enroll => replies.reply(service.enroll(call, &parameters(request)?)?, false),
        Method::Confirm => replies.reply(service.confirm(call, &parameters(request)?)?, false),
        Method::Show => {
            let protocol::Show { .. } = parameters(request)?;
            replies.reply(service.show(call)?, false)
        }
        Method::List => list(service, request, replies),
        Method::Events => events(service, call, request, replies),
        Method::SetState => replies.reply(service.set_state(call, &parameters(request)?)?, false),
        Method::Revoke => replies.reply(service.revoke(call, &parameters(request)?)?, false),
        Method::RenameDevice => replies.reply(service.rename_device(call, &parameters(request)?)?, false),
        Method::Resync => replies.reply(service.resync(call, &parameters(request)?)?, false),
        Method::RenameUser => replies.reply(service.rename_user(call, &parameters(request)?)?, false),
        Method::Forget => {
            let protocol::Forget { .. } = parameters(request)?;
            replies.reply(service.forget(call)?, false)
        }
        Method::Restrict => replies.reply(service.restrict(call, &parameters(request)?)?, false),
        Method::NewRecoveryCodes => replies.reply(service.new_recovery_codes(call, &parameters(request)?)?, false),
        Method::Bypass => replies.reply(service.bypass(call, &parameters(request)?)?, false),
        Method::Ticket => replies.reply(service.ticket(call, &parameters(request)?)?, false),
        Method::Unlock => {
            let protocol::Unlock { .. } = parameters(request)?;
            replies.reply(service.unlock(call)?, false)
        }
        Method::Import => replies.reply(service.import(call, &parameters(request)?)?, false),
        Method::Export => {
            let protocol::Export { .. } = parameters(request)?;
            replies.reply(service.export(call)?, false)
        }
        Method::Status => {
            let protocol::Status {} = parameters(request)?;
            replies.reply(service.status()?, false)
        }
        Method::ClockAccept => {
            let protocol::ClockAccept {} = parameters(request)?;
            replies.reply(service.clock_accept(call), false)
        }
        Method::RevokeGrace => {
            let protocol::RevokeGrace { .. } = parameters(request)?;
            replies.reply(service.revoke_grace(call), false)
        }
        Method::Reload => {
            let protocol::Reload {} = parameters(request)?;
            service.reload().map_err(|why| Error::bad("settings", why))?;
            replies.reply(json!({}), false)
        }
    }
}

/// Sends one reply behind: only the last says that nothing follows. Each has a deadline of its own, because there may
/// be a million.
fn list(service: &Service, request: &Request<'_>, replies: &Replies<'_>) -> Result<(), Stop> {
    let wish: protocol::List = parameters(request)?;
    let _stream = Stream::open(service, request)?;
    let mut waiting = None;
    service.list(&wish, |user| match waiting.replace(user) {
        Some(before) => replies.extended().reply(before, true),
        None => Ok(()),
    })?;
    let last = waiting.ok_or(Error::NoSuchUser)?;
    replies.extended().reply(last, false)
}

/// Sends one event a reply, and a last one without. Who follows is sent new ones until somebody ends it.
fn events(service: &Service, call: &Call<'_>, request: &Request<'_>, replies: &Replies<'_>) -> Result<(), Stop> {
    let asked = parameters(request)?;
    let _stream = Stream::open(service, request)?;
    let tell = |event: &Event| replies.extended().reply(ToldEvent { event }, true);
    let stays = || !has_left(&replies.socket) && is_still_permitted(service, call, Method::Events);
    service.events(call, &asked, tell, stays)?;
    replies.extended().reply(protocol::EventsReply { event: None }, false)
}

/// [`protocol::EventsReply`] on its way out.
#[derive(Serialize)]
struct ToldEvent<'a> {
    event: &'a Event,
}

/// Whether the other side is gone. One that only says nothing more may still read.
fn has_left(socket: &BorrowedFd<'_>) -> bool {
    let mut looked_at = [PollFd::new(*socket, PollFlags::empty())];
    !matches!(poll(&mut looked_at, PollTimeout::ZERO), Ok(0))
}

/// Whether the caller of something that takes long would be permitted to begin it now.
fn is_still_permitted(service: &Service, call: &Call<'_>, method: Method) -> bool {
    let caller = service.identify(call.caller.peer, service.names.asking());
    caller.is_some_and(|caller| permission(method, caller.role) != Permission::Never)
}

/// One of the few streams that may be open at once.
struct Stream<'a>(&'a AtomicUsize);

impl<'a> Stream<'a> {
    fn open(service: &'a Service, request: &Request<'_>) -> Result<Self, Stop> {
        if !request.more {
            return Err(Stop::Varlink(("ExpectedMore", "method", request.method.clone().into_owned())));
        }
        let stream = Self(&service.streams);
        let before = service.streams.fetch_add(1, Ordering::Relaxed);
        if before < MAX_STREAMS { Ok(stream) } else { Err(Stop::Error(Error::Busy)) }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn introspect(method: &str, request: &Request<'_>, replies: &Replies<'_>) -> Result<(), Stop> {
    match method {
        "GetInfo" => replies.reply(
            json!({
                "vendor": "pam-totp",
                "product": "provisiond",
                "version": env!("CARGO_PKG_VERSION"),
                "url": env!("CARGO_PKG_REPOSITORY"),
                "interfaces": [SERVICE, protocol::NAME],
            }),
            false,
        ),
        "GetInterfaceDescription" => {
            let InterfaceName { interface } = parameters(request)?;
            let description = match interface.as_str() {
                protocol::NAME => protocol::INTERFACE,
                SERVICE => SERVICE_INTERFACE,
                _ => return Err(Stop::Varlink(("InterfaceNotFound", "interface", interface))),
            };
            replies.reply(json!({ "description": description }), false)
        }
        _ => Err(unknown_method(&request.method)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceName {
    interface: String,
}

fn unknown_method(name: &str) -> Stop {
    Stop::Varlink(("MethodNotFound", "method", name.to_owned()))
}

/// The parameters of a call. Absent ones are those of an empty object.
fn parameters<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, Error> {
    let text = request.parameters.map_or("{}", RawValue::get);
    from_object(text.as_bytes()).map_err(|why| Error::bad("parameters", why))
}

/// Whose record a call is about. What cannot be read says nobody; the handler's own reading will refuse it.
fn subject(request: &Request<'_>) -> Subject {
    let text = request.parameters.map_or("{}", RawValue::get);
    from_object(text.as_bytes()).unwrap_or_default()
}

const SERVICE: &str = "org.varlink.service";
/// How long a caller may take to read one reply of a stream.
const REPLY_TIME: Duration = Duration::from_secs(2);
/// Lists that may be on their way at once.
const MAX_STREAMS: usize = 8;
/// The interface that every Varlink service has.
const SERVICE_INTERFACE: &str = "# Tells what a service offers.
interface org.varlink.service

# Who made it, and its interfaces.
method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

# The text that describes an interface.
method GetInterfaceDescription(interface: string) -> (description: string)

# There is no such interface.
error InterfaceNotFound (interface: string)

# The interface has no such method.
error MethodNotFound (method: string)

# The method is described but not there.
error MethodNotImplemented (method: string)

# A parameter cannot be read.
error InvalidParameter (parameter: string)

# The caller may not do this.
error PermissionDenied ()

# The method gives several replies: call it with 'more'.
error ExpectedMore (method: string)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_record_it_is_cannot_be_said_twice() {
        let twice = r#"{"method":"x","parameters":{"user":"alice","user":"root"}}"#;
        let request: Request<'_> = serde_json::from_str(twice).unwrap();
        assert_eq!(subject(&request).user, None);
        assert!(parameters::<protocol::Show>(&request).is_err());
    }
}
