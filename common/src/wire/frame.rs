//! Framing on the socket (Varlink: a JSON object and a NUL byte), the maximum size of a message,
//! and its deadlines.
//!
//! Knows no message. Lengths are checked before anything is allocated, every wait has a deadline,
//! and buffers are wiped, because codes and keys pass through them. Messages are padded, because
//! the kernel tells every process how many bytes wait in a Unix socket (sock_diag(7)). The padding is
//! neither copied nor wiped: it is fifty times as long as what it hides.

use std::ffi::CStr;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, sendmsg};
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

/// One message, without its NUL and the padding before it.
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

/// What has arrived and was not yet returned: the first `filled` bytes, which are wiped in the end.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
    /// So many of them hold no NUL.
    searched: usize,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.wipe_from(0);
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
        self.receive_by(
            |room, deadline| read_some(socket, room, deadline),
            deadlines,
        )
    }

    /// The same for a connection that is no plain socket. `read` waits for bytes until the deadline, and
    /// returns how many it has written; 0 is the end of the connection.
    ///
    /// # Errors
    /// Those of `read`, and [`FrameError`].
    pub fn receive_by<E: From<FrameError>>(
        &mut self,
        mut read: impl FnMut(&mut [u8], Instant) -> Result<usize, E>,
        deadlines: Deadlines,
    ) -> Result<Option<Frame>, E> {
        let mut deadline = deadlines.first_byte;
        let mut begun = false;
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(frame));
            }
            if !begun && !self.is_empty() {
                begun = true;
                deadline = deadlines
                    .whole_message
                    .and_then(|d| Instant::now().checked_add(d))
                    .unwrap_or(deadline);
            }
            if self.filled > MAX_FRAME {
                return Err(FrameError::TooLarge.into());
            }
            match self.fill(|room| read(room, deadline))? {
                0 if self.is_empty() => return Ok(None),
                0 => return Err(FrameError::Truncated.into()),
                _ => {}
            }
        }
    }

    /// Waits until a message begins, and reads none of it: what stays unread when the socket is
    /// closed, the other side can tell from what may have been acted on.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn wait(&self, socket: &impl AsFd, deadline: Instant) -> Result<(), FrameError> {
        if !self.is_empty() {
            return Ok(());
        }
        wait(socket, PollFlags::POLLIN, deadline)
    }

    /// Whether no bytes of a further message have arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let unsearched = self.bytes.get(self.searched..self.filled)?;
        let Ok(found) = CStr::from_bytes_until_nul(unsearched) else {
            self.searched = self.filled;
            return None;
        };
        let end = self.searched.saturating_add(found.count_bytes());
        let message = without_padding(self.bytes.get(..end)?);
        let mut frame = Zeroizing::new(Vec::with_capacity(message.len()));
        frame.extend_from_slice(message);
        self.forget(frame.len(), end.saturating_add(1));
        Some(frame)
    }

    /// Wipes a message of so many bytes, and goes on with what stands behind its padding.
    fn forget(&mut self, message: usize, end: usize) {
        if let Some(message) = self.bytes.get_mut(..message) {
            message.zeroize();
        }
        let rest = self.filled.saturating_sub(end);
        if rest > 0 {
            self.bytes.copy_within(end..self.filled, 0);
            self.wipe_from(rest);
        }
        (self.filled, self.searched) = (rest, 0);
    }

    fn wipe_from(&mut self, first: usize) {
        if let Some(bytes) = self.bytes.get_mut(first..self.filled) {
            bytes.zeroize();
        }
    }

    fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        self.make_room();
        let count = read(self.bytes.get_mut(self.filled..).unwrap_or_default())?;
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
        Ok(count)
    }

    /// Makes room for more bytes, and for no more than the longest message and its NUL. Moves to a
    /// larger buffer by hand: a growing `Vec` would leave an unwiped copy behind.
    fn make_room(&mut self) {
        if self.filled < self.bytes.len() {
            return;
        }
        let room = self.bytes.len().saturating_mul(2);
        let room = room.clamp(UNIT, MAX_FRAME.saturating_add(1));
        let mut larger = Vec::with_capacity(room);
        larger.extend_from_slice(&self.bytes);
        larger.resize(room, 0);
        self.wipe_from(0);
        self.bytes = larger;
    }
}

