//! A line of the log: an event and its fields in their order, and how they are written, as text or as JSON.

use std::fmt::{Display, Write as _};

use common::text::{MAX_BYTES, cut, printable};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One line: what happened, and to whom. Values are escaped when they are written, so that a stranger's text can neither
/// end the line nor pretend to be another field.
#[derive(Clone, Debug)]
pub struct Line {
    event: &'static str,
    fields: Vec<(&'static str, String)>,
    severity: Severity,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody was refused, or should look.
    Warning,
    /// Something of ours does not work.
    Error,
}

impl Severity {
    /// The word of JSON and of the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Line {
    /// Begins a line.
    #[must_use]
    pub fn new(event: &'static str) -> Self {
        Self { event, fields: Vec::new(), severity: Severity::Info }
    }

    /// Adds a field. What is longer than a field may be is cut.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.fields.push((key, cut(value.to_string())));
        self
    }

    /// Adds a field, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Somebody was refused, or should look.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Something of ours does not work.
    #[must_use]
    pub fn error(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }

    /// What happened.
    #[must_use]
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// The fields, in the order in which they were added.
    #[must_use]
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.fields
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The line as text: `event=… key=value …`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("event={}", self.event);
        for (key, value) in &self.fields {
            // Writing to a String cannot fail.
            let _ = if is_plain(value) {
                write!(text, " {key}={value}")
            } else {
                write!(text, " {key}=\"{}\"", printable(value).replace('"', "\\\""))
            };
        }
        text
    }
}

/// Whether a value needs no quotation marks.
fn is_plain(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:@/+-".contains(&b);
    !value.is_empty() && value.len() <= MAX_BYTES && value.bytes().all(plain)
}

/// A line that was written: one JSON object, whose values are texts but for its time and number.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in Unix seconds.
    pub time: u64,
    /// One more than that of the line before.
    pub number: u64,
    /// What happened.
    pub line: Line,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("time", &self.time)?;
        object.serialize_entry("number", &self.number)?;
        object.serialize_entry("event", self.line.event)?;
        object.serialize_entry("severity", self.line.severity.word())?;
        for (key, value) in &self.line.fields {
            object.serialize_entry(key, value)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_keys_and_values() {
        let line =
            Line::new("verify").with("user", "alice").with("source", "2001:db8::1").with_some("tty", None::<&str>);
        assert_eq!(line.text(), "event=verify user=alice source=2001:db8::1");
    }

    #[test]
    fn a_strangers_text_stays_one_value() {
        let line = Line::new("verify").with("user", "a b\" verdict=accepted\nevent=x\u{1b}[0m").with("rhost", "");
        assert_eq!(line.text(), "event=verify user=\"a b\\\" verdict=accepted\\nevent=x\\u{1b}[0m\" rhost=\"\"");
        let long = Line::new("verify").with("user", "x".repeat(65536));
        assert_eq!(long.text(), format!("event=verify user=\"{}…\"", "x".repeat(MAX_BYTES)));
        let wide = Line::new("verify").with("user", "é".repeat(65536));
        assert_eq!(wide.text(), format!("event=verify user=\"{}…\"", "é".repeat(MAX_BYTES / 2)));
    }

    #[test]
    fn in_json_a_line_is_one_object_and_a_strangers_text_is_one_value() {
        let line = Line::new("verify").with("user", "a\",\"verdict\":\"accepted\n").with("uid", 0).warning();
        let json = serde_json::to_string(&Entry { time: 7, number: 8, line }).unwrap();
        let start = r#"{"time":7,"number":8,"event":"verify","severity":"warning","user":""#;
        assert!(json.starts_with(start) && !json.contains('\n'), "{json}");
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["user"], "a\",\"verdict\":\"accepted\n");
        assert_eq!((&object["uid"], object.get("verdict")), (&"0".into(), None));
    }
}
