//! Many calls at once, for imports and lists of users: the daemon makes several calls durable with
//! one write to the disk, so calls that wait for it side by side are many times faster. Each thread
//! makes its calls on one connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::unistd::geteuid;

/// Hands each item to `call`, a few at once, and returns what came out, in the order of the items.
/// Each thread begins one session, for all of its calls. Of a result for which `ends` is true, no
/// further item is begun; those are missing at the end.
pub(super) fn at_once<S, T: Send, R: Send>(
    items: Vec<T>,
    begin: impl Fn() -> S + Sync,
    call: impl Fn(&S, T) -> R + Sync,
    ends: impl Fn(&R) -> bool + Sync,
) -> Vec<R> {
    let most = if geteuid().is_root() {
        OF_ROOT
    } else {
        AT_ONCE
    };
    let helpers = items.len().min(most).saturating_sub(1);
    let (queue, ended) = (
        Mutex::new(items.into_iter().enumerate()),
        AtomicBool::new(false),
    );
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next().filter(|_| !ended.load(Ordering::Acquire))
    };
    let work = || {
        let (session, mut done) = (begin(), Vec::new());
        while let Some((place, item)) = next() {
            let result = call(&session, item);
            ended.fetch_or(ends(&result), Ordering::Release);
            done.push((place, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // A thread that the system refuses is not needed: this one does all that is left.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let helping: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = work();
        for helper in helping {
            match helper.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Calls at once. An administrator that is not root has sixteen connections, and closed ones count
/// until the daemon has noticed.
pub(super) const AT_ONCE: usize = 12;
/// Root has no limit of its own. One write makes 64 updates durable: the others are made meanwhile. Five
/// of eight connections stay for logins.
const OF_ROOT: usize = 96;
/// Entries that are sent together. After a kill, these are the ones whose result was not printed.
pub(super) const BATCH: usize = 2048;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = at_once(items, || 2, |factor, item| item * factor, |_| false);
        assert!(doubled.iter().copied().eq((0..1000).map(|n| n * 2)));
        assert!(at_once(Vec::<u32>::new(), || (), |(), item| item, |_| false).is_empty());
    }

    #[test]
    fn several_items_are_under_way_at_once() {
        // One at a time would wait here for ever.
        let all_there = Barrier::new(AT_ONCE);
        let waited = at_once(
            (0..AT_ONCE).collect(),
            || (),
            |(), _: usize| all_there.wait(),
            |_| false,
        );
        assert_eq!(waited.len(), AT_ONCE);
    }

    #[test]
    fn a_result_that_ends_all_begins_no_further_item() {
        let results = at_once(
            (0..10_000).collect(),
            || (),
            |(), item: u32| item,
            |item| *item == 5,
        );
        assert!(results.len() < 10_000 && results.contains(&5));
        assert!(results.iter().copied().eq(0..results.len() as u32));
    }
}
