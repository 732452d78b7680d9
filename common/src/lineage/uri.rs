//! Parses an `otpauth://` URI, for import. [`crate::otpauth`] writes URIs.
//!
//! A URI that programs could read in two ways is refused: a name in another letter case, a broken
//! escape, a number that is not digits. A parameter that authenticators disagree on must not decide
//! the parameters of a device.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use zeroize::Zeroizing;

use crate::lineage::reading;
use crate::lineage::record::{BadRecord, KeyRecord, MAX_TEXT, StoredKey};
use crate::names::device::Kind;
use crate::otpauth::Label;
use crate::secret::Key;
use crate::totp::Parameters;

/// A key as two programs share it: what a URI says.
#[derive(Debug)]
pub struct SharedKey {
    /// The key.
    pub key: Key,
    /// Hash, digits, period. An HOTP key has no period.
    pub parameters: Parameters,
    /// Of an HOTP key: the counter of its next code. `None`: a TOTP key.
    pub counter: Option<u64>,
    /// The account's name, as an authenticator shows it.
    pub label: Option<Label>,
    /// The place to log in to.
    pub issuer: Option<Label>,
}

/// Parses the URI of a TOTP key, as passlib does. White space after it is dropped.
///
/// # Errors
/// [`BadRecord`], which never shows a part of the text.
pub fn parse(text: &str) -> Result<KeyRecord, BadRecord> {
    let shared = parse_shared(text)?;
    if shared.counter.is_some() {
        return Err(BadRecord::Type);
    }
    Ok(KeyRecord {
        key: StoredKey::Plain(shared.key),
        parameters: shared.parameters,
        label: shared.label,
        issuer: shared.issuer,
    })
}

/// Parses the URI of a TOTP or an HOTP key. White space after it is dropped.
///
/// # Errors
/// [`BadRecord`], which never shows a part of the text.
pub fn parse_shared(text: &str) -> Result<SharedKey, BadRecord> {
    if text.len() > MAX_TEXT {
        return Err(BadRecord::TooLong);
    }
    let text = text.trim_ascii_end();
    if text.contains(|c: char| c.is_control() || c == '#') {
        return Err(BadUri::Character.into());
    }
    let rest = text.strip_prefix(SCHEME).ok_or(BadUri::Scheme)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    let kind: Kind = kind.parse().map_err(|_| BadRecord::Type)?;
    let label = decode(label, false)?;
    let (prefix, label) = label.split_once(':').unwrap_or(("", &label));
    let label = reading::label(Some(label.trim()))?.ok_or(BadUri::NoLabel)?;
    let query = Query::parse(query)?;
    let counter = match kind {
        Kind::Totp => None,
        Kind::Hotp => Some(query.number("counter")?.ok_or(BadUri::NoCounter)?),
    };
    Ok(SharedKey {
        key: Key::from_base32(query.given("secret").ok_or(BadUri::NoSecret)?)?,
        parameters: reading::parameters(
            query.whole("algorithm")?,
            query.number("digits")?,
            query.number("period")?,
        )?,
        counter,
        issuer: reading::label(query.issuer(prefix)?)?,
        label: Some(label),
    })
}

/// The parameters by name.
struct Query(BTreeMap<String, Zeroizing<String>>);

impl Query {
    fn parse(query: &str) -> Result<Self, BadUri> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true)?;
            // `label` is taken by the path.
            if name.as_str() == "label" || looks_like_another(&name) {
                return Err(BadUri::Name);
            }
            match parameters.entry(name.to_string()) {
                Entry::Occupied(_) => return Err(BadUri::Twice),
                Entry::Vacant(place) => place.insert(decode(value, true)?),
            };
        }
        Ok(Self(parameters))
    }

    /// A parameter that is present and not blank.
    fn given(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|value| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A parameter that may be missing but not blank: a blank value was probably cut off and does
    /// not mean the default.
    fn whole(&self, name: &str) -> Result<Option<&str>, BadUri> {
        match self.0.get(name).map(|value| value.as_str()) {
            Some("") => Err(BadUri::Blank),
            value => Ok(value),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, BadUri> {
        let digits_only = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| text.parse().ok())
                .flatten()
        };
        self.whole(name)?
            .map(|text| digits_only(text).ok_or(BadUri::Number))
            .transpose()
    }

    /// The issuer, which may stand before the label, in a parameter, or in both and the same.
    fn issuer<'a>(&'a self, prefix: &'a str) -> Result<Option<&'a str>, BadUri> {
        match (prefix, self.given("issuer")) {
            ("", issuer) => Ok(issuer),
            (prefix, Some(issuer)) if prefix != issuer => Err(BadUri::Issuers),
            (prefix, _) => Ok(Some(prefix)),
        }
    }
}

/// Whether an unknown name is a misspelt known one: in another letter case, or after `&amp;` of a
/// web page. Ignoring it would lose its value.
fn looks_like_another(name: &str) -> bool {
    let known = |name: &str| KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
    name.starts_with("amp;") || (known(name) && !KNOWN.contains(&name))
}

/// Percent-decodes; in parameters a `+` is a space. The result must be UTF-8.
fn decode(text: &str, plus_is_space: bool) -> Result<Zeroizing<String>, BadUri> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => escape(&mut bytes).ok_or(BadUri::Escape)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    let text = std::str::from_utf8(&decoded).map_err(|_| BadUri::Escape)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn escape(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()
}

