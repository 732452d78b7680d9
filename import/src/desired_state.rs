//! Reads the file of `totpctl apply` (YAML): the state that users and their devices shall have. The
//! whole file is judged, and everything that is wrong is named with its line.
//!
//! What the file leaves out stays as it is. It never holds a key or a code.

mod yaml;

use std::collections::HashMap;
use std::fmt;

use common::config::values::calendar;
use common::names::device::DeviceName;
use common::names::service::ServiceName;
use common::names::user::UserName;
use common::wire::text::printable;

use self::yaml::{Key, Node};

/// The state that a user shall have.
#[derive(Debug, PartialEq, Eq)]
pub struct DesiredUser {
    /// The line of its entry, counted from 1.
    pub line: u64,
    /// The account's name.
    pub user: UserName,
    /// Whether the account shall be disabled, or enabled.
    pub disabled: Option<bool>,
    /// Whether the user shall get a ticket, if never enrolled and without one.
    pub ticket: bool,
    /// Whether devices that the file does not name shall be revoked.
    pub exclusive: bool,
    /// The devices that the file names, each once.
    pub devices: Vec<DesiredDevice>,
}

/// The state that a device shall have.
#[derive(Debug, PartialEq, Eq)]
pub struct DesiredDevice {
    /// Its name.
    pub name: DeviceName,
    /// `None`: there shall be one, in any state.
    pub state: Option<DeviceWish>,
    /// The first second of its validity, in Unix seconds; the inner `None`: no such bound.
    pub from: Option<Option<u64>>,
    /// The first second after its validity.
    pub until: Option<Option<u64>>,
    /// The PAM services that accept its codes, sorted, each once; empty: all.
    pub services: Option<Vec<ServiceName>>,
}

/// What a device shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceWish {
    /// Its codes open logins.
    Active,
    /// Its codes are refused.
    Disabled,
    /// There is none.
    Absent,
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    line: Option<u64>,
    why: String,
}

