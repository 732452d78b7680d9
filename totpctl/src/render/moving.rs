//! Prints the results of `import` and `export`: one line per entry, and the summary.

use std::fmt;

use common::secret::SecretText;
use common::wire::protocol::ExportedRecord;
use common::wire::text::printable;
use serde::Serialize;

use crate::exit::Failure;

/// Where an entry stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// In this line of the file.
    Line(u64),
    /// The entry of this number in the file.
    Entry(u64),
    /// In this file.
    File(String),
}

impl Place {
    /// A sentence about it.
    pub(crate) fn of(&self, user: Option<&str>, sentence: &str) -> String {
        let user = user.map(|user| format!("{}: ", printable(user)));
        format!("{self}: {}{sentence}", user.unwrap_or_default())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Entry(number) => write!(f, "entry {number}"),
            Self::File(path) => write!(f, "{}", printable(path)),
        }
    }
}

impl From<import::Place> for Place {
    fn from(place: import::Place) -> Self {
        match place {
            import::Place::Line(number) => Self::Line(number),
            import::Place::Entry(number) => Self::Entry(number),
        }
    }
}

/// An entry that the daemon imported, or whose device existed already.
#[derive(Debug, Serialize)]
pub(crate) struct ImportedEntry {
    #[serde(flatten)]
    pub(crate) place: Place,
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) imported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_codes: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
}

impl ImportedEntry {
    /// The text for people.
    pub(crate) fn sentence(&self) -> String {
        let what = match (self.imported, self.dry_run) {
            (true, false) => "imported as device",
            (true, true) => "would be imported as device",
            (false, _) => "exists already as device",
        };
        let sentence = format!("{what} '{}'", printable(&self.device));
        self.place.of(Some(&self.user), &sentence)
    }
}

/// An entry that could not be imported, or a user that could not be exported.
#[derive(Debug, Serialize)]
pub(crate) struct LineFailure {
    #[serde(flatten)]
    place: Option<Place>,
    user: Option<String>,
    error: Reason,
}

/// Why something failed.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    code: &'static str,
    message: String,
}

impl Reason {
    pub(crate) fn of(failure: &Failure) -> Self {
        Self {
            code: failure.code().0,
            message: failure.to_string(),
        }
    }
}

impl LineFailure {
    /// The place or user, and the error. No error message contains a record.
    pub(crate) fn new(place: Option<Place>, user: Option<String>, failure: &Failure) -> Self {
        Self {
            place,
            user,
            error: Reason::of(failure),
        }
    }

    /// The text for people.
    pub(crate) fn sentence(&self) -> String {
        // Word by word, because `printable` shortens long texts.
        let message: Vec<String> = self.error.message.split(' ').map(printable).collect();
        let (user, message) = (self.user.as_deref(), message.join(" "));
        match (&self.place, user) {
            (Some(place), user) => place.of(user, &message),
            (None, Some(user)) => format!("{}: {message}", printable(user)),
            (None, None) => message,
        }
    }
}

/// The summary of an import: numbers of entries.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    pub(crate) imported: u64,
    pub(crate) already_there: u64,
    /// Users that were enrolled before, with another key.
    pub(crate) left: u64,
    pub(crate) failed: u64,
    /// Nothing was changed.
    pub(crate) dry_run: bool,
}

impl fmt::Display for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            f.write_str("nothing was changed; without --dry-run: ")?;
        }
        write!(
            f,
            "{} imported, {} existed already, ",
            self.imported, self.already_there
        )?;
        if self.left > 0 {
            write!(f, "{} left as they are, ", self.left)?;
        }
        write!(f, "{} failed", self.failed)
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
        let mut line = ImportedEntry {
            place: Place::Line(3),
            user: "al\nice".into(),
            device: "default".into(),
            imported: true,
            recovery_codes: None,
            dry_run: false,
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
        let failed = LineFailure::new(Some(Place::Line(2)), Some("bob".into()), &refused);
        assert_eq!(
            failed.sentence(),
            "line 2: bob: the sealed key does not open"
        );
        assert_eq!(
            object(&failed),
            "{\"line\":2,\"user\":\"bob\",\"error\":{\"code\":\"bad_parameter\",\
             \"message\":\"the sealed key does not open\"}}\n"
        );
        let unread = LineFailure::new(
            Some(Place::Line(7)),
            None,
            &Failure::BadRecord("no\nrecord".into()),
        );
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
            ..Imports::default()
        };
        assert_eq!(
            tally.to_string(),
            "997 imported, 2 existed already, 1 failed"
        );
        let tally = Imports {
            left: 3,
            dry_run: true,
            ..tally
        };
        assert_eq!(
            tally.to_string(),
            "nothing was changed; without --dry-run: 997 imported, 2 existed already, 3 left as they are, 1 failed"
        );
    }
}
