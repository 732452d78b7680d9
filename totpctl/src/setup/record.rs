//! What `setup` remembers of a set-up until it is taken back: every changed file before and after,
//! and until when it must be confirmed. It lies in a folder of root's, written before the first
//! change, so that a set-up that was killed half-way can be taken back.
//!
//! `sshd.armed` is a set-up that waits for its confirmation; `sshd.confirmed` is one that stays.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::boot::Instant;
use super::file::{Content, Location};
use super::recipe::Place;
use crate::cli::Target;
use crate::exit::Failure;

/// A set-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    pub(crate) target: Target,
    /// The user whose new login confirms it.
    pub(crate) user: String,
    /// The file of our lines, as the service files name it.
    pub(crate) include: String,
    /// Where they name it.
    pub(crate) place: Place,
    pub(crate) begun: Instant,
    /// When it is taken back; never without a rollback.
    pub(crate) due: Option<Instant>,
    /// The number of the daemon's last event before it.
    pub(crate) last_event: u64,
    /// In the order in which they are written.
    pub(crate) files: Vec<Change>,
}

/// A changed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
    /// None: there was no file.
    pub(crate) before: Option<Content>,
    pub(crate) after: Content,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Our lines of PAM, or the script that they run.
    Lines,
    /// Our lines of sshd.
    Sshd,
    /// A service file that names our lines.
    Service,
}

/// The folder of the records, held by one process at a time.
#[derive(Debug)]
pub(crate) struct Records {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Record {
    /// A set-up that begins now.
    pub(crate) fn new(
        target: Target,
        user: String,
        include: String,
        place: Place,
    ) -> Result<Self, Failure> {
        Ok(Self {
            version: VERSION,
            target,
            user,
            include,
            place,
            begun: Instant::now()?,
            due: None,
            last_event: 0,
            files: Vec::new(),
        })
    }
}

impl Records {
    /// Opens the folder, and makes it if need be. Waits for another process that holds it: the timer
    /// looks at a set-up twice a minute, for a moment.
    pub(crate) fn open() -> Result<Self, Failure> {
        let mut tries = TRIES;
        Self::open_in(Path::new(FOLDER), || {
            std::thread::sleep(PAUSE);
            tries = tries.saturating_sub(1);
            tries > 0
        })
    }

    /// `again` is asked after each try in vain.
    fn open_in(folder: &Path, again: impl FnMut() -> bool) -> Result<Self, Failure> {
        if !folder.is_dir() {
            DirBuilder::new()
                .mode(0o700)
                .create(folder)
                .map_err(|error| failure(folder, &error.to_string()))?;
        }
        // Checks the folder's owner and mode as well.
        let lock = folder.join("lock");
        Location::open(&lock)?.read()?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(|error| failure(&lock, &error.to_string()))?;
        let held = hold(file, again).ok_or_else(|| Failure::SetUp(BUSY.to_owned()))?;
        Ok(Self {
            folder: folder.to_owned(),
            _lock: held,
        })
    }

    /// Writes a set-up that waits for its confirmation. After this it can be taken back.
    pub(crate) fn arm(&self, record: &Record) -> Result<(), Failure> {
        let path = self.path(record.target, ARMED);
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| failure(&path, &error.to_string()))?;
        Location::open(&path)?.replace(&Content::new(text, 0o600))
    }

    /// The set-up that waits for its confirmation. There is one at most.
    pub(crate) fn armed(&self) -> Result<Option<Record>, Failure> {
        self.first(|target| self.read(target, ARMED))
    }

    /// The set-up of a service that was confirmed.
    pub(crate) fn confirmed(&self, target: Target) -> Result<Option<Record>, Failure> {
        self.read(target, CONFIRMED)
    }

    /// The services whose set-up was confirmed.
    pub(crate) fn all_confirmed(&self) -> Result<Vec<Record>, Failure> {
        let found = TARGETS.map(|target| self.confirmed(target));
        found.into_iter().filter_map(Result::transpose).collect()
    }

