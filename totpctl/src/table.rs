//! Layout of printed text: tables, sentences wrapped at 80 columns, and times in this machine's time
//! zone.

use std::time::{SystemTime, UNIX_EPOCH};

use common::config::values::calendar;
use textwrap::core::Word;
use textwrap::{Options, WordSeparator, WordSplitter, fill};
use unicode_width::UnicodeWidthStr;

/// Lays out `rows` under their `head`, with two spaces between columns. A very long cell moves only
/// its own row.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let lines: Vec<&[String; N]> = std::iter::once(&head).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.width());
        cells
            .filter(|width| *width <= WIDEST)
            .max()
            .unwrap_or(WIDEST)
    });
    lines.into_iter().map(|line| row(line, &widths)).collect()
}

/// One row, without blanks at its end.
fn row(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let missing = width.saturating_sub(cell.width());
        line.push_str(&format!("{cell}{:missing$}  ", ""));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// A sentence in lines of at most 80 columns, each after `indent`. A very long word has a line of
/// its own. A command is never broken, so that the user can paste it.
pub(crate) fn wrapped(sentence: &str, indent: &str) -> String {
    let options = Options::new(WIDTH)
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(WordSeparator::Custom(pieces))
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    fill(sentence, options) + "\n"
}

/// The words and commands of a sentence.
fn pieces(sentence: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut rest = sentence;
    Box::new(std::iter::from_fn(move || {
        let (piece, after) = rest.split_at_checked(first_piece(rest))?;
        rest = after;
        (!piece.is_empty()).then(|| Word::from(piece))
    }))
}

/// Length of the first word or command of a text and of the blank behind it, in bytes. A command
/// goes from the program's name to the next punctuation mark.
fn first_piece(text: &str) -> usize {
    let (mut length, mut in_command) = (0_usize, false);
    for word in text.split_inclusive(' ') {
        length = length.saturating_add(word.len());
        let word = word.trim_end_matches(' ');
        in_command =
            (in_command || word.ends_with("totpctl")) && !word.ends_with([';', ',', '.', ':', ')']);
        if !in_command {
            break;
        }
    }
    length
}

/// A time in Unix seconds as `2026-11-23 22:18:04 CET`. Every time that people read is in this
/// machine's time zone and names it; in UTC, if the zone is not known.
pub(crate) fn second(seconds: u64) -> String {
    written(seconds, "%Y-%m-%d %H:%M:%S %Z")
}

/// The same as `2026-11-23 22:18 CET`.
pub(crate) fn minute(seconds: u64) -> String {
    written(seconds, "%Y-%m-%d %H:%M %Z")
}

/// The same as `2026-11-23`.
pub(crate) fn day(seconds: u64) -> String {
    written(seconds, "%Y-%m-%d")
}

fn written(seconds: u64, format: &str) -> String {
    let time = calendar::shown(seconds);
    time.map_or_else(
        || "after 9999".to_owned(),
        |time| time.strftime(format).to_string(),
    )
}

/// The present time, in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// The widest cell that sets a column's width, in columns: a device's longest name.
const WIDEST: usize = 32;
/// The width of wrapped text, in columns.
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["bcdef".to_owned(), "22".to_owned()],
        ];
        assert_eq!(table(["X", "N"], &rows), "X      N\na      1\nbcdef  22\n");
    }

    #[test]
    fn a_very_long_cell_pushes_its_own_row_aside_only() {
        let long = "l".repeat(40);
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            [long.clone(), "2".to_owned()],
        ];
        assert_eq!(table(["X", "N"], &rows), format!("X  N\na  1\n{long}  2\n"));
    }

    /// A Chinese character or an emoji takes two columns, a combining mark none.
    #[test]
    fn wide_and_combining_names_push_no_row_aside() {
        let names = ["alice", "王小明", "zoë", "zoe\u{308}", "jürgen", "🦀", "김"];
        let rows = names.map(|name| [name.to_owned(), "1".to_owned()]);
        let text = "\
USER    N
alice   1
王小明  1
zoë     1
zoe\u{308}     1
jürgen  1
🦀      1
김      1
";
        assert_eq!(table(["USER", "N"], &rows), text);
        let widest = ["王".repeat(16), "王".repeat(17)].map(|name| [name, "1".to_owned()]);
        let text = table(["USER", "N"], &widest);
        assert!(
            text.starts_with(&format!("USER{:28}  N\n", "")),
            "the longer one pushes its own row aside: {text}"
        );
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two", "  "), "  one two\n");
        let text = wrapped(&"word ".repeat(40), "  ");
        assert!(
            text.lines()
                .all(|line| line.starts_with("  word") && line.len() <= 80)
        );
        assert_eq!(text.split_whitespace().count(), 40);
        let command = "totpctl restrict alice --lift";
        let text = wrapped(
            &format!("{} {command}; {command}", "word ".repeat(10)),
            "  ",
        );
        assert_eq!(text.matches(command).count(), 2, "{text}");
        let long = "x".repeat(100);
        assert_eq!(
            wrapped(&format!("a {long} b"), " "),
            format!(" a\n {long}\n b\n")
        );
        let wide = "王小明 ".repeat(20);
        assert!(wrapped(&wide, "  ").lines().all(|line| line.width() <= 80));
        assert_eq!(wrapped(&wide, "  ").lines().count(), 2);
    }

    #[test]
    fn times_are_in_this_machines_zone_and_name_it() {
        let zone = calendar::shown(1_795_468_684).unwrap();
        let (told, name) = (zone.datetime(), zone.strftime("%Z").to_string());
        let expected = told.strftime("%Y-%m-%d %H:%M:%S").to_string();
        assert_eq!(second(1_795_468_684), format!("{expected} {name}"));
        assert_eq!(
            minute(1_795_468_684),
            format!("{} {name}", &expected[..expected.len() - 3])
        );
        assert_eq!(day(1_795_468_684), expected[..10]);
        assert!(!name.is_empty());
        assert_eq!(second(u64::MAX), "after 9999");
    }
}
