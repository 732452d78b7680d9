//! The listener of a verifier: serves the relays of other hosts over mutual TLS, with the same dispatch as
//! the sockets of this machine. A host is what its certificate says; the settings say what it may ask
//! for, and are read anew for each call, so that a revoked host loses its open connections, too.

mod places;

use std::io::{self, PipeReader};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::config::tls_files::TlsFiles;
use common::config::{Settings, Trust};
use common::wire::frame::Deadlines;
use common::wire::protocol::Error;
use rustls::ServerConfig;

use self::places::{Place, Places};
use super::crew::{Crew, Door, Host};
use super::dispatch::{Replies, dispatch};
use super::tls::{BadFiles, Kept, Link, Problem, Shown, for_verifier};
use super::{CALL_TIME, Counted, MESSAGE_TIME, Pulse, Server, Shared, Sockets, after};
use crate::audit::Line;
use crate::clock;
use crate::identity::caller::{Caller, RemoteHost};
use crate::identity::permission::Visitor;
use crate::in_memory::refusals::Refusals;
use crate::service::Service;

/// What a verifier listens with.
pub struct Listening {
    /// The socket.
    pub listener: TcpListener,
    /// The files of TLS.
    pub tls: Kept<ServerConfig>,
}

impl Listening {
    /// Reads the files of TLS.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn new(listener: TcpListener, files: TlsFiles, trust: Trust) -> Result<Self, BadFiles> {
        let tls = Kept::read(files, trust, for_verifier)?;
        Ok(Self { listener, tls })
    }
}

impl Server {
    /// Starts to accept, as [`Server::start`], and also from relays of other hosts.
    ///
    /// # Errors
    /// The system has no thread or no descriptor to give.
    pub fn start_for_fleet(
        service: Arc<Service>,
        sockets: Sockets,
        listening: Option<Listening>,
        pulse: Option<Pulse>,
    ) -> io::Result<Self> {
        let desk = Arc::clone(&service);
        let more = |shared: &Arc<Shared>, end: &Arc<PipeReader>| {
            let door = listening.map(|Listening { listener, tls }| {
                let remote = Arc::new(Remote {
                    shared: Arc::clone(shared),
                    service,
                    tls,
                    places: Places::default(),
                    told: Refusals::default(),
                });
                Crew::start(remote, listener, end).map(|crew| crew as Arc<dyn Door>)
            });
            door.transpose()
        };
        Self::start_with(desk, sockets, pulse, more)
    }
}

struct Remote {
    shared: Arc<Shared>,
    service: Arc<Service>,
    tls: Kept<ServerConfig>,
    places: Places,
    told: Refusals,
}

/// A connection that has not shown a certificate yet.
struct Guest {
    stream: TcpStream,
    from: IpAddr,
    place: Place,
}

impl Host for Arc<Remote> {
    type Listener = TcpListener;
    type Guest = Guest;

    fn admit(&self, stream: TcpStream) -> Option<Guest> {
        let from = stream.peer_addr().ok()?.ip().to_canonical();
        let place = Places::arrive(self, from);
        let place = place.filter(|_| self.shared.leaves_descriptors(false, &stream));
        if place.is_none() {
            self.shared.desk.connection_refused();
        }
        place.map(|place| Guest {
            stream,
            from,
            place,
        })
    }

    fn serve(&self, guest: Guest) {
        let Guest {
            stream,
            from,
            mut place,
        } = guest;
        let (link, shown) = match self.greet(stream) {
            Ok(greeted) => greeted,
            Err(problem) => return self.tell_refused(from, None, &problem),
        };
        if !place.settle(&shown.name) {
            self.shared.desk.connection_refused();
            return;
        }
        self.serve_host(&link, &shown, from);
    }

    fn lacks_thread(&self, error: &io::Error) {
        self.shared.tell_lack_of_thread(error);
    }
}

impl Remote {
    fn greet(&self, stream: TcpStream) -> Result<(Link, Shown), Problem> {
        let (config, bad) = self.tls.usable();
        if let Some(bad) = bad {
            self.tell_bad_files(&bad);
        }
        let config = config.ok_or(Problem::Closed)?;
        let link = Link::accept(stream, config, after(HANDSHAKE_TIME))?;
        let shown = link.shown()?;
        Ok((link, shown))
    }

    /// Answers one call after the other, until the relay leaves or may not ask any more.
    fn serve_host(&self, link: &Link, shown: &Shown, from: IpAddr) {
        let end = after(LIFE);
        let next = || {
            let deadlines = Deadlines {
                first_byte: after(IDLE).min(end),
                whole_message: Some(MESSAGE_TIME),
            };
            link.receive(deadlines).ok().flatten()
        };
        while let Some(message) = next() {
            let shared = &self.shared;
            let _working = Counted::begin(Arc::clone(shared), |shared| &shared.working);
            let replies = Replies::within(link, CALL_TIME);
            if shared.closed.load(Ordering::SeqCst) {
                // The relay asks another verifier, as nothing was judged.
                let _ = replies.error(&Error::busy(STOPS));
                return;
            }
            let settings = self.service.settings();
            let Some(caller) = self.caller(&settings, shown, from) else {
                let _ = replies.error(&Error::PermissionDenied);
                return;
            };
            let names = self.service.names.asking_for(caller.peer);
            let visitor = Visitor {
                peer: caller.peer,
                caller: Some(caller),
                names,
            };
            if dispatch(&self.service, (&visitor, settings), &message, &replies).is_err() {
                return;
            }
        }
    }

    /// The host as a caller. `None`: it is revoked, or no rule names it.
    fn caller(&self, settings: &Settings, shown: &Shown, from: IpAddr) -> Option<Caller> {
        let fleet = settings.fleet.as_ref()?;
        let host = Some(shown.name.as_str());
        if fleet.is_revoked(&shown.name, &shown.fingerprint) {
            self.tell_refused(from, host, &Refusal::Revoked);
            return None;
        }
        let Some(rule) = fleet.rule(&shown.name) else {
            self.tell_refused(from, host, &Refusal::NoRule);
            return None;
        };
        let number = self.service.hosts.number(&shown.name, Some(clock::now()))?;
        let host = RemoteHost {
            name: shown.name.as_str().into(),
            rule: rule.clone(),
        };
        Caller::of_host(host, number)
    }

    fn tell_refused(&self, from: IpAddr, host: Option<&str>, why: &impl std::fmt::Display) {
        let why = why.to_string();
        if !self.told.is_new(from, &why) {
            return;
        }
        let line = Line::new("relay_refused").with("source", from);
        let line = line.with_some("host", host).with("reason", why).warning();
        self.service.log_refused_connection(host, line);
    }

    fn tell_bad_files(&self, bad: &BadFiles) {
        let line = Line::new("tls_files_unusable").with("reason", bad);
        self.service.log_refused_connection(None, line.error());
    }
}

/// Why a host that has proven its certificate is permitted nothing.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "'provisiond.fleet.revoked' names it: give the host another certificate if it is to be served again"
    )]
    Revoked,
    #[error(
        "no rule of 'provisiond.fleet.hosts' has the name in its certificate: add the name to one"
    )]
    NoRule,
}

/// How long TLS may take to prove both certificates.
const HANDSHAKE_TIME: Duration = Duration::from_secs(2);
/// How long a connection may be idle. Relays leave theirs earlier.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection lasts: a certificate that has expired meanwhile is then refused.
const LIFE: Duration = Duration::from_secs(3600);
const STOPS: &str = "this verifier is stopping: ask another one, or try again in a moment";
