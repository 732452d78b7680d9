//! The cases, what each must come to, and what a record was read as.

use std::collections::BTreeMap;
use std::fs;

use common::lineage::record::KeyRecord;
use common::secret::Key;
use common::secrets::{Secrets, TaggedSecrets};
use common::totp::Parameters;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value};

/// What a case must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The listed result.
    Listed,
    /// A refusal.
    Refused,
    /// A result of our own, which the test names.
    Ours,
}

/// The cases of one section, each with what it must come to.
pub(crate) fn section(name: &str) -> Vec<(Value, Outcome)> {
    let decided = decisions();
    let cases = file("passlib_public.json")
        .remove(name)
        .expect("a section of that name");
    let cases = cases.as_array().expect("a list of cases").clone();
    assert!(!cases.is_empty());
    cases
        .into_iter()
        .map(|case| (case.clone(), outcome(&case, &decided)))
        .collect()
}

#[test]
fn every_decision_is_about_a_case_that_needs_one() {
    let open = ["tolerated", "hazard", "quirk"].map(Value::from);
    let sections = file("passlib_public.json");
    let mut decided = decisions();
    for case in sections.values().filter_map(Value::as_array).flatten() {
        if open.contains(&case["status"]) {
            decided.remove(case["id"].as_str().unwrap());
        }
    }
    assert!(decided.is_empty(), "{decided:?}");
}

/// One file of the data.
pub(crate) fn file(name: &str) -> Map<String, Value> {
    let text =
        fs::read_to_string(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn outcome(case: &Value, decided: &BTreeMap<String, Outcome>) -> Outcome {
    let id = case["id"].as_str().unwrap();
    match case["status"].as_str().unwrap() {
        "written" | "accepted" | "undetectable" => Outcome::Listed,
        "rejected" => Outcome::Refused,
        "tolerated" | "hazard" | "quirk" => *decided
            .get(id)
            .unwrap_or_else(|| panic!("{id} is not decided")),
        other => panic!("{id}: {other}"),
    }
}

/// The rows of the tables in the documentation whose first cell holds cases: `load-001` or
/// `recode-021..024`.
fn decisions() -> BTreeMap<String, Outcome> {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lineage.md")).unwrap();
    let mut decided = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let outcome = match cells.get(2) {
            Some(&"as passlib") => Outcome::Listed,
            Some(&"refused") => Outcome::Refused,
            Some(&"otherwise") => Outcome::Ours,
            _ => continue,
        };
        for id in cells[0]
            .trim_start_matches("| ")
            .split(", ")
            .flat_map(|ids| range(ids.trim_matches('`')))
        {
            assert_eq!(
                decided.insert(id.clone(), outcome),
                None,
                "{id} is decided twice"
            );
        }
    }
    decided
}

fn range(ids: &str) -> Vec<String> {
    let Some((first, last)) = ids.split_once("..") else {
        return vec![ids.to_owned()];
    };
    let (name, first) = first.rsplit_once('-').unwrap();
    (first.parse::<u32>().unwrap()..=last.parse().unwrap())
        .map(|n| format!("{name}-{n:03}"))
        .collect()
}

/// The secrets of a case; `None` when it has none.
pub(crate) fn secrets(case: &Value) -> Option<Secrets> {
    let tagged: TaggedSecrets = serde_json::from_value(case["secrets"].clone()).ok()?;
    Secrets::with_weak(tagged, case["default_tag"].as_str()).ok()
}

pub(crate) fn key(hex: &Value) -> Key {
    Key::new(HEXLOWER.decode(hex.as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

pub(crate) fn parameters(of: &Value) -> Parameters {
    Parameters {
        alg: of["alg"].as_str().unwrap().parse().unwrap(),
        digits: of["digits"].as_u64().unwrap().try_into().unwrap(),
        period: of["period"].as_u64().unwrap().try_into().unwrap(),
    }
}

/// Compares everything that a record says with a result of the vectors; `key` is the opened one.
pub(crate) fn assert_result(id: &Value, record: &KeyRecord, key: &Key, result: &Value) {
    assert_eq!(HEXLOWER.encode(key.expose()), result["key_hex"], "{id}");
    assert_eq!(record.parameters, parameters(result), "{id}");
    assert_eq!(
        record.label.as_ref().map(|label| label.as_str()),
        result["label"].as_str(),
        "{id}"
    );
    assert_eq!(
        record.issuer.as_ref().map(|issuer| issuer.as_str()),
        result["issuer"].as_str(),
        "{id}"
    );
}

/// Compares the sample code of a case, if it has one.
pub(crate) fn assert_code(case: &Value, record: &KeyRecord, key: &Key) {
    if let Some(time) = case["code"]["time"].as_u64() {
        let code = record
            .parameters
            .code_at(key, record.parameters.step_at(time));
        assert_eq!(
            *code,
            case["code"]["code"].as_str().unwrap(),
            "{}",
            case["id"]
        );
    }
}
