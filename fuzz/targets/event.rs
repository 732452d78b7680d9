//! Fuzzes events of the log: read and written it stays the same event, and as a text of the log it
//! stays one line.

#![no_main]
#![forbid(unsafe_code)]

use common::wire::event::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice::<Event>(data) else {
        return;
    };
    let written = serde_json::to_vec(&event).expect("an event can be written");
    assert!(!written.contains(&b'\n'));
    assert_eq!(
        serde_json::from_slice::<Event>(&written).expect("and read back"),
        event
    );
    assert!(!event.text().chars().any(char::is_control));
});
