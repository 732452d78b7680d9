//! `totpctl`, the administrator's and the user's hand: it asks provisiond and shows what it answers. Only `key` works
//! without the daemon, on what it is given.
//!
//! It knows no store, no cipher and no rule: formats and codes are `common`'s. Codes and keys come from the terminal or standard input, never from
//! arguments.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, which is what it should do")
)]

mod bounded_lines;
mod cli;
mod commands;
mod daemon;
mod echo_off;
mod exit;
mod new_file;
mod output;
mod pictures;
mod prompt;
mod qr;
mod refusals;
mod render;
mod table;
mod verdicts;

use std::process::ExitCode;

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

fn main() -> ExitCode {
    keep_memory_private();
    let output = output::Output::new(cli::asks_for_json(std::env::args_os()));
    let outcome = cli::parse(std::env::args_os()).and_then(|cli| commands::run(&cli, &output));
    outcome.unwrap_or_else(|failure| output.failure(&failure)).into()
}

/// A new key passes through here: no core file, and no look inside for the person's other processes. Where the system
/// refuses this, the key is still shown on the screen, so it is no reason to stop.
fn keep_memory_private() {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = set_dumpable(false);
}
