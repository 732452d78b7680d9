//! Fuzzes the lists of users (`--users`): whatever comes in, rows or reasons come out.

#![no_main]
#![forbid(unsafe_code)]

use import::users;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(rows) = users::read(bytes) else {
        return;
    };
    for row in rows {
        assert!(row.named.is_err() || row.line > 0);
    }
});
