//! Secrets as types: no `Clone`, no `Debug` that prints, one loud accessor, wiped on drop.

use std::fmt;

use data_encoding::{BASE32, BASE32_NOPAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::spare::SpareCode;

/// A secret text on its way: what a person typed, a key in base32, an `otpauth://` URI.
#[derive(Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over; it is wiped when dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What a person typed, as the conversation handed it over. What could never be a code (more than
    /// [`MAX_TYPED`] bytes, or not UTF-8) becomes the empty text, which the daemon calls malformed.
    #[must_use]
    pub fn typed(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= MAX_TYPED => Self::new(text.to_owned()),
            _ => Self::default(),
        }
    }

    /// The secret itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The secret bytes of one device, 10 to 64 of them where we read them, at least 16 where we take them over.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Takes the bytes over; they are wiped when dropped.
    ///
    /// # Errors
    /// [`BadKey::Length`] outside 10 to 64 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadKey> {
        let bytes = Zeroizing::new(bytes);
        if KEY_BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadKey::Length) }
    }

    /// Reads base32 (RFC 4648) as people paste it: either case, with or without padding, spaces and hyphens.
    ///
    /// # Errors
    /// Anything else, including bits left over at the end: such a text was cut or mistyped.
    pub fn from_base32(text: &str) -> Result<Self, BadKey> {
        if text.len() > MAX_TYPED {
            return Err(BadKey::Length);
        }
        let mut clean = Zeroizing::new(String::with_capacity(text.len()));
        clean.extend(text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()));
        let encoding = if clean.contains('=') { BASE32 } else { BASE32_NOPAD };
        encoding.decode(clean.as_bytes()).map_err(|_| BadKey::Base32).and_then(Self::new)
    }

    /// The key in base32, upper case, without padding: the form that authenticators and URIs use.
    #[must_use]
    pub fn to_base32(&self) -> SecretText {
        SecretText::new(BASE32_NOPAD.encode(self.expose()))
    }

    /// The secret itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why a text or some bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not base32.
    #[error("the key is not base32: it has the letters A to Z and the digits 2 to 7")]
    Base32,
    /// Too short to be safe, or longer than any authenticator's.
    #[error("a key has 10 to 64 bytes (16 to 103 base32 characters)")]
    Length,
}

/// One code: 6 to 10 ASCII digits.
pub struct Code(Zeroizing<String>);

impl Code {
    /// The code's digits. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How many digits it has, 6 to 10.
    #[must_use]
    pub fn digits(&self) -> usize {
        self.0.len()
    }

