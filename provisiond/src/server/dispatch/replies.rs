//! Replies to a caller, and the errors in place of a reply.
//!
//! The one reply to a call leaves at an even step of time since the call arrived: the work left over,
//! such as a longer record or another cache line, must not show who has a device (timing side
//! channel). A reply that has waited for the disk leaves at once.

use std::hint::spin_loop;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use common::wire::frame::{Frame, FrameError, UNIT, UNIT_OF_STREAM, frame_of, send_frame};
use common::wire::protocol::{Error, OutgoingReply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde_json::json;

#[cfg(feature = "fleet")]
use crate::server::tls::Link;

/// The way back to the caller.
#[derive(Clone, Copy)]
pub struct Replies<'a> {
    /// The connection.
    pub(super) to: Outlet<'a>,
    /// When the call arrived.
    pub arrived: Instant,
    /// When the caller must have taken a reply.
    pub deadline: Instant,
    /// The caller wants no reply (`oneway`).
    pub silent: bool,
}

/// The connection of a caller.
#[derive(Clone, Copy)]
pub enum Outlet<'a> {
    /// A process of this machine.
    Socket(BorrowedFd<'a>),
    /// The relay of another host.
    #[cfg(feature = "fleet")]
    Link(&'a Link),
}

impl<'a> From<BorrowedFd<'a>> for Outlet<'a> {
    fn from(socket: BorrowedFd<'a>) -> Self {
        Self::Socket(socket)
    }
}

#[cfg(feature = "fleet")]
impl<'a> From<&'a Link> for Outlet<'a> {
    fn from(link: &'a Link) -> Self {
        Self::Link(link)
    }
}

impl Outlet<'_> {
    fn send(self, frame: &Frame, unit: usize, deadline: Instant) -> Result<(), FrameError> {
        match self {
            Self::Socket(socket) => send_frame(&socket, frame, unit, deadline),
            #[cfg(feature = "fleet")]
            Self::Link(link) => Ok(link.send(frame, unit, deadline)?),
        }
    }

    /// Whether the caller has closed the connection. A caller that has only shut down its sending
    /// side may still read. No relay may begin what outlasts a reply.
    pub(super) fn is_closed(self) -> bool {
        match self {
            Self::Socket(socket) => {
                let mut looked_at = [PollFd::new(socket, PollFlags::empty())];
                !matches!(poll(&mut looked_at, PollTimeout::ZERO), Ok(0))
            }
            #[cfg(feature = "fleet")]
            Self::Link(_) => true,
        }
    }
}

impl<'a> Replies<'a> {
    /// To a call that has just arrived, and whose caller must have taken the reply within that time.
    #[must_use]
    pub fn within(to: impl Into<Outlet<'a>>, time: Duration) -> Self {
        let arrived = Instant::now();
        Self {
            to: to.into(),
            arrived,
            deadline: arrived.checked_add(time).unwrap_or(arrived),
            silent: false,
        }
    }

    /// How long the call takes, if its reply leaves now: until the next even step.
    pub(super) fn took(&self) -> Duration {
        next_step(self.arrived.elapsed())
    }

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
    pub(crate) fn reply(&self, parameters: impl Serialize) -> Result<(), Stop> {
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
        let deadline = extended.unwrap_or(self.deadline);
        if !self.silent {
            self.to
                .send(&serialised(&reply)?, UNIT_OF_STREAM, deadline)?;
        }
        Ok(())
    }

    fn alone(&self, message: &impl Serialize) -> Result<(), FrameError> {
        if self.silent {
            return Ok(());
        }
        let frame = serialised(message)?;
        wait_for_even_step(self.arrived);
        self.to.send(&frame, UNIT, self.deadline)
    }
}

/// Our own types always serialise; a reply that does not is not sent, and the caller sees the
/// connection end.
fn serialised(message: &impl Serialize) -> Result<Frame, FrameError> {
    frame_of(message).map_err(|_| FrameError::Truncated)
}

/// The thread spins, because a sleep ends tens of microseconds late.
fn wait_for_even_step(arrived: Instant) {
    let end = leaves_after(arrived.elapsed());
    while arrived.elapsed() < end {
        spin_loop();
    }
}

/// When a reply leaves that is ready after `worked`.
fn leaves_after(worked: Duration) -> Duration {
    if worked < WAITED {
        next_step(worked)
    } else {
        worked
    }
}

fn next_step(worked: Duration) -> Duration {
    let steps = worked.as_micros().checked_div(STEP.as_micros());
    let steps = steps.and_then(|steps| u32::try_from(steps).ok());
    STEP.saturating_mul(steps.unwrap_or_default().saturating_add(1))
}

/// Why a message got no reply from a handler.
pub(crate) enum Stop {
    Error(Error),
    Varlink(VarlinkError),
    Socket(FrameError),
}

/// An error of `org.varlink.service`: its name, and its one parameter.
pub(crate) type VarlinkError = (&'static str, &'static str, String);

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
/// Many times the microsecond that users of a kind differ by, and little beside a connection.
const STEP: Duration = Duration::from_micros(32);
/// What takes as long as this has waited, for the disk or for a processor. Waits differ by more than
/// a step; the mean of many replies would tell as much with steps as without.
const WAITED: Duration = Duration::from_micros(128);

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_metrics_have_no_finer_time_of_a_call_than_its_caller() {
        let stdin = std::io::stdin();
        for _ in 0..100 {
            let took = Replies::within(stdin.as_fd(), Duration::ZERO).took();
            let micros = took.as_micros();
            assert!(micros >= 32 && micros.is_multiple_of(32), "{took:?}");
        }
    }

    #[test]
    fn work_of_any_length_ends_at_a_step() {
        let step = |worked| leaves_after(Duration::from_nanos(worked)).as_micros();
        assert_eq!([0, 31_999, 32_000, 95_000].map(step), [32, 32, 64, 96]);
        assert_eq!(step(127_999), 128);
    }

    #[test]
    fn a_reply_that_has_waited_leaves_at_once() {
        let waited = Duration::from_micros(150);
        assert_eq!(leaves_after(waited), waited);
    }
}
