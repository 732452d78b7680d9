//! A configuration file of root: read without following links, replaced in one step, and put back
//! as it was, with owner, mode, extended attributes and SELinux label.
//!
//! The original stays beside the new file under another name (a hard link). Putting it back is one
//! rename, which needs no room on the disk.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, linkat, unlinkat};
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// A file's path, with its folder held open.
#[derive(Debug)]
pub(crate) struct Location {
    path: PathBuf,
    folder: File,
    name: OsString,
}

/// What a file holds, and its owner and mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Content {
    /// A new file of the caller's.
    pub(crate) fn new(text: String, mode: u32) -> Self {
        Self {
            text,
            mode,
            uid: geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        }
    }

    /// The same file with another text.
    pub(crate) fn with(&self, text: String) -> Self {
        Self {
            text,
            ..self.clone()
        }
    }
}

impl Location {
    /// Opens the folder of an absolute path. No part of it may be a link, and no other user may
    /// write to the folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |errno: Errno| failure(path, in_the_folder(errno));
        let mut folder = open("/", folder_flags(), Mode::empty()).map_err(failed)?;
        let mut names = path.components().filter(|part| *part != Component::RootDir);
        let name = names.next_back().ok_or(Errno::EISDIR).map_err(failed)?;
        for part in names {
            folder =
                openat(&folder, part.as_os_str(), folder_flags(), Mode::empty()).map_err(failed)?;
        }
        let folder = File::from(folder);
        check_owner(path, &folder)?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            name: name.as_os_str().to_owned(),
        })
    }

    /// The path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds; `None` if there is none.
    pub(crate) fn read(&self) -> Result<Option<Content>, Failure> {
        self.read_as(&self.name)
    }

    /// Keeps the file under another name, too, until [`Self::clear`].
    pub(crate) fn keep(&self) -> Result<(), Failure> {
        self.unlink(&self.kept())?;
        let kept = self.kept();
        linkat(
            &self.folder,
            self.name.as_os_str(),
            &self.folder,
            kept.as_os_str(),
            AtFlags::empty(),
        )
        .map_err(|errno| self.failed(errno))?;
        self.sync()
    }

    /// Replaces or makes the file, in one step that survives a power cut.
    pub(crate) fn replace(&self, content: &Content) -> Result<(), Failure> {
        let draft = self.draft();
        self.unlink(&draft)?;
        let written = self.write_draft(&draft, content).and_then(|()| {
            renameat(
                &self.folder,
                draft.as_os_str(),
                &self.folder,
                self.name.as_os_str(),
            )
            .map_err(|errno| self.failed(errno))
        });
        if written.is_err() {
            let _ = self.unlink(&draft);
        }
        written.and_then(|()| self.sync())
    }

    /// Puts the original back: the kept file itself, or, if it is gone, a copy.
    pub(crate) fn put_back(&self, before: &Content) -> Result<(), Failure> {
        let kept = self.kept();
        let is_original = |found: &Content| found.text == before.text;
        if !matches!(self.read_as(&kept), Ok(Some(found)) if is_original(&found)) {
            return self.replace(before);
        }
        renameat(
            &self.folder,
            kept.as_os_str(),
            &self.folder,
            self.name.as_os_str(),
        )
        .map_err(|errno| self.failed(errno))?;
        self.sync()
    }

    /// Removes the file.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        self.unlink(&self.name)?;
        self.sync()
    }

    /// Gives the file a name under which no program reads it. Returns its new path.
    pub(crate) fn set_aside(&self) -> Result<PathBuf, Failure> {
        let aside = self.beside("", ".set-aside");
        renameat(
            &self.folder,
            self.name.as_os_str(),
            &self.folder,
            aside.as_os_str(),
        )
        .map_err(|errno| self.failed(errno))?;
        self.sync()?;
        Ok(self.path.with_file_name(aside))
    }

    /// Removes what is left of an earlier run: the kept original and a draft.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        self.unlink(&self.kept())?;
        self.unlink(&self.draft())
    }

    fn read_as(&self, name: &OsString) -> Result<Option<Content>, Failure> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.folder, name.as_os_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.failed(errno)),
        };
        let about = file.metadata().map_err(|error| self.io(&error))?;
        if !about.is_file() {
            return Err(failure(
                &self.path,
                "is no ordinary file: totpctl leaves it alone",
            ));
        }
        check_owner(&self.path, &file)?;
        let mut text = String::new();
        file.take(MOST_BYTES.saturating_add(1))
            .read_to_string(&mut text)
            .map_err(|error| self.io(&error))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_BYTES {
            return Err(failure(
                &self.path,
                "is longer than 64 KiB: totpctl leaves it alone",
            ));
        }
        Ok(Some(Content {
            text,
            mode: about.mode() & 0o7777,
            uid: about.uid(),
            gid: about.gid(),
        }))
    }

    fn write_draft(&self, draft: &OsString, content: &Content) -> Result<(), Failure> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file: OwnedFd = openat(
            &self.folder,
            draft.as_os_str(),
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )
        .map_err(|errno| self.failed(errno))?;
        let mut file = File::from(file);
        self.copy_attributes(&file)?;
        let owner = (Uid::from_raw(content.uid), Gid::from_raw(content.gid));
        fchown(&file, Some(owner.0), Some(owner.1)).map_err(|errno| self.failed(errno))?;
        file.set_permissions(Permissions::from_mode(content.mode))
            .and_then(|()| file.write_all(content.text.as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(|error| self.io(&error))
    }

    /// Gives the draft the extended attributes of the file that it replaces: SELinux's label, ACLs.
    /// A file system that has none gives none.
    fn copy_attributes(&self, draft: &File) -> Result<(), Failure> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(former) = openat(&self.folder, self.name.as_os_str(), flags, Mode::empty()) else {
            return Ok(());
        };
        let mut names = [0; MOST_ATTRIBUTES];
        let Ok(count) = flistxattr(&former, &mut names) else {
            return Ok(());
        };
        let names = names.get(..count).unwrap_or_default();
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let mut value = [0; MOST_ATTRIBUTES];
            if let Ok(count) = fgetxattr(&former, name, &mut value) {
                let value = value.get(..count).unwrap_or_default();
                fsetxattr(draft, name, value, XattrFlags::empty())
                    .map_err(|errno| self.io(&errno.into()))?;
            }
        }
        Ok(())
    }

    fn unlink(&self, name: &OsString) -> Result<(), Failure> {
        match unlinkat(&self.folder, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    fn sync(&self) -> Result<(), Failure> {
        self.folder.sync_all().map_err(|error| self.io(&error))
    }

    fn kept(&self) -> OsString {
        self.beside(".", ".before-pam-totp")
    }

    fn draft(&self) -> OsString {
        self.beside(".", ".pam-totp-draft")
    }

    fn beside(&self, head: &str, tail: &str) -> OsString {
        let mut name = OsString::from(head);
        name.push(&self.name);
        name.push(tail);
        name
    }

    fn failed(&self, errno: Errno) -> Failure {
        failure(&self.path, sentence(errno))
    }

    fn io(&self, error: &std::io::Error) -> Failure {
        failure(&self.path, &error.to_string())
    }
}

/// Refuses a folder or file that another user may change: setup would trust that user's lines.
fn check_owner(path: &Path, opened: &File) -> Result<(), Failure> {
    let about = opened
        .metadata()
        .map_err(|error| failure(path, &error.to_string()))?;
    let is_private = about.uid() == geteuid().as_raw() && about.mode() & 0o022 == 0;
    if is_private {
        return Ok(());
    }
    Err(failure(
        path,
        "may be changed by other users than root, itself or its folder: totpctl leaves it alone",
    ))
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn in_the_folder(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "cannot be used: its folder does not exist",
        Errno::ELOOP | Errno::ENOTDIR => "has a link in its path: setup follows no links",
        errno => errno.desc(),
    }
}

fn sentence(errno: Errno) -> &'static str {
    match errno {
        Errno::ELOOP => "is a link: setup follows no links",
        errno => errno.desc(),
    }
}

