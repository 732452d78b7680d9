//! Replies to a caller, and the errors in place of a reply.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use common::wire::frame::{FrameError, UNIT, UNIT_OF_STREAM, outgoing, send_frame};
use common::wire::protocol::{Error, OutgoingReply};
use serde::Serialize;
use serde_json::json;

/// The way back to the caller.
#[derive(Clone, Copy)]
pub struct Replies<'a> {
    /// The connection.
    pub socket: BorrowedFd<'a>,
    /// When the caller must have taken a reply.
    pub deadline: Instant,
    /// The caller wants no reply (`oneway`).
    pub silent: bool,
}

impl Replies<'_> {
    /// Sends an error reply.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn error(&self, error: &Error) -> Result<(), FrameError> {
        let (error, parameters) = error.to_wire();
        self.alone(&json!({ "error": error, "parameters": parameters }))
    }

    /// Sends the reason why there is no reply. Only a failing socket is an error here.
    pub(super) fn stop(&self, stop: Stop) -> Result<(), FrameError> {
        match stop {
            Stop::Error(error) => self.error(&error),
            Stop::Varlink(error) => self.varlink_error(&error),
            Stop::Socket(error) => Err(error),
        }
    }

    fn varlink_error(&self, (name, field, value): &VarlinkError) -> Result<(), FrameError> {
        self.alone(&json!({ "error": format!("org.varlink.service.{name}"), "parameters": { *field: value } }))
    }

    /// Sends the one reply to a call.
    pub(super) fn reply(&self, parameters: impl Serialize) -> Result<(), Stop> {
        let continues = false;
        Ok(self.alone(&OutgoingReply {
            parameters,
            continues,
        })?)
    }

    /// Sends a reply of a stream. The caller has a time of its own to take each.
    pub(super) fn of_stream(
        &self,
        parameters: impl Serialize,
        continues: bool,
    ) -> Result<(), Stop> {
        let extended = Instant::now().checked_add(REPLY_TIME);
        let reply = OutgoingReply {
            parameters,
            continues,
        };
        Ok(self.send(&reply, UNIT_OF_STREAM, extended.unwrap_or(self.deadline))?)
    }

    fn alone(&self, message: &impl Serialize) -> Result<(), FrameError> {
        self.send(message, UNIT, self.deadline)
    }

    fn send(
        &self,
        message: &impl Serialize,
        unit: usize,
        deadline: Instant,
    ) -> Result<(), FrameError> {
        if self.silent {
            return Ok(());
        }
        let mut frame = outgoing();
        // Our own types always serialise; a reply that does not is not sent, and the caller sees
        // the connection end.
        serde_json::to_writer(&mut *frame, message).map_err(|_| FrameError::Truncated)?;
        send_frame(&self.socket, frame, unit, deadline)
    }
}

/// Why a message got no reply from a handler.
pub(super) enum Stop {
    Error(Error),
    Varlink(VarlinkError),
    Socket(FrameError),
}

/// An error of `org.varlink.service`: its name, and its one parameter.
pub(super) type VarlinkError = (&'static str, &'static str, String);

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

/// How long a caller may take to read one reply of a stream.
const REPLY_TIME: Duration = Duration::from_secs(2);
