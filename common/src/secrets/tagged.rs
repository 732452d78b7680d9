//! Parses application secrets from the settings or from a secrets file: `tag: value` lines, or a
//! map. No error shows a secret.

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
    /// Parses a secrets file, or its text in the settings. A text without any line end is refused,
    /// because it may have been cut short: half a secret would seal, too.
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

    /// Parses lines of `tag: value`, or a JSON object. Empty lines and lines that begin with `#`
    /// are skipped.
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
            // Checked before comments are skipped: a secret behind such a character would be lost
            // silently.
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
    /// A map of tags to secrets, or the text of a secrets file. A repeated tag is refused: the
    /// reader would otherwise silently keep one of the two.
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

    // A number here may be a secret in the wrong place: the error must not quote it.
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
        // YAML could read `null` as a text of four letters: it is an empty secret, which is
        // refused.
        while let Some((tag, value)) = map.next_entry::<String, Option<String>>()? {
            secrets
                .add(tag, Zeroizing::new(value.unwrap_or_default()))
                .map_err(de::Error::custom)?;
        }
        Ok(secrets)
    }
}

/// Characters that end a line for some programs, though not here: such a program would see the rest
/// of the secret as its next line.
fn ends_a_line(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}
