//! One line for each decision, to syslog (authpriv) or to standard error.
//!
//! Lines go through a bounded queue and a thread of their own, so that a stuck log holds up no login. What does not
//! fit is counted, and the count is told as soon as lines flow again.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use common::text::printable;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The system's log, facility authpriv; standard error while there is none.
    Syslog,
    /// Standard error.
    Stderr,
}

/// The way into the log.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(Line),
    Flush(SyncSender<()>),
}

impl Audit {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(target: Target) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let audit = Self { queue, lost: Arc::clone(&lost) };
        std::thread::Builder::new().name("audit".into()).spawn(move || write_all(&lines, Sink::new(target), &lost))?;
        Ok(audit)
    }

    /// Queues a line; never waits.
    pub fn write(&self, line: Line) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(Message::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what is queued is written, for a second at most: the process is about to end.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }
}

/// One line: `event=… key=value …`. Values are escaped, so that a stranger's text can neither end the line nor pretend
/// to be another field.
#[derive(Clone, Debug)]
pub struct Line {
    text: String,
    severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Info,
    Warning,
    Error,
}

impl Line {
    /// Begins a line.
    #[must_use]
    pub fn new(event: &'static str) -> Self {
        Self { text: format!("event={event}"), severity: Severity::Info }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@/+-".contains(&b));
        // Writing to a String cannot fail.
        let _ = if plain && value.len() <= common::text::MAX_BYTES {
            write!(self.text, " {key}={value}")
        } else {
            write!(self.text, " {key}=\"{}\"", printable(&value).replace('"', "\\\""))
        };
        self
    }

    /// Adds a field, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Somebody was refused, or should look.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Something of ours does not work.
    #[must_use]
    pub fn error(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }

    /// The line as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The end of the queue.
enum Sink {
    Syslog(Box<Logger<LoggerBackend, Formatter3164>>),
    /// Syslog is wanted and not there.
    Fallback,
    Stderr,
}

impl Sink {
    fn new(target: Target) -> Self {
        match target {
            Target::Stderr => Self::Stderr,
            Target::Syslog => Self::connect(),
        }
    }

    fn connect() -> Self {
        let formatter = Formatter3164 {
            facility: Facility::LOG_AUTHPRIV,
            hostname: None,
            process: "provisiond".into(),
            pid: std::process::id(),
        };
        syslog::unix(formatter).map_or(Self::Fallback, |logger| Self::Syslog(Box::new(logger)))
    }

    /// Writes to the system's log, which may have been restarted since; what it does not take goes to standard error.
    fn write(&mut self, line: &Line) {
        if matches!(self, Self::Fallback) {
            *self = Self::connect();
        }
        if let Self::Syslog(logger) = self {
            if send(logger, line).is_ok() {
                return;
            }
            *self = Self::connect();
            if let Self::Syslog(logger) = self
                && send(logger, line).is_ok()
            {
                return;
            }
        }
        // In one piece, or somebody who reads along sees half a line.
        let _ = std::io::stderr().write_all(format!("provisiond: {}\n", line.text).as_bytes());
    }
}

fn send(logger: &mut Logger<LoggerBackend, Formatter3164>, line: &Line) -> syslog::Result<()> {
    match line.severity {
        Severity::Info => logger.info(&line.text),
        Severity::Warning => logger.warning(&line.text),
        Severity::Error => logger.err(&line.text),
    }
}

fn write_all(lines: &Receiver<Message>, mut sink: Sink, lost: &AtomicU64) {
    let mut told = 0;
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => sink.write(&line),
            Message::Flush(done) => drop(done.try_send(())),
        }
        let now = lost.load(Ordering::Relaxed);
        if now > told {
            sink.write(&Line::new("audit_lost").with("lines", now.saturating_sub(told)).error());
            told = now;
        }
    }
}

/// Lines that may wait. A line has well under a kilobyte.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_keys_and_values() {
        let line =
            Line::new("verify").with("user", "alice").with("source", "2001:db8::1").with_some("tty", None::<&str>);
        assert_eq!(line.text(), "event=verify user=alice source=2001:db8::1");
    }

    #[test]
    fn a_strangers_text_stays_one_value() {
        let line = Line::new("verify").with("user", "a b\" verdict=accepted\nevent=x\u{1b}[0m").with("rhost", "");
        assert_eq!(line.text(), "event=verify user=\"a b\\\" verdict=accepted\\nevent=x\\u{1b}[0m\" rhost=\"\"");
        let long = Line::new("verify").with("user", "x".repeat(65536));
        assert!(long.text().len() < 300);
    }

    #[test]
    fn a_stuck_log_holds_nobody_up_and_the_lines_lost_are_counted() {
        let (queue, lines) = sync_channel(QUEUE);
        let audit = Audit { queue, lost: Arc::default() };
        for _ in 0..QUEUE + 7 {
            audit.write(Line::new("verify"));
        }
        assert_eq!(audit.lost(), 7);
        drop(lines);
        audit.flush();
    }
}
