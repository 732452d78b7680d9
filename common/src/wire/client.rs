//! The blocking client of provisiond: one connection, one deadline, a check of the server's uid,
//! and the error messages.
//!
//! It runs inside login processes: it starts no thread, reads no environment, raises no SIGPIPE,
//! leaks no descriptor, and uses no descriptor below 3.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt,
    shutdown, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::wire::frame::{Deadlines, FrameError, Inbox, UNIT, frame_of, send_frame};
use crate::wire::protocol::{Error, MethodCall, OutgoingRequest, Reply, from_object};

/// A connection to provisiond.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    inbox: Inbox,
    timeout: Duration,
    deadline: Instant,
}

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No process listens on the socket, or the caller may not connect.
    #[error("provisiond cannot be reached at {path}: {errno}; {}", next_step(*errno))]
    Unreachable {
        /// The socket's path.
        path: String,
        /// What the system said.
        errno: Errno,
    },
    /// A process of another uid listens on the socket.
    #[error(
        "the process that listens on the socket runs as uid {found}, not {expected}: nothing was sent to it; 'ss -xlp' \
         names the process"
    )]
    WrongServer {
        /// The uid of the process that listens.
        found: u32,
        /// The uid it must have.
        expected: u32,
    },
    /// The deadline passed.
    #[error("provisiond did not answer in time: {STATUS}")]
    Deadline,
    /// The daemon closed the connection without a reply.
    #[error("provisiond closed the connection without a reply: {STATUS}")]
    Closed,
    /// The daemon closed the connection before it had read the whole call, which it did not judge.
    #[error("provisiond closed the connection before it read the call: {STATUS}")]
    Unread,
    /// The reply does not follow the protocol.
    #[error(
        "provisiond sent an invalid reply ({0}): check that client and daemon have the same version"
    )]
    Protocol(String),
    /// The daemon answered with an error.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl Client {
    /// Connects to the daemon at `path` and checks that a process of `server_uid` listens there.
    /// `timeout` covers this and every call that follows, up to its first reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(path: &Path, server_uid: u32, timeout: Duration) -> Result<Self, ClientError> {
        let unreachable = |errno| ClientError::Unreachable {
            path: path.display().to_string(),
            errno,
        };
        let deadline = Instant::now()
            .checked_add(timeout)
            .ok_or(ClientError::Deadline)?;
        let address = UnixAddr::new(path).map_err(unreachable)?;
        let socket = open_socket().map_err(unreachable)?;
        connect_until(&socket, &address, deadline).map_err(|errno| match errno {
            Errno::EAGAIN => ClientError::Deadline,
            errno => unreachable(errno),
        })?;
        // The credentials are those of the process that called listen(2): unix(7), SO_PEERCRED.
        let found = getsockopt(&socket, PeerCredentials)
            .map_err(unreachable)?
            .uid();
        if found != server_uid {
            return Err(ClientError::WrongServer {
                found,
                expected: server_uid,
            });
        }
        Ok(Self {
            socket,
            inbox: Inbox::default(),
            timeout,
            deadline,
        })
    }

    /// Makes one call and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError`]; after any but `Refused` the connection cannot be used any more.
    pub fn call<C: MethodCall>(&mut self, call: &C) -> Result<C::Reply, ClientError> {
        self.send(call, false)?;
        self.only_reply::<C>()
    }

    /// Makes the last call of the connection and waits for its reply. The daemon learns with the call
    /// that no other one follows, and need not wait for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn last_call<C: MethodCall>(mut self, call: &C) -> Result<C::Reply, ClientError> {
        self.send(call, false)?;
        // Without it the daemon waits until the connection is closed.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        self.only_reply::<C>()
    }

    /// Makes one call that brings several replies and hands each to `take`. The deadline starts again
    /// with each: a list of all users lasts as long as they are many, and a daemon that sends one
    /// after the other is not late.
    ///
    /// # Errors
    /// [`ClientError`], or what `take` returns.
    pub fn call_more<C: MethodCall, E: From<ClientError>>(
        mut self,
        call: &C,
        mut take: impl FnMut(C::Reply) -> Result<(), E>,
    ) -> Result<(), E> {
        self.send(call, true)?;
        loop {
            let (reply, continues) = self.receive::<C>()?;
            take(reply)?;
            if !continues {
                return Ok(());
            }
            let timeout = self.timeout;
            self = self.waiting(timeout)?;
        }
    }

    /// Starts the deadline again: `timeout` from now.
    ///
    /// # Errors
    /// [`ClientError::Deadline`]: `timeout` is too long for a time.
    pub fn waiting(self, timeout: Duration) -> Result<Self, ClientError> {
        Ok(Self {
            timeout,
            deadline: Instant::now()
                .checked_add(timeout)
                .ok_or(ClientError::Deadline)?,
            ..self
        })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Forgets the descriptor without closing it: it belongs to other code by now.
    pub(super) fn leave_open(self) {
        std::mem::forget(self.socket);
    }

    fn send<C: MethodCall>(&mut self, call: &C, more: bool) -> Result<(), ClientError> {
        let request = OutgoingRequest {
            method: C::METHOD,
            parameters: call,
            more,
        };
        let message = frame_of(&request).map_err(|e| ClientError::Protocol(e.to_string()))?;
        send_frame(&self.socket, &message, UNIT, self.deadline).map_err(|error| match error {
            // The caller's fault, not the daemon's.
            FrameError::TooLarge => Error::TooLarge.into(),
            error => error.into(),
        })
    }

    fn only_reply<C: MethodCall>(&mut self) -> Result<C::Reply, ClientError> {
        let (reply, continues) = self.receive::<C>()?;
        if continues || !self.inbox.is_empty() {
            return Err(ClientError::Protocol("more than one reply came".into()));
        }
        Ok(reply)
    }

    fn receive<C: MethodCall>(&mut self) -> Result<(C::Reply, bool), ClientError> {
        let frame = self
            .inbox
            .receive(&self.socket, Deadlines::until(self.deadline))?;
        read_reply::<C>(&frame.ok_or(ClientError::Closed)?)
    }
}

