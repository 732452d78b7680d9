//! The QR code of a new key, on the terminal and in the files that were asked for.

use std::path::Path;

use common::secret::SecretText;
use common::wire::text::printable;

use super::Context;
use crate::cli;
use crate::exit::Failure;
use crate::new_file::NewFile;
use crate::qr::{self, Drawing, Form};
use crate::{output, pictures};

/// The drawing for the terminal, in the form that was asked for or is usual. A URI that is too long for one is worth a
/// word, no more: the key can be typed.
pub(super) fn for_terminal(context: &Context<'_>, form: Option<Form>, uri: &SecretText) -> Option<Drawing> {
    let environment = |name: &str| std::env::var(name).ok();
    let on_terminal = context.output.page_is_seen();
    let form = form.unwrap_or_else(|| Form::usual(on_terminal, environment));
    let colours = on_terminal && environment("TERM").is_some_and(|term| term != "dumb");
    qr::draw(uri, form, colours).unwrap_or_else(|_| {
        context.output.note(&format!("warning: {TOO_LONG}"));
        None
    })
}

/// The files to draw in, made empty before anything that cannot be taken back. Dropped, they are gone.
#[derive(Debug)]
pub(super) struct PictureFiles {
    png: Option<NewFile>,
    svg: Option<NewFile>,
}

impl PictureFiles {
    /// Makes the files that the command line names.
    pub(super) fn prepare(wanted: &cli::PictureOptions) -> Result<Self, Failure> {
        let create = |path: &Option<std::path::PathBuf>| path.as_deref().map(NewFile::create).transpose();
        Ok(Self { png: create(&wanted.png)?, svg: create(&wanted.svg)? })
    }

    /// Draws in them, and says what they are.
    pub(super) fn draw(self, output: &output::Output, uri: &SecretText) -> Result<(), Failure> {
        if self.png.is_none() && self.svg.is_none() {
            return Ok(());
        }
        let modules = common::qr::modules(uri).map_err(|_| Failure::BadParameter(TOO_LONG.to_owned()))?;
        if let Some(file) = self.png {
            warn(output, &file.fill(&pictures::png(&modules)?)?);
        }
        if let Some(file) = self.svg {
            warn(output, &file.fill(pictures::svg(&modules).as_bytes())?);
        }
        Ok(())
    }
}

fn warn(output: &output::Output, path: &Path) {
    let name = printable(&path.to_string_lossy());
    output.note(&format!("{name} holds the key: give it only to the user, and delete it after scanning"));
}

const TOO_LONG: &str = "the URI is too long for a QR code; give a shorter label or issuer";
