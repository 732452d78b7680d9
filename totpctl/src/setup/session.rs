//! The login that this program runs in: its ancestors, as the kernel knows them. No variable of the
//! environment is asked: a user can set those.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::age;

/// A process above this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ancestor {
    pub(crate) pid: u32,
    /// When it was started, in milliseconds since the machine was.
    pub(crate) started: u64,
    /// The file name of its program.
    pub(crate) program: String,
    /// Whether it runs as root.
    pub(crate) is_roots: bool,
}

/// The ancestors of this process, the nearest first.
pub(crate) fn ancestors() -> Vec<Ancestor> {
    let mut found = Vec::new();
    let mut pid = nix::unistd::getppid().as_raw();
    while pid > 1 && found.len() < MOST {
        let Some((ancestor, parent)) = read(pid) else {
            break;
        };
        found.push(ancestor);
        pid = parent;
    }
    found
}

fn read(pid: i32) -> Option<(Ancestor, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    // So the kernel calls a program that was upgraded meanwhile.
    let program = program.trim_end_matches(" (deleted)").to_owned();
    let started: Duration = age::started(&stat)?;
    let ancestor = Ancestor {
        pid: u32::try_from(pid).ok()?,
        started: u64::try_from(started.as_millis()).ok()?,
        program,
        is_roots: fs::metadata(format!("/proc/{pid}")).ok()?.uid() == 0,
    };
    Some((ancestor, parent))
}

/// Deeper than any session.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_or_cargo_is_above_a_test() {
        let found = ancestors();
        let first = found.first().unwrap();
        assert!(!first.program.is_empty() && first.pid > 1, "{found:?}");
        let started: Vec<u64> = found.iter().map(|ancestor| ancestor.started).collect();
        assert!(started.is_sorted_by(|one, next| one >= next), "{found:?}");
    }
}
