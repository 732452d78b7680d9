//! Options of `enroll` and `key new` for the QR code: --qr, --png, --svg.

use std::path::PathBuf;

use clap::Args;

use crate::qr::Form;

/// How the QR code is drawn on the terminal, and in which files.
#[derive(Debug, Default, Args)]
pub(crate) struct PictureOptions {
    /// QR code: utf8, inverse, ansi, ascii or none [default:
    /// utf8 or ascii on a terminal, by its locale]
    #[arg(
        long,
        value_name = "FORM",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    pub(crate) qr: Option<Form>,
    /// Draw the QR code in a new PNG file; it holds the key
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Draw the QR code in a new SVG file; it holds the key
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}
