//! A connection that a test holds in its hand, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use serde_json::Value;

use crate::lines::PATIENCE;
use crate::wire::{parse, request};

/// A new one, as root, whose waits all end.
#[must_use]
pub fn open(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    patient(stream)
}

/// The same connection, whose waits all end.
#[must_use]
pub fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The same connection, after these bytes were sent.
#[must_use]
pub fn after(mut stream: UnixStream, bytes: &[u8]) -> UnixStream {
    stream.write_all(bytes).expect("an open connection");
    stream
}

/// One call; the connection stays open.
///
/// # Errors
/// The error reply's short name and its parameters.
pub fn ask(
    mut stream: &UnixStream,
    method: &str,
    parameters: &Value,
) -> Result<Value, (String, Value)> {
    stream
        .write_all(&request(method, parameters))
        .expect("an open connection");
    parse(&answer(stream))
}

/// One message, with its NUL.
#[must_use]
pub fn answer(mut stream: &UnixStream) -> Vec<u8> {
    let (mut answer, mut waiting) = (Vec::new(), vec![0; 16 * 1024]);
    while !answer.ends_with(&[0]) {
        let socket = stream.as_fd().as_raw_fd();
        let came = match recv(socket, &mut waiting, MsgFlags::MSG_PEEK) {
            Err(Errno::EINTR) => continue,
            came => came.expect("an answer"),
        };
        assert!(came > 0, "no whole answer");
        let end = waiting[..came].iter().position(|byte| *byte == 0);
        let mut piece = vec![0; end.map_or(came, |end| end + 1)];
        stream.read_exact(&mut piece).expect("what has come");
        answer.extend(piece);
    }
    answer
}

/// Waits until something has come. It stays to be read.
///
/// # Panics
/// When nothing comes in time.
pub fn wait_for_answer(stream: &UnixStream) {
    let patience = PollTimeout::try_from(PATIENCE).expect("a short time");
    let came = poll(
        &mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)],
        patience,
    );
    assert_eq!(came, Ok(1), "no answer came");
}

/// What comes until the other side closes, which it must.
///
/// # Panics
/// When it does not in time.
#[must_use]
pub fn rest(mut stream: &UnixStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => rest,
    }
}

/// The short names of the errors in what came, with nothing for each reply that is none. A message
/// without its NUL does not count.
#[must_use]
pub fn errors(came: &[u8]) -> Vec<String> {
    let whole = came
        .split_inclusive(|byte| *byte == 0)
        .filter(|message| message.ends_with(b"\0"));
    whole
        .map(|message| parse(message).map_or_else(|(error, _)| error, |_| String::new()))
        .collect()
}