/// The reply in a message, and whether another one follows.
///
/// # Errors
/// [`ClientError::Refused`] for an error reply, else [`ClientError::Protocol`].
pub fn read_reply<C: MethodCall>(message: &[u8]) -> Result<(C::Reply, bool), ClientError> {
    let unreadable = |e: serde_json::Error| ClientError::Protocol(e.to_string());
    let reply: Reply<'_> = from_object(message).map_err(unreadable)?;
    if let Some(name) = reply.error {
        return Err(Error::from_wire(&name, reply.parameters).into());
    }
    let parameters = reply.parameters.map_or("{}", |p| p.get());
    let parameters = from_object(parameters.as_bytes()).map_err(unreadable)?;
    Ok((parameters, reply.continues))
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TimedOut => Self::Deadline,
            FrameError::Truncated => Self::Closed,
            // A Unix socket tells with ECONNRESET that the other side closed it with bytes unread.
            FrameError::Socket(Errno::EPIPE | Errno::ECONNRESET) => Self::Unread,
            error => Self::Protocol(error.to_string()),
        }
    }
}

/// A socket that no child process inherits. A login process may have closed its standard streams:
/// their numbers are not used, because a stray print would then go to the daemon.
fn open_socket() -> Result<OwnedFd, Errno> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    if socket.as_raw_fd() >= FIRST_FREE_FD {
        return Ok(socket);
    }
    // The standard library duplicates to a close-on-exec descriptor of 3 or above.
    socket
        .try_clone()
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EMFILE as i32)))
}

/// A blocking connect under SO_SNDTIMEO: a Unix socket's connect waits while the backlog is full,
/// and fails with EAGAIN when the time is over (unix(7)).
fn connect_until(socket: &OwnedFd, address: &UnixAddr, deadline: Instant) -> Result<(), Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::EAGAIN);
        }
        let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
        setsockopt(socket, SendTimeout, &TimeVal::microseconds(micros))?;
        match connect(socket.as_fd().as_raw_fd(), address) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// The next step after a failed connect.
fn next_step(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES => {
            "this user may not use that socket: use the default one, or ask an administrator"
        }
        _ => "'systemctl status provisiond' shows whether it runs",
    }
}

