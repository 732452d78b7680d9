//! Prints the results of `fleet`: what was made, and what to do with it on which machine.

use std::path::Path;

use common::wire::text::printable;
use serde::Serialize;

use super::Render;
use crate::fleet::{Issued, Purpose, Signed};
use crate::table::{day, table, wrapped};

/// The result of `fleet init`.
#[derive(Debug, Serialize)]
pub(crate) struct Begun {
    folder: String,
    until: u64,
}

/// The result of `fleet verifier add` and `fleet host add`.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    name: String,
    file: String,
    until: u64,
    fingerprint: String,
    /// Lines for the settings of a verifier: its section, or the rule of a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    #[serde(skip)]
    is_host: bool,
}

/// The result of `fleet host revoke`.
#[derive(Debug, Serialize)]
pub(crate) struct Revoked {
    name: String,
    was_revoked: bool,
}

/// The result of `fleet list`.
#[derive(Debug, Serialize)]
pub(crate) struct Machines {
    pub(crate) machines: Vec<Issued>,
}

impl Begun {
    pub(crate) fn new(folder: &Path, until: u64) -> Self {
        Self {
            folder: folder.to_string_lossy().into_owned(),
            until,
        }
    }
}

impl Added {
    pub(crate) fn verifier(name: &str, file: &Path, signed: &Signed, settings: String) -> Self {
        Self {
            is_host: false,
            ..Self::host(name, file, signed, Some(settings))
        }
    }

    pub(crate) fn host(name: &str, file: &Path, signed: &Signed, rule: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            file: file.to_string_lossy().into_owned(),
            until: signed.until,
            fingerprint: signed.fingerprint.clone(),
            settings: rule,
            is_host: true,
        }
    }
}

impl Revoked {
    pub(crate) fn new(name: &str, was_revoked: bool) -> Self {
        Self {
            name: name.to_owned(),
            was_revoked,
        }
    }
}

/// The rule of one host, as a line for the settings of the verifiers.
pub(crate) fn rule(
    name: &str,
    [services, groups]: [&[String]; 2],
    has_offline_copy: bool,
) -> String {
    let rule: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(MOST_OF_A_NAME)
        .collect();
    let [services, groups] = [services, groups].map(|names| printable(&names.join(", ")));
    let copy = match has_offline_copy {
        true => ", offline-copy: true",
        false => "",
    };
    format!(
        "      {rule}: {{names: [{name}], services: [{services}], users-groups: [{groups}]{copy}}}\n"
    )
}

impl Render for Begun {
    fn people(&self) -> String {
        let (folder, until) = (printable(&self.folder), day(self.until));
        let made = format!("{folder}: the fleet's authority, until {until}.\n");
        made + &wrapped(KEEP, "") + ETCD
    }
}

impl Render for Added {
    fn people(&self) -> String {
        let (name, file, until) = (&self.name, printable(&self.file), day(self.until));
        let mut text = wrapped(
            &format!("{file}: certificate and key of {name}, until {until}. {HAND_OVER}"),
            "",
        );
        text += &format!("SHA-256: {}\n\nOn {name}, as root:\n", self.fingerprint);
        text += &format!("  tar -xf {file} -C /\n  systemctl daemon-reload\n");
        if self.is_host {
            text += RESTART;
        }
        text += &match (&self.settings, self.is_host) {
            (None, _) => wrapped(NO_RULE, ""),
            (Some(rule), true) => format!("{RULE}{rule}"),
            (Some(section), false) => format!("{SECTION}{section}"),
        };
        text
    }
}

impl Render for Machines {
    fn people(&self) -> String {
        let row = |machine: &Issued| {
            let role = match machine.role {
                Purpose::Verifier => "verifier",
                Purpose::Host => "host",
            };
            [
                printable(&machine.names.join(" ")),
                role.to_owned(),
                day(machine.until),
            ]
        };
        let rows: Vec<_> = self.machines.iter().map(row).collect();
        match rows.is_empty() {
            true => "no machine\n".to_owned(),
            false => table(["NAMES", "ROLE", "CERTIFICATE UNTIL"], &rows),
        }
    }
}

impl Render for Revoked {
    fn people(&self) -> String {
        let name = printable(&self.name);
        let now = if self.was_revoked { "was" } else { "is" };
        wrapped(
            &format!("{name} {now} revoked on this verifier. {EVERY_VERIFIER}"),
            "",
        )
    }
}

const MOST_OF_A_NAME: usize = 32;
const ETCD: &str = "\nIf the verifiers share their records on etcd, once on one of them, as root:\n  cat root.pem root.key | provisiond --prepare-etcd --enable-auth\n";
const KEEP: &str = "A copy of its key lets its holder take the codes of users: keep the folder private, and a backup of it. \
                    Next: 'totpctl fleet verifier add NAME'.";
const HAND_OVER: &str =
    "A copy of this file can stand for that machine: copy it there alone, and delete it then.";
const RESTART: &str = "  systemctl restart provisiond\n";
const NO_RULE: &str = "A rule below 'hosts' in the settings of each verifier must have this name; with --groups, the rule is printed.";
const RULE: &str = "In the settings of each verifier, below 'hosts'; then 'totpctl reload':\n";
const SECTION: &str = "In its settings, with the rules that 'totpctl fleet host add' prints at the end; then\n\
                       'systemctl restart provisiond':\n";
const EVERY_VERIFIER: &str = "Its calls are refused from now on, also those of open connections. Run this on every verifier.";
