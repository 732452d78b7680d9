//! Splits a password and codes that the user typed into one field (`forward_pass`,
//! `try_first_pass`, `use_first_pass`).
//!
//! Where a code is needed, a text is cut at one place only, before the daemon judges it: a second
//! guess at the place would be a second guess at the code. Where none is needed, the daemon is
//! asked about two codes first, and then about one.

#![forbid(unsafe_code)]

use common::answer::CODE_DIGITS;
use common::answer::plain::Plain;
use common::issued::IssuedCode;
use common::secret::SecretText;
use common::wire::protocol::Ask;

/// The text of one field, split. The daemon calls empty codes malformed.
#[derive(Debug)]
pub struct PasswordAndCodes {
    /// The text before the codes.
    pub password: SecretText,
    /// The codes, with the spaces between them.
    pub codes: SecretText,
}

impl PasswordAndCodes {
    /// A text without a code: all of it is the password.
    #[must_use]
    pub fn password_alone(typed: SecretText) -> Self {
        Self {
            password: typed,
            codes: SecretText::default(),
        }
    }
}

/// The lengths that a code may have, longest first: the option `digits=`, else the lengths that the
/// daemon told, else six.
#[must_use]
pub fn lengths(option: Option<usize>, told: &[u8]) -> Vec<usize> {
    let mut lengths: Vec<usize> = match option {
        Some(length) => vec![length],
        None => told
            .iter()
            .map(|length| usize::from(*length))
            .filter(|length| CODE_DIGITS.contains(length))
            .collect(),
    };
    if lengths.is_empty() {
        lengths.push(*CODE_DIGITS.start());
    }
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths
}

/// Cuts as many codes as are asked for off the end of the text, all of the longest length for which
/// digits stand there, by the rule of [`Plain`]. Spaces are allowed between two codes and after the
/// last one; a space before the first code belongs to the password. `None`: the text does not end in
/// such codes.
///
/// The longest length wins, because the last six of eight digits are digits, too: a user with
/// devices of both lengths could otherwise never use the longer.
///
/// If no such codes stand there, an issued code may. Here it needs its hyphens, which tell it from
/// a password.
#[must_use]
pub fn cut(typed: &SecretText, ask: Ask, lengths: &[usize]) -> Option<PasswordAndCodes> {
    let plain = Plain::of(typed.expose())?;
    let text = plain.expose().trim_end_matches(' ');
    let shown = lengths
        .iter()
        .find_map(|length| before_codes(text, count(ask), *length));
    let password = shown.or_else(|| {
        ISSUED_BYTES
            .iter()
            .find_map(|length| before_issued(text, *length))
    })?;
    let end = plain.end_of(password.chars().count());
    let (password, codes) = typed.expose().split_at_checked(end)?;
    Some(PasswordAndCodes {
        password: SecretText::new(password.to_owned()),
        codes: SecretText::new(codes.to_owned()),
    })
}

/// Where a text may end in codes that nothing asked for: before two codes, or else before one.
#[must_use]
pub fn cuts(typed: &SecretText, lengths: &[usize]) -> Vec<PasswordAndCodes> {
    let cut = |ask| cut(typed, ask, lengths);
    let mut cuts: Vec<PasswordAndCodes> = [Ask::TwoCodes, Ask::OneCode]
        .into_iter()
        .filter_map(cut)
        .collect();
    // An issued code is cut off in the same place, whatever is asked for.
    cuts.dedup_by(|one, other| one.codes.expose() == other.codes.expose());
    cuts
}

fn count(ask: Ask) -> usize {
    match ask {
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice | Ask::Nothing => 1,
        Ask::TwoCodes => 2,
    }
}

fn before_codes(text: &str, count: usize, length: usize) -> Option<&str> {
    let last = before_code(text, length)?;
    (1..count).try_fold(last, |before, _| {
        before_code(before.trim_end_matches(' '), length)
    })
}

fn before_code(text: &str, length: usize) -> Option<&str> {
    let (before, code) = text.split_at_checked(text.len().checked_sub(length)?)?;
    code.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(before)
}

fn before_issued(text: &str, length: usize) -> Option<&str> {
    let (before, code) = text.split_at_checked(text.len().checked_sub(length)?)?;
    let in_groups = code
        .bytes()
        .enumerate()
        .all(|(position, byte)| (position % 5 == 4) == (byte == b'-'));
    (in_groups && IssuedCode::parse(code).is_some()).then_some(before)
}