    /// Marks a set-up as confirmed. A rename, which needs no room on a full disk.
    pub(crate) fn confirm(&self, target: Target) -> Result<(), Failure> {
        let (from, to) = (self.path(target, ARMED), self.path(target, CONFIRMED));
        fs::rename(&from, to)
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|error| failure(&from, &error.to_string()))
    }

    /// Forgets a set-up that was taken back.
    pub(crate) fn forget(&self, target: Target) -> Result<(), Failure> {
        for state in [ARMED, CONFIRMED] {
            let location = Location::open(&self.path(target, state))?;
            location.clear()?;
            location.remove()?;
        }
        Ok(())
    }

    fn first(
        &self,
        read: impl Fn(Target) -> Result<Option<Record>, Failure>,
    ) -> Result<Option<Record>, Failure> {
        for target in TARGETS {
            if let Some(record) = read(target)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn read(&self, target: Target, state: &str) -> Result<Option<Record>, Failure> {
        let path = self.path(target, state);
        let Some(content) = Location::open(&path)?.read()? else {
            return Ok(None);
        };
        let record: Record = serde_json::from_str(&content.text)
            .map_err(|error| failure(&path, &format!("cannot be understood: {error}")))?;
        if record.version != VERSION {
            return Err(failure(
                &path,
                "was written by another version of totpctl: use that one",
            ));
        }
        Ok(Some(record))
    }

    fn path(&self, target: Target, state: &str) -> PathBuf {
        self.folder.join(format!("{target}.{state}"))
    }
}

fn hold(mut file: File, mut again: impl FnMut() -> bool) -> Option<Flock<File>> {
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Some(held),
            Err((back, _)) => file = back,
        }
        if !again() {
            return None;
        }
    }
}

fn failure(path: &Path, problem: &str) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

const FOLDER: &str = "/var/lib/pam-totp-setup";
const ARMED: &str = "armed";
const CONFIRMED: &str = "confirmed";
const VERSION: u32 = 1;
const TARGETS: [Target; 4] = [Target::Sshd, Target::Sudo, Target::Su, Target::Login];
/// Ten seconds in all.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);
const BUSY: &str = "another 'totpctl setup' is at work: wait until it has ended, and try again";

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("setup");
        (folder, path)
    }

    fn record(target: Target) -> Record {
        let place = Place::AfterCommonAuth;
        Record::new(target, "alice".into(), "pam-totp-sudo".into(), place).unwrap()
    }

    #[test]
    fn a_set_up_is_armed_then_confirmed_then_forgotten() {
        let (_folder, path) = folder();
        let records = Records::open_in(&path, || false).unwrap();
        let sudo = record(Target::Sudo);
        records.arm(&sudo).unwrap();
        assert_eq!(records.armed().unwrap(), Some(sudo.clone()));
        records.confirm(Target::Sudo).unwrap();
        assert_eq!(records.armed().unwrap(), None);
        assert_eq!(records.all_confirmed().unwrap(), [sudo]);
        records.forget(Target::Sudo).unwrap();
        assert!(records.all_confirmed().unwrap().is_empty());
    }

    #[test]
    fn one_process_at_a_time_works_on_the_records() {
        let (_folder, path) = folder();
        let first = Records::open_in(&path, || false).unwrap();
        assert!(Records::open_in(&path, || false).is_err());
        drop(first);
        assert!(Records::open_in(&path, || false).is_ok());
    }

    #[test]
    fn a_process_waits_for_the_one_that_works_on_the_records() {
        let (_folder, path) = folder();
        let mut first = Some(Records::open_in(&path, || false).unwrap());
        let second = Records::open_in(&path, || first.take().is_some());
        assert!(second.is_ok());
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_an_error() {
        let (_folder, path) = folder();
        let records = Records::open_in(&path, || false).unwrap();
        for text in ["", "{}", "{\"version\":1}"] {
            let location = Location::open(&path.join("su.armed")).unwrap();
            location
                .replace(&Content::new(text.to_owned(), 0o600))
                .unwrap();
            assert!(records.armed().is_err(), "{text}");
        }
    }
}
