//! Fuzzes the framing of messages: the bytes come out as they went in, cut at the NULs and without
//! the spaces before them, and no read waits.

#![no_main]
#![forbid(unsafe_code)]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::wire::frame::{Deadlines, FrameError, Inbox};
use common::wire::protocol::{Request, from_object};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut there, here) = UnixStream::pair().expect("a pair of sockets");
    // As much as the socket holds, all of it before the first read: no thread, and the same each
    // time.
    there.set_nonblocking(true).expect("a socket");
    let sent = there.write(bytes).unwrap_or(0);
    drop(there);
    assert_frames(&bytes[..sent], here);
});

fn assert_frames(bytes: &[u8], here: UnixStream) {
    let (mut inbox, mut expected) = (Inbox::default(), bytes.split(|b| *b == 0));
    let deadlines = Deadlines::until(Instant::now() + Duration::from_secs(5));
    loop {
        match inbox.receive(&here, deadlines) {
            Ok(Some(frame)) => {
                let sent = expected.next().expect("a piece");
                let padding = sent.strip_prefix(frame.as_slice()).expect("its begin");
                assert!(padding.iter().all(|byte| *byte == b' ') && !frame.ends_with(b" "));
                let _ = from_object::<Request<'_>>(&frame);
            }
            Ok(None) => return assert_eq!(expected.next(), Some(&b""[..]), "all of it came"),
            Err(FrameError::Truncated) => {
                return assert!(!expected.next().expect("a piece").is_empty());
            }
            Err(FrameError::TooLarge) => return assert!(bytes.len() > 64 * 1024),
            Err(error) => panic!("{error}"),
        }
    }
}
