//! Tests of typed codes.

use super::*;

#[test]
fn a_code_is_read_as_people_type_it() {
    for typed in [
        "123456",
        "123 456",
        " 123456 ",
        "123-456",
        "1 2 3 4 5 6",
        "\t123456",
        "１２３４５６",
        "١٢٣٤٥٦",
        "123\u{a0}456",
        "123\u{2013}456",
        "\u{1b}[200~123456\u{1b}[201~",
        "\u{feff}123\u{200b}456",
    ] {
        assert_eq!(parse(&[typed]), "123456", "{typed:?}");
    }
    assert_eq!(parse(&["0123456789"]), "0123456789");
}

#[test]
fn two_codes_are_read_from_one_field_or_from_two() {
    for fields in [
        &["123456654321"][..],
        &["123456 654321"],
        &["123-456 654-321"],
        &["123456", " 654321"],
    ] {
        assert_eq!(parse(fields), "123456 654321", "{fields:?}");
    }
    assert_eq!(parse(&["01234567890123456789"]), "0123456789 0123456789");
}

#[test]
fn three_codes_are_none() {
    for fields in [
        &["123-456 654-321 111-111"][..],
        &["1234567 7654321 1111111"],
        &["012345678901234567890123456789"],
        &["123456", "654321", "111111"],
        &["123456654321", "111111222222"],
    ] {
        assert_eq!(parse(fields), "malformed", "{fields:?}");
    }
    assert_eq!(
        parse(&["123456 654321 111111"]),
        "123456654 321111111",
        "to a device that shows nine digits"
    );
}

#[test]
fn what_no_device_shows_is_a_code_of_one_field_if_it_is_not_digits_all_through() {
    assert_eq!(parse(&["abcd-efgh"]), "ABCDEFGH");
    assert_eq!(parse(&["abcd-efgh-ijkl-mnop"]), "ABCDEFGHIJKLMNOP");
    assert_eq!(parse(&["abcd-efgh", "ijkl-mnop"]), "malformed");
    assert_eq!(parse(&["2345-6723"]), "23456723");
    assert_eq!(parse(&["2345 6723 4567 2345"]), "23456723 45672345");
    assert_eq!(
        parse(&["2345-6723-4567-2345"]),
        "malformed",
        "digits with too many hyphens"
    );
}

#[test]
fn nothing_else_is_a_code() {
    let long = format!("{}123456", " ".repeat(510));
    for typed in [
        "",
        " ",
        "-",
        "12345",
        "12345678901",
        "123456\n",
        "+123456",
        "-1-23456",
        "1234567890123",
        "½23456",
        "\u{2212}1\u{2013}23456",
        "12345a",
        "0x1234",
        "1.2345",
        "123456\0",
        "123456,654321",
        "12345678901234567",
        "123456789012345678901234567890123456",
        "1-2-3456-654321",
        &long,
        "\u{8}\n\r\u{7f}INCORRECT",
    ] {
        assert_eq!(parse(&[typed]), "malformed", "{typed:?}");
    }
    assert_eq!(parse(&[]), "malformed");
    assert_eq!(
        parse(&["123456", "654321", "111111", "222222"]),
        "malformed"
    );
    assert_eq!(parse(&["123456", "65432100"]), "malformed");
    assert_eq!(parse(&["", "123456"]), "malformed");
    assert_eq!(parse(&["123456654321", "111111"]), "malformed");
}

#[test]
fn no_code_prints_itself() {
    let answer = Answer::parse(&[SecretText::new("123456".into())]).unwrap();
    assert_eq!(
        format!("{answer:?} {:?}", answer.codes(6)),
        "Answer(…) Some([Code(…)])"
    );
}

/// The codes as every device reads them that can: one reading after the other.
fn parse(fields: &[&str]) -> String {
    let typed: Vec<SecretText> = fields
        .iter()
        .map(|f| SecretText::typed(f.as_bytes()))
        .collect();
    let Some(answer) = Answer::parse(&typed) else {
        return "malformed".to_owned();
    };
    if let Some(code) = answer.issued() {
        assert!(!answer.is_several() && (0..=u8::MAX).all(|digits| answer.codes(digits).is_none()));
        return code.expose().to_owned();
    }
    let readings = (0..=u8::MAX)
        .filter_map(|digits| answer.codes(digits))
        .map(|codes| {
            assert_eq!(answer.is_several(), codes.len() > 1);
            codes.iter().map(Code::expose).collect::<Vec<_>>().join(" ")
        });
    readings.collect::<Vec<_>>().join(" or ")
}

#[test]
fn what_sshd_sends_in_the_place_of_an_answer_is_known_at_every_length() {
    let typed = |text: &str| is_of_sshd(&[SecretText::new(text.to_owned())]);
    let dummy = "\u{8}\n\r\u{7f}INCORRECT".repeat(2);
    for length in 1..=dummy.len() {
        assert!(typed(&dummy[..length]), "{length}");
    }
    for other in ["", "123456", "INCORRECT", "\u{8}\n\r\u{7f}123456", "\u{7f}"] {
        assert!(!typed(other), "{other:?}");
    }
    assert!(!is_of_sshd(&[]));
}

#[test]
fn a_text_with_other_characters_than_digits_is_known_by_its_form_alone() {
    let other = |text: &str| has_other_than_digits(&SecretText::new(text.to_owned()));
    for text in [
        "12345o",
        "l23456",
        "hello",
        "123.456",
        "пароль",
        "１２３４５ａ",
        "½23456",
        "abcd-efg",
        "abcd-efgh-ijkl-mno",
        "user@example.org",
    ] {
        assert!(other(text), "{text:?}");
    }
    for text in [
        "",
        " ",
        "1",
        "123456",
        "123 456-",
        "１２３４５６",
        "123456 654321",
        "abcd-efgh",
        "ABCDEFGHIJKLMNOP",
        "\u{1b}[A123456",
        "12345\n",
        "ab\u{7f}",
    ] {
        assert!(!other(text), "{text:?}");
    }
    let dummy = "\u{8}\n\r\u{7f}INCORRECT".repeat(2);
    assert!((1..=dummy.len()).all(|length| !other(&dummy[..length])));
    assert!(!other(&"x".repeat(513)));
}
