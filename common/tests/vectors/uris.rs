//! `otpauth://` URIs in and out, and keys laid out for typing.

use common::lineage::record::{BadRecord, KeyRecord, StoredKey};
use common::lineage::uri;
use common::otpauth::{self, BadLabel, Form, Label};
use common::secret::Key;
use serde_json::Value;

use crate::cases::{Outcome, assert_code, assert_result, key, parameters, section};

#[test]
fn uris_are_written_byte_for_byte_and_read_back() {
    for (case, outcome) in section("to_uri") {
        let written = write(&case);
        match outcome {
            Outcome::Listed => {
                let written = written.unwrap().expect("a label");
                assert_eq!(written, case["uri"], "{}", case["id"]);
                let (record, key) = read(&written).unwrap();
                assert_result(&case["id"], &record, &key, &case["read_back"]);
            }
            _ => assert!(!matches!(written, Ok(Some(_))), "{}", case["id"]),
        }
    }
}

/// The URI as passlib's `to_uri(label, issuer)` makes it; `None` without a label.
fn write(case: &Value) -> Result<Option<String>, BadLabel> {
    let chosen = |given: &str, own: &str| {
        let text = case[given]
            .as_str()
            .or(case[own].as_str())
            .filter(|text| !text.is_empty());
        text.map(Label::as_shared).transpose()
    };
    let (label, issuer) = (
        chosen("label", "ctor_label")?,
        chosen("issuer", "ctor_issuer")?,
    );
    let key = key(&case["key_hex"]);
    let uri = label.map(|label| otpauth::uri(&key, parameters(case), &label, issuer.as_ref()));
    Ok(uri.map(|uri| uri.expose().to_owned()))
}

#[test]
fn uris_of_others_are_read_or_refused_as_decided() {
    for (case, outcome) in section("from_uri") {
        let read = read(case["uri"].as_str().unwrap());
        match outcome {
            Outcome::Refused => assert!(read.is_err(), "{}", case["id"]),
            _ => {
                let (record, key) = read.unwrap_or_else(|why| panic!("{}: {why}", case["id"]));
                assert_result(&case["id"], &record, &key, &case["result"]);
                assert_code(&case, &record, &key);
            }
        }
    }
}

fn read(text: &str) -> Result<(KeyRecord, Key), BadRecord> {
    let record = uri::parse(text)?;
    let StoredKey::Plain(key) = &record.key else {
        panic!("a URI has a plain key")
    };
    let key = Key::new(key.expose().to_vec()).unwrap();
    Ok((record, key))
}

#[test]
fn keys_are_laid_out_as_passlib_does() {
    for (case, _) in section("pretty_key") {
        let key = key(&case["key_hex"]);
        for (form, separator, member) in [
            (Form::Base32, "-", "pretty"),
            (Form::Base32, " ", "pretty_space"),
            (Form::Hex, "-", "pretty_hex"),
            (Form::Base32, "", "no_separator"),
        ] {
            assert_eq!(
                otpauth::pretty(&key, form, separator).expose(),
                case[member],
                "{} {member}",
                case["id"]
            );
        }
        assert_eq!(otpauth::pretty_key(&key).expose(), case["pretty"]);
        assert_eq!(key.to_base32().expose(), case["base32"]);
    }
}
