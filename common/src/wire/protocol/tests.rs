//! Tests of the protocol's messages.

use super::*;

#[test]
fn every_error_survives_the_wire() {
    for error in [
        Error::busy("wait"),
        Error::ProofRequired { ask: Ask::OneCode },
        Error::ProofRequired { ask: Ask::TwoCodes },
        Error::bad("digits", "6 to 10"),
        Error::Varlink("a.b.C".into()),
    ] {
        let (name, parameters) = error.to_wire();
        let raw = serde_json::value::to_raw_value(&parameters).unwrap();
        assert_eq!(Error::from_wire(&name, Some(&raw)), error);
    }
}

#[test]
fn the_interface_file_names_every_method_and_error() {
    for method in Method::ALL.iter().map(|method| method.name()) {
        assert!(
            INTERFACE.contains(&format!("\nmethod {method}(")),
            "{method}"
        );
    }
    assert_eq!(INTERFACE.matches("\nmethod ").count(), Method::ALL.len());
    for error in [
        "PermissionDenied",
        "NoSuchUser",
        "UserExists",
        "NoSuchDevice",
        "DeviceExists",
        "NotPending",
        "ProofRequired",
        "BadParameter",
        "RecordDamaged",
        "StoreUnavailable",
        "Busy",
        "TooLarge",
    ] {
        assert!(INTERFACE.contains(&format!("\nerror {error} (")), "{error}");
    }
}

#[test]
fn a_request_with_unknown_or_repeated_fields_is_refused() {
    assert!(serde_json::from_str::<Request<'_>>(r#"{"method":"a.B","parameters":{}}"#).is_ok());
    for text in [
        r#"{"method":"a.B","extra":1}"#,
        r#"{"method":"a.B","method":"a.C"}"#,
        r#"{"parameters":{}}"#,
        r#"["a.B",{}]"#,
        "{",
        "",
    ] {
        assert!(
            from_object::<Request<'_>>(text.as_bytes()).is_err(),
            "{text}"
        );
    }
    assert!(
        serde_json::from_str::<Verify>(r#"{"user":"a","codes":[],"service":"x","extra":1}"#)
            .is_err()
    );
}
