//! The result of `try`: one sentence that begins with what happened, and the next step.

use common::wire::text::printable;
use serde::Serialize;

use super::Render;
use crate::exit::Exit;
use crate::stack_try::{Line, Outcome};
use crate::table::wrapped;
use crate::verdicts::argument;

/// What `try` found.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    user: String,
    service: String,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Tried {
    /// The outcome for a user at a service.
    pub(crate) fn new(user: &str, service: &str, outcome: Outcome) -> Self {
        Self {
            user: user.to_owned(),
            service: service.to_owned(),
            outcome,
        }
    }

    /// Exit code 1: the stack does not do what it is for, or the code was not accepted.
    pub(crate) fn exit(&self) -> Exit {
        match self.outcome.is_good() {
            true => Exit::Done,
            false => Exit::Refused,
        }
    }

    fn let_in(&self) -> Option<String> {
        let user = printable(&self.user);
        Some(match &self.outcome {
            Outcome::LetInUnasked { lines } => format!(
                "let in without being asked: {}. {DOCTOR}",
                list(lines, "no line of the files tells why")
            ),
            Outcome::LetInRefused { verdict, lines } => format!(
                "let in although the daemon said '{}': {}. {DOCTOR}",
                printable(verdict),
                list(lines, "no line of the files tells why")
            ),
            Outcome::NeverEnrolled { lines } => format!(
                "let in without a code: {user} was never enrolled, and 'nullok' lets such users in, {}. To see {user} \
                 asked, run 'totpctl enroll {}' first",
                list(lines, ""),
                argument(&self.user)
            ),
            Outcome::Exempt { rule } => format!(
                "asked, and no code is needed: the daemon's settings exempt {user} (rule '{}')",
                printable(rule)
            ),
            Outcome::AskedAndAccepted => {
                format!("asked and accepted. Without a code {user} was refused; the code is spent")
            }
            _ => return None,
        })
    }

    fn refused(&self) -> String {
        match &self.outcome {
            Outcome::CodeTypedFirst => {
                "a code was typed in the play that must go without one, and it is spent. \
                Run the command again, and leave the code empty the first time"
                    .to_owned()
            }
            Outcome::RefusedUnasked { reason } => format!(
                "refused before the module was asked: {}. A wrong password ends a login like that; \
                 'journalctl -t totpctl' has what the modules say",
                printable(reason)
            ),
            Outcome::Rejected { verdict } => format!(
                "asked and refused: {}. 'totpctl why {}' says why; a wrong code costs a guess",
                printable(verdict),
                argument(&self.user)
            ),
            Outcome::RefusedAfterwards { reason } => format!(
                "the code was accepted, and another module refuses: {}. 'journalctl -t totpctl' has what the modules \
                 say; the code is spent",
                printable(reason)
            ),
            Outcome::NoWayIn { reason, lines } => format!(
                "no user can get in: {} ({}). {DOCTOR}",
                list(lines, "libpam refuses"),
                printable(reason)
            ),
            _ => String::new(),
        }
    }
}

impl Render for Tried {
    fn people(&self) -> String {
        let told = self.let_in().unwrap_or_else(|| self.refused());
        wrapped(&format!("{}: {told}.", printable(&self.service)), "")
    }
}

/// `line 3 of /etc/pam.d/sshd`, for each line.
fn list(lines: &[Line], none: &str) -> String {
    let told = lines.iter().map(|line| {
        let file = line.file.to_string_lossy();
        format!("line {} of {}", line.line, printable(&file))
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => none.to_owned(),
        false => told.join(", "),
    }
}

const DOCTOR: &str = "'totpctl doctor' with the name of the service says what to do";
