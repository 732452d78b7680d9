//! Fuzzes the import of `~/.google_authenticator`: whatever comes in, entries or reasons come out.

#![no_main]
#![forbid(unsafe_code)]

use import::google_authenticator;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(items) = google_authenticator::read(bytes) else {
        return;
    };
    for item in items {
        if let Ok(entry) = item.entry {
            let shape = (entry.kind, entry.parameters);
            let counter = entry.counter.unwrap_or(0);
            let spent = entry.spent_since(1_700_000_000);
            let written = google_authenticator::write(&entry.key, shape, counter, &spent);
            let Some(written) = written else {
                continue;
            };
            let again = google_authenticator::read(written.expose().as_bytes());
            let again = again
                .expect("a file")
                .remove(0)
                .entry
                .expect("what we write we read");
            assert_eq!(again.key.expose(), entry.key.expose());
            assert_eq!((again.kind, again.counter), (entry.kind, entry.counter));
        }
    }
});
