//! Escapes untrusted text for terminals and log lines: nothing in it can end a line, control a
//! terminal or change the reading order.

/// `text` with control and format characters escaped, cut to [`MAX_BYTES`] bytes of output.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MAX_BYTES));
    for c in text.chars() {
        let before = shown.len();
        if needs_escape(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        if shown.len() > MAX_BYTES {
            shown.truncate(before);
            shown.push('…');
            break;
        }
    }
    shown
}

/// `text` as one value among others in a line: in quotation marks, unless it is a word of letters,
/// digits and signs that separate nothing. A text in quotation marks can neither end them nor look
/// like another value.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:@/+-".contains(&b);
    if !text.is_empty() && text.len() <= MAX_BYTES && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("\"{}\"", printable(text).replace('"', "\\\""))
    }
}

/// `text`, if it has at most [`MAX_BYTES`] bytes; else its beginning, and a sign that there was
/// more.
#[must_use]
pub fn cut(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// Control characters, line and paragraph separators, the backslash of the escapes themselves, and
/// what is invisible.
pub(crate) fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\\' | '\u{2028}' | '\u{2029}') || is_invisible(c)
}

/// Characters that Unicode draws as nothing or uses to reorder a line (general category Cf, as far
/// as it is in use).
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The longest text shown of one field, in bytes.
pub const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        assert_eq!(printable("jürgen@例え.example"), "jürgen@例え.example");
    }

    #[test]
    fn nothing_can_end_a_line_or_steer_a_terminal() {
        assert_eq!(printable("a\nb\r\u{1b}[31m\0"), "a\\nb\\r\\u{1b}[31m\\u{0}");
        assert_eq!(printable("\u{202e}gpj"), "\\u{202e}gpj");
        assert_eq!(printable("a\\nb"), "a\\\\nb", "an escape cannot be forged");
    }

    #[test]
    fn a_value_among_others_is_one_word_or_stands_in_quotation_marks() {
        for plain in ["alice", "2001:db8::1", "root@host.example", "pts/0", "-630"] {
            assert_eq!(quoted(plain), plain);
        }
        for (text, shown) in [
            ("", "\"\""),
            ("alice  accepted", "\"alice  accepted\""),
            ("a=b", "\"a=b\""),
            ("a\" b", "\"a\\\" b\""),
            ("jürgen", "\"jürgen\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let shown = printable(&"é".repeat(1000));
        assert!(shown.len() <= MAX_BYTES + '…'.len_utf8());
        assert!(shown.ends_with('…'));
    }
}
