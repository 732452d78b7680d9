//! The output of the log: syslog, or standard error; as text or JSON.

use std::io::Write as _;

use common::config::audit::Format;
use common::wire::event::{Event, Severity};
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// The destination of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// syslog, facility authpriv; standard error while syslog is not available.
    Syslog,
    /// Standard error.
    Stderr,
}

pub(super) enum Sink {
    Syslog(Box<Logger<LoggerBackend, Formatter3164>>),
    /// syslog is configured, but not available now.
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

    /// Writes to syslog, and reconnects if it was restarted. A line that syslog does not take goes
    /// to standard error.
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
        // In one write, so that a concurrent reader sees no half line.
        let _ = std::io::stderr().write_all(on_stderr(&text, format).as_bytes());
    }
}

/// The event as text or JSON.
fn rendered(event: &Event, format: Format) -> String {
    let json = if format == Format::Json {
        json(event)
    } else {
        None
    };
    json.unwrap_or_else(|| event.text())
}

fn json(event: &Event) -> Option<String> {
    let mut text = Vec::new();
    common::wire::json::write(&mut text, event).ok()?;
    String::from_utf8(text).ok()
}

/// A text line begins with the program's name; a JSON object stands alone.
fn on_stderr(text: &str, format: Format) -> String {
    match format {
        Format::Text => format!("provisiond: {text}\n"),
        Format::Json => format!("{text}\n"),
    }
}

fn send(
    logger: &mut Logger<LoggerBackend, Formatter3164>,
    text: &str,
    severity: Severity,
) -> syslog::Result<()> {
    match severity {
        Severity::Info => logger.info(text),
        Severity::Warning => logger.warning(text),
        Severity::Error => logger.err(text),
    }
}
