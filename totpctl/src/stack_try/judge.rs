//! What the plays of `try` show: asked and accepted, let in without being asked, refused before the
//! module was asked, or no way in at all. Pure.
//!
//! Three witnesses: libpam's answer, the daemon's events of this process, and the stack check, which
//! names the lines.

use common::wire::event::Event;
use pam_application::PamCode;
use pam_stack::{Finding, Place, Severity, Stack};
use serde::Serialize;

/// A play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    WithoutCode,
    WithCode,
}

/// What happened in a play.
#[derive(Debug)]
pub(crate) struct Played {
    /// The codes of `pam_authenticate` and, after success, of `pam_acct_mgmt`. The error: libpam
    /// did not start.
    pub(crate) codes: Result<Vec<PamCode>, PamCode>,
    /// What the daemon was asked, in order.
    pub(crate) asked: Vec<Asked>,
}

/// One question of the module to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    verdict: String,
    rule: Option<String>,
}

impl Asked {
    /// The question that an event tells of, if the process `pid` has asked it.
    pub(crate) fn by(pid: u32, event: &Event) -> Option<Self> {
        let value = |key: &str| event.fields.value(key);
        let is_it = event.event == "verify" && value("pid") == Some(&pid.to_string());
        is_it.then(|| Self {
            verdict: value("verdict").unwrap_or_default().to_owned(),
            rule: value("rule").map(str::to_owned),
        })
    }

    fn is(&self, verdict: &str) -> bool {
        self.verdict == verdict
    }
}

/// What is known before the plays.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    holes: Vec<Line>,
    lock_outs: Vec<Line>,
    /// The line with `nullok`, if the user was never enrolled.
    spared: Option<Line>,
}

impl Ground {
    /// What the stack check finds in the service's files.
    pub(crate) fn new(stack: &Stack, findings: &[Finding], is_unenrolled: bool) -> Self {
        let lines = |wanted: fn(&&Finding) -> bool| -> Vec<Line> {
            let found = findings.iter().filter(wanted);
            found
                .filter_map(|it| it.place.as_ref())
                .map(Line::from)
                .collect()
        };
        let has_nullok = |module: &pam_stack::Module| {
            let mut arguments = module.arguments.iter();
            arguments.any(|argument| argument == "nullok")
        };
        let spared = stack
            .handlers
            .iter()
            .filter(|handler| handler.is_ours() && handler.module().is_some_and(has_nullok))
            .find(|_| is_unenrolled);
        Self {
            holes: lines(|it| it.severity == Severity::Hole || ON_PURPOSE.contains(&it.kind)),
            lock_outs: lines(|it| it.severity == Severity::LockOut),
            spared: spared.map(|handler| Line::from(&handler.place)),
        }
    }
}

/// Notes about lines that let some users by.
const ON_PURPOSE: [&str; 2] = ["exempt-group", "root-needs-no-code"];

/// A line of a PAM file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) file: std::path::PathBuf,
    pub(crate) line: usize,
}

impl From<&Place> for Line {
    fn from(place: &Place) -> Self {
        Self {
            file: place.file.clone(),
            line: place.line,
        }
    }
}

/// The result of `try`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Refused without a code and let in with one, both by the daemon's verdict.
    AskedAndAccepted,
    /// The daemon was asked, and its settings demand no code here.
    Exempt { rule: String },
    /// The user was never enrolled, and the line lets such users in.
    NeverEnrolled { lines: Vec<Line> },
    /// A code was typed in the play without one.
    CodeTypedFirst,
    /// Let in, and the module did not ask.
    LetInUnasked { lines: Vec<Line> },
    /// Let in although the daemon has refused.
    LetInRefused { verdict: String, lines: Vec<Line> },
    /// Refused, and the module did not ask: nothing is known of the code.
    RefusedUnasked { reason: String },
    /// Asked and refused.
    Rejected { verdict: String },
    /// The code was right, and another module refuses.
    RefusedAfterwards { reason: String },
    /// No login succeeds.
    NoWayIn { reason: String, lines: Vec<Line> },
}

impl Outcome {
    /// Whether the stack does what it is for.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::AskedAndAccepted | Self::Exempt { .. })
    }
}

/// What a play shows. `None`: the play without a code was refused after the daemon had been asked,
/// as it has to be, and the play with a code comes next.
pub(crate) fn judge(step: Step, played: &Played, ground: &Ground) -> Option<Outcome> {
    let codes = match &played.codes {
        Ok(codes) => codes,
        Err(code) => return Some(closed(code, ground)),
    };
    let authenticated = codes.first().copied().unwrap_or(PamCode::SYSTEM_ERR);
    if authenticated == PamCode::SUCCESS {
        return Some(let_in(step, codes, &played.asked, ground));
    }
    let reason = authenticated.to_string();
    let is_accepted = played.asked.iter().any(|asked| asked.is("accepted"));
    match played.asked.last() {
        None if ground.lock_outs.is_empty() => Some(Outcome::RefusedUnasked { reason }),
        None => Some(closed(&authenticated, ground)),
        Some(_) if is_accepted && ground.lock_outs.is_empty() => {
            Some(Outcome::RefusedAfterwards { reason })
        }
        Some(_) if is_accepted => Some(closed(&authenticated, ground)),
        Some(_) if step == Step::WithoutCode => None,
        Some(asked) => Some(Outcome::Rejected {
            verdict: asked.verdict.clone(),
        }),
    }
}

