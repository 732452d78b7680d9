//! What a user typed, in plain ASCII: keyboards, input methods and pasting bring digits of other
//! scripts, wide letters, dashes, spaces and marks that nobody sees, for one and the same code.
//!
//! The one rule for codes of a device, recovery codes, bypasses and tickets, in the module, the
//! daemon and `totpctl`. Knows no code. What it does not know stays, and is then no code.

use zeroize::Zeroizing;

use crate::secret::MAX_TYPED;
use crate::wire::text::is_invisible;

/// A typed text by the rule:
///
/// | typed | read as |
/// |---|---|
/// | a decimal digit of any script (Unicode's category Nd) | that digit |
/// | a wide letter of an input method (`ａ`, `Ａ`) | the ASCII letter |
/// | a dash or minus of any length | `-` |
/// | a space of any kind, a tab | a space |
/// | a mark that draws nothing (zero-width, direction, variation), the marks of a bracketed paste | nothing |
///
/// A line end is none of these: it is no part of what was typed.
pub struct Plain {
    text: Zeroizing<String>,
    /// Where each character of `text` ended in what was typed, in bytes.
    ends: Vec<usize>,
}

impl Plain {
    /// `None`: the text has more than [`MAX_TYPED`] bytes.
    #[must_use]
    pub fn of(typed: &str) -> Option<Self> {
        if typed.len() > MAX_TYPED {
            return None;
        }
        // No character becomes longer. A text that grew would leave a copy behind.
        let mut plain = Self {
            text: Zeroizing::new(String::with_capacity(typed.len())),
            ends: Vec::new(),
        };
        let mut rest = typed;
        while let Some(c) = rest.chars().next() {
            let pasted = PASTE_MARKS.iter().find_map(|mark| rest.strip_prefix(mark));
            let after = pasted.or_else(|| rest.get(c.len_utf8()..));
            rest = after.unwrap_or_default();
            if pasted.is_none() && !is_nothing(c) {
                plain.text.push(read_as(c));
                plain.ends.push(typed.len().saturating_sub(rest.len()));
            }
        }
        Some(plain)
    }

    /// The plain text. The caller must not let it leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Where in what was typed this many characters of the plain text end, in bytes.
    #[must_use]
    pub fn end_of(&self, characters: usize) -> usize {
        let last = characters
            .checked_sub(1)
            .and_then(|last| self.ends.get(last));
        last.copied().unwrap_or_default()
    }
}

fn is_nothing(c: char) -> bool {
    // With the variation selectors, and the frame of a keycap.
    is_invisible(c) || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{20e3}')
}

fn read_as(c: char) -> char {
    match c {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => c,
        c if c.is_ascii_graphic() => c,
        c if c.is_whitespace() => ' ',
        c if DASHES.contains(&c) => '-',
        '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => narrow(c),
        c => decimal(c).unwrap_or(c),
    }
}

/// The ASCII character of which `wide` is the wide form.
fn narrow(wide: char) -> char {
    let ascii = u32::from(wide).checked_sub(0xfee0);
    ascii.and_then(char::from_u32).unwrap_or(wide)
}

/// The ASCII digit, if it is a decimal digit of another script.
fn decimal(c: char) -> Option<char> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= c)?;
    let value = u32::from(c).checked_sub(u32::from(*zero))?;
    char::from_digit(value, 10)
}

