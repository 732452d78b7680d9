//! Other people at the sockets: connections that they opened and the tests use, and crowds of them.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde_json::Value;

use crate::connection::patient;
use crate::lines::Lines;
use crate::world;

/// A connection that `uid` has opened.
///
/// # Panics
/// When that user cannot connect there.
#[must_use]
pub fn connect_as(uid: u32, path: &Path) -> UnixStream {
    let ours = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("a socket");
    let theirs = ours.try_clone().expect("another handle");
    let mut stranger = program();
    let done = stranger
        .args(["one", &uid.to_string()])
        .arg(path)
        .stdin(Stdio::from(theirs))
        .status();
    // The command holds their handle until it is dropped.
    drop(stranger);
    assert!(
        done.expect("a stranger").success(),
        "uid {uid} cannot connect to {}",
        path.display()
    );
    patient(UnixStream::from(ours))
}

/// Many connections of one user, opened at once. They are closed when it is dropped.
pub struct Crowd {
    process: Child,
    lines: Lines,
}

impl Crowd {
    /// Opens `count` connections of `uid` and makes one call on each.
    #[must_use]
    pub fn gather(uid: u32, count: usize, path: &Path) -> Self {
        let mut stranger = program();
        stranger
            .args(["crowd", &uid.to_string(), &count.to_string()])
            .arg(path);
        let mut process = stranger
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a crowd");
        let lines = Lines::default();
        lines.follow(process.stdout.take().expect("its output"));
        Self { process, lines }
    }

    /// Waits until every connection was answered or closed.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let line = self.lines.wait_for(&["served "]);
        let numbers: Vec<usize> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [served, busy, closed] = numbers[..] else {
            panic!("{line:?}")
        };
        Outcome {
            served,
            busy,
            closed,
        }
    }

    /// Closes all connections, and waits until their process is gone.
    pub fn leave(mut self) {
        let _ = self
            .process
            .stdin
            .take()
            .map(|mut input| input.write_all(b"\n"));
        let _ = self.process.wait();
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A process whose connections call again and again, until it is dropped.
pub struct Flood(Child);

impl Flood {
    /// `count` connections of as many uids, from `first` on, make the same call without end. They
    /// do so when this returns.
    #[must_use]
    pub fn begin(
        (first, uids): (u32, u32),
        count: usize,
        path: &Path,
        (method, parameters): (&str, &Value),
    ) -> Self {
        let numbers = [first.to_string(), uids.to_string(), count.to_string()];
        let mut flood = program();
        flood.arg("flood").args(numbers).arg(path);
        let mut process = flood
            .args([method, &parameters.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a flood");
        let lines = Lines::default();
        lines.follow(process.stdout.take().expect("its output"));
        let flood = Self(process);
        lines.wait_for(&["flooding"]);
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a crowd fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Connections whose call was answered.
    pub served: usize,
    /// Connections that were told to come back later.
    pub busy: usize,
    /// Connections that were closed without a word.
    pub closed: usize,
}

fn program() -> Command {
    Command::new(world::built("stranger"))
}
