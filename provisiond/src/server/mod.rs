//! The socket server: accepts connections, gives each a permit, and enforces deadlines (idle, typing,
//! message, call).
//!
//! Two sockets, and on a verifier of a fleet a third for the relays of other hosts ([`remote`]); one
//! dispatch. Root's logins have a socket of their own, so that local users cannot
//! fill its backlog (denial of service). Capacity is kept for root's processes on either socket.

mod crew;
pub mod desk;
pub mod dispatch;
mod permits;
mod pulse;
#[cfg(feature = "fleet")]
pub mod remote;
mod socket_path;
#[cfg(feature = "fleet")]
pub mod tls;

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::wire::frame::{Deadlines, Frame, FrameError, Inbox};
use common::wire::protocol::{Error, Method};
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

use self::crew::{Crew, Door, Host};
use self::desk::Desk;
use self::dispatch::Replies;
use self::permits::{Permit, Permits};
pub use self::pulse::Pulse;
use self::socket_path::{LOOK_EVERY, SocketPath};
use crate::audit::Line;
use crate::identity::caller::Peer;

/// The two sockets, listening.
#[derive(Debug)]
pub struct Sockets {
    /// `login.sock`: only root can connect.
    pub login: UnixListener,
    /// `provisiond.sock`: every user can connect.
    pub open: UnixListener,
    /// The lock on their folder, if this process made the sockets.
    pub claim: Option<Flock<File>>,
}

/// The server, running.
pub struct Server {
    shared: Arc<Shared>,
    crews: Crews,
    /// The crews stop accepting when this end of the pipe is closed.
    running: Option<PipeWriter>,
    _claim: Option<Flock<File>>,
}

/// The threads of each socket.
type Crews = Vec<Arc<dyn Door>>;

struct Shared {
    desk: Arc<dyn Desk>,
    permits: Permits,
    /// Connections whose next call comes at once: the first, and the one after a Challenge.
    unserved: AtomicUsize,
    /// Calls being answered now.
    working: AtomicUsize,
    /// How many descriptors the process may have.
    descriptors: u64,
    /// The server begins no more calls.
    closed: AtomicBool,
}

impl Server {
    /// Starts to accept, and gives the `pulse` while there are threads that do.
    ///
    /// # Errors
    /// The system has no thread or no descriptor to give.
    pub fn start(desk: Arc<dyn Desk>, sockets: Sockets, pulse: Option<Pulse>) -> io::Result<Self> {
        Self::start_with(desk, sockets, pulse, |_, _| Ok(None))
    }

