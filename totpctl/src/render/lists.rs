//! Prints the results of commands about lists of users: a row, a key, the summary.

use std::fmt;

use common::secret::SecretText;
use common::wire::protocol::TimedCodeReply;
use serde::Serialize;

use super::Enrolled;

/// What was done for a row.
#[derive(Debug, Serialize)]
pub(crate) struct Did {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// False: it was so before.
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<LeftAlone>,
    #[serde(flatten)]
    code: Option<IssuedTicket>,
}

/// Why nothing was done for a row, where it is worth a note.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeftAlone {
    Enrolled,
    HasTicket,
}

impl LeftAlone {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Enrolled => "was enrolled before, and needs no ticket",
            Self::HasTicket => "has an unused ticket; '--replace' issues a new one",
        }
    }
}

/// A ticket that was issued for a row.
#[derive(Debug, Serialize)]
struct IssuedTicket {
    code: SecretText,
    until: u64,
}

impl Did {
    pub(crate) fn now(user: String, device: Option<String>) -> Self {
        Self {
            user,
            device,
            changed: true,
            because: None,
            code: None,
        }
    }

    pub(crate) fn ticket(reply: TimedCodeReply) -> Self {
        let TimedCodeReply { user, code, until } = reply;
        Self {
            code: Some(IssuedTicket { code, until }),
            ..Self::now(user, None)
        }
    }

    pub(crate) fn nothing(user: String, because: LeftAlone) -> Self {
        Self {
            because: Some(because),
            ..Self::before(user, None)
        }
    }

    pub(crate) fn left_alone(&self) -> Option<LeftAlone> {
        self.because
    }

    /// Whether it shows a code, which is printed for people, too.
    pub(crate) fn has_code(&self) -> bool {
        self.code.is_some()
    }

    pub(crate) fn before(user: String, device: Option<String>) -> Self {
        Self {
            changed: false,
            ..Self::now(user, device)
        }
    }
}

/// A row for programs.
#[derive(Debug, Serialize)]
pub(crate) struct ListedRow {
    pub(crate) line: u64,
    #[serde(flatten)]
    pub(crate) did: Did,
}

/// A new device's key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyLine<'a> {
    user: &'a str,
    device: &'a str,
    key: &'a SecretText,
    uri: &'a SecretText,
}

impl<'a> KeyLine<'a> {
    pub(crate) fn of(new: &'a Enrolled) -> Self {
        Self {
            user: &new.user,
            device: &new.device,
            key: &new.key,
            uri: &new.uri,
        }
    }
}

/// A user's new recovery codes.
#[derive(Debug, Serialize)]
pub(crate) struct CodesLine {
    user: String,
    recovery_codes: Vec<SecretText>,
}

impl CodesLine {
    /// `None`: there are none.
    pub(crate) fn of(user: String, recovery_codes: Vec<SecretText>) -> Option<Self> {
        (!recovery_codes.is_empty()).then_some(Self {
            user,
            recovery_codes,
        })
    }
}

/// The summary: numbers of rows.
#[derive(Debug)]
pub(crate) struct Tally {
    words: [&'static str; 2],
    changed: u64,
    before: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// `words` say what is done to a user, and that nothing was left to do.
    pub(crate) fn new(words: [&'static str; 2]) -> Self {
        Self {
            words,
            changed: 0,
            before: 0,
            failed: 0,
        }
    }

    pub(crate) fn count(&mut self, did: &Did) {
        let count = if did.changed {
            &mut self.changed
        } else {
            &mut self.before
        };
        *count = count.saturating_add(1);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            words: [done, nothing],
            changed,
            before,
            failed,
        } = self;
        write!(f, "{changed} {done}, {before} {nothing}, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_so_before() {
        let mut tally = Tally::new(["enrolled", "enrolled before"]);
        for did in [
            Did::now("a".into(), None),
            Did::before("b".into(), None),
            Did::now("c".into(), None),
        ] {
            tally.count(&did);
        }
        tally.failed = 4;
        assert_eq!(tally.to_string(), "2 enrolled, 1 enrolled before, 4 failed");
    }
}
