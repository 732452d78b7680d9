//! Prints results to standard output, as text or JSON; notes, warnings and errors to standard
//! error.
//!
//! With `--json`, standard output has one object and nothing else; `log`, `import` and `export`
//! print one object per line.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use clap::error::ErrorKind;
use common::wire::text::printable;
use nix::sys::stat::{Mode, SFlag, fstat};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::qr::Window;
use crate::render::{self, Render, Reveal};

/// Standard output and standard error, for a person or for a program.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    warned: Cell<bool>,
}

impl Output {
    /// With `json`, a program reads standard output.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            warned: Cell::new(false),
        }
    }

    /// Whether `--json` was given.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.json
    }

    /// Prints the result of a command.
    pub(crate) fn result(&self, result: &impl Render) -> Result<(), Failure> {
        if self.json {
            self.line(result)
        } else {
            self.page(&result.people())
        }
    }

    /// Whether a person reads standard output: it is a terminal, and `--json` was not given.
    pub(crate) fn is_for_a_person(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Prints a result that is one text: the bare text, or JSON with `--json`.
    pub(crate) fn reveal(&self, result: &impl Reveal) -> Result<(), Failure> {
        self.will_hold_secrets();
        if self.json {
            self.line(result)
        } else {
            self.page(&result.page())
        }
    }

    /// Warns if keys or codes are about to go to a file that other users can read: the shell made it,
    /// so totpctl cannot make it private.
    pub(crate) fn will_hold_secrets(&self) {
        let stdout = is_read_by_others(io::stdout().as_fd());
        let stderr = self.json && is_read_by_others(io::stderr().as_fd());
        if (stdout || stderr) && !self.warned.replace(true) {
            self.note(READ_BY_OTHERS);
        }
    }

    /// Prints a result that is an object: JSON, unless a person reads it.
    pub(crate) fn object(&self, result: &impl Reveal) -> Result<(), Failure> {
        if self.is_for_a_person() {
            self.page(&result.page())
        } else {
            self.line(result)
        }
    }

    /// Prints one of several results, always as a line of JSON.
    pub(crate) fn line(&self, result: &impl Serialize) -> Result<(), Failure> {
        write(io::stdout().as_fd(), &render::json(result)?)
    }

    /// Prints text for another program, as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        write(io::stdout().as_fd(), text.as_bytes())
    }

    /// Prints text for a person: with `--json` to standard error, because a program reads standard
    /// output.
    pub(crate) fn page(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            write(io::stderr().as_fd(), text.as_bytes())
        } else {
            write(io::stdout().as_fd(), text.as_bytes())
        }
    }

    /// Whether [`Self::page`] goes to a terminal.
    pub(crate) fn page_is_seen(&self) -> bool {
        if self.json {
            io::stderr().is_terminal()
        } else {
            io::stdout().is_terminal()
        }
    }

    /// The size of the terminal that [`Self::page`] goes to. `None`: it is no terminal, or does not
    /// say.
    pub(crate) fn window(&self) -> Option<Window> {
        let size = if self.json {
            tcgetwinsize(io::stderr())
        } else {
            tcgetwinsize(io::stdout())
        };
        let size = size
            .ok()
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)?;
        Some(Window {
            columns: size.ws_col.into(),
            lines: size.ws_row.into(),
        })
    }

    /// Prints a note or warning to standard error. The caller has made names in it printable.
    pub(crate) fn note(&self, sentence: &str) {
        let _ = writeln!(io::stderr(), "totpctl: {sentence}");
    }

    /// Prints why a command failed. Returns the exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        let (code, exit) = failure.code();
        match failure {
            // The reader of the pipe, such as `head`, has closed it on purpose.
            Failure::Writing(error) if error.kind() == io::ErrorKind::BrokenPipe => return exit,
            // Clap reports --help and --version as errors; for the user they are results.
            Failure::CommandLine(asked) if exit == Exit::Done => return self.help(asked),
            // For a bad value one line is enough; other usage errors get clap's hints too.
            Failure::CommandLine(error) if error.kind() != ErrorKind::ValueValidation => {
                usage(error)
            }
            failure => self.note(&one_line(&failure.to_string())),
        }
        if self.json && exit != Exit::Done {
            let _ = self.line(&json!({"error": {"code": code, "message": failure.to_string()}}));
        }
        exit
    }

    /// Prints the help or the version.
    fn help(&self, asked: &clap::Error) -> Exit {
        let shown = if self.json {
            self.line(&answer(asked))
        } else {
            asked.print().map_err(Failure::Writing)
        };
        shown.map_or_else(|failure| self.failure(&failure), |()| Exit::Done)
    }
}

/// Whether the stream goes to a file that its group or all users can read.
fn is_read_by_others(stream: BorrowedFd<'_>) -> bool {
    fstat(stream).is_ok_and(|stat| {
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        let mode = Mode::from_bits_truncate(stat.st_mode);
        kind == SFlag::S_IFREG && mode.intersects(Mode::S_IRGRP | Mode::S_IROTH)
    })
}

const READ_BY_OTHERS: &str = "warning: the output goes to a file that other users can read, and holds keys or codes: make the file \
    private ('chmod 600'), and delete it soon; 'umask 077' before the command makes it private from the start";

/// Prints clap's error. Clap repeats the arguments, so their control characters are escaped.
fn usage(error: &clap::Error) {
    let text = error.render().to_string();
    let lines: Vec<String> = text.trim_end().lines().map(one_line).collect();
    let text = lines.join("\n");
    let _ = match text.strip_prefix("error: ") {
        Some(sentence) => writeln!(io::stderr(), "totpctl: {sentence}"),
        None => writeln!(io::stderr(), "{text}"),
    };
}

/// The help or the version as JSON.
fn answer(asked: &clap::Error) -> Value {
    match asked.kind() {
        ErrorKind::DisplayVersion => json!({"version": env!("CARGO_PKG_VERSION")}),
        _ => json!({"help": asked.render().to_string()}),
    }
}

/// Writes without the standard library's buffer, which would keep a copy of a key.
fn write(stream: BorrowedFd<'_>, text: &[u8]) -> Result<(), Failure> {
    let stream = stream.try_clone_to_owned().map_err(Failure::Writing)?;
    File::from(stream).write_all(text).map_err(Failure::Writing)
}

/// A text of several lines with control characters escaped.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n')
        .map(one_line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The sentence with line ends and control characters escaped. Word by word, because `printable`
/// shortens long texts.
fn one_line(sentence: &str) -> String {
    sentence
        .split(' ')
        .map(printable)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_stays_in_its_line() {
        assert_eq!(one_line("bad\nname \u{1b}[2J"), "bad\\nname \\u{1b}[2J");
        let long = "word ".repeat(200);
        assert_eq!(one_line(&long), long);
    }
}
