//! What this machine remembers of a store on etcd: which cluster it was, how far it had come, and the
//! mark of this machine's clock. By it a store that was put back from an older snapshot is detected.
//!
//! The witness is a file beside the store's path, durable about once a minute, and a line in a file
//! on a tmpfs, which is current at all times until the machine stops.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::clock::mark::Mark;
use crate::store::marker::{beside, kept, sync_folder_of};
use crate::store::private;

/// How far a store had come. The numbers only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The store's random identity.
    pub(super) store: u128,
    /// etcd's number of the cluster.
    pub(super) cluster: u64,
    /// Roll-backs that were found.
    pub(super) epoch: u64,
    /// etcd's revision.
    pub(super) revision: u64,
    /// The users with a record.
    pub(super) users: u64,
    /// The start of the latest spent step that this machine knows of, in Unix seconds.
    pub(super) spent: u64,
}

/// The witness.
pub(super) struct Witness {
    path: PathBuf,
    mirror: Option<File>,
    written: Option<(Seen, Instant)>,
}

/// What an earlier process has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// The store, as the file and the mirror know it.
    pub(super) seen: Seen,
    /// The mark of this machine's clock.
    pub(super) mark: Mark,
}

impl Witness {
    /// Reads the witness of the store at `path`, and its mirror, if one is configured. A file that
    /// is damaged is an error: it must not count as none.
    pub(super) fn read(
        path: &Path,
        mirror: Option<&Path>,
    ) -> io::Result<(Self, Option<Remembered>)> {
        let path = beside(path, ENDING);
        let mut remembered = match private::file(OpenOptions::new().read(true), &path) {
            Ok(file) => Some(parse(&start_of(&file)?).ok_or_else(damaged)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mirror = mirror.map(kept).transpose()?;
        if let (Some(mirror), Some(Remembered { seen, .. })) = (&mirror, &mut remembered) {
            seen.catch_up(&start_of(mirror)?);
        }
        let witness = Self {
            path,
            mirror,
            written: None,
        };
        Ok((witness, remembered))
    }

    /// Notes how far the store has come. The file is written when it is a minute old, or a step was
    /// spent ahead of its time.
    pub(super) fn note(&mut self, seen: Seen, mark: Mark) -> io::Result<()> {
        if let Some(mirror) = &self.mirror {
            // A mirror that stays behind raises no false alarm, it only detects less.
            _ = mirror.write_all_at(seen.line().as_bytes(), 0);
        }
        let is_due = self.written.is_none_or(|(before, at)| {
            let is_old = at.elapsed() >= BETWEEN_WRITES;
            is_old || before.epoch != seen.epoch || mark.spent_ahead() && before.spent < seen.spent
        });
        match is_due {
            true => self.write(seen, mark),
            false => Ok(()),
        }
    }

    /// Makes the witness durable.
    pub(super) fn write(&mut self, seen: Seen, mark: Mark) -> io::Result<()> {
        let draft = beside(&self.path, ".new");
        let mut file = private::new_file(&draft)?;
        file.write_all(text_of(seen, mark).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        sync_folder_of(&self.path)?;
        self.written = Some((seen, Instant::now()));
        Ok(())
    }
}

impl Seen {
    /// The line of the mirror. Of one length, because it is written over the one before.
    fn line(&self) -> String {
        let Self {
            store,
            cluster,
            epoch,
            revision,
            spent,
            ..
        } = self;
        format!("etcd {store:032x} {cluster:016x} {epoch:020} {revision:020} {spent:020}\n")
    }

    /// Follows a mirror of the same store that knows more.
    fn catch_up(&mut self, mirror: &[u8]) {
        if let Some((store, cluster, [epoch, revision, spent])) = parse_line(mirror)
            && (store, cluster) == (self.store, self.cluster)
        {
            self.epoch = self.epoch.max(epoch);
            self.revision = self.revision.max(revision);
            self.spent = self.spent.max(spent);
        }
    }
}

fn parse_line(line: &[u8]) -> Option<(u128, u64, [u64; 3])> {
    let line = std::str::from_utf8(line.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.strip_prefix("etcd ")?.split(' ');
    let store = u128::from_str_radix(words.next()?, 16).ok()?;
    let cluster = u64::from_str_radix(words.next()?, 16).ok()?;
    let mut number = || words.next()?.parse().ok();
    Some((store, cluster, [number()?, number()?, number()?]))
}

fn text_of(seen: Seen, mark: Mark) -> String {
    let Seen {
        store,
        cluster,
        epoch,
        revision,
        users,
        spent,
    } = seen;
    let mark: Vec<String> = mark.to_numbers().iter().map(u64::to_string).collect();
    let mark = mark.join(" ");
    let facts = format!(
        "{TITLE}\nstore {store:032x}\ncluster {cluster:016x}\nepoch {epoch}\nrevision {revision}\nusers {users}\n\
         spent {spent}\nclock {mark}\n"
    );
    let check = checksum(&facts);
    format!("{facts}check {check}\n{ADVICE}\n")
}

fn parse(text: &[u8]) -> Option<Remembered> {
    let text = std::str::from_utf8(text).ok()?;
    let (facts, rest) = text.split_at_checked(text.find("check ")?)?;
    let check = rest.strip_prefix("check ")?.lines().next()?;
    (check == checksum(facts)).then_some(())?;
    let mut lines = facts.lines();
    (lines.next()? == TITLE).then_some(())?;
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let seen = Seen {
        store: u128::from_str_radix(value("store")?, 16).ok()?,
        cluster: u64::from_str_radix(value("cluster")?, 16).ok()?,
        epoch: value("epoch")?.parse().ok()?,
        revision: value("revision")?.parse().ok()?,
        users: value("users")?.parse().ok()?,
        spent: value("spent")?.parse().ok()?,
    };
    let numbers = value("clock")?.split(' ').map(str::parse);
    let numbers = numbers.collect::<Result<Vec<u64>, _>>().ok()?;
    Some(Remembered {
        seen,
        mark: Mark::from_numbers(&numbers)?,
    })
}

fn checksum(facts: &str) -> String {
    let hash = Sha256::digest(facts.as_bytes());
    HEXLOWER.encode(hash.first_chunk::<8>().map_or(&[], |bytes| bytes))
}

fn start_of(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

fn damaged() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "it is damaged; if etcd was not put back from a snapshot, remove it",
    )
}

const TITLE: &str = "pam-totp etcd witness 1";
const ADVICE: &str =
    "Remove this file only if this machine is meant to forget which store on etcd it used.";
/// The ending of the witness.
const ENDING: &str = ".etcd";
const MOST_BYTES: u64 = 4096;
const BETWEEN_WRITES: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::mark::{BootId, Reading};

    const SEEN: Seen = Seen {
        store: 7,
        cluster: u64::MAX,
        epoch: 1,
        revision: 99,
        users: 3,
        spent: 1_800_000_000,
    };

    fn mark() -> Mark {
        let seen = Reading {
            boot: BootId::from(5),
            wall: 1_800_000_000_000_000,
            running: 3,
        };
        Mark::new(&seen)
    }

    fn read(folder: &Path) -> Option<Remembered> {
        let mirror = folder.join("generation");
        Witness::read(&folder.join("store"), Some(&mirror))
            .unwrap()
            .1
    }

    #[test]
    fn a_witness_is_read_as_it_was_written_and_the_mirror_may_know_more() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path().join("generation");
        let (mut witness, before) =
            Witness::read(&folder.path().join("store"), Some(&mirror)).unwrap();
        assert_eq!(before, None);
        witness.note(SEEN, mark()).unwrap();
        let told = Remembered {
            seen: SEEN,
            mark: mark(),
        };
        assert_eq!(read(folder.path()), Some(told));
        let later = Seen {
            revision: 100,
            ..SEEN
        };
        witness.note(later, mark()).unwrap();
        std::fs::remove_file(&mirror).unwrap();
        let revision = |told: Option<Remembered>| told.unwrap().seen.revision;
        assert_eq!(revision(read(folder.path())), 99, "it is not a minute old");
        std::fs::write(&mirror, later.line()).unwrap();
        assert_eq!(revision(read(folder.path())), 100);
        let other = Seen { store: 8, ..later };
        for line in [other.line(), "123 456 789\n".into(), String::new()] {
            std::fs::write(&mirror, line).unwrap();
            assert_eq!(revision(read(folder.path())), 99);
        }
    }

    #[test]
    fn a_witness_with_any_flipped_bit_tells_the_truth_or_is_refused() {
        let text = text_of(SEEN, mark()).into_bytes();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = parse(&bytes);
            assert!(read.is_none_or(|told| told.seen == SEEN), "bit {bit}");
        }
    }
}
