//! Which files a set-up changes, and how: reads them, and writes nothing.

use std::path::Path;

use super::file::{Content, Location};
use super::pam_edit;
use super::recipe::{KEY_SCRIPT_PATH, Place, Recipe};
use super::record::{Change, Part};
use crate::cli::Target;
use crate::doctor::FOLDER;
use crate::exit::Failure;

/// The changes of a recipe, in the order in which they are written. Each state in between asks for
/// no less than the one before: our lines first, which no file names yet; then sshd's methods; the
/// service files last, so that a code never stands in for sshd's key.
pub(crate) fn of(recipe: &Recipe) -> Result<Vec<Change>, Failure> {
    check_common_auth(recipe)?;
    let include = Path::new(FOLDER).join(recipe.include());
    let mut changes = Vec::new();
    if let Some(script) = recipe.script() {
        changes.push(new(
            Path::new(KEY_SCRIPT_PATH),
            Part::Lines,
            script.to_owned(),
            0o755,
        )?);
    }
    changes.push(new(&include, Part::Lines, recipe.pam(), 0o644)?);
    if let Some(lines) = recipe.sshd() {
        changes.push(new(Path::new(SSHD_FILE), Part::Sshd, lines, 0o644)?);
    }
    for &(service, may_be_absent) in services(recipe.target) {
        changes.extend(service_file(recipe, service, may_be_absent)?);
    }
    Ok(changes)
}

/// The services of one program, and whether it may be that they have no file. A program whose
/// service has no file uses `other`, which asks for no code.
pub(crate) fn services(target: Target) -> &'static [(&'static str, bool)] {
    match target {
        Target::Sshd => &[("sshd", false)],
        Target::Sudo => &[("sudo", false), ("sudo-i", false)],
        Target::Su => &[("su", false), ("su-l", false)],
        // `login -h`, for remote terminals. Debian has no file for it.
        Target::Login => &[("login", false), ("remote", true)],
    }
}

fn new(path: &Path, part: Part, text: String, mode: u32) -> Result<Change, Failure> {
    if Location::open(path)?.read()?.is_some() {
        return Err(refused(
            path,
            "exists already: setup overwrites no file; move it away if no set-up needs it",
        ));
    }
    Ok(Change {
        path: path.to_owned(),
        part,
        before: None,
        after: Content::new(text, mode),
    })
}

fn service_file(
    recipe: &Recipe,
    service: &str,
    may_be_absent: bool,
) -> Result<Option<Change>, Failure> {
    let path = Path::new(FOLDER).join(service);
    let Some(before) = Location::open(&path)?.read()? else {
        return match may_be_absent {
            true => Ok(None),
            false => Err(refused(
                &path,
                "does not exist, and the service would use the file 'other': install the program first",
            )),
        };
    };
    if pam_edit::names_the_module(&before.text) {
        return Err(refused(&path, NAMES_IT));
    }
    if pam_edit::only_includes(&before.text, recipe.target.service()) {
        return Ok(None);
    }
    let text = pam_edit::put_in(&before.text, &recipe.include(), recipe.place());
    let text = text.map_err(|why| refused(&path, &format!("{why}: {BY_HAND}")))?;
    Ok(Some(Change {
        path,
        part: Part::Service,
        after: before.with(text),
        before: Some(before),
    }))
}

/// Where the login goes on behind `common-auth`, that file must end it at a wrong password.
fn check_common_auth(recipe: &Recipe) -> Result<(), Failure> {
    let path = Path::new(FOLDER).join("common-auth");
    let Some(common) = Location::open(&path)?.read()? else {
        return Err(refused(&path, &no_debian()));
    };
    if pam_edit::names_the_module(&common.text) {
        return Err(refused(&path, NAMES_IT));
    }
    let unix_only = recipe.knows_local_passwords_only();
    if recipe.place() == Place::InsteadOfCommonAuth && !unix_only {
        return Ok(());
    }
    pam_edit::check_common_auth(&common.text, unix_only)
        .map_err(|why| refused(&path, &format!("{why}: {BY_HAND}")))
}

/// Where the shared file is missing that Debian's services include.
fn no_debian() -> String {
    let rules = if Path::new(AUTHSELECT).exists() {
        "authselect writes the shared files here, and a line of theirs may end a login before the module is asked"
    } else {
        "this system has other ones"
    };
    format!("does not exist: setup knows the PAM files of Debian only, and {rules}. {SHARED_FILE}")
}

fn refused(path: &Path, problem: &str) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

/// sshd takes the first value of a keyword, and reads the files of the folder in their order: this
/// one before those that an image of a cloud brings along.
const SSHD_FILE: &str = "/etc/ssh/sshd_config.d/00-pam-totp.conf";
const BY_HAND: &str = "setup changes nothing there; write the lines by hand, as the recipes of the administrator's guide \
    say (/usr/share/doc/pam-totp/administrators-guide.md)";
const NAMES_IT: &str = "asks for codes already: take a former set-up back with 'totpctl setup --undo', and lines \
    that were written by hand by hand";
/// Where Red Hat's tool for the shared files keeps its state.
const AUTHSELECT: &str = "/etc/authselect";
const SHARED_FILE: &str = "Change the service's own file as the guide's recipe 'A shared file with sufficient' says \
    (/usr/share/doc/pam-totp/administrators-guide.md), then run 'totpctl doctor' and 'totpctl try'";
