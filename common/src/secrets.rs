//! Application secrets: what keys are sealed under. Several, each with a tag; the default tag seals, every tag opens.
//!
//! Knows where nothing is stored: [`crate::config`] reads the files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use hkdf::Hkdf;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::enckey::CannotSeal;

/// The tag of an application secret: 1 to 64 letters, digits, `.`, `_`, `-`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Takes a tag from the settings.
    ///
    /// # Errors
    /// [`BadSecrets::Tag`], naming it.
    pub fn new(tag: &str) -> Result<Self, BadSecrets> {
        let ordinary = tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let begins_well = tag.starts_with(|c: char| c.is_ascii_alphanumeric());
        if ordinary && begins_well && tag.len() <= MAX_TAG { Ok(Self(tag.to_owned())) } else { Err(BadSecrets::Tag) }
    }

    /// The tag, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tags and secrets as the settings or a secrets file give them, before a default is chosen.
#[derive(Default)]
pub struct TaggedSecrets(BTreeMap<String, Zeroizing<String>>);

impl TaggedSecrets {
    /// Reads a secrets file, or its text in the settings. Lines that have no end at all were cut short, as far as
    /// anybody can tell, and half a secret seals as well as a whole one.
    ///
    /// # Errors
    /// [`BadSecrets`], never showing a secret.
    pub fn from_whole_text(text: &str) -> Result<Self, BadSecrets> {
        let in_lines = !text.trim_start().starts_with('{');
        if in_lines && !text.is_empty() && !text.contains('\n') {
            return Err(BadSecrets::NoLineEnd);
        }
        Self::from_text(text)
    }

    /// Reads lines of `tag: value`, or a JSON object. Empty lines and lines that begin
    /// with `#` are passed over.
    ///
    /// # Errors
    /// [`BadSecrets`], never showing a secret.
    pub fn from_text(text: &str) -> Result<Self, BadSecrets> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|e| BadSecrets::Json(e.line()));
        }
        let mut secrets = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            // Before a comment is passed over: behind one of these a secret would be lost without a word.
            if line.contains(|c: char| ends_a_line(c)) {
                return Err(BadSecrets::Line(number));
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (tag, value) = line.split_once(':').ok_or(BadSecrets::Line(number))?;
            let value = value.trim();
            secrets.add(tag.trim().to_owned(), Zeroizing::new(value.to_owned()))?;
        }
        Ok(secrets)
    }

    fn add(&mut self, tag: String, value: Zeroizing<String>) -> Result<(), BadSecrets> {
        match self.0.entry(tag) {
            Entry::Occupied(_) => Err(BadSecrets::Repeated),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }
}

impl<'de> Deserialize<'de> for TaggedSecrets {
    /// A map of tags to secrets, or the text of a secrets file. A repeated tag is refused: the reader would otherwise
    /// silently keep one of the two.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaggedSecretsVisitor)
    }
}

struct TaggedSecretsVisitor;

