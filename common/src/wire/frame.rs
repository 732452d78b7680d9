//! Framing on the socket (Varlink: a JSON object and a NUL byte), the maximum size of a message,
//! and its deadlines.
//!
//! Knows no message. Lengths are checked before anything is allocated, every wait has a deadline,
//! and buffers are wiped, because codes and keys pass through them.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use zeroize::Zeroizing;

/// One message as received, without its NUL.
pub type Frame = Zeroizing<Vec<u8>>;

/// The deadlines of one message.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// When its first byte must have arrived.
    pub first_byte: Instant,
    /// How long a message may take after its first byte. `None`: it must be complete at
    /// `first_byte`.
    pub whole_message: Option<Duration>,
}

impl Deadlines {
    /// One deadline for the whole message.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self {
            first_byte: deadline,
            whole_message: None,
        }
    }
}

/// Why a message was not received or not sent.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// More than [`MAX_FRAME`] bytes without a NUL.
    #[error("the message is longer than {MAX_FRAME} bytes")]
    TooLarge,
    /// The other side closed the connection in the middle of a message.
    #[error("the connection was closed in the middle of a message")]
    Truncated,
    /// The deadline passed.
    #[error("the other side did not answer in time")]
    TimedOut,
    /// The system call failed.
    #[error("the socket failed: {0}")]
    Socket(#[from] Errno),
}

/// The bytes that have arrived and were not yet returned.
#[derive(Debug)]
pub struct Inbox(Zeroizing<Vec<u8>>);

impl Default for Inbox {
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(FIRST_BUFFER)))
    }
}

