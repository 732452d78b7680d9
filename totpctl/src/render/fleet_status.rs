//! Prints the state of a fleet (`status --fleet`), and judges what is wrong with it.

use common::wire::protocol::{FleetState, LoginHost, SealedUnder, StatusReply, Verifier};
use common::wire::text::printable;
use serde::Serialize;

use super::{Render, sealed};
use crate::table::{second, table, wrapped};

/// The state of a fleet, as the verifier that was asked knows it.
#[derive(Debug, Serialize)]
pub(crate) struct FleetStatus {
    verifiers: Vec<Verifier>,
    hosts: Vec<LoginHost>,
    sealed: Option<Vec<SealedUnder>>,
    /// What is wrong: a sentence each, with the next step.
    problems: Vec<String>,
}

impl FleetStatus {
    /// `None`: the daemon is no verifier.
    pub(crate) fn of(status: StatusReply) -> Option<Self> {
        let FleetState { verifiers, hosts } = status.fleet?;
        Some(Self {
            problems: problems(&verifiers),
            verifiers,
            hosts,
            sealed: status.sealed,
        })
    }

    /// Whether an administrator has to look.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }
}

impl Render for FleetStatus {
    fn people(&self) -> String {
        let verifiers: Vec<_> = self.verifiers.iter().map(verifier).collect();
        let verifiers = match verifiers.as_slice() {
            [] => "This verifier shares its records with no other one.\n".to_owned(),
            rows => table(["VERIFIER", "VERSION", "STATE", "CLOCK", "TAGS"], rows),
        };
        let host = |host: &LoginHost| [printable(&host.host), second(host.asked)];
        let hosts: Vec<_> = self.hosts.iter().map(host).collect();
        let hosts = match hosts.as_slice() {
            [] => "No login host has asked this verifier since it started.\n".to_owned(),
            rows => table(["LOGIN HOST", "ASKED THIS VERIFIER LAST"], rows),
        };
        let sealed = self.sealed.iter().flat_map(|sealed| sealed::lines(sealed));
        let sealed: String = sealed
            .map(|line| format!("sealed under {line}\n"))
            .collect();
        let problems: String = match self.problems.as_slice() {
            [] => "No problem found.\n".to_owned(),
            some => some.iter().map(|why| wrapped(why, "! ") + "\n").collect(),
        };
        [verifiers, hosts, sealed, problems].join("\n")
    }
}

fn verifier(of: &Verifier) -> [String; 5] {
    let name = printable(&of.host);
    let own = if of.own { " (asked)" } else { "" };
    let state = match of.works {
        true => "works".to_owned(),
        false => format!("silent since {}", second(of.seen)),
    };
    let clock = match of.ahead {
        _ if of.own => String::new(),
        None => "not known yet".to_owned(),
        Some(ahead) => format!("{ahead:+} s"),
    };
    let tag = |tag: &String| match *tag == of.default_tag {
        true => format!("{} (default)", printable(tag)),
        false => printable(tag),
    };
    let tags: Vec<_> = of.tags.iter().map(tag).collect();
    [
        name + own,
        printable(&of.version),
        state,
        clock,
        tags.join(", "),
    ]
}

/// What is wrong, compared with the verifier that was asked.
fn problems(verifiers: &[Verifier]) -> Vec<String> {
    let own = verifiers.iter().find(|verifier| verifier.own);
    let silent = verifiers.iter().filter(|verifier| !verifier.works);
    let mut problems: Vec<String> = silent.map(silence).collect();
    let others = || verifiers.iter().filter(|other| other.works && !other.own);
    if let Some(own) = own {
        problems.extend(others().flat_map(|other| differences(other, own)));
    }
    let at_work = || verifiers.iter().filter(|verifier| verifier.works);
    for verifier in at_work() {
        let all = at_work().flat_map(|other| other.tags.iter().map(move |tag| (tag, other)));
        let lacking = all.filter(|(tag, _)| !verifier.tags.contains(tag));
        let mut said: Vec<&String> = Vec::new();
        for (tag, other) in lacking {
            if !said.contains(&tag) {
                said.push(tag);
                problems.push(lacks(verifier, tag, other));
            }
        }
    }
    problems
}

