//! Tests of PSKC. The samples are of csv2pskc (python-pskc 1.2), by another author.

use common::names::device::Kind;

use super::*;
use crate::Place;

const PLAIN: &str = include_str!("samples/plain.xml");
const KEY: &str = include_str!("samples/key.xml");
const PASSPHRASE: &str = include_str!("samples/passphrase.xml");

fn opened(text: &str, secret: &str) -> Result<Vec<Item>, BadFile> {
    read(text.as_bytes(), Some(&SecretText::new(secret.to_owned())))
}

fn is_of_the_samples(items: Vec<Item>) {
    let places: Vec<Place> = items.iter().map(|item| item.place).collect();
    let [totp, hotp] = <[Item; 2]>::try_from(items).unwrap();
    let (totp, hotp) = (totp.entry.unwrap(), hotp.entry.unwrap());
    assert_eq!((totp.kind, totp.parameters.period), (Kind::Totp, 30));
    assert_eq!((hotp.kind, hotp.counter), (Kind::Hotp, Some(5)));
    assert_eq!(hotp.parameters.digits, 8);
    for entry in [&totp, &hotp] {
        assert_eq!(entry.key.expose(), b"12345678901234567890");
        assert_eq!(entry.user, None);
    }
    assert!(
        places
            .iter()
            .all(|place| matches!(place, Place::Line(line) if *line > 1))
    );
}

#[test]
fn plain_containers_are_read() {
    assert_eq!(lock(PLAIN.as_bytes()), Ok(Lock::Open));
    is_of_the_samples(read(PLAIN.as_bytes(), None).unwrap());
}

#[test]
fn containers_under_a_shared_key_are_decrypted() {
    assert_eq!(lock(KEY.as_bytes()), Ok(Lock::Key));
    is_of_the_samples(opened(KEY, "12345678901234567890123456789012").unwrap());
    assert_eq!(
        read(KEY.as_bytes(), None).unwrap_err(),
        BadFile::SecretNeeded
    );
    assert_eq!(opened(KEY, "1234").unwrap_err(), BadFile::KeyForm);
}

#[test]
fn containers_under_a_passphrase_are_decrypted() {
    assert_eq!(lock(PASSPHRASE.as_bytes()), Ok(Lock::Passphrase));
    is_of_the_samples(opened(PASSPHRASE, "qwerty").unwrap());
}

#[test]
fn a_wrong_secret_opens_nothing() {
    let wrong = "02345678901234567890123456789012";
    for (text, secret) in [(KEY, wrong), (PASSPHRASE, "qwertz")] {
        match opened(text, secret) {
            Err(problem) => assert_eq!(problem, BadFile::WrongSecret),
            // The padding of the MAC's key is right by chance: then no MAC is.
            Ok(items) => assert!(items.iter().all(|item| item.entry.is_err())),
        }
    }
}

#[test]
fn an_encrypted_value_that_was_altered_or_has_no_mac_is_refused() {
    let secret = "12345678901234567890123456789012";
    let altered = KEY.replace("NVZu9VJSwj6V", "NVZu9VJSwj6W");
    let start = KEY.find("<pskc:ValueMAC>").unwrap();
    let end = KEY.find("</pskc:ValueMAC>").unwrap() + "</pskc:ValueMAC>".len();
    let without = format!("{}{}", &KEY[..start], &KEY[end..]);
    for text in [altered, without] {
        let items = opened(&text, secret).unwrap();
        assert_eq!(items[0].entry.as_ref().unwrap_err(), &Problem::Altered);
        assert!(items[1].entry.is_ok(), "the other key is taken");
    }
}

#[test]
fn no_entity_is_expanded() {
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>\
        <KeyContainer xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">&b;</KeyContainer>";
    assert_eq!(
        read(laughs.as_bytes(), None).unwrap_err(),
        BadFile::DocumentType
    );
}

#[test]
fn deep_and_cut_files_are_refused() {
    let deep = "<a>".repeat(1_000_000);
    assert!(read(deep.as_bytes(), None).is_err());
    let container = "<KeyContainer xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">";
    let deep = format!(
        "{container}{}{}</KeyContainer>",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    assert!(read(deep.as_bytes(), None).is_err());
    for cut in 0..PLAIN.len() - 2 {
        assert!(read(&PLAIN.as_bytes()[..cut], None).is_err(), "{cut}");
    }
    assert_eq!(read(b"<a/>", None).unwrap_err(), BadFile::NotPskc);
    assert_eq!(
        read(container.replace('>', "/>").as_bytes(), None).unwrap_err(),
        BadFile::Empty
    );
}

/// The first key of the plain sample, with more in it.
fn first(from: &str, to: &str) -> Result<Entry, Problem> {
    assert!(PLAIN.contains(from));
    let items = read(PLAIN.replacen(from, to, 1).as_bytes(), None).unwrap();
    items.into_iter().next().unwrap().entry
}

#[test]
fn a_key_with_an_unknown_rule_is_refused() {
    let policy = |rule: &str| {
        first(
            "<pskc:Data>",
            &format!("<pskc:Policy>{rule}</pskc:Policy><pskc:Data>"),
        )
    };
    assert!(policy("<pskc:KeyUsage>OTP</pskc:KeyUsage>").is_ok());
    for rule in [
        "<pskc:ExpiryDate>2020-01-01T00:00:00Z</pskc:ExpiryDate>",
        "<pskc:PINPolicy PINUsageMode=\"Append\"/>",
        "<pskc:KeyUsage>CR</pskc:KeyUsage>",
    ] {
        assert_eq!(policy(rule).unwrap_err(), Problem::Policy, "{rule}");
    }
}

#[test]
fn user_hash_issuer_and_drift_are_read() {
    let id = "<pskc:AlgorithmParameters>";
    let user = "<pskc:Issuer>Maker</pskc:Issuer><pskc:UserId>CN=A, UID=alice, O=x</pskc:UserId>";
    let entry = first(
        id,
        &format!("{user}{id}<pskc:Suite>HMAC-SHA256</pskc:Suite>"),
    )
    .unwrap();
    assert_eq!(entry.user.as_deref(), Some("alice"));
    assert_eq!(entry.issuer.unwrap().as_str(), "Maker");
    assert_eq!(entry.parameters.alg.word(), "sha256");
    let drift = "<pskc:TimeDrift><pskc:PlainValue>-3</pskc:PlainValue></pskc:TimeDrift>";
    let entry = first("<pskc:Data>", &format!("<pskc:Data>{drift}")).unwrap();
    assert_eq!(entry.skew, -3);
}

#[test]
fn keys_of_other_kinds_are_refused() {
    assert_eq!(first("pskc:totp", "pskc:pin").unwrap_err(), Problem::Kind);
    assert_eq!(
        first("Length=\"6\"", "Length=\"6\" Encoding=\"HEXADECIMAL\"").unwrap_err(),
        Problem::Kind
    );
    for (from, to) in [
        ("Length=\"6\"", "Length=\"60\""),
        ("MTIzNDU2", "MTI*NDU2"),
        (">30<", ">-30<"),
    ] {
        assert!(first(from, to).is_err(), "{to}");
    }
}

#[test]
fn a_file_of_very_many_elements_is_refused() {
    let container = "<KeyContainer xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">";
    let many = format!("{container}{}</KeyContainer>", "<a/>".repeat(4_000_001));
    assert!(matches!(
        read(many.as_bytes(), None).unwrap_err(),
        BadFile::Xml(_)
    ));
}
