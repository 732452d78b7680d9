//! Fuzzes the import of `users.oath`: whatever comes in, entries or reasons come out.

#![no_main]
#![forbid(unsafe_code)]

use import::users_oath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(items) = users_oath::read(bytes, true) else {
        return;
    };
    for item in items {
        if let Ok(entry) = item.entry {
            let user = entry.user.as_deref().unwrap_or_default();
            let shape = (entry.kind, entry.parameters);
            let counter = entry.counter.unwrap_or(0);
            let Some(written) = users_oath::write(user, &entry.key, shape, counter) else {
                continue;
            };
            let again = users_oath::read(written.expose().as_bytes(), false);
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