fn silence(verifier: &Verifier) -> String {
    format!(
        "{} has given no sign of life since {} (by its own clock): see whether its provisiond runs and reaches etcd. One that was \
         taken away is forgotten after a week",
        printable(&verifier.host),
        second(verifier.seen)
    )
}

fn differences(other: &Verifier, own: &Verifier) -> Vec<String> {
    let (name, here) = (printable(&other.host), printable(&own.host));
    let mut found = Vec::new();
    if let Some(ahead) = other.ahead.filter(|ahead| ahead.abs() > MOST_APART) {
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        found.push(format!(
            "the clock of {name} is {} seconds {side} that of {here}: see that both follow the same time service",
            ahead.unsigned_abs()
        ));
    }
    if other.version != own.version {
        found.push(format!(
            "{name} has provisiond {}, and {here} has {}: bring both to one version",
            printable(&other.version),
            printable(&own.version)
        ));
    }
    if other.default_tag != own.default_tag {
        found.push(format!(
            "{name} seals new keys under '{}', and {here} under '{}': put the same application secrets on both",
            printable(&other.default_tag),
            printable(&own.default_tag)
        ));
    }
    found
}

fn lacks(verifier: &Verifier, tag: &str, other: &Verifier) -> String {
    format!(
        "{} lacks the application secret '{}', which {} has: it refuses users with keys under it; put the same secrets on both",
        printable(&verifier.host),
        printable(tag),
        printable(&other.host)
    )
}

/// Seconds. A note is read up to some seconds after it was written.
const MOST_APART: i64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str, own: bool) -> Verifier {
        Verifier {
            host: host.into(),
            own,
            version: "1".into(),
            default_tag: "2".into(),
            tags: vec!["1".into(), "2".into()],
            works: true,
            seen: 1_800_000_000,
            ahead: Some(-2),
        }
    }

    #[test]
    fn a_fleet_without_a_fault_has_no_problem() {
        let fleet = FleetStatus {
            verifiers: vec![named("v1", true), named("v2", false)],
            hosts: vec![],
            sealed: None,
            problems: problems(&[named("v1", true), named("v2", false)]),
        };
        let text = fleet.people();
        assert!(!fleet.has_problems(), "{text}");
        for part in ["v1 (asked)", "-2 s", "1, 2 (default)", "No problem"] {
            assert!(text.contains(part), "no '{part}' in:\n{text}");
        }
    }

    #[test]
    fn each_fault_is_a_sentence_that_names_the_machine() {
        let own = named("v1", true);
        let of = |change: &dyn Fn(&mut Verifier)| {
            let mut other = named("v2", false);
            change(&mut other);
            problems(&[own.clone(), other])
        };
        for (change, part) in [
            (
                &(|it: &mut Verifier| it.works = false) as &dyn Fn(&mut Verifier),
                "v2 has given no sign",
            ),
            (
                &|it| it.ahead = Some(6),
                "the clock of v2 is 6 seconds ahead of",
            ),
            (&|it| it.ahead = Some(-90), "v2 is 90 seconds behind"),
            (
                &|it| it.version = "2".into(),
                "v2 has provisiond 2, and v1 has 1",
            ),
            (
                &|it| it.default_tag = "1".into(),
                "under '1', and v1 under '2'",
            ),
            (
                &|it| it.tags = vec!["2".into()],
                "v2 lacks the application secret '1', which v1 has",
            ),
            (
                &|it| it.tags.push("3".into()),
                "v1 lacks the application secret '3', which v2 has",
            ),
        ] {
            let found = of(change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found.concat().contains(part), "{found:?}");
        }
        assert!(of(&|it| it.ahead = None).is_empty());
    }
}
