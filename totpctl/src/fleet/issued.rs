//! The authority's list of the certificates that it has signed: a line of JSON each, at the end.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Purpose, Signed};
use crate::exit::Failure;
use crate::new_file::PrivateLog;

/// A certificate that was signed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) role: Purpose,
    pub(crate) names: Vec<String>,
    /// When it ends, in Unix seconds.
    pub(crate) until: u64,
    pub(crate) fingerprint: String,
}

impl Issued {
    pub(super) fn of(purpose: Purpose, names: &[String], signed: &Signed) -> Self {
        Self {
            role: purpose,
            names: names.to_vec(),
            until: signed.until,
            fingerprint: signed.fingerprint.clone(),
        }
    }

    /// Whether both are certificates of one machine: its first name is the machine's.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        self.role == other.role && self.names.first() == other.names.first()
    }

    /// Everything in the list of that folder.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>, Failure> {
        let path = folder.join(FILE);
        let failed = |problem: String| Failure::File {
            path: path.clone(),
            problem,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(format!("cannot be read: {error}"))),
        };
        let line = |(number, line): (usize, &str)| {
            let number = number.saturating_add(1);
            serde_json::from_str(line)
                .map_err(|error| failed(format!("line {number} is damaged: {error}")))
        };
        text.lines().enumerate().map(line).collect()
    }

    pub(super) fn append_to(&self, folder: &Path) -> Result<(), Failure> {
        let mut list = PrivateLog::open(&folder.join(FILE))?;
        list.append(&crate::render::json(self)?)?;
        list.keep()
    }
}

const FILE: &str = "issued";
