//! Writes JSON that is safe to show on a terminal: control characters and characters that change
//! the reading order are written as `\uXXXX`, which means the same to every JSON parser.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::wire::text::needs_escape;

/// Writes a value in one line, without the line end.
///
/// # Errors
/// An error of `to` or of the value.
pub fn write(to: impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(to, Printable))
}

struct Printable;

impl Formatter for Printable {
    /// A part of a string without characters that JSON itself escapes.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if needs_escape(c) {
                c.encode_utf16(&mut [0; 2])
                    .iter()
                    .try_for_each(|unit| write!(to, "\\u{unit:04x}"))?;
            } else {
                to.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &impl Serialize) -> String {
        let mut text = Vec::new();
        write(&mut text, value).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn ordinary_values_are_written_as_ever() {
        let value = serde_json::json!({ "a": ["jürgen", 1, null, true], "b\\": "\"\n" });
        assert_eq!(written(&value), value.to_string());
    }

    #[test]
    fn nothing_steers_a_terminal_or_turns_the_reading_order() {
        assert_eq!(
            written(&"\u{1b}[2J\u{7f}\u{9b}2J"),
            r#""\u001b[2J\u007f\u009b2J""#
        );
        assert_eq!(
            written(&"\u{202e}gpj\u{200b}\u{e0001}"),
            r#""\u202egpj\u200b\udb40\udc01""#
        );
    }

    proptest! {
        #[test]
        fn what_is_written_means_the_same_and_can_be_looked_at(text in any::<String>()) {
            let written = written(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            prop_assert!(!written.chars().any(|c| c != '\\' && needs_escape(c)), "{}", written);
        }
    }
}
