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

#[test]
fn a_time_of_day_is_a_number_of_seconds_of_one_day_and_nothing_else() {
    let read = |text: &str| serde_json::from_str::<TimeOfDay>(text);
    for (text, shown) in [
        ("0", "00:00:00"),
        ("33930", "09:25:30"),
        ("86399", "23:59:59"),
    ] {
        let time = read(text).unwrap();
        assert_eq!(time.to_string(), shown);
        assert_eq!(serde_json::to_string(&time).unwrap(), text);
    }
    for text in ["86400", "4294967296", "-1", "1.5", "\"12:00:00\"", "null"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_reply_of_before_the_quarantine_was_told_is_read() {
    let reply = r#"{"verdict":"rejected","ask":"one_code"}"#;
    let reply = serde_json::from_str::<VerifyReply>(reply).unwrap();
    assert_eq!(reply.quarantine, None);
    let reply = serde_json::from_str::<ChallengeReply>(r#"{"ask":"one_code"}"#).unwrap();
    assert_eq!(reply.quarantine, None);
    let reply = serde_json::from_str::<ClockAcceptReply>(r#"{"accepted":true}"#).unwrap();
    assert_eq!((reply.clock, reply.quarantine_until), (None, None));
}
