//! The front door: accepts connections, gives each a permit and a thread, and holds everybody to their deadlines.
//!
//! Two sockets, one dispatch. Root's logins come through a socket of their own, so that no crowd at the other one can
//! keep them waiting; and capacity is kept for root's processes wherever they come in.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::frame::{FrameError, Inbox, Patience};
use common::protocol::Error;
use nix::fcntl::Flock;

use crate::audit::Line;
use crate::caller::{Peer, Role};
use crate::dispatch::{Replies, dispatch};
use crate::permission::Visitor;
use crate::places::Places;
use crate::service::Service;

/// The two sockets, listening.
#[derive(Debug)]
pub struct Sockets {
    /// Root's: nobody else can connect.
    pub login: UnixListener,
    /// Everybody's.
    pub open: UnixListener,
    /// The lock on their folder, if we made them.
    pub claim: Option<Flock<File>>,
}

/// The server, running.
pub struct Server {
    shared: Arc<Shared>,
    _claim: Option<Flock<File>>,
}

struct Shared {
    service: Arc<Service>,
    permits: Permits,
    /// Calls being answered now.
    working: AtomicUsize,
    stopping: AtomicBool,
}

impl Server {
    /// Starts to accept.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(service: Arc<Service>, sockets: Sockets) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            service,
            permits: Permits::default(),
            working: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        for (name, listener) in [("login", sockets.login), ("open", sockets.open)] {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(name.into()).spawn(move || accept_all(&shared, &listener))?;
        }
        Ok(Self { shared, _claim: sockets.claim })
    }

    /// Takes no further calls and waits for those being answered, until the deadline at most.
    pub fn drain(&self, deadline: Instant) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        while self.shared.working.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(DRAIN_LOOK);
        }
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &UnixListener) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => admit(shared, stream),
            // Descriptors or memory have run out: those who hold them will let go.
            Err(_) => std::thread::sleep(ACCEPT_PAUSE),
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: UnixStream) {
    // Without credentials there is nobody to serve.
    let Ok(peer) = Peer::of(&stream) else { return };
    let Some(permit) = Permits::take(shared, peer) else {
        refuse(&stream);
        return;
    };
    let begun = std::thread::Builder::new().name("connection".into()).spawn(move || serve(&permit, peer, &stream));
    if let Err(error) = begun {
        shared.service.audit.write(Line::new("no_thread").with("reason", error).error());
    }
}

/// Says why, if the socket takes it at once.
fn refuse(stream: &UnixStream) {
    let replies = Replies { socket: stream.as_fd(), deadline: Instant::now(), silent: false };
    let _ = replies.error(&Error::busy(MANY_CONNECTIONS));
}

fn serve(permit: &Permit, peer: Peer, stream: &UnixStream) {
    let shared = &permit.shared;
    let mut inbox = Inbox::default();
    while let Ok(Some(frame)) = next_message(&mut inbox, stream, peer) {
        let _working = Working::begin(shared);
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        // Anew for each call: who is no administrator any more is none on an open connection either.
        let replies = Replies { socket: stream.as_fd(), deadline: after(CALL_TIME), silent: false };
        let visitor = identify(shared, peer);
        if dispatch(&shared.service, &visitor, &frame, &replies).is_err() {
            return;
        }
    }
}

/// The next message; `None` or an error ends the connection. Who sends too much is told so.
fn next_message(
    inbox: &mut Inbox,
    stream: &UnixStream,
    peer: Peer,
) -> Result<Option<common::frame::Frame>, FrameError> {
    let idle = if peer.is_root() { IDLE_ROOT } else { IDLE };
    let patience = Patience { first_byte: after(idle), whole_message: Some(MESSAGE_TIME) };
    let received = inbox.receive(stream, patience);
    if matches!(received, Err(FrameError::TooLarge)) {
        let replies = Replies { socket: stream.as_fd(), deadline: after(MESSAGE_TIME), silent: false };
        let _ = replies.error(&Error::TooLarge);
    }
    received
}

fn identify(shared: &Shared, peer: Peer) -> Visitor<'_> {
    let names = shared.service.names.asking();
    let caller = shared.service.identify(peer, names).ok().flatten();
    let serves_many = caller.as_ref().is_some_and(|caller| caller.role == Role::Verifier);
    shared.permits.note(peer, serves_many);
    Visitor { peer, caller, names }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// A call being answered: the daemon does not end in the middle of it.
struct Working<'a>(&'a Shared);

impl<'a> Working<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.working.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Who is connected now.
#[derive(Default)]
struct Permits {
    held: Mutex<Held>,
    returned: Condvar,
}

#[derive(Default)]
struct Held {
    places: Places,
    /// Uids that turned out to be a verifier's.
    verifiers: HashSet<u32>,
}

/// One connection's place, given back when it is dropped.
struct Permit {
    shared: Arc<Shared>,
    peer: Peer,
}

impl Permits {
    /// Root waits for a place, in the socket's backlog; everyone else has one or has not.
    fn take(shared: &Arc<Shared>, peer: Peer) -> Option<Permit> {
        let permits = &shared.permits;
        let mut held = permits.held.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.is_root() {
            while held.places.all() >= MAX_CONNECTIONS {
                held = permits.returned.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
        } else {
            let most = if held.verifiers.contains(&peer.uid) { MAX_PER_VERIFIER } else { MAX_PER_UID };
            if held.places.of(peer) >= most || held.places.of_others() >= MAX_OTHERS {
                return None;
            }
        }
        held.places.take(peer);
        shared.service.connections.fetch_add(1, Ordering::Relaxed);
        Some(Permit { shared: Arc::clone(shared), peer })
    }

    /// Remembers whether a uid is a verifier's, which a first call of it tells: the thread that accepts asks nobody.
    fn note(&self, peer: Peer, is_verifier: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if is_verifier {
            held.verifiers.insert(peer.uid);
        } else {
            held.verifiers.remove(&peer.uid);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = &self.shared.permits;
        permits.held.lock().unwrap_or_else(PoisonError::into_inner).places.give_back(self.peer);
        self.shared.service.connections.fetch_sub(1, Ordering::Relaxed);
        permits.returned.notify_one();
    }
}

/// Connections at once. Each is a thread and a buffer of a few kilobytes.
const MAX_CONNECTIONS: usize = 256;
/// Of these, everybody but root: the rest is kept for logins.
const MAX_OTHERS: usize = 128;
/// A person has a few terminals, not dozens.
const MAX_PER_UID: usize = 16;
/// A verifier serves many people.
const MAX_PER_VERIFIER: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(2);
const IDLE_ROOT: Duration = Duration::from_secs(30);
/// How long a message may take to arrive once it has begun.
const MESSAGE_TIME: Duration = Duration::from_secs(2);
/// How long a call may take: the module gives up after three seconds, and should hear of it before.
const CALL_TIME: Duration = Duration::from_millis(2500);
/// What is told at the door.
const MANY_CONNECTIONS: &str =
    "too many connections are open with the daemon: end some of yours, or try again in a moment";
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const DRAIN_LOOK: Duration = Duration::from_millis(5);