impl Inbox {
    /// Waits for one message. `None`: the other side closed the connection between two messages.
    ///
    /// # Errors
    /// [`FrameError`]; after any of them the connection cannot be used any more.
    pub fn receive(
        &mut self,
        socket: &impl AsFd,
        deadlines: Deadlines,
    ) -> Result<Option<Frame>, FrameError> {
        let mut deadline = deadlines.first_byte;
        let mut begun = false;
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(frame));
            }
            if !begun && !self.0.is_empty() {
                begun = true;
                deadline = deadlines
                    .whole_message
                    .and_then(|d| Instant::now().checked_add(d))
                    .unwrap_or(deadline);
            }
            if self.0.len() > MAX_FRAME {
                return Err(FrameError::TooLarge);
            }
            match self.read_some(socket, deadline)? {
                0 if self.0.is_empty() => return Ok(None),
                0 => return Err(FrameError::Truncated),
                _ => {}
            }
        }
    }

    /// Whether no bytes of a further message have arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let end = self
            .0
            .iter()
            .take(MAX_FRAME.saturating_add(1))
            .position(|b| *b == 0)?;
        let rest = Zeroizing::new(
            self.0
                .get(end.saturating_add(1)..)
                .unwrap_or_default()
                .to_vec(),
        );
        let mut frame = std::mem::replace(&mut self.0, rest);
        frame.truncate(end);
        Some(frame)
    }

    fn read_some(&mut self, socket: &impl AsFd, deadline: Instant) -> Result<usize, FrameError> {
        let mut chunk = Zeroizing::new([0u8; FIRST_BUFFER]);
        loop {
            match recv(
                socket.as_fd().as_raw_fd(),
                chunk.as_mut(),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(count) => {
                    self.append(chunk.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(Errno::EINTR) => _ = left_until(deadline)?,
                Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLIN, deadline)?,
                Err(Errno::ECONNRESET) => return Ok(0),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Moves to a larger buffer by hand: a growing `Vec` would leave an unwiped copy behind.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

/// Sends `message` and the NUL that ends it. Never raises SIGPIPE.
///
/// # Errors
/// [`FrameError`], with `TooLarge` before anything is sent.
pub fn send_frame(
    socket: &impl AsFd,
    mut message: Frame,
    deadline: Instant,
) -> Result<(), FrameError> {
    if message.len() > MAX_FRAME {
        return Err(FrameError::TooLarge);
    }
    message.push(0);
    let mut rest = message.as_slice();
    while !rest.is_empty() {
        match send(
            socket.as_fd().as_raw_fd(),
            rest,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        ) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => _ = left_until(deadline)?,
            Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLOUT, deadline)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A buffer for one outgoing message, large enough that one with secrets in it never grows: the
/// longest `Verify`, with every byte escaped, fits.
#[must_use]
pub fn outgoing() -> Frame {
    Zeroizing::new(Vec::with_capacity(OUTGOING_BUFFER))
}

/// The time left. Signals that interrupt a wait do not extend the deadline.
fn left_until(deadline: Instant) -> Result<Duration, FrameError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(FrameError::TimedOut)
    } else {
        Ok(left)
    }
}

fn wait(socket: &impl AsFd, events: PollFlags, deadline: Instant) -> Result<(), FrameError> {
    let left = left_until(deadline)?;
    // Rounded up to a whole millisecond: rounding down would spin through the last one.
    let millis = left.as_millis().saturating_add(1).min(i32::MAX as u128);
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(socket.as_fd(), events)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The longest message, in bytes, without its NUL.
pub const MAX_FRAME: usize = 64 * 1024;
const FIRST_BUFFER: usize = 4096;
const OUTGOING_BUFFER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn receive_all(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let (mut here, there) = UnixStream::pair().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || drop(here.write_all(&bytes)));
        let mut inbox = Inbox::default();
        let mut frames = Vec::new();
        let end = loop {
            match inbox.receive(&there, Deadlines::until(soon())) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break Ok(frames),
                Err(error) => break Err(error),
            }
        };
        drop(there);
        writer.join().unwrap();
        end
    }

    proptest! {
        #[test]
        fn what_is_sent_is_received(messages in prop::collection::vec(prop::collection::vec(1u8..=255, 0..9000), 0..5)) {
            let (here, there) = UnixStream::pair().unwrap();
            let sent = messages.clone();
            let writer = std::thread::spawn(move || {
                for message in sent {
                    send_frame(&here, Zeroizing::new(message), soon()).unwrap();
                }
            });
            let mut inbox = Inbox::default();
            for message in messages {
                prop_assert_eq!(&*inbox.receive(&there, Deadlines::until(soon())).unwrap().unwrap(), &message);
            }
            prop_assert!(inbox.receive(&there, Deadlines::until(soon())).unwrap().is_none());
            writer.join().unwrap();
        }
    }

    #[test]
    fn several_messages_in_one_piece_are_told_apart() {
        assert_eq!(
            receive_all(b"a\0\0bc\0").unwrap(),
            [b"a".to_vec(), b"".to_vec(), b"bc".to_vec()]
        );
    }

    #[test]
    fn a_message_cut_short_is_an_error_at_every_byte() {
        let whole = b"{\"method\":\"x\"}\0";
        for cut in 1..whole.len() {
            assert!(
                matches!(receive_all(&whole[..cut]), Err(FrameError::Truncated)),
                "{cut}"
            );
        }
        assert!(receive_all(b"").unwrap().is_empty());
    }

    #[test]
    fn a_message_without_an_end_is_given_up_at_the_limit() {
        assert!(matches!(
            receive_all(&vec![b'x'; 10 << 20]),
            Err(FrameError::TooLarge)
        ));
        let mut longest = vec![b'x'; MAX_FRAME];
        longest.push(0);
        assert_eq!(receive_all(&longest).unwrap()[0].len(), MAX_FRAME);
        longest.insert(0, b'x');
        assert!(matches!(receive_all(&longest), Err(FrameError::TooLarge)));
    }

    #[test]
    fn a_silent_peer_is_given_up_at_the_deadline() {
        let (here, there) = UnixStream::pair().unwrap();
        let now = Instant::now();
        assert!(matches!(
            Inbox::default().receive(&there, Deadlines::until(now)),
            Err(FrameError::TimedOut)
        ));
        (&here).write_all(b"{").unwrap();
        let deadlines = Deadlines {
            first_byte: soon(),
            whole_message: Some(Duration::ZERO),
        };
        assert!(matches!(
            Inbox::default().receive(&there, deadlines),
            Err(FrameError::TimedOut)
        ));
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up_at_the_deadline() {
        let (here, _there) = UnixStream::pair().unwrap();
        let full = loop {
            let deadline = Instant::now();
            if let Err(error) = send_frame(&here, Zeroizing::new(vec![b'x'; MAX_FRAME]), deadline) {
                break error;
            }
        };
        assert!(matches!(full, FrameError::TimedOut));
    }

    #[test]
    fn a_closed_peer_is_an_error_and_no_signal() {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        assert!(matches!(
            send_frame(&here, outgoing(), soon()),
            Err(FrameError::Socket(Errno::EPIPE))
        ));
    }
}
