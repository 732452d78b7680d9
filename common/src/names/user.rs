//! The name of an account, as PAM and the passwd database spell it.
//!
//! A name is compared byte for byte: no case folding, no Unicode normalisation. It never becomes
//! part of a path.

use std::fmt;

use crate::wire::text;

/// A user's account name: 1 to 256 bytes of UTF-8 that could stand in a passwd file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Checks a name from PAM, the socket or the command line.
    ///
    /// # Errors
    /// [`BadUserName`]: its sentence says what an account name cannot contain.
    pub fn new(name: &str) -> Result<Self, BadUserName> {
        let bad = if name.is_empty() {
            BadUserName::Empty
        } else if name.len() > MAX_BYTES {
            BadUserName::TooLong
        } else if name
            .chars()
            .any(|c| c.is_control() || matches!(c, '/' | ':'))
        {
            BadUserName::Character
        } else if name.trim() != name {
            BadUserName::Space
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(bad)
    }

    /// A name that no account can have and that [`UserName::new`] refuses: for the daemon's own
    /// records.
    #[must_use]
    pub fn reserved(number: u16) -> Self {
        Self(format!("{RESERVED}{number}"))
    }

    /// Whether it is a reserved name.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED)
    }

    /// The name, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    /// Safe for a terminal and a log line: see [`text::printable`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::printable(&self.0))
    }
}

/// Why a text is not an account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUserName {
    /// The empty text.
    #[error("a user name cannot be empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("a user name has at most {MAX_BYTES} bytes")]
    TooLong,
    /// A control character, `/` or `:`.
    #[error("a user name cannot contain control characters, '/' or ':'")]
    Character,
    /// White space at an end.
    #[error("a user name cannot begin or end with a space")]
    Space,
}

/// A character that no account name can contain.
const RESERVED: char = ':';
/// The longest name taken, in bytes (`LOGIN_NAME_MAX` of Linux).
pub const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_accounts_have_are_taken_as_they_stand() {
        for name in [
            "alice",
            "ROOT",
            "a.b-c_d",
            "x$",
            "DOMAIN\\alice smith",
            "alice@example.org",
            "jürgen",
            "%s",
            "..",
            "-rf",
        ] {
            assert_eq!(UserName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_no_account_can_have_are_refused() {
        let long = "a".repeat(257);
        for (name, why) in [
            ("", BadUserName::Empty),
            (long.as_str(), BadUserName::TooLong),
            ("../../etc/passwd", BadUserName::Character),
            ("a:b", BadUserName::Character),
            ("a\nb", BadUserName::Character),
            ("a\0", BadUserName::Character),
            ("\u{1b}[2J", BadUserName::Character),
            ("root ", BadUserName::Space),
            ("\u{a0}root", BadUserName::Space),
        ] {
            assert_eq!(UserName::new(name), Err(why), "{name:?}");
        }
        assert!(UserName::new(&"a".repeat(256)).is_ok());
    }

    #[test]
    fn reserved_names_are_nobodys() {
        let reserved = UserName::reserved(7);
        assert!(reserved.is_reserved() && reserved != UserName::reserved(8));
        assert_eq!(
            UserName::new(reserved.as_str()),
            Err(BadUserName::Character)
        );
        assert!(!UserName::new("7").unwrap().is_reserved());
    }

    #[test]
    fn a_name_is_shown_without_what_could_steer_a_terminal() {
        let name = UserName::new("ali\u{202e}ce").unwrap();
        assert_eq!(name.to_string(), "ali\\u{202e}ce");
    }
}
