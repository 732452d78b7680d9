//! `backup` and `restore`: run provisiond, which alone knows the store, as root. The files are opened
//! here, and their bytes go through pipes: AppArmor lets provisiond into the folders of the daemon
//! only.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use nix::unistd::geteuid;
use serde::de::DeserializeOwned;

use super::Context;
use crate::cli::{BackupArgs, DaemonSettings, RestoreArgs};
use crate::exit::{Exit, Failure};
use crate::new_file::NewFile;
use crate::render::Backup;

/// `backup`.
pub(super) fn backup(context: &Context<'_>, wanted: &BackupArgs) -> Result<Exit, Failure> {
    let mut provisiond = provisiond("backup", &wanted.daemon)?;
    if wanted.verify {
        provisiond.arg("--check-backup");
        return sent(context, provisiond, &wanted.file);
    }
    provisiond.arg("--backup");
    if wanted.file == Path::new("-") {
        return to_standard_output(provisiond);
    }
    let mut file = NewFile::create(&wanted.file)?;
    let output = received(provisiond, &mut |bytes| file.append(bytes))?;
    let report: Backup = report(&output.status, &output.stderr, &output.stderr)?;
    file.keep()?;
    context.output.result(&report.of(&wanted.file))?;
    Ok(Exit::Done)
}

/// `restore`.
pub(super) fn restore(context: &Context<'_>, wanted: &RestoreArgs) -> Result<Exit, Failure> {
    let mut provisiond = provisiond("restore", &wanted.daemon)?;
    provisiond.arg("--restore");
    if wanted.replace {
        provisiond.arg("--replace");
    }
    sent(context, provisiond, &wanted.file)
}

fn to_standard_output(provisiond: Command) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return Err(Failure::Usage(TO_A_TERMINAL));
    }
    let output = received(provisiond, &mut |bytes| {
        out.write_all(bytes).map_err(Failure::Writing)
    })?;
    report::<Backup>(&output.status, &output.stderr, &output.stderr)?;
    out.flush().map_err(Failure::Writing)?;
    Ok(Exit::Done)
}

/// Runs provisiond, and hands on what it writes to its standard output.
fn received(
    mut provisiond: Command,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Output, Failure> {
    provisiond
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = provisiond.spawn().map_err(not_run)?;
    let handed_on = hand_on(&mut running, each);
    // If that failed, provisiond finds its standard output closed, and ends.
    drop(running.stdout.take());
    let output = running.wait_with_output().map_err(not_run)?;
    handed_on.map(|()| output)
}

fn hand_on(
    running: &mut Child,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut bytes = vec![0; CHUNK];
    while let Some(out) = &mut running.stdout {
        let count = out.read(&mut bytes).map_err(Failure::Reading)?;
        if count == 0 {
            break;
        }
        each(bytes.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

/// Runs provisiond with the file on its standard input, and prints its report.
fn sent(context: &Context<'_>, mut provisiond: Command, path: &Path) -> Result<Exit, Failure> {
    let mut file = open(path)?;
    provisiond
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = provisiond.spawn().map_err(not_run)?;
    let copied = match running.stdin.take() {
        Some(mut pipe) => io::copy(&mut file, &mut pipe).map(drop),
        None => Ok(()),
    };
    let output = running.wait_with_output().map_err(not_run)?;
    // A provisiond that has seen enough closes the pipe, and says why.
    let report: Backup = report(&output.status, &output.stdout, &output.stderr)?;
    copied.map_err(|error| unreadable(path, &error))?;
    context.output.result(&report.of(path))?;
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    match file.metadata().is_ok_and(|file| file.is_file()) {
        true => Ok(file),
        false => Err(Failure::File {
            path: path.to_owned(),
            problem: "is no ordinary file: copy the backup into one".to_owned(),
        }),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    }
}

/// The daemon's program: beside this one, or in the folder of system programs that belongs to it.
pub(super) fn provisiond(
    command: &'static str,
    settings: &DaemonSettings,
) -> Result<Command, Failure> {
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

/// What provisiond `told`, or why it failed.
pub(super) fn report<T: DeserializeOwned>(
    status: &ExitStatus,
    told: &[u8],
    failed: &[u8],
) -> Result<T, Failure> {
    if !status.success() {
        let why = String::from_utf8_lossy(failed);
        let why = why.trim().trim_start_matches("provisiond: ").to_owned();
        return Err(Failure::Backup(why, exit(*status)));
    }
    serde_json::from_slice(told).map_err(|error| not_run(error.into()))
}

fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(70) => Exit::StoreFailed,
        Some(78) => Exit::BadSettings,
        _ => Exit::Refused,
    }
}

pub(super) fn not_run(error: io::Error) -> Failure {
    let why = format!("provisiond cannot be run: {error}: install it beside totpctl");
    Failure::Backup(why, Exit::Refused)
}

const CHUNK: usize = 64 * 1024;
const TO_A_TERMINAL: &str =
    "a backup is no text for a terminal: name a file, or pipe it into another program";
