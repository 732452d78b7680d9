//! Reads over the settings before they are read, and refuses what YAML would let pass: a key that is
//! repeated, with both of its lines, and tags (`!foo 5`). Keeps no value: some are secret.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer as Yaml;

/// What is wrong with the text, before any value is looked at.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Not YAML, or a value with a tag.
    Yaml(serde_yaml::Error),
    /// A key that stands twice in one section.
    Repeated {
        /// The key. `None`: it is the tag of a secret.
        key: Option<String>,
        /// Its line.
        line: usize,
        /// The line on which it stands first.
        first: usize,
    },
}

/// Reads over `text` and returns the names of the sections that are not among `ours`, whatever they
/// contain, in the order of the file.
pub(crate) fn read_over(text: &str, ours: &[&str]) -> Result<Vec<String>, Refused> {
    let keys = Keys::default();
    let Err(error) = (Sections { ours, keys: &keys }).deserialize(Yaml::from_str(text)) else {
        return Ok(keys.others.take());
    };
    let Some((key, first)) = keys.repeated.take() else {
        return Err(Refused::Yaml(error));
    };
    Err(Refused::Repeated {
        key,
        line: line_of(&error),
        first: line_of_key(text, ours, first),
    })
}

/// The parser tells lines of errors only, so the text is read again up to an error at the key.
fn line_of_key(text: &str, ours: &[&str], number: usize) -> usize {
    let keys = Keys {
        stop_at: Some(number),
        ..Keys::default()
    };
    let stopped = (Sections { ours, keys: &keys }).deserialize(Yaml::from_str(text));
    stopped.err().map_or(0, |error| line_of(&error))
}

fn line_of(error: &serde_yaml::Error) -> usize {
    error.location().map_or(0, |place| place.line())
}

/// The keys of one reading, numbered in the order of the file.
#[derive(Default)]
struct Keys {
    read: Cell<usize>,
    stop_at: Option<usize>,
    /// The repeated key, if it may be shown, and the number of the first one.
    repeated: RefCell<Option<(Option<String>, usize)>>,
    others: RefCell<Vec<String>>,
}

/// What the keys of one map are.
#[derive(Clone, Copy)]
enum Names {
    /// The sections of the file: some are other programs'.
    Sections,
    /// The settings: `-` and `_` are the same.
    Settings,
    /// The administrator: verifiers, groups.
    Administrator,
    /// Tags of secrets. By mistake a secret may stand there.
    Tags,
}

impl Names {
    /// The kind of the keys below this key.
    fn below(key: &str) -> Self {
        match spelt(key).as_str() {
            "secrets" => Self::Tags,
            "verifiers" | "enforce-after" => Self::Administrator,
            _ => Self::Settings,
        }
    }
}

fn spelt(key: &str) -> String {
    key.replace('_', "-")
}

/// The file.
struct Sections<'a> {
    ours: &'a [&'a str],
    keys: &'a Keys,
}

impl<'de> DeserializeSeed<'de> for Sections<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Sections<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sections of settings")
    }

    /// An empty file.
    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashMap::new();
        while let Some(name) = map.next_key_seed(Key {
            names: Names::Sections,
            ours: self.ours,
            keys: self.keys,
            seen: &mut seen,
        })? {
            if self.ours.contains(&name.as_str()) {
                map.next_value_seed(Value {
                    names: Names::below(&name),
                    keys: self.keys,
                })?;
            } else {
                let IgnoredAny = map.next_value()?;
                self.keys.others.borrow_mut().push(name);
            }
        }
        Ok(())
    }
}

/// A key: the error about a repeated one is raised here, because the parser then tells its line.
struct Key<'a> {
    names: Names,
    ours: &'a [&'a str],
    keys: &'a Keys,
    seen: &'a mut HashMap<String, usize>,
}

impl Key<'_> {
    fn take<E: Error>(self, key: &str) -> Result<String, E> {
        let number = self.keys.read.get();
        self.keys.read.set(number.saturating_add(1));
        let others = matches!(self.names, Names::Sections) && !self.ours.contains(&key);
        let known = match self.names {
            Names::Sections | Names::Settings => spelt(key),
            Names::Administrator | Names::Tags => key.to_owned(),
        };
        if self.keys.stop_at == Some(number) {
            return Err(E::custom("the first one"));
        }
        if let Some(first) = self.seen.insert(known, number).filter(|_| !others) {
            let shown = (!matches!(self.names, Names::Tags)).then(|| key.to_owned());
            self.keys.repeated.replace(Some((shown, first)));
            return Err(E::custom("a key is repeated"));
        }
        Ok(key.to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.take(key)
    }
}

/// A value, with all that is in it.
#[derive(Clone, Copy)]
struct Value<'a> {
    /// Of its keys, if it is a map.
    names: Names,
    keys: &'a Keys,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a setting")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { names, keys } = self;
        let mut seen = HashMap::new();
        while let Some(key) = map.next_key_seed(Key {
            names,
            ours: &[],
            keys,
            seen: &mut seen,
        })? {
            map.next_value_seed(Self {
                names: Names::below(&key),
                keys,
            })?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(
            "a value has a YAML tag, such as '!foo': leave the tag out",
        ))
    }
}
