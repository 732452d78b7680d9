//! An event of the audit log, and its form as text and as JSON. The daemon's log, its store of
//! events, the wire and `totpctl log --json` use the same form.

use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::wire::text::{printable, quoted};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The time, in Unix seconds.
    pub time: u64,
    /// The number of the event: one more than that of the previous event.
    pub number: u64,
    /// The log's word for what happened.
    pub event: String,
    /// The severity.
    pub severity: Severity,
    /// Everything else about the event.
    pub fields: Fields,
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Normal operation.
    Info,
    /// A refusal, or something that an administrator should look at.
    Warning,
    /// A part of the daemon does not work.
    Error,
}

/// Keys and values, in an order that helps the reader. In JSON, an object of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.as_str())
    }
}

impl Event {
    /// The event as a line of text: `event=… key=value …`. Values are escaped, so that an
    /// attacker's text can neither end the line nor look like another field.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("event={}", printable(&self.event));
        for (key, value) in &self.fields.0 {
            // Writing to a String cannot fail.
            let _ = write!(text, " {}={}", printable(key), quoted(value));
        }
        text
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if fields.value(&key).is_some() {
                return Err(de::Error::custom("a field is repeated"));
            }
            fields.0.push((key, value));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fields: &[(&str, &str)]) -> Event {
        let fields = Fields(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        );
        Event {
            time: 7,
            number: 8,
            event: "verify".into(),
            severity: Severity::Warning,
            fields,
        }
    }

    #[test]
    fn a_line_is_keys_and_values() {
        let text = event(&[("user", "alice"), ("source", "2001:db8::1")]).text();
        assert_eq!(text, "event=verify user=alice source=2001:db8::1");
    }

    #[test]
    fn a_strangers_text_stays_one_value() {
        let text = event(&[
            ("user", "a b\" verdict=accepted\nevent=x\u{1b}[0m"),
            ("rhost", ""),
        ])
        .text();
        assert_eq!(
            text,
            "event=verify user=\"a b\\\" verdict=accepted\\nevent=x\\u{1b}[0m\" rhost=\"\""
        );
    }

    #[test]
    fn in_json_an_event_is_one_object_and_keeps_the_order_of_its_fields() {
        let before = event(&[
            ("user", "a\",\"verdict\":\"accepted\n"),
            ("b", "1"),
            ("a", "2"),
        ]);
        let json = serde_json::to_string(&before).unwrap();
        let expected = concat!(
            r#"{"time":7,"number":8,"event":"verify","severity":"warning","#,
            r#""fields":{"user":"a\",\"verdict\":\"accepted\n","b":"1","a":"2"}}"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), before);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let whole = serde_json::to_string(&event(&[("user", "alice")])).unwrap();
        for (part, other) in [
            (r#""user":"alice""#, r#""user":"alice","user":"bob""#),
            (r#""alice""#, "1"),
            (r#""warning""#, r#""dire""#),
            ("}}", "}"),
            (r#"{"time":7,"#, "{"),
        ] {
            assert!(
                serde_json::from_str::<Event>(&whole.replace(part, other)).is_err(),
                "{part}"
            );
        }
    }
}
