//! From a message to its handler: one table says which role may call which method, and it is asked before a handler
//! sees anything.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::event::Event;
use common::frame::{FrameError, outgoing, send_frame};
use common::protocol::{self, Error, OutgoingReply, Request, from_object};
use common::roles::{Roles, SelfService};
use common::user::UserName;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::caller::{Caller, Peer, Role};
use crate::named::Named;
use crate::names::Asking;
use crate::service::{Call, Service};
use crate::target;
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

/// Who calls: a process, and the role it turned out to have.
#[derive(Clone, Debug)]
pub struct Visitor<'a> {
    /// The process.
    pub peer: Peer,
    /// Its account and role, if it has one.
    pub caller: Option<Caller>,
    /// The questions that this call may put to the name service.
    pub names: Asking<'a>,
}

macro_rules! methods {
    ($($method:ident),* $(,)?) => {
        /// A method of our interface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the interface file documents them")]
        pub enum Method { $($method),* }

        impl Method {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$method),*];

            /// The name after the interface's.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$method => stringify!($method)),* }
            }
        }
    };
}

methods! {
    Challenge, Verify, Enroll, Confirm, Show, List, Events, SetState, Revoke, RenameDevice, Resync, Restrict, RenameUser,
    Forget, NewRecoveryCodes, Bypass, Ticket, Unlock, Import, Export, Status, Reload, ClockAccept, RevokeGrace,
}

/// Whose records a role may use a method on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anybody's.
    Any,
    /// Those of ordinary people: see [`target::ordinary`].
    Ordinary,
    /// Those that it is there for, and its own account's: see [`target::served`].
    Served,
    /// Its own account's.
    Own,
    /// Its own account's, with a current code.
    OwnWithProof,
    /// Nobody's.
    Never,
}

