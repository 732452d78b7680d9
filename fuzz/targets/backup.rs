//! Fuzzes the reader of backups: it takes any bytes, and what it reads was whole.

#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use provisiond::store::backup::read;

fuzz_target!(|bytes: &[u8]| {
    let header = r#"{"program":"0","host":"h","made":1,"generation":1,"users":0}"#;
    let behind_a_header = [b"pam-totp backup 1\n", header.as_bytes(), b"\n", bytes].concat();
    for bytes in [bytes, &behind_a_header] {
        let mut rows = 0;
        let whole = read(bytes, &mut |more| {
            rows += more.len();
            Ok(())
        });
        if whole.is_ok() {
            // The hash holds of these bytes alone.
            assert!(read(&bytes[..bytes.len() - 1], &mut |_| Ok(())).is_err());
        }
    }
});
