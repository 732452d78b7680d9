//! The results of `setup`, for people and as JSON.

use std::path::PathBuf;

use common::wire::text::printable;
use serde::Serialize;

use super::record::Record;
use crate::cli::Target;
use crate::render::Render;
use crate::table::{minute, wrapped};
use crate::verdicts::argument;

/// What became of a set-up.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    service: Target,
    state: State,
    user: String,
    files: Vec<PathBuf>,
    /// When it is taken back unless it is confirmed, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// After an undo: a sentence for each file that is not as it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed_since: Vec<String>,
}

/// Its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Armed,
    Confirmed,
    Undone,
}

impl Outcome {
    /// The state of a set-up.
    pub(crate) fn new(record: &Record, state: State) -> Self {
        Self {
            service: record.target,
            state,
            user: record.user.clone(),
            files: record
                .files
                .iter()
                .map(|change| change.path.clone())
                .collect(),
            until: None,
            changed_since: Vec::new(),
        }
    }

    /// With the time at which it is taken back.
    pub(crate) fn until(self, until: Option<u64>) -> Self {
        Self { until, ..self }
    }

    /// With the files that are not as they were.
    pub(crate) fn with_changed(self, changed_since: Vec<String>) -> Self {
        Self {
            changed_since,
            ..self
        }
    }

    fn armed(&self) -> String {
        let (service, user) = (self.service, printable(&self.user));
        let login = match service {
            Target::Sshd => format!(
                "From another machine or terminal: ssh {user}@this machine, with a code. In there"
            ),
            Target::Login => format!("Log in as {user} at another console, with a code. In there"),
            Target::Sudo | Target::Su => format!("In another terminal of {user}"),
        };
        let command = confirm_command(service);
        let end = match self.until {
            Some(until) => format!(
                "Without it, every file is put back at {}, and after a reboot at once.",
                minute(until)
            ),
            None => format!(
                "No timer takes it back: if no login works, run 'totpctl setup {service} --undo' in this session."
            ),
        };
        let told = format!(
            "{service} now asks for a code. Keep this session open. To try it here first: totpctl try {} --service {service}",
            argument(&self.user)
        );
        let login = wrapped(&format!("{login}:"), "");
        format!(
            "{}{login}  {command}\n{}",
            wrapped(&told, ""),
            wrapped(&end, "")
        )
    }
}

impl Render for Outcome {
    fn people(&self) -> String {
        let service = self.service;
        match self.state {
            State::Armed => self.armed(),
            State::Confirmed => wrapped(
                &format!(
                    "Confirmed: {service} asks for a code from now on. To take it back: totpctl setup {service} --undo"
                ),
                "",
            ),
            State::Undone => {
                let mut text = wrapped(&format!("Taken back: the set-up of {service}"), "");
                for sentence in &self.changed_since {
                    text.push_str(&wrapped(&format!("WARNING: {sentence}"), ""));
                }
                text
            }
        }
    }
}

/// The command that confirms a set-up, inside the new login.
pub(crate) fn confirm_command(service: Target) -> &'static str {
    match service {
        Target::Sshd | Target::Login => "sudo totpctl setup --confirm",
        Target::Sudo => "sudo -k totpctl setup --confirm",
        Target::Su => "su -c 'totpctl setup --confirm'",
    }
}
