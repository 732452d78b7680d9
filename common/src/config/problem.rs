//! Errors of settings and secrets files: the file, the problem, and the next step.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

use super::file::MAX_BYTES;
use super::secrets_file::DEFAULT_SECRETS;
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
    /// The system refuses to read it.
    #[error("cannot be read: {0}; check the file and its disk")]
    Unreadable(io::Error),
    /// There is none.
    #[error("cannot be read, because it does not exist: check its path")]
    Missing,
    /// The default file of secrets does not exist.
    #[error(
        "cannot be read, because it does not exist: put your copy of it back. If no user has a device yet, make it as root: \
         (umask 077; provisiond --new-secret > {DEFAULT_SECRETS})"
    )]
    NoSecrets,
    /// This process may not read it.
    #[error(
        "cannot be read by uid {0}: let the daemon's group read it ('chgrp _pam-totp', 'chmod 640'), or, if that is not the \
         daemon's uid, run this as root; where AppArmor confines provisiond, the file must lie below /etc/pam-totp"
    )]
    Forbidden(Uid),
    /// A symbolic link, which an attacker could redirect.
    #[error("is a symbolic link: give the path of the file itself")]
    Link,
    /// A folder, a device, a pipe.
    #[error("is not a regular file: give the path of one")]
    NotAFile,
    /// This process may not read the default file of secrets, and need not: root does.
    #[error(
        "cannot be read by uid {0}: root reads it for the daemon, so run this as root. A daemon that neither systemd nor \
         root starts reads it itself: run 'chgrp _pam-totp' and 'chmod 640' on it"
    )]
    RootsSecrets(Uid),
    /// Other users can replace the file.
    #[error(
        "lies in a folder in which other users can replace it: run 'chown root' and 'chmod go-w' on {}", .0.display()
    )]
    Folder(PathBuf),
    /// A file of another user.
    #[error("belongs to uid {found}: run 'chown root' on it")]
    Owner {
        /// The uid of its owner.
        found: u32,
    },
    /// Another program writes it.
    #[error("is being changed: write the new text to another file and rename that, then try again")]
    Changing,
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
    /// Not valid YAML, or not these settings.
    #[error("{0}; pam-totp-settings(5) describes every setting")]
    Yaml(String),
    /// A key that stands twice in one section, or a section that stands twice.
    #[error(
        "line {line}: '{key}' is repeated, and is on line {first} already: keep one, with the settings of both"
    )]
    Repeated {
        /// The key.
        key: String,
        /// Its line.
        line: usize,
        /// The line on which it stands first.
        first: usize,
    },
    /// A tag of a secret that stands twice.
    #[error(
        "line {line}: a tag of the application secrets is repeated, and is on line {first} already: give each secret a tag \
         of its own"
    )]
    RepeatedTag {
        /// Its line.
        line: usize,
        /// The line on which it stands first.
        first: usize,
    },
    /// A value out of its bounds.
    #[error("'{key}': {why}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// The reason, in a sentence.
        why: String,
    },
    /// The same section in two places.
    #[error(
        "has the settings of 'totp' in more than one place ('totp', 'AUTHC_CONFIG', 'context'): keep one of them"
    )]
    TotpTwice,
    /// The settings of a relay, where a store or secrets are needed.
    #[error(
        "is the settings file of a relay ('provisiond.upstream'), which has no store and no application secret: run this on a \
         verifier"
    )]
    OfARelay,
    /// A section that a relay would ignore.
    #[error(
        "has '{0}' beside 'provisiond.upstream': a relay judges no code and keeps no record, so remove '{0}' here, and set it \
         on the verifiers"
    )]
    UnusedByARelay(&'static str),
    /// Secrets in the settings and a path to others.
    #[error("has both 'secrets' and 'secrets-path': keep one of them")]
    SecretsTwice,
    /// The secrets themselves.
    #[error(transparent)]
    Secrets(#[from] BadSecrets),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::PermissionDenied => Self::Forbidden(geteuid()),
            _ => Self::Unreadable(error),
        }
    }
}

/// Names the file in an error.
pub(super) trait At<T> {
    fn at(self, path: &Path) -> Result<T, ConfigError>;
}

impl<T, E: Into<Problem>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, ConfigError> {
        self.map_err(|e| ConfigError {
            path: path.to_owned(),
            problem: e.into(),
        })
    }
}

impl From<(&'static str, String)> for Problem {
    /// A setting, and the problem with its value.
    fn from((key, why): (&'static str, String)) -> Self {
        Self::Value { key, why }
    }
}

pub(super) fn within<N: PartialOrd + fmt::Display>(
    key: &'static str,
    value: N,
    low: N,
    high: N,
) -> Result<N, Problem> {
    if value < low || value > high {
        return Err(bad(key, format!("{value} is not between {low} and {high}")));
    }
    Ok(value)
}

pub(super) fn bad(key: &'static str, why: impl ToString) -> Problem {
    Problem::Value {
        key,
        why: why.to_string(),
    }
}
