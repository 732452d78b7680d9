//! The control field of a line: `required`, `sufficient` or `[success=1 default=ignore]`, as a table
//! from return codes to actions.

use crate::code::{CODES, Code};

/// What libpam does with a module's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer does not count.
    Ignore,
    /// The answer counts as the result, unless a result that is no success stands already.
    Ok,
    /// As `Ok`; the stack ends here, unless a module before has failed.
    Done,
    /// The stack fails.
    Bad,
    /// The stack fails and ends here.
    Die,
    /// Everything since the beginning of the stack is forgotten.
    Reset,
    /// So many of the next modules are skipped.
    Jump(u32),
}

/// An action for each return code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control([Action; CODES]);

impl Control {
    /// The action for a return code.
    #[must_use]
    pub fn on(&self, code: Code) -> Action {
        self.0.get(code.place()).copied().unwrap_or(Action::Bad)
    }

    /// Every answer fails the stack: what libpam makes of a line that it cannot use.
    pub(crate) fn bad() -> Self {
        Self([Action::Bad; CODES])
    }

    /// The control field of a line; the text has no brackets any more. A field that libpam cannot
    /// parse fails the stack on every answer, and the reason is told.
    pub(crate) fn parse(field: &str) -> (Self, Option<&'static str>) {
        if let Some(control) = Self::keyword(field) {
            return (control, None);
        }
        let mut table = Table::default();
        match table.parse(field) {
            Ok(()) => (table.finish(Action::Bad), None),
            Err(why) => (Self::bad(), Some(why)),
        }
    }

    /// The four words with which most lines are written.
    fn keyword(word: &str) -> Option<Self> {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        let (good, ignored, rest) = if is("required") {
            (Action::Ok, Action::Ignore, Action::Bad)
        } else if is("requisite") {
            (Action::Ok, Action::Ignore, Action::Die)
        } else if is("optional") {
            (Action::Ok, Action::Ignore, Action::Ignore)
        } else if is("sufficient") {
            (Action::Done, Action::Ignore, Action::Ignore)
        } else {
            return None;
        };
        let mut table = Table::default();
        table.set(Code::SUCCESS, good);
        table.set(Code::NEW_AUTHTOK_REQD, good);
        table.set(Code::IGNORE, ignored);
        Some(table.finish(rest))
    }
}

/// A table under construction: `None` is what the field has not named yet.
struct Table([Option<Action>; CODES]);

impl Default for Table {
    fn default() -> Self {
        Self([None; CODES])
    }
}

impl Table {
    fn set(&mut self, code: Code, action: Action) {
        if let Some(slot) = self.0.get_mut(code.place()) {
            *slot = Some(action);
        }
    }

    fn set_rest(&mut self, action: Action) {
        for slot in &mut self.0 {
            slot.get_or_insert(action);
        }
    }

    fn finish(self, rest: Action) -> Control {
        Control(self.0.map(|action| action.unwrap_or(rest)))
    }

    /// `value=action` pairs. A later pair wins, and `default` fills what no earlier pair has named.
    fn parse(&mut self, field: &str) -> Result<(), &'static str> {
        let mut rest = field.trim_start_matches(is_space);
        while !rest.is_empty() {
            let (code, after) = match rest.strip_prefix("default") {
                Some(after) => (None, after),
                None => {
                    let (code, after) =
                        Code::at_start_of(rest).ok_or("a name of a return code is expected")?;
                    (Some(code), after)
                }
            };
            let after = after
                .trim_start_matches(is_space)
                .strip_prefix('=')
                .ok_or("'=' is expected after the name of a return code")?;
            let (action, after) = action(after.trim_start_matches(is_space))?;
            match code {
                Some(code) => self.set(code, action),
                None => self.set_rest(action),
            }
            rest = after.trim_start_matches(is_space);
        }
        Ok(())
    }
}

/// The action that the text begins with, and the rest of the text.
fn action(text: &str) -> Result<(Action, &str), &'static str> {
    for (name, action) in ACTIONS {
        if let Some(rest) = text.strip_prefix(name) {
            return Ok((action, rest));
        }
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits.parse::<u32>() {
        _ if digits.is_empty() => Err("an action or a number is expected after '='"),
        Ok(0) => Err("a jump over 0 modules is not allowed: write 'ignore'"),
        Ok(count) if i32::try_from(count).is_ok() => Ok((Action::Jump(count), rest)),
        _ => Err("the number of a jump is too large"),
    }
}

const ACTIONS: [(&str, Action); 6] = [
    ("ignore", Action::Ignore),
    ("ok", Action::Ok),
    ("done", Action::Done),
    ("bad", Action::Bad),
    ("die", Action::Die),
    ("reset", Action::Reset),
];

/// C's isspace.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_names_an_action_for_each_code_and_default_fills_the_rest() {
        let (control, why) = Control::parse("success=2 auth_err = die default=ignore ignore=ok");
        assert_eq!(why, None);
        for (code, action) in [
            (Code::SUCCESS, Action::Jump(2)),
            (Code::AUTH_ERR, Action::Die),
            (Code::IGNORE, Action::Ok),
            (Code::USER_UNKNOWN, Action::Ignore),
        ] {
            assert_eq!(control.on(code), action, "{}", code.name());
        }
    }

    #[test]
    fn without_a_default_the_rest_is_bad() {
        let (control, _) = Control::parse("success=ok");
        assert_eq!(control.on(Code::IGNORE), Action::Bad);
        assert_eq!(Control::parse("").0, Control::bad());
    }

    #[test]
    fn a_field_that_libpam_cannot_parse_fails_the_stack_and_is_told() {
        for field in [
            "success",
            "success=",
            "success=0",
            "success=okay",
            "sucess=ok",
            "success=99999999999",
            "Required=1",
            "success=2147483648",
        ] {
            let (control, why) = Control::parse(field);
            assert_eq!(control, Control::bad(), "{field}");
            assert!(why.is_some(), "{field}");
        }
    }

    #[test]
    fn the_four_words_are_read_in_any_case() {
        for (word, success, ignore, failure) in [
            ("required", Action::Ok, Action::Ignore, Action::Bad),
            ("REQUISITE", Action::Ok, Action::Ignore, Action::Die),
            ("Optional", Action::Ok, Action::Ignore, Action::Ignore),
            ("sufficient", Action::Done, Action::Ignore, Action::Ignore),
        ] {
            let (control, why) = Control::parse(word);
            assert_eq!(why, None);
            assert_eq!(control.on(Code::SUCCESS), success, "{word}");
            assert_eq!(control.on(Code::NEW_AUTHTOK_REQD), success, "{word}");
            assert_eq!(control.on(Code::IGNORE), ignore, "{word}");
            assert_eq!(control.on(Code::AUTH_ERR), failure, "{word}");
        }
    }
}
