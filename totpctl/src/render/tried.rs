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

    fn doctor(&self) -> String {
        format!(
            "'totpctl doctor {}' says what to do",
            argument(&self.service)
        )
    }

    fn let_in(&self) -> Option<String> {
        let user = printable(&self.user);
        Some(match &self.outcome {
            Outcome::LetInUnasked { lines } => format!(
                "let in without being asked: {}. {}",
                list(lines, "its files do not name pam_totp.so"),
                self.doctor()
            ),
            Outcome::LetInRefused { verdict, lines } => format!(
                "let in although the daemon said '{}': {}. {}",
                printable(verdict),
                list(lines, "no line of its files tells why"),
                self.doctor()
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
                "no user can get in: {} ({}). {}",
                list(lines, "libpam refuses"),
                printable(reason),
                self.doctor()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(outcome: Outcome) -> String {
        Tried::new("alice", "sshd", outcome).people()
    }

    fn lines() -> Vec<Line> {
        vec![Line {
            file: "/etc/pam.d/sshd".into(),
            line: 3,
        }]
    }

    #[test]
    fn every_outcome_begins_with_what_happened_and_names_its_line() {
        let text = String::new;
        for (outcome, beginning) in [
            (Outcome::AskedAndAccepted, "asked and accepted."),
            (
                Outcome::Exempt { rule: text() },
                "asked, and no code is needed",
            ),
            (
                Outcome::NeverEnrolled { lines: lines() },
                "let in without a code",
            ),
            (Outcome::CodeTypedFirst, "a code was typed"),
            (
                Outcome::LetInUnasked { lines: lines() },
                "let in without being asked: line 3 of /etc/pam.d/sshd",
            ),
            (
                Outcome::LetInRefused {
                    verdict: "rejected".to_owned(),
                    lines: lines(),
                },
                "let in although the daemon said 'rejected'",
            ),
            (
                Outcome::RefusedUnasked { reason: text() },
                "refused before the module was asked",
            ),
            (
                Outcome::Rejected {
                    verdict: "already_used".to_owned(),
                },
                "asked and refused: already_used",
            ),
            (
                Outcome::RefusedAfterwards { reason: text() },
                "the code was accepted, and another module refuses",
            ),
            (
                Outcome::NoWayIn {
                    reason: text(),
                    lines: lines(),
                },
                "no user can get in: line 3 of /etc/pam.d/sshd",
            ),
        ] {
            let sentence = told(outcome);
            assert!(
                sentence.starts_with(&format!("sshd: {beginning}")),
                "{sentence}"
            );
        }
        let without = told(Outcome::LetInUnasked { lines: Vec::new() });
        assert!(without.contains("do not name pam_totp.so"), "{without}");
        assert!(without.contains("'totpctl doctor sshd'"), "{without}");
    }
}
