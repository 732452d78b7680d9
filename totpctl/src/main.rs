//! `totpctl`, the command-line client of provisiond: start of the program and map of its files.
//!
//! - `cli/`: the command line: each command's arguments, options and `--help` text.
//! - `commands/`: each command's code: the calls to the daemon and the prompts for codes.
//! - `setup/`: `setup`: makes services ask for codes, and takes that back.
//! - `stack_try/`: `try`: logins through the real stack, and what they show.
//! - `first_steps`: what `totpctl` alone prints for root on a new machine.
//! - `render/`: each command's result: sentences and tables for people, JSON for programs.
//! - `verdicts`, `refusals`, `exit`: the texts of verdicts, refusals and errors; exit codes.
//! - `age`: how long the program has been running.
//! - `prompt`, `echo_off`, `bounded_lines`: reading codes, keys and files.
//! - `sheet`: the printed page of a new device.
//! - `output`, `table`, `qr`, `pictures`, `new_file`, `progress`: printing text, QR codes, files with
//!   keys and progress.
//! - `textfile`: the file of `metrics`.
//! - `doctor/`: the checks of `doctor`: PAM files, daemon, settings, sshd, machine.
//! - `fleet/`: `fleet`: the authority that signs certificates, and the files of hosts and verifiers.
//! - `diff`: a change, line by line.
//! - `daemon`: the connection to provisiond. Only `key` works without it.
//!
//! totpctl has no store, cipher or rule of its own: formats and codes are in `common`. Codes and
//! keys come from the terminal or standard input, never from arguments.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, which is what it should do"
    )
)]

mod age;
mod bounded_lines;
mod cli;
mod commands;
mod daemon;
mod diff;
mod doctor;
mod echo_off;
mod exit;
mod first_steps;
#[cfg(feature = "fleet")]
mod fleet;
mod new_file;
mod output;
mod pictures;
mod progress;
mod prompt;
mod qr;
mod refusals;
mod render;
mod setup;
mod sheet;
mod stack_try;
mod table;
mod textfile;
mod verdicts;

use std::process::ExitCode;

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

fn main() -> ExitCode {
    keep_memory_private();
    let output = output::Output::new(cli::asks_for_json(std::env::args_os()));
    let outcome = cli::parse(std::env::args_os()).and_then(|cli| commands::run(cli, &output));
    outcome
        .or_else(|failure| first_steps::instead_of(failure, &output))
        .unwrap_or_else(|failure| output.failure(&failure))
        .into()
}

/// New keys pass through this process: it writes no core file, and the user's other processes
/// cannot read its memory. If the system refuses this, totpctl goes on: it prints the key anyway.
fn keep_memory_private() {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = set_dumpable(false);
}