    /// The same with a further listener, which `more` starts.
    fn start_with(
        desk: Arc<dyn Desk>,
        sockets: Sockets,
        pulse: Option<Pulse>,
        more: impl FnOnce(&Arc<Shared>, &Arc<PipeReader>) -> io::Result<Option<Arc<dyn Door>>>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            desk,
            permits: Permits::default(),
            unserved: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            descriptors: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            closed: AtomicBool::new(false),
        });
        let (end, running) = pipe()?;
        let end = Arc::new(end);
        let paths = [&sockets.login, &sockets.open].map(SocketPath::of);
        let crew = |listener| Crew::start(Arc::clone(&shared), listener, &end);
        let mut crews: Crews = vec![crew(sockets.login)?, crew(sockets.open)?];
        crews.extend(more(&shared, &end)?);
        let watch = Watch {
            desk: Arc::clone(&shared.desk),
            crews: crews.clone(),
            paths: paths.into_iter().flatten().collect(),
            pulse,
        };
        std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch.until(&end))?;
        Ok(Self {
            shared,
            crews,
            running: Some(running),
            _claim: sockets.claim,
        })
    }

    /// Stops accepting: during a restart, new connections wait in the backlog of the service
    /// manager's sockets. Accepted connections have a short time to send their first call. Calls in
    /// progress are waited for, until the deadline at most.
    pub fn drain(&mut self, deadline: Instant) {
        drop(self.running.take());
        let accepts = || self.crews.iter().any(|crew| crew.is_at_the_door());
        wait_for(after(TIME_TO_ASK).min(deadline), || {
            !accepts() && none(&self.shared.unserved)
        });
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

/// Watches the sockets, and gives the pulse.
struct Watch {
    desk: Arc<dyn Desk>,
    crews: Crews,
    paths: Vec<SocketPath>,
    pulse: Option<Pulse>,
}

impl Watch {
    fn until(mut self, end: &PipeReader) {
        let mut awaited = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        while matches!(poll(&mut awaited, self.look()), Ok(0) | Err(_)) {}
    }

    /// Returns how long to wait for the next look.
    fn look(&mut self) -> PollTimeout {
        for path in self.paths.iter_mut().filter_map(SocketPath::just_gone) {
            self.desk.audit().write(socket_removed(path));
        }
        let (desk, crews) = (&self.desk, &self.crews);
        let works = || desk.is_well() && crews.iter().all(|crew| crew.is_free());
        let beat = |pulse: &mut Pulse| pulse.beat(works);
        let look = PollTimeout::try_from(LOOK_EVERY).unwrap_or(PollTimeout::MAX);
        self.pulse.as_mut().map_or(look, beat)
    }
}

fn socket_removed(path: &Path) -> Line {
    let line = Line::new("socket_removed").with("path", path.display());
    line.with(
        "reason",
        "programs do not find the daemon: run 'systemctl restart provisiond-login.socket provisiond.socket', or, without \
         systemd, start the daemon again",
    )
    .error()
}

/// A connection with its place.
struct Guest {
    permit: Permit,
    stream: UnixStream,
    unserved: Counted,
}

impl Host for Arc<Shared> {
    type Listener = UnixListener;
    type Guest = Guest;

    fn admit(&self, stream: UnixStream) -> Option<Guest> {
        let unserved = Counted::begin(Self::clone(self), |shared| &shared.unserved);
        // Without credentials there is no caller to serve.
        let peer = Peer::of(&stream).ok()?;
        let permit =
            Permits::take(self, peer).filter(|_| self.leaves_descriptors(peer.is_root(), &stream));
        let Some(permit) = permit else {
            refuse(self, &stream);
            return None;
        };
        Some(Guest {
            permit,
            stream,
            unserved,
        })
    }

    fn serve(&self, guest: Guest) {
        serve(guest.permit, &guest.stream, guest.unserved);
    }

    fn lacks_thread(&self, error: &io::Error) {
        self.tell_lack_of_thread(error);
    }
}

impl Shared {
    fn tell_lack_of_thread(&self, error: &io::Error) {
        let line = Line::new("no_thread").with("reason", error);
        self.desk.audit().write(line.error());
    }

    /// Whether the connection is none of the last descriptors that the process may have. Those are
    /// for the store and its marker, the name service and the settings: the system gives the lowest
    /// free one, and a store without a descriptor would look like one on a failed disk. Of the others
    /// the last are root's: silent users would take them all where the limit is low.
    fn leaves_descriptors(&self, is_roots: bool, stream: &impl AsRawFd) -> bool {
        let number = u64::try_from(stream.as_raw_fd()).unwrap_or(u64::MAX);
        let of_root = if is_roots { 0 } else { ROOTS_DESCRIPTORS };
        let kept = KEPT_DESCRIPTORS.saturating_add(of_root);
        number < self.descriptors.saturating_sub(kept)
    }
}

/// Sends the reason, if the socket takes it at once.
fn refuse(shared: &Shared, stream: &UnixStream) {
    shared.desk.connection_refused();
    let replies = Replies::within(stream.as_fd(), Duration::ZERO);
    let _ = replies.error(&Error::busy(MANY_CONNECTIONS));
}

fn serve(mut permit: Permit, stream: &UnixStream, unserved: Counted) {
    let peer = permit.peer;
    if !permit.is_identified() && !permit.settle(&permit.shared.desk.identify(peer)) {
        refuse(&permit.shared, stream);
        return;
    }
    let shared = &permit.shared;
    let end = (!permit.is_lasting()).then(|| after(LIFE));
    let (mut inbox, mut unserved) = (Inbox::default(), Some(unserved));
    let mut idle = idle_of(peer);
    while let Ok(Some(frame)) = next_message(&mut inbox, stream, (idle, end), &shared.closed) {
        let _working = Counted::begin(Arc::clone(shared), |shared| &shared.working);
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let replies = Replies::within(stream.as_fd(), CALL_TIME);
        let Ok(answered) = shared.desk.answer(peer, &frame, &replies) else {
            return;
        };
        let (caller, method) = (answered.caller, answered.method);
        // Uids without an account are free: one answer for each connection is enough to say no.
        let Some(caller) = caller else { return };
        shared.permits.note(&caller);
        let typing = method == Some(Method::Challenge);
        idle = if typing { TYPING } else { idle_of(peer) };
        let next = typing.then(|| Counted::begin(Arc::clone(shared), |shared| &shared.unserved));
        drop(std::mem::replace(&mut unserved, next));
    }
}

/// The next message; `None` or an error ends the connection. A caller that sends too much gets
/// `TooLarge`. At `end` the connection has lasted long enough. A server that is `closed` leaves the
/// message unread: the caller then knows that it was not judged, and sends it to the next daemon.
fn next_message(
    inbox: &mut Inbox,
    stream: &UnixStream,
    (idle, end): (Duration, Option<Instant>),
    closed: &AtomicBool,
) -> Result<Option<Frame>, FrameError> {
    if end.is_some_and(|end| Instant::now() >= end) {
        return Ok(None);
    }
    let idle = after(idle);
    let deadlines = Deadlines {
        first_byte: end.map_or(idle, |end| end.min(idle)),
        whole_message: Some(MESSAGE_TIME),
    };
    inbox.wait(stream, deadlines.first_byte)?;
    if closed.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let received = inbox.receive(stream, deadlines);
    if matches!(received, Err(FrameError::TooLarge)) {
        let replies = Replies::within(stream.as_fd(), MESSAGE_TIME);
        let _ = replies.error(&Error::TooLarge);
    }
    received
}

fn idle_of(peer: Peer) -> Duration {
    if peer.is_root() { IDLE_ROOT } else { IDLE }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// Counts a connection or call in progress until it is dropped. The daemon waits for them before it
/// stops.
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

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(2);
const IDLE_ROOT: Duration = Duration::from_secs(30);
/// The same after a Challenge. A program that has the code sends it at once, on the same connection.
/// A user types for seconds, and a login at its prompt holds neither a thread nor a place: it
/// connects anew.
const TYPING: Duration = Duration::from_millis(100);
/// How long a connection without a role may go on with calls, so that others get its place.
const LIFE: Duration = Duration::from_secs(10);
/// How long a started message may take to arrive.
const MESSAGE_TIME: Duration = Duration::from_secs(2);
/// How long a call may take. The PAM module gives up after three seconds, and must get the reply
/// before.
const CALL_TIME: Duration = Duration::from_millis(2500);
/// Descriptors that no connection gets.
const KEPT_DESCRIPTORS: u64 = 32;
/// Descriptors that no connection but root's gets.
const ROOTS_DESCRIPTORS: u64 = 8;
/// The error for a connection without a permit.
const MANY_CONNECTIONS: &str =
    "too many connections to the daemon are open: close some of yours, or try again in a moment";
/// How long an accepted connection may take to send its first call while the server stops. Clients
/// send it at once, and new connections wait for the next daemon meanwhile.
const TIME_TO_ASK: Duration = Duration::from_millis(250);
const DRAIN_LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_connection_that_has_lasted_long_enough_ends_although_calls_wait() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"{}\0{}\0").unwrap();
        let mut inbox = Inbox::default();
        let open = AtomicBool::new(false);
        let mut next = |end| next_message(&mut inbox, &theirs, (IDLE, end), &open).unwrap();
        assert!(next(Some(after(LIFE))).is_some());
        assert!(next(Some(Instant::now())).is_none());
        assert!(next(None).is_some(), "root's lasts");
    }

    #[test]
    fn a_server_that_stops_leaves_a_call_unread_so_that_the_caller_can_send_it_again() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"{}\0").unwrap();
        let closed = AtomicBool::new(true);
        let none = next_message(&mut Inbox::default(), &theirs, (IDLE, None), &closed);
        assert!(none.unwrap().is_none());
        drop(theirs);
        let told = ours.read(&mut [0]).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
    }
}
