//! The settler (checkpoint thread): brings sled up to the journal, behind the committer, in few large
//! batches. A chunk leaves the overlay when sled holds it durably, and not before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use super::base::Base;
use super::overlay::Overlay;
use crate::store::journal;

/// The work of the thread.
pub(super) struct Settler {
    pub(super) base: Base,
    pub(super) overlay: Arc<Overlay>,
    /// The folder of the journal, and the first segment of this process.
    pub(super) journal: PathBuf,
    pub(super) first: u64,
}

impl Settler {
    /// Starts the thread. `fail` is called at most once, with the reason why sled cannot be brought
    /// up.
    pub(super) fn start(self, fail: impl Fn(&io::Error) + Send + 'static) -> io::Result<()> {
        let overlay = Arc::clone(&self.overlay);
        let run = move || {
            let panicked = |_| Err(io::Error::other("its library panicked"));
            let done = catch_unwind(AssertUnwindSafe(|| self.run()));
            if let Err(error) = done.unwrap_or_else(panicked) {
                fail(&error);
            }
            overlay.end();
        };
        let thread = std::thread::Builder::new().name("settle".into());
        thread.spawn(run).map(drop)
    }

    fn run(mut self) -> io::Result<()> {
        while let Some(chunk) = self.overlay.next() {
            self.base.write(&chunk.merged)?;
            self.overlay.forget(&chunk);
            if chunk.segment > self.first {
                journal::remove(&self.journal, self.first..chunk.segment)?;
                self.first = chunk.segment;
            }
        }
        Ok(())
    }
}
