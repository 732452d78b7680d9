//! Prints the results of commands about lists of users: a row, a key, the summary.

use std::fmt;

use common::secret::SecretText;
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
}

impl Did {
    pub(crate) fn now(user: String, device: Option<String>) -> Self {
        Self {
            user,
            device,
            changed: true,
        }
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
    done: &'static str,
    changed: u64,
    before: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// `done` says what is done to a user, such as "enrolled".
    pub(crate) fn new(done: &'static str) -> Self {
        Self {
            done,
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
            done,
            changed,
            before,
            failed,
        } = self;
        write!(
            f,
            "{changed} {done}, {before} {done} before, {failed} failed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_so_before() {
        let mut tally = Tally::new("enrolled");
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
