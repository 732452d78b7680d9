//! A finding: how bad, where, what it is, and what to do.

use std::fmt;
use std::path::PathBuf;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)
    }
}

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A login can succeed without a code that is due.
    Hole,
    /// No login, or not every login that should succeed, can succeed.
    LockOut,
    /// Something weakens the protection, or will fail one day.
    Warning,
    /// Worth knowing; nothing has to be done.
    Note,
}

impl Severity {
    /// The word for it, in text and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::LockOut => "lock-out",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something that an administrator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of finding, for programs. Frozen once released.
    pub kind: &'static str,
    /// The line that causes it, if it is one.
    pub place: Option<Place>,
    /// What is wrong: a sentence without its full stop.
    pub what: String,
    /// What to do: a sentence without its full stop.
    pub next_step: String,
}
