//! Application secrets, as an object, as a text, and from the settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::config::{Settings, Trust};
use common::lineage::record::KeyRecord;
use common::secrets::{Secrets, TaggedSecrets};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use crate::cases::{Outcome, section};

#[test]
fn sets_of_secrets_are_read_or_refused_as_decided() {
    for (case, outcome) in section("secrets") {
        for secrets in [read(&case), read_from_settings(&case)] {
            match outcome {
                Outcome::Refused => assert!(secrets.is_none(), "{}", case["id"]),
                _ => assert_set(&case, &secrets.unwrap_or_else(|| panic!("{}", case["id"]))),
            }
        }
    }
}

/// Compares tags, default tag and the secrets themselves: these by what a record of theirs opens
/// to.
fn assert_set(case: &Value, found: &Secrets) {
    assert_eq!(
        found.default_tag().as_str(),
        case["default_tag"],
        "{}",
        case["id"]
    );
    let expected = case["secrets_hex"].as_object().unwrap();
    let text = |hex: &Value| {
        String::from_utf8(HEXLOWER.decode(hex.as_str().unwrap().as_bytes()).unwrap()).unwrap()
    };
    let object: Map<String, Value> = expected
        .iter()
        .map(|(tag, hex)| (tag.clone(), text(hex).into()))
        .collect();
    let expected =
        Secrets::with_weak(serde_json::from_value(object.clone().into()).unwrap(), None).unwrap();
    for tag in object.keys().map(String::as_str).chain(["nobody's"]) {
        let enckey = json!({"v": 1, "t": tag, "c": 0, "s": "MFRGG", "k": "A".repeat(32)});
        let record = json!({"type": "totp", "v": 1, "enckey": enckey}).to_string();
        let open = |secrets: &Secrets| KeyRecord::parse(&record).ok()?.open(secrets).ok();
        let keys = [found, &expected].map(|secrets| open(secrets).map(|key| key.expose().to_vec()));
        assert_eq!(keys[0], keys[1], "{} {tag}", case["id"]);
        assert_eq!(
            keys[0].is_some(),
            object.contains_key(tag),
            "{} {tag}",
            case["id"]
        );
    }
}

fn read(case: &Value) -> Option<Secrets> {
    let tagged = match &case["source"] {
        Value::String(text) => TaggedSecrets::from_whole_text(text).ok()?,
        object => serde_json::from_value(object.clone()).ok()?,
    };
    Secrets::with_weak(tagged, case["given_default_tag"].as_str()).ok()
}

/// Texts by way of a secrets file, objects in the settings themselves: YAML takes JSON as it is.
fn read_from_settings(case: &Value) -> Option<Secrets> {
    let folder = tempfile::tempdir().unwrap();
    let (settings, file) = (
        folder.path().join("settings.yaml"),
        folder.path().join("secrets"),
    );
    let mut context = json!({"default-tag": case["given_default_tag"]});
    match &case["source"] {
        Value::String(text) => {
            write(&file, text);
            context["secrets-path"] = file.to_str().unwrap().into();
        }
        // In YAML digits alone are a text like any other.
        Value::Object(object) if object.values().any(Value::is_number) => return None,
        object => context["secrets"] = object.clone(),
    }
    write(
        &settings,
        &json!({"totp": {"allow-weak-secrets": true, "context": context}}).to_string(),
    );
    let daemon_uid = nix::unistd::geteuid().as_raw();
    let trust = Trust::new(daemon_uid, Some(folder.path().to_owned()));
    let secrets = Settings::load(&settings, &trust).ok()?.secrets;
    std::sync::Arc::into_inner(secrets)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}
