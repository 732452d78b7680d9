//! Group commit: one committer thread is the only writer. It takes all queued updates, makes them
//! durable with one fsync, and wakes all callers that wait for it.
//!
//! Knows no store and no record. It never retries after a failure: after a failed fsync the
//! contents of the disk are unknown, so every waiting and every later caller gets [`Unavailable`].

mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Instant;

pub(crate) use self::queue::{GROUP, GROUP_BYTES};
use self::queue::{Request, Shared, Turn, left_until};
use crate::store::{Outcome, Unavailable};

/// The work of the committer thread.
pub(crate) trait Apply: Send + 'static {
    /// The update of one caller.
    type Update: Send + 'static;

    /// The bytes that an update adds to its group.
    fn bytes(update: &Self::Update) -> usize;

    /// Applies the updates in order, each checked against those before it. Returns when all are
    /// durable, with one answer for each. The error is a sentence for the log; no update is applied
    /// after it.
    fn apply(&mut self, group: Vec<Self::Update>) -> Result<Vec<Answer>, String>;

    /// When [`Apply::chore`] must be called next. `None` while there is no chore: then the thread
    /// sleeps.
    fn chore_due(&self) -> Option<Instant>;

    /// Periodic work, also done once before the end.
    fn chore(&mut self) -> Result<(), String>;
}

/// The answer to a caller.
pub(crate) type Answer = Result<Outcome, Unavailable>;

/// The handle of the callers.
pub(crate) struct Committer<U> {
    shared: Arc<Shared<U>>,
}

impl<U: Send + 'static> Committer<U> {
    /// Starts the thread. `broken` returns whether the store underneath has failed silently.
    /// `fatal` is called once, with the sentence of the failure that ended the committer.
    pub(crate) fn start<A: Apply<Update = U>>(
        apply: A,
        broken: impl Fn() -> bool + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(Box::new(broken), Box::new(fatal)));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || {
                run(apply, &theirs);
                theirs.end();
            })?;
        Ok(Self { shared })
    }

    /// Queues the update and waits for its outcome until the deadline. If the deadline has passed
    /// already, or the queue stays full until then, the update is not queued and the store is
    /// unavailable.
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

    /// Whether the committer ended with a failure.
    pub(crate) fn failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Ends the committer with a failure and its sentence for `fatal`.
    pub(crate) fn fail(&self, why: &str) {
        self.shared.fail(why, Vec::new());
    }

    /// The same, for another thread.
    pub(crate) fn failing(&self) -> impl Fn(&str) + Send + use<U> {
        let shared = Arc::clone(&self.shared);
        move |why| shared.fail(why, Vec::new())
    }

    /// Accepts no more updates, and waits until all queued ones are durable and the chore is done.
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
    let (updates, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|request| (request.update, request.reply))
        .unzip();
    let answers = match caught(|| apply.apply(updates)) {
        // The committer was given up in the meantime, and the callers have their answer.
        Ok(_) if shared.has_failed() => return Err(Unavailable),
        Ok(answers) => answers,
        Err(why) => {
            shared.fail(&why, replies);
            return Err(Unavailable);
        }
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller that left at its deadline is not an error: the commit stands.
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
