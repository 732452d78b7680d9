//! `import passlib`: reads records of passlib's `totp`, one per line, and sends each to the daemon.
//!
//! Each line is a call of its own, so that a bad line does not stop the others.

use std::path::Path;

use common::secret::SecretText;
use common::wire::protocol::Import;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Candidate, Moving, open, unreadable};
use crate::bounded_lines::{BoundedLines, Line, MAX_LINE};
use crate::cli::ImportOptions;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::render::moving::Place;

/// Imports the lines of a file.
pub(super) fn import(
    context: &Context<'_>,
    path: &Path,
    how: ImportOptions,
) -> Result<Exit, Failure> {
    let mut lines = BoundedLines::new(open(path)?);
    let (mut number, mut moving) = (0_u64, Moving::new(context, how));
    while let Some(line) = lines.next().map_err(|error| unreadable(path, &error))? {
        number = number.saturating_add(1);
        if let Some(entry) = read(line).transpose() {
            moving.entry(candidate(Place::Line(number), entry))?;
        }
    }
    moving.end()
}

fn candidate(place: Place, entry: Result<Entry, Failure>) -> Candidate {
    let user = entry.as_ref().ok().map(|entry| entry.user.clone());
    let call = entry.map(|entry| Import {
        user: entry.user,
        device: entry.device,
        record: Some(entry.record),
        ..Import::default()
    });
    Candidate {
        place,
        user,
        scratch_codes: 0,
        lists_spent: false,
        call,
    }
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct RawEntry<'a> {
    user: String,
    device: Option<String>,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// A user's record, as totpctl sends it.
#[derive(Debug)]
struct Entry {
    user: String,
    device: Option<String>,
    record: SecretText,
}

/// Parses a line; `None` if it is empty. No error message repeats a part of the line: it holds a
/// key.
fn read(line: Line) -> Result<Option<Entry>, Failure> {
    let Line::Whole(line) = line else {
        return Err(Failure::BadRecord(format!(
            "the line is longer than {MAX_LINE} bytes: no record is that long"
        )));
    };
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let bad = |column: usize| Failure::BadRecord(format!("column {column}: {NO_ENTRY}"));
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad(1));
    }
    let raw: RawEntry<'_> = serde_json::from_slice(&line).map_err(|error| bad(error.column()))?;
    let record = match raw.record.get().as_bytes().first() {
        Some(b'{') => SecretText::new(raw.record.get().to_owned()),
        Some(b'"') => {
            serde_json::from_str(raw.record.get()).map_err(|error| bad(error.column()))?
        }
        _ => {
            return Err(Failure::BadRecord(
                "'record' is neither an object nor a string".to_owned(),
            ));
        }
    };
    if record.expose().len() > MAX_RECORD {
        return Err(Failure::BadRecord(format!(
            "the record is longer than {MAX_RECORD} bytes: no record is that long"
        )));
    }
    Ok(Some(Entry {
        user: raw.user,
        device: raw.device,
        record,
    }))
}

/// The longest record, in bytes: with every byte escaped, it still fits into a message of the
/// protocol.
const MAX_RECORD: usize = 10 * 1024;
const NO_ENTRY: &str =
    "the line is not {\"user\":…,\"record\":…}, with \"device\":… if wanted, each member once";

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const RECORD: &str = r#"{"key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","type":"totp","v":1}"#;

    fn entry(line: &str) -> Result<Option<Entry>, Failure> {
        read(Line::Whole(Zeroizing::new(line.as_bytes().to_vec())))
    }

    #[test]
    fn a_record_is_an_object_or_a_text_that_holds_one() {
        let quoted = serde_json::to_string(RECORD).unwrap();
        for record in [RECORD, &quoted] {
            let entry = entry(&format!("{{\"user\":\"alice\",\"record\":{record}}}\r"))
                .unwrap()
                .unwrap();
            assert_eq!(
                (entry.user.as_str(), entry.record.expose()),
                ("alice", RECORD),
                "byte for byte"
            );
            assert!(entry.device.is_none());
        }
        let named = entry(&format!(
            "{{\"record\":{RECORD},\"device\":\"phone\",\"user\":\"bob\"}}"
        ))
        .unwrap()
        .unwrap();
        assert_eq!(named.device.as_deref(), Some("phone"));
        let uri = entry(r#"{"user":"carol","record":"otpauth://totp/carol?secret=x"}"#)
            .unwrap()
            .unwrap();
        assert_eq!(uri.record.expose(), "otpauth://totp/carol?secret=x");
    }

    #[test]
    fn empty_lines_are_nothing() {
        for line in ["", " ", "\t\r"] {
            assert!(entry(line).unwrap().is_none());
        }
    }

    #[test]
    fn a_bad_line_is_refused_and_not_shown() {
        let long = format!("{{\"user\":\"a\",\"record\":\"{}\"}}", "GEZD".repeat(3000));
        for line in [
            "GEZDGNBVGY3TQOJQ",
            "[\"alice\",null,{\"key\":\"GEZDGNBVGY3TQOJQ\"}]",
            "{\"user\":\"GEZDGNBVGY3TQOJQ\"",
            "{\"user\":\"alice\"}",
            "{\"record\":\"GEZDGNBVGY3TQOJQ\"}",
            "{\"user\":\"alice\",\"record\":12345}",
            "{\"user\":\"alice\",\"record\":\"a\",\"GEZDGNBVGY3TQOJQ\":1}",
            "{\"user\":\"alice\",\"user\":\"GEZDGNBVGY3TQOJQ\",\"record\":\"a\"}",
            "{\"user\":\"alice\",\"record\":\"GEZDGNBVGY3TQOJQ\"} {}",
            "{\"user\":\"alice\",\"record\":\"\\ud800GEZDGNBVGY3TQOJQ\"}",
            &long,
        ] {
            let failure = entry(line).unwrap_err();
            assert_eq!(failure.code(), ("bad_record", Exit::BadInput), "{line}");
            assert!(
                !failure.to_string().contains("GEZD") && !failure.to_string().contains("12345"),
                "{failure}"
            );
        }
        assert!(
            read(Line::TooLong)
                .unwrap_err()
                .to_string()
                .contains("65536")
        );
    }
}
