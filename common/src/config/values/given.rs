//! Keys of the settings that need a value when they are present: refuses YAML's null.
//!
//! YAML reads a key without a value as null (`from:`, `from: ~`). If null meant an absent key, then
//! an emptied line, or a template with an empty variable, would silently loosen a bound.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::wire::text::printable;

/// The value of a key that may be left out. Read as an `Option`, null would be accepted.
///
/// # Errors
/// The error of the value's own reader.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A string. Null and numbers are refused unless they stand in quotation marks.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Err(E::custom(NOTHING))
    }
}

/// One string, or a list of strings.
#[derive(Debug)]
pub(crate) struct Several(Vec<Text>);

impl Several {
    /// Checks each string. An empty list is refused: as a condition it makes no sense.
    pub(crate) fn check<T>(
        self,
        what: &str,
        take: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        if self.0.is_empty() || self.0.len() > MAX_LIST {
            return Err(format!(
                "'{what}' has 1 to {MAX_LIST} entries: leave the key out for no condition"
            ));
        }
        self.each(what, take)
    }

    /// Checks each string of a list that may be empty, and has so many entries at most.
    pub(crate) fn check_list<T>(
        self,
        what: &str,
        most: usize,
        take: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        if self.0.len() > most {
            return Err(format!("'{what}' has at most {most} entries"));
        }
        self.each(what, take)
    }

    fn each<T>(
        self,
        what: &str,
        take: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let wrong = |text: &str, why| format!("'{what}': '{}': {why}", printable(text));
        let Self(texts) = self;
        texts
            .iter()
            .map(|Text(text)| take(text).map_err(|why| wrong(text, why)))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeveralVisitor)
    }
}

struct SeveralVisitor;

impl<'de> Visitor<'de> for SeveralVisitor {
    type Value = Several;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Several, E> {
        TextVisitor.visit_str(text).map(|text| Several(vec![text]))
    }

    fn visit_unit<E: Error>(self) -> Result<Several, E> {
        TextVisitor.visit_unit().map(|text| Several(vec![text]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Several, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(Several(texts))
    }
}

pub(crate) const NOTHING: &str = "no value stands here: give one, or leave the key out";
const MAX_LIST: usize = 64;
