//! The result of `doctor`: findings, the worst first.

use std::path::PathBuf;

use common::wire::text::printable;
use pam_stack::{Finding, Severity};
use serde::Serialize;

use super::Render;
use crate::table::wrapped;

/// What `doctor` found.
#[derive(Debug, Serialize)]
pub(crate) struct Examined {
    /// Nothing has to be done. Notes are no finding here.
    healthy: bool,
    /// The PAM services that were checked.
    services: Vec<String>,
    findings: Vec<Found>,
}

/// A finding as programs read it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Found {
    #[serde(skip)]
    order: Severity,
    severity: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    what: String,
    next_step: String,
}

impl Examined {
    /// Findings about the services that were checked, and about the machine. The same line in a
    /// file that several services include is told once.
    pub(crate) fn new(services: Vec<String>, findings: Vec<Finding>) -> Self {
        let mut findings: Vec<Found> = findings.into_iter().map(Found::from).collect();
        findings.sort();
        findings.dedup();
        Self {
            healthy: findings.iter().all(|found| found.order == Severity::Note),
            services,
            findings,
        }
    }

    /// The severity of the worst finding.
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|found| found.order).min()
    }
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        let (file, line) = match finding.place {
            Some(place) => (Some(place.file), Some(place.line)),
            None => (None, None),
        };
        Self {
            order: finding.severity,
            severity: finding.severity.word(),
            kind: finding.kind,
            file,
            line,
            what: finding.what,
            next_step: finding.next_step,
        }
    }
}

impl Render for Examined {
    fn people(&self) -> String {
        let mut text = String::new();
        for found in &self.findings {
            let place = match (&found.file, found.line) {
                (Some(file), Some(line)) => {
                    format!("{}, line {line}: ", printable(&file.to_string_lossy()))
                }
                _ => String::new(),
            };
            text.push_str(&format!(
                "{} ({})\n",
                found.severity.to_uppercase(),
                found.kind
            ));
            text.push_str(&wrapped(
                &format!("{place}{}.", printable(&found.what)),
                "  ",
            ));
            text.push_str(&wrapped(
                &format!("→ {}.", printable(&found.next_step)),
                "  ",
            ));
        }
        let services = if self.services.is_empty() {
            "no PAM service asks for codes".to_owned()
        } else {
            format!("checked: {}", self.services.join(", "))
        };
        let verdict = if self.healthy {
            "healthy"
        } else {
            "not healthy"
        };
        text.push_str(&wrapped(&format!("{verdict}; {services}"), ""));
        text
    }
}

#[cfg(test)]
mod tests {
    use pam_stack::Place;

    use super::*;

    fn finding(severity: Severity, line: usize) -> Finding {
        Finding {
            severity,
            kind: "kind",
            place: Some(Place {
                file: "/etc/pam.d/sshd".into(),
                line,
            }),
            what: "what is wrong".into(),
            next_step: "do this".into(),
        }
    }

    #[test]
    fn the_worst_finding_comes_first_and_the_same_one_once() {
        let examined = Examined::new(
            vec!["sshd".into()],
            vec![
                finding(Severity::Note, 1),
                finding(Severity::Hole, 2),
                finding(Severity::Hole, 2),
            ],
        );
        assert_eq!(examined.worst(), Some(Severity::Hole));
        assert_eq!(
            examined.people(),
            "HOLE (kind)\n  /etc/pam.d/sshd, line 2: what is wrong.\n  → do this.\n\
             NOTE (kind)\n  /etc/pam.d/sshd, line 1: what is wrong.\n  → do this.\n\
             not healthy; checked: sshd\n"
        );
    }

    #[test]
    fn notes_alone_are_healthy_also_for_programs() {
        let examined = Examined::new(Vec::new(), vec![finding(Severity::Note, 1)]);
        let json = serde_json::to_value(&examined).unwrap();
        assert_eq!(json["healthy"], true);
        assert_eq!(json["findings"][0]["severity"], "note");
        assert_eq!(json["findings"][0]["line"], 1);
    }
}
