//! Prints the results of `import passlib` and `export passlib`: one line per record, and the
//! summary.

use std::fmt;

use common::secret::SecretText;
use common::wire::protocol::ExportedRecord;
use common::wire::text::printable;
use serde::Serialize;

use crate::exit::Failure;

/// A line that the daemon imported, or whose device existed already.
#[derive(Debug, Serialize)]
pub(crate) struct ImportedLine {
    pub(crate) line: u64,
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) imported: bool,
}

impl ImportedLine {
    /// The text for people.
    pub(crate) fn sentence(&self) -> String {
        let (user, device) = (printable(&self.user), printable(&self.device));
        let what = if self.imported {
            "imported as device"
        } else {
            "exists already as device"
        };
        format!("line {}: {user}: {what} '{device}'", self.line)
    }
}

/// A line that could not be imported, or a user that could not be exported.
#[derive(Debug, Serialize)]
pub(crate) struct LineFailure {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    user: Option<String>,
    error: Reason,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

impl LineFailure {
    /// The line or user, and the error. No error message contains a record.
    pub(crate) fn new(line: Option<u64>, user: Option<String>, failure: &Failure) -> Self {
        Self {
            line,
            user,
            error: Reason {
                code: failure.code().0,
                message: failure.to_string(),
            },
        }
    }

    /// The text for people.
    pub(crate) fn sentence(&self) -> String {
        let line = self
            .line
            .map(|line| format!("line {line}: "))
            .unwrap_or_default();
        let user = self
            .user
            .as_deref()
            .map(|user| format!("{}: ", printable(user)))
            .unwrap_or_default();
        // Word by word, because `printable` shortens long texts.
        let message: Vec<String> = self.error.message.split(' ').map(printable).collect();
        format!("{line}{user}{}", message.join(" "))
    }
}

/// The summary of an import: numbers of lines.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    pub(crate) imported: u64,
    pub(crate) already_there: u64,
    pub(crate) failed: u64,
}

impl fmt::Display for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} imported, {} existed already, {} failed",
            self.imported, self.already_there, self.failed
        )
    }
}

/// An exported device, in the format of `import passlib`.
#[derive(Debug, Serialize)]
pub(crate) struct ExportedLine<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    record: &'a SecretText,
}

impl<'a> ExportedLine<'a> {
    /// A user's device. The name `default` is left out: an import chooses it itself.
    pub(crate) fn new(user: &'a str, exported: &'a ExportedRecord) -> Self {
        let device = Some(exported.device.as_str()).filter(|device| *device != "default");
        Self {
            user,
            device,
            record: &exported.record,
        }
    }
}

#[cfg(test)]
mod tests {
    use common::wire::client::ClientError;
    use common::wire::protocol::Error;

    use super::super::json;
    use super::*;

    fn object(result: &impl Serialize) -> String {
        String::from_utf8(json(result).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn each_line_is_told_to_people_and_programs() {
        let mut line = ImportedLine {
            line: 3,
            user: "al\nice".into(),
            device: "default".into(),
            imported: true,
        };
        assert_eq!(
            line.sentence(),
            "line 3: al\\nice: imported as device 'default'"
        );
        assert_eq!(
            object(&line),
            "{\"line\":3,\"user\":\"al\\nice\",\"device\":\"default\",\"imported\":true}\n"
        );
        line.imported = false;
        assert_eq!(
            line.sentence(),
            "line 3: al\\nice: exists already as device 'default'"
        );
    }

    #[test]
    fn a_failure_names_its_line_and_its_user() {
        let refused = Failure::from(ClientError::from(Error::bad(
            "record",
            "the sealed key does not open",
        )));
        let failed = LineFailure::new(Some(2), Some("bob".into()), &refused);
        assert_eq!(
            failed.sentence(),
            "line 2: bob: the sealed key does not open"
        );
        assert_eq!(
            object(&failed),
            "{\"line\":2,\"user\":\"bob\",\"error\":{\"code\":\"bad_parameter\",\
             \"message\":\"the sealed key does not open\"}}\n"
        );
        let unread = LineFailure::new(Some(7), None, &Failure::BadRecord("no\nrecord".into()));
        assert_eq!(unread.sentence(), "line 7: no\\nrecord");
        assert!(object(&unread).starts_with("{\"line\":7,\"user\":null,\"error\":"));
        let missing = LineFailure::new(
            None,
            Some("carol".into()),
            &ClientError::from(Error::NoSuchUser).into(),
        );
        assert!(
            missing.sentence().starts_with("carol: "),
            "{}",
            missing.sentence()
        );
    }

    #[test]
    fn an_exported_line_is_what_an_import_takes() {
        let exported = |device: &str| ExportedRecord {
            device: device.to_owned(),
            record: SecretText::new("{\"type\":\"totp\"}".to_owned()),
        };
        assert_eq!(
            object(&ExportedLine::new("alice", &exported("default"))),
            "{\"user\":\"alice\",\"record\":\"{\\\"type\\\":\\\"totp\\\"}\"}\n"
        );
        assert_eq!(
            object(&ExportedLine::new("alice", &exported("phone"))),
            "{\"user\":\"alice\",\"device\":\"phone\",\"record\":\"{\\\"type\\\":\\\"totp\\\"}\"}\n"
        );
    }

    #[test]
    fn the_summary_counts() {
        let tally = Imports {
            imported: 997,
            already_there: 2,
            failed: 1,
        };
        assert_eq!(
            tally.to_string(),
            "997 imported, 2 existed already, 1 failed"
        );
    }
}
