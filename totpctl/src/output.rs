//! Standard output and standard error: results on the one, everything said on the way on the other.
//!
//! With `--json`, standard output carries one object and nothing else; one a line where there are several results.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use clap::error::ErrorKind;
use common::wire::text::printable;
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::render::{self, Render, Reveal};

/// Where the answers go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// A screen for people, or for a program.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads standard output.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.json
    }

    /// Shows what came of a command.
    pub(crate) fn result(&self, result: &impl Render) -> Result<(), Failure> {
        if self.json { self.line(result) } else { self.page(&result.people()) }
    }

    /// Whether a person reads standard output: nobody asked for JSON, and it is a terminal.
    pub(crate) fn is_for_a_person(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Shows a result that is one text: the bare text, unless JSON was asked for.
    pub(crate) fn reveal(&self, result: &impl Reveal) -> Result<(), Failure> {
        if self.json { self.line(result) } else { self.page(&result.page()) }
    }

    /// Shows a result that is an object: in JSON, unless a person reads it.
    pub(crate) fn object(&self, result: &impl Reveal) -> Result<(), Failure> {
        if self.is_for_a_person() { self.page(&result.page()) } else { self.line(result) }
    }

    /// Shows one of several results, which are lines of JSON whoever reads them.
    pub(crate) fn line(&self, result: &impl Serialize) -> Result<(), Failure> {
        write(io::stdout().as_fd(), &render::json(result)?)
    }

    /// Shows a person something that is not the result: to the side when a program waits for that.
    pub(crate) fn page(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            write(io::stderr().as_fd(), text.as_bytes())
        } else {
            write(io::stdout().as_fd(), text.as_bytes())
        }
    }

    /// Whether [`Self::page`] goes to a terminal.
    pub(crate) fn page_is_seen(&self) -> bool {
        if self.json { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// Says something beside the result. Names in it are printable already.
    pub(crate) fn note(&self, sentence: &str) {
        let _ = writeln!(io::stderr(), "totpctl: {sentence}");
    }

    /// Says why nothing came of a command, and which exit code tells it.
    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        let (code, exit) = failure.code();
        match failure {
            // Whoever read along has seen enough.
            Failure::Writing(error) if error.kind() == io::ErrorKind::BrokenPipe => return exit,
            // What was asked for is the result, whatever clap calls it.
            Failure::CommandLine(asked) if exit == Exit::Done => return self.help(asked),
            // A bad value needs no more than a line.
            Failure::CommandLine(error) if error.kind() != ErrorKind::ValueValidation => usage(error),
            failure => self.note(&one_line(&failure.to_string())),
        }
        if self.json && exit != Exit::Done {
            let _ = self.line(&json!({"error": {"code": code, "message": failure.to_string()}}));
        }
        exit
    }

    /// Shows the help or the version.
    fn help(&self, asked: &clap::Error) -> Exit {
        let shown = if self.json { self.line(&answer(asked)) } else { asked.print().map_err(Failure::Writing) };
        shown.map_or_else(|failure| self.failure(&failure), |()| Exit::Done)
    }
}

/// Shows what is wrong with a command line. Clap repeats what was typed, and that could steer the terminal.
fn usage(error: &clap::Error) {
    let text = error.render().to_string();
    let lines: Vec<String> = text.trim_end().lines().map(one_line).collect();
    let text = lines.join("\n");
    let _ = match text.strip_prefix("error: ") {
        Some(sentence) => writeln!(io::stderr(), "totpctl: {sentence}"),
        None => writeln!(io::stderr(), "{text}"),
    };
}

/// The help or the version that was asked for, for programs.
fn answer(asked: &clap::Error) -> Value {
    match asked.kind() {
        ErrorKind::DisplayVersion => json!({"version": env!("CARGO_PKG_VERSION")}),
        _ => json!({"help": asked.render().to_string()}),
    }
}

/// Writes past the standard library's buffer, which would keep a copy of a key.
fn write(stream: BorrowedFd<'_>, text: &[u8]) -> Result<(), Failure> {
    let stream = stream.try_clone_to_owned().map_err(Failure::Writing)?;
    File::from(stream).write_all(text).map_err(Failure::Writing)
}

/// The sentence, with nothing in it that could end the line or steer a terminal. Word by word, because only names
/// have a longest length.
fn one_line(sentence: &str) -> String {
    sentence.split(' ').map(printable).collect::<Vec<_>>().join(" ")
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