impl<'de> Visitor<'de> for TaggedSecretsVisitor {
    type Value = TaggedSecrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags and secrets")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        TaggedSecrets::from_whole_text(text).map_err(E::custom)
    }

    // A secret that was put in the place of all of them must not be quoted in an error.
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(E::custom("a number in the place of tags and secrets"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        self.visit_u64(0)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Self::Value, E> {
        self.visit_u64(0)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Self::Value, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        self.visit_u64(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut secrets = TaggedSecrets::default();
        // `null` is no secret of four letters, whatever YAML makes of it.
        while let Some((tag, value)) = map.next_entry::<String, Option<String>>()? {
            secrets.add(tag, Zeroizing::new(value.unwrap_or_default())).map_err(de::Error::custom)?;
        }
        Ok(secrets)
    }
}

/// The application secrets in force, and the tag that seals.
pub struct Secrets {
    secrets: BTreeMap<Tag, Secret>,
    default_tag: Tag,
}

/// A secret, byte for byte as given: version 1 of the sealed key is made of these bytes.
struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    weak: bool,
}

impl Secret {
    fn new(text: &str) -> Self {
        Self { weak: trimmed(text.as_bytes()).len() < MIN_SECRET, bytes: Zeroizing::new(text.as_bytes().to_vec()) }
    }
}

impl Secrets {
    /// Checks every tag and secret and settles the default tag: the given one, else the numerically greatest if all
    /// are digits, else the lexically greatest.
    ///
    /// # Errors
    /// [`BadSecrets`], naming the tag and never the secret.
    pub fn new(tagged: TaggedSecrets, default_tag: Option<&str>) -> Result<Self, BadSecrets> {
        let secrets = Self::with_weak(tagged, default_tag)?;
        let weak = secrets.secrets.iter().find(|(_, secret)| secret.weak);
        weak.map_or(Ok(()), |(tag, _)| Err(BadSecrets::Short(tag.clone())))?;
        Ok(secrets)
    }

    /// The same, but weak secrets are taken as well. They open version 1 of the sealed key, which others sealed, and
    /// nothing else.
    ///
    /// # Errors
    /// [`BadSecrets`], naming the tag and never the secret.
    pub fn with_weak(tagged: TaggedSecrets, default_tag: Option<&str>) -> Result<Self, BadSecrets> {
        let mut secrets = BTreeMap::new();
        for (tag, value) in &tagged.0 {
            let tag = Tag::new(tag)?;
            if value.is_empty() {
                return Err(BadSecrets::Short(tag));
            }
            secrets.insert(tag, Secret::new(value));
        }
        let default_tag = match default_tag {
            Some(given) => secrets.keys().find(|tag| tag.as_str() == given).ok_or(BadSecrets::NoSuchDefault)?,
            None => greatest(secrets.keys()).ok_or(BadSecrets::None)?,
        };
        Ok(Self { default_tag: default_tag.clone(), secrets })
    }

    /// The tag that new keys are sealed under.
    #[must_use]
    pub fn default_tag(&self) -> &Tag {
        &self.default_tag
    }

    /// The default tag, if its secret is strong enough to seal.
    ///
    /// # Errors
    /// [`CannotSeal::WeakSecret`]: such a secret opens what others sealed, and nothing else.
    pub fn sealing_tag(&self) -> Result<&Tag, CannotSeal> {
        let strong = self.secrets.get(&self.default_tag).is_some_and(|secret| !secret.weak);
        if strong { Ok(&self.default_tag) } else { Err(CannotSeal::WeakSecret) }
    }

    /// Every tag.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.secrets.keys()
    }

    /// `N` bytes derived from the secret of `tag`, without white space at its ends, by HKDF-SHA256 (RFC 5869) with
    /// `salt` and `info`; `None` when there is no such tag, or its secret is a weak one. `info` separates the purposes:
    /// each has its own.
    #[must_use]
    pub fn derive<const N: usize>(&self, tag: &str, salt: Option<&[u8]>, info: &[u8]) -> Option<Zeroizing<[u8; N]>> {
        let secret = self.find(tag).filter(|secret| !secret.weak)?;
        let mut derived = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(salt, trimmed(&secret.bytes)).expand(info, derived.as_mut()).ok()?;
        Some(derived)
    }

    /// The secret of `tag` itself, weak or not, for version 1 of the sealed key alone.
    pub(crate) fn secret(&self, tag: &str) -> Option<&[u8]> {
        self.find(tag).map(|secret| secret.bytes.as_slice())
    }

    fn find(&self, tag: &str) -> Option<&Secret> {
        self.secrets.iter().find(|(known, _)| known.as_str() == tag).map(|(_, secret)| secret)
    }
}

fn trimmed(secret: &[u8]) -> &[u8] {
    secret.trim_ascii()
}

/// What ends a line somewhere, though not here: the rest of the secret would be another program's next line.
fn ends_a_line(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("tags", &self.secrets.keys()).field("default_tag", &self.default_tag).finish()
    }
}

fn greatest<'a>(tags: impl Iterator<Item = &'a Tag> + Clone) -> Option<&'a Tag> {
    let numeric = |tag: &&Tag| tag.0.bytes().all(|b| b.is_ascii_digit());
    if tags.clone().all(|tag| numeric(&tag)) {
        // Longer is greater once leading zeros are gone; the tag itself breaks the tie between `1` and `01`.
        tags.max_by_key(|tag| {
            let digits = tag.0.trim_start_matches('0');
            (digits.len(), digits, tag.as_str())
        })
    } else {
        tags.max()
    }
}

/// Why application secrets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    /// There is none.
    #[error("there is no application secret: make one with 'provisiond --new-secret'")]
    None,
    /// Not a tag.
    #[error("a tag has 1 to {MAX_TAG} letters, digits, '.', '_' or '-', and begins with a letter or a digit")]
    Tag,
    /// A line without a colon, or with a control character.
    #[error("line {0} of the secrets is not 'tag: value'")]
    Line(usize),
    /// Not even one whole line.
    #[error(
        "the secrets have no line end: write 'tag: value' lines, each with its end, in case the file was cut short"
    )]
    NoLineEnd,
    /// Not a JSON object of texts.
    #[error("the secrets begin like JSON, but line {0} is not an object of tags and texts without repetition")]
    Json(usize),
    /// The same tag twice.
    #[error("a tag of the application secrets is repeated: give each secret a tag of its own")]
    Repeated,
    /// Too short to seal anything.
    #[error("the application secret '{0}' has fewer than {MIN_SECRET} bytes: make one with 'provisiond --new-secret'")]
    Short(Tag),
    /// The default tag names no secret.
    #[error("the default tag names no application secret: add the secret, or choose another tag")]
    NoSuchDefault,
}

