//! Reads the files of other TOTP systems, one file a format: bytes go in, entries come out, each
//! with its place in the file or with the reason why it cannot be taken. Writes some of them, too.
//!
//! Also reads lists of users, and the desired state of users for `totpctl apply`.
//!
//! Pure: opens no file and no socket, and knows neither the daemon nor the accounts of this
//! machine. No problem shows a part of the file, which holds keys.
#![forbid(unsafe_code)]

pub mod aegis;
pub mod andotp;
pub mod desired_state;
mod entry;
pub mod google_authenticator;
mod lines;
pub mod migration;
pub mod otpauth;
mod problem;
pub mod pskc;
pub mod table;
pub mod users;
pub mod users_oath;

pub use self::entry::Entry;
pub use self::problem::{BadFile, Problem};

/// One entry of a file, or why it cannot be taken.
#[derive(Debug)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// The entry, or the reason.
    pub entry: Result<Entry, Problem>,
}

/// Where an entry stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this line, counted from 1.
    Line(u64),
    /// The entry of this number, counted from 1, in a file that is one object.
    Entry(u64),
}

impl Item {
    fn at_line(line: u64, entry: Result<Entry, Problem>) -> Self {
        Self {
            place: Place::Line(line),
            entry,
        }
    }
}

/// The entry number `index`, counted from 0.
fn numbered(index: usize, entry: Result<Entry, Problem>) -> Item {
    let number = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1);
    Item {
        place: Place::Entry(number),
        entry,
    }
}

/// The text of a file that is one text in UTF-8, within the limits.
fn text(bytes: &[u8]) -> Result<&str, BadFile> {
    if bytes.len() > MAX_FILE {
        return Err(BadFile::TooLong);
    }
    // Spreadsheets write a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|_| BadFile::NotText)
}

fn within_limits(items: Vec<Item>) -> Result<Vec<Item>, BadFile> {
    if items.len() > MAX_ENTRIES {
        return Err(BadFile::TooMany);
    }
    if items.is_empty() {
        return Err(BadFile::Empty);
    }
    Ok(items)
}

/// The longest file, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// The most entries of a file.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The longest line, or field, in bytes.
const MAX_LINE: usize = 10 * 1024;

#[cfg(test)]
mod tests;
