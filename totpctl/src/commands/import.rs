//! `import passlib`: reads records of passlib's `totp`, one per line, and sends each to the daemon.
//!
//! Each line is a call of its own, so that a bad line does not stop the others.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use common::secret::SecretText;
use common::wire::protocol::Import;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Context, concerns_all, names};
use crate::bounded_lines::{BoundedLines, Line, MAX_LINE};
use crate::cli::SamePerson;
use crate::exit::{Exit, Failure};
use crate::render::passlib::{ImportedLine, Imports, LineFailure};

/// Imports the lines of a file.
pub(super) fn passlib(
    context: &Context<'_>,
    path: &Path,
    allowed: Allowed,
) -> Result<Exit, Failure> {
    let unreadable = |error| unreadable(path, &error);
    let mut lines = BoundedLines::new(open(path).map_err(unreadable)?);
    let (mut number, mut tally) = (0_u64, Imports::default());
    while let Some(line) = lines.next().map_err(unreadable)? {
        number = number.saturating_add(1);
        let entry = match read(line) {
            Ok(None) => continue,
            Ok(Some(entry)) => entry,
            Err(failure) => {
                report_failure(context, &mut tally, number, None, &failure)?;
                continue;
            }
        };
        let user = entry.user.clone();
        match import(context, entry, allowed) {
            Ok(imported) => report(context, &mut tally, number, imported)?,
            Err(failure) if concerns_all(&failure) => return stop(context, &tally, failure),
            Err(failure) => report_failure(context, &mut tally, number, Some(user), &failure)?,
        }
    }
    summary(context, &tally)?;
    Ok(if tally.failed > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}

/// The file, or standard input for `-`.
fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    } else {
        File::open(path)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    }
}

/// What the administrator vouches for: the same person, and weak keys.
type Allowed = (SamePerson, bool);

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

/// Asks the daemon to import one record.
fn import(
    context: &Context<'_>,
    entry: Entry,
    (same_person, allow_weak): Allowed,
) -> Result<ImportedLine, Failure> {
    let user = names::user(&entry.user)?;
    let reply = context.daemon.call(&Import {
        user,
        device: entry.device,
        record: entry.record,
        allow_weak: allow_weak.then_some(true),
        same_person: same_person.said(),
    })?;
    Ok(ImportedLine {
        line: 0,
        user: reply.user,
        device: reply.device,
        imported: reply.imported,
    })
}

fn report(
    context: &Context<'_>,
    tally: &mut Imports,
    line: u64,
    imported: ImportedLine,
) -> Result<(), Failure> {
    let count = if imported.imported {
        &mut tally.imported
    } else {
        &mut tally.already_there
    };
    *count = count.saturating_add(1);
    let imported = ImportedLine { line, ..imported };
    if context.output.is_for_programs() {
        return context.output.line(&imported);
    }
    context.output.note(&imported.sentence());
    Ok(())
}

fn report_failure(
    context: &Context<'_>,
    tally: &mut Imports,
    line: u64,
    user: Option<String>,
    failure: &Failure,
) -> Result<(), Failure> {
    tally.failed = tally.failed.saturating_add(1);
    context.report(&LineFailure::new(Some(line), user, failure))
}

/// Notes how far the import came; the caller prints the failure itself.
fn stop(context: &Context<'_>, tally: &Imports, failure: Failure) -> Result<Exit, Failure> {
    if tally.imported > 0 || tally.already_there > 0 {
        context.output.note(&format!(
            "stopped after {tally}; to continue, import the same file again"
        ));
    }
    Err(failure)
}

/// Prints the summary; with `--json` to standard error.
fn summary(context: &Context<'_>, tally: &Imports) -> Result<(), Failure> {
    context.output.page(&format!("{tally}\n"))
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