/// What a terminal sends before and after a pasted text, with an escape or with its one-byte form.
const PASTE_MARKS: [&str; 4] = ["\u{1b}[200~", "\u{1b}[201~", "\u{9b}200~", "\u{9b}201~"];
/// Unicode's category Pd, and what keyboards bring in its place: the minus sign, the hyphen bullet,
/// and the long-vowel marks that Japanese input methods type with the key `-`.
const DASHES: [char; 29] = [
    '\u{58a}',
    '\u{5be}',
    '\u{1400}',
    '\u{1806}',
    '\u{2010}',
    '\u{2011}',
    '\u{2012}',
    '\u{2013}',
    '\u{2014}',
    '\u{2015}',
    '\u{2e17}',
    '\u{2e1a}',
    '\u{2e3a}',
    '\u{2e3b}',
    '\u{2e40}',
    '\u{2e5d}',
    '\u{301c}',
    '\u{3030}',
    '\u{30a0}',
    '\u{fe31}',
    '\u{fe32}',
    '\u{fe58}',
    '\u{fe63}',
    '\u{ff0d}',
    '\u{10ead}',
    '\u{2212}',
    '\u{2043}',
    '\u{30fc}',
    '\u{ff70}',
];
/// The zeros of Unicode's category Nd (version 17) outside ASCII; each script's other nine digits
/// follow its zero.
const ZEROS: [char; 75] = [
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{ff10}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16130}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{1ccf0}',
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
    '\u{1d7f6}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
    '\u{1fbf0}',
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(typed: &str) -> String {
        Plain::of(typed).unwrap().expose().to_owned()
    }

    #[test]
    fn one_text_comes_out_however_it_was_typed() {
        for (typed, expected) in [
            ("123456", "123456"),
            ("１２３４５６", "123456"),
            ("١٢٣٤٥٦", "123456"),
            ("۱۲۳۴۵۶", "123456"),
            ("१२३४५६", "123456"),
            ("๑๒๓๔๕๖", "123456"),
            ("\u{1d7ec}\u{1d7ff}\u{1d7ce}", "090"),
            ("1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}", "12"),
            ("\u{feff}123\u{200b}456\u{200e}", "123456"),
            ("\u{1b}[200~123456\u{1b}[201~", "123456"),
            ("\u{9b}200~123456\u{9b}201~", "123456"),
            ("\t123\u{a0}456\u{202f}", " 123 456 "),
            ("１２３　４５６", "123 456"),
            ("123\u{2011}456\u{2212}", "123-456-"),
            ("ａｂｃｄ－ＥＦＧＨ", "abcd-EFGH"),
            ("abcdーefgh", "abcd-efgh"),
        ] {
            assert_eq!(plain(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn what_is_no_digit_letter_dash_space_or_mark_stays() {
        for kept in [
            "12\n34",
            "12\r",
            "\u{2028}",
            "½²Ⅷ",
            "пароль",
            "a+b=\u{1b}[A",
            "\u{8}INCORRECT",
        ] {
            assert_eq!(plain(kept), kept, "{kept:?}");
        }
        assert!(Plain::of(&"x".repeat(513)).is_none());
    }

    #[test]
    fn every_digit_has_its_nine_brothers() {
        assert!(
            ZEROS.is_sorted()
                && DASHES
                    .iter()
                    .all(|dash| !dash.is_alphanumeric() || "ーｰ".contains(*dash))
        );
        for zero in ZEROS {
            for value in 0..10 {
                let digit = char::from_u32(u32::from(zero) + value).unwrap();
                assert_eq!(plain(&digit.to_string()), value.to_string(), "{digit:?}");
            }
        }
        let read = (0..=0x10ffff)
            .filter_map(char::from_u32)
            .filter(|c| decimal(*c).is_some());
        assert_eq!(read.count(), 10 * ZEROS.len());
    }

    proptest! {
        #[test]
        fn every_part_of_the_plain_text_has_its_place_in_what_was_typed(typed in "\\PC{0,40}") {
            let whole = Plain::of(&typed).unwrap();
            let length = whole.expose().chars().count();
            for at in 0..=length {
                let (before, after) = typed.split_at(whole.end_of(at));
                prop_assert_eq!(format!("{}{}", plain(before), plain(after)), whole.expose());
                prop_assert_eq!(plain(before).chars().count(), at);
            }
            prop_assert_eq!(plain(whole.expose()), whole.expose(), "nothing is left to do");
        }

        #[test]
        fn marks_and_scripts_make_no_other_code(
            code in "[0-9]{6}",
            zeros in prop::array::uniform6(0..ZEROS.len()),
            marks in prop::array::uniform6("[\u{200b}\u{200d}\u{2066}\u{feff}\u{ad}]{0,3}"),
        ) {
            let mut typed = String::new();
            for ((digit, zero), mark) in code.chars().zip(zeros).zip(&marks) {
                let value = digit.to_digit(10).unwrap();
                typed.push(char::from_u32(u32::from(ZEROS[zero]) + value).unwrap());
                typed.push_str(mark);
            }
            prop_assert_eq!(plain(&typed), code);
        }
    }
}
