//! Fuzzes the import of lists of `otpauth://` URIs: whatever comes in, entries or reasons come out.

#![no_main]
#![forbid(unsafe_code)]

use import::otpauth;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(items) = otpauth::read(bytes) else {
        return;
    };
    for item in items {
        if let Ok(entry) = item.entry {
            let _ = entry.spent_since(1_700_000_000);
        }
    }
});
