//! The test values of RFC 6238 and RFC 4226.

use common::totp::Parameters;
use serde_json::Value;

use crate::cases::{file, key, parameters};

#[test]
fn codes_are_those_of_rfc_6238_appendix_b() {
    let cases = list("rfc6238_appendix_b");
    assert_eq!(cases.len(), 18);
    for case in cases {
        let parameters = parameters(&case);
        let step = parameters.step_at(case["time"].as_u64().unwrap());
        assert_eq!(step, case["counter"], "{case}");
        assert_eq!(
            format!("{step:016x}"),
            case["counter_hex"].as_str().unwrap().to_lowercase(),
            "{case}"
        );
        assert_eq!(
            *parameters.code_at(&key(&case["key_hex"]), step),
            case["code"].as_str().unwrap(),
            "{case}"
        );
        assert_eq!(
            key(&case["key_hex"]).to_base32().expose(),
            case["key_base32"],
            "{case}"
        );
    }
}

#[test]
fn codes_are_those_of_rfc_4226_appendix_d() {
    let cases = list("rfc4226_appendix_d");
    assert_eq!(cases.len(), 10);
    for mut case in cases {
        case["period"] = Parameters::default().period.into();
        let (parameters, counter) = (parameters(&case), case["counter"].as_u64().unwrap());
        assert_eq!(
            *parameters.code_at(&key(&case["key_hex"]), counter),
            case["code"].as_str().unwrap(),
            "{case}"
        );
        // Ten digits show the truncated number whole.
        let whole = Parameters {
            digits: 10,
            ..parameters
        }
        .code_at(&key(&case["key_hex"]), counter);
        assert_eq!(whole.parse::<u64>().unwrap(), case["truncated"], "{case}");
    }
}

fn list(name: &str) -> Vec<Value> {
    file("rfc.json")
        .remove(name)
        .unwrap()
        .as_array()
        .unwrap()
        .clone()
}
