//! Parses the text that the user typed at the prompt: one or two codes of a device, or an issued
//! code.
//!
//! Knows no device: the caller tells how many digits its codes have.

pub mod plain;

use std::fmt;

use zeroize::Zeroizing;

use self::plain::Plain;
use crate::issued::IssuedCode;
use crate::secret::{SecretText, without_separators};

/// Whether the text is not the user's but sshd's own: for a user that it refuses whatever is typed,
/// sshd sends this in place of each answer, as long as the answer was.
#[must_use]
pub fn is_of_sshd(typed: &[SecretText]) -> bool {
    let [only] = typed else { return false };
    let text = only.expose().bytes();
    text.len() > 0 && text.zip(OF_SSHD.bytes().cycle()).all(|(a, b)| a == b)
}

/// Whether characters stand in the text that no device shows, and it is not written like an issued
/// code either. By its form alone, so that it tells nothing of the user. A text with control
/// characters does not count: sshd's own is one, and a key such as an arrow types others.
#[must_use]
pub fn has_other_than_digits(typed: &SecretText) -> bool {
    let typed = typed.expose();
    let Some(plain) = Plain::of(typed) else {
        return false;
    };
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-');
    !plain.expose().contains(char::is_control)
        && !plain.expose().chars().all(is_digit)
        && IssuedCode::parse(typed).is_none()
}

/// OpenSSH writes it anew and anew.
const OF_SSHD: &str = "\u{8}\n\r\u{7f}INCORRECT";

/// The text that the user typed, known to be one or two codes, or an issued code. The length of a
/// code depends on the device, so digits are split into codes later.
pub struct Answer(Typed);

enum Typed {
    /// Digits: codes that a device shows.
    Shown(Vec<Field>),
    /// A recovery code, bypass or ticket.
    Issued(IssuedCode),
}

/// The digits of one field, and the number of hyphens between them.
struct Field {
    digits: Zeroizing<String>,
    hyphens: usize,
}

impl Answer {
    /// Parses the typed text: one field holding the codes, or one field for each. By the rule of
    /// [`Plain`], spaces are dropped, and one `-` in each code; then only `0` to `9` remain, or it
    /// is an [`IssuedCode`], or malformed (`None`).
    #[must_use]
    pub fn parse(typed: &[SecretText]) -> Option<Self> {
        Self::shown(typed).or_else(|| match typed {
            [only] => IssuedCode::parse(only.expose()).map(|code| Self(Typed::Issued(code))),
            _ => None,
        })
    }

    fn shown(typed: &[SecretText]) -> Option<Self> {
        let fields: Option<Vec<Field>> = typed
            .iter()
            .map(|field| Field::read(field.expose()))
            .collect();
        let answer = Self(Typed::Shown(fields?));
        let mut lengths = CODE_DIGITS.filter_map(|digits| u8::try_from(digits).ok());
        lengths
            .any(|digits| answer.codes(digits).is_some())
            .then_some(answer)
    }

    /// The codes in their order, if they are codes of a device that shows `digits` digits.
    #[must_use]
    pub fn codes(&self, digits: u8) -> Option<Vec<Code>> {
        let Typed::Shown(fields) = &self.0 else {
            return None;
        };
        let at_most = if fields.len() == 1 { MAX_CODES } else { 1 };
        let fields: Option<Vec<Vec<Code>>> = fields
            .iter()
            .map(|field| field.codes(digits.into(), at_most))
            .collect();
        let codes: Vec<Code> = fields?.into_iter().flatten().collect();
        (1..=MAX_CODES).contains(&codes.len()).then_some(codes)
    }

    /// What was typed, in order: the digits of each field, or the issued code. Equal answers have
    /// equal text, however they were typed. The caller must not let it leak.
    #[must_use]
    pub fn pieces(&self) -> Vec<&str> {
        match &self.0 {
            Typed::Shown(fields) => fields.iter().map(|field| field.digits.as_str()).collect(),
            Typed::Issued(code) => vec![code.expose()],
        }
    }

    /// The code, if it is an issued one.
    #[must_use]
    pub fn issued(&self) -> Option<&IssuedCode> {
        match &self.0 {
            Typed::Issued(code) => Some(code),
            Typed::Shown(_) => None,
        }
    }

    /// The code, if it can be a scratch code of another system: one field of eight digits.
    #[must_use]
    pub fn scratch(&self) -> Option<IssuedCode> {
        match &self.0 {
            Typed::Shown(fields) => match fields.as_slice() {
                [only] => IssuedCode::scratch(&only.digits),
                _ => None,
            },
            Typed::Issued(_) => None,
        }
    }

    /// Whether it is two codes. A single code is never as long.
    #[must_use]
    pub fn is_several(&self) -> bool {
        let Typed::Shown(fields) = &self.0 else {
            return false;
        };
        fields.len() > 1
            || fields
                .iter()
                .any(|field| field.digits.len() > *CODE_DIGITS.end())
    }
}

impl Field {
    fn read(text: &str) -> Option<Self> {
        let plain = Plain::of(text)?;
        let digits = without_separators(plain.expose())?;
        let hyphens = plain.expose().matches('-').count();
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(Self { digits, hyphens })
    }

    fn codes(&self, digits: usize, at_most: usize) -> Option<Vec<Code>> {
        let codes: Option<Vec<Code>> = self
            .digits
            .as_bytes()
            .chunks(digits.max(1))
            .map(|code| Code::of_length(code, digits))
            .collect();
        codes.filter(|codes| (1..=at_most).contains(&codes.len()) && self.hyphens <= codes.len())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// One code: 6 to 10 ASCII digits.
pub struct Code(Zeroizing<String>);

impl Code {
    /// The code's digits. The caller must not let them leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How many digits it has, 6 to 10.
    #[must_use]
    pub fn digits(&self) -> usize {
        self.0.len()
    }

    /// Its digits as a number.
    #[cfg(feature = "sealing")]
    pub(crate) fn number(&self) -> u64 {
        let digits = self.0.bytes().map(|digit| u64::from(digit & 0x0f));
        digits.fold(0, |number, digit| {
            number.saturating_mul(10).saturating_add(digit)
        })
    }

    fn of_length(bytes: &[u8], digits: usize) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Self::new(text).filter(|code| code.digits() == digits)
    }

    pub(crate) fn new(digits: &str) -> Option<Self> {
        let ordinary =
            CODE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        ordinary.then(|| Self(Zeroizing::new(digits.to_owned())))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// Digits in a code: RFC 4226 section 5.3 asks for at least six; ten is all that 31 bits can fill.
pub const CODE_DIGITS: std::ops::RangeInclusive<usize> = 6..=10;
/// The most codes that are asked for at once.
pub const MAX_CODES: usize = 2;

#[cfg(test)]
mod tests;
