//! The output of a program, line by line, and waiting for a line without a sleep.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The lines that one or several readers have brought so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    /// Takes every line of `source` too, in a thread that ends with it.
    pub fn follow(&self, source: impl Read + Send + 'static) {
        let lines = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                lines.push(&String::from_utf8_lossy(&line));
            }
        });
    }

    /// Adds one line.
    pub fn push(&self, line: &str) {
        self.lock().push(line.to_owned());
        self.0.more.notify_all();
    }

    /// Waits for a line that contains every one of `parts`.
    ///
    /// # Panics
    /// When none comes in time; the message shows what came instead.
    pub fn wait_for(&self, parts: &[&str]) -> String {
        self.wait_for_many(1, parts).remove(0)
    }

    /// Waits for `count` such lines.
    ///
    /// # Panics
    /// As [`Lines::wait_for`].
    pub fn wait_for_many(&self, count: usize, parts: &[&str]) -> Vec<String> {
        let few = |lines: &mut Vec<String>| matching(lines, parts).count() < count;
        let (lines, late) = self
            .0
            .more
            .wait_timeout_while(self.lock(), PATIENCE, few)
            .map(|(lines, wait)| (lines, wait.timed_out()))
            .unwrap_or_else(|poisoned| (poisoned.into_inner().0, false));
        if late {
            let lines = lines.join("\n");
            panic!("no {count} lines with {parts:?} within {PATIENCE:?}; there are:\n{lines}");
        }
        matching(&lines, parts).cloned().collect()
    }

    /// The lines so far that contain every one of `parts`.
    #[must_use]
    pub fn with(&self, parts: &[&str]) -> Vec<String> {
        matching(&self.lock(), parts).cloned().collect()
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn matching<'a>(lines: &'a [String], parts: &'a [&str]) -> impl Iterator<Item = &'a String> {
    lines
        .iter()
        .filter(move |line| parts.iter().all(|part| line.contains(part)))
}

/// Longer than anything here takes; waiting this long is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);
