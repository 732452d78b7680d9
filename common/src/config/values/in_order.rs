//! A map of the settings whose entries keep the order of the file: names of verifiers and of rules for
//! hosts, each with a section of its own. No name is repeated: the file was read over before.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What the entries of a map are.
pub(crate) struct Entries {
    /// What stands there, for an error.
    pub(crate) what: &'static str,
    /// The entries' own word.
    pub(crate) plural: &'static str,
    /// How many there may be.
    pub(crate) most: usize,
}

/// The names and their entries.
///
/// # Errors
/// An error of an entry; too many entries.
pub(crate) fn in_order<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    entries: &'static Entries,
) -> Result<Vec<(String, T)>, D::Error> {
    deserializer.deserialize_map(InOrder(entries, PhantomData))
}

struct InOrder<T>(&'static Entries, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.what)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Entries { plural, most, .. } = self.0;
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() >= *most {
                return Err(Error::custom(format!(
                    "the settings take at most {most} {plural}"
                )));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// The name of an entry, for the log and for errors.
///
/// # Errors
/// The sentence that says what a name is.
pub(crate) fn entry_name(name: String, what: &str) -> Result<String, String> {
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name
        .then_some(name)
        .ok_or_else(|| format!("{what} has 1 to {MAX_NAME} letters, digits and '-'"))
}

const MAX_NAME: usize = 32;
