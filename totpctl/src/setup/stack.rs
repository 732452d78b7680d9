//! Plays the planned service files through `pam_stack`, before they are written: could a login
//! succeed without a code, or none succeed at all?

use std::io;
use std::path::Path;

use pam_stack::{Circumstances, Disk, Files, Finding, Folders, Severity};

use super::plan;
use super::recipe::Recipe;
use super::record::Change;
use crate::doctor::FOLDER;
use crate::exit::Failure;

/// Refuses a plan whose stacks have a hole or lock users out.
pub(crate) fn check(recipe: &Recipe, changes: &[Change]) -> Result<(), Failure> {
    let folders = Folders::of_machine(Path::new("/"));
    let planned = Planned {
        changes,
        below: &Disk,
    };
    match first_problem(recipe, &planned, &folders) {
        None => Ok(()),
        Some(problem) => Err(Failure::SetUp(format!(
            "nothing was changed, because with these changes {problem}"
        ))),
    }
}

/// The worst finding about the services of the recipe that have a file.
fn first_problem(recipe: &Recipe, planned: &Planned<'_>, folders: &Folders) -> Option<String> {
    // The daemon's rules may let a user by at any time.
    let circumstances = Circumstances {
        has_exemptions: true,
    };
    let names = plan::services(recipe.target).iter().map(|(name, _)| *name);
    let names = names.filter(|name| {
        let file = Path::new(FOLDER).join(name);
        planned.exists(&file) == Some(true)
    });
    names
        .flat_map(|name| pam_stack::check(&pam_stack::read(name, planned, folders), circumstances))
        .find(|finding| matches!(finding.severity, Severity::Hole | Severity::LockOut))
        .map(|finding| told(&finding))
}

fn told(finding: &Finding) -> String {
    let place = finding.place.as_ref();
    let place = place.map_or_else(String::new, |place| format!(" ({place})"));
    format!("{}{place}: {}", finding.what, finding.next_step)
}

/// The files as they would be.
struct Planned<'a> {
    changes: &'a [Change],
    below: &'a dyn Files,
}

impl Planned<'_> {
    fn text(&self, path: &Path) -> Option<&str> {
        let change = self.changes.iter().find(|change| change.path == path)?;
        Some(&change.after.text)
    }
}

impl Files for Planned<'_> {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        match self.text(path) {
            Some(text) => Ok(Some(text.to_owned())),
            None => self.below.read(path),
        }
    }

    fn exists(&self, path: &Path) -> Option<bool> {
        match self.text(path) {
            Some(_) => Some(true),
            None => self.below.exists(path),
        }
    }
}
