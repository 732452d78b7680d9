//! Fuzzes `otpauth://` URIs: a URI that is read is written again with the same meaning.

#![no_main]
#![forbid(unsafe_code)]

use common::lineage::record::{KeyRecord, StoredKey};
use common::lineage::uri;
use common::otpauth;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(KeyRecord {
        key: StoredKey::Plain(key),
        parameters,
        label: Some(label),
        issuer,
    }) = uri::parse(text)
    else {
        return;
    };
    let written = otpauth::uri(&key, parameters, &label, issuer.as_ref());
    let again = uri::parse(written.expose()).expect("what we write we read");
    assert!(matches!(again.key, StoredKey::Plain(again) if again.expose() == key.expose()));
    assert_eq!(
        (again.parameters, again.label, again.issuer),
        (parameters, Some(label), issuer)
    );
});
