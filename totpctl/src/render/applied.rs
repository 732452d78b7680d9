//! Prints the result of `apply`: what was or would be changed of each user, users' states before and
//! after in the words of the file, and the summary.

use common::wire::text::printable;
use serde::Serialize;

use super::moving::Reason;
use super::{Render, restrictions};
use crate::diff::diff;

/// The result of `apply`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Applied {
    /// True: nothing was changed.
    pub(crate) check: bool,
    /// Users.
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    /// Devices that wait for their users.
    to_enroll: usize,
    to_confirm: usize,
    /// Users of which there is something to say.
    users: Vec<AppliedUser>,
    /// With `--diff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Diff>,
}

/// What became of a user.
#[derive(Debug, Serialize)]
pub(crate) struct AppliedUser {
    pub(crate) line: u64,
    pub(crate) user: String,
    /// Those that were made before an error, too.
    pub(crate) changes: Vec<Change>,
    /// Devices that the file names and the user has yet to enrol.
    pub(crate) to_enroll: Vec<String>,
    /// Devices that wait for their first code.
    pub(crate) to_confirm: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Reason>,
    /// The state before and after, to be compared.
    #[serde(skip)]
    pub(crate) states: [String; 2],
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    /// Of a device, or of the account.
    Disabled {
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    Enabled {
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    Restricted {
        device: String,
        valid_from: Option<u64>,
        valid_until: Option<u64>,
        services: Vec<String>,
    },
    Revoked {
        device: String,
    },
    /// The code is in the file of `--tickets` alone.
    TicketIssued {
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
    },
}

/// The states of all changed users before and after, in the words of the file.
#[derive(Debug, Default, Serialize)]
struct Diff {
    before: String,
    after: String,
}

impl Applied {
    pub(crate) fn new(check: bool, with_diff: bool) -> Self {
        Self {
            check,
            diff: with_diff.then(Diff::default),
            ..Self::default()
        }
    }

    /// Counts a user.
    pub(crate) fn add(&mut self, user: AppliedUser) {
        let count = if user.error.is_some() {
            &mut self.failed
        } else if user.changes.is_empty() {
            &mut self.unchanged
        } else {
            &mut self.changed
        };
        *count = count.saturating_add(1);
        self.to_enroll = self.to_enroll.saturating_add(user.to_enroll.len());
        self.to_confirm = self.to_confirm.saturating_add(user.to_confirm.len());
        let [before, after] = &user.states;
        if let (Some(diff), true) = (&mut self.diff, before != after) {
            diff.before.push_str(before);
            diff.after.push_str(after);
        }
        if user.has_news() {
            self.users.push(user);
        }
    }

    /// Users, and the devices that wait for theirs.
    pub(crate) fn summary(&self) -> String {
        let changed = if self.check {
            "would be changed"
        } else {
            "changed"
        };
        let mut text = format!(
            "{} {changed}, {} unchanged, {} failed",
            self.changed, self.unchanged, self.failed
        );
        for (count, what) in [
            (self.to_enroll, "to be enrolled"),
            (self.to_confirm, "to be confirmed"),
        ] {
            if count > 0 {
                text.push_str(&format!("; devices {what}: {count}"));
            }
        }
        text
    }
}

impl Render for Applied {
    fn people(&self) -> String {
        let mut text = String::new();
        for user in &self.users {
            text.push_str(&user.lines(self.check));
            let [before, after] = &user.states;
            if self.diff.is_some() && before != after {
                text.push_str(&diff(&user.user, Some(before), after));
            }
        }
        text + &self.summary() + "\n"
    }
}

impl AppliedUser {
    fn has_news(&self) -> bool {
        let waits = !self.to_enroll.is_empty() || !self.to_confirm.is_empty();
        waits || !self.changes.is_empty() || self.error.is_some()
    }

    /// The error is not among them: it is a note.
    fn lines(&self, check: bool) -> String {
        let changes = self.changes.iter().map(|change| change.sentence(check));
        let waits = |devices: &[String], for_what: &str| -> Vec<String> {
            let devices = devices.iter().map(|device| printable(device));
            devices
                .map(|device| format!("device '{device}' {for_what}"))
                .collect()
        };
        let user = printable(&self.user);
        changes
            .chain(waits(&self.to_enroll, "is to be enrolled by the user"))
            .chain(waits(&self.to_confirm, "waits for its first code"))
            .map(|sentence| format!("{user}: {sentence}\n"))
            .collect()
    }
}

impl Change {
    /// The state of a device or of the account.
    pub(crate) fn of_state(device: Option<String>, disabled: bool) -> Self {
        if disabled {
            Self::Disabled { device }
        } else {
            Self::Enabled { device }
        }
    }

    /// The device, if it is about one.
    pub(crate) fn device(&self) -> Option<&str> {
        match self {
            Self::Disabled { device } | Self::Enabled { device } => device.as_deref(),
            Self::Restricted { device, .. } | Self::Revoked { device } => Some(device),
            Self::TicketIssued { .. } => None,
        }
    }

    pub(crate) fn sentence(&self, check: bool) -> String {
        let becomes = if check { "would be" } else { "is" };
        let what = match self {
            Self::TicketIssued { .. } => return format!("a ticket {becomes} issued"),
            Self::Disabled { .. } => "disabled".to_owned(),
            Self::Enabled { .. } => "enabled".to_owned(),
            Self::Revoked { .. } => "revoked".to_owned(),
            Self::Restricted {
                valid_from,
                valid_until,
                services,
                ..
            } => {
                let bounds = restrictions(*valid_from, *valid_until, services);
                let bounds = bounds.unwrap_or_else(|| "always and for every service".to_owned());
                format!("usable {bounds}")
            }
        };
        match self.device() {
            Some(device) => format!("device '{}' {becomes} {what}", printable(device)),
            None => format!("the account {becomes} {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn applied(check: bool, with_diff: bool) -> Applied {
        let mut applied = Applied::new(check, with_diff);
        applied.add(AppliedUser {
            line: 2,
            user: "al\nice".to_owned(),
            changes: vec![
                Change::of_state(None, true),
                Change::Restricted {
                    device: "loan".to_owned(),
                    valid_from: None,
                    valid_until: None,
                    services: vec!["sudo".to_owned()],
                },
                Change::TicketIssued { until: None },
            ],
            to_enroll: vec!["phone".to_owned()],
            to_confirm: vec!["token".to_owned()],
            error: None,
            states: ["a:\n".to_owned(), "b:\n".to_owned()],
        });
        let as_it_was = AppliedUser {
            line: 3,
            user: "bob".to_owned(),
            changes: Vec::new(),
            to_enroll: Vec::new(),
            to_confirm: Vec::new(),
            error: None,
            states: [String::new(), String::new()],
        };
        applied.add(as_it_was);
        applied
    }

    #[test]
    fn each_change_is_a_sentence_and_a_check_says_what_would_be() {
        assert_eq!(
            applied(false, false).people(),
            "al\\nice: the account is disabled\n\
             al\\nice: device 'loan' is usable for sudo only\n\
             al\\nice: a ticket is issued\n\
             al\\nice: device 'phone' is to be enrolled by the user\n\
             al\\nice: device 'token' waits for its first code\n\
             1 changed, 1 unchanged, 0 failed; devices to be enrolled: 1; devices to be confirmed: 1\n"
        );
        let would = applied(true, true).people();
        for line in [
            "al\\nice: the account would be disabled\n",
            "al\\nice: a ticket would be issued\n",
            "-a:\n+b:\n",
            "1 would be changed, ",
        ] {
            assert!(would.contains(line), "{line}: {would}");
        }
    }

    #[test]
    fn programs_read_the_numbers_and_the_users_of_which_there_is_something_to_say() {
        let text = json(&applied(true, true)).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text),
            "{\"check\":true,\"changed\":1,\"unchanged\":1,\"failed\":0,\"to_enroll\":1,\"to_confirm\":1,\"users\":[\
             {\"line\":2,\"user\":\"al\\nice\",\"changes\":[{\"change\":\"disabled\"},\
             {\"change\":\"restricted\",\"device\":\"loan\",\"valid_from\":null,\"valid_until\":null,\"services\":[\"sudo\"]},\
             {\"change\":\"ticket_issued\"}],\"to_enroll\":[\"phone\"],\"to_confirm\":[\"token\"]}],\
             \"diff\":{\"before\":\"a:\\n\",\"after\":\"b:\\n\"}}\n"
        );
    }
}
