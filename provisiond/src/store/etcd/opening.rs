//! Opens a store on etcd: finds its state, or begins one, and judges by this machine's witness
//! whether the store went back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp};
use nix::fcntl::Flock;

use super::keys::Keys;
use super::nodes::{Failure, Nodes};
use super::state::{BadState, FleetClock, State};
use super::updates::{range, rows, rows_of_range};
use super::witness::{Remembered, Seen};
use crate::clock::Clock;
use crate::store::marker::{beside, lock};
use crate::store::moving::Fence;
use crate::store::private;

/// Why a store on etcd cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cluster does not answer, or refuses. It may do so later.
    #[error("{0}")]
    NotReached(String),
    /// Another process uses this machine's files of the store.
    #[error("the files at {0} are in use by another process; stop the other provisiond first")]
    InUse(PathBuf),
    /// A file of TLS cannot be used.
    #[error("{0}")]
    Files(String),
    /// It is empty, but held users.
    #[error(
        "etcd has no store below {prefix}, but this machine has used one with {users} users: put etcd's snapshot back, or \
         remove {witness} if the store is meant to start empty"
    )]
    Lost {
        /// What the keys begin with.
        prefix: String,
        /// The users that it had.
        users: u64,
        /// The file that knows it.
        witness: PathBuf,
    },
    /// Another store than before.
    #[error(
        "the store below {prefix} is another one than this machine has used: check the endpoints and the prefix, or remove \
         {witness} if the change is meant"
    )]
    Other {
        /// What the keys begin with.
        prefix: String,
        /// The file that knows the former one.
        witness: PathBuf,
    },
    /// There are records, and no state.
    #[error(
        "etcd has keys below {0}, but not the state of a store: another program uses the prefix, or a key was deleted; \
         choose another prefix, or put etcd's snapshot back"
    )]
    NoState(String),
    /// The state cannot be read.
    #[error("the state of the store below {0} is damaged: put etcd's snapshot back")]
    Damaged(String),
    /// Its records move, or have moved.
    #[error("the store below {0} is closed: {1}")]
    Fenced(String, Fence),
    /// A later version has written it.
    #[error(
        "the store below {0} was written by a newer version of provisiond; install that version again"
    )]
    Newer(String),
    /// A system call failed.
    #[error("{path} cannot be used: {error}; check its owner, its mode and the disk")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gave no random bytes: try again later")]
    NoRandomness,
}

impl OpenError {
    /// Whether etcd may let the store be opened at a later try.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotReached(_))
    }

    /// Whether another start fails in the same way until the administrator has done something.
    #[must_use]
    pub fn needs_the_administrator(&self) -> bool {
        !matches!(
            self,
            Self::NotReached(_) | Self::InUse(_) | Self::NoRandomness
        )
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::NotReached(failure.sentence)
    }
}

/// The store as it was found.
pub(super) struct Found {
    pub(super) state: State,
    /// What keeps every daemon out of it.
    pub(super) fence: Option<Fence>,
    /// The revision in which the state was written.
    pub(super) state_revision: i64,
    pub(super) clock: Option<FleetClock>,
    pub(super) users: u64,
}

/// The state of the store, and the clock of the fleet. One that is not there yet is made.
pub(super) fn found_or_begun(
    nodes: &Nodes,
    keys: &Keys,
    clock: &Clock,
    (prefix, known): (&str, Option<(&Remembered, &Path)>),
    deadline: Instant,
) -> Result<Found, OpenError> {
    loop {
        let found = look(nodes, keys, prefix, deadline);
        if let Ok(Some(found)) = found {
            return Ok(found);
        }
        if let (Ok(None) | Err(OpenError::NoState(_)), Some((remembered, witness))) =
            (&found, known)
        {
            return Err(OpenError::Lost {
                prefix: prefix.to_owned(),
                users: remembered.seen.users,
                witness: witness.to_owned(),
            });
        }
        _ = found?;
        begin(nodes, keys, clock, deadline)?;
    }
}

/// The state of the store, and the clock of the fleet. `None`: there is no key.
pub(super) fn look(
    nodes: &Nodes,
    keys: &Keys,
    prefix: &str,
    deadline: Instant,
) -> Result<Option<Found>, OpenError> {
    let look = [
        TxnOp::get(keys.state(), None),
        TxnOp::get(keys.clock(), None),
        range(keys.users(), 0),
        range(keys.all(), 0),
    ];
    let answer = nodes.ask(&Txn::new().and_then(look), deadline)?;
    let found = rows(&answer.response);
    let (_, users) = rows_of_range(&answer.response, 2);
    let (_, all) = rows_of_range(&answer.response, 3);
    if let Some(Some(row)) = found.first() {
        let fleet = found.get(1).and_then(Option::as_ref);
        return read(row, fleet, users, prefix).map(Some);
    }
    match all {
        0 => Ok(None),
        _ => Err(OpenError::NoState(prefix.to_owned())),
    }
}

