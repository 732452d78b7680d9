//! The front door: accepts connections, gives each a permit and a thread, and holds everybody to their deadlines.
//!
//! Two sockets, one dispatch. Root's logins come through a socket of their own, so that no crowd at the other one can
//! keep them waiting; and capacity is kept for root's processes wherever they come in.

pub mod dispatch;
mod permits;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::config::Settings;
use common::wire::frame::{Deadlines, FrameError, Inbox};
use common::wire::protocol::Error;
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::dispatch::{Replies, dispatch};
use self::permits::{Permit, Permits};
use crate::audit::Line;
use crate::identity::caller::{Caller, Peer, Role};
use crate::identity::permission::Visitor;
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
    accepting: Vec<JoinHandle<()>>,
    /// Those who accept wait for the end of this, besides connections.
    running: Option<PipeWriter>,
    _claim: Option<Flock<File>>,
}

struct Shared {
    service: Arc<Service>,
    permits: Permits,
    /// Connections whose first call has not been answered.
    unserved: AtomicUsize,
    /// Calls being answered now.
    working: AtomicUsize,
    /// No call is begun any more.
    closed: AtomicBool,
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
            unserved: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let (end, running) = pipe()?;
        let mut accepting = Vec::new();
        for (name, listener) in [("login", sockets.login), ("open", sockets.open)] {
            let (shared, end) = (Arc::clone(&shared), end.try_clone()?);
            let accept = move || accept_all(&shared, &listener, &end);
            accepting.push(std::thread::Builder::new().name(name.into()).spawn(accept)?);
        }
        Ok(Self { shared, accepting, running: Some(running), _claim: sockets.claim })
    }

    /// Accepts nobody any more: where the sockets are the service manager's, who comes now waits there for the next daemon.
    /// Who was accepted before is answered, unless they take longer to ask than anybody does; and what is being answered is
    /// waited for, until the deadline at most.
    pub fn drain(&mut self, deadline: Instant) {
        drop(self.running.take());
        let all_accepted = || self.accepting.iter().all(JoinHandle::is_finished);
        wait_for(after(TIME_TO_ASK).min(deadline), || all_accepted() && none(&self.shared.unserved));
        self.shared.closed.store(true, Ordering::SeqCst);
        wait_for(deadline, || none(&self.shared.working));
    }
}

fn wait_for(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < deadline {
        std::thread::sleep(DRAIN_LOOK);
    }
}

fn none(counted: &AtomicUsize) -> bool {
    counted.load(Ordering::SeqCst) == 0
}

fn accept_all(shared: &Arc<Shared>, listener: &UnixListener, end: &PipeReader) {
    while somebody_comes(listener, end) {
        match listener.accept() {
            Ok((stream, _)) => admit(shared, stream),
            // Descriptors or memory have run out: those who hold them will let go.
            Err(_) => std::thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// Waits for a connection. False: it is the end.
fn somebody_comes(listener: &UnixListener, end: &PipeReader) -> bool {
    let mut awaited = [listener.as_fd(), end.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    while poll(&mut awaited, PollTimeout::NONE).is_err() {
        std::thread::sleep(ACCEPT_PAUSE);
    }
    let [_, end] = awaited;
    end.any() == Some(false)
}

fn admit(shared: &Arc<Shared>, stream: UnixStream) {
    let unserved = Counted::begin(Arc::clone(shared), |shared| &shared.unserved);
    // Without credentials there is nobody to serve.
    let Ok(peer) = Peer::of(&stream) else { return };
    let Some(permit) = Permits::take(shared, peer) else {
        refuse(&stream);
        return;
    };
    let begun =
        std::thread::Builder::new().name("connection".into()).spawn(move || serve(&permit, peer, &stream, unserved));
    if let Err(error) = begun {
        shared.service.audit.write(Line::new("no_thread").with("reason", error).error());
    }
}

/// Says why, if the socket takes it at once.
fn refuse(stream: &UnixStream) {
    let replies = Replies { socket: stream.as_fd(), deadline: Instant::now(), silent: false };
    let _ = replies.error(&Error::busy(MANY_CONNECTIONS));
}

fn serve(permit: &Permit, peer: Peer, stream: &UnixStream, unserved: Counted) {
    let shared = &permit.shared;
    let (mut inbox, mut unserved) = (Inbox::default(), Some(unserved));
    while let Ok(Some(frame)) = next_message(&mut inbox, stream, peer) {
        let _working = Counted::begin(Arc::clone(shared), |shared| &shared.working);
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        // Anew for each call: who is no administrator any more is none on an open connection either.
        let replies = Replies { socket: stream.as_fd(), deadline: after(CALL_TIME), silent: false };
        let settings = shared.service.settings();
        let visitor = identify(shared, peer, &settings);
        if dispatch(&shared.service, (&visitor, settings), &frame, &replies).is_err() {
            return;
        }
        drop(unserved.take());
    }
}

/// The next message; `None` or an error ends the connection. Who sends too much is told so.
fn next_message(
    inbox: &mut Inbox,
    stream: &UnixStream,
    peer: Peer,
) -> Result<Option<common::wire::frame::Frame>, FrameError> {
    let idle = if peer.is_root() { IDLE_ROOT } else { IDLE };
    let deadlines = Deadlines { first_byte: after(idle), whole_message: Some(MESSAGE_TIME) };
    let received = inbox.receive(stream, deadlines);
    if matches!(received, Err(FrameError::TooLarge)) {
        let replies = Replies { socket: stream.as_fd(), deadline: after(MESSAGE_TIME), silent: false };
        let _ = replies.error(&Error::TooLarge);
    }
    received
}

fn identify<'a>(shared: &'a Shared, peer: Peer, settings: &Settings) -> Visitor<'a> {
    let names = shared.service.names.asking();
    let caller = Caller::identify(peer, &settings.roles, names).ok().flatten();
    let serves_many = caller.as_ref().is_some_and(|caller| caller.role == Role::Verifier);
    shared.permits.note(peer, serves_many);
    Visitor { peer, caller, names }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// One of something whose end the daemon's waits for.
struct Counted {
    shared: Arc<Shared>,
    among: fn(&Shared) -> &AtomicUsize,
}

impl Counted {
    fn begin(shared: Arc<Shared>, among: fn(&Shared) -> &AtomicUsize) -> Self {
        among(&shared).fetch_add(1, Ordering::SeqCst);
        Self { shared, among }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.among)(&self.shared).fetch_sub(1, Ordering::SeqCst);
    }
}

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
/// How long somebody who was accepted before the end may take to ask. Clients ask at once, and others wait for the next
/// daemon meanwhile.
const TIME_TO_ASK: Duration = Duration::from_millis(250);
const DRAIN_LOOK: Duration = Duration::from_millis(5);
