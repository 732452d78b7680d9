//! `migrate`: runs provisiond, which alone knows the stores, as root.

use std::process::Stdio;

use super::Context;
use super::backup::{not_run, provisiond, report};
use crate::cli::{DaemonSettings, MigrateArgs};
use crate::exit::{Exit, Failure};
use crate::render::Migrated;

/// Runs the command.
pub(super) fn run(context: &Context<'_>, wanted: &MigrateArgs) -> Result<Exit, Failure> {
    let from = DaemonSettings {
        settings: Some(wanted.from.clone()),
        runtime_dir: wanted.runtime_dir.clone(),
    };
    let mut provisiond = provisiond("migrate", &from)?;
    provisiond.arg("--migrate-to").arg(&wanted.to);
    let output = provisiond.stdin(Stdio::null()).output().map_err(not_run)?;
    let moved: Migrated = report(&output.status, &output.stdout, &output.stderr)?;
    context.output.result(&moved)?;
    Ok(Exit::Done)
}
