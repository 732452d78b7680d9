//! Tests of application secrets.

use super::*;

const LONG: &str = "0123456789abcdef";

fn default_tag(tags: &[&str]) -> String {
    let text: String = tags.iter().map(|tag| format!("{tag}: {LONG}\n")).collect();
    Secrets::new(TaggedSecrets::from_text(&text).unwrap(), None)
        .unwrap()
        .default_tag()
        .to_string()
}

#[test]
fn the_default_tag_is_the_greatest() {
    assert_eq!(default_tag(&["1", "2"]), "2");
    assert_eq!(default_tag(&["9", "10"]), "10");
    assert_eq!(default_tag(&["9", "10", "x"]), "x");
    assert_eq!(default_tag(&["9", "10.0"]), "9");
    assert_eq!(default_tag(&["2016-11-10", "2016-05-16"]), "2016-11-10");
    assert_eq!(default_tag(&["a", "B"]), "a");
    assert_eq!(
        default_tag(&[
            "99999999999999999999999999999999",
            "100000000000000000000000000000"
        ]),
        "99999999999999999999999999999999"
    );
}

#[test]
fn secrets_are_read_from_lines_and_from_json() {
    let lines = format!("\n 1: {LONG}:x y  \n# comment\n\n2:{LONG}\n");
    let json = format!("{{\"1\": \"{LONG}:x y\", \"2\": \" {LONG} \"}}");
    for text in [lines, json] {
        let secrets = Secrets::new(TaggedSecrets::from_text(&text).unwrap(), Some("1")).unwrap();
        assert_eq!(secrets.default_tag().as_str(), "1");
        assert_eq!(
            trimmed(secrets.secret("1").unwrap()),
            format!("{LONG}:x y").as_bytes()
        );
        assert_eq!(trimmed(secrets.secret("2").unwrap()), LONG.as_bytes());
    }
}

#[test]
fn bad_secrets_are_refused_with_a_sentence_that_shows_none() {
    let refused = |text: &str, default| {
        let error = match TaggedSecrets::from_text(text) {
            Ok(tagged) => Secrets::new(tagged, default).err().unwrap(),
            Err(error) => error,
        };
        assert!(!error.to_string().contains("0123"), "{error}");
        error
    };
    assert_eq!(refused("", None), BadSecrets::None);
    assert_eq!(refused("nonsense", None), BadSecrets::Line(1));
    assert_eq!(
        refused("1: short", None),
        BadSecrets::Short(Tag("1".into()))
    );
    assert_eq!(
        refused(&format!("1:      {}      ", &LONG[1..]), None),
        BadSecrets::Short(Tag("1".into()))
    );
    assert_eq!(
        refused(&format!("1: {LONG}\n1: {LONG}"), None),
        BadSecrets::Repeated
    );
    assert_eq!(refused(&format!("-a: {LONG}"), None), BadSecrets::Tag);
    assert_eq!(refused(&format!("a b: {LONG}"), None), BadSecrets::Tag);
    assert_eq!(
        refused(&format!("1: {LONG}"), Some("2")),
        BadSecrets::NoSuchDefault
    );
    assert_eq!(
        refused(&format!("{{\"1\": \"{LONG}\", \"1\": \"{LONG}\"}}"), None),
        BadSecrets::Json(1)
    );
    assert_eq!(refused("{\"1\": 5}", None), BadSecrets::Json(1));
}

#[test]
fn white_space_around_a_secret_in_an_object_is_part_of_it_for_version_1_alone() {
    let object = TaggedSecrets::from_text(&format!("{{\"1\": \" {LONG}\\n\"}}")).unwrap();
    let lines = TaggedSecrets::from_text(&format!("1: {LONG} \n")).unwrap();
    let (object, lines) = (
        Secrets::new(object, None).unwrap(),
        Secrets::new(lines, None).unwrap(),
    );
    assert_eq!(object.secret("1").unwrap(), format!(" {LONG}\n").as_bytes());
    assert_eq!(lines.secret("1").unwrap(), LONG.as_bytes());
    assert_eq!(
        object.derive::<32>("1", None, b"x"),
        lines.derive::<32>("1", None, b"x")
    );
}

#[test]
fn a_file_without_a_line_end_may_have_been_cut() {
    assert_eq!(
        TaggedSecrets::from_whole_text(&format!("1: {LONG}")).err(),
        Some(BadSecrets::NoLineEnd)
    );
    assert!(TaggedSecrets::from_whole_text(&format!("1: {LONG}\n2: {LONG}")).is_ok());
    assert!(TaggedSecrets::from_whole_text(&format!("{{\"1\": \"{LONG}\"}}")).is_ok());
    for split in ["\u{b}", "\u{85}", "\u{2028}", "\r", "\0"] {
        for text in [
            format!("1: {LONG}{split}2: {LONG}\n"),
            format!("# a comment{split}2: {LONG}\n1: {LONG}\n"),
        ] {
            assert_eq!(
                TaggedSecrets::from_text(&text).err(),
                Some(BadSecrets::Line(1)),
                "{text:?}"
            );
        }
    }
}

#[test]
fn weak_secrets_are_taken_only_where_asked_for_and_derive_nothing() {
    let tagged = || TaggedSecrets::from_text(&format!("1: {LONG}\n2: weak\n")).unwrap();
    assert_eq!(
        Secrets::new(tagged(), None).err(),
        Some(BadSecrets::Short(Tag("2".into())))
    );
    let weak = Secrets::with_weak(tagged(), None).unwrap();
    assert_eq!(weak.default_tag().as_str(), "2");
    assert_eq!(weak.sealing_tag(), None);
    assert_eq!(weak.secret("2"), Some(&b"weak"[..]));
    assert!(weak.derive::<32>("2", None, b"").is_none());
    assert!(weak.derive::<32>("1", None, b"").is_some());
    let strong = Secrets::with_weak(tagged(), Some("1")).unwrap();
    assert_eq!(strong.sealing_tag().unwrap().as_str(), "1");
    let empty = TaggedSecrets::from_text(&format!("1:\n2: {LONG}\n")).unwrap();
    assert_eq!(
        Secrets::with_weak(empty, None).err(),
        Some(BadSecrets::Short(Tag("1".into())))
    );
}

#[test]
fn derivation_is_hkdf_sha256() {
    // RFC 5869, Appendix A.1, whose input keying material is 22 bytes of 0x0b: not text, so set by
    // hand.
    let tag = Tag("t".into());
    let secret = Secret {
        bytes: Zeroizing::new(vec![0x0b; 22]),
        weak: false,
    };
    let secrets = Secrets {
        secrets: [(tag.clone(), secret)].into(),
        default_tag: tag,
    };
    let salt: Vec<u8> = (0..=12).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let derived = secrets.derive::<42>("t", Some(&salt), &info).unwrap();
    let expected =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(data_encoding::HEXLOWER.encode(&*derived), expected);
    assert!(secrets.derive::<32>("u", None, b"").is_none());
}
