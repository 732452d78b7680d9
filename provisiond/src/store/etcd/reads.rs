//! Reads of records, several in one question: while etcd answers one, further reads gather, and go
//! together in the next. So logins that come at once do not ask etcd more often than it answers.
//!
//! A read is part of no question that was put before the read was wanted, so its answer is never
//! older than its caller.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::store::{Stored, Unavailable};

/// The reads of all callers.
#[derive(Default)]
pub(super) struct Reads(Mutex<Gathering>);

#[derive(Default)]
struct Gathering {
    /// One caller has put a question, and has no answer yet.
    is_asking: bool,
    /// The keys of the next question, and who waits for it.
    keys: Vec<Vec<u8>>,
    group: Arc<Group>,
}

/// Those that wait for one answer.
#[derive(Default)]
struct Group {
    answer: OnceLock<Result<Mutex<Rows>, Unavailable>>,
    changed: Condvar,
}

/// The row of each key of a question, in their order.
pub(super) type Rows = Vec<Option<Stored>>;

impl Reads {
    /// The rows of these keys. One of those who wait puts the question of all, with its own `ask`.
    ///
    /// # Errors
    /// [`Unavailable`], also if there is no answer until the deadline.
    pub(super) fn rows(
        &self,
        keys: Vec<Vec<u8>>,
        deadline: Instant,
        ask: impl FnOnce(Vec<Vec<u8>>) -> Result<Rows, Unavailable>,
    ) -> Result<Rows, Unavailable> {
        let mut gathering = self.lock();
        if Arc::strong_count(&gathering.group) == 1 {
            // All who wanted them have left at their deadlines.
            gathering.keys.clear();
        }
        let first = gathering.keys.len();
        let own = first..first.saturating_add(keys.len());
        if own.end > MOST_KEYS {
            drop(gathering);
            return whole(keys, ask);
        }
        gathering.keys.extend(keys);
        let group = Arc::clone(&gathering.group);
        while gathering.is_asking {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // It may have been called to ask.
                group.changed.notify_one();
                return Err(Unavailable);
            }
            let woken = group.changed.wait_timeout(gathering, left);
            gathering = woken.unwrap_or_else(PoisonError::into_inner).0;
            if let Some(rows) = group.rows(&own) {
                return rows;
            }
        }
        gathering.is_asking = true;
        gathering.group = Arc::default();
        let keys = std::mem::take(&mut gathering.keys);
        drop(gathering);
        let asking = Asking {
            reads: self,
            group: &group,
        };
        _ = group.answer.set(whole(keys, ask).map(Mutex::new));
        drop(asking);
        group.rows(&own).unwrap_or(Err(Unavailable))
    }

    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    /// The rows of one caller, by the places of its keys. `None`: there is no answer yet.
    fn rows(&self, own: &Range<usize>) -> Option<Result<Rows, Unavailable>> {
        let rows = match self.answer.get()? {
            Ok(rows) => rows,
            Err(Unavailable) => return Some(Err(Unavailable)),
        };
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let own = rows.get_mut(own.clone()).ok_or(Unavailable);
        Some(own.map(|rows| rows.iter_mut().map(Option::take).collect()))
    }
}

/// A row that is missing in the answer must not look like one that is not there.
fn whole(
    keys: Vec<Vec<u8>>,
    ask: impl FnOnce(Vec<Vec<u8>>) -> Result<Rows, Unavailable>,
) -> Result<Rows, Unavailable> {
    let wanted = keys.len();
    ask(keys).and_then(|rows| match rows.len() == wanted {
        true => Ok(rows),
        false => Err(Unavailable),
    })
}

/// A question that was put. When it is over, however it ends, those that wait go on, and the next is
/// put.
struct Asking<'a> {
    reads: &'a Reads,
    group: &'a Group,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        _ = self.group.answer.set(Err(Unavailable));
        let mut gathering = self.reads.lock();
        gathering.is_asking = false;
        gathering.group.changed.notify_one();
        self.group.changed.notify_all();
    }
}

/// etcd takes 128 operations in one transaction, unless it is told otherwise.
pub(super) const MOST_KEYS: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::store::Version;

    fn row(bytes: &[u8]) -> Option<Stored> {
        Some(Stored {
            bytes: bytes.to_vec(),
            version: Version::FIRST,
        })
    }

    /// Each key is its own row.
    fn echo(keys: Vec<Vec<u8>>) -> Result<Rows, Unavailable> {
        Ok(keys.iter().map(|key| row(key)).collect())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn bytes(found: Result<Rows, Unavailable>) -> Vec<Vec<u8>> {
        let rows = found.unwrap().into_iter();
        rows.map(|row| row.unwrap().bytes).collect()
    }

    /// Puts a question that is answered when `meanwhile` returns, and calls `meanwhile` when it was put.
    fn while_one_is_asked(reads: &Reads, meanwhile: impl FnOnce()) {
        let ((put, is_put), (answer, answered)) = (channel(), channel());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let ask = |keys| {
                    put.send(()).unwrap();
                    answered.recv().unwrap();
                    echo(keys)
                };
                assert_eq!(bytes(reads.rows(vec![b"0".into()], soon(), ask)), [b"0"]);
            });
            is_put.recv().unwrap();
            meanwhile();
            answer.send(()).unwrap();
        });
    }

    #[test]
    fn reads_that_come_while_a_question_is_put_go_together_in_the_next() {
        let (reads, asked) = (Reads::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            while_one_is_asked(&reads, || {
                for n in 1..=20_u8 {
                    let (reads, asked) = (&reads, &asked);
                    scope.spawn(move || {
                        let ask = |keys| {
                            asked.fetch_add(1, Ordering::SeqCst);
                            echo(keys)
                        };
                        let keys = vec![vec![n], vec![n, n]];
                        assert_eq!(bytes(reads.rows(keys, soon(), ask)), [vec![n], vec![n, n]]);
                    });
                }
                while reads.lock().keys.len() < 40 {
                    std::thread::yield_now();
                }
            });
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn more_keys_than_etcd_takes_at_once_are_asked_for_apart() {
        let reads = Reads::default();
        while_one_is_asked(&reads, || {
            let key = b"k".to_vec();
            let _others = Arc::clone(&reads.lock().group);
            reads.lock().keys = vec![key.clone(); MOST_KEYS];
            let ask = |keys: Vec<_>| {
                assert_eq!(keys.len(), 1);
                echo(keys)
            };
            assert_eq!(bytes(reads.rows(vec![key], soon(), ask)), [b"k"]);
        });
    }

    #[test]
    fn a_question_without_an_answer_fails_for_those_that_wait_for_it_and_for_no_other() {
        let reads = Reads::default();
        let fails = reads.rows(vec![b"a".into()], soon(), |_| Err(Unavailable));
        assert_eq!(fails.unwrap_err(), Unavailable);
        while_one_is_asked(&reads, || {
            let late = reads.rows(vec![b"b".into()], Instant::now(), echo);
            assert_eq!(late.unwrap_err(), Unavailable);
        });
        let short = reads.rows(vec![b"c".into()], soon(), |keys| {
            assert_eq!(keys, [b"c"], "who has left is forgotten");
            Ok(Vec::new())
        });
        assert_eq!(short.unwrap_err(), Unavailable, "not: no such record");
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            reads.rows(vec![b"c".into()], soon(), |_| panic!("on the way"))
        }));
        assert!(died.is_err());
        assert_eq!(bytes(reads.rows(vec![b"d".into()], soon(), echo)), [b"d"]);
    }
}
