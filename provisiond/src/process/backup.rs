//! `--backup`, `--check-backup` and `--restore`: a backup of the store in a file, whether it is whole
//! and opens, and back again. All run beside the daemon, or without it, and end.
//!
//! Files that the administrator names are opened as root; everything else is done as the daemon's
//! account.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::config::Settings;
use common::secrets::Secrets;
use nix::fcntl::OFlag;
use nix::unistd::gethostname;
use serde::Serialize;

use crate::clock;
use crate::record::{Damaged, Record};
use crate::store::backup::{self, BackupError, Header};
use crate::store::sled::{Place, RestoreError, record_of, restore};

/// Why a command about a backup failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The named file.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The backup or the store.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Records that no secret opens.
    #[error("{0}")]
    DoesNotOpen(String),
}

/// What was done with a backup.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    file: PathBuf,
    done: Done,
    #[serde(flatten)]
    header: Header,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Made,
    Checked,
    Restored,
}

impl Report {
    fn of(file: &Path, header: Header, done: Done) -> Self {
        Self {
            file: file.to_owned(),
            done,
            header,
        }
    }

    /// Prints it on standard output, as one JSON object.
    pub(super) fn print(&self) {
        if let Ok(json) = serde_json::to_string(self) {
            println!("{json}");
        }
    }
}

/// A file for a backup: new, and for its owner alone. What exists is never written over.
pub(super) struct NewBackup {
    path: PathBuf,
    file: File,
}

impl NewBackup {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => failed(path, "exists already: name a new file"),
            _ => failed(path, error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes the backup, durable on return. What could not be written is removed.
    pub(super) fn fill(self, settings: &Settings) -> Result<Report, Failure> {
        let header = write(settings, &self.file);
        let synced = header.and_then(|header| {
            self.file
                .sync_all()
                .map_err(|error| failed(&self.path, error))?;
            Ok(header)
        });
        if synced.is_err() {
            // The daemon's account may not remove it from root's folder: then it is empty.
            let _ = self.file.set_len(0);
            let _ = std::fs::remove_file(&self.path);
        }
        Ok(Report::of(&self.path, synced?, Done::Made))
    }
}

/// Writes the backup to standard output, for another program that encrypts it.
pub(super) fn to_standard_output(settings: &Settings) -> Result<(), Failure> {
    write(settings, io::stdout().lock()).map(|_| ())
}

/// Opens a backup.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| failed(path, error))?;
    match file.metadata().is_ok_and(|file| file.is_file()) {
        true => Ok(file),
        false => Err(failed(
            path,
            "is no ordinary file: copy the backup into one",
        )),
    }
}

/// Reads the backup to its end and opens every record in it. Changes nothing.
pub(super) fn check(file: &File, path: &Path, settings: &Settings) -> Result<Report, Failure> {
    let mut records = BTreeMap::new();
    let (header, _) = backup::read(file, &mut |rows| {
        for (user, stored) in rows.iter().filter_map(record_of) {
            match stored {
                Some(stored) => {
                    let secrets: &Secrets = &settings.secrets;
                    let opened = Record::from_bytes(&stored.bytes, &user, secrets);
                    records.insert(user, opened.map(|_| ()));
                }
                None => drop(records.remove(&user)),
            }
        }
        Ok(())
    })?;
    if records.len() as u64 != header.users {
        return Err(BackupError::Damaged.into());
    }
    let mut closed: BTreeMap<String, u64> = BTreeMap::new();
    for why in records.into_values().filter_map(Result::err) {
        let number = closed.entry(need(&why)).or_default();
        *number = number.saturating_add(1);
    }
    match closed.is_empty() {
        true => Ok(Report::of(path, header, Done::Checked)),
        false => Err(Failure::DoesNotOpen(does_not_open(&closed))),
    }
}

/// Puts the backup in the place of the store. It is checked first.
pub(super) fn put_back(
    mut file: File,
    path: &Path,
    (settings, mirror): (&Settings, Option<PathBuf>),
    replace: bool,
) -> Result<Report, Failure> {
    check(&file, path, settings)?;
    let place = Place {
        path: settings.store.path.clone(),
        cache_mib: settings.store.cache_mib,
        mirror,
    };
    let header = restore(&place, &mut file, replace)?;
    Ok(Report::of(path, header, Done::Restored))
}

fn write(settings: &Settings, out: impl Write) -> Result<Header, Failure> {
    let header = backup::write(&settings.store.path, BufWriter::new(out), |contents| {
        Header {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            host: gethostname().map_or_else(
                |_| String::new(),
                |host| host.to_string_lossy().into_owned(),
            ),
            made: clock::now(),
            generation: contents.generation(),
            users: contents.users(),
        }
    });
    Ok(header?)
}

fn need(why: &Damaged) -> String {
    match why {
        Damaged::NoSecret(tag) => format!("the application secret '{tag}' is not here"),
        why => why.to_string(),
    }
}

fn does_not_open(closed: &BTreeMap<String, u64>) -> String {
    let closed: Vec<String> = closed
        .iter()
        .map(|(why, number)| match number {
            1 => format!("1 record: {why}"),
            number => format!("{number} records: {why}"),
        })
        .collect();
    format!(
        "the backup is whole, but records do not open ({}): put the application secrets of the time of the backup into the \
         secrets file",
        closed.join("; ")
    )
}

fn failed(path: &Path, why: impl ToString) -> Failure {
    Failure::File(path.to_owned(), why.to_string())
}
