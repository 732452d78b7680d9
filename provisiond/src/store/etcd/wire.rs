//! The one thread that runs async code: tokio and the connections to etcd live on it. Every other
//! thread hands it one call and waits for the answer, at most until its deadline.

use std::future::Future;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use etcd_client::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

/// The thread.
pub(super) struct Wire {
    handle: Handle,
    /// Dropped to end the thread.
    runs: Mutex<Option<oneshot::Sender<()>>>,
}

/// Why a call gave no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The answer is an error.
    Error(Box<Error>),
    /// There was none until the deadline.
    TooLate,
    /// The thread has ended.
    Over,
}

impl Wire {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (runs, ends) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("etcd".into());
        thread.spawn(move || {
            // Calls that are under way are given up with the runtime.
            let _ = runtime.block_on(ends);
        })?;
        Ok(Self {
            handle,
            runs: Mutex::new(Some(runs)),
        })
    }

    /// Makes the call on the thread, and waits for its answer until then.
    pub(super) fn call<T: Send + 'static>(
        &self,
        until: Instant,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (reply, answer) = sync_channel(1);
        self.handle.spawn(async move {
            let answer = match timeout_at(until.into(), call).await {
                Ok(answer) => answer.map_err(|error| NoAnswer::Error(Box::new(error))),
                Err(_) => Err(NoAnswer::TooLate),
            };
            // A caller that has left is no error.
            _ = reply.send(answer);
        });
        let left = until.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left.saturating_add(LATE)) {
            Ok(answer) => answer,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(NoAnswer::TooLate),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Err(NoAnswer::Over),
        }
    }

    /// Ends the thread, and every connection.
    pub(super) fn end(&self) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        *runs = None;
    }
}

/// The thread itself tells that it is too late. Only if it is stuck does the caller find out alone.
const LATE: Duration = Duration::from_millis(200);
