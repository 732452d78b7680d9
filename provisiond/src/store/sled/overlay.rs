//! The overlay: rows that are durable in the journal and not yet in sled. Readers look here first.
//! The settler takes the groups out in their order, so that sled is at every instant in a state in
//! which the store once was.
//!
//! Bounded: while it is full, the committer waits for the settler.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::sled::IVec;

use super::rows::{Merged, size};
use crate::store::journal::frame::{Bytes, Row};

/// Shared by the committer, the settler and the readers.
pub(super) struct Overlay {
    state: Mutex<State>,
    /// There is work for the settler.
    work: Condvar,
    /// Groups were settled, or the settler has ended.
    settled: Condvar,
    settle_after: Duration,
}

#[derive(Default)]
struct State {
    /// The last value of each row, and the number of its group.
    rows: BTreeMap<Bytes, (u64, Option<Bytes>)>,
    groups: VecDeque<Group>,
    /// Of all groups.
    bytes: usize,
    /// Groups are numbered from 1.
    pushed: u64,
    settled: u64,
    /// The settler goes on until this group is settled.
    wanted: u64,
    /// When everything is wanted that was pushed until then.
    due: Option<Instant>,
    is_closed: bool,
    has_ended: bool,
}

struct Group {
    rows: Vec<Row>,
    bytes: usize,
}

/// Groups that sled gets as one batch.
pub(super) struct Chunk {
    pub(super) merged: Merged,
    last: u64,
}

impl Overlay {
    /// What is pushed is settled after so long at the latest.
    pub(super) fn new(settle_after: Duration) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            settled: Condvar::new(),
            settle_after,
        }
    }

    /// The row, if it is here: its value, or `None` if it was removed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.lock().rows.get(key).map(|(_, value)| value.clone())
    }

    /// The rows of a range, in the order of their keys.
    pub(super) fn range(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Vec<(Bytes, Option<Bytes>)> {
        let state = self.lock();
        let rows = state.rows.range::<[u8], _>(range);
        rows.map(|(key, (_, value))| (Bytes::clone(key), value.clone()))
            .collect()
    }

    /// Waits until another group has room. False: the settler has ended, or the disk does not
    /// answer.
    pub(super) fn wait_for_room(&self) -> bool {
        self.wait_until(|state| state.bytes < BYTES)
    }

    /// Adds the rows of a group that is durable in the journal.
    pub(super) fn push(&self, rows: Vec<Row>) {
        let bytes = size(&rows);
        let mut state = self.lock();
        state.pushed = state.pushed.saturating_add(1);
        let number = state.pushed;
        for Row { key, value } in &rows {
            let row = (number, value.clone());
            state.rows.insert(Bytes::clone(key), row);
        }
        state.bytes = state.bytes.saturating_add(bytes);
        state.groups.push_back(Group { rows, bytes });
        let (is_first, is_idle) = (state.due.is_none(), state.settled >= state.wanted);
        if is_first {
            state.due = Instant::now().checked_add(self.settle_after);
        }
        if is_idle && state.bytes >= BYTES / 2 {
            state.wanted = number;
            self.work.notify_one();
        } else if is_first {
            self.work.notify_one();
        }
    }

    /// Has everything settled that was pushed, and waits for it. False as in
    /// [`Overlay::wait_for_room`].
    pub(super) fn settle(&self) -> bool {
        let wanted = {
            let mut state = self.lock();
            state.wanted = state.pushed;
            state.wanted
        };
        self.work.notify_one();
        self.wait_until(|state| state.settled >= wanted)
    }

    /// Has everything settled, and waits until the settler has ended. False as in
    /// [`Overlay::wait_for_room`].
    pub(super) fn close(&self) -> bool {
        self.lock().is_closed = true;
        self.work.notify_one();
        let ended = self
            .settled
            .wait_timeout_while(self.lock(), STUCK, |state| !state.has_ended);
        ended
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .groups
            .is_empty()
    }

    /// The settler's next chunk. Sleeps until it is due. `None`: the settler is to end.
    pub(super) fn next(&self) -> Option<Chunk> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let left = state.due.map(|due| due.saturating_duration_since(now));
            if state.is_closed || left.is_some_and(|left| left.is_zero()) {
                state.wanted = state.pushed;
                state.due = None;
            }
            if state.settled < state.wanted && !state.has_ended {
                return Some(state.chunk());
            }
            if state.is_closed || state.has_ended {
                return None;
            }
            state = match left {
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.work
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Forgets a chunk that sled holds durably. Rows that were changed again since stay.
    pub(super) fn forget(&self, chunk: &Chunk) {
        let mut state = self.lock();
        while state.settled < chunk.last
            && let Some(group) = state.groups.pop_front()
        {
            state.settled = state.settled.saturating_add(1);
            state.bytes = state.bytes.saturating_sub(group.bytes);
        }
        for key in chunk.merged.rows.keys() {
            let row = state.rows.get(key);
            if row.is_some_and(|(number, _)| *number <= chunk.last) {
                state.rows.remove(key);
            }
        }
        drop(state);
        self.settled.notify_all();
    }

    /// Ends the settler, which settles nothing more; or tells that it has ended.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.work.notify_all();
        self.settled.notify_all();
    }

    fn wait_until(&self, is_done: impl Fn(&State) -> bool) -> bool {
        let waits = |state: &mut State| !is_done(state) && !state.has_ended;
        let waited = self.settled.wait_timeout_while(self.lock(), STUCK, waits);
        is_done(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest groups, as many as sled takes at once.
    fn chunk(&self) -> Chunk {
        let mut chunk = Chunk {
            merged: Merged::default(),
            last: self.settled,
        };
        for group in &self.groups {
            if !chunk.merged.has_room(group.bytes) {
                break;
            }
            chunk.merged.add(group.rows.iter().cloned());
            chunk.last = chunk.last.saturating_add(1);
        }
        chunk
    }
}

/// The rows of sled with newer ones in their places, in the order of their keys.
pub(super) fn merged(
    newer: Vec<(Bytes, Option<Bytes>)>,
    rows: impl Iterator<Item = ::sled::Result<(IVec, IVec)>>,
) -> impl Iterator<Item = ::sled::Result<(IVec, IVec)>> {
    let mut newer = newer.into_iter().peekable();
    let mut rows = rows.peekable();
    std::iter::from_fn(move || {
        loop {
            let next = match (newer.peek(), rows.peek()) {
                (_, Some(Err(_))) | (None, _) => return rows.next(),
                (Some(_), None) => newer.next(),
                (Some((key, _)), Some(Ok((older, _)))) => match (**key).cmp(older) {
                    Less => newer.next(),
                    Equal => {
                        let _replaced = rows.next();
                        newer.next()
                    }
                    Greater => return rows.next(),
                },
            };
            // One that was removed hides the row of sled.
            if let Some((key, Some(value))) = next {
                return Some(Ok((IVec::from(&*key), IVec::from(&*value))));
            }
        }
    })
}

/// Several thousand logins.
const BYTES: usize = 4 << 20;
/// If the settler needs longer than this, the disk or the library is stuck.
const STUCK: Duration = Duration::from_secs(10);
