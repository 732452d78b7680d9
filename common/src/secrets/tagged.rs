//! Application secrets as the settings or a file of their own give them: lines, or a map. Nothing that is said about
//! them shows a secret.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::BadSecrets;

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

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Zeroizing<String>)> {
        self.0.iter()
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
        Err(E::custom("expected tags and secrets, found a number"))
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

/// What ends a line somewhere, though not here: the rest of the secret would be another program's next line.
fn ends_a_line(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}
