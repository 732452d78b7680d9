//! `--backup`, `--check-backup` and `--restore`: a backup of the store to standard output, whether the
//! one on standard input is whole and opens, and back again. All run beside the daemon, or without
//! it, as the daemon's account, and end. totpctl opens the files: AppArmor lets this program into the
//! folders of the daemon only.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read};
use std::path::PathBuf;

use common::config::{Settings, SledSettings, StoreSettings};
use common::secrets::Secrets;
use nix::unistd::gethostname;
use serde::Serialize;

use crate::clock;
use crate::record::{Damaged, Record};
use crate::store::backup::{self, BackupError, Header};
use crate::store::sled::{Place, RestoreError, Restoring, record_of};

/// Why a command about a backup failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The backup or the store.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Etcd has backups of its own.
    #[error(
        "the records are on etcd, which makes its own backups: 'etcdctl snapshot save' on one member, and the restore that \
         the administrator's guide describes in 'A fleet'"
    )]
    OnEtcd,
    /// Records that no secret opens.
    #[error("{0}")]
    DoesNotOpen(String),
}

/// What was done with a backup.
#[derive(Debug, Serialize)]
pub(super) struct Report {
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
    /// Prints it as one JSON object: on standard output, unless the backup goes there.
    pub(super) fn print(&self) {
        match serde_json::to_string(self) {
            Ok(json) if matches!(self.done, Done::Made) => eprintln!("{json}"),
            Ok(json) => println!("{json}"),
            Err(_) => {}
        }
    }
}

/// Writes the backup to standard output.
pub(super) fn make(settings: &Settings) -> Result<Report, Failure> {
    let store = embedded(settings)?;
    let out = BufWriter::new(io::stdout().lock());
    let header = backup::write(&store.path, out, |contents| Header {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        host: gethostname().map_or_else(
            |_| String::new(),
            |host| host.to_string_lossy().into_owned(),
        ),
        made: clock::now(),
        generation: contents.generation(),
        users: contents.users(),
    })?;
    Ok(Report {
        done: Done::Made,
        header,
    })
}

/// Reads the backup on standard input to its end and opens every record in it. Changes nothing.
pub(super) fn check(settings: &Settings) -> Result<Report, Failure> {
    let header = checked(io::stdin().lock(), settings)?;
    Ok(Report {
        done: Done::Checked,
        header,
    })
}

/// Puts the backup on standard input in the place of the store. It is checked first.
pub(super) fn put_back(
    settings: &Settings,
    mirror: Option<PathBuf>,
    replace: bool,
) -> Result<Report, Failure> {
    let store = embedded(settings)?;
    let place = Place {
        path: store.path.clone(),
        cache_mib: store.cache_mib,
        mirror,
    };
    let restoring = Restoring::begin(&place, &mut io::stdin().lock())?;
    checked(restoring.backup()?, settings)?;
    Ok(Report {
        done: Done::Restored,
        header: restoring.put_in_place(replace)?,
    })
}

fn embedded(settings: &Settings) -> Result<&SledSettings, Failure> {
    match &settings.store {
        StoreSettings::Sled(store) => Ok(store),
        StoreSettings::Etcd(_) => Err(Failure::OnEtcd),
    }
}

fn checked(backup: impl Read, settings: &Settings) -> Result<Header, Failure> {
    let mut records = BTreeMap::new();
    let (header, _) = backup::read(backup, &mut |rows| {
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
        true => Ok(header),
        false => Err(Failure::DoesNotOpen(does_not_open(&closed))),
    }
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