fn let_in(step: Step, codes: &[PamCode], asked: &[Asked], ground: &Ground) -> Outcome {
    let lines = ground.holes.clone();
    let Some(last) = asked.last() else {
        return match &ground.spared {
            Some(line) => Outcome::NeverEnrolled {
                lines: vec![line.clone()],
            },
            None => Outcome::LetInUnasked { lines },
        };
    };
    let account = codes.get(1).copied().unwrap_or(PamCode::SYSTEM_ERR);
    match last.verdict.as_str() {
        "accepted" if step == Step::WithoutCode => Outcome::CodeTypedFirst,
        "accepted" if account == PamCode::SUCCESS => Outcome::AskedAndAccepted,
        "accepted" => Outcome::RefusedAfterwards {
            reason: account.to_string(),
        },
        "exempt" => Outcome::Exempt {
            rule: last.rule.clone().unwrap_or_default(),
        },
        verdict => Outcome::LetInRefused {
            verdict: verdict.to_owned(),
            lines,
        },
    }
}

fn closed(code: &PamCode, ground: &Ground) -> Outcome {
    Outcome::NoWayIn {
        reason: code.to_string(),
        lines: ground.lock_outs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use common::wire::event::Fields;

    use super::*;

    fn asked(verdict: &str) -> Asked {
        Asked {
            verdict: verdict.to_owned(),
            rule: Some("office".to_owned()),
        }
    }

    fn shown(step: Step, codes: &[PamCode], verdicts: &[&str], ground: &Ground) -> Option<Outcome> {
        let played = Played {
            codes: Ok(codes.to_vec()),
            asked: verdicts.iter().map(|verdict| asked(verdict)).collect(),
        };
        judge(step, &played, ground)
    }

    fn line() -> Vec<Line> {
        vec![Line {
            file: "/etc/pam.d/sshd".into(),
            line: 3,
        }]
    }

    const IN: &[PamCode] = &[PamCode::SUCCESS, PamCode::SUCCESS];
    const OUT: &[PamCode] = &[PamCode::AUTH_ERR];

    #[test]
    fn asked_and_accepted_is_said_of_a_code_that_the_daemon_accepted_and_of_nothing_else() {
        let ground = Ground::default();
        let with =
            |codes: &[PamCode], verdicts: &[&str]| shown(Step::WithCode, codes, verdicts, &ground);
        assert_eq!(with(IN, &["accepted"]), Some(Outcome::AskedAndAccepted));
        assert_eq!(
            with(IN, &["rejected", "accepted"]),
            Some(Outcome::AskedAndAccepted)
        );
        for (codes, verdicts) in [
            (IN, &[][..]),
            (IN, &["rejected"]),
            (IN, &["accepted", "rejected"]),
            (IN, &["unavailable"]),
            (OUT, &["accepted"]),
            (OUT, &["rejected"]),
            (OUT, &[]),
            (&[PamCode::SUCCESS, PamCode::PERM_DENIED], &["accepted"]),
            (&[PamCode::SUCCESS], &["accepted"]),
        ] {
            let outcome = with(codes, verdicts).unwrap();
            assert!(!outcome.is_good(), "{codes:?} {verdicts:?} {outcome:?}");
        }
        let early = shown(Step::WithoutCode, IN, &["accepted"], &ground);
        assert_eq!(early, Some(Outcome::CodeTypedFirst));
    }

    #[test]
    fn without_a_code_only_a_refusal_of_a_module_that_asked_leads_on() {
        let ground = Ground::default();
        let without = |codes: &[PamCode], verdicts: &[&str]| {
            shown(Step::WithoutCode, codes, verdicts, &ground)
        };
        assert_eq!(without(OUT, &["malformed"]), None);
        assert!(matches!(
            without(OUT, &[]),
            Some(Outcome::RefusedUnasked { .. })
        ));
        assert!(matches!(
            without(&[PamCode::SUCCESS], &["malformed"]),
            Some(Outcome::LetInRefused { .. })
        ));
    }

    #[test]
    fn a_login_without_a_question_names_the_line() {
        let ground = Ground {
            holes: line(),
            ..Ground::default()
        };
        let outcome = shown(Step::WithoutCode, &[PamCode::SUCCESS], &[], &ground);
        assert_eq!(outcome, Some(Outcome::LetInUnasked { lines: line() }));
        let ground = Ground {
            lock_outs: line(),
            ..Ground::default()
        };
        let outcome = shown(Step::WithCode, OUT, &[], &ground);
        let reason = PamCode::AUTH_ERR.to_string();
        let lines = line();
        assert_eq!(outcome, Some(Outcome::NoWayIn { reason, lines }));
    }

    #[test]
    fn the_events_of_other_processes_are_no_witness() {
        let event = |name: &str, pid: &str| Event {
            time: 1,
            number: 1,
            event: name.to_owned(),
            severity: common::wire::event::Severity::Info,
            fields: Fields(vec![
                ("verdict".to_owned(), "exempt".to_owned()),
                ("rule".to_owned(), "office".to_owned()),
                ("pid".to_owned(), pid.to_owned()),
            ]),
        };
        assert_eq!(Asked::by(7, &event("verify", "7")), Some(asked("exempt")));
        assert_eq!(Asked::by(7, &event("verify", "77")), None);
        assert_eq!(Asked::by(7, &event("confirm", "7")), None);
    }
}
