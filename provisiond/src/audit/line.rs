//! The builder of any log line, whatever its fields: event name, severity, quotation, and the share of
//! the log that it takes.

use std::fmt::Display;

use common::wire::event::{Event, Fields, Severity};
use common::wire::text::cut;

/// One line: an event and its fields.
#[derive(Clone, Debug)]
pub struct Line {
    event: &'static str,
    fields: Fields,
    severity: Severity,
    share: Option<Share>,
}

/// Whose doing a line is. Each share has its own part of the log's queue, so that no caller's lines
/// keep those of a caller with more rights out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// The daemon itself, and root's processes.
    Root,
    /// Administrators and the helpdesk.
    Staff,
    /// Verifiers.
    Verifier,
    /// Refused attempts of accounts at programs of root's, which no login depends on.
    Refused,
    /// Refused attempts of accounts that a verifier asked about.
    RefusedByVerifier,
    /// Processes that act on their own account.
    Own,
    /// Processes that may not make their call, and refused attempts of names without an account.
    Stranger,
}

impl Share {
    /// How many of its lines may wait. What the others leave is root's.
    pub(super) const fn most(self) -> usize {
        match self {
            Self::Root => QUEUE,
            // All lines that they may write in a minute about their calls: no burst loses one.
            Self::Own | Self::Stranger => 300,
            Self::Refused => 256,
            Self::Verifier => 128,
            Self::Staff | Self::RefusedByVerifier => 64,
        }
    }

    /// So many waiting lines wake the thread that writes them.
    pub(super) const fn half(self) -> usize {
        self.most() / 2
    }
}

/// Lines that may wait. A line takes well under a kilobyte.
pub(super) const QUEUE: usize = 2048;

impl Line {
    /// Begins a line.
    #[must_use]
    pub fn new(event: &'static str) -> Self {
        Self {
            event,
            fields: Fields::default(),
            severity: Severity::Info,
            share: None,
        }
    }

    /// Says whose doing the line is, unless that was said before.
    #[must_use]
    pub fn of(mut self, share: Share) -> Self {
        self.share.get_or_insert(share);
        self
    }

    pub(super) fn share(&self) -> Share {
        self.share.unwrap_or(Share::Root)
    }

    /// Adds a field. A value that is too long is cut.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.fields.0.push((key.to_owned(), cut(value.to_string())));
        self
    }

    /// Adds a field, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Marks a refusal, or an event that an administrator should look at.
    #[must_use]
    pub fn warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// Marks a failure of the daemon itself.
    #[must_use]
    pub fn error(self) -> Self {
        Self {
            severity: Severity::Error,
            ..self
        }
    }

    /// The finished event. `time` is Unix seconds.
    #[must_use]
    pub fn at(self, time: u64, number: u64) -> Event {
        Event {
            time,
            number,
            event: self.event.to_owned(),
            severity: self.severity,
            fields: self.fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threat_model_has_these_shares_of_the_queue() {
        let [strangers, own, staff, verifiers, by_verifiers, refused] = [
            Share::Stranger,
            Share::Own,
            Share::Staff,
            Share::Verifier,
            Share::RefusedByVerifier,
            Share::Refused,
        ]
        .map(Share::most);
        let roots = QUEUE - strangers - own - staff - verifiers - by_verifiers - refused;
        let row = format!(
            "| log lines that wait, of 2,048 | {strangers} | {own} | verifiers {verifiers}, and {by_verifiers} for \
             attempts that they refuse; administrators and the helpdesk {staff} | at least {roots}; \
             refused attempts {refused} |"
        );
        assert!(QUEUE == 2048 && THREAT_MODEL.contains(&row), "{row}");
    }

    const THREAT_MODEL: &str = include_str!("../../../docs/threat-model.md");

    #[test]
    fn a_line_tells_what_it_was_given() {
        let line = Line::new("verify")
            .with("user", "alice")
            .with_some("tty", None::<&str>)
            .with("uid", 0)
            .warning();
        assert_eq!(
            line.clone().at(7, 8).text(),
            "event=verify user=alice uid=0"
        );
        assert_eq!(line.at(7, 8).severity, Severity::Warning);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let told = |user: String| Line::new("verify").with("user", user).at(7, 8).text();
        assert_eq!(
            told("x".repeat(65536)),
            format!("event=verify user=\"{}…\"", "x".repeat(256))
        );
        assert_eq!(
            told("é".repeat(65536)),
            format!("event=verify user=\"{}…\"", "é".repeat(128))
        );
    }
}
