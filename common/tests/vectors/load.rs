//! Odd and broken stored texts, and those that were altered without a trace.

use common::lineage::record::{KeyRecord, StoredKey};
use serde_json::Value;

use crate::cases::{Outcome, assert_code, assert_result, secrets, section};

#[test]
fn odd_records_are_read_or_refused_as_decided() {
    for (case, outcome) in section("load") {
        let read = read(&case);
        match outcome {
            Outcome::Refused => assert!(read.is_none(), "{}", case["id"]),
            _ => {
                let (record, changed) = read.unwrap_or_else(|| panic!("{}", case["id"]));
                let opened = record.open(&secrets(&case).unwrap()).unwrap();
                assert_result(&case["id"], &record, &opened, &case["result"]);
                assert_code(&case, &record, &opened);
                // passlib leaves a plain key as it is. We say that it should be sealed.
                let plain = matches!(record.key, StoredKey::Plain(_));
                assert_eq!(changed, plain || case["changed"] == true, "{}", case["id"]);
                assert_eq!(plain, outcome == Outcome::Ours, "{}", case["id"]);
            }
        }
    }
}

/// The record and whether it should be sealed again; `None` when it is refused or does not open.
fn read(case: &Value) -> Option<(KeyRecord, bool)> {
    let record = KeyRecord::parse(case["json"].as_str().unwrap()).ok()?;
    let secrets = secrets(case)?;
    record.open(&secrets).ok()?;
    let changed = record.changed(
        &secrets,
        case["encrypt_cost"].as_u64().unwrap().try_into().unwrap(),
    );
    Some((record, changed))
}

#[test]
fn no_refusal_shows_a_part_of_the_text() {
    for (case, _) in section("load").into_iter().chain(section("from_uri")) {
        let text = case["json"].as_str().or(case["uri"].as_str()).unwrap();
        let Err(refusal) = KeyRecord::parse(text) else {
            continue;
        };
        let shown = format!("{refusal} {refusal:?}");
        for word in text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() > 12)
        {
            assert!(!shown.contains(word), "{}: {shown}", case["id"]);
        }
    }
}
