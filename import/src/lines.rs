//! Goes over a text line by line, numbered from 1.

use crate::Entry;
use crate::{BadFile, Item, MAX_LINE, Problem, text, within_limits};

/// The entries of the lines. `read` gets a line without white space around it; `None`: the line is
/// no entry. Empty lines and comments (`#`) are none.
pub(crate) fn entries(
    bytes: &[u8],
    read: impl Fn(&str) -> Result<Option<Vec<Entry>>, Problem>,
) -> Result<Vec<Item>, BadFile> {
    let mut items = Vec::new();
    for (line, text) in (1..).zip(text(bytes)?.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let found = if text.len() > MAX_LINE {
            Err(Problem::TooLong)
        } else {
            read(text)
        };
        match found {
            Ok(None) => {}
            Ok(Some(found)) => {
                items.extend(
                    found
                        .into_iter()
                        .map(|entry| Item::at_line(line, Ok(entry))),
                );
            }
            Err(problem) => items.push(Item::at_line(line, Err(problem))),
        }
        if items.len() > crate::MAX_ENTRIES {
            break;
        }
    }
    within_limits(items)
}
