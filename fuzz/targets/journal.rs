//! Fuzzes the readers of the store's journal and its snapshot: they take any bytes, and a frame that is read is the
//! frame that is written.

#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use provisiond::store::journal::frame::{Bytes, Frame, Point, Row, frames, next_frame};

fuzz_target!(|bytes: &[u8]| {
    for frame in frames(bytes, 1) {
        let frame = frame.expect("bytes that can be read");
        assert_eq!(parsed(&frame).as_ref(), Some(&frame));
    }
    let mut snapshot = bytes;
    while let Ok(Some(frame)) = next_frame(&mut snapshot) {
        assert_eq!(parsed(&frame).as_ref(), Some(&frame));
    }
    // The checksum keeps a fuzzer out: these frames have a right one.
    let rows = bytes.chunks(40).map(|part| {
        let (key, value) = part.split_at(part.len() / 4);
        Row {
            key: key.into(),
            value: (!value.starts_with(b"-")).then(|| Bytes::from(value)),
        }
    });
    let frame = Frame {
        segment: 1,
        before: Point::default(),
        after: Point {
            generation: bytes.len() as u64,
            imprint: 7,
        },
        rows: rows.collect(),
    };
    assert_eq!(parsed(&frame).as_ref(), Some(&frame));
    let mut damaged = frame.to_bytes().expect("a small frame");
    let at = bytes.first().map_or(0, |byte| usize::from(*byte));
    if at < 72 {
        damaged[at] ^= 1;
        assert_eq!(frames(&damaged[..], 1).count(), 0);
    }
});

fn parsed(frame: &Frame) -> Option<Frame> {
    let bytes = frame.to_bytes()?;
    let (read, length) = Frame::parse(&bytes)?;
    assert_eq!(length, bytes.len());
    Some(read)
}
