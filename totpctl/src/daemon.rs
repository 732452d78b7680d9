//! Connects to the daemon: --socket, default sockets, timeouts, and one call per connection, but for
//! lists of calls.
//!
//! No connection stays open while the user types.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::wire::client::{Client, ClientError};
use common::wire::protocol::{Error, LOGIN_SOCKET, MethodCall, OPEN_SOCKET};

use crate::cli::Cli;
use crate::exit::Failure;

/// The daemon's socket, and the uid that must listen there.
#[derive(Debug)]
pub(crate) struct Daemon {
    socket: PathBuf,
    server_uid: u32,
}

impl Daemon {
    /// The daemon of `--socket`, or of the default socket.
    pub(crate) fn of(cli: &Cli) -> Self {
        let is_root = nix::unistd::geteuid().is_root();
        let usual = if is_root { LOGIN_SOCKET } else { OPEN_SOCKET };
        Self {
            socket: cli.socket.clone().unwrap_or_else(|| usual.into()),
            server_uid: cli.server_uid,
        }
    }

    /// Root's daemon, where no command line names another.
    pub(crate) fn of_root() -> Self {
        Self {
            socket: LOGIN_SOCKET.into(),
            server_uid: 0,
        }
    }

    /// Makes one call.
    pub(crate) fn call<C: MethodCall>(&self, call: &C) -> Result<C::Reply, ClientError> {
        self.connect(CALL_TIMEOUT)?.call(call)
    }

    /// For many calls, one soon after the other.
    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            daemon: self,
            kept: Cell::default(),
        }
    }

    /// As [`Self::call`], for calls that take the daemon long.
    pub(crate) fn call_slowly<C: MethodCall>(&self, call: &C) -> Result<C::Reply, ClientError> {
        self.connect(PATIENT_TIMEOUT)?.call(call)
    }

    /// Makes one call that has several replies.
    pub(crate) fn call_more<C: MethodCall>(&self, call: &C) -> Result<Vec<C::Reply>, ClientError> {
        let mut replies = Vec::new();
        self.connect(PATIENT_TIMEOUT)?.call_more(call, |reply| {
            replies.push(reply);
            Ok::<_, ClientError>(())
        })?;
        Ok(replies)
    }

    /// Makes one call with endless replies, and hands each to `take` as it arrives.
    pub(crate) fn follow<C: MethodCall>(
        &self,
        call: &C,
        take: impl FnMut(C::Reply) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.connect(CALL_TIMEOUT)?
            .waiting(FOR_EVER)?
            .call_more(call, take)
    }

    fn connect(&self, timeout: Duration) -> Result<Client, ClientError> {
        Client::connect(&self.socket, self.server_uid, timeout)
    }
}

/// Makes its calls on one connection, which it opens anew when the daemon may have closed it.
pub(crate) struct Session<'a> {
    daemon: &'a Daemon,
    kept: Cell<Option<Kept>>,
}

/// The connection of the call before.
struct Kept {
    client: Client,
    rests_since: Instant,
}

impl Session<'_> {
    /// Makes one call.
    pub(crate) fn call<C: MethodCall>(&self, call: &C) -> Result<C::Reply, ClientError> {
        let is_fresh = |kept: &Kept| kept.rests_since.elapsed() < REST;
        let mut client = match self.kept.take().filter(is_fresh) {
            Some(kept) => kept.client.waiting(CALL_TIMEOUT)?,
            None => self.daemon.connect(CALL_TIMEOUT)?,
        };
        let reply = client.call(call);
        if can_go_on(&reply) {
            let rests_since = Instant::now();
            self.kept.set(Some(Kept {
                client,
                rests_since,
            }));
        }
        reply
    }
}

/// Whether the connection takes another call. One that the daemon has no place for ends with `Busy`.
fn can_go_on<R>(reply: &Result<R, ClientError>) -> bool {
    match reply {
        Ok(_) => true,
        Err(ClientError::Refused(error)) => !matches!(error, Error::Busy { .. }),
        Err(_) => false,
    }
}

/// The daemon closes a connection without a call after two seconds.
const REST: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const PATIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A hundred years.
const FOR_EVER: Duration = Duration::from_secs(36_525 * 86_400);
