//! The lines of a service file: comments, continuations (`\` at the end), and words. Knows no
//! meaning of a word.

/// A line as libpam assembles it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Number of its first line in the file, from 1.
    pub(crate) number: usize,
    /// Its text without comments and continuations.
    pub(crate) text: String,
    /// What versions of libpam read in different ways, or a byte that is easily overlooked.
    pub(crate) doubt: Option<&'static str>,
}

/// The lines of a file.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The lines that are not empty.
    pub(crate) lines: Vec<Line>,
    /// The file ends in a continuation: libpam then refuses the whole file. The line's number.
    pub(crate) cut_off: Option<usize>,
}

/// Splits a file into lines.
pub(crate) fn lines(text: &str) -> Lines {
    let mut found = Lines::default();
    let mut open: Option<Line> = None;
    let text = text.strip_suffix('\n').unwrap_or(text);
    // A carriage return stays in the line, as libpam leaves it there.
    for (number, raw) in (1..).zip(text.split('\n')) {
        let is_continued = open.is_some();
        let line = open.get_or_insert(Line {
            number,
            text: String::new(),
            doubt: None,
        });
        if raw.contains('\r') {
            line.doubt.get_or_insert(CARRIAGE_RETURN);
        }
        let goes_on = append(line, raw, is_continued);
        if !goes_on {
            finish(&mut found, open.take());
        }
    }
    found.cut_off = open.map(|line| line.number);
    found
}

/// Adds one line of the file. True: it ends in a continuation.
fn append(line: &mut Line, raw: &str, is_continued: bool) -> bool {
    let (body, has_comment) = match raw.split_once('#') {
        Some((body, _)) => (body, true),
        None => (raw, false),
    };
    let body = body.trim_start_matches(BLANKS);
    if is_continued && body.is_empty() {
        line.doubt.get_or_insert(CONTINUED_BY_NOTHING);
    }
    let end = body.trim_end_matches(BLANKS);
    match end.strip_suffix('\\') {
        Some(before) if !has_comment => {
            line.text.push_str(before);
            line.text.push(' ');
            true
        }
        _ => {
            line.text.push_str(body);
            false
        }
    }
}

fn finish(found: &mut Lines, line: Option<Line>) {
    let Some(mut line) = line else { return };
    if line.text.len() > LONGEST {
        line.doubt.get_or_insert(TOO_LONG);
    }
    if !line.text.trim_matches(BLANKS).is_empty() {
        found.lines.push(line);
    }
}

/// The words of a line. Everything between `[` and `]` is one word, without its brackets; `\]` in it
/// is a `]`.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('[') {
            Some(inside) => bracketed(inside),
            None => {
                let end = rest.find(BLANKS).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                (word.to_owned(), after)
            }
        };
        words.push(word);
        rest = after.trim_start_matches(BLANKS);
    }
    words
}

fn bracketed(inside: &str) -> (String, &str) {
    let mut word = String::new();
    let mut letters = inside.char_indices().peekable();
    while let Some((_, letter)) = letters.next() {
        match letter {
            ']' => {
                let rest = letters.peek().and_then(|(at, _)| inside.get(*at..));
                return (word, rest.unwrap_or_default());
            }
            '\\' if letters.next_if(|(_, next)| *next == ']').is_some() => word.push(']'),
            other => word.push(other),
        }
    }
    (word, "")
}

const BLANKS: [char; 3] = [' ', '\t', '\n'];
/// One byte less than libpam's buffer before version 1.6, which also holds a newline and a NUL.
const LONGEST: usize = 1_022;
const TOO_LONG: &str = "the line has more than 1,022 bytes, and libpam before version 1.6 takes the rest for a second line: shorten it";
const CARRIAGE_RETURN: &str = "the line ends in a carriage return, which libpam takes for a part of the last word: write the file with Unix line ends";
const CONTINUED_BY_NOTHING: &str = "an empty line or a comment follows the '\\' at the end, and versions of libpam read that differently: take it away";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        let found = lines(text);
        assert_eq!(found.cut_off, None);
        found
            .lines
            .into_iter()
            .map(|line| (line.number, words(&line.text).join("|")))
            .collect()
    }

    #[test]
    fn comments_and_empty_lines_are_left_out_and_continuations_joined() {
        assert_eq!(
            texts("# one\n\n  auth required a.so # x\nauth \\\n  required \\  \n\tb.so\n"),
            [
                (3, "auth|required|a.so".to_owned()),
                (4, "auth|required|b.so".to_owned())
            ]
        );
    }

    #[test]
    fn a_comment_ends_the_line_whatever_follows_in_it() {
        assert_eq!(
            texts("auth required a.so # \\\nauth required b.so"),
            [
                (1, "auth|required|a.so".to_owned()),
                (2, "auth|required|b.so".to_owned())
            ]
        );
    }

    #[test]
    fn brackets_hold_one_word_together() {
        for (line, expected) in [
            (
                "auth [success=1 default=ignore] m.so [a b] c",
                "auth|success=1 default=ignore|m.so|a b|c",
            ),
            (r"auth [a\]b]c.so", "auth|a]b|c.so"),
            ("auth [open m.so", "auth|open m.so"),
            ("auth []", "auth|"),
            ("auth [x]", "auth|x"),
        ] {
            assert_eq!(words(line).join("|"), expected, "{line}");
        }
    }

    #[test]
    fn a_file_that_ends_in_a_continuation_is_cut_off() {
        assert_eq!(lines("auth required a.so\nauth \\").cut_off, Some(2));
    }

    #[test]
    fn what_versions_of_libpam_read_differently_is_told() {
        let doubt = |text: &str| lines(text).lines[0].doubt;
        assert_eq!(doubt("auth required a.so"), None);
        assert_eq!(doubt("auth required a.so\r\n"), Some(CARRIAGE_RETURN));
        assert_eq!(
            doubt("auth \\\n\nrequired a.so"),
            Some(CONTINUED_BY_NOTHING)
        );
        assert_eq!(
            doubt(&format!("auth {}", "x".repeat(1_020))),
            Some(TOO_LONG)
        );
    }
}
