//! Issued codes: recovery codes, bypasses and tickets. How they are written, and how typed ones are
//! parsed.
//!
//! An issued code is base32 in groups of four, in lower case: `abcd-efgh-ijkl-mnop`. Base32 has no
//! 0, 1, 8 and 9: a user that types one of these has misread the letter that looks like it.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::answer::plain::Plain;
use crate::secret::{SecretText, without_separators};

/// An issued code in its canonical spelling: 8 or 16 base32 characters, at least one of them a
/// letter.
pub struct IssuedCode(Zeroizing<String>);

impl IssuedCode {
    /// Parses the typed text: by the rule of [`Plain`], spaces and hyphens are dropped, lower case
    /// is upper case, and digits that base32 does not have are the letters that they look like. A
    /// text of digits alone is a device's code and never an issued one.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let kept = without_separators(Plain::of(typed)?.expose())?;
        let mut text = Zeroizing::new(String::with_capacity(kept.len()));
        text.extend(kept.chars().map(meant));
        let fits = LENGTHS.contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
        (fits && kept.chars().any(|c| !c.is_ascii_digit())).then_some(Self(text))
    }

    /// A scratch code of another system, which the daemon keeps like a recovery code: eight digits
    /// alone, so that it is never equal to a code that we issue. `None`: the text is no such code.
    #[must_use]
    pub fn scratch(digits: &str) -> Option<Self> {
        let fits = digits.len() == SHORT && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| Self(Zeroizing::new(digits.to_owned())))
    }

    /// The code of 5 or 10 random bytes. `None`: the caller has to draw other bytes, because a user
    /// could misread this code as digits alone.
    #[must_use]
    pub fn from_random(bytes: &[u8]) -> Option<Self> {
        let text = Zeroizing::new(BASE32_NOPAD.encode(bytes));
        let plain =
            |c: char| c.is_ascii_uppercase() && !LOOK_ALIKES.iter().any(|(_, letter)| *letter == c);
        (LENGTHS.contains(&text.len()) && text.contains(plain)).then_some(Self(text))
    }

    /// The code as users see it.
    #[must_use]
    pub fn shown(&self) -> SecretText {
        let mut shown = String::with_capacity(MAX_SHOWN);
        for (position, c) in self.0.chars().enumerate() {
            if position > 0 && position % GROUP == 0 {
                shown.push('-');
            }
            shown.push(c.to_ascii_lowercase());
        }
        SecretText::new(shown)
    }

    /// Whether it is a short code (a bypass), which allows few tries.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.len() == SHORT
    }

    /// The code itself, in upper case without hyphens. The caller must not let it leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IssuedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuedCode(…)")
    }
}

fn meant(typed: char) -> char {
    let look_alike = LOOK_ALIKES.iter().find(|(digit, _)| *digit == typed);
    look_alike.map_or(typed.to_ascii_uppercase(), |(_, letter)| *letter)
}

/// Codes are shown in lower case, where a 1 looks like `l`, not like `i`.
const LOOK_ALIKES: [(char, char); 4] = [('0', 'O'), ('1', 'L'), ('8', 'B'), ('9', 'G')];
/// Characters of a bypass: forty bits.
const SHORT: usize = 8;
/// Characters of a bypass; and of recovery codes and tickets: eighty bits.
const LENGTHS: [usize; 2] = [SHORT, 16];
/// Characters between two hyphens.
const GROUP: usize = 4;
/// Bytes of the longest code with its hyphens: a text that grew would leave a copy behind.
const MAX_SHOWN: usize = 19;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(typed: &str) -> Option<String> {
        IssuedCode::parse(typed).map(|code| code.expose().to_owned())
    }

    #[test]
    fn a_scratch_code_is_eight_digits_and_no_code_that_we_issue() {
        assert_eq!(
            IssuedCode::scratch("23456723").unwrap().expose(),
            "23456723"
        );
        assert!(parse("23456723").is_none());
        for text in ["2345672", "234567234", "2345672a", "2345 723", ""] {
            assert!(IssuedCode::scratch(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in [
            "abcd-efgh-ijkl-mnop",
            "ABCDEFGHIJKLMNOP",
            " abcd efgh ijkl mnop ",
            "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p",
            "a8cd-ef9h-ijk1-mn0p",
            "ａｂｃｄ－ｅｆｇｈ－ｉｊｋｌ－ｍｎｏｐ",
            "abcd\u{2011}efgh\u{2013}ijkl\u{2212}mnop",
            "\u{1b}[200~abcd-efgh-ijkl-mnop\t\u{1b}[201~",
        ] {
            assert_eq!(
                parse(typed).as_deref(),
                Some("ABCDEFGHIJKLMNOP"),
                "{typed:?}"
            );
        }
        assert_eq!(parse("z234-5670").as_deref(), Some("Z234567O"));
    }

    #[test]
    fn nothing_else_is_one() {
        for typed in [
            "",
            "abcd-efg",
            "abcd-efghi",
            "abcd-efgh-ijkl",
            "abcd-efgh-ijkl-mnopq",
            "abcd-efgh\n",
            "abcd_efgh",
            "äbcd-efg",
            "23456723",
            "２３４５６７２３",
            "2345 6723",
            "2345-6723-4567-2345",
            "01890189",
            &" ".repeat(513),
            &format!("{}abcdefgh", " ".repeat(505)),
            "\u{8}\n\r\u{7f}INCORRECT",
        ] {
            assert_eq!(parse(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn a_new_code_cannot_be_misread_as_digits() {
        let code = IssuedCode::from_random(b"random 10.").unwrap();
        assert_eq!(code.shown().expose(), "ojqw-4zdp-nuqd-cmbo");
        assert!(!code.is_short() && IssuedCode::from_random(&[0; 5]).unwrap().is_short());
        let digits_and_look_alikes = BASE32_NOPAD.decode(b"2OL3B4G5").unwrap();
        assert!(IssuedCode::from_random(&digits_and_look_alikes).is_none());
        for length in [0, 4, 6, 9, 11] {
            assert!(
                IssuedCode::from_random(&vec![0; length]).is_none(),
                "{length}"
            );
        }
    }

    #[test]
    fn no_code_prints_itself() {
        assert_eq!(
            format!("{:?}", IssuedCode::parse("abcd-efgh")),
            "Some(IssuedCode(…))"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(long in any::<bool>(), bytes in prop::array::uniform10(any::<u8>())) {
            let Some(code) = IssuedCode::from_random(&bytes[..if long { 10 } else { 5 }]) else { return Ok(()) };
            let shown = code.shown();
            prop_assert_eq!(shown.expose().len(), if long { 19 } else { 9 });
            let misread = shown.expose().replace('o', "0").replace('l', "1").replace('b', "8").replace('g', "9");
            for typed in [shown.expose(), &shown.expose().to_uppercase(), &misread] {
                prop_assert_eq!(&parse(typed).unwrap(), code.expose());
            }
        }
    }
}
