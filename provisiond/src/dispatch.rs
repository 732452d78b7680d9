//! From a message to its handler. [`crate::permission`] is asked before a handler sees anything.
//!
//! Knows no record and judges nothing.

mod introspection;
mod message;
mod replies;
mod streams;

use common::frame::FrameError;
use common::protocol::{self, Error, from_object};

use self::message::Message;
pub use self::replies::Replies;
use self::replies::Stop;
use crate::aftermath::not_permitted;
use crate::permission::{Method, Permitted, Visitor, permitted, within_self_service};
use crate::service::{Call, Service};

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
    let message = match from_object::<protocol::Request<'_>>(frame) {
        Ok(request) => Message { replies: Replies { silent: request.oneway, ..*replies }, request },
        Err(why) => return replies.error(&Error::bad("message", why)),
    };
    answer(service, visitor, &message).or_else(|stop| message.replies.stop(stop))
}

fn answer(service: &Service, visitor: &Visitor<'_>, message: &Message<'_>) -> Result<(), Stop> {
    let (interface, name) = message.request.method.rsplit_once('.').unwrap_or(("", &message.request.method));
    match interface {
        protocol::NAME => {
            let method = Method::ALL.iter().copied().find(|method| method.name() == name);
            handle(service, visitor, method.ok_or_else(|| message.unknown_method())?, message)
        }
        introspection::NAME => introspection::answer(name, message),
        _ => Err(Stop::Varlink(("InterfaceNotFound", "interface", interface.to_owned()))),
    }
}

/// Hands the call on, if it is permitted.
fn handle(service: &Service, visitor: &Visitor<'_>, method: Method, message: &Message<'_>) -> Result<(), Stop> {
    let subject = message.subject();
    let settings = service.settings();
    let permitted = permitted(visitor, method, &subject, &settings.roles)
        .and_then(|permitted| within_self_service(permitted, method, settings.self_service));
    let reason = permitted.as_ref().err().and_then(|refusal| refusal.reason);
    let done = permitted.map_err(|refusal| Stop::Error(refusal.error)).and_then(|permitted| {
        let Permitted { ref caller, ref named, proof } = permitted;
        let deadline = message.replies.deadline;
        let user = &service.record_name(named, &settings);
        run(service, &Call { caller, user, named, names: visitor.names, proof, deadline }, method, message)
    });
    if let Err(Stop::Error(Error::PermissionDenied)) = &done {
        let line = not_permitted(method.name(), subject.user.as_deref(), &visitor.peer);
        service.log_not_permitted(visitor, line.with_some("reason", reason));
    }
    done
}

/// Each method and its handler.
fn run(service: &Service, call: &Call<'_>, method: Method, message: &Message<'_>) -> Result<(), Stop> {
    match method {
        Method::Challenge => message.answer(|wish| service.challenge(call, wish)),
        Method::Verify => message.answer(|wish| service.verify(call, wish)),
        Method::Enroll => message.answer(|wish| service.enroll(call, wish)),
        Method::Confirm => message.answer(|wish| service.confirm(call, wish)),
        Method::Show => message.answer(|protocol::Show { .. }| service.show(call)),
        Method::List => streams::list(service, call, message),
        Method::Events => streams::events(service, call, message),
        Method::SetState => message.answer(|wish| service.set_state(call, wish)),
        Method::Revoke => message.answer(|wish| service.revoke(call, wish)),
        Method::RenameDevice => message.answer(|wish| service.rename_device(call, wish)),
        Method::Resync => message.answer(|wish| service.resync(call, wish)),
        Method::Restrict => message.answer(|wish| service.restrict(call, wish)),
        Method::RenameUser => message.answer(|wish| service.rename_user(call, wish)),
        Method::Forget => message.answer(|protocol::Forget { .. }| service.forget(call)),
        Method::NewRecoveryCodes => message.answer(|wish| service.new_recovery_codes(call, wish)),
        Method::Bypass => message.answer(|wish| service.bypass(call, wish)),
        Method::Ticket => message.answer(|wish| service.ticket(call, wish)),
        Method::Unlock => message.answer(|protocol::Unlock { .. }| service.unlock(call)),
        Method::Import => message.answer(|wish| service.import(call, wish)),
        Method::Export => message.answer(|protocol::Export { .. }| service.export(call)),
        Method::Status => message.answer(|protocol::Status {}| service.status()),
        Method::ClockAccept => message.answer(|protocol::ClockAccept {}| service.clock_accept(call)),
        Method::RevokeGrace => message.answer(|protocol::RevokeGrace { .. }| Ok(service.revoke_grace(call))),
        Method::Reload => message.answer(|protocol::Reload {}| {
            service.reload().map(|()| protocol::Nothing {}).map_err(|why| Error::bad("settings", why))
        }),
    }
}
