//! Fuzzes stored key records: a record that is read is written again with the same meaning, and a
//! key that opens can be sealed and opened again.

#![no_main]
#![forbid(unsafe_code)]

use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::secrets::{Secrets, TaggedSecrets};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(record) = KeyRecord::parse(text) else {
        return;
    };
    let written = record.to_json();
    let again = KeyRecord::parse(written.expose()).expect("what we write we read");
    assert_eq!(again.to_json().expose(), written.expose());
    assert_eq!(
        (again.parameters, &again.label, &again.issuer),
        (record.parameters, &record.label, &record.issuer)
    );
    // What a record may cost is bounded elsewhere; here it would only be slow.
    if matches!(&record.key, StoredKey::V1(enckey) if enckey.cost > 4) {
        return;
    }
    let secrets = secrets();
    let _ = record.changed(&secrets, 1);
    let Ok(key) = record.open(&secrets) else {
        return;
    };
    let sealed = EnckeyV1::seal(&key, &secrets, 1).expect("a key seals");
    assert_eq!(
        sealed
            .open(&secrets)
            .expect("what we seal we open")
            .expose(),
        key.expose()
    );
});

/// Those of the vectors, so that their records open.
fn secrets() -> Secrets {
    let lines = "1479568656: 9xEF7DRojqkJLUENWmOoF3ZCWz3kFHylDCES92dSvYV\n\
                 1479726717: kT5bCq0hXvQwWm2r7Yl9NfUaPzJeSg4dKo1iBtEuHxM\n";
    Secrets::new(TaggedSecrets::from_text(lines).expect("lines"), None).expect("secrets")
}
