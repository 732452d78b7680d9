//! Writes the `otpauth://` URI that authenticator apps scan, and the key in groups for typing.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::names::device::Kind;
use crate::secret::{Key, SecretText};
use crate::totp::Parameters;

/// A label or an issuer, as an authenticator shows it: 1 to 400 bytes without a colon or a control
/// character. A colon separates the two in a URI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Label(String);

impl Label {
    /// Checks a text from the settings, the socket or the command line.
    ///
    /// # Errors
    /// [`BadLabel`]: its sentence says what a label is.
    pub fn new(text: &str) -> Result<Self, BadLabel> {
        let ordinary = !text.is_empty()
            && text.len() <= MAX_LABEL
            && !text.chars().any(|c| c == ':' || c.is_control());
        if ordinary {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadLabel)
        }
    }

    /// Checks a text that an authenticator already has: from a record, a URI, or the command line
    /// that makes one. Other programs put control characters in labels; a program that shows such a
    /// label escapes them first.
    ///
    /// # Errors
    /// [`BadLabel`] for a text that no URI can hold: empty, too long, or with a colon.
    pub fn as_shared(text: &str) -> Result<Self, BadLabel> {
        let ordinary = !text.is_empty() && text.len() <= MAX_LABEL && !text.contains(':');
        if ordinary {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadLabel)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl TryFrom<String> for Label {
    type Error = BadLabel;

    fn try_from(text: String) -> Result<Self, BadLabel> {
        Self::as_shared(&text)
    }
}

/// The text is not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label or an issuer has 1 to {MAX_LABEL} bytes, without ':' and control characters")]
pub struct BadLabel;

/// The key as a URI in the Key Uri Format, written as passlib writes it: parameters that equal the
/// defaults (SHA-1, 6 digits, 30 seconds) are left out.
#[must_use]
pub fn uri(key: &Key, parameters: Parameters, label: &Label, issuer: Option<&Label>) -> SecretText {
    written(key, parameters, None, label, (issuer, issuer))
}

/// The same with the issuer in its parameter only: a shorter URI makes a smaller QR code.
#[must_use]
pub fn short_uri(
    key: &Key,
    parameters: Parameters,
    counter: Option<u64>,
    label: &Label,
    issuer: &Label,
) -> SecretText {
    written(key, parameters, counter, label, (None, Some(issuer)))
}

/// The same for an HOTP device: with the counter of its next code, and without a period.
#[must_use]
pub fn hotp_uri(
    key: &Key,
    parameters: Parameters,
    counter: u64,
    label: &Label,
    issuer: Option<&Label>,
) -> SecretText {
    written(key, parameters, Some(counter), label, (issuer, issuer))
}

fn written(
    key: &Key,
    parameters: Parameters,
    counter: Option<u64>,
    label: &Label,
    (prefix, issuer): (Option<&Label>, Option<&Label>),
) -> SecretText {
    let mut uri = String::with_capacity(URI_BYTES);
    let kind = if counter.is_some() {
        Kind::Hotp
    } else {
        Kind::Totp
    };
    // Writing to a String cannot fail.
    let _ = write!(uri, "otpauth://{}/", kind.word());
    if let Some(prefix) = prefix {
        push_encoded(&mut uri, prefix.as_str(), b"@");
        uri.push(':');
    }
    push_encoded(&mut uri, label.as_str(), b"@");
    uri.push_str("?secret=");
    uri.push_str(key.to_base32().expose());
    let defaults = Parameters::default();
    if parameters.alg != defaults.alg {
        uri.push_str("&algorithm=");
        uri.push_str(&parameters.alg.word().to_ascii_uppercase());
    }
    let period = (kind == Kind::Totp && parameters.period != defaults.period)
        .then_some(parameters.period.into());
    let digits = (parameters.digits != defaults.digits).then_some(parameters.digits.into());
    for (name, value) in [("digits", digits), ("period", period), ("counter", counter)] {
        if let Some(value) = value {
            let _ = write!(uri, "&{name}={value}");
        }
    }
    if let Some(issuer) = issuer {
        uri.push_str("&issuer=");
        push_encoded(&mut uri, issuer.as_str(), b"");
    }
    SecretText::new(uri)
}

/// The encoding of a key that is shown for typing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Base32, as authenticators take it.
    #[default]
    Base32,
    /// Hexadecimal in lower case, as the software of some hardware tokens wants it.
    Hex,
}

/// The key in base32, in groups joined by hyphens, to be typed by hand.
#[must_use]
pub fn pretty_key(key: &Key) -> SecretText {
    pretty(key, Form::Base32, "-")
}

/// The key in groups joined by `separator`, to be typed by hand; in one piece if it is empty.
#[must_use]
pub fn pretty(key: &Key, form: Form, separator: &str) -> SecretText {
    let text = match form {
        Form::Base32 => key.to_base32(),
        Form::Hex => SecretText::new(HEXLOWER.encode(key.expose())),
    };
    let letters = text.expose().as_bytes();
    // Room for one separator a letter: a text that grew would leave a copy of the key behind.
    let room = separator
        .len()
        .saturating_add(1)
        .saturating_mul(letters.len());
    let mut pretty = String::with_capacity(room);
    for (n, group) in letters.chunks(group_size(letters.len())).enumerate() {
        if n > 0 {
            pretty.push_str(separator);
        }
        pretty.extend(group.iter().map(|b| char::from(*b)));
    }
    SecretText::new(pretty)
}