const STATUS: &str = "'systemctl status provisiond' shows its state";
const FIRST_FREE_FD: i32 = 3;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::wire::protocol::{Ask, Challenge, List, Rotate};

    const PATIENT: Duration = Duration::from_secs(5);

    /// A server that sends `reply` to the first call, whatever it is.
    fn answering(reply: &'static [u8]) -> (tempfile::TempDir, std::path::PathBuf, JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut call = [0; UNIT];
            if stream.read_exact(&mut call).is_ok() {
                stream.write_all(reply).unwrap();
            }
        });
        (folder, path, server)
    }

    fn uid() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn challenge(
        reply: &'static [u8],
    ) -> Result<crate::wire::protocol::ChallengeReply, ClientError> {
        let (_folder, path, server) = answering(reply);
        let answer = Client::connect(&path, uid(), PATIENT)
            .unwrap()
            .call(&Challenge::default());
        server.join().unwrap();
        answer
    }

    #[test]
    fn a_reply_is_read() {
        let reply = challenge(b"{\"parameters\":{\"ask\":\"two_codes\"}}\0").unwrap();
        assert_eq!((reply.ask, reply.enrolled), (Ask::TwoCodes, None));
    }

    #[test]
    fn a_field_that_a_daemon_of_another_version_adds_is_left_alone() {
        let reply = challenge(b"{\"parameters\":{\"ask\":\"two_codes\",\"conversation\":\"c\"}}\0")
            .unwrap();
        assert_eq!((reply.ask, reply.enrolled), (Ask::TwoCodes, None));
    }

    #[test]
    fn an_error_reply_is_told_as_a_sentence() {
        let error = challenge(b"{\"error\":\"org.pamtotp.Provision.Busy\",\"parameters\":{}}\0")
            .unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(Error::Busy { why }) if why.ends_with("try again in a moment"))
        );
    }

    #[test]
    fn whatever_is_not_one_reply_of_the_right_shape_is_no_reply() {
        for reply in [&b""[..], b"{"] {
            assert!(
                matches!(challenge(reply).unwrap_err(), ClientError::Closed),
                "{reply:?}"
            );
        }
        for reply in [
            &b"{}\0"[..],
            b"\0",
            b"nonsense\0",
            b"{\"parameters\":{\"verdict\":\"accepted\"}}\0",
            b"[{\"ask\":\"one_code\"}]\0",
            b"{\"parameters\":[\"one_code\",null,null]}\0",
            b"{\"parameters\":{\"ask\":\"anything\"}}\0",
            b"{\"parameters\":{\"ask\":\"one_code\"},\"continues\":true}\0",
            b"{\"parameters\":{\"ask\":\"one_code\"}}\0{}\0",
        ] {
            let error = challenge(reply).unwrap_err();
            assert!(
                matches!(error, ClientError::Protocol(_)),
                "{reply:?}: {error:?}"
            );
        }
    }

    #[test]
    fn several_replies_are_handed_over_one_by_one() {
        let user = "{\"parameters\":{\"user\":{\"user\":\"a\",\"enrolled\":true,\"disabled\":false,\"devices\":[],\"known_budget\":5,\"budget\":5,\"recovery_codes_left\":0,\"damaged\":false}}";
        let reply = format!("{user},\"continues\":true}}\0{user}}}\0").leak();
        let (_folder, path, server) = answering(reply.as_bytes());
        let mut seen = 0;
        let client = Client::connect(&path, uid(), PATIENT).unwrap();
        client
            .call_more(&List::default(), |_| {
                seen += 1;
                Ok::<_, ClientError>(())
            })
            .unwrap();
        assert_eq!(seen, 2);
        server.join().unwrap();
    }

    #[test]
    fn replies_that_come_one_after_the_other_may_take_longer_than_one_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (timeout, replies) = (Duration::from_secs(2), 6);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; UNIT]).unwrap();
            for number in 1..=replies {
                let continues = number < replies;
                let reply = format!(
                    "{{\"parameters\":{{\"tag\":\"1\",\"looked\":0,\"total\":0,\"resealed\":0,\"failed\":0}},\"continues\":{continues}}}\0"
                );
                stream.write_all(reply.as_bytes()).unwrap();
                std::thread::sleep(timeout / 4);
            }
        });
        let (begun, mut seen) = (Instant::now(), 0);
        let client = Client::connect(&path, uid(), timeout).unwrap();
        client
            .call_more(&Rotate::default(), |_| {
                seen += 1;
                Ok::<_, ClientError>(())
            })
            .unwrap();
        assert_eq!(seen, replies);
        assert!(begun.elapsed() > timeout, "{:?}", begun.elapsed());
        server.join().unwrap();
    }

    #[test]
    fn a_call_that_is_too_long_is_the_callers_fault() {
        let (_folder, path, server) = answering(b"");
        let long = Challenge {
            user: "x".repeat(70_000),
            ..Challenge::default()
        };
        let error = Client::connect(&path, uid(), PATIENT)
            .unwrap()
            .call(&long)
            .unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(Error::TooLarge)),
            "{error}"
        );
        server.join().unwrap();
    }

    #[test]
    fn the_server_knows_of_the_last_call_before_it_answers_that_no_other_one_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENT)).unwrap();
            stream.read_exact(&mut [0; UNIT]).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            let reply = b"{\"parameters\":{\"ask\":\"one_code\"}}\0";
            stream.write_all(reply).unwrap();
        });
        let client = Client::connect(&path, uid(), PATIENT).unwrap();
        let reply = client.last_call(&Challenge::default()).unwrap();
        assert_eq!(reply.ask, Ask::OneCode);
        server.join().unwrap();
    }

    #[test]
    fn a_server_of_another_uid_is_not_asked() {
        let (_folder, path, server) = answering(b"");
        let error = Client::connect(&path, uid() + 1, PATIENT).unwrap_err();
        assert!(matches!(error, ClientError::WrongServer { .. }));
        server.join().unwrap();
    }

    #[test]
    fn nobody_there_is_unreachable_and_a_full_backlog_is_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Client::connect(&folder.path().join("none"), uid(), PATIENT).unwrap_err();
        assert!(matches!(
            missing,
            ClientError::Unreachable {
                errno: Errno::ENOENT,
                ..
            }
        ));
        let path = folder.path().join("full");
        let listener = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        nix::sys::socket::bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let mut waiting = Vec::new();
        let full = loop {
            match Client::connect(&path, uid(), Duration::from_millis(50)) {
                Ok(client) => waiting.push(client),
                Err(error) => break error,
            }
        };
        assert!(matches!(full, ClientError::Deadline), "{full:?}");
    }
}