/// Bytes of `abcd-efgh-ijkl-mnop` and of `abcd-efgh`, the longer first.
const ISSUED_BYTES: [usize; 2] = [19, 9];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_text(text: &str, ask: Ask, lengths: &[usize]) -> Option<(String, String)> {
        let PasswordAndCodes { password, codes } =
            cut(&SecretText::new(text.to_owned()), ask, lengths)?;
        Some((password.expose().to_owned(), codes.expose().to_owned()))
    }

    fn one(text: &str, lengths: &[usize]) -> Option<(String, String)> {
        cut_text(text, Ask::OneCode, lengths)
    }

    fn parts(password: &str, codes: &str) -> Option<(String, String)> {
        Some((password.to_owned(), codes.to_owned()))
    }

    #[test]
    fn the_code_is_the_end_and_the_password_the_rest() {
        for password in [
            "correct horse",
            "",
            " ",
            "p ",
            "ends in 2024",
            "1",
            "grün",
            "\u{1f600}",
            "123456",
        ] {
            assert_eq!(
                one(&format!("{password}123456"), &[6]),
                parts(password, "123456")
            );
            assert_eq!(
                one(&format!("{password}0123456789"), &[10]),
                parts(password, "0123456789")
            );
        }
    }

    #[test]
    fn where_no_code_stands_nothing_is_cut() {
        for text in [
            "",
            "password",
            "12345",
            "pass12345",
            "pass123 456",
            "pass123-456",
            "pass½23456",
            "pass123456\n",
        ] {
            assert_eq!(one(text, &[6]), None, "{text:?}");
        }
        assert_eq!(one("passwo\u{e9}\u{e9}\u{e9}", &[6, 7, 8, 9, 10]), None);
    }

    #[test]
    fn a_code_is_found_as_input_methods_and_pasting_bring_it() {
        for code in [
            "123456 ",
            "123456\t",
            "１２３４５６",
            "۱۲۳۴۵۶",
            "\u{1b}[200~123456\u{1b}[201~",
            "\u{200b}123\u{200b}456\u{feff}",
            "\u{1b}[200~abcd\u{2011}efgh\u{1b}[201~",
        ] {
            for password in ["correct horse", "grün ", "パスワード", ""] {
                let typed = format!("{password}{code}");
                assert_eq!(one(&typed, &[6]), parts(password, code), "{typed:?}");
            }
        }
        assert_eq!(
            cut_text("pass123456\u{a0}６５４３２１", Ask::TwoCodes, &[6]),
            parts("pass", "123456\u{a0}６５４３２１")
        );
    }

    #[test]
    fn of_several_lengths_it_is_the_longest_for_which_digits_stand_there() {
        assert_eq!(one("pass12345678", &[8, 6]), parts("pass", "12345678"));
        assert_eq!(one("pass123456", &[8, 6]), parts("pass", "123456"));
        assert_eq!(one("pass9123456", &[8, 6]), parts("pass9", "123456"));
        assert_eq!(
            one("pass99123456", &[8, 6]),
            parts("pass", "99123456"),
            "one place, although it is the wrong one"
        );
        assert_eq!(
            cut_text("pw123456654321", Ask::TwoCodes, &[8, 6]),
            parts("pw", "123456654321")
        );
    }

    #[test]
    fn two_codes_may_have_spaces_between_them() {
        for codes in ["123456654321", "123456 654321", "123456   654321"] {
            assert_eq!(
                cut_text(&format!("pass {codes}"), Ask::TwoCodes, &[6]),
                parts("pass ", codes)
            );
            assert_eq!(cut_text(codes, Ask::TwoCodes, &[6]), parts("", codes));
        }
        for text in [
            "pass123456",
            "pass23456 654321",
            "pass123456x654321",
            "pass123456\n654321",
        ] {
            assert_eq!(cut_text(text, Ask::TwoCodes, &[6]), None, "{text:?}");
        }
        assert_eq!(cut_text("123456", Ask::TwoCodes, &[6]), None);
    }

    #[test]
    fn a_code_that_no_device_shows_is_cut_off_with_its_hyphens_whatever_is_asked_for() {
        for ask in [Ask::OneCode, Ask::TwoCodes] {
            for code in [
                "abcd-efgh-ijkl-mnop",
                "ABCD-EFGH-2345-2345",
                "abcd-efgh",
                "z234-567o",
            ] {
                for password in ["correct horse", "", "grün", "ends-in-", "p 123456 "] {
                    assert_eq!(
                        cut_text(&format!("{password}{code}"), ask, &[8, 6]),
                        parts(password, code),
                        "{code}"
                    );
                }
            }
        }
        for text in [
            "abcdefghijklmnop",
            "abcd efgh ijkl mnop",
            "abcd-efgh-",
            "2345-6723",
            "blue-moon!",
            "once-moré",
        ] {
            assert_eq!(one(text, &[6]), None, "{text:?}");
        }
    }

    #[test]
    fn the_length_is_the_options_or_else_the_daemons_or_else_six() {
        assert_eq!(lengths(Some(7), &[6, 8]), [7]);
        assert_eq!(lengths(None, &[6, 10, 8]), [10, 8, 6]);
        assert_eq!(lengths(None, &[8]), [8]);
        for nonsense in [&[][..], &[0], &[5, 11, 255]] {
            assert_eq!(lengths(None, nonsense), [6], "{nonsense:?}");
        }
    }

    #[test]
    fn what_sshd_puts_in_the_place_of_a_password_holds_no_code_at_any_length() {
        let dummy = "\u{8}\n\r\u{7f}INCORRECT".repeat(3);
        for length in 0..=dummy.len() {
            assert_eq!(one(&dummy[..length], &[10, 8, 6]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(text in "\\PC{0,12}[0-9 ]{0,30}", told in prop::collection::vec(0_u8..12, 0..4)) {
            let lengths = lengths(None, &told);
            for ask in [Ask::OneCode, Ask::TwoCodes] {
                if let Some((password, codes)) = cut_text(&text, ask, &lengths) {
                    prop_assert_eq!(format!("{password}{codes}"), &*text);
                    let plain = Plain::of(&codes).unwrap().expose().to_owned();
                    let digits = plain.bytes().filter(u8::is_ascii_digit).count();
                    prop_assert!(lengths.iter().any(|length| length * count(ask) == digits));
                    prop_assert!(plain.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit()));
                }
            }
        }
    }
}
