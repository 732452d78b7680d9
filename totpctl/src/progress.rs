//! The progress bar of commands about many users: on standard error, if that is a terminal, and
//! never with `--json`. It is gone when the command ends.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// How many rows of a list are done.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of so many rows, or none where it would not be seen or be in the way.
    pub(crate) fn of(output: &Output, rows: usize) -> Self {
        let is_seen = !output.is_for_programs() && io::stderr().is_terminal();
        let target = if is_seen {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(rows.try_into().unwrap_or(u64::MAX)), target);
        Self(match ProgressStyle::with_template(TEMPLATE) {
            Ok(style) => bar.with_style(style.progress_chars("##-")),
            Err(_) => bar,
        })
    }

    /// Prints something with the bar out of the way.
    pub(crate) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Counts rows as done.
    pub(crate) fn advance(&self, rows: usize) {
        self.0.inc(rows.try_into().unwrap_or(u64::MAX));
    }

    /// Says how many rows are done, and of how many.
    pub(crate) fn stands_at(&self, rows: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(rows);
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Plain characters and no colour, for every terminal.
const TEMPLATE: &str = "totpctl: {pos} of {len} [{bar:40}] {eta} left";
