//! Group commit: one thread is the only writer. It takes what has queued up, has it made durable in one go, and wakes
//! everybody who waits for it.
//!
//! Knows no store and no record. What fails once is never tried again: after a failed sync nobody can say what is on
//! the disk, so every waiter and every later caller is told [`Unavailable`].

mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Instant;

use self::queue::{Request, Shared, Turn, left_until};
use crate::store::{Outcome, Unavailable};

/// What the one thread does with the updates that it is handed.
pub(crate) trait Apply: Send + 'static {
    /// One caller's change.
    type Update: Send + 'static;

    /// How much an update weighs against the bytes of a group.
    fn bytes(update: &Self::Update) -> usize;

    /// Applies the updates in their order, each judged against those before it, and returns when all are durable: one
    /// answer each. The error is a sentence, after which nothing is applied any more.
    fn apply(&mut self, group: Vec<Self::Update>) -> Result<Vec<Answer>, String>;

    /// When [`Apply::chore`] is to be called next; `None` while there is nothing to do, so that nothing wakes up.
    fn chore_due(&self) -> Option<Instant>;

    /// What has to be done now and then, and before the end.
    fn chore(&mut self) -> Result<(), String>;
}

/// What a caller is told.
pub(crate) type Answer = Result<Outcome, Unavailable>;

/// The callers' end of the queue.
pub(crate) struct Committer<U> {
    shared: Arc<Shared<U>>,
}

impl<U: Send + 'static> Committer<U> {
    /// Starts the thread. `broken` says whether the store underneath has failed without a word; `fatal` hears, once,
    /// the sentence with which it all ended.
    pub(crate) fn start<A: Apply<Update = U>>(
        apply: A,
        broken: impl Fn() -> bool + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(Box::new(broken), Box::new(fatal)));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("commit".into()).spawn(move || {
            run(apply, &theirs);
            theirs.end();
        })?;
        Ok(Self { shared })
    }

    /// Queues the update and waits for its outcome until the deadline. With a deadline that has passed already, or a
    /// queue that is full until then, nothing is queued and the store is unavailable.
    pub(crate) fn submit(&self, update: U, deadline: Instant) -> Answer {
        let (reply, answer) = sync_channel(1);
        self.shared.enqueue(Request { update, reply }, deadline)?;
        match answer.recv_timeout(left_until(deadline)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(Unavailable),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.suspect();
                Ok(Outcome::Unknown)
            }
        }
    }

    /// Whether updates can still succeed.
    pub(crate) fn works(&self) -> bool {
        !self.shared.is_over()
    }

    /// Whether it ended with a failure.
    pub(crate) fn failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Ends it all, with the sentence for `fatal`.
    pub(crate) fn fail(&self, why: &str) {
        self.shared.fail(why, Vec::new());
    }

    /// Lets nobody in any more, waits until everything queued is durable and the chores are done.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

fn run<A: Apply>(mut apply: A, shared: &Shared<A::Update>) {
    loop {
        let done = match shared.next::<A>(apply.chore_due()) {
            Turn::Group(group) => commit(&mut apply, shared, group),
            Turn::Chore => chore(&mut apply, shared),
            Turn::Over => break,
        };
        if done.is_err() {
            return;
        }
    }
    if !shared.has_failed() && apply.chore_due().is_some() {
        _ = chore(&mut apply, shared);
    }
}

fn commit<A: Apply>(
    apply: &mut A,
    shared: &Shared<A::Update>,
    group: Vec<Request<A::Update>>,
) -> Result<(), Unavailable> {
    let (updates, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.update, request.reply)).unzip();
    let answers = match caught(|| apply.apply(updates)) {
        // Whoever gave it up in the meantime has told the callers so.
        Ok(_) if shared.has_failed() => return Err(Unavailable),
        Ok(answers) => answers,
        Err(why) => {
            shared.fail(&why, replies);
            return Err(Unavailable);
        }
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller that left at its deadline is no error: the commit stands.
        _ = reply.send(answer);
    }
    Ok(())
}

fn chore<A: Apply>(apply: &mut A, shared: &Shared<A::Update>) -> Result<(), Unavailable> {
    caught(|| apply.chore()).map_err(|why| {
        shared.fail(&why, Vec::new());
        Unavailable
    })
}

fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let panicked = |_| Err("the store failed: its library panicked; check the disk".to_owned());
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

#[cfg(test)]
mod tests;