const MAX_TAG: usize = 64;
/// Bytes in an application secret at least, after white space at its ends is taken off.
pub const MIN_SECRET: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef";

    fn default_tag(tags: &[&str]) -> String {
        let text: String = tags.iter().map(|tag| format!("{tag}: {LONG}\n")).collect();
        Secrets::new(TaggedSecrets::from_text(&text).unwrap(), None).unwrap().default_tag().to_string()
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
            default_tag(&["99999999999999999999999999999999", "100000000000000000000000000000"]),
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
            assert_eq!(trimmed(secrets.secret("1").unwrap()), format!("{LONG}:x y").as_bytes());
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
        assert_eq!(refused("1: short", None), BadSecrets::Short(Tag("1".into())));
        assert_eq!(refused(&format!("1:      {}      ", &LONG[1..]), None), BadSecrets::Short(Tag("1".into())));
        assert_eq!(refused(&format!("1: {LONG}\n1: {LONG}"), None), BadSecrets::Repeated);
        assert_eq!(refused(&format!("-a: {LONG}"), None), BadSecrets::Tag);
        assert_eq!(refused(&format!("a b: {LONG}"), None), BadSecrets::Tag);
        assert_eq!(refused(&format!("1: {LONG}"), Some("2")), BadSecrets::NoSuchDefault);
        assert_eq!(refused(&format!("{{\"1\": \"{LONG}\", \"1\": \"{LONG}\"}}"), None), BadSecrets::Json(1));
        assert_eq!(refused("{\"1\": 5}", None), BadSecrets::Json(1));
    }

    #[test]
    fn white_space_around_a_secret_in_an_object_is_part_of_it_for_version_1_alone() {
        let object = TaggedSecrets::from_text(&format!("{{\"1\": \" {LONG}\\n\"}}")).unwrap();
        let lines = TaggedSecrets::from_text(&format!("1: {LONG} \n")).unwrap();
        let (object, lines) = (Secrets::new(object, None).unwrap(), Secrets::new(lines, None).unwrap());
        assert_eq!(object.secret("1").unwrap(), format!(" {LONG}\n").as_bytes());
        assert_eq!(lines.secret("1").unwrap(), LONG.as_bytes());
        assert_eq!(object.derive::<32>("1", None, b"x"), lines.derive::<32>("1", None, b"x"));
    }

    #[test]
    fn a_file_without_a_line_end_may_have_been_cut() {
        assert_eq!(TaggedSecrets::from_whole_text(&format!("1: {LONG}")).err(), Some(BadSecrets::NoLineEnd));
        assert!(TaggedSecrets::from_whole_text(&format!("1: {LONG}\n2: {LONG}")).is_ok());
        assert!(TaggedSecrets::from_whole_text(&format!("{{\"1\": \"{LONG}\"}}")).is_ok());
        for split in ["\u{b}", "\u{85}", "\u{2028}", "\r", "\0"] {
            for text in [format!("1: {LONG}{split}2: {LONG}\n"), format!("# a comment{split}2: {LONG}\n1: {LONG}\n")] {
                assert_eq!(TaggedSecrets::from_text(&text).err(), Some(BadSecrets::Line(1)), "{text:?}");
            }
        }
    }

    #[test]
    fn weak_secrets_are_taken_only_where_asked_for_and_derive_nothing() {
        let tagged = || TaggedSecrets::from_text(&format!("1: {LONG}\n2: weak\n")).unwrap();
        assert_eq!(Secrets::new(tagged(), None).err(), Some(BadSecrets::Short(Tag("2".into()))));
        let weak = Secrets::with_weak(tagged(), None).unwrap();
        assert_eq!(weak.default_tag().as_str(), "2");
        assert_eq!(weak.sealing_tag(), Err(CannotSeal::WeakSecret));
        assert_eq!(weak.secret("2"), Some(&b"weak"[..]));
        assert!(weak.derive::<32>("2", None, b"").is_none());
        assert!(weak.derive::<32>("1", None, b"").is_some());
        let strong = Secrets::with_weak(tagged(), Some("1")).unwrap();
        assert_eq!(strong.sealing_tag().unwrap().as_str(), "1");
        let empty = TaggedSecrets::from_text(&format!("1:\n2: {LONG}\n")).unwrap();
        assert_eq!(Secrets::with_weak(empty, None).err(), Some(BadSecrets::Short(Tag("1".into()))));
    }

    #[test]
    fn derivation_is_hkdf_sha256() {
        // RFC 5869, Appendix A.1, whose input keying material is 22 bytes of 0x0b: not text, so set by hand.
        let tag = Tag("t".into());
        let secret = Secret { bytes: Zeroizing::new(vec![0x0b; 22]), weak: false };
        let secrets = Secrets { secrets: [(tag.clone(), secret)].into(), default_tag: tag };
        let salt: Vec<u8> = (0..=12).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let derived = secrets.derive::<42>("t", Some(&salt), &info).unwrap();
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(data_encoding::HEXLOWER.encode(&*derived), expected);
        assert!(secrets.derive::<32>("u", None, b"").is_none());
    }
}
