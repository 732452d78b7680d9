//! Stored records: opened, written again byte for byte, sealed again, and what the settings add to
//! them.

use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::secret::Key;
use common::secrets::Secrets;
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::cases::{Outcome, assert_result, key, parameters, secrets, section};

#[test]
fn records_of_passlib_open_and_are_written_byte_for_byte() {
    for (case, _) in section("records") {
        let (id, secrets) = (&case["id"], secrets(&case).unwrap());
        let cost = cost(&case);
        let sealed = KeyRecord::parse(text(&case["json"])).unwrap();
        let opened = sealed.open(&secrets).unwrap();
        assert_result(id, &sealed, &opened, &case);
        assert_eq!(opened.to_base32().expose(), case["key_base32"], "{id}");
        assert!(!sealed.changed(&secrets, cost), "{id}");
        assert_eq!(sealed.to_json().expose(), case["json"], "{id}");
        let plain = KeyRecord::parse(text(&case["plain_json"])).unwrap();
        assert!(matches!(plain.key, StoredKey::Plain(_)), "{id}");
        assert_result(id, &plain, &plain.open(&secrets).unwrap(), &case);
        assert_eq!(plain.to_json().expose(), case["plain_json"], "{id}");
        for code in case["codes"].as_array().unwrap() {
            let step = sealed.parameters.step_at(code["time"].as_u64().unwrap());
            assert_eq!(step, code["counter"], "{id}");
            assert_eq!(
                *sealed.parameters.code_at(&opened, step),
                text(&code["code"]),
                "{id} at {code}"
            );
            assert_eq!(
                sealed.parameters.start_of(step + 1),
                code["expire_time"],
                "{id}"
            );
        }
        assert_sealed_alike(&sealed, &opened, &secrets, cost);
    }
}

/// Sealing it ourselves gives the same text, salt and ciphertext apart, which opens again.
fn assert_sealed_alike(theirs: &KeyRecord, key: &Key, secrets: &Secrets, cost: u32) {
    let Ok(enckey) = EnckeyV1::seal(key, secrets, cost) else {
        assert!(
            secrets.sealing_tag().is_none(),
            "only a weak secret does not seal"
        );
        return;
    };
    let (parameters, label, issuer) = (
        theirs.parameters,
        theirs.label.clone(),
        theirs.issuer.clone(),
    );
    let ours = KeyRecord {
        key: StoredKey::V1(enckey),
        parameters,
        label,
        issuer,
    }
    .to_json();
    assert_eq!(
        without_random(ours.expose()),
        without_random(theirs.to_json().expose())
    );
    let again = KeyRecord::parse(ours.expose()).unwrap();
    assert_eq!(again.open(secrets).unwrap().expose(), key.expose());
}

/// The text with the letters of `k` and `s` replaced, their number kept.
fn without_random(json: &str) -> String {
    let mut text = json.to_owned();
    let value: Value = serde_json::from_str(json).unwrap();
    for member in ["k", "s"] {
        let random = value["enckey"][member].as_str().unwrap();
        text = text.replace(random, &"?".repeat(random.len()));
    }
    text
}

#[test]
fn records_are_marked_for_sealing_again_as_passlib_does() {
    for (case, outcome) in section("recode") {
        assert_eq!(outcome, Outcome::Listed);
        let (id, secrets, cost) = (&case["id"], secrets(&case).unwrap(), cost(&case));
        let record = KeyRecord::parse(text(&case["json"])).unwrap();
        let opened = record.open(&secrets).unwrap();
        assert_eq!(HEXLOWER.encode(opened.expose()), case["key_hex"], "{id}");
        let changed = record.changed(&secrets, cost);
        assert_eq!(changed, case["changed"], "{id}");
        assert_eq!(
            secrets.default_tag().as_str(),
            case["rewritten_tag"],
            "{id}"
        );
        assert_eq!(!changed, case["rewritten_same_text"], "{id}");
        if !changed {
            assert_eq!(record.to_json().expose(), case["json"], "{id}");
        } else if let Ok(rewritten) = EnckeyV1::seal(&opened, &secrets, cost) {
            assert_eq!(rewritten.tag, case["rewritten_tag"], "{id}");
            assert_eq!(rewritten.cost, case["rewritten_cost"], "{id}");
        }
    }
}

#[test]
fn settings_fill_in_the_issuer_and_never_what_a_code_looks_like() {
    for (mut case, outcome) in section("class_defaults") {
        case["default_tag"] = Value::Null;
        let (id, secrets) = (&case["id"], secrets(&case).unwrap());
        let mut record = KeyRecord::parse(text(&case["json"])).unwrap();
        assert_eq!(record.to_json().expose(), case["json"], "{id}");
        assert_eq!(
            record.open(&secrets).unwrap().expose(),
            key(&case["instance"]["key_hex"]).expose(),
            "{id}"
        );
        assert_eq!(record.parameters, parameters(&case["instance"]), "{id}");
        let (same, other) = (
            &case["read_with_same_defaults"],
            &case["read_with_passlib_defaults"],
        );
        match outcome {
            Outcome::Listed => {
                assert_result(id, &record, &record.open(&secrets).unwrap(), other);
                let issuer = case["reader_defaults"]["issuer"].as_str();
                record.issuer = record
                    .issuer
                    .or(issuer.map(|issuer| common::otpauth::Label::new(issuer).unwrap()));
                assert_result(id, &record, &record.open(&secrets).unwrap(), same);
            }
            // passlib would look for codes that no authenticator shows.
            _ => assert_ne!(record.parameters, parameters(same), "{id}"),
        }
    }
}

fn cost(case: &Value) -> u32 {
    case["encrypt_cost"].as_u64().unwrap().try_into().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
