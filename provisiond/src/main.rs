//! provisiond: see the library beside it.

#![forbid(unsafe_code)]

use clap::Parser;

fn main() -> std::process::ExitCode {
    provisiond::process::run::run(provisiond::process::run::Arguments::parse())
}
