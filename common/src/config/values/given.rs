//! Keys of the settings that have a value where they stand at all.
//!
//! YAML calls nothing at all a value, too (`from:`, `from: ~`). Taken for a key that is not there, a line that somebody
//! emptied, or a template that filled nothing in, would loosen what it was to bound.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::wire::text::printable;

/// The value of a key that may be left out. Read as an `Option`, nothing would be a value.
///
/// # Errors
/// Whatever the value's own reader says.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A text. What YAML takes for nothing or for a number is one in quotation marks only.
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

/// One text, or a list of texts.
#[derive(Debug)]
pub(crate) struct Several(Vec<Text>);

impl Several {
    /// Takes each of them. An empty list is no condition that anybody can have meant.
    pub(crate) fn check<T>(self, what: &str, take: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let Self(texts) = self;
        if texts.is_empty() || texts.len() > MAX_LIST {
            return Err(format!("'{what}' has 1 to {MAX_LIST} entries: leave the key out for no condition"));
        }
        let wrong = |text: &str, why| format!("'{what}': '{}': {why}", printable(text));
        texts.iter().map(|Text(text)| take(text).map_err(|why| wrong(text, why))).collect()
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

const NOTHING: &str = "no value stands here: give one, or leave the key out";
const MAX_LIST: usize = 64;
