//! The page `docs/log-events.md`, held against what daemons under test write: each line has the
//! fields that the page lists for its event, and no others.

use std::collections::{HashMap, HashSet};

/// Compares each line with the page.
///
/// # Panics
/// When a line has an event or a field that the page does not list for it, or lacks one that every
/// such line has.
pub(crate) fn check(lines: &[String]) {
    let events: HashMap<&str, Fields> = PAGE.lines().filter_map(row).collect();
    for line in lines {
        let (_, text) = line
            .split_once("provisiond: event=")
            .expect("a line of the log");
        let mut fields = keys(text);
        let event = text.split(' ').next().unwrap_or_default();
        let Fields {
            required,
            optional,
            is_call,
        } = events
            .get(event)
            .unwrap_or_else(|| panic!("docs/log-events.md has no event {event}: {line}"));
        let missing: Vec<_> = required
            .iter()
            .filter(|field| !fields.contains(*field))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/log-events.md: {missing:?} is missing in: {line}"
        );
        // The caller of a call is a process, or the relay of a host.
        let of_a_process = fields.contains("uid") && fields.contains("pid");
        assert!(
            !is_call || of_a_process != fields.contains("host"),
            "no caller in: {line}"
        );
        fields.retain(|field| !required.contains(field) && !optional.contains(field));
        assert!(
            fields.is_empty(),
            "docs/log-events.md does not list {fields:?} for: {line}"
        );
    }
}

/// The fields of an event.
struct Fields {
    required: HashSet<&'static str>,
    optional: HashSet<&'static str>,
    is_call: bool,
}

/// A row of the tables of events: the event and its fields.
fn row(line: &'static str) -> Option<(&'static str, Fields)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let ["", event, fields, _severity, _when, _what, ""] = cells[..] else {
        return None;
    };
    let event = event.strip_prefix('`')?.strip_suffix('`')?;
    let (mut required, mut optional, mut is_call) = (HashSet::new(), HashSet::new(), false);
    for field in fields.split(", ").filter(|field| !field.is_empty()) {
        if field == "*call*" {
            is_call = true;
            required.extend(["user", "role"]);
            optional.extend(["alias", "uid", "pid", "host"]);
        } else if let Some(name) = field.strip_suffix('?') {
            optional.insert(name.trim_matches('`'));
        } else {
            required.insert(field.trim_matches('`'));
        }
    }
    let fields = Fields {
        required,
        optional,
        is_call,
    };
    Some((event, fields))
}

/// The keys of the fields behind the event. What stands in quotation marks is no key.
fn keys(text: &str) -> HashSet<&str> {
    let mut keys = HashSet::new();
    let mut rest = text.split_once(' ').map_or("", |(_, rest)| rest);
    while let Some((key, value)) = rest.split_once('=') {
        keys.insert(key);
        let end = match value.strip_prefix('"') {
            Some(quoted) => 2 + end_of_quotation(quoted),
            None => value.find(' ').unwrap_or(value.len()),
        };
        rest = value[end..].trim_start();
    }
    keys
}

fn end_of_quotation(quoted: &str) -> usize {
    let mut is_escaped = false;
    let closing = |byte: u8| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    };
    quoted
        .bytes()
        .position(closing)
        .expect("a quotation that ends")
}

const PAGE: &str = include_str!("../../docs/log-events.md");
