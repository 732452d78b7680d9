//! The section `audit` of the settings: whether a login is refused when its line cannot be logged,
//! and the format of lines.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// Settings of the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether a login is refused when its line is lost.
    pub delivery: Delivery,
    /// The format of a line.
    pub format: Format,
}

/// What the daemon does with a login when the queue of lines is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The login goes on, and the line is counted as lost.
    #[default]
    BestEffort,
    /// The login is refused, and the line is counted as lost.
    Required,
}

/// The format of a line.
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
        Ok(RawAudit(AuditSettings {
            delivery,
            ..AuditSettings::default()
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAudit, A::Error> {
        let Mapping { delivery, format } = Mapping::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawAudit(AuditSettings { delivery, format }))
    }
}