fn failure(path: &Path, problem: &str) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

const MOST_BYTES: u64 = 64 * 1024;
const MOST_ATTRIBUTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder of the tests' own, with one file in it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("sudo");
        fs::write(&path, "before\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        (folder, path)
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_original_comes_back_as_the_same_file() {
        let (_folder, path) = place();
        let inode = path.metadata().unwrap().ino();
        let location = Location::open(&path).unwrap();
        let before = location.read().unwrap().unwrap();
        location.keep().unwrap();
        location
            .replace(&before.with("after\n".to_owned()))
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        assert_ne!(path.metadata().unwrap().ino(), inode);
        location.put_back(&before).unwrap();
        assert_eq!(location.read().unwrap(), Some(before));
        assert_eq!(path.metadata().unwrap().ino(), inode);
        assert_eq!(names(&path), ["sudo"]);
    }

    #[test]
    fn without_the_kept_file_a_copy_comes_back_with_owner_and_mode() {
        let (_folder, path) = place();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let location = Location::open(&path).unwrap();
        let before = location.read().unwrap().unwrap();
        location
            .replace(&Content::new("after\n".to_owned(), 0o644))
            .unwrap();
        location.put_back(&before).unwrap();
        assert_eq!(location.read().unwrap(), Some(before));
        assert_eq!(names(&path), ["sudo"]);
    }

    #[test]
    fn links_and_files_of_other_users_are_left_alone() {
        let (_folder, path) = place();
        let link = path.with_file_name("link");
        symlink(&path, &link).unwrap();
        assert!(Location::open(&link).unwrap().read().is_err());
        let folder = path.with_file_name("folder");
        symlink(path.parent().unwrap(), &folder).unwrap();
        assert!(Location::open(&folder.join("sudo")).is_err());
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(Location::open(&path).unwrap().read().is_err());
        fs::write(&path, [0xff]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Location::open(&path).unwrap().read().is_err(), "no text");
        fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(Location::open(&path).unwrap().read().is_err(), "too long");
        assert!(Location::open(Path::new("/nonexistent/file")).is_err());
    }

    #[test]
    fn a_file_that_was_set_aside_keeps_its_text() {
        let (_folder, path) = place();
        let aside = Location::open(&path).unwrap().set_aside().unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), "before\n");
        assert_eq!(names(&path), ["sudo.set-aside"]);
    }
}
