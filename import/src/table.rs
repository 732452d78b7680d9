//! Tables of users and keys (CSV, RFC 4180): the first row names the columns. Commas or semicolons
//! separate the fields, as the first row does.

use common::lineage::uri;
use common::secret::Key;
use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use crate::entry::{filled, number, parameters};
use crate::{BadFile, Entry, Item, MAX_LINE, Problem, text, within_limits};

/// Reads the rows. In the column `key`, a base32 key or an `otpauth://` URI may stand.
///
/// # Errors
/// [`BadFile`]; a bad row is an item of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    let mut reader = reader(text(bytes)?);
    let columns = Columns::of(reader.headers().map_err(|_| BadFile::Columns)?)?;
    let mut items = Vec::new();
    for row in reader.records() {
        let line = row.as_ref().ok().and_then(StringRecord::position);
        let line = line.map_or(0, csv::Position::line);
        let row = row.map_err(|_| Problem::Form("the row is not CSV"));
        items.push(Item::at_line(line, row.and_then(|row| columns.entry(&row))));
        if items.len() > crate::MAX_ENTRIES {
            break;
        }
    }
    within_limits(items)
}

/// A reader of a table whose first row names the columns.
pub(crate) fn reader(text: &str) -> Reader<&[u8]> {
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') { b';' } else { b',' };
    ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// The names of the columns, in their order.
struct Columns(Vec<String>);

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, BadFile> {
        let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
        let known = names.iter().all(|name| KNOWN.contains(&name.as_str()));
        let once = (1..)
            .zip(&names)
            .all(|(after, name)| !names.iter().skip(after).any(|other| other == name));
        let needed = ["user", "key"].map(|needed| names.iter().any(|name| name == needed));
        if known && once && needed == [true, true] {
            Ok(Self(names))
        } else {
            Err(BadFile::Columns)
        }
    }

    fn field<'a>(&self, row: &'a StringRecord, name: &str) -> Option<&'a str> {
        let column = self.0.iter().position(|column| column == name)?;
        filled(row.get(column))
    }

    fn entry(&self, row: &StringRecord) -> Result<Entry, Problem> {
        if row.len() != self.0.len() {
            return Err(Problem::Form(
                "the row has another number of fields than the first row",
            ));
        }
        if row.as_slice().len() > MAX_LINE {
            return Err(Problem::TooLong);
        }
        let field = |name| self.field(row, name);
        let whole = |name: &'static str| field(name).map(|text| number(text, name)).transpose();
        let user = field("user").map(str::to_owned);
        let key = field("key").ok_or(Problem::Form("the row has no key"))?;
        if key.starts_with(uri::SCHEME) {
            if OF_A_KEY.iter().any(|name| field(name).is_some()) {
                return Err(Problem::Form(
                    "its URI says more than one column: leave the others empty",
                ));
            }
            let entry = Entry::try_from(uri::parse_shared(key)?)?;
            let user = user.or_else(|| entry.user.clone());
            return Ok(Entry { user, ..entry });
        }
        let parameters = parameters(field("alg"), whole("digits")?, whole("period")?)?;
        let kind = field("kind").unwrap_or("totp");
        let key = Key::from_base32(key)?;
        let entry = Entry::of_kind(kind, key, parameters, whole("counter")?)?;
        let entry = entry.shown_as(field("label"), field("issuer"))?;
        Ok(Entry { user, ..entry })
    }
}

const KNOWN: [&str; 9] = [
    "user", "key", "kind", "alg", "digits", "period", "counter", "label", "issuer",
];
/// The columns that a URI stands for.
const OF_A_KEY: [&str; 7] = [
    "kind", "alg", "digits", "period", "counter", "label", "issuer",
];

#[cfg(test)]
mod tests {
    use common::names::device::Kind;

    use super::*;
    use crate::Place;

    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn items(text: &str) -> Vec<Item> {
        read(text.replace("KEY", KEY).as_bytes()).unwrap()
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let rows = items(
            "User, Key, Kind, Digits, Counter, Issuer\n\
             alice, KEY, , 8, ,\"Big, Co\"\n\
             bob, KEY, hotp, , 4,\n",
        );
        let [alice, bob] = <[Item; 2]>::try_from(rows).unwrap();
        let (alice, bob) = (alice.entry.unwrap(), bob.entry.unwrap());
        assert_eq!(alice.user.as_deref(), Some("alice"));
        assert_eq!((alice.parameters.digits, alice.kind), (8, Kind::Totp));
        assert_eq!(alice.issuer.unwrap().as_str(), "Big, Co");
        assert_eq!((bob.kind, bob.counter), (Kind::Hotp, Some(4)));
        let semicolons = items("user;key\nalice;otpauth://totp/other?secret=KEY&digits=7\n");
        let entry = semicolons.into_iter().next().unwrap().entry.unwrap();
        assert_eq!(entry.user.as_deref(), Some("alice"));
        assert_eq!(entry.parameters.digits, 7);
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_does_not_stop_the_others() {
        let rows = items(
            "user,key,digits\n\
             alice,KEY\n\
             \"bo\nb\",KEY,6\n\
             carol,,6\n\
             dave,KEY,12\n\
             erin,KEY,6\n\
             frank,otpauth://totp/f?secret=KEY,6\n",
        );
        let found: Vec<_> = rows
            .iter()
            .map(|item| (item.place, item.entry.is_ok()))
            .collect();
        let expected = [
            (2, false),
            (3, true),
            (5, false),
            (6, false),
            (7, true),
            (8, false),
        ];
        assert_eq!(
            found,
            expected.map(|(line, is_ok)| (Place::Line(line), is_ok))
        );
    }

    #[test]
    fn a_first_row_with_other_columns_is_refused() {
        for text in [
            "",
            "alice,KEY\n",
            "user,secret\n",
            "user,key,key\n",
            "user\n",
        ] {
            assert_eq!(
                read(text.as_bytes()).unwrap_err(),
                BadFile::Columns,
                "{text}"
            );
        }
        assert_eq!(read(b"user,key\n").unwrap_err(), BadFile::Empty);
    }
}