/// Why a text is not a URI that is taken, and the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUri {
    /// Another scheme, or one in capital letters.
    #[error("the URI does not begin with '{SCHEME}'")]
    Scheme,
    /// A wrapped line, or a fragment that other programs would cut off.
    #[error(
        "the URI contains a line end, another control character or a '#': give it in one piece, percent-encoded"
    )]
    Character,
    /// No label.
    #[error("the URI has no label after 'otpauth://totp/' or 'otpauth://hotp/'")]
    NoLabel,
    /// No key.
    #[error("the URI has no 'secret'")]
    NoSecret,
    /// An HOTP key whose next code is unknown.
    #[error("the URI of an HOTP key needs 'counter', the counter of its next code")]
    NoCounter,
    /// A repeated parameter: it is unclear which one is right.
    #[error("the URI gives a parameter twice: keep the right one")]
    Twice,
    /// A misspelt parameter: its value would be lost.
    #[error(
        "the URI has a parameter with a misspelt name: write names in lower case and separate parameters with '&'"
    )]
    Name,
    /// A parameter without a value: it was probably cut off.
    #[error("the URI has a parameter without a value: give it one, or leave it out")]
    Blank,
    /// A number with a sign, a space or a unit.
    #[error(
        "the URI's 'digits', 'period' and 'counter' must be whole numbers, written in digits alone"
    )]
    Number,
    /// A percent sign that escapes nothing, or bytes that are not UTF-8.
    #[error("the URI has a '%' without two hexadecimal digits after it, or its text is not UTF-8")]
    Escape,
    /// Two issuers: it is unclear which one is right.
    #[error("the URI names two issuers: the one before the label and 'issuer' must be the same")]
    Issuers,
}

/// The scheme of a URI.
pub const SCHEME: &str = "otpauth://";
const KNOWN: [&str; 6] = [
    "secret",
    "issuer",
    "algorithm",
    "digits",
    "period",
    "counter",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::Algorithm;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn refusal(uri: &str) -> BadRecord {
        parse(&uri.replace("SECRET", SECRET)).expect_err(uri)
    }

    #[test]
    fn everything_that_a_uri_says_is_read() {
        let uri = format!(
            "otpauth://totp/Big%20Co:%20J%C3%BCrgen+x/y?secret={SECRET}&algorithm=SHA512&digits=8&period=60\
             &issuer=Big+Co&image=x\n"
        );
        let record = parse(&uri).unwrap();
        assert_eq!(
            record.parameters,
            Parameters {
                alg: Algorithm::Sha512,
                digits: 8,
                period: 60
            }
        );
        assert_eq!(record.label.unwrap().as_str(), "Jürgen+x/y");
        assert_eq!(record.issuer.unwrap().as_str(), "Big Co");
        assert!(
            matches!(record.key, StoredKey::Plain(key) if key.expose() == b"12345678901234567890")
        );
    }

    #[test]
    fn an_hotp_uri_says_the_counter_of_the_next_code() {
        let uri = format!("otpauth://hotp/alice?secret={SECRET}&counter=7");
        assert_eq!(parse_shared(&uri).unwrap().counter, Some(7));
        assert_eq!(parse(&uri).unwrap_err(), BadRecord::Type);
        let without = uri.replace("&counter=7", "");
        assert_eq!(
            parse_shared(&without).unwrap_err(),
            BadUri::NoCounter.into()
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (uri, why) in [
            ("OTPAUTH://totp/a?secret=SECRET", BadUri::Scheme),
            (
                "otpauth://totp/a?secret=SECRET&digi\nts=8",
                BadUri::Character,
            ),
            ("otpauth://totp/a#b?secret=SECRET", BadUri::Character),
            ("otpauth://totp/a?secret=SECRET&Digits=8", BadUri::Name),
            ("otpauth://totp/a?secret=SECRET&amp;digits=8", BadUri::Name),
            ("otpauth://totp/a?secret=SECRET&label=a", BadUri::Name),
            (
                "otpauth://totp/a?secret=SECRET&digits=8&digits=8",
                BadUri::Twice,
            ),
            (
                "otpauth://totp/a?secret=SECRET&digit%73=8&digits=6",
                BadUri::Twice,
            ),
            ("otpauth://totp/a?secret=SECRET&digits=", BadUri::Blank),
            ("otpauth://totp/a?secret=SECRET&period", BadUri::Blank),
            ("otpauth://totp/a?secret=SECRET&digits=%2B8", BadUri::Number),
            ("otpauth://totp/a?secret=SECRET&digits=1_0", BadUri::Number),
            (
                "otpauth://totp/a?secret=SECRET&period=99999999999999999999",
                BadUri::Number,
            ),
            ("otpauth://totp/50%?secret=SECRET", BadUri::Escape),
            ("otpauth://totp/a%4?secret=SECRET", BadUri::Escape),
            ("otpauth://totp/a%+4?secret=SECRET", BadUri::Escape),
            ("otpauth://totp/%FF?secret=SECRET", BadUri::Escape),
            ("otpauth://totp/A:a?secret=SECRET&issuer=B", BadUri::Issuers),
            ("otpauth://totp/a", BadUri::NoSecret),
            ("otpauth://totp/%20?secret=SECRET", BadUri::NoLabel),
        ] {
            assert_eq!(refusal(uri), BadRecord::Uri(why), "{uri}");
        }
        assert_eq!(
            refusal("otpauth://hotp/a?secret=SECRET&counter=0"),
            BadRecord::Type
        );
        assert_eq!(
            refusal("otpauth://totp/a:b:c?secret=SECRET"),
            BadRecord::Label
        );
        assert_eq!(
            refusal(&format!(
                "otpauth://totp/a?secret=SECRET&x={}",
                "y".repeat(MAX_TEXT)
            )),
            BadRecord::TooLong
        );
    }
}
