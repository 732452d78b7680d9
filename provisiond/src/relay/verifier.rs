//! One verifier as a relay knows it: the connections to it, which are kept for a while and used again,
//! and whether it can be reached. A thread connects, tries again with growing pauses while it fails,
//! and resolves the name anew each time.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::config::Trust;
use common::config::fleet::ServerAddress;
use common::config::tls_files::TlsFiles;
use common::wire::client::{ClientError, read_reply};
use common::wire::frame::{Deadlines, UNIT, frame_of};
use common::wire::protocol::{Error, MethodCall, OutgoingRequest, UpstreamServer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::CannotRelay;
use crate::audit::{Audit, Line};
use crate::clock;
use crate::server::tls::{Kept, Link, Problem, for_relay};

/// A verifier. Its thread ends when this is dropped.
pub(super) struct Verifier(Arc<Shared>);

struct Shared {
    address: ServerAddress,
    name: ServerName<'static>,
    tls: Kept<ClientConfig>,
    audit: Audit,
    state: Mutex<State>,
    /// A connection is free, or an attempt to connect has ended.
    changed: Condvar,
    /// A connection is wanted.
    wanted: Condvar,
}

struct State {
    idle: Vec<Idle>,
    /// Connections, idle or in use or about to be.
    open: usize,
    /// Calls that wait for a connection.
    waiting: usize,
    /// Attempts to connect that have ended.
    attempts: u64,
    health: Health,
    next_attempt: Instant,
    pause: Duration,
    /// What was last said of files that cannot be used.
    bad_files: Option<String>,
    closed: bool,
}

struct Idle {
    link: Link,
    since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Health {
    /// No attempt to connect has ended yet.
    Unknown,
    /// It answered then.
    Up(u64),
    /// It is not reached since then.
    Down {
        since: u64,
        reason: String,
        /// The last attempt has not come as far as a connection: the name has no address, or the network
        /// or the machine refused.
        out_of_reach: bool,
    },
}

/// How long a call waits for a verifier.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) try_until: Instant,
    /// For the reply.
    pub(super) reply_until: Instant,
    /// Whether one that is down is waited for.
    pub(super) tries_anew: bool,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Asked<R> {
    /// It was not sent.
    Unreached,
    /// It was sent, perhaps, and no reply came.
    Lost,
    /// The verifier's reply.
    Replied(Result<R, Error>),
}

impl Verifier {
    /// Starts the thread, which connects at once.
    pub(super) fn start(
        address: ServerAddress,
        (files, trust): (TlsFiles, Trust),
        audit: Audit,
    ) -> Result<Self, CannotRelay> {
        let name = ServerName::try_from(address.host.clone());
        let name = name.map_err(|_| std::io::Error::other("a server has no valid name"))?;
        let shared = Arc::new(Shared {
            address,
            name,
            tls: Kept::read(files, trust, for_relay)?,
            audit,
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            wanted: Condvar::new(),
        });
        let connects = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("verifier".into())
            .spawn(move || connects.connect_when_wanted())?;
        Ok(Self(shared))
    }

    /// The address in the settings.
    pub(super) fn address(&self) -> String {
        self.0.address.to_string()
    }

    /// Makes a call that may be repeated.
    pub(super) fn call<C: MethodCall>(&self, call: &C, patience: Patience) -> Asked<C::Reply> {
        match self.0.take(patience) {
            Some(idle) => self.0.exchange(idle.link, call, patience.reply_until),
            None => Asked::Unreached,
        }
    }

    /// Makes a call that must not be repeated. A connection that has been idle for more than a moment
    /// is tried before: nothing but a reply tells that the other end still lives.
    pub(super) fn call_once<C: MethodCall>(&self, call: &C, patience: Patience) -> Asked<C::Reply> {
        while let Some(idle) = self.0.take(patience) {
            let is_fresh = idle.since.elapsed() < FRESH;
            match is_fresh || greet(&idle.link, patience.try_until.min(after(GREETING))).is_ok() {
                true => return self.0.exchange(idle.link, call, patience.reply_until),
                false => self.0.lock().open_one_less(),
            }
        }
        Asked::Unreached
    }

    /// Whether it answered when it was last connected to.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.0.lock().health, Health::Up(_))
    }

    /// Whether the last attempt to connect has not come as far as a connection. A verifier that refuses
    /// this host, or does not answer in time, is not out of reach.
    pub(super) fn is_out_of_reach(&self) -> bool {
        let health = &self.0.lock().health;
        matches!(health, Health::Down { out_of_reach, .. } if *out_of_reach)
    }

    /// Its state, for `Status`.
    pub(super) fn told(&self) -> UpstreamServer {
        let (reached, since, reason) = match self.0.lock().health.clone() {
            Health::Unknown => (None, None, None),
            Health::Up(since) => (Some(true), Some(since), None),
            Health::Down { since, reason, .. } => (Some(false), Some(since), Some(reason)),
        };
        UpstreamServer {
            server: self.address(),
            reached,
            since,
            reason,
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wanted.notify_all();
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// Takes an idle connection, or waits for a new one. `None`: the verifier is down, or none came
    /// in time.
    fn take(&self, patience: Patience) -> Option<Idle> {
        let mut state = self.lock();
        let attempts = state.attempts;
        loop {
            if let Some(idle) = state.pop() {
                return Some(idle);
            }
            let is_down = matches!(state.health, Health::Down { .. });
            let has_failed = is_down && state.attempts != attempts;
            let left = patience.try_until.saturating_duration_since(Instant::now());
            if has_failed || left.is_zero() || state.closed || (is_down && !patience.tries_anew) {
                return None;
            }
            state.hurry();
            state.waiting = state.waiting.saturating_add(1);
            self.wanted.notify_all();
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = state.waiting.saturating_sub(1);
        }
    }

    fn exchange<C: MethodCall>(&self, link: Link, call: &C, until: Instant) -> Asked<C::Reply> {
        let exchanged = exchange(&link, call, until);
        let mut state = self.lock();
        match exchanged {
            Ok(reply) => {
                state.idle.push(Idle {
                    link,
                    since: Instant::now(),
                });
                self.changed.notify_one();
                Asked::Replied(reply)
            }
            Err(problem) => {
                state.open_one_less();
                state.drop_idle();
                state.pause = Duration::ZERO;
                state.next_attempt = Instant::now();
                self.is_down(&mut state, &problem, false);
                self.wanted.notify_all();
                Asked::Lost
            }
        }
    }

    /// The life of the thread.
    fn connect_when_wanted(&self) {
        while self.wait_until_wanted() {
            let connected = self.connect();
            let mut state = self.lock();
            state.attempts = state.attempts.wrapping_add(1);
            match connected {
                Ok(link) => {
                    state.idle.push(Idle {
                        link,
                        since: Instant::now(),
                    });
                    state.pause = Duration::ZERO;
                    self.is_up(&mut state);
                }
                Err(NotConnected {
                    problem,
                    out_of_reach,
                }) => {
                    state.open_one_less();
                    state.pause = longer(state.pause);
                    state.next_attempt = after(state.pause);
                    self.is_down(&mut state, &problem, out_of_reach);
                }
            }
            self.changed.notify_all();
        }
    }

    /// Waits until a connection is wanted, and counts it as open. False: the thread is to end.
    fn wait_until_wanted(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.closed {
                return false;
            }
            state.prune();
            let pause = state.next_attempt.saturating_duration_since(Instant::now());
            let wait = match state.is_wanted() {
                true if pause.is_zero() => {
                    state.open = state.open.saturating_add(1);
                    return true;
                }
                true => pause,
                false => IDLE,
            };
            let waited = self.wanted.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Connects, proves both certificates, and waits for a first reply: a verifier refuses a relay's
    /// certificate only after the relay has accepted the verifier's (RFC 8446 section 4.4).
    fn connect(&self) -> Result<Link, NotConnected> {
        let config = self.config()?;
        let ServerAddress { host, port } = &self.address;
        let addresses = (host.as_str(), *port).to_socket_addrs();
        let addresses = addresses.map_err(|why| NotConnected {
            problem: Problem::NoAddress(why.to_string()),
            out_of_reach: true,
        })?;
        let mut last = Problem::NoAddress("no address was found".to_owned());
        for address in addresses.take(MOST_ADDRESSES) {
            match TcpStream::connect_timeout(&address, CONNECT_TIME) {
                Ok(stream) => {
                    let until = after(HANDSHAKE_TIME);
                    let link = Link::connect(stream, config, self.name.clone(), until)?;
                    greet(&link, until)?;
                    return Ok(link);
                }
                Err(error) => last = error.into(),
            }
        }
        Err(NotConnected {
            problem: last,
            out_of_reach: true,
        })
    }

    /// The configuration of TLS. Files that cannot be used are logged, once for each reason.
    fn config(&self) -> Result<Arc<ClientConfig>, Problem> {
        let (config, bad) = self.tls.usable();
        let bad = bad.map(|bad| bad.to_string());
        let mut state = self.lock();
        if let Some(why) = &bad
            && state.bad_files != bad
        {
            let line = Line::new("tls_files_unusable").with("reason", why);
            self.audit.write(line.error());
        }
        state.bad_files.clone_from(&bad);
        config.ok_or_else(|| Problem::Files(bad.unwrap_or_default()))
    }

    fn is_up(&self, state: &mut State) {
        if !matches!(state.health, Health::Up(_)) {
            let line = Line::new("verifier_reached").with("server", &self.address);
            self.audit.write(line);
        }
        state.health = Health::Up(clock::now());
    }

    fn is_down(&self, state: &mut State, problem: &Problem, out_of_reach: bool) {
        let reason = problem.to_string();
        let before = match &state.health {
            Health::Down { since, reason, .. } => Some((*since, reason)),
            Health::Unknown | Health::Up(_) => None,
        };
        let since = before.as_ref().map_or_else(clock::now, |(since, _)| *since);
        if before.is_none_or(|(_, before)| *before != reason) {
            let line = Line::new("verifier_unreachable").with("server", &self.address);
            self.audit.write(line.with("reason", &reason).error());
        }
        state.health = Health::Down {
            since,
            reason,
            out_of_reach,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new() -> Self {
        Self {
            idle: Vec::new(),
            open: 0,
            waiting: 0,
            attempts: 0,
            health: Health::Unknown,
            next_attempt: Instant::now(),
            pause: Duration::ZERO,
            bad_files: None,
            closed: false,
        }
    }

    /// The connection that was used last, if one can still be used.
    fn pop(&mut self) -> Option<Idle> {
        self.prune();
        self.idle.pop()
    }

    /// Leaves the connections that have been idle for long, or that the verifier has closed.
    fn prune(&mut self) {
        let before = self.idle.len();
        self.idle
            .retain(|idle| idle.since.elapsed() < IDLE && idle.link.is_quiet());
        let left = before.saturating_sub(self.idle.len());
        self.open = self.open.saturating_sub(left);
    }

    fn drop_idle(&mut self) {
        self.open = self.open.saturating_sub(self.idle.len());
        self.idle.clear();
    }

    fn open_one_less(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Whether another connection is to be made: for calls that wait, and to see whether a verifier is
    /// back.
    fn is_wanted(&self) -> bool {
        let awaited = self.waiting > self.idle.len() || !matches!(self.health, Health::Up(_));
        awaited && self.open < MOST_CONNECTIONS
    }

    /// A login waits: the pause between attempts is over sooner.
    fn hurry(&mut self) {
        if self.pause > SHORTEST_PAUSE {
            let earlier = self.pause.saturating_sub(SHORTEST_PAUSE);
            let next = self.next_attempt.checked_sub(earlier);
            self.next_attempt = next.unwrap_or(self.next_attempt);
            self.pause = SHORTEST_PAUSE;
        }
    }
}

/// Why there is no connection.
struct NotConnected {
    problem: Problem,
    out_of_reach: bool,
}

/// What fails once there is a connection, or before one is tried, is nothing of the network.
impl<P: Into<Problem>> From<P> for NotConnected {
    fn from(problem: P) -> Self {
        Self {
            problem: problem.into(),
            out_of_reach: false,
        }
    }
}

/// Sends a call and waits for its reply.
fn exchange<C: MethodCall>(
    link: &Link,
    call: &C,
    until: Instant,
) -> Result<Result<C::Reply, Error>, Problem> {
    let request = OutgoingRequest {
        method: C::METHOD,
        parameters: call,
        more: false,
    };
    let message = frame_of(&request).map_err(|_| Problem::NoReply)?;
    link.send(&message, UNIT, until)?;
    let reply = link.receive(Deadlines::until(until))?;
    match read_reply::<C>(&reply.ok_or(Problem::Closed)?) {
        Ok((reply, false)) => Ok(Ok(reply)),
        Err(ClientError::Refused(error)) => Ok(Err(error)),
        Ok((_, true)) | Err(_) => Err(Problem::NoReply),
    }
}

/// Asks something that changes nothing, to see whether the verifier answers this host.
fn greet(link: &Link, until: Instant) -> Result<(), Problem> {
    match exchange(link, &GetInfo {}, until)? {
        Ok(_) => Ok(()),
        Err(Error::PermissionDenied) => Err(Problem::NotPermitted),
        Err(_) => Err(Problem::NoReply),
    }
}

/// The question of every Varlink service.
#[derive(Serialize)]
struct GetInfo {}

impl MethodCall for GetInfo {
    const METHOD: &'static str = "org.varlink.service.GetInfo";
    type Reply = IgnoredAny;
}

/// The next pause: twice the last one, and up to a quarter more, so that the hosts of a fleet do not
/// all come at one moment.
fn longer(pause: Duration) -> Duration {
    let doubled = pause.saturating_mul(2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    let mut random = [0];
    let _ = getrandom::fill(&mut random);
    let [random] = random.map(u32::from);
    let more = doubled.checked_div(1024).unwrap_or_default();
    doubled.saturating_add(more.saturating_mul(random))
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.address()).finish()
    }
}

/// Connections to a verifier: fewer than it gives a host, so that one which it has not missed yet does
/// not count against the next one.
const MOST_CONNECTIONS: usize = 6;
/// How long an idle connection is kept. The verifier waits for longer.
const IDLE: Duration = Duration::from_secs(20);
/// A connection that was answered on so lately needs no question before an attempt.
const FRESH: Duration = Duration::from_secs(1);
/// How long that question may take.
const GREETING: Duration = Duration::from_millis(500);
const CONNECT_TIME: Duration = Duration::from_secs(1);
const HANDSHAKE_TIME: Duration = Duration::from_secs(2);
const MOST_ADDRESSES: usize = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_some_seconds_and_differ_between_hosts() {
        let mut pause = Duration::ZERO;
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                pause = longer(pause);
                pause
            })
            .collect();
        assert!(pauses[0] >= SHORTEST_PAUSE && pauses[0] <= SHORTEST_PAUSE * 5 / 4);
        let longest = LONGEST_PAUSE..=LONGEST_PAUSE * 5 / 4;
        assert!(longest.contains(&pauses[6]) && longest.contains(&pauses[7]));
    }

    #[test]
    fn a_login_that_waits_ends_a_long_pause_early() {
        let mut state = State::new();
        (state.pause, state.next_attempt) = (LONGEST_PAUSE, after(LONGEST_PAUSE));
        state.hurry();
        assert!(state.next_attempt <= after(SHORTEST_PAUSE));
        let before = state.next_attempt;
        state.hurry();
        assert_eq!(state.next_attempt, before, "once");
    }
}
