//! Prints the result of `gc`: users without an account, and what is or would be done.

use common::wire::text::printable;
use serde::Serialize;

use super::Render;
use crate::table::wrapped;

/// What `gc` does to the record of a user without an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Disable,
    Forget,
}

/// The result of `gc`.
#[derive(Debug, Serialize)]
pub(crate) struct Gone {
    /// The users that the step is for.
    pub(crate) users: Vec<String>,
    pub(crate) step: Step,
    /// False: it would be done.
    pub(crate) done: bool,
    /// Users without an account that the step is not for: they are disabled already, or not yet.
    pub(crate) others: usize,
}

impl Render for Gone {
    fn people(&self) -> String {
        if self.users.is_empty() {
            return wrapped(&self.nothing(), "");
        }
        let mut text: String = self
            .users
            .iter()
            .map(|user| format!("{}\n", printable(user)))
            .collect();
        text.push_str(&wrapped(&self.summary(), ""));
        text
    }
}

impl Gone {
    fn nothing(&self) -> String {
        match (self.step, self.others) {
            (_, 0) => "every user with a record has an account".to_owned(),
            (Step::Disable, others) => format!(
                "{}: disabled before; to delete their records: 'totpctl gc --forget --yes'",
                without_account(others)
            ),
            (Step::Forget, others) => format!(
                "{}: not disabled yet; 'totpctl gc --yes' disables them first",
                without_account(others)
            ),
        }
    }

    fn summary(&self) -> String {
        let users = without_account(self.users.len());
        match (self.step, self.done) {
            (Step::Disable, true) => format!(
                "{users}: disabled. An account that comes back is refused until 'totpctl enable USER --all'; to delete the \
                 records: 'totpctl gc --forget --yes'"
            ),
            (Step::Disable, false) => {
                format!("{users}: nothing was changed; to disable them: 'totpctl gc --yes'")
            }
            (Step::Forget, true) => {
                format!("{users}: their records are deleted, and they count as never enrolled")
            }
            (Step::Forget, false) => format!(
                "{users}: nothing was changed; to delete their records: 'totpctl gc --forget --yes'"
            ),
        }
    }
}

fn without_account(users: usize) -> String {
    match users {
        1 => "1 user has no account on this machine".to_owned(),
        users => format!("{users} users have no account on this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_apart_from_what_would_be() {
        let gone = |users: &[&str], step, done, others| Gone {
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            step,
            done,
            others,
        };
        let told = |gone: Gone| gone.people().replace('\n', " ");
        let plan = told(gone(&["alice", "b\u{1b}ob"], Step::Disable, false, 1));
        assert!(plan.starts_with("alice b\\u{1b}ob 2 users have no account"));
        assert!(plan.contains("nothing was changed"), "{plan}");
        assert!(told(gone(&["alice"], Step::Disable, true, 0)).contains("disabled. "));
        assert!(told(gone(&["alice"], Step::Forget, true, 0)).contains("are deleted"));
        assert!(told(gone(&["a"], Step::Forget, false, 0)).contains("nothing was changed"));
        assert!(told(gone(&[], Step::Disable, true, 0)).starts_with("every user"));
        let before = told(gone(&[], Step::Disable, false, 2));
        assert!(before.contains("disabled before"), "{before}");
        assert!(told(gone(&[], Step::Forget, true, 1)).contains("not disabled yet"));
    }
}
