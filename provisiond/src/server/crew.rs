//! A crew: the threads that accept the connections of one listener. The thread that has accepted a
//! connection serves it: to hand it to another one would cost a login a second wake-up.
//!
//! One thread at a time holds the listener (EPOLLONESHOT, epoll_ctl(2)). A connection never waits for
//! a thread that serves: before a thread begins to serve, another one waits for connections.

use std::io::{self, ErrorKind, PipeReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What a crew works for.
pub(super) trait Host: Send + Sync + 'static {
    /// What it accepts connections from.
    type Listener: Listener;
    /// A connection that may be served.
    type Guest;

    /// Decides on a connection. Until this returns, further ones wait in the backlog.
    fn admit(&self, stream: <Self::Listener as Listener>::Stream) -> Option<Self::Guest>;

    /// Serves a connection to its end.
    fn serve(&self, guest: Self::Guest);

    /// The system has no thread to give, and a connection is closed unserved for it.
    fn lacks_thread(&self, error: &io::Error);
}

/// A socket that listens.
pub(super) trait Listener: AsFd + Send + Sync + 'static {
    /// A connection.
    type Stream;

    /// Makes `accept_next` return at once if there is no connection.
    fn never_wait(&self) -> io::Result<()>;

    /// Accepts a connection.
    fn accept_next(&self) -> io::Result<Self::Stream>;
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn never_wait(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn accept_next(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn never_wait(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn accept_next(&self) -> io::Result<TcpStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

/// A crew as its server sees it, whatever it listens on.
pub(super) trait Door: Send + Sync {
    /// Whether a thread waits for connections, or decides on one.
    fn is_at_the_door(&self) -> bool;

    /// Whether a connection that comes now would be accepted at once.
    fn is_free(&self) -> bool;
}

/// The threads of one listener.
pub(super) struct Crew<H: Host> {
    host: H,
    listener: H::Listener,
    epoll: Epoll,
    /// Must stay open for as long as it is awaited.
    _end: Arc<PipeReader>,
    /// Threads that wait for a connection, or decide on one.
    waiting: AtomicUsize,
    /// One of them decides.
    is_deciding: AtomicBool,
    /// How long a thread waits that is not the only one.
    patience: EpollTimeout,
}

impl<H: Host> Crew<H> {
    /// Accepts until the pipe ends.
    ///
    /// # Errors
    /// The system has no thread or no descriptor to give.
    pub(super) fn start(
        host: H,
        listener: H::Listener,
        end: &Arc<PipeReader>,
    ) -> io::Result<Arc<Self>> {
        Self::waiting(host, listener, end, PATIENCE)
    }

    fn waiting(
        host: H,
        listener: H::Listener,
        end: &Arc<PipeReader>,
        patience: Duration,
    ) -> io::Result<Arc<Self>> {
        // While two daemons share a listener, the other one may be faster.
        listener.never_wait()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, once())?;
        epoll.add(end.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, END))?;
        let crew = Arc::new(Self {
            host,
            listener,
            epoll,
            _end: Arc::clone(end),
            waiting: AtomicUsize::new(0),
            is_deciding: AtomicBool::new(false),
            patience: EpollTimeout::try_from(patience).unwrap_or(EpollTimeout::NONE),
        });
        recruit(Place::add(&crew))?;
        Ok(crew)
    }

    /// The next connection to serve. `None`: the thread is to end.
    fn next(&self, place: &mut Place<H>) -> Option<H::Guest> {
        loop {
            match self.wait() {
                Awaited::Connection => {
                    if let Some(guest) = self.accept() {
                        return Some(guest);
                    }
                }
                Awaited::Nothing if place.leave_to_another() => return None,
                Awaited::Nothing => {}
                Awaited::End => return None,
            }
        }
    }

    fn wait(&self) -> Awaited {
        let is_alone = self.waiting.load(Ordering::SeqCst) <= 1;
        let patience = if is_alone {
            EpollTimeout::NONE
        } else {
            self.patience
        };
        let mut events = [EpollEvent::empty(); 2];
        match self.epoll.wait(&mut events, patience) {
            Ok(0) | Err(Errno::EINTR) => Awaited::Nothing,
            Ok(_) if events.iter().any(|event| event.data() == END) => Awaited::End,
            Ok(_) => Awaited::Connection,
            Err(_) => {
                std::thread::sleep(ACCEPT_PAUSE);
                Awaited::Nothing
            }
        }
    }

    /// Accepts a connection, and lets go of the listener.
    fn accept(&self) -> Option<H::Guest> {
        let _held = Held::by(self);
        match self.listener.accept_next() {
            Ok(stream) => self.host.admit(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // Descriptors or memory have run out: wait until open connections release some.
            Err(_) => {
                std::thread::sleep(ACCEPT_PAUSE);
                None
            }
        }
    }
}

impl<H: Host> Door for Crew<H> {
    fn is_at_the_door(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn is_free(&self) -> bool {
        self.is_at_the_door() && !self.is_deciding.load(Ordering::SeqCst)
    }
}

/// Starts another thread, which waits for connections in this place.
fn recruit<H: Host>(place: Place<H>) -> io::Result<()> {
    let thread = Builder::new().name("connection".into());
    thread.spawn(move || work(place)).map(drop)
}

/// The life of a thread.
fn work<H: Host>(mut place: Place<H>) {
    let crew = Arc::clone(&place.crew);
    while let Some(guest) = crew.next(&mut place) {
        // The place is handed over, and never held by both: a third thread would rely on this one.
        if !place.leave_to_another()
            && let Err(error) = recruit(place)
        {
            crew.host.lacks_thread(&error);
            place = Place::add(&crew);
            continue;
        }
        crew.host.serve(guest);
        let Some(next) = Place::take(&crew) else {
            return;
        };
        place = next;
    }
}

/// What a thread has waited for.
enum Awaited {
    Connection,
    /// The patience is over.
    Nothing,
    /// The crew accepts no more.
    End,
}

/// The listener, which is reported to no other thread until this is dropped.
struct Held<'a, H: Host>(&'a Crew<H>);

impl<'a, H: Host> Held<'a, H> {
    fn by(crew: &'a Crew<H>) -> Self {
        crew.is_deciding.store(true, Ordering::SeqCst);
        Self(crew)
    }
}

impl<H: Host> Drop for Held<'_, H> {
    fn drop(&mut self) {
        self.0.is_deciding.store(false, Ordering::SeqCst);
        let _ = self.0.epoll.modify(&self.0.listener, &mut once());
    }
}

/// The place of a thread among those that wait.
struct Place<H: Host> {
    crew: Arc<Crew<H>>,
    is_taken: bool,
}

impl<H: Host> Place<H> {
    fn add(crew: &Arc<Crew<H>>) -> Self {
        crew.waiting.fetch_add(1, Ordering::SeqCst);
        Self {
            crew: Arc::clone(crew),
            is_taken: true,
        }
    }

    /// `None`: enough threads wait.
    fn take(crew: &Arc<Crew<H>>) -> Option<Self> {
        let one_more = |waiting: usize| (waiting < KEPT).then(|| waiting.saturating_add(1));
        let taken = crew
            .waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        taken.is_ok().then(|| Self {
            crew: Arc::clone(crew),
            is_taken: true,
        })
    }

    /// Gives the place up if another thread waits.
    fn leave_to_another(&mut self) -> bool {
        let one_less = |waiting: usize| (waiting > 1).then(|| waiting.saturating_sub(1));
        let left = self
            .crew
            .waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        self.is_taken = left.is_err();
        left.is_ok()
    }
}

impl<H: Host> Drop for Place<H> {
    fn drop(&mut self) {
        if self.is_taken {
            self.crew.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The listener is reported once.
fn once() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, LISTENER)
}

const LISTENER: u64 = 0;
const END: u64 = 1;
/// Threads that wait at most: as many as may be busy at a machine's logins for more than a moment.
/// Each keeps some dozen kilobytes of stack.
const KEPT: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{Read, Write, pipe};
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};
    use std::time::Instant;

    use super::*;

    /// Tells who serves, and serves until the client hangs up. Decides when the test lets it.
    struct Echo {
        tell: Mutex<Sender<ThreadId>>,
        decision: Mutex<()>,
    }

    impl Host for Echo {
        type Listener = UnixListener;
        type Guest = UnixStream;

        fn admit(&self, stream: UnixStream) -> Option<UnixStream> {
            drop(self.decision.lock().unwrap());
            Some(stream)
        }

        fn serve(&self, mut guest: UnixStream) {
            let tell = self.tell.lock().unwrap().clone();
            tell.send(thread::current().id()).unwrap();
            let mut word = [0];
            while guest.read(&mut word).unwrap() == 1 {
                assert_ne!(&word, b"!", "planted");
                guest.write_all(&word).unwrap();
            }
        }

        fn lacks_thread(&self, error: &io::Error) {
            panic!("{error}");
        }
    }

    struct Scene {
        crew: Arc<Crew<Echo>>,
        served_by: Receiver<ThreadId>,
        end: Option<io::PipeWriter>,
        folder: tempfile::TempDir,
    }

    fn scene(patience: Duration) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let (tell, served_by) = channel();
        let (reader, end) = pipe().unwrap();
        let reader = Arc::new(reader);
        let host = Echo {
            tell: Mutex::new(tell),
            decision: Mutex::default(),
        };
        let crew = Crew::waiting(host, listener, &reader, patience).unwrap();
        Scene {
            crew,
            served_by,
            end: Some(end),
            folder,
        }
    }

    impl Scene {
        fn connect(&self) -> UnixStream {
            UnixStream::connect(self.folder.path().join("s")).unwrap()
        }

        fn until_free(&self, wanted: bool) {
            let patience = Instant::now() + Duration::from_secs(20);
            while self.crew.is_free() != wanted {
                assert!(Instant::now() < patience, "never free: {wanted}");
                thread::yield_now();
            }
        }

        fn until_waiting(&self, wanted: usize) {
            while self.crew.waiting.load(Ordering::SeqCst) != wanted {
                thread::yield_now();
            }
        }
    }

    fn echoes(mut stream: &UnixStream) {
        // A connection that waits for ever fails the test.
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream.write_all(b"x").unwrap();
        let mut word = [0];
        stream.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"x");
    }

    #[test]
    fn a_thread_serves_one_connection_after_another() {
        let scene = scene(PATIENCE);
        let mut threads = HashSet::new();
        for _ in 0..30 {
            echoes(&scene.connect());
            threads.insert(scene.served_by.recv().unwrap());
            scene.until_waiting(2);
        }
        assert!(threads.len() <= 2, "{}", threads.len());
    }

    #[test]
    fn no_connection_waits_until_another_one_has_been_served() {
        let scene = scene(PATIENCE);
        for _ in 0..20 {
            let open: Vec<_> = (0..KEPT + 8).map(|_| scene.connect()).collect();
            open.iter().for_each(echoes);
        }
        scene.until_waiting(KEPT);
    }

    #[test]
    fn a_thread_that_is_not_needed_ends_and_a_panic_ends_no_other_one() {
        let scene = scene(Duration::ZERO);
        let open: Vec<_> = (0..9).map(|_| scene.connect()).collect();
        (&open[4]).write_all(b"!").unwrap();
        assert_eq!(
            (&open[4]).read(&mut [0]).unwrap(),
            0,
            "its thread has ended"
        );
        drop(open);
        scene.until_waiting(1);
        assert!(scene.crew.is_at_the_door());
        echoes(&scene.connect());
    }

    #[test]
    fn while_a_thread_decides_on_a_connection_no_other_one_would_be_accepted() {
        let scene = scene(PATIENCE);
        scene.until_free(true);
        let decision = scene.crew.host.decision.lock().unwrap();
        let waits = scene.connect();
        scene.until_free(false);
        assert!(scene.crew.is_at_the_door());
        drop(decision);
        echoes(&waits);
        scene.until_free(true);
    }

    #[test]
    fn at_the_end_connections_stay_in_the_backlog() {
        let mut scene = scene(PATIENCE);
        let served = scene.connect();
        echoes(&served);
        drop(scene.end.take());
        scene.until_waiting(0);
        let late = scene.connect();
        echoes(&served);
        assert_eq!(scene.served_by.iter().take(1).count(), 1);
        scene
            .crew
            .listener
            .accept()
            .expect("it was left for the next daemon");
        drop(late);
    }
}
