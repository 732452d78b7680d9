//! The accounts that have a group as their primary group: a scan of all accounts that the name
//! service lists (getpwent). Many directories list none, or only those asked for recently.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Found, NoAnswer};
use crate::clock::sys::{Accounts, Failed};

/// The names of the accounts with this primary group. A name that is no text is left out.
///
/// # Errors
/// [`NoAnswer`]: it took too long, there are too many, or another scan is under way.
pub(super) fn with_own_group(gid: u32) -> Found<BTreeSet<String>> {
    let (begun, mut names) = (Instant::now(), BTreeSet::new());
    let mut accounts = Accounts::begin().ok_or(NoAnswer)?;
    while let Some((name, own)) = accounts.next().map_err(|Failed| NoAnswer)? {
        if begun.elapsed() > MAX_TIME || names.len() >= MAX_NAMES {
            return Err(NoAnswer);
        }
        names.extend(name.filter(|_| own == gid));
    }
    Ok(Some(names))
}

/// Longer than any caller waits: the answer is then cached for the next question within half a
/// minute.
const MAX_TIME: Duration = Duration::from_secs(10);
const MAX_NAMES: usize = 65_536;
