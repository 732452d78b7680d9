//! The folder of a relay's offline copies: one file for each user, named by a hash of the user's name.
//! A file is whole or not there at every moment, and durable before anything is answered by it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use data_encoding::HEXLOWER;
use nix::fcntl::Flock;
use sha2::{Digest, Sha256};

use crate::record::offline::{Kept, MOST_BYTES};
use crate::store::marker::{beside, lock, sync_folder_of};
use crate::store::private::{self, PRIVATE_FOLDER};

/// The folder, held by this process alone.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Makes the folder if there is none, and locks it.
    ///
    /// # Errors
    /// It cannot be made, is not the daemon's own, or another daemon holds it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(PRIVATE_FOLDER).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        private::folder(path)?;
        let until = Instant::now().checked_add(LOCK_TIME);
        let lock = lock(&path.join(LOCK), until.unwrap_or_else(Instant::now))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock.ok_or_else(|| io::Error::other("another daemon uses the folder"))?,
        })
    }

    /// What is kept of the user. A file that is damaged or another user's counts as none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(super) fn read(&self, user: &UserName) -> io::Result<Option<Kept>> {
        let opened = private::file(OpenOptions::new().read(true), &self.file_of(user));
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES as u64).read_to_end(&mut bytes)?;
        let kept = Kept::parse(&bytes, user);
        kept.map(Some)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, DAMAGED))
    }

    /// Puts the file in the place of the one before: durable when this returns.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn write(&self, user: &UserName, kept: &Kept) -> io::Result<()> {
        let bytes = kept.to_bytes().ok_or(ErrorKind::InvalidInput)?;
        let path = self.file_of(user);
        let draft = beside(&path, DRAFT);
        let mut file = private::new_file(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        sync_folder_of(&path)
    }

    /// Removes the file of the user, if there is one.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(&self, user: &UserName) -> io::Result<()> {
        let path = self.file_of(user);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_folder_of(&path)),
        }
    }

    /// What is kept of all users. Files that cannot be used, and drafts of a killed daemon, are removed;
    /// what has another name is none of ours.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn all(&self) -> io::Result<Vec<(UserName, Kept)>> {
        let mut all = Vec::new();
        for entry in self.path.read_dir()? {
            let entry = entry?;
            if !is_ours(&entry.file_name()) {
                continue;
            }
            match self.named(&entry.path()) {
                Some(kept) if all.len() < MOST_FILES => all.push(kept),
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(all)
    }

    /// The file at that path, if it is what its name says.
    fn named(&self, path: &Path) -> Option<(UserName, Kept)> {
        let mut bytes = Vec::new();
        let file = private::file(OpenOptions::new().read(true), path).ok()?;
        file.take(MOST_BYTES as u64).read_to_end(&mut bytes).ok()?;
        let (user, kept) = Kept::parse_any(&bytes)?;
        (self.file_of(&user) == path).then_some((user, kept))
    }

    fn file_of(&self, user: &UserName) -> PathBuf {
        let hash = Sha256::digest(user.as_str());
        self.path.join(HEXLOWER.encode(&hash))
    }
}

/// Whether a file of that name is a user's, or a draft of one.
fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let hash = name.strip_suffix(DRAFT).unwrap_or(&name);
    hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Users of whom something is kept.
pub(super) const MOST_FILES: usize = 4096;
const LOCK: &str = "lock";
const DRAFT: &str = ".new";
const DAMAGED: &str = "it is damaged: a verifier gives a new one after the user's next login";
/// How long a daemon that was stopped may hold the folder.
const LOCK_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn what_was_written_is_there_and_private_and_what_is_none_of_ours_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("offline");
        let folder = Folder::open(&path).unwrap();
        let [alice, bob] = ["alice", "bob"].map(user);
        assert_eq!(folder.read(&alice).unwrap(), None);
        let kept = Kept::nothing(&alice);
        folder.write(&alice, &kept).unwrap();
        assert_eq!(folder.read(&alice).unwrap(), Some(kept.clone()));
        let mode = folder.file_of(&alice).metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        // Another user's file in that place, a draft, and a damaged one.
        std::fs::copy(folder.file_of(&alice), folder.file_of(&bob)).unwrap();
        std::fs::write(beside(&folder.file_of(&alice), DRAFT), "x").unwrap();
        assert!(folder.read(&bob).is_err());
        std::fs::write(path.join("notes"), "another program's").unwrap();
        assert_eq!(folder.all().unwrap(), [(alice.clone(), kept)]);
        assert_eq!(folder.read(&bob).unwrap(), None);
        let left = path.read_dir().unwrap().count();
        assert_eq!(left, 3, "the lock, the notes, and alice's");
        folder.remove(&alice).unwrap();
        folder.remove(&alice).unwrap();
        assert!(folder.all().unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("offline");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(Folder::open(&path).is_err());
    }
}
