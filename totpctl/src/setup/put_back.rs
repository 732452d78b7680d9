//! Puts the files of a set-up back as they were, in the opposite order. It can be interrupted at any
//! step and run again, asks neither the daemon nor PAM, and needs no room on the disk as long as the
//! kept originals are there.
//!
//! A file that another hand has changed meanwhile keeps that change: of a service file only our line
//! is taken out, and a file of ours is set aside.

use common::wire::text::printable;

use super::file::{Content, Location};
use super::record::{Change, Part, Record};
use super::{pam_edit, sshd};
use crate::exit::Failure;

/// Puts all files back. Returns a sentence for each file that is not as it was.
pub(crate) fn all(record: &Record) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    let mut is_named = false;
    for change in record.files.iter().rev() {
        let location = Location::open(&change.path)?;
        match (&change.before, change.part) {
            (Some(before), _) => {
                let left = service_file(record, change, before, &location)?;
                is_named |= left.is_named;
                told.extend(left.sentence);
            }
            // A service that is refused its lines refuses every login.
            (None, Part::Lines) if is_named => told.push(format!(
                "{} stays, because a service file still names our lines",
                shown(&location)
            )),
            (None, _) => told.extend(new_file(change, &location)?),
        }
    }
    if record.files.iter().any(|change| change.part == Part::Sshd) {
        sshd::reload().map_err(|told| {
            Failure::SetUp(format!(
                "the files are back, but sshd does not read them: {told}: repair its configuration and run \
                 'totpctl setup --undo' again"
            ))
        })?;
    }
    Ok(told)
}

/// What is left of our change in a service file.
#[derive(Default)]
struct Left {
    sentence: Option<String>,
    is_named: bool,
}

fn service_file(
    record: &Record,
    change: &Change,
    before: &Content,
    location: &Location,
) -> Result<Left, Failure> {
    let sentence = |told: &str| Some(format!("{} {told}", shown(location)));
    let found = match location.read() {
        Ok(Some(found)) => found,
        Ok(None) => {
            location.clear()?;
            return Ok(Left {
                sentence: sentence("was removed by another hand, and stays away"),
                is_named: false,
            });
        }
        Err(failure) => {
            return Ok(Left {
                sentence: Some(format!("not put back: {failure}")),
                is_named: true,
            });
        }
    };
    if found.text == change.after.text {
        location.put_back(before)?;
    } else if found.text != before.text {
        return changed_file(record, &found, location);
    }
    location.clear()?;
    Ok(Left::default())
}

/// A service file with changes of another hand.
fn changed_file(record: &Record, found: &Content, location: &Location) -> Result<Left, Failure> {
    let taken_out = pam_edit::take_out(&found.text, &record.include, record.place);
    let is_named = taken_out.is_none() && found.text.contains(&record.include);
    let told = match taken_out {
        Some(text) => {
            location.replace(&found.with(text))?;
            "our line was taken out, the rest stays"
        }
        None if is_named => "it names our lines more than once, and stays: take them out by hand",
        None => "it has no line of ours any more, and stays as it is",
    };
    location.clear()?;
    Ok(Left {
        sentence: Some(format!(
            "{} was changed by another hand since the set-up: {told}",
            shown(location)
        )),
        is_named,
    })
}

/// A file that the set-up has made.
fn new_file(change: &Change, location: &Location) -> Result<Option<String>, Failure> {
    location.clear()?;
    match location.read() {
        Ok(None) => Ok(None),
        Ok(Some(found)) if found.text == change.after.text => {
            location.remove()?;
            Ok(None)
        }
        // Another hand's text, or a link in its place: out of the way, and kept.
        _ => {
            let aside = location.set_aside()?;
            Ok(Some(format!(
                "{} was changed by another hand since the set-up: it is now {}",
                shown(location),
                printable(&aside.to_string_lossy())
            )))
        }
    }
}

fn shown(location: &Location) -> String {
    printable(&location.path().to_string_lossy())
}