fn read(
    row: &KeyValue,
    fleet: Option<&KeyValue>,
    users: u64,
    prefix: &str,
) -> Result<Found, OpenError> {
    let (state, fence) = match State::parse(row.value()) {
        Ok(state) => (state, None),
        Err(BadState::Fenced(state, fence)) => (state, Some(fence)),
        Err(BadState::Newer) => return Err(OpenError::Newer(prefix.to_owned())),
        Err(BadState::Damaged) => return Err(OpenError::Damaged(prefix.to_owned())),
    };
    Ok(Found {
        state,
        fence,
        state_revision: row.mod_revision(),
        clock: fleet.and_then(|row| FleetClock::parse(row.value())),
        users,
    })
}

/// Begins a store, unless another daemon has done so meanwhile.
fn begin(nodes: &Nodes, keys: &Keys, clock: &Clock, deadline: Instant) -> Result<(), OpenError> {
    let state = State::new().ok_or(OpenError::NoRandomness)?;
    let fleet = FleetClock {
        tick: clock.moment_of_question(None).tick,
        mark: clock.mark(),
    };
    let is_new = Compare::create_revision(keys.state(), CompareOp::Equal, 0);
    let begin = Txn::new().when([is_new]).and_then([
        TxnOp::put(keys.state(), state.to_bytes(), None),
        TxnOp::put(keys.clock(), fleet.to_bytes(), None),
    ]);
    nodes.ask(&begin, deadline)?;
    Ok(())
}

/// How the store that was found stands to what this machine remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It went on, or this machine never used it.
    Grown,
    /// Another daemon has found a roll-back since.
    RolledBackBefore,
    /// It is older than it was, and no daemon has found that yet.
    RolledBack,
    /// It is another store.
    Other,
}

/// Judges the age of a store of that state, at that revision of that cluster.
pub(super) fn age_of(state: &State, cluster: u64, revision: u64, known: Option<&Seen>) -> Age {
    let Some(known) = known else {
        // Its last roll-back may have been just now, and the codes of before are in doubt here, too.
        return match state.epoch {
            0 => Age::Grown,
            _ => Age::RolledBackBefore,
        };
    };
    if state.id != known.store {
        return Age::Other;
    }
    let is_older = cluster != known.cluster || revision < known.revision;
    match state.epoch.cmp(&known.epoch) {
        std::cmp::Ordering::Greater => Age::RolledBackBefore,
        std::cmp::Ordering::Equal if !is_older => Age::Grown,
        _ => Age::RolledBack,
    }
}

/// Locks this machine's files of the store for this process.
pub(super) fn claim(path: &Path, deadline: Instant) -> Result<Flock<File>, OpenError> {
    let folder = path.parent().unwrap_or(path);
    private::folder(folder).map_err(at(folder))?;
    let file = beside(path, ".lock");
    let locked = lock(&file, deadline).map_err(at(&file))?;
    locked.ok_or_else(|| OpenError::InUse(path.to_owned()))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |error| OpenError::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_older_if_its_cluster_revision_or_epoch_went_back() {
        let state = State {
            epoch: 2,
            ..State::new().unwrap()
        };
        let known = Seen {
            store: state.id,
            cluster: 7,
            epoch: 2,
            revision: 100,
            users: 1,
            spent: 0,
        };
        for (cluster, revision, seen, age) in [
            (7, 100, known, Age::Grown),
            (7, 101, known, Age::Grown),
            (7, 99, known, Age::RolledBack),
            (8, 101, known, Age::RolledBack),
            (7, 101, Seen { epoch: 3, ..known }, Age::RolledBack),
            (8, 1, Seen { epoch: 1, ..known }, Age::RolledBackBefore),
            (7, 101, Seen { store: 0, ..known }, Age::Other),
        ] {
            assert_eq!(
                age_of(&state, cluster, revision, Some(&seen)),
                age,
                "{seen:?}"
            );
        }
        assert_eq!(age_of(&state, 7, 1, None), Age::RolledBackBefore);
        let new = State { epoch: 0, ..state };
        assert_eq!(age_of(&new, 7, 1, None), Age::Grown);
    }
}
