//! A settings or secrets file that cannot be used: which, what is wrong with it, and the next step.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::MAX_BYTES;
use crate::secrets::BadSecrets;

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ConfigError {
    path: PathBuf,
    problem: Problem,
}

/// What is wrong with a file, and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The system does not let us read it.
    #[error("cannot be read: {0}; check that it exists and that the daemon's user may read it")]
    Unreadable(#[from] std::io::Error),
    /// A link, which somebody could turn round.
    #[error("is a symbolic link: give the path of the file itself")]
    Link,
    /// A folder, a device, a pipe.
    #[error("is not a regular file: give the path of one")]
    NotAFile,
    /// Somebody else's.
    #[error("belongs to uid {found}: run 'chown root' on it")]
    Owner {
        /// Whose it is.
        found: u32,
    },
    /// Others could have written it.
    #[error("its group or other users can write to it: run 'chmod go-w' on it")]
    Writable,
    /// Others can read the secrets in it.
    #[error("holds secrets and every user can read it: run 'chmod o=' on it")]
    Readable,
    /// Larger than any settings.
    #[error("is larger than {MAX_BYTES} bytes: check that it is the right file")]
    TooLarge,
    /// Not UTF-8.
    #[error("is not UTF-8 text: check that it is the right file")]
    NotText,
    /// Not the settings that it should be.
    #[error("{0}; pam-totp-settings(5) describes every setting")]
    Yaml(String),
    /// A value out of its bounds.
    #[error("'{key}': {why}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Why not, in a sentence.
        why: String,
    },
    /// The same section in two places.
    #[error("has the settings of 'totp' in more than one place ('totp', 'AUTHC_CONFIG', 'context'): keep one of them")]
    TotpTwice,
    /// Secrets in the settings and a path to others.
    #[error("has both 'secrets' and 'secrets-path': keep one of them")]
    SecretsTwice,
    /// The secrets themselves.
    #[error(transparent)]
    Secrets(#[from] BadSecrets),
}

/// Names the file in an error.
pub(super) trait At<T> {
    fn at(self, path: &Path) -> Result<T, ConfigError>;
}

impl<T, E: Into<Problem>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, ConfigError> {
        self.map_err(|e| ConfigError { path: path.to_owned(), problem: e.into() })
    }
}

impl From<(&'static str, String)> for Problem {
    /// A setting and what is wrong with its value, as the sections say it.
    fn from((key, why): (&'static str, String)) -> Self {
        Self::Value { key, why }
    }
}

pub(super) fn within<N: PartialOrd + fmt::Display>(key: &'static str, value: N, low: N, high: N) -> Result<N, Problem> {
    if value < low || value > high {
        return Err(bad(key, format!("{value} is not between {low} and {high}")));
    }
    Ok(value)
}

pub(super) fn bad(key: &'static str, why: impl ToString) -> Problem {
    Problem::Value { key, why: why.to_string() }
}