impl Finding {
    fn of_the_file(why: &str) -> Self {
        let words: Vec<String> = why.split(' ').map(printable).collect();
        Self {
            line: None,
            why: words.join(" "),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// All that is wrong with it, in the order of the file.
pub fn read(bytes: &[u8]) -> Result<Vec<DesiredUser>, Vec<Finding>> {
    let whole = |why: &str| vec![Finding::of_the_file(why)];
    if bytes.len() > MAX_BYTES {
        return Err(whole(TOO_LONG));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole(NOT_TEXT))?;
    let tree = yaml::read(text).map_err(|finding| vec![finding])?;
    let mut checked = Checked::default();
    let users = checked.file(tree);
    checked.findings.sort_by_key(|finding| finding.line);
    if checked.findings.is_empty() {
        Ok(users)
    } else {
        Err(checked.findings)
    }
}

/// A reading of the tree. A part with a finding is left out.
#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
}

impl Checked {
    fn file(&mut self, tree: Node) -> Vec<DesiredUser> {
        let is_users = |(section, _): &(Key, Node)| section.name == USERS;
        let sections = match tree {
            Node::Map(sections) if sections.iter().any(is_users) => sections,
            // A file of another kind, perhaps of secrets: none of its text is shown.
            _ => {
                self.findings.push(Finding::of_the_file(NO_USERS));
                return Vec::new();
            }
        };
        let mut users = Vec::new();
        for (section, entries) in self.each_once(sections) {
            if section.name == USERS {
                let entries = self.section(&section, entries);
                users.extend(
                    entries
                        .into_iter()
                        .filter_map(|(name, entry)| self.user(&name, entry)),
                );
            } else {
                self.unknown(&section, "'users'");
            }
        }
        users
    }

    fn user(&mut self, key: &Key, entry: Node) -> Option<DesiredUser> {
        let user = UserName::new(&key.name);
        let user = user.map_err(|why| self.finds(key, why)).ok();
        let (mut disabled, mut ticket, mut exclusive) = (None, None, None);
        let mut devices = Vec::new();
        for (field, value) in self.section(key, entry) {
            match field.name.as_str() {
                "state" => disabled = self.word(&field, &value, &ACCOUNT_STATES),
                "enroll" => ticket = self.word(&field, &value, &[("ticket", true)]),
                "exclusive" => exclusive = self.truth(&field, &value),
                "devices" => devices = self.devices(&field, value),
                _ => self.unknown(&field, "'state', 'devices', 'exclusive' and 'enroll'"),
            }
        }
        let desired = DesiredUser {
            line: key.line,
            user: user?,
            disabled,
            ticket: ticket.unwrap_or_default(),
            exclusive: exclusive.unwrap_or_default(),
            devices,
        };
        if let Some(why) = desired.contradiction() {
            self.finds(key, why);
        }
        Some(desired)
    }

    fn devices(&mut self, field: &Key, value: Node) -> Vec<DesiredDevice> {
        let devices = self.section(field, value);
        devices
            .into_iter()
            .filter_map(|(name, entry)| self.device(&name, entry))
            .collect()
    }

    fn device(&mut self, key: &Key, entry: Node) -> Option<DesiredDevice> {
        let name = DeviceName::new(&key.name);
        let name = name.map_err(|why| self.finds(key, why)).ok();
        let (mut state, mut from, mut until, mut services) = (None, None, None, None);
        for (field, value) in self.section(key, entry) {
            match field.name.as_str() {
                "state" => state = self.word(&field, &value, &DEVICE_STATES),
                "from" => from = self.day(&field, &value),
                "until" => until = self.day(&field, &value).map(end_of),
                "services" => services = self.services(&field, value),
                _ => self.unknown(&field, "'state', 'from', 'until' and 'services'"),
            }
        }
        let desired = DesiredDevice {
            name: name?,
            state,
            from,
            until,
            services,
        };
        if let Some(why) = desired.contradiction() {
            self.finds(key, why);
        }
        Some(desired)
    }

    /// The entries of a section. An empty one has none.
    fn section(&mut self, key: &Key, value: Node) -> Vec<(Key, Node)> {
        match value {
            Node::Null => Vec::new(),
            Node::Map(entries) => self.each_once(entries),
            _ => {
                self.finds(key, "keys with values are expected below it");
                Vec::new()
            }
        }
    }

    fn each_once(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut lines: HashMap<String, u64> = HashMap::new();
        let mut once = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match lines.get(&key.name) {
                Some(first) => self.finds(&key, format!("it is on line {first} already: keep one")),
                None => {
                    lines.insert(key.name.clone(), key.line);
                    once.push((key, value));
                }
            }
        }
        once
    }

    fn word<T: Copy>(&mut self, key: &Key, value: &Node, words: &[(&str, T)]) -> Option<T> {
        let meant = match value {
            Node::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        if meant.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.finds(key, format!("write {}", words.join(" or ")));
        }
        meant.map(|(_, meaning)| *meaning)
    }

    fn truth(&mut self, key: &Key, value: &Node) -> Option<bool> {
        match value {
            Node::Bool(truth) => Some(*truth),
            _ => {
                self.finds(key, "write true or false");
                None
            }
        }
    }

    /// The first second of a day; the inner `None`: no bound.
    fn day(&mut self, key: &Key, value: &Node) -> Option<Option<u64>> {
        let day = match value {
            Node::Null => Some(None),
            Node::Text(day) => calendar::date(day).and_then(calendar::start).map(Some),
            _ => None,
        };
        if day.is_none() {
            self.finds(key, "not a day: write it as 2026-12-01, or ~ for no bound");
        }
        day
    }

    fn services(&mut self, key: &Key, value: Node) -> Option<Vec<ServiceName>> {
        let names = match value {
            Node::Null => Vec::new(),
            Node::List(names) => names,
            _ => {
                self.finds(
                    key,
                    "write a list, such as [sudo, su], or [] for all services",
                );
                return None;
            }
        };
        let mut services = Vec::new();
        for name in names {
            let service = match &name {
                Node::Text(name) => ServiceName::new(name).map_err(|why| why.to_string()),
                _ => Err("a service is not a text: put it in quotation marks".to_owned()),
            };
            services.push(service.map_err(|why| self.finds(key, why)).ok()?);
        }
        services.sort();
        services.dedup();
        Some(services)
    }

    fn unknown(&mut self, key: &Key, known: &str) {
        self.finds(key, format!("it is not known here; known are {known}"));
    }

    fn finds(&mut self, key: &Key, why: impl fmt::Display) {
        self.findings.push(Finding {
            line: Some(key.line),
            why: format!("'{}': {why}", printable(&key.name)),
        });
    }
}

impl DesiredUser {
    fn contradiction(&self) -> Option<&'static str> {
        let stays = |device: &DesiredDevice| device.state != Some(DeviceWish::Absent);
        if self.exclusive && !self.devices.iter().any(stays) {
            Some(
                "'exclusive' without a device that stays would revoke all: name one, or leave 'exclusive' out",
            )
        } else if self.ticket && self.disabled == Some(true) {
            Some("a ticket is of no use to a disabled account: leave out 'enroll'")
        } else {
            None
        }
    }
}

impl DesiredDevice {
    fn contradiction(&self) -> Option<&'static str> {
        let says_more = self.from.is_some() || self.until.is_some() || self.services.is_some();
        let bounds = (self.from.flatten(), self.until.flatten());
        if self.state == Some(DeviceWish::Absent) && says_more {
            Some("nothing else can be said of an absent device")
        } else if matches!(bounds, (Some(from), Some(until)) if until <= from) {
            Some("'until' is before 'from'")
        } else {
            None
        }
    }
}

/// The first second after the day that begins then.
fn end_of(first_second: Option<u64>) -> Option<u64> {
    first_second.map(|start| start.saturating_add(DAY))
}

const ACCOUNT_STATES: [(&str, bool); 2] = [("active", false), ("disabled", true)];
const DEVICE_STATES: [(&str, DeviceWish); 3] = [
    ("active", DeviceWish::Active),
    ("disabled", DeviceWish::Disabled),
    ("absent", DeviceWish::Absent),
];
const USERS: &str = "users";
const DAY: u64 = 86400;
/// The longest file, in bytes: room for a hundred thousand users.
const MAX_BYTES: usize = 8 << 20;
const TOO_LONG: &str = "the file is longer than 8 MiB: split it";
const NOT_TEXT: &str = "the file is not text in UTF-8: check that it is the right one";
const NO_USERS: &str =
    "the file has no section 'users', with the users below it: check that it is the right one";

#[cfg(test)]
mod tests;