/// Four, six or five letters: the first that divides the length, else the one that leaves the
/// fullest last group.
fn group_size(length: usize) -> usize {
    let remainder = |size: usize| length.checked_rem(size).unwrap_or(0);
    let sizes = [4, 6, 5];
    let fullest = sizes
        .into_iter()
        .rev()
        .max_by_key(|size| remainder(*size))
        .unwrap_or(4);
    sizes
        .into_iter()
        .find(|size| remainder(*size) == 0)
        .unwrap_or(fullest)
}

/// Percent-encodes everything but RFC 3986's unreserved characters and those in `also_plain`.
fn push_encoded(uri: &mut String, text: &str, also_plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_plain.contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

const MAX_LABEL: usize = 400;
/// Room for the longest URI: one that grew would leave a copy of the key behind.
const URI_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use data_encoding::BASE32_NOPAD;

    use super::*;
    use crate::totp::Algorithm;

    fn key(base32: &str) -> Key {
        Key::new(BASE32_NOPAD.decode(base32.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn uris_are_written_as_passlib_writes_them() {
        let label = |text| Label::new(text).unwrap();
        let plain = uri(
            &key("A2V6EWNHB7TC7I5CWH6BHCUZ3TOBO7PE"),
            Parameters::default(),
            &label("alice"),
            Some(&label("Example")),
        );
        assert_eq!(
            plain.expose(),
            "otpauth://totp/Example:alice?secret=A2V6EWNHB7TC7I5CWH6BHCUZ3TOBO7PE&issuer=Example"
        );
        let unusual = Parameters {
            alg: Algorithm::Sha256,
            digits: 10,
            period: 60,
        };
        let unusual = uri(
            &key("H5MXP5HTJPWRX4Q7GU"),
            unusual,
            &label("o'neil"),
            Some(&label("a@b.example")),
        );
        assert_eq!(
            unusual.expose(),
            "otpauth://totp/a@b.example:o%27neil?secret=H5MXP5HTJPWRX4Q7GU&algorithm=SHA256&digits=10&period=60&issuer=a%40b.example"
        );
    }

    #[test]
    fn a_uri_of_an_hotp_device_has_its_counter() {
        let label = Label::new("alice").unwrap();
        let uri = |parameters, counter| {
            hotp_uri(
                &key("H5MXP5HTJPWRX4Q7GU"),
                parameters,
                counter,
                &label,
                Some(&label),
            )
        };
        let start = "otpauth://hotp/alice:alice?secret=H5MXP5HTJPWRX4Q7GU";
        assert_eq!(
            uri(Parameters::default(), 0).expose(),
            format!("{start}&counter=0&issuer=alice")
        );
        let unusual = Parameters {
            digits: 8,
            period: 60,
            ..Parameters::default()
        };
        assert_eq!(
            uri(unusual, 57).expose(),
            format!("{start}&digits=8&counter=57&issuer=alice")
        );
    }

    #[test]
    fn a_label_cannot_add_a_parameter() {
        let label = Label::new("x&secret=AAAA#?%0a").unwrap();
        let uri = uri(
            &key("H5MXP5HTJPWRX4Q7GU"),
            Parameters::default(),
            &label,
            None,
        );
        assert_eq!(
            uri.expose(),
            "otpauth://totp/x%26secret%3DAAAA%23%3F%250a?secret=H5MXP5HTJPWRX4Q7GU"
        );
        for text in ["", "a:b", "a\nb", &"a".repeat(401)] {
            assert_eq!(Label::new(text), Err(BadLabel));
        }
        assert_eq!(Label::as_shared("a\tb").unwrap().as_str(), "a\tb");
        for text in ["", "a:b", &"a".repeat(401)] {
            assert_eq!(Label::as_shared(text), Err(BadLabel));
        }
    }

    #[test]
    fn keys_are_laid_out_in_even_groups() {
        for (base32, pretty) in [
            ("ADWECJZVBZLPTVS4", "ADWE-CJZV-BZLP-TVS4"),
            ("EDHYKKNGJSNO7WSOLU", "EDHYKK-NGJSNO-7WSOLU"),
            ("T5EYZM24OVUGIKKFJTQIE", "T5EYZM-24OVUG-IKKFJT-QIE"),
            (
                "GAOMRWKREZ2VO7G6P65MVBKOJQ",
                "GAOM-RWKR-EZ2V-O7G6-P65M-VBKO-JQ",
            ),
        ] {
            assert_eq!(pretty_key(&key(base32)).expose(), pretty);
        }
        let key = key("EDHYKKNGJSNO7WSOLU");
        assert_eq!(
            pretty(&key, Form::Hex, "-").expose(),
            "20cf85-29a64c-9aefda-4e5d"
        );
        assert_eq!(
            pretty(&key, Form::Hex, "").expose(),
            "20cf8529a64c9aefda4e5d"
        );
        assert_eq!(
            pretty(&key, Form::Base32, " ").expose(),
            "EDHYKK NGJSNO 7WSOLU"
        );
    }
}
