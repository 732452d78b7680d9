//! The end of the queue: the system's log, or standard error.

use std::io::Write as _;

use common::config::audit::Format;
use common::wire::event::{Event, Severity};
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The system's log, facility authpriv; standard error while there is none.
    Syslog,
    /// Standard error.
    Stderr,
}

pub(super) enum Sink {
    Syslog(Box<Logger<LoggerBackend, Formatter3164>>),
    /// Syslog is wanted and not there.
    Fallback,
    Stderr,
}

impl Sink {
    pub(super) fn new(target: Target) -> Self {
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
    pub(super) fn write(&mut self, event: &Event, format: Format) {
        let (text, severity) = (rendered(event, format), event.severity);
        if matches!(self, Self::Fallback) {
            *self = Self::connect();
        }
        if let Self::Syslog(logger) = self {
            if send(logger, &text, severity).is_ok() {
                return;
            }
            *self = Self::connect();
            if let Self::Syslog(logger) = self
                && send(logger, &text, severity).is_ok()
            {
                return;
            }
        }
        // In one piece, or somebody who reads along sees half a line.
        let _ = std::io::stderr().write_all(on_stderr(&text, format).as_bytes());
    }
}

/// The line as it is written.
fn rendered(event: &Event, format: Format) -> String {
    let json = if format == Format::Json { json(event) } else { None };
    json.unwrap_or_else(|| event.text())
}

fn json(event: &Event) -> Option<String> {
    let mut text = Vec::new();
    common::wire::json::write(&mut text, event).ok()?;
    String::from_utf8(text).ok()
}

/// A line for people says whose it is; an object says what it says.
fn on_stderr(text: &str, format: Format) -> String {
    match format {
        Format::Text => format!("provisiond: {text}\n"),
        Format::Json => format!("{text}\n"),
    }
}

fn send(logger: &mut Logger<LoggerBackend, Formatter3164>, text: &str, severity: Severity) -> syslog::Result<()> {
    match severity {
        Severity::Info => logger.info(text),
        Severity::Warning => logger.warning(text),
        Severity::Error => logger.err(text),
    }
}
