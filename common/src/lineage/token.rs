//! Parses a typed code by passlib's rules.

use zeroize::Zeroizing;

use crate::answer::Code;
use crate::secret::MAX_TYPED;

/// The code in `typed`, by passlib's rule: white space, `-` and `=` are dropped wherever they
/// stand; what is left must be `digits` ASCII digits. Other scripts' digits look alike and are
/// refused. What users type at our own prompts is read by a stricter rule: [`crate::answer`].
///
/// # Errors
/// [`Malformed`]: there is no code of that length in it.
pub fn clean(typed: &str, digits: u8) -> Result<Code, Malformed> {
    if typed.len() > MAX_TYPED {
        return Err(Malformed);
    }
    let mut code = Zeroizing::new(String::with_capacity(typed.len()));
    code.extend(
        typed
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '=')),
    );
    Code::new(&code)
        .filter(|code| code.digits() == usize::from(digits))
        .ok_or(Malformed)
}

/// Not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a code: type all the digits that the authenticator shows")]
pub struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_dropped_and_nothing_else() {
        for typed in ["123456", " 123-456\n", "--12 34 56==", "123\u{2003}456"] {
            assert_eq!(clean(typed, 6).unwrap().expose(), "123456", "{typed:?}");
        }
        let long = format!("{}123456", " ".repeat(507));
        for typed in [
            "",
            "12345",
            "1234567",
            "12345a",
            "+12345",
            "123456\0",
            "１２３４５６",
            "123,456",
            &long,
        ] {
            assert!(clean(typed, 6).is_err(), "{typed:?}");
        }
        assert!(clean("123456", 8).is_err());
    }
}
