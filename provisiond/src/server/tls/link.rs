//! A link: a TLS connection that carries frames, one thread at a time, each step with a deadline. It
//! knows the certificate of the other side, and no message.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::wire::frame::{Deadlines, Frame, Inbox, padded, wait};
use nix::poll::PollFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// A connection whose two sides have proven their certificates.
pub struct Link {
    stream: TcpStream,
    tls: RefCell<Connection>,
    inbox: RefCell<Inbox>,
}

/// What the other side's certificate shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its one DNS name, in lower case.
    pub name: String,
    /// The SHA-256 fingerprint of the certificate.
    pub fingerprint: [u8; 32],
}

impl Link {
    /// Connects as a relay, to a verifier of that name. A verifier that does not accept the relay's
    /// certificate says so in place of the first reply.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn connect(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let connection = ClientConnection::new(config, name)?;
        Self::shake_hands(stream, connection.into(), deadline)
    }

    /// Accepts a relay.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn accept(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let connection = ServerConnection::new(config)?;
        Self::shake_hands(stream, connection.into(), deadline)
    }

    fn shake_hands(stream: TcpStream, tls: Connection, deadline: Instant) -> Result<Self, Problem> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let link = Self {
            stream,
            tls: RefCell::new(tls),
            inbox: RefCell::default(),
        };
        match link.finish_handshake(deadline) {
            Ok(()) => Ok(link),
            Err(problem) => {
                link.linger();
                Err(problem)
            }
        }
    }

    fn finish_handshake(&self, deadline: Instant) -> Result<(), Problem> {
        let mut tls = self.tls.borrow_mut();
        while tls.is_handshaking() {
            self.flush(&mut tls, deadline)?;
            if tls.is_handshaking() && self.pull(&mut tls, deadline)? == 0 {
                return Err(Problem::Closed);
            }
        }
        self.flush(&mut tls, deadline)
    }

    /// Reads what the other side still sends, for a moment: a socket that is closed with bytes unread
    /// takes back what it has sent, which is the reason of the refusal.
    fn linger(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let until = Instant::now().checked_add(LINGER);
        let mut bytes = [0; 1024];
        while let Some(until) = until
            && wait(&self.stream, PollFlags::POLLIN, until).is_ok()
            && !matches!((&self.stream).read(&mut bytes), Ok(0))
        {}
    }

    /// What the other side's certificate shows.
    ///
    /// # Errors
    /// [`Problem::NoSingleName`].
    pub fn shown(&self) -> Result<Shown, Problem> {
        let tls = self.tls.borrow();
        let chain = tls.peer_certificates().unwrap_or_default();
        let certificate = chain.first().ok_or(Problem::NoSingleName)?;
        let read = webpki::EndEntityCert::try_from(certificate);
        let read = read.map_err(|_| Problem::NoSingleName)?;
        let mut names = read.valid_dns_names();
        match (names.next(), names.next()) {
            (Some(name), None) if !name.contains('*') => Ok(Shown {
                name: name.to_ascii_lowercase(),
                fingerprint: Sha256::digest(certificate.as_ref()).into(),
            }),
            _ => Err(Problem::NoSingleName),
        }
    }

    /// Sends a message, padded as everywhere: an observer of the network sees one length.
    ///
    /// # Errors
    /// [`Problem`]; after any of them the other side may have received the message.
    pub fn send(&self, message: &Frame, unit: usize, deadline: Instant) -> Result<(), Problem> {
        let mut tls = self.tls.borrow_mut();
        for mut part in padded(message, unit)? {
            while !part.is_empty() {
                let taken = tls.writer().write(part)?;
                part = part.get(taken..).unwrap_or_default();
                self.flush(&mut tls, deadline)?;
            }
        }
        Ok(())
    }

    /// Waits for one message. `None`: the other side closed the connection between two messages.
    ///
    /// # Errors
    /// [`Problem`]; after any of them the connection cannot be used any more.
    pub fn receive(&self, deadlines: Deadlines) -> Result<Option<Frame>, Problem> {
        let read = |room: &mut [u8], deadline| self.read(room, deadline);
        self.inbox.borrow_mut().receive_by(read, deadlines)
    }

    /// Whether nothing has arrived between two calls: neither the end of the connection nor a message
    /// that belongs to no call.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let is_silent = matches!(
            self.stream.peek(&mut byte),
            Err(error) if error.kind() == ErrorKind::WouldBlock
        );
        is_silent && self.inbox.borrow().is_empty()
    }

    fn read(&self, room: &mut [u8], deadline: Instant) -> Result<usize, Problem> {
        let mut tls = self.tls.borrow_mut();
        loop {
            match tls.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Ok(read?),
            }
            self.flush(&mut tls, deadline)?;
            self.pull(&mut tls, deadline)?;
        }
    }

    /// Takes what has arrived. A failure is told to the other side, as far as its socket takes it.
    fn pull(&self, tls: &mut Connection, deadline: Instant) -> Result<usize, Problem> {
        let count = loop {
            match tls.read_tls(&mut &self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.stream, PollFlags::POLLIN, deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if let Err(error) = tls.process_new_packets() {
            let _ = tls.write_tls(&mut &self.stream);
            return Err(error.into());
        }
        Ok(count)
    }

    fn flush(&self, tls: &mut Connection, deadline: Instant) -> Result<(), Problem> {
        while tls.wants_write() {
            match tls.write_tls(&mut &self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.stream, PollFlags::POLLOUT, deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Err(io::Error::from(ErrorKind::BrokenPipe).into()),
                written => _ = written?,
            }
        }
        Ok(())
    }
}

impl Drop for Link {
    /// Says that the connection ends here on purpose, if the socket takes it at once.
    fn drop(&mut self) {
        let tls = self.tls.get_mut();
        tls.send_close_notify();
        let _ = tls.write_tls(&mut &self.stream);
    }
}

/// How long a refused relay may take to read why.
const LINGER: Duration = Duration::from_millis(500);
