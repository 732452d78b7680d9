//! `completions`: prints the script with which a shell completes totpctl's arguments.

use clap::CommandFactory;

use super::Context;
use crate::cli::{Cli, CompletionsArgs};
use crate::exit::{Exit, Failure};

/// `completions`: makes the script from the command line that `cli` defines, so that neither lacks
/// what the other has.
pub(super) fn run(context: &Context<'_>, wanted: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut Cli::command(), "totpctl", &mut script);
    context.output.page(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
