//! The printed sheet of a new device (`enroll --sheet`, `--sheets`): one HTML page for the user, with
//! QR code, key, first steps, and recovery codes on a part to cut off. In English or German.
//!
//! The page is complete in itself: no script, and nothing that a browser would fetch. Every value in
//! it is escaped. `page.rs` writes it, `words.rs` has its texts.

mod page;
mod words;

use std::path::{Path, PathBuf};

use common::secret::SecretText;

use crate::exit::Failure;
use crate::new_file::{NewFile, NewFolder};
use crate::render::Enrolled;

/// The language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// German
    De,
}

impl Language {
    /// The language that the command line names, else that of the locale's messages.
    pub(crate) fn of(wanted: Option<Self>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(environment)
            .find(|value| !value.is_empty());
        let is_german = locale.is_some_and(|locale| locale.starts_with("de"));
        wanted.unwrap_or(if is_german { Self::De } else { Self::En })
    }
}

/// A sheet under way. Its file is new and readable by its owner only.
#[derive(Debug)]
pub(crate) struct Sheet {
    file: NewFile,
    language: Language,
}

impl Sheet {
    /// Creates the empty file, before the key is made.
    pub(crate) fn create(path: &Path, language: Language) -> Result<Self, Failure> {
        let file = NewFile::create(path)?;
        Ok(Self { file, language })
    }

    /// Writes the part with the key, and returns only when it is on the disk.
    pub(crate) fn begin(&mut self, new: &Enrolled) -> Result<(), Failure> {
        self.file
            .append(page::upper_part(new, self.language).as_bytes())?;
        self.file.keep()
    }

    /// Writes the rest: the recovery codes, if there are new ones, and what an inactive device
    /// lacks.
    pub(crate) fn end(
        mut self,
        new: &Enrolled,
        (is_active, recovery_codes): (bool, &[SecretText]),
    ) -> Result<(), Failure> {
        let part = page::lower_part(new, is_active, recovery_codes, self.language);
        self.file.append(part.as_bytes())?;
        self.file.keep()
    }
}

/// The new folder of `--sheets`.
#[derive(Debug)]
pub(crate) struct Sheets {
    folder: PathBuf,
    language: Language,
}

impl Sheets {
    /// Creates the folder, which only its owner can read.
    pub(crate) fn create(folder: &Path, language: Language) -> Result<Self, Failure> {
        NewFolder::create(folder)?;
        let folder = folder.to_owned();
        Ok(Self { folder, language })
    }

    /// Writes the first part of a device's sheet.
    pub(crate) fn begin(&self, new: &Enrolled) -> Result<Sheet, Failure> {
        // Neither name has a slash.
        let name = format!("{}-{}.html", new.user, new.device);
        let mut sheet = Sheet::create(&self.folder.join(name), self.language)?;
        sheet.begin(new)?;
        Ok(sheet)
    }
}
