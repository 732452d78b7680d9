//! The settler (checkpoint thread): brings sled up to the journal, behind the committer, in few large
//! batches. A chunk leaves the overlay when sled holds it durably, and not before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::base::Base;
use super::overlay::Overlay;

/// The work of the thread.
pub(super) struct Settler {
    pub(super) base: Base,
    pub(super) overlay: Arc<Overlay>,
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
        }
        Ok(())
    }
}