/// The table.
#[must_use]
pub fn permission(method: Method, role: Role) -> Permission {
    use Method::*;
    match (role, method) {
        (Role::Root, _) => Permission::Any,
        (Role::Admin, RenameUser | Forget | Import | Export) => Permission::Never,
        (Role::Admin, _) | (Role::Helpdesk, Show | List | Events | RevokeGrace) => Permission::Any,
        (Role::Helpdesk, Bypass | Ticket | Unlock) => Permission::Ordinary,
        (Role::Verifier, Challenge | Verify) => Permission::Served,
        (_, Challenge | Verify | Confirm | Show | RevokeGrace) => Permission::Own,
        (_, Enroll | SetState | Revoke | RenameDevice | Resync | NewRecoveryCodes) => Permission::OwnWithProof,
        (_, Restrict | Bypass | Ticket | Unlock | List | Events) => Permission::Never,
        (_, RenameUser | Forget | Import | Export | Status | Reload | ClockAccept) => Permission::Never,
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

/// Whose record a call is about, and for which service, read before anything else of it.
#[derive(Default, Deserialize)]
struct Subject {
    user: Option<String>,
    service: Option<String>,
}

/// A call that the table permits.
struct Permitted {
    /// In the role that permits it: who acts for their own sake is themselves, whatever else they are.
    caller: Caller,
    named: Named,
    /// Whether a proof is needed.
    proof: bool,
}

/// A call that it does not.
struct Refusal {
    error: Error,
    /// For the log.
    reason: Option<&'static str>,
}

impl Refusal {
    const DENIED: Self = Self { error: Error::PermissionDenied, reason: None };
}

/// Asks the table, and who the user is that the call names: the caller's own if it names nobody.
fn permitted(visitor: &Visitor<'_>, method: Method, subject: &Subject, roles: &Roles) -> Result<Permitted, Refusal> {
    let caller = visitor.caller.as_ref().ok_or(Refusal::DENIED)?;
    let permission = permission(method, caller.role);
    if permission == Permission::Never {
        return Err(Refusal::DENIED);
    }
    let user = subject.user.as_deref().map(UserName::new).transpose();
    let user = user.map_err(|why| Refusal { error: Error::bad("user", why), reason: None })?;
    let other = user.filter(|user| *user != caller.account.name);
    let for_own_sake = match permission {
        Permission::Served => other.is_none(),
        permission => matches!(permission, Permission::Own | Permission::OwnWithProof),
    };
    let named = match other {
        None => Named::own(&caller.account),
        // Byte for byte: whoever may ask about nobody else cannot make us ask the name service about everybody either.
        Some(_) if for_own_sake => return Err(Refusal::DENIED),
        Some(user) => Named::of(user, visitor.names),
    };
    let allowed = match permission {
        Permission::Ordinary => target::ordinary(&named, caller.peer.uid, roles, visitor.names),
        Permission::Served if !for_own_sake => {
            target::served(&named, caller, subject.service.as_deref(), roles, visitor.names)
        }
        _ => Ok(()),
    };
    allowed.map_err(|reason| Refusal { reason: Some(reason), ..Refusal::DENIED })?;
    let caller = Caller { role: if for_own_sake { Role::Own } else { caller.role }, ..caller.clone() };
    Ok(Permitted { caller, named, proof: permission == Permission::OwnWithProof })
}

/// What people may do for their own sake, as far as the settings leave it to them.
fn within_self_service(permitted: Permitted, method: Method, settings: SelfService) -> Result<Permitted, Refusal> {
    let looks_on = matches!(method, Method::Challenge | Method::Verify | Method::Show);
    if permitted.caller.role == Role::Own && settings == SelfService::Off && !looks_on {
        return Err(Refusal { reason: Some("self_service_off"), ..Refusal::DENIED });
    }
    Ok(permitted)
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
    use crate::names::{Account, Names};
    use common::roles::Verifier;

    fn visitor<'a>(role: Role, name: &str, names: &'a Names) -> Visitor<'a> {
        let peer = Peer { uid: if role == Role::Root { 0 } else { 1000 }, pid: 1 };
        let account = Account { name: UserName::new(name).unwrap(), uid: peer.uid, gid: peer.uid };
        let verifier = (role == Role::Verifier).then(verifier);
        Visitor { peer, caller: Some(Caller { peer, role, account, verifier }), names: names.asking() }
    }

    /// It may ask for the account `daemon` and the service `door`.
    fn verifier() -> Verifier {
        let (user, group) = (UserName::new("veronica").unwrap(), "daemon".into());
        let services = vec!["door".into()];
        Verifier { name: "v".into(), user, services, users_group: group, trusted_rhost: false }
    }

    fn outcome(visitor: &Visitor<'_>, method: Method, user: Option<&str>) -> &'static str {
        let subject = Subject { user: user.map(str::to_owned), service: Some("door".into()) };
        match permitted(visitor, method, &subject, &Roles::default()).map_err(|refusal| refusal.error) {
            Ok(Permitted { proof: false, .. }) => "yes",
            Ok(Permitted { proof: true, .. }) => "with proof",
            Err(Error::PermissionDenied) => "no",
            Err(error) => panic!("{error}"),
        }
    }

    /// Each method: for root, admins and the helpdesk on anybody (`others`: on ordinary accounts but its own), for an account
    /// on its own and on another's.
    const TABLE: &[(Method, &str, &str, &str, &str, &str)] = &[
        (Method::Challenge, "yes", "yes", "no", "yes", "no"),
        (Method::Verify, "yes", "yes", "no", "yes", "no"),
        (Method::Enroll, "yes", "yes", "no", "with proof", "no"),
        (Method::Confirm, "yes", "yes", "no", "yes", "no"),
        (Method::Show, "yes", "yes", "yes", "yes", "no"),
        (Method::List, "yes", "yes", "yes", "no", "no"),
        (Method::Events, "yes", "yes", "yes", "no", "no"),
        (Method::SetState, "yes", "yes", "no", "with proof", "no"),
        (Method::Revoke, "yes", "yes", "no", "with proof", "no"),
        (Method::RenameDevice, "yes", "yes", "no", "with proof", "no"),
        (Method::Resync, "yes", "yes", "no", "with proof", "no"),
        (Method::Restrict, "yes", "yes", "no", "no", "no"),
        (Method::RenameUser, "yes", "no", "no", "no", "no"),
        (Method::Forget, "yes", "no", "no", "no", "no"),
        (Method::NewRecoveryCodes, "yes", "yes", "no", "with proof", "no"),
        (Method::Bypass, "yes", "yes", "others", "no", "no"),
        (Method::Ticket, "yes", "yes", "others", "no", "no"),
        (Method::Unlock, "yes", "yes", "others", "no", "no"),
        (Method::Import, "yes", "no", "no", "no", "no"),
        (Method::Export, "yes", "no", "no", "no", "no"),
        (Method::Status, "yes", "yes", "no", "no", "no"),
        (Method::Reload, "yes", "yes", "no", "no", "no"),
        (Method::ClockAccept, "yes", "yes", "no", "no", "no"),
        (Method::RevokeGrace, "yes", "yes", "yes", "yes", "no"),
    ];

    #[test]
    fn every_cell_of_the_table_of_permissions_is_as_documented() {
        assert!(TABLE.iter().map(|row| row.0).eq(Method::ALL.iter().copied()));
        let names = Names::start().unwrap();
        for &(method, root, admin, helpdesk, own, other) in TABLE {
            let alice = visitor(Role::Own, "alice", &names);
            let helga = visitor(Role::Helpdesk, "helga", &names);
            // An ordinary account that there is on every machine.
            let on_others = outcome(&helga, method, Some("daemon"));
            assert_eq!(on_others, if helpdesk == "others" { "yes" } else { helpdesk }, "{method:?}");
            // Root's, and who is unknown, are none.
            let on_others = ["root", "bob"].map(|user| outcome(&helga, method, Some(user)));
            assert_eq!(on_others, [if helpdesk == "others" { "no" } else { helpdesk }; 2], "{method:?}");
            let veronica = visitor(Role::Verifier, "veronica", &names);
            let served = if matches!(method, Method::Challenge | Method::Verify) { "yes" } else { other };
            assert_eq!(outcome(&veronica, method, Some("daemon")), served, "{method:?}");
            assert_eq!(outcome(&veronica, method, Some("bin")), other, "{method:?}");
            assert_eq!(outcome(&veronica, method, None), own, "{method:?}");
            assert_eq!(outcome(&helga, method, None), if helpdesk == "yes" { "yes" } else { own }, "{method:?}");
            assert_eq!(outcome(&visitor(Role::Root, "root", &names), method, Some("bob")), root, "{method:?}");
            assert_eq!(outcome(&visitor(Role::Admin, "adam", &names), method, Some("bob")), admin, "{method:?}");
            assert_eq!(outcome(&alice, method, Some("alice")), own, "{method:?}");
            assert_eq!(outcome(&alice, method, None), own, "{method:?}");
            assert_eq!(outcome(&alice, method, Some("bob")), other, "{method:?}");
            assert_eq!(outcome(&alice, method, Some("root")), other, "{method:?}");
            let nobody = Visitor { caller: None, ..alice };
            assert_eq!(outcome(&nobody, method, Some("alice")), "no", "{method:?}");
        }
    }

    #[test]
    fn without_self_service_people_log_in_and_look_on() {
        let names = Names::start().unwrap();
        let alice = visitor(Role::Own, "alice", &names);
        for &method in Method::ALL {
            let subject = Subject { user: None, service: None };
            let own = permitted(&alice, method, &subject, &Roles::default());
            let Ok(own) = own else { continue };
            let left = within_self_service(own, method, SelfService::Off).is_ok();
            assert_eq!(left, ["Challenge", "Verify", "Show"].contains(&method.name()), "{method:?}");
            for role in [Role::Admin, Role::Root] {
                let others = permitted(&visitor(role, "adam", &names), method, &subject, &Roles::default());
                let left = others.and_then(|others| within_self_service(others, method, SelfService::Off));
                assert_eq!(left.is_ok(), permission(method, role) != Permission::Never, "{method:?}");
            }
        }
    }

    #[test]
    fn whose_record_it_is_cannot_be_said_twice() {
        let twice = r#"{"method":"x","parameters":{"user":"alice","user":"root"}}"#;
        let request: Request<'_> = serde_json::from_str(twice).unwrap();
        assert_eq!(subject(&request).user, None);
        assert!(parameters::<protocol::Show>(&request).is_err());
    }
}
