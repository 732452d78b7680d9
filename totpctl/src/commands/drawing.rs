//! Draws the QR code of a new key for `enroll` and `key new`: on the terminal, and in the files of
//! --png and --svg.

use std::path::Path;

use common::secret::SecretText;
use common::wire::text::printable;

use super::Context;
use crate::cli;
use crate::exit::Failure;
use crate::new_file::NewFile;
use crate::qr::{self, Drawing, Form};
use crate::{output, pictures};

/// The drawing for the terminal, in the form of --qr or the default one. A URI that is too long for
/// a QR code is only a warning: the user can type the key.
pub(super) fn for_terminal(
    context: &Context<'_>,
    form: Option<Form>,
    uri: &SecretText,
) -> Option<Drawing> {
    let environment = |name: &str| std::env::var(name).ok();
    let on_terminal = context.output.page_is_seen();
    let drawn_as = form.unwrap_or_else(|| Form::usual(on_terminal, environment));
    let colours = on_terminal && environment("TERM").is_some_and(|term| term != "dumb");
    let window = context.output.window();
    let drawing = qr::draw_in(uri, drawn_as, colours, window).unwrap_or_else(|_| {
        context.output.note(&format!("warning: {TOO_LONG}"));
        None
    })?;
    if form.is_none() && window.is_some_and(|window| !drawing.fits(window)) {
        context.output.note(&too_large(&drawing, drawn_as));
        return None;
    }
    Some(drawing)
}

/// A picture of which a part has scrolled away cannot be scanned, and it would take the key along.
fn too_large(drawing: &Drawing, form: Form) -> String {
    let (columns, lines) = (drawing.columns, drawing.lines.saturating_add(1));
    let smaller = match form {
        Form::Ascii | Form::Ansi => "'--qr utf8' is half as large, if the terminal shows UTF-8; ",
        Form::Utf8 | Form::Inverse | Form::None => "",
    };
    format!(
        "no QR code is drawn: it needs a window of {columns} columns and {lines} lines; {smaller}--png FILE draws it in a file"
    )
}

/// The files of --png and --svg. They are created empty before the key is made, and removed if
/// dropped.
#[derive(Debug)]
pub(super) struct PictureFiles {
    png: Option<NewFile>,
    svg: Option<NewFile>,
}

impl PictureFiles {
    /// Creates the files that the command line names.
    pub(super) fn prepare(wanted: &cli::PictureOptions) -> Result<Self, Failure> {
        let create =
            |path: &Option<std::path::PathBuf>| path.as_deref().map(NewFile::create).transpose();
        Ok(Self {
            png: create(&wanted.png)?,
            svg: create(&wanted.svg)?,
        })
    }

    /// Draws the QR code in the files, and warns that they hold the key.
    pub(super) fn draw(self, output: &output::Output, uri: &SecretText) -> Result<(), Failure> {
        if self.png.is_none() && self.svg.is_none() {
            return Ok(());
        }
        let modules =
            common::qr::modules(uri).map_err(|_| Failure::BadParameter(TOO_LONG.to_owned()))?;
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
    output.note(&format!(
        "{name} holds the key: give it only to the user, and delete it after scanning"
    ));
}

const TOO_LONG: &str = "the URI is too long for a QR code; give a shorter label or issuer";
