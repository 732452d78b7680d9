//! Lists of users, for commands about many: a table (CSV) whose first row names the columns `user`
//! and, if wanted, `device`; or one JSON object a line, with the same members.

use csv::StringRecord;
use serde::Deserialize;

use crate::{BadFile, MAX_ENTRIES, MAX_LINE, Problem, table, text};

/// A row of the list.
#[derive(Debug)]
pub struct Row {
    /// The line that it stands in, counted from 1.
    pub line: u64,
    /// What it names, or why it is not taken.
    pub named: Result<Named, Problem>,
}

/// A user, and a device, if the row names one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Named {
    /// The account's name.
    pub user: String,
    /// The device's name.
    pub device: Option<String>,
}

/// Reads the rows.
///
/// # Errors
/// [`BadFile`]; a bad row is a row of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, BadFile> {
    let text = text(bytes)?;
    let rows = if text.trim_start().starts_with('{') {
        objects(text)
    } else {
        rows(text)?
    };
    match rows.len() {
        0 => Err(BadFile::Empty),
        1..=MAX_ENTRIES => Ok(rows),
        _ => Err(BadFile::TooMany),
    }
}

fn objects(text: &str) -> Vec<Row> {
    (1..)
        .zip(text.lines())
        .filter(|(_, object)| !object.trim().is_empty())
        .take(MAX_ENTRIES.saturating_add(1))
        .map(|(line, object)| Row {
            line,
            named: object_of(object),
        })
        .collect()
}

fn object_of(object: &str) -> Result<Named, Problem> {
    if object.len() > MAX_LINE {
        return Err(Problem::TooLong);
    }
    if !object.trim_start().starts_with('{') {
        return Err(Problem::Form(NO_OBJECT));
    }
    serde_json::from_str(object).map_err(|_| Problem::Form(NO_OBJECT))
}

fn rows(text: &str) -> Result<Vec<Row>, BadFile> {
    let mut reader = table::reader(text);
    let header = reader.headers().map_err(|_| BadFile::UserColumns)?;
    let columns: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let (user, device) = match *columns {
        ["user"] => (0, None),
        ["user", "device"] => (0, Some(1)),
        ["device", "user"] => (1, Some(0)),
        _ => return Err(BadFile::UserColumns),
    };
    let rows = reader.records().take(MAX_ENTRIES.saturating_add(1));
    Ok(rows
        .map(|row| {
            let line = row.as_ref().ok().and_then(StringRecord::position);
            let line = line.map_or(0, csv::Position::line);
            let named = row
                .map_err(|_| Problem::Form("the row is not CSV"))
                .and_then(|row| fields(&row, columns.len(), user, device));
            Row { line, named }
        })
        .collect())
}

fn fields(
    row: &StringRecord,
    columns: usize,
    user: usize,
    device: Option<usize>,
) -> Result<Named, Problem> {
    if row.len() != columns {
        return Err(Problem::Form(
            "the row has another number of fields than the first row",
        ));
    }
    if row.as_slice().len() > MAX_LINE {
        return Err(Problem::TooLong);
    }
    let field = |column| row.get(column).filter(|field| !field.is_empty());
    let user = field(user).ok_or(Problem::Form("the row names no user"))?;
    Ok(Named {
        user: user.to_owned(),
        device: device.and_then(field).map(str::to_owned),
    })
}

const NO_OBJECT: &str =
    "the line is not {\"user\":…}, with \"device\":… if wanted, each member once";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, Option<Named>)> {
        let rows = read(text.as_bytes()).unwrap();
        rows.into_iter()
            .map(|row| (row.line, row.named.ok()))
            .collect()
    }

    fn named(user: &str, device: Option<&str>) -> Option<Named> {
        Some(Named {
            user: user.to_owned(),
            device: device.map(str::to_owned),
        })
    }

    #[test]
    fn a_list_is_a_table_or_objects_and_a_bad_row_does_not_stop_the_others() {
        assert_eq!(
            rows("User; Device\nalice; phone\nbob;\ncarol\n;phone\n"),
            [
                (2, named("alice", Some("phone"))),
                (3, named("bob", None)),
                (4, None),
                (5, None)
            ]
        );
        assert_eq!(rows("user\nalice\n"), [(2, named("alice", None))]);
        assert_eq!(
            rows(
                "{\"user\":\"alice\"}\n\n{\"user\":\"bob\",\"device\":\"phone\"}\nbob\n{\"user\":\"x\",\"key\":\"y\"}\n{\"device\":\"z\"}\n"
            ),
            [
                (1, named("alice", None)),
                (3, named("bob", Some("phone"))),
                (4, None),
                (5, None),
                (6, None)
            ]
        );
    }

    #[test]
    fn a_table_without_its_first_row_is_refused() {
        for text in ["alice\nbob\n", "user,key\nalice,x\n", "user,user\n", ""] {
            assert_eq!(read(text.as_bytes()).unwrap_err(), BadFile::UserColumns);
        }
        assert_eq!(read(b"user\n").unwrap_err(), BadFile::Empty);
    }
}