    fn of_length(bytes: &[u8], digits: usize) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Self::new(text).filter(|code| code.digits() == digits)
    }

    pub(crate) fn new(digits: &str) -> Option<Self> {
        let ordinary = CODE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        ordinary.then(|| Self(Zeroizing::new(digits.to_owned())))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// What a person answered to the prompt, once it is known to be one to three codes at all. Where one code ends and the
/// next begins only the device knows: eighteen digits are three codes of six or two of nine.
pub struct Answer(Typed);

enum Typed {
    /// Codes that a device shows.
    Shown(Vec<Field>),
    /// One that no device shows.
    Spare(SpareCode),
}

/// The digits of one field, and how many hyphens stood between them.
struct Field {
    digits: Zeroizing<String>,
    hyphens: usize,
}

impl Answer {
    /// Reads what was typed: one field holding all codes, or one field for each. ASCII spaces are dropped, and one `-`
    /// in each code; then only `0` to `9` remain, or it is a [`SpareCode`], or malformed (`None`).
    #[must_use]
    pub fn parse(typed: &[SecretText]) -> Option<Self> {
        Self::shown(typed).or_else(|| match typed {
            [only] => SpareCode::parse(only.expose()).map(|code| Self(Typed::Spare(code))),
            _ => None,
        })
    }

    fn shown(typed: &[SecretText]) -> Option<Self> {
        let fields: Option<Vec<Field>> = typed.iter().map(|field| Field::read(field.expose())).collect();
        let answer = Self(Typed::Shown(fields?));
        let mut lengths = CODE_DIGITS.filter_map(|digits| u8::try_from(digits).ok());
        lengths.any(|digits| answer.codes(digits).is_some()).then_some(answer)
    }

    /// The codes in their order, if they are codes of a device that shows `digits` digits.
    #[must_use]
    pub fn codes(&self, digits: u8) -> Option<Vec<Code>> {
        let Typed::Shown(fields) = &self.0 else { return None };
        let at_most = if fields.len() == 1 { MAX_CODES } else { 1 };
        let fields: Option<Vec<Vec<Code>>> = fields.iter().map(|field| field.codes(digits.into(), at_most)).collect();
        let codes: Vec<Code> = fields?.into_iter().flatten().collect();
        (1..=MAX_CODES).contains(&codes.len()).then_some(codes)
    }

    /// The code, if it is one that no device shows.
    #[must_use]
    pub fn spare(&self) -> Option<&SpareCode> {
        match &self.0 {
            Typed::Spare(code) => Some(code),
            Typed::Shown(_) => None,
        }
    }

    /// Whether it can be several codes. One code is never as long.
    #[must_use]
    pub fn is_several(&self) -> bool {
        let Typed::Shown(fields) = &self.0 else { return false };
        fields.len() > 1 || fields.iter().any(|field| field.digits.len() > *CODE_DIGITS.end())
    }
}

impl Field {
    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED {
            return None;
        }
        let mut digits = Zeroizing::new(String::with_capacity(text.len()));
        digits.extend(text.chars().filter(|c| !matches!(c, ' ' | '-')));
        let hyphens = text.bytes().filter(|b| *b == b'-').count();
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(Self { digits, hyphens })
    }

    fn codes(&self, digits: usize, at_most: usize) -> Option<Vec<Code>> {
        let codes: Option<Vec<Code>> =
            self.digits.as_bytes().chunks(digits.max(1)).map(|code| Code::of_length(code, digits)).collect();
        codes.filter(|codes| (1..=at_most).contains(&codes.len()) && self.hyphens <= codes.len())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// The longest typed text that is looked at, in bytes (`PAM_MAX_RESP_SIZE`).
pub const MAX_TYPED: usize = 512;
/// Digits in a code: RFC 4226 section 5.3 asks for at least six; ten is all that 31 bits can fill.
pub const CODE_DIGITS: std::ops::RangeInclusive<usize> = 6..=10;
/// Codes that are asked for at once, at most.
pub const MAX_CODES: usize = 3;
/// Bytes in a key: from the shortest in the wild (80 bits) to the block of the widest hash.
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 10..=64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes as every device reads them that can: one reading after the other.
    fn parse(fields: &[&str]) -> String {
        let typed: Vec<SecretText> = fields.iter().map(|f| SecretText::typed(f.as_bytes())).collect();
        let Some(answer) = Answer::parse(&typed) else { return "malformed".to_owned() };
        if let Some(code) = answer.spare() {
            assert!(!answer.is_several() && (0..=u8::MAX).all(|digits| answer.codes(digits).is_none()));
            return code.expose().to_owned();
        }
        let readings = (0..=u8::MAX).filter_map(|digits| answer.codes(digits)).map(|codes| {
            assert_eq!(answer.is_several(), codes.len() > 1);
            codes.iter().map(Code::expose).collect::<Vec<_>>().join(" ")
        });
        readings.collect::<Vec<_>>().join(" or ")
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in ["123456", "123 456", " 123456 ", "123-456", "1 2 3 4 5 6"] {
            assert_eq!(parse(&[typed]), "123456", "{typed:?}");
        }
        assert_eq!(parse(&["0123456789"]), "0123456789");
    }

    #[test]
    fn two_codes_are_read_from_one_field_or_from_two() {
        for fields in [&["123456654321"][..], &["123456 654321"], &["123-456 654-321"], &["123456", " 654321"]] {
            assert_eq!(parse(fields), "123456 654321", "{fields:?}");
        }
        assert_eq!(parse(&["01234567890123456789"]), "0123456789 0123456789");
    }

    #[test]
    fn three_codes_are_read_from_one_field_or_from_three() {
        for fields in [&["123456 654321 111111"][..], &["123-456 654-321 111-111"], &["123456", "654321", "111111"]] {
            assert!(parse(fields).starts_with("123456 654321 111111"), "{fields:?}");
        }
        assert_eq!(parse(&["123456654321111111"]), "123456 654321 111111 or 123456654 321111111");
        assert_eq!(parse(&["012345678901234567890123456789"]), "0123456789 0123456789 0123456789");
    }

    #[test]
    fn what_no_device_shows_is_a_code_of_one_field_if_it_is_not_digits_all_through() {
        assert_eq!(parse(&["abcd-efgh"]), "ABCDEFGH");
        assert_eq!(parse(&["abcd-efgh-ijkl-mnop"]), "ABCDEFGHIJKLMNOP");
        assert_eq!(parse(&["abcd-efgh", "ijkl-mnop"]), "malformed");
        assert_eq!(parse(&["2345-6723"]), "23456723");
        assert_eq!(parse(&["2345 6723 4567 2345"]), "23456723 45672345");
        assert_eq!(parse(&["2345-6723-4567-2345"]), "malformed", "digits with too many hyphens");
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
            "\t123456",
            "+123456",
            "-1-23456",
            "1234567890123",
            "１２３４５６",
            "١٢٣٤٥٦",
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
        assert_eq!(parse(&["123456", "654321", "111111", "222222"]), "malformed");
        assert_eq!(parse(&["123456", "65432100"]), "malformed");
        assert_eq!(parse(&["", "123456"]), "malformed");
        assert_eq!(parse(&["123456654321", "111111"]), "malformed");
    }

    #[test]
    fn what_cannot_be_text_is_typed_as_nothing() {
        assert_eq!(SecretText::typed(b"\xff123456").expose(), "");
        assert_eq!(SecretText::typed(&[b'1'; 513]).expose(), "");
        assert_eq!(SecretText::typed(&[b'1'; 512]).expose().len(), 512);
    }

    #[test]
    fn keys_are_read_in_the_forms_that_people_paste() {
        let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for text in [key, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ"] {
            assert_eq!(Key::from_base32(text).unwrap().expose(), b"12345678901234567890");
        }
        assert_eq!(Key::from_base32("GEZDGNBVGY3TQOJQGE======").unwrap().to_base32().expose(), "GEZDGNBVGY3TQOJQGE");
    }

    #[test]
    fn keys_that_were_cut_or_mistyped_are_refused() {
        for text in [
            "GEZDGNBVGY3TQOJ1",
            "GEZDGNBVGY3TQOJQG",
            "GEZDGNBVGY3TQOJQGF======",
            "GEZDGNBVGY3TQOJQ\n",
            "ÄEZDGNBVGY3TQOJQ",
        ] {
            assert!(matches!(Key::from_base32(text), Err(BadKey::Base32)), "{text:?}");
        }
        for text in ["", "GEZDGNBVGY3TQOI", &"A".repeat(108), &"A".repeat(1 << 20)] {
            assert!(Key::from_base32(text).is_err(), "{}", text.len());
        }
    }

    #[test]
    fn no_secret_prints_itself() {
        let key = Key::new(vec![0x41; 20]).unwrap();
        let shown = format!(
            "{:?} {:?} {:?}",
            SecretText::new("hunter2".into()),
            key,
            Answer::parse(&[SecretText::new("123456".into())])
        );
        assert_eq!(shown, "SecretText(…) Key(…) Some(Answer(…))");
    }
}
