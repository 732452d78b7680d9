//! Fuzzes the import of PSKC containers, plain and encrypted: whatever comes in, entries or reasons come out.

#![no_main]
#![forbid(unsafe_code)]

use common::secret::SecretText;
use import::pskc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let secret = SecretText::new("12345678901234567890123456789012".to_owned());
    let Ok(items) = pskc::read(bytes, Some(&secret)) else {
        return;
    };
    for item in items {
        if let Ok(entry) = item.entry {
            let _ = entry.spent_since(1_700_000_000);
        }
    }
});
