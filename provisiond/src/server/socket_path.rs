//! Notices that the path of a socket was removed or replaced, for example by a hand that has tidied
//! `/run`: the daemon runs, and no program finds it.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The path that a listener was bound to, and the file that was there first.
pub(super) struct SocketPath {
    path: PathBuf,
    file: Option<(u64, u64)>,
    due: Instant,
    gone: bool,
}

impl SocketPath {
    /// `None`: the listener has no path.
    pub(super) fn of(listener: &UnixListener) -> Option<Self> {
        let path = listener.local_addr().ok()?.as_pathname()?.to_owned();
        Some(Self {
            file: file_at(&path),
            path,
            due: Instant::now(),
            gone: false,
        })
    }

    /// The path, when it is found to be gone. Looks once a minute, and says it once.
    pub(super) fn just_gone(&mut self) -> Option<&Path> {
        let now = Instant::now();
        if now < self.due {
            return None;
        }
        self.due = now.checked_add(LOOK_EVERY).unwrap_or(now);
        let was_gone = self.gone;
        let file = file_at(&self.path);
        self.gone = file.is_none() || file != self.file;
        (self.gone && !was_gone).then_some(&self.path)
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    let file = path.symlink_metadata().ok()?;
    Some((file.dev(), file.ino()))
}

/// How often the paths are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_removed_or_replaced_is_gone_and_that_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut watched = SocketPath::of(&listener).unwrap();
        let mut says = || {
            watched.due = Instant::now();
            watched.just_gone().is_some()
        };
        assert!(!says());
        std::fs::remove_file(&path).unwrap();
        assert_eq!([says(), says()], [true, false]);
        let _other = UnixListener::bind(&path).unwrap();
        assert!(!says(), "it stays gone, and was said");
        let mut late = SocketPath::of(&listener).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(late.just_gone().is_some(), "gone before the first look");
    }
}
