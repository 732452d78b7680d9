//! Threads that serve connections, and are kept for the next one: to make and to end a thread costs
//! a login more system calls than its answer does.
//!
//! A connection never waits for a thread: without an idle one, it gets a new one.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// The idle threads, and what they are given.
pub(super) struct Workers {
    shift: Mutex<Shift>,
    given: Condvar,
    /// How long an idle thread waits before it ends.
    patience: Duration,
}

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Shift {
    idle: usize,
    /// Never more than there are idle threads.
    given: VecDeque<Work>,
}

impl Workers {
    pub(super) fn new() -> Self {
        Self::waiting(PATIENCE)
    }

    fn waiting(patience: Duration) -> Self {
        Self {
            shift: Mutex::default(),
            given: Condvar::new(),
            patience,
        }
    }

    /// Has a thread do the `work` at once.
    ///
    /// # Errors
    /// There is no idle thread, and the system has none to give.
    pub(super) fn give(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut shift = self.lock();
        if shift.idle > shift.given.len() {
            shift.given.push_back(Box::new(work));
            drop(shift);
            self.given.notify_one();
            return Ok(());
        }
        drop(shift);
        let workers = Arc::clone(self);
        let thread = Builder::new().name("connection".into());
        thread.spawn(move || workers.work(work)).map(drop)
    }

    fn work(&self, first: impl FnOnce()) {
        first();
        while let Some(work) = self.next() {
            work();
        }
    }

    /// Waits for the next work. `None`: the thread is not needed.
    fn next(&self) -> Option<Work> {
        let mut shift = self.lock();
        if shift.idle >= KEPT {
            return None;
        }
        shift.idle = shift.idle.saturating_add(1);
        let nothing = |shift: &mut Shift| shift.given.is_empty();
        let waited = self.given.wait_timeout_while(shift, self.patience, nothing);
        let (mut shift, _) = waited.unwrap_or_else(PoisonError::into_inner);
        shift.idle = shift.idle.saturating_sub(1);
        shift.given.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Shift> {
        self.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Idle threads at most: as many as may be busy at a machine's logins for more than a moment. Each
/// keeps some dozen kilobytes of stack.
const KEPT: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    fn idle(workers: &Workers, wanted: usize) {
        while workers.lock().idle != wanted {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_serves_one_connection_after_another() {
        let workers = Arc::new(Workers::new());
        let (tell, told) = channel();
        let mut threads = HashSet::new();
        for _ in 0..3 {
            let tell = tell.clone();
            workers
                .give(move || tell.send(thread::current().id()).unwrap())
                .unwrap();
            threads.insert(told.recv().unwrap());
            idle(&workers, 1);
        }
        assert_eq!(threads.len(), 1);
    }

    #[test]
    fn no_connection_waits_until_another_one_has_been_served() {
        let workers = Arc::new(Workers::new());
        // Each round needs all of its threads at the same moment.
        for _ in 0..50 {
            let together = Arc::new(Barrier::new(KEPT + 8 + 1));
            for _ in 0..KEPT + 8 {
                let together = Arc::clone(&together);
                let wait = move || {
                    together.wait();
                };
                workers.give(wait).unwrap();
            }
            together.wait();
        }
        idle(&workers, KEPT);
    }

    #[test]
    fn an_idle_thread_ends_and_a_panic_ends_no_other_one() {
        let workers = Arc::new(Workers::waiting(Duration::ZERO));
        let (tell, told) = channel();
        for panics in [true, false] {
            let tell = tell.clone();
            workers.give(move || work(tell, panics)).unwrap();
        }
        drop(tell);
        assert_eq!(told.iter().count(), 2, "both threads have ended");
        idle(&workers, 0);
    }

    /// Tells when the thread ends.
    fn work(tell: Sender<()>, panics: bool) {
        struct AtTheEnd(Sender<()>);
        impl Drop for AtTheEnd {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        thread_local! {
            static END: std::cell::RefCell<Option<AtTheEnd>> = const { std::cell::RefCell::new(None) };
        }
        END.set(Some(AtTheEnd(tell)));
        assert!(!panics, "planted");
    }
}
