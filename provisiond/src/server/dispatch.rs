//! Dispatch: from a message to the handler of its method. Checks [`crate::identity::permission`]
//! before a handler sees the call.
//!
//! It knows no record and judges no code.

mod introspection;
mod many;
mod message;
mod replies;

use std::sync::Arc;

use common::config::Settings;
use common::wire::frame::FrameError;
use common::wire::protocol::{self, Error, Method, from_object};

pub(crate) use self::message::Message;
pub(crate) use self::replies::Stop;
pub use self::replies::{Outlet, Replies};
use crate::admin::{accounts, devices, metrics, show, status};
use crate::enrolment::{confirm, enroll, export, import, recovery, resync};
use crate::identity::permission::{Permitted, Visitor, permitted, within_self_service};
use crate::login::{self, offline};
use crate::service::Service;
use crate::service::call::Call;

/// The caller, and the settings in force.
pub type Asked<'a> = (&'a Visitor<'a>, Arc<Settings>);

/// Answers one message, and returns its method if it is one of ours. The caller's errors are
/// answered with an error reply; only a failing connection is an error here.
///
/// # Errors
/// [`FrameError`].
pub fn dispatch(
    service: &Service,
    asked: Asked<'_>,
    frame: &[u8],
    replies: &Replies<'_>,
) -> Result<Option<Method>, FrameError> {
    with_method(frame, replies, |method, message| {
        handle(service, asked, method, message)
    })
}

/// Reads the envelope of a message, and lets `handle` answer it if its method is one of ours. The
/// interface `org.varlink.service` is answered here.
///
/// # Errors
/// [`FrameError`].
pub(crate) fn with_method(
    frame: &[u8],
    replies: &Replies<'_>,
    handle: impl FnOnce(Method, &Message<'_>) -> Result<(), Stop>,
) -> Result<Option<Method>, FrameError> {
    let message = match from_object::<protocol::Request<'_>>(frame) {
        Ok(request) => Message {
            replies: Replies {
                silent: request.oneway,
                ..*replies
            },
            request,
        },
        Err(why) => {
            replies.error(&Error::bad("message", why))?;
            return Ok(None);
        }
    };
    let (interface, name) = message.names();
    let ours = || Method::ALL.iter().find(|method| method.name() == name);
    let method = (interface == protocol::NAME).then(ours).flatten().copied();
    let answered = match (interface, method) {
        (protocol::NAME, Some(method)) => handle(method, &message),
        (protocol::NAME, None) => Err(message.unknown_method()),
        (introspection::NAME, _) => introspection::answer(name, &message),
        _ => Err(Stop::Varlink((
            "InterfaceNotFound",
            "interface",
            interface.to_owned(),
        ))),
    };
    answered.or_else(|stop| message.replies.stop(stop))?;
    Ok(method)
}

/// Hands a permitted call to its handler. The clock is read here, once for the whole call.
fn handle(
    service: &Service,
    (visitor, settings): Asked<'_>,
    method: Method,
    message: &Message<'_>,
) -> Result<(), Stop> {
    let subject = message.subject();
    let permitted = permitted(visitor, method, &subject, &settings.roles)
        .and_then(|permitted| within_self_service(permitted, method, settings.self_service));
    let reason = permitted.as_ref().err().and_then(|refusal| refusal.reason);
    let done = permitted
        .map_err(|refusal| Stop::Error(refusal.error))
        .and_then(|permitted| {
            let Permitted {
                ref caller,
                ref named,
                proof,
            } = permitted;
            let (names, deadline) = (visitor.names, message.replies.deadline);
            let moment = service.moment(method);
            let user = &service.record_name(named, &settings);
            let call = Call {
                caller,
                user,
                named,
                names,
                proof,
                deadline,
                settings,
                moment,
                incomplete: service.records.incomplete().is_some(),
            };
            run(service, &call, method, message)
        });
    if let Err(Stop::Error(Error::PermissionDenied)) = &done {
        service.log_not_permitted(visitor, method.name(), subject.user.as_deref(), reason);
    }
    done
}

/// The table of methods and their handlers.
fn run(
    service: &Service,
    call: &Call<'_>,
    method: Method,
    message: &Message<'_>,
) -> Result<(), Stop> {
    match method {
        Method::Challenge => message.answer(|wish| login::challenge(service, call, wish)),
        Method::Verify => message.answer(|wish| {
            let reply = login::verify(service, call, wish);
            service.counters.took(message.replies.took());
            reply
        }),
        Method::OfflineCopy => message.answer(|wish| offline::offline_copy(service, call, wish)),
        Method::Enroll => message.answer(|wish| enroll::enroll(service, call, wish)),
        Method::Confirm => message.answer(|wish| confirm::confirm(service, call, wish)),
        Method::Show => message.answer(|protocol::Show { .. }| show::show(service, call)),
        Method::List => many::list(service, call, message),
        Method::Events => many::events(service, call, message),
        Method::SetState => message.answer(|wish| accounts::set_state(service, call, wish)),
        Method::Revoke => message.answer(|wish| devices::revoke(service, call, wish)),
        Method::RenameDevice => message.answer(|wish| devices::rename_device(service, call, wish)),
        Method::Resync => message.answer(|wish| resync::resync(service, call, wish)),
        Method::Restrict => message.answer(|wish| devices::restrict(service, call, wish)),
        Method::RenameUser => message.answer(|wish| accounts::rename_user(service, call, wish)),
        Method::Forget => message.answer(|protocol::Forget { .. }| accounts::forget(service, call)),
        Method::NewRecoveryCodes => {
            message.answer(|wish| recovery::new_recovery_codes(service, call, wish))
        }
        Method::Bypass => message.answer(|wish| recovery::bypass(service, call, wish)),
        Method::Ticket => message.answer(|wish| recovery::ticket(service, call, wish)),
        Method::Unlock => message.answer(|protocol::Unlock { .. }| recovery::unlock(service, call)),
        Method::Import => message.answer(|wish| import::import(service, call, wish)),
        Method::Export => message.answer(|wish| export::export(service, call, wish)),
        Method::Status => message.answer(|protocol::Status {}| status::status(service, call)),
        Method::Metrics => message.answer(|protocol::Metrics {}| Ok(metrics::metrics(service))),
        Method::Rotate => many::rotate(service, call, message),
        Method::ClockAccept => {
            message.answer(|protocol::ClockAccept {}| status::clock_accept(service, call))
        }
        Method::StoreAcceptLoss => {
            message.answer(|protocol::StoreAcceptLoss {}| status::store_accept_loss(service, call))
        }
        Method::RevokeGrace => {
            message.answer(|protocol::RevokeGrace { .. }| Ok(accounts::revoke_grace(service, call)))
        }
        Method::Reload => message.answer(|protocol::Reload {}| {
            service
                .reload()
                .map(|()| protocol::Nothing {})
                .map_err(|why| Error::bad("settings", why))
        }),
    }
}
