//! The section `audit` of the settings: what becomes of a login whose line finds no place, and how lines are written.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// How the log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// What becomes of a login whose line is lost.
    pub delivery: Delivery,
    /// How a line is written.
    pub format: Format,
}

/// What becomes of a login whose line finds no place in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The line is counted as lost.
    #[default]
    BestEffort,
    /// The login is refused, too.
    Required,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `event=verify user=alice …`.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The section as it is written: a mapping, or the word of the delivery alone.
#[derive(Default)]
pub(crate) struct RawAudit(pub(crate) AuditSettings);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct Mapping {
    delivery: Delivery,
    format: Format,
}

impl<'de> Deserialize<'de> for RawAudit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrMapping)
    }
}

struct WordOrMapping;

impl<'de> Visitor<'de> for WordOrMapping {
    type Value = RawAudit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'best-effort', 'required', or a section of settings")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<RawAudit, E> {
        let delivery = Delivery::deserialize(de::value::StrDeserializer::new(word))?;
        Ok(RawAudit(AuditSettings { delivery, ..AuditSettings::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAudit, A::Error> {
        let Mapping { delivery, format } = Mapping::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawAudit(AuditSettings { delivery, format }))
    }
}
