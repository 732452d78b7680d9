//! A connection that is kept while a user types, for the next call.
//!
//! Other code of the process runs meanwhile. It may have closed the descriptor, opened a file of its
//! own under the same number, or forked: then the connection is not used, and the descriptor is not
//! closed, because it belongs to that code.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::sys::stat::fstat;

use crate::wire::client::Client;

/// A connection between two calls.
#[derive(Debug)]
pub struct Kept {
    client: Option<Client>,
    identity: Identity,
}

/// The socket behind a descriptor, and the process that opened it.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    process: u32,
}

impl Kept {
    /// Keeps a connection whose last call was answered. `None`: its socket cannot be told from
    /// others.
    #[must_use]
    pub fn new(client: Client) -> Option<Self> {
        let identity = Identity::of(client.socket())?;
        Some(Self {
            client: Some(client),
            identity,
        })
    }

    /// The connection, with `timeout` for the calls that follow, if it is still the same one.
    #[must_use]
    pub fn again(mut self, timeout: Duration) -> Option<Client> {
        self.take()?.waiting(timeout).ok()
    }

    fn take(&mut self) -> Option<Client> {
        let client = self.client.take()?;
        if Identity::of(client.socket()).as_ref() == Some(&self.identity) {
            return Some(client);
        }
        client.leave_open();
        None
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Identity {
    fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let found = fstat(socket).ok()?;
        Some(Self {
            device: found.st_dev,
            inode: found.st_ino,
            process: std::process::id(),
        })
    }
}
