//! `backup` and `restore`: run provisiond, which alone knows the store, as root.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::unistd::geteuid;

use super::Context;
use crate::cli::{BackupArgs, DaemonSettings, RestoreArgs};
use crate::exit::{Exit, Failure};
use crate::render::Backup;

/// `backup`.
pub(super) fn backup(context: &Context<'_>, wanted: &BackupArgs) -> Result<Exit, Failure> {
    let option = if wanted.verify {
        "--check-backup"
    } else {
        "--backup"
    };
    let mut provisiond = provisiond("backup", &wanted.daemon)?;
    provisiond.arg(option).arg(&wanted.file);
    if wanted.file == Path::new("-") && !wanted.verify {
        // The bytes go to where ours go.
        let status = provisiond.status().map_err(not_run)?;
        return if status.success() {
            Ok(Exit::Done)
        } else {
            Err(Failure::Backup("no backup was made".into(), exit(status)))
        };
    }
    told(context, provisiond)
}

/// `restore`.
pub(super) fn restore(context: &Context<'_>, wanted: &RestoreArgs) -> Result<Exit, Failure> {
    let mut provisiond = provisiond("restore", &wanted.daemon)?;
    provisiond.arg("--restore").arg(&wanted.file);
    if wanted.replace {
        provisiond.arg("--replace");
    }
    told(context, provisiond)
}

/// The daemon's program: beside this one, or in the folder of system programs that belongs to it.
fn provisiond(command: &'static str, settings: &DaemonSettings) -> Result<Command, Failure> {
    if !geteuid().is_root() {
        return Err(Failure::RootOnly(command));
    }
    let own = std::env::current_exe().map_err(not_run)?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let beside = folder.join("provisiond");
    let program = match beside.exists() {
        true => beside,
        false => folder.join("../sbin/provisiond"),
    };
    let mut provisiond = Command::new(program);
    let options: [(&str, &Option<PathBuf>); 2] = [
        ("--settings", &settings.settings),
        ("--runtime-dir", &settings.runtime_dir),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            provisiond.arg(option).arg(OsString::from(value));
        }
    }
    Ok(provisiond)
}

fn told(context: &Context<'_>, mut provisiond: Command) -> Result<Exit, Failure> {
    let output = provisiond.output().map_err(not_run)?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.trim().trim_start_matches("provisiond: ").to_owned();
        return Err(Failure::Backup(why, exit(output.status)));
    }
    let backup: Backup =
        serde_json::from_slice(&output.stdout).map_err(|error| not_run(error.into()))?;
    context.output.result(&backup)?;
    Ok(Exit::Done)
}

fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(70) => Exit::StoreFailed,
        Some(78) => Exit::BadSettings,
        _ => Exit::Refused,
    }
}

fn not_run(error: std::io::Error) -> Failure {
    let why = format!("provisiond cannot be run: {error}: install it beside totpctl");
    Failure::Backup(why, Exit::Refused)
}