fn read_some(socket: &impl AsFd, room: &mut [u8], deadline: Instant) -> Result<usize, FrameError> {
    loop {
        match recv(socket.as_fd().as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => return Ok(count),
            Err(Errno::EINTR) => _ = left_until(deadline)?,
            Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLIN, deadline)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The JSON of a message. Its buffer is as long as it is: one that grows would leave an unwiped copy
/// behind.
///
/// # Errors
/// An error of the value.
pub fn frame_of(message: &impl Serialize) -> serde_json::Result<Frame> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, message)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *frame, message)?;
    Ok(frame)
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends `message`, padded to a multiple of `unit` with the NUL that ends it. Never raises SIGPIPE.
///
/// # Errors
/// [`FrameError`], with `TooLarge` before anything is sent.
pub fn send_frame(
    socket: &impl AsFd,
    message: &Frame,
    unit: usize,
    deadline: Instant,
) -> Result<(), FrameError> {
    let mut parts = padded(message, unit)?.map(IoSlice::new);
    let mut rest = parts.as_mut_slice();
    while !rest.is_empty() {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(socket.as_fd().as_raw_fd(), rest, &[], flags, None) {
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(Errno::EINTR) => _ = left_until(deadline)?,
            Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLOUT, deadline)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The message, its padding and its NUL, as they are sent one after the other.
///
/// # Errors
/// [`FrameError::TooLarge`].
pub fn padded(message: &Frame, unit: usize) -> Result<[&[u8]; 3], FrameError> {
    if message.len() > MAX_FRAME {
        return Err(FrameError::TooLarge);
    }
    let padding = SPACES.get(..padding(message.len(), unit));
    Ok([message.as_slice(), padding.unwrap_or_default(), &[0]])
}

/// How many spaces, which mean nothing in JSON, make a message of that length and its NUL a multiple
/// of `unit`, or as long as a message can be.
fn padding(length: usize, unit: usize) -> usize {
    let whole = length.saturating_add(1).checked_next_multiple_of(unit);
    let padded = whole.map_or(MAX_FRAME, |whole| whole.saturating_sub(1));
    padded.min(MAX_FRAME).saturating_sub(length)
}

fn without_padding(mut message: &[u8]) -> &[u8] {
    // Many at a time: byte by byte it would take longer than all else that is done to a message.
    while let Some(rest) = message.strip_suffix(&SPACES[..MANY]) {
        message = rest;
    }
    while let Some(rest) = message.strip_suffix(b" ") {
        message = rest;
    }
    message
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

/// Waits until the socket is ready for reading or writing.
///
/// # Errors
/// [`FrameError`].
pub fn wait(socket: &impl AsFd, events: PollFlags, deadline: Instant) -> Result<(), FrameError> {
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
/// A call, and a reply that comes alone, are as long as this with their NUL, whatever they hold.
/// Only what is longer takes several units. It has room for the longest `Verify` and for the
/// longest answer to it, which shows a key as a QR code.
pub const UNIT: usize = 16 * 1024;
/// The same for the replies of a stream, of which there may be a million.
pub const UNIT_OF_STREAM: usize = 1024;
static SPACES: [u8; UNIT] = [b' '; UNIT];
const MANY: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    fn longest() -> Frame {
        Zeroizing::new(vec![b'x'; MAX_FRAME])
    }

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
                    send_frame(&here, &Zeroizing::new(message), UNIT, soon()).unwrap();
                }
            });
            let mut inbox = Inbox::default();
            for message in messages {
                let received = inbox.receive(&there, Deadlines::until(soon())).unwrap().unwrap();
                let padding = message.strip_prefix(received.as_slice()).unwrap();
                prop_assert!(padding.iter().all(|byte| *byte == b' '));
                prop_assert!(!received.ends_with(b" "));
            }
            prop_assert!(inbox.receive(&there, Deadlines::until(soon())).unwrap().is_none());
            writer.join().unwrap();
        }
    }

    #[test]
    fn all_messages_of_a_unit_are_equally_long() {
        let padded = |length: usize, unit| length + padding(length, unit);
        for length in [0, 1, 113, UNIT - 2, UNIT - 1] {
            assert_eq!(padded(length, UNIT), UNIT - 1, "{length}");
        }
        assert_eq!(padded(UNIT, UNIT), 2 * UNIT - 1);
        assert_eq!(padded(250, UNIT_OF_STREAM), UNIT_OF_STREAM - 1);
        for length in [MAX_FRAME - 1, MAX_FRAME] {
            assert_eq!(
                padded(length, UNIT),
                length,
                "no longer than a message can be"
            );
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
            if let Err(error) = send_frame(&here, &longest(), UNIT, deadline) {
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
            send_frame(&here, &Frame::default(), UNIT, soon()),
            Err(FrameError::Socket(Errno::EPIPE))
        ));
    }
}
