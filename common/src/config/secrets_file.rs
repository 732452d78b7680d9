//! Where the application secrets come from: the settings themselves, the file of `secrets-path`, or
//! the default file as root's processes hand it to the daemon. Judges the file, not the secrets.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Readers, Trust, TrustedFile};
use super::problem::{At, ConfigError, Problem};
use super::totp::{RawContext, Source};
use crate::secret::SecretText;
use crate::secrets::{BadSecrets, TaggedSecrets};

/// The secrets, and the file that the administrator keeps them in.
pub(super) fn find(
    context: &mut RawContext,
    settings: &TrustedFile,
    path: &Path,
    trust: &Trust,
) -> Result<(TaggedSecrets, PathBuf), ConfigError> {
    match context.secrets_source().at(path)? {
        Source::Inline(tagged) => {
            settings.is_for_few().at(path)?;
            Ok((tagged, path.to_owned()))
        }
        Source::Named(file) => {
            let tagged = secrets_in(&file, trust).at(&file)?;
            Ok((tagged, file))
        }
        Source::Default => default_secrets(trust),
    }
}

/// The default file is a copy: the service manager made it as root, or this process did while it
/// was root. So only root needs to be able to read the file. The file is judged all the same,
/// because other users may read it, and not only the copy.
fn default_secrets(trust: &Trust) -> Result<(TaggedSecrets, PathBuf), ConfigError> {
    let kept = trust.secrets_file.as_path();
    match handed_over(trust)? {
        Some((text, copy)) => {
            let exists = judge_unread(kept, trust).at(kept)?;
            let origin = if exists { kept } else { &copy };
            let tagged = TaggedSecrets::from_whole_text(text.expose()).at(origin)?;
            Ok((tagged, origin.to_owned()))
        }
        None => {
            let tagged = secrets_in(kept, trust)
                .map_err(|problem| with_the_first_step(problem, trust))
                .at(kept)?;
            Ok((tagged, kept.to_owned()))
        }
    }
}

/// The copy, and where it is. A blank one counts as none: systemd hands that over where the file is
/// missing.
fn handed_over(trust: &Trust) -> Result<Option<(Arc<SecretText>, PathBuf)>, ConfigError> {
    let not_blank = |text: &str| !text.trim().is_empty();
    if let Some(folder) = &trust.credentials {
        let copy = folder.join(CREDENTIAL);
        match TrustedFile::read(&copy, trust) {
            Err(Problem::Missing) => {}
            Err(problem) => return Err(problem).at(&copy),
            Ok(file) => {
                file.is_for_few().at(&copy)?;
                if not_blank(file.text()) {
                    let text = SecretText::new(file.text().to_owned());
                    return Ok(Some((Arc::new(text), copy)));
                }
            }
        }
    }
    let as_root = trust.read_as_root.clone();
    Ok(as_root.map(|text| (text, trust.secrets_file.clone())))
}

/// Judges a file of secrets without reading it, and tells whether it exists. Where
/// this process may not look, other users may not either. Secrets that are kept elsewhere, such as
/// encrypted credentials, have no such file.
fn judge_unread(kept: &Path, trust: &Trust) -> Result<bool, Problem> {
    match kept.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Err(Problem::Link),
        Ok(metadata) => trust.judge(kept, &metadata, Readers::Few).map(|()| true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
        Err(_) => Ok(false),
    }
}

/// Judged before it is read: that the file is another user's says more than that it cannot be read.
fn secrets_in(path: &Path, trust: &Trust) -> Result<TaggedSecrets, Problem> {
    judge_unread(path, trust)?;
    let file = TrustedFile::read(path, trust)?;
    file.is_for_few()?;
    Ok(TaggedSecrets::from_whole_text(file.text())?)
}

fn with_the_first_step(problem: Problem, trust: &Trust) -> Problem {
    let is_copied = |folder: &PathBuf| folder.join(CREDENTIAL).exists();
    match problem {
        Problem::Missing => Problem::NoSecrets,
        // Root could read it: the copy is as blank as the file.
        Problem::Forbidden(_) if trust.credentials.as_ref().is_some_and(is_copied) => {
            Problem::Secrets(BadSecrets::None)
        }
        Problem::Forbidden(uid) => Problem::RootsSecrets(uid),
        other => other,
    }
}

impl Trust {
    /// Reads the default file of secrets while this process is still root, for the time after it has
    /// become the daemon's user. A file that cannot be used is left: loading the settings says why.
    #[must_use]
    pub fn with_secrets_read_as_root(mut self) -> Self {
        let file = TrustedFile::read(&self.secrets_file, &self).ok();
        self.read_as_root = file
            .filter(|file| file.is_for_few().is_ok())
            .map(|file| Arc::new(SecretText::new(file.text().to_owned())));
        self
    }
}

/// The file of secrets, if the settings name none.
pub const DEFAULT_SECRETS: &str = "/etc/pam-totp/secrets";
/// The unit's name for its copy.
const CREDENTIAL: &str = "secrets";

#[cfg(test)]
mod tests;
