//! Writes JSON as Python's `json.dumps` does with sorted keys, no white space and ASCII only. The
//! caller sorts.

use std::fmt::Write;

use crate::secret::SecretText;

/// A JSON object in one buffer that is large enough: a buffer that grew would leave a copy of a key
/// behind.
pub(super) struct JsonObject(String);

impl JsonObject {
    pub(super) fn new() -> Self {
        let mut text = String::with_capacity(ROOM);
        text.push('{');
        Self(text)
    }

    pub(super) fn finish(mut self) -> SecretText {
        self.0.push('}');
        SecretText::new(self.0)
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    pub(super) fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn number(&mut self, name: &str, value: u32) {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{value}");
    }

    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.0.push('{');
        members(self);
        self.0.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.quoted(name);
        self.0.push(':');
    }

    fn quoted(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{c}' => self.0.push_str("\\f"),
                ' '..='~' => self.0.push(c),
                _ => self.escaped(c),
            }
        }
        self.0.push('"');
    }

    /// As UTF-16, like Python: a character outside the first plane is two escapes.
    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(self.0, "\\u{unit:04x}");
        }
    }
}

/// Room for the longest record: a label, an issuer and a user's name of escapes only.
const ROOM: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_python_does() {
        let mut json = JsonObject::new();
        json.text("a", "\"\\/\n\r\t\u{8}\u{c}\u{1f}\u{7f}~ é日\u{1f511}");
        json.object("b", |json| {
            json.number("c", 1);
            json.text_if("d", None);
        });
        let expected =
            r#"{"a":"\"\\/\n\r\t\b\f\u001f\u007f~ \u00e9\u65e5\ud83d\udd11","b":{"c":1}}"#;
        assert_eq!(json.finish().expose(), expected);
    }
}
